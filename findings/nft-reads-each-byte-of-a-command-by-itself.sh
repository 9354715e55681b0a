#!/usr/bin/env bash
# nft -i asks the kernel for each byte of its commands, also when they come by a pipe
#
# Version:     nftables 1.0.6-2+deb12u2 of Debian 12 (bookworm), with libedit2 3.1-20221030-2; 1.1.3 of Debian 13 does the same
# Expectation: commands that come by a pipe are read as a program reads a pipe, some kilobytes at a time, as "nft -f -" does. Then
#              it makes no difference to a change how long names of tables and sets are, or whether all stands in one line.
# Behaviour:   "nft -i" reads them by the line editor for people even where there is no terminal: one read(2) for each byte. A resident
#              nft that is fed 100,000 addresses in one line makes a million and a half of system calls before it begins, and
#              a change of 250 bytes waits for 250 of them: a good part of what it saves beside a process of its own.
# Seen:        nft -i:   52 bytes, 53 reads
#              nft -i:   1500698 bytes, 1500699 reads
#              nft -f -: 52 bytes, 2 reads
#              nft -f -: 1500698 bytes, at most 500 reads
# Ends with 0 if that is still so, with 1 if not, with 2 if it cannot be tried here.
# Needs:       Debian 12 with its package lists, root, network namespaces, strace. Uses a namespace of its own and a temporary folder,
#              into which the packages are unpacked.
set -euo pipefail

for program in apt-get dpkg unshare awk strace; do
  command -v "$program" >/dev/null || { echo "$program is missing"; exit 2; }
done
unshare -n true 2>/dev/null || { echo "no network namespace can be made here"; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The pinned packages, unpacked into the folder: nothing is installed.
fetch() {
  (cd "$folder" && apt-get download -qq "$@" >/dev/null 2>&1) || { echo "apt-get download $*: not to be had"; exit 2; }
  for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
}
fetch nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2 libedit2=3.1-20221030-2 libbsd0 libmnl0 libjansson4 \
  libxtables12=1.8.9-2
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(dirname "$(find "$folder/root" -name 'libnftables.so.1' | head -n 1)")
nft=$(find "$folder/root" -path '*sbin/nft' | head -n 1)
"$nft" --version

cat > "$folder/try" <<'END'
set -eu
nft=$1
folder=$2
"$nft" add table ip own
"$nft" add set ip own hosts '{ type ipv4_addr; }'
# One line with so many addresses.
line() {
  awk -v count="$1" 'BEGIN {
    printf "add element ip own hosts { "
    for (i = 0; i < count; i++) printf "%s10.%d.%d.%d", i ? ", " : "", 100 + int(i / 65536), i / 256 % 256, i % 256
    print " }"
  }'
}
# How often standard input is read until its end.
reads() {
  "$nft" flush set ip own hosts
  HOME=/nonexistent TERM=dumb strace -qq -e trace=read -o "$folder/trace" "$nft" "$@" < "$folder/line.pipe" > /dev/null
  grep -c '^read(0, ' "$folder/trace"
}
mkfifo "$folder/line.pipe"
for how in -i '-f -'; do
  for count in 2 100000; do
    line "$count" > "$folder/line"
    cat "$folder/line" > "$folder/line.pipe" &
    # shellcheck disable=SC2086
    seen=$(reads $how)
    wait
    [ "$("$nft" list set ip own hosts | grep -o '10\.' | wc -l)" -ge "$count" ] || echo "not all were added"
    many=$seen
    if [ "$how $count" = '-f - 100000' ] && [ "$seen" -le 500 ]; then many='at most 500'; fi
    printf '%-9s %d bytes, %s reads\n' "nft $how:" "$(wc -c < "$folder/line")" "$many"
  done
done
END
seen=$(unshare -n sh "$folder/try" "$nft" "$folder")
echo "$seen"
expected=$(sed -n 's/^# \(Seen:\)\? *\(nft -.* reads\)$/\2/p' "$0")
[ "$seen" = "$expected" ] || { echo "it is not so any more"; exit 1; }
echo "it is still so"
