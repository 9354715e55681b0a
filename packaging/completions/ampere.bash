# Completion of ampere(8) for bash.

_ampere() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $previous in
    -c | --config | -o | --output)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
  esac
  if [[ $current != -* && " ${COMP_WORDS[*]} " == *" --replay "* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
  local options='-a --add -d --del -l --list --check --replay --page-token --status --ready --trusted --why
    --setup --undo --import-fail2ban -h --help -V --version
    -c --config -o --output -v --verbose --dry-run --journal --for --origin --json --notify'
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
}
complete -o filenames -F _ampere ampere
