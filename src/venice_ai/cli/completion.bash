_venice_chat_completion() {
    local IFS=$'\n' words=() number=$COMP_CWORD index type value
    # bash breaks `--option=value` at the sign; the command takes an option and its value.
    for index in "${!COMP_WORDS[@]}"; do
        if [[ index -gt 0 && index -lt COMP_CWORD && ${COMP_WORDS[index]} == = && ${COMP_WORDS[index - 1]} == --* ]]; then
            number=$((number - 1))
        else
            words+=("${COMP_WORDS[index]}")
        fi
    done
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("$value")
                # So bash puts backslashes or quotes where the value needs them.
                [[ $value == *[!A-Za-z0-9_./-]* ]] && compopt -o filenames
                ;;
        esac
    done < <(env _VENICE_CHAT_COMPLETE=bash_complete COMP_WORDS="${words[*]}" COMP_CWORD="$number" "$1")
}

complete -o nosort -F _venice_chat_completion venice-chat
