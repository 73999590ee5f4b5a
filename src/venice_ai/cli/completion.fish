function _venice_chat_completion
    # A completion takes the place of the whole `--option=value`.
    set -l option (string match -r -- '^--[^=]+=' (commandline -t))
    for completion in (env _VENICE_CHAT_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) venice-chat)
        set -l parts (string split -m 1 , -- $completion)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                echo $parts[2]
        end
    end | string replace -r -- '^' "$option"
end

complete --no-files --command venice-chat --arguments "(_venice_chat_completion)"
