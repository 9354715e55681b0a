/**
 * What the pages take for granted: an Asterisk's files, Ampere installed and running, and what
 * other programs left.
 *
 * @module
 */

/** Makes it, as the beginning of a script for sh. */
export function worldScript(executable: string, project: string): string {
  return `
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /srv/ampere/dist /usr/lib/ampere /etc/ampere /var/lib/ampere /etc/asterisk \\
  /var/log/asterisk /etc/apiban
cp -r ${project}/packaging ${project}/ampere.cfg ${project}/README.md /srv/ampere/
cp ${executable} /srv/ampere/dist/ampere
cp ${executable} /usr/lib/ampere/ampere
cp ${project}/packaging/ampere*.service ${project}/packaging/ampere*.timer /lib/systemd/system/
printf 'backend = nftables\\npass = s3cret\\n' > /etc/ampere/ampere.cfg
id asterisk > /dev/null 2>&1 || useradd --system asterisk

# Asterisk's files, and what a guesser left in its logs.
printf '[general]\\nenabled = yes\\nbindaddr = 127.0.0.1\\n' > /etc/asterisk/manager.conf
for i in 1 2 3 4; do
  printf '%s' "[2026-11-22 08:09:0$i] SECURITY[123] res_security_log.c: SecurityEvent=Q" \
    "InvalidPasswordQ,EventTV=Q2026-11-22T08:09:0$i.918+0000Q,Severity=QErrorQ,Service=QAMIQ," \
    "EventVersion=Q2Q,AccountID=QpbxQ,SessionID=Q0x7f190400168\${i}Q," \
    "LocalAddress=QIPV4/TCP/192.0.2.10/5038Q,RemoteAddress=QIPV4/TCP/203.0.113.66/4000\${i}Q," \
    "SessionTV=Q1970-01-01T00:00:00.000+0000Q" | tr Q '"'
  echo
done > /var/log/asterisk/security
cp /var/log/asterisk/security /var/log/asterisk/messages
gzip < /var/log/asterisk/messages > /var/log/asterisk/messages-20261122.gz
cp ${project}/tests/testdata/recordings/mixed-medium.ami /srv/ampere/recorded.ami

# What other programs left.
for table in iptables ip6tables; do
  $table -N APIBAN
  $table -I INPUT -j APIBAN
  $table -I FORWARD -j APIBAN
done
iptables -A APIBAN -s 203.0.113.90 -j REJECT
echo '{"apikey":"MYAPIBANKEY"}' > /etc/apiban/config.json
echo '{"ipaddress":["203.0.113.91","203.0.113.92"],"ID":"100"}' > /srv/ampere/apiban.json
echo 192.0.2.44 > /etc/sipban.wl
echo '203.0.113.93,4102444800' > /etc/sipban.dump

# Names that are examples.
echo '198.51.100.7 office.example' >> /etc/hosts

# A daemon with a block.
ln -sf /usr/lib/ampere/ampere /usr/local/sbin/ampere
echo 203.0.113.5 | ampere -a > /dev/null
systemctl daemon-reload
systemctl start ampere
`;
}

/** What single pages take for granted beside that. */
export const PAGE_WORLDS: Readonly<Record<string, string>> = {
  // The chain of the way with iptables.
  "docs/install.md": "iptables -N ampere\nip6tables -N ampere\n",
  "docs/migrating.md": `systemctl stop ampere
for table in iptables ip6tables; do
  $table -N ampere
  $table -I INPUT -j ampere
done
systemctl start ampere
`,
};
