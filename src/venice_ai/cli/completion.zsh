#compdef venice-chat
_venice_chat_completion() {
    local -a response plain described
    local type value description
    (( $+commands[venice-chat] )) || return 1
    response=("${(@f)$(env _VENICE_CHAT_COMPLETE=zsh_complete COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) venice-chat)}")
    compset -P '--*='  # the value of an option stands behind the sign
    for type value description in $response; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain) [[ $description == _ ]] && plain+=("$value") || described+=("$value:$description") ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described
    (( $#plain )) && compadd -V unsorted -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _venice_chat_completion "$@"
else
    (( $+functions[compdef] )) || { autoload -U compinit && compinit }
    compdef _venice_chat_completion venice-chat
fi
