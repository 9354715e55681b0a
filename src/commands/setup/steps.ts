/**
 * The steps of the scripts that `ampere --setup` prints, as POSIX shell.
 *
 * Nothing that the machine says stands in these texts, so that nobody can write a command into
 * them: what differs between machines the script looks at itself, keeps in quoted variables, and
 * lets through one narrow pattern before it writes it into a file.
 *
 * @module
 */

/** What both scripts begin with, behind the lines that say what they are. */
export const PRELUDE = String.raw`set -eu
umask 077
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH

at='the beginning'
step() { at=$1; printf '\n== %s\n' "$1"; }
say() { printf '   %s\n' "$1" | tr -cd '\040-\176\n'; }
stop() { printf 'setup: %s\n' "$1" | tr -cd '\040-\176\n' >&2; exit 1; }
told() {
  code=$?
  [ "$code" -eq 0 ] || printf 'setup: stopped at "%s". Mend that and run this again.\n' "$at" >&2
}

# Puts a changed copy, $2, in the place of the file $1, with its owner and rights. The first time
# the file as it was stays beside it.
replace() {
  [ -e "$1.before-ampere" ] || cp -p "$1" "$1.before-ampere"
  chmod "$(stat -c %a "$1")" "$2"
  chown "$(stat -c %u:%g "$1")" "$2"
  mv -f "$2" "$1"
}

ask() { asterisk -rx "$1" </dev/null 2>/dev/null; }

find_asterisk() {
  command -v asterisk >/dev/null ||
    stop 'there is no program "asterisk" here. If it is in a container: docs/by-hand.md'
  ask 'core waitfullybooted' >/dev/null ||
    stop 'Asterisk does not run. Start it (systemctl start asterisk), then run this again'
  etc=$(ask 'core show settings' | sed -n 's/^ *Configuration directory: *//p')
  [ -d "$etc" ] || etc=/etc/asterisk
  [ -f "$etc/manager.conf" ] || stop "there is no $etc/manager.conf"
  manager=$(readlink -f "$etc/manager.conf")
}
`;

/** Looks at Asterisk, and at who else is at its ports. */
export const LOOK = String.raw`step 'Asterisk'
find_asterisk
say "$(asterisk -V), configured in $etc"
if [ -e /.dockerenv ] || [ -e /run/.containerenv ]; then
  say 'this is a container: Ampere needs the capability NET_ADMIN here, and the network of the host'
fi
if command -v ss >/dev/null; then
  others=$(ss -Hlnptu '( sport = :5060 or sport = :5061 )' 2>/dev/null |
    sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | sort -u | grep -vx asterisk | tr '\n' ' ' || true)
  [ -z "$others" ] ||
    say "warning: at a port of SIP is $others: if it hands calls on, all callers have its address"
fi
`;

/** Makes the user of AMI; `$user` is set before. */
export const MANAGER_USER = String.raw`step "the user of AMI, $user"

# The last value of the key $2 in the section $1 of files of Asterisk.
value_of() {
  section=$1 key=$2
  shift 2
  awk -v section="$section" -v key="$key" '
    FNR == 1 { inside = 0 }
    /^[ \t]*\[/ {
      name = $0; sub(/^[ \t]*\[/, "", name); sub(/\].*/, "", name)
      inside = name == section; next
    }
    inside && (at = index($0, "=")) {
      name = substr($0, 1, at - 1); gsub(/[ \t]/, "", name)
      if (tolower(name) != key) next
      value = substr($0, at + 1); sub(/^>/, "", value); sub(/;.*/, "", value)
      gsub(/^[ \t]+|[ \t\r]+$/, "", value); found = value
    }
    END { print found }' "$@"
}
includes() { grep -Eq "^[[:space:]]*#(try)?include[[:space:]]+[\"<]?([^\">]*/)?$1" "$manager"; }
is_known() { ask "manager show user $user" | grep -Eq "^ *username: *$user *$"; }

# AMI is switched on, if it is not, for this machine alone.
case $(ask 'manager show settings' | sed -n 's/^ *Manager (AMI): *//p') in
  Yes*) ;;
  *)
    say "AMI is off: it is switched on in $manager, for programs on this machine alone"
    new=$(mktemp "$manager.XXXXXX")
    awk '
      /^[ \t]*\[/ { inside = 0 }
      !seen && /^[ \t]*\[general\]/ {
        print; print "enabled = yes ; ampere --setup"; print "bindaddr = 127.0.0.1 ; ampere --setup"
        inside = seen = 1; next
      }
      inside && /^[ \t]*(enabled|bindaddr)[ \t]*=/ { print "; ampere --setup: was " $0; next }
      { print }' "$manager" >"$new"
    replace "$manager" "$new"
    ask 'manager reload' >/dev/null ;;
esac
listens=$(ask 'manager show settings' | sed -n 's/^ *TCP Bindaddress: *\([^ ]*\) *$/\1/p')
port=$(printf '%s\n' "$listens" | sed -n 's/.*:\([0-9]*\)$/\1/p')
[ -n "$port" ] || stop "AMI does not listen. Look at the section [general] of $manager"
from=127.0.0.1
case $listens in
  0.0.0.0:* | 127.0.0.1:* | '[::]:'*) ;;
  *) host=$(printf '%s\n' "$listens" | sed 's/:[0-9]*$//; s/[][]//g') from=$host ;;
esac

# The secret: what ampere.cfg has, or Asterisk, or a random one, made here and shown nowhere.
secret=
[ ! -f "$config" ] || secret=$(sed -n 's/^[[:space:]]*pass[[:space:]]*=[[:space:]]*//p' "$config" |
  sed 's/[[:space:]][[:space:]]*[#;].*//; s/[[:space:]]*$//' | tail -n 1)
[ "$secret" != ampere ] || secret=
if is_known; then
  say 'it is there already, and stays as it is'
  if [ -n "$secret" ]; then
    secret=
  else
    set --
    for file in "$manager" "$etc"/manager_*.conf "$etc"/manager.d/*.conf \
      "$etc"/vitalpbx/manager__*.conf; do
      [ ! -f "$file" ] || set -- "$@" "$file"
    done
    secret=$(value_of "$user" secret "$@")
    [ -n "$secret" ] || stop "its secret is in no file of $etc. Write it into $config, as pass"
  fi
else
  [ -n "$secret" ] || secret=$(od -An -tx1 -N24 /dev/urandom | tr -d ' \n')
  # Where what belongs to you stands: FreePBX and Issabel, VitalPBX, Debian, all others.
  if includes 'manager_custom\.conf'; then
    file=$etc/manager_custom.conf
  elif includes 'manager__\*\.conf'; then
    file=$etc/vitalpbx/manager__60-ampere.conf
  elif includes 'manager\.d/\*\.conf'; then
    file=$etc/manager.d/ampere.conf
  else
    file=$manager
  fi
fi
case $secret in
  *[!0-9A-Za-z._~+/@%:-]*)
    stop 'the secret has a character that means something in one of the files. Write it by hand' ;;
esac
if ! is_known; then
  say "a section [$user] in $file"
  [ ! -e "$file" ] || file=$(readlink -f "$file")
  new=$(mktemp "$file.XXXXXX")
  # A last line without an end gets one.
  [ ! -e "$file" ] || awk '{ print }' "$file" >"$new"
  {
    printf '; ampere --setup: begin\n[%s]\nsecret = %s\n' "$user" "$secret"
    case $from in
      *:*) ;;
      *) printf 'deny = 0.0.0.0/0.0.0.0\npermit = %s/255.255.255.255\n' "$from" ;;
    esac
    printf '; security events, reports of your dialplan; which phones are registered at first\n'
    printf 'read = security,system,user\nwrite = reporting\n; ampere --setup: end\n'
  } >>"$new"
  if [ -e "$file" ]; then
    replace "$file" "$new"
  else
    chmod 640 "$new"
    chown "$(stat -c %u:%g "$manager")" "$new"
    mv "$new" "$file"
  fi
  ask 'manager reload' >/dev/null
  is_known || stop "Asterisk does not take [$user] in $file: does $manager include it?"
fi
`;

/** Finds out whom to trust: who types this, and the trunks. */
export const WHOM_TO_TRUST = String.raw`step 'who is never blocked'

# The address of who types this, from this process or one that it comes from: sudo forgets it.
ssh_client() {
  pid=$$
  while [ "$pid" -gt 1 ]; do
    from=$({ tr '\0' '\n' <"/proc/$pid/environ" |
      sed -n 's/^SSH_CONNECTION=\([^ ]*\) .*/\1/p'; } 2>/dev/null)
    if [ -n "$from" ]; then printf '%s\n' "$from" | tail -n 1; return 0; fi
    pid=$({ sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status"; } 2>/dev/null || echo 0)
  done
}

# The trunks: by what Asterisk knows a caller (from files or a database), and what its files name.
# Who registers stands in none of these.
trunks() {
  ask 'pjsip show identifies' | sed -n '/Match: *</d; s/^ *Match: *//p' |
    sed 's:/32$::; s:/128$::' || true
  for file in "$etc"/pjsip*.conf "$etc"/pjsip*/*.conf "$etc"/sip*.conf "$etc"/sip*/*.conf \
    "$etc"/iax*.conf; do
    [ ! -f "$file" ] || cat "$file"
  done | awk '
    !/^[ \t]*;/ && (at = index($0, "=")) {
      name = substr($0, 1, at - 1); gsub(/[ \t]/, "", name); name = tolower(name)
      value = substr($0, at + 1); sub(/^>/, "", value); sub(/[;\\].*/, "", value)
      if (name !~ /^(match|contact|server_uri|host|remote_hosts)$/) next
      if (value !~ /^[ \t]*dynamic/) print value
    }' | tr ',' '\n' |
    sed 's/^[[:space:]]*//; s/[[:space:]]*$//; s/^sips\{0,1\}://; s/.*@//; s/[?>].*//
      s/^\[\(.*\)\].*/\1/; s/^\([^:]*\):[0-9]*$/\1/; s/[[:space:]]/!/g'
}

# What may stand in ampere.cfg: a host, a name, or a network that is not wider than /16 (IPv6: /32).
sort_out() {
  awk '
    function fits(text,  count, part, bits, i, piece) {
      if (length(text) > 253 || text !~ /^[0-9A-Za-z_:][0-9A-Za-z._:\/-]*$/) return 0
      if (split(text, part, "/") > 2 || text ~ /\// && part[2] !~ /^[0-9]+$/) return 0
      bits = text ~ /\// ? part[2] + 0 : 999
      if (text ~ /:/) {
        if (part[1] !~ /^[0-9A-Fa-f:.]+$/ || part[1] ~ /^::1?$/) return 0
        return bits == 999 || bits >= 32 && bits <= 128
      }
      count = split(part[1], piece, ".")
      if (part[1] ~ /^[0-9.]+$/) {
        if (count != 4 || piece[1] + 0 == 0 || piece[1] == 127) return 0
        for (i = 1; i <= 4; i++) {
          if (piece[i] !~ /^(0|[1-9][0-9]?[0-9]?)$/ || piece[i] + 0 > 255) return 0
        }
        return bits == 999 || bits >= 16 && bits <= 32
      }
      if (bits != 999 || count < 2 || piece[count] ~ /^[0-9]/) return 0
      for (i = 1; i <= count; i++) {
        if (piece[i] !~ /^[0-9A-Za-z_][0-9A-Za-z_-]*$/ || length(piece[i]) > 63) return 0
      }
      return 1
    }
    $1 == "=" { there[$2] = 1; next }
    $1 == "" || $1 in there { next }
    { there[$1] = 1; print(fits($1) ? "+" : "-", $0) }'
}

found=$(
  {
    [ ! -f "$config" ] ||
      sed -n 's/^[[:space:]]*trust[[:space:]]*=[[:space:]]*\([^[:space:]]*\).*/= \1/p' "$config"
    ssh_client | sed 's/$/ who types this, by SSH/'
    trunks | sort -u | sed 's/$/ a trunk/'
  } | sort_out
)
[ -n "$found" ] || say 'nobody further'
while read -r sign one what; do
  case $sign in
    +) say "$one: $what" ;;
    -) say "not $one ($what): neither a host nor a small network elsewhere" ;;
  esac
done <<LIST
$found
LIST
added=$(printf '%s\n' "$found" | sed -n 's/^+ \([^ ]*\) .*/\1/p')
`;

/** Writes ampere.cfg; what goes in is in `$secret`, `$host`, `$port`, `$jump` and `$added`. */
export const CONFIGURATION = String.raw`step "$config"
changed=no
if [ ! -e "$config" ]; then
  [ -d "$(dirname "$config")" ] || install -d -m 750 "$(dirname "$config")"
  printf '# The configuration of Ampere: man ampere tells each key ; ampere --setup\n' >"$config"
  changed=yes
fi
config=$(readlink -f "$config")
new=$(mktemp "$config.XXXXXX")
# Through the environment, not as arguments: these everybody may see.
secret=$secret host=$host port=$port jump=$jump added=$added awk '
  function has(key) { return tolower($0) ~ "^[ \t]*" key "[ \t]*=" }
  function value(line) {
    sub(/^[^=]*=[ \t]*/, "", line); sub(/[ \t]+[#;].*/, "", line); sub(/[ \t\r]+$/, "", line)
    return line
  }
  function ours(key, text) { print key " = " text " ; ampere --setup" }
  function trusts(  i, count, all) {
    count = split(ENVIRON["added"], all, "\n")
    for (i = 1; i <= count; i++) if (all[i] != "") ours("trust", all[i])
    trusted = 1
  }
  function rest(  key) {
    for (key in want) {
      if (!(key in done) && !(key in usual && want[key] == usual[key])) ours(key, want[key])
    }
    if (!trusted) trusts()
    over = 1
  }
  BEGIN {
    usual["port"] = "5038"
    if (ENVIRON["secret"] != "") want["pass"] = ENVIRON["secret"]
    if (ENVIRON["host"] != "") want["host"] = ENVIRON["host"]
    if (ENVIRON["port"] != "") want["port"] = ENVIRON["port"]
    if (ENVIRON["jump"] != "") want["jump"] = ENVIRON["jump"]
  }
  /^[ \t]*\[/ && !over { rest() }
  !over {
    for (key in want) if (has(key)) {
      if (value($0) == want[key]) print
      else { print "; ampere --setup: was " $0; ours(key, want[key]) }
      done[key] = 1; next
    }
  }
  { print }
  !over && !trusted && has("trust") { trusts() }
  !over {
    for (key in want) if (!(key in done) && $0 ~ "^;" key " = ") {
      ours(key, want[key]); done[key] = 1
    }
  }
  END { if (!over) rest() }' "$config" >"$new"
if [ "$(cat "$config")" = "$(cat "$new")" ]; then
  rm -f "$new"
  say 'it says all that already'
else
  wrong=$(ampere -c "$new" -l 2>&1 >/dev/null) ||
    stop "with the new lines $config would be wrong, so it stays as it is. They are in $new: $wrong"
  replace "$config" "$new"
  changed=yes
  say "written; as it was before: $config.before-ampere"
fi
`;

/** Installs nft, where no firewall works for want of a program. */
export const NFTABLES = String.raw`step 'nftables'
if ! command -v nft >/dev/null; then
  say 'there is no program for a firewall: nftables is installed'
  if command -v apt-get >/dev/null; then
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    apt-get install -y -qq --no-install-recommends nftables >/dev/null 2>&1 ||
      { apt-get update -qq && apt-get install -y -qq --no-install-recommends nftables >/dev/null; }
  elif command -v dnf >/dev/null; then
    dnf install -y -q nftables
  else
    stop 'install nftables, then run this again'
  fi
fi
`;

/** Starts Ampere as a service of systemd, which has the default configuration. */
export const SERVICE = String.raw`step 'the service'
if [ -d /run/systemd/system ]; then
  systemctl cat ampere >/dev/null 2>&1 ||
    stop 'systemd knows no unit "ampere": docs/by-hand.md says where it goes'
  systemctl enable ampere
  if [ "$changed" = yes ]; then systemctl restart ampere; else systemctl start ampere; fi
  # Until its blocks are in the firewall; what is wrong if not, the next step says.
  ampere --ready >/dev/null 2>&1 || true
else
  say 'systemd does not run here. Start Ampere as this machine starts its services, by:'
  say 'ampere -o /var/log/ampere.log'
fi
`;

/** For another configuration than that of the service. */
export const NO_SERVICE = String.raw`step 'the service'
say 'the service reads /etc/ampere/ampere.cfg alone. With this configuration Ampere is started by:'
say "ampere -c $config"
`;

/** The last step: what is right and what is not. */
export const CHECK = String.raw`step 'ampere --check'
ampere -c "$config" --check
if [ "$config" = /etc/ampere/ampere.cfg ]; then
  say ''
  say 'Who is blocked, and why:     ampere -l'
  say 'Let somebody in again:       echo ADDRESS | ampere -d'
  say 'What happens:                tail -f /var/log/ampere.log'
fi
`;

/** Ends Ampere. */
export const UNDO_SERVICE = String.raw`step 'the service'
if [ -d /run/systemd/system ] && systemctl cat ampere >/dev/null 2>&1; then
  systemctl disable --now ampere
elif ampere -c "$config" --status >/dev/null 2>&1; then
  stop 'Ampere runs, and systemd has not started it. End it, then run this again'
fi
`;

/** How a table of nftables goes. */
export const UNDO_NFTABLES = String.raw`step 'the firewall'
if command -v nft >/dev/null && nft list table $table >/dev/null 2>&1; then
  nft delete table $table
  say "the table $table and the blocks in it are gone"
fi
lists="$table"_lists
if command -v nft >/dev/null && nft list table $lists 2>/dev/null | grep -q 'made by Ampere'; then
  nft delete table $lists
  say "the table $lists is gone"
fi
`;

/** The same of iptables; the chain goes only where Ampere itself has made the jump to it. */
export const UNDO_IPTABLES = String.raw`step 'the firewall'
for program in iptables ip6tables; do
  command -v "$program" >/dev/null && "$program" -w -S "$chain" >/dev/null 2>&1 || continue
  "$program" -w -F "$chain"
  for hook in $jump; do
    while "$program" -w -D "$hook" -j "$chain" 2>/dev/null; do :; done
  done
  [ -z "$jump" ] || "$program" -w -X "$chain"
  say "$program: the blocks in the chain $chain are gone"
done
`;

/** The files of Asterisk and ampere.cfg, without what the other script has put there. */
export const UNDO_FILES = String.raw`step 'the files'
# Takes out the lines that ampere --setup has written, and gives back those that they have replaced,
# unless the line in their place has been changed since.
clean() {
  [ -f "$1" ] && grep -q 'ampere --setup' "$1" || return 0
  file=$(readlink -f "$1")
  new=$(mktemp "$file.XXXXXX")
  awk '
    function key(line) { sub(/=.*/, "", line); gsub(/[ \t]/, "", line); return tolower(line) }
    NR == FNR { if (/ ; ampere --setup$/) ours[key($0)] = 1; next }
    /^; ampere --setup: begin/ { inside = 1 }
    /^; ampere --setup: was / {
      sub(/^; ampere --setup: was /, "")
      if (key($0) in ours) print
      next
    }
    !inside && !/ ; ampere --setup$/ { print }
    /^; ampere --setup: end/ { inside = 0 }' "$file" "$file" >"$new"
  # A file that others include stays, even if it is empty.
  case $1 in
    "$config" | */manager.d/ampere.conf | */manager__60-ampere.conf) own=yes ;;
    *) own=no ;;
  esac
  if [ "$own" = yes ] && [ ! -s "$new" ]; then
    rm -f "$new" "$file"
    say "$file is gone: nothing else was in it"
  else
    replace "$file" "$new"
    say "$file is without the lines of ampere --setup"
  fi
}
etc=$(ask 'core show settings' | sed -n 's/^ *Configuration directory: *//p')
[ -d "$etc" ] || etc=/etc/asterisk
for file in "$config" "$etc"/manager.conf "$etc"/manager_custom.conf "$etc"/manager.d/ampere.conf \
  "$etc"/vitalpbx/manager__60-ampere.conf; do
  clean "$file"
done
ask 'manager reload' >/dev/null || say 'Asterisk does not run: it reads its files when it starts'
say 'Left: the program, the list of blocks in /var/lib/ampere, the log, and *.before-ampere'
`;
