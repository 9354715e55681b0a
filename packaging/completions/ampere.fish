# Completion of ampere(8) for fish.

complete -c ampere -f
complete -c ampere -s a -l add -d 'Add addresses or networks from standard input'
complete -c ampere -s d -l del -d 'Delete addresses or networks from standard input'
complete -c ampere -s l -l list -d 'List what is blocked'
complete -c ampere -l check -d 'Check configuration, firewall, database and Asterisk'
complete -c ampere -l replay -rF -d 'Tell who would have been blocked'
complete -c ampere -l page-token -d 'Make the token of the status page, and show it once'
complete -c ampere -l status -d 'Tell what the running daemon knows'
complete -c ampere -l trusted -d 'List who is trusted'
complete -c ampere -l why -x -d 'Tell why an address is blocked, or not'
complete -c ampere -l setup -d 'Print a script that sets Ampere up'
complete -c ampere -l undo -d 'With --setup: the script that takes it back'
complete -c ampere -l import-fail2ban -d 'Print what fail2ban says, for -a'
complete -c ampere -s h -l help -d 'Print a summary'
complete -c ampere -s V -l version -d 'Print the version'
complete -c ampere -s c -l config -rF -d 'Configuration'
complete -c ampere -s o -l output -rF -d 'Append the log to this file'
complete -c ampere -s v -l verbose -d 'Log each message and what became of it'
complete -c ampere -l dry-run -d 'Change nothing, say what would be done'
complete -c ampere -l for -x -d 'How long a block lasts whose line does not say it'
complete -c ampere -l json -d 'One JSON object a line'
complete -c ampere -n '__fish_contains_opt replay' -F
