#!/usr/bin/env bash
# nft reads the intervals of all tables before it adds one address to a set without intervals
#
# Version:     nftables 1.0.6-2+deb12u2 of Debian 12 (bookworm); 1.0.2 and 1.1.3 take as long
# Expectation: to add an element nft reads what the change is about: that set, if anything. Other tables are nobody's business, and
#              nothing can overlap in a set without the flag "interval".
# Behaviour:   it reads every element of every set, map and anonymous set of intervals, in all tables of all families, for each
#              command, also for each line that a resident "nft -i" is given. A list of countries or a block list of firewalld
#              (20,000 networks) makes each add of anybody ten times as slow and more. Sets without intervals and sets with several fields,
#              however large, are not read.
# Seen:        beside 20000 networks as a set of intervals:      40001 elements were read for one address
#              beside 20000 networks in a rule:                  40001 elements were read for one address
#              beside 20000 networks as a map of intervals:      40001 elements were read for one address
#              beside 20000 networks with a port each:           0 elements were read for one address
#              beside 20000 single addresses:                    0 elements were read for one address
# Ends with 0 if that is still so, with 1 if not, with 2 if it cannot be tried here.
# Needs:       Debian 12 with its package lists, root, network namespaces. Uses a namespace of its own and a temporary folder, into
#              which the packages are unpacked.
set -euo pipefail

for program in apt-get dpkg unshare awk; do
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
fetch nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2 libmnl0 libjansson4 libxtables12=1.8.9-2
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(dirname "$(find "$folder/root" -name 'libnftables.so.1' | head -n 1)")
nft=$(find "$folder/root" -path '*sbin/nft' | head -n 1)
"$nft" --version

cat > "$folder/try" <<'END'
set -eu
nft=$1
# All elements, each with $1 behind its address and $2 behind that.
elements() {
  awk -v length_="$1" -v behind="$2" 'BEGIN {
    for (i = 0; i < 20000; i++) printf "%s10.%d.%d.0%s%s", i ? ", " : "", i / 256, i % 256, length_, behind
  }'
}
# Prints how many elements nft reads for one address in a table of its own, beside the table on standard input.
beside() {
  "$nft" flush ruleset
  "$nft" add table ip own
  "$nft" add set ip own hosts '{ type ipv4_addr; }'
  "$nft" -f -
  read=$("$nft" --debug=netlink add element ip own hosts '{ 192.0.2.1 }' | grep -c '^[[:space:]]*element .* \[end\]' || true)
  # The one that is added is printed in the same way.
  printf 'beside %-42s %d elements were read for one address\n' "$1:" "$((read - 1))"
}
set_of() { printf 'table ip other {\n set s {\n type %s\n %s\n elements = { %s }\n }\n}\n' "$1" "$2" "$3"; }

set_of ipv4_addr 'flags interval' "$(elements /25 '')" | beside '20000 networks as a set of intervals'
printf 'table ip other {\n chain c {\n ip saddr { %s } drop\n }\n}\n' "$(elements /25 '')" | beside '20000 networks in a rule'
set_of 'ipv4_addr : verdict' 'flags interval' "$(elements /25 ' : drop')" | sed 's/ set s/ map s/' |
  beside '20000 networks as a map of intervals'
set_of 'ipv4_addr . inet_service' 'flags interval' "$(elements /25 ' . 5060')" | beside '20000 networks with a port each'
set_of ipv4_addr '' "$(elements '' '')" | beside '20000 single addresses'
END
seen=$(unshare -n sh "$folder/try" "$nft")
echo "$seen"
expected=$(sed -n 's/^# \(Seen:\)\? *beside/beside/p' "$0")
[ "$seen" = "$expected" ] || { echo "it is not so any more"; exit 1; }
echo "it is still so"
