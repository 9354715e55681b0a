#!/bin/sh
# Puts Ampere in place from the unpacked archive, or takes it away; run as root, in this folder.
#
#   sh install.sh               install, or bring what is there up to date
#   sh install.sh --uninstall   take the program away; configuration and blocks stay
#
# DESTDIR=/folder puts it below another folder and starts nothing.
set -eu
cd "$(dirname "$0")"
root=${DESTDIR:-}

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "only root can do this: sudo sh install.sh"
# Of a systemd that runs alone, and never for another root.
systemd() { [ -n "$root" ] || [ ! -d /run/systemd/system ] || systemctl "$@"; }
running() { [ -z "$root" ] && [ -d /run/systemd/system ] && systemctl --quiet is-active ampere; }

units="ampere.service ampere-health.service ampere-health.timer"
program=$root/usr/lib/ampere/ampere

uninstall() {
  systemd disable --now ampere.service || true
  for unit in $units; do rm -f "$root/etc/systemd/system/$unit"; done
  rm -f "$program" "$root/usr/sbin/ampere" "$root/etc/logrotate.d/ampere" \
    "$root/usr/share/man/man8/ampere.8" "$root/usr/share/man/man5/ampere.cfg.5" \
    "$root/usr/share/bash-completion/completions/ampere"
  rmdir "$root/usr/lib/ampere" 2> /dev/null || true
  systemd daemon-reload
  echo "Ampere is gone. What it blocked stays blocked until a reboot, and these are kept:"
  echo "  $root/etc/ampere/ampere.cfg $root/var/lib/ampere $root/var/log/ampere.log"
}

case ${1:-} in
  '') ;;
  --uninstall)
    uninstall
    exit
    ;;
  *) fail "$1: unknown; sh install.sh, or sh install.sh --uninstall" ;;
esac

# A download that was cut short, or an executable for another machine, must not take the place of one that works.
sha256sum --quiet --check SHA256SUMS || fail "a file is not as it was packed: unpack the archive again"
[ -n "$root" ] || ./ampere -V > /dev/null ||
  fail "./ampere does not run here: it is for another architecture, or glibc is older than 2.27"

# Only the program of 0.2.3 can read its own block list (Berkeley DB).
if [ -f "$program" ] && [ -f "$root/var/lib/ampere/filter.db" ] && [ ! -e "$program-0.2.3" ] &&
  ! grep -q "ampere/[1-9]" "$program"; then
  cp -p "$program" "$program-0.2.3"
  echo "The block list of Ampere 0.2.3 was left as it is. To bring it over: $program-0.2.3 -l | ampere -a"
fi

# Beside it and renamed: a program that runs can't be written over.
install -D -m 755 ampere "$program.new"
mv -f "$program.new" "$program"
install -d "$root/usr/sbin"
ln -sf ../lib/ampere/ampere "$root/usr/sbin/ampere"
for unit in $units; do install -D -m 644 "packaging/$unit" "$root/etc/systemd/system/$unit"; done
[ -e "$root/etc/logrotate.d/ampere" ] ||
  install -D -m 644 packaging/logrotate "$root/etc/logrotate.d/ampere"
install -D -m 644 packaging/ampere.8 "$root/usr/share/man/man8/ampere.8"
install -D -m 644 packaging/ampere.cfg.5 "$root/usr/share/man/man5/ampere.cfg.5"
install -D -m 644 packaging/completions/ampere.bash "$root/usr/share/bash-completion/completions/ampere"
install -d -m 750 "$root/var/lib/ampere"

if [ -e "$root/etc/ampere/ampere.cfg" ]; then
  echo "Your $root/etc/ampere/ampere.cfg was kept as it is."
else
  install -D -m 640 ampere.cfg "$root/etc/ampere/ampere.cfg"
fi
systemd daemon-reload
if running; then
  # The rules stay in the kernel while it restarts.
  systemd restart ampere.service
  echo "Ampere was restarted."
else
  echo "Ampere is not started yet. First:"
  echo "  1. ampere --setup > setup.sh    (prints what is to be done on this machine)"
  echo "  2. read setup.sh, then: sh setup.sh"
fi
