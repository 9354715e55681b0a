#!/usr/bin/env bash
# iptables lists a rule of nft for two addresses as a rule for everybody
#
# Version:     iptables 1.8.9-2 (nf_tables) and nftables 1.0.6-2+deb12u2 of Debian 12 (bookworm)
# Expectation: what iptables cannot express it does not list: of other rules that only nft knows it says
#              "table `filter' is incompatible, use 'nft' tool" and ends with 1.
# Behaviour:   a rule with an anonymous set of addresses in a chain that iptables has made is listed without the set, as if it
#              held for every packet, and the listing ends with 0. iptables-save writes it so as well: restored, it is for
#              everybody. Whoever judges by "iptables -S" who may pass, or saves rules with it, is told something else than the
#              kernel does.
# Seen:        nft:           ip saddr { 192.0.2.1, 192.0.2.2 } counter packets 0 bytes 0 drop
#              iptables -S:   -A other -j DROP
#              iptables-save: -A other -j DROP
# Ends with 0 if that is still so, with 1 if not, with 2 if it cannot be tried here.
# Needs:       Debian 12 with its package lists, root, network namespaces. Uses a namespace of its own and a temporary folder, into
#              which the packages are unpacked.
set -euo pipefail

for program in apt-get dpkg unshare; do
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
fetch iptables=1.8.9-2 libxtables12=1.8.9-2 libip4tc2=1.8.9-2 libip6tc2=1.8.9-2 libnftnl11=1.2.4-2 \
  nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libmnl0 libjansson4
export XTABLES_LIBDIR LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(dirname "$(find "$folder/root" -name 'libxtables.so.12' | head -n 1)")
XTABLES_LIBDIR=$(dirname "$(find "$folder/root" -name 'libxt_standard.so' | head -n 1)")
multi=$(find "$folder/root" -name xtables-nft-multi | head -n 1)
nft=$(find "$folder/root" -path '*sbin/nft' | head -n 1)
"$multi" iptables --version
"$nft" --version

cat > "$folder/try" <<'END'
set -eu
"$1" iptables -N other
"$2" add rule ip filter other ip saddr '{ 192.0.2.1, 192.0.2.2 }' counter drop
echo "nft:           $("$2" list chain ip filter other | grep saddr | sed 's/^[[:space:]]*//')"
echo "iptables -S:   $("$1" iptables -S other | grep '^-A')"
echo "iptables-save: $("$1" iptables-save | grep '^-A')"
END
seen=$(unshare -n sh "$folder/try" "$multi" "$nft")
echo "$seen"
expected="nft:           ip saddr { 192.0.2.1, 192.0.2.2 } counter packets 0 bytes 0 drop
iptables -S:   -A other -j DROP
iptables-save: -A other -j DROP"
[ "$seen" = "$expected" ] || { echo "it is not so any more"; exit 1; }
echo "it is still so"
