/**
 * What the commands of the documentation need that they can be run, who else runs them, or why
 * nobody can. Commands of which nothing stands here are run as they are.
 *
 * @module
 */

/** What is known of some commands. */
export interface Case {
  /** The page. */
  readonly page: string;
  /** What stands in these commands, and in no others of the page. */
  readonly has: string;
  /** Run before, by bash. */
  readonly before?: string;
  /** Run afterwards, by bash; it must succeed, too. */
  readonly after?: string;
  /** The test that runs them, with real programs that are not on this machine. */
  readonly elsewhere?: string;
  /** Why no test runs them. */
  readonly never?: string;
}

const LOGS = "cp /shown/security /var/log/asterisk/security; " +
  "cp /shown/security /var/log/asterisk/messages; cp /shown/recorded.ami .";

const MIGRATING = "tests/e2e/migrating_test.ts";
const FAIL2BAN = "tests/e2e/fail2ban_test.ts";

/** Commands in sentences that no test of the pages runs, and why; each must stand somewhere. */
export const INLINE_NEVER: Readonly<Record<string, string>> = {
  "ampere --status will not work": "a line of the log",
  "ampere --replay": "the name of an option, which wants a file",
  "ampere --why": "the name of an option, which wants an address",
  "systemctl enable": "what the script of --setup does, with the unit's name",
  "ampere < /proc/net/route": "the daemon, which the unit starts so",
  "ipset is not installed": "a line of the log",
  "nft is not installed": "a line of the log",
  "nft list chain ip filter APIBAN | grep saddr | ampere -a --for 7d": "no such chain is here",
  "systemctl disable --now sipban": "SIPban is not here",
};

/** A program that is not here, in the place of which something else prints what it would. */
function standIn(name: string, script: string): string {
  return `printf '#!/bin/sh\\n%s\\n' ${quoted(script)} > /usr/local/bin/${name}; ` +
    `chmod 755 /usr/local/bin/${name}; hash -r`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** In any order; each must be of use, if its page is there. */
export const CASES: readonly Case[] = [
  { page: "README.md", has: "task demo ", elsewhere: "tests/e2e/demo_test.ts" },
  { page: "README.md", has: "task package ", elsewhere: "tests/tools/package_test.ts" },
  { page: "README.md", has: "apt install ./dist/", elsewhere: "tests/tools/package_test.ts" },
  {
    page: "docs/by-hand.md",
    has: "install -D -m 755 dist/ampere",
    after: '[ "$(ampere -V)" = "$(/shown/ampere -V)" ]',
  },
  { page: "README.md", has: "sh setup.sh", elsewhere: "tests/live/setting_up.ts" },
  { page: "docs/by-hand.md", has: "ampere --check\n", elsewhere: "tests/live/quick_start.ts" },
  {
    page: "docs/by-hand.md",
    has: "systemctl enable --now ampere",
    after: "systemctl is-active ampere && nft list table inet ampere > /dev/null",
  },
  {
    page: "README.md",
    has: "ampere --status",
    before: `${LOGS}; echo 203.0.113.5 | ampere -a`,
    after: "grep -q 203.0.113.0/24 blocks.txt && ampere -d < blocks.txt",
  },
  {
    page: "README.md",
    has: "deno task fuzz",
    never: "they are for who works on Ampere: each is a part of the checks itself, or takes long",
  },
  {
    page: "docs/configuration.md",
    has: "iptables -N ampere",
    after: "for each in iptables ip6tables; do $each -D INPUT -j ampere; $each -X ampere; done",
  },
  {
    page: "docs/configuration.md",
    has: "netfilter-persistent save",
    // The real one writes just that.
    before: "mkdir -p /etc/iptables; iptables -N ampere; iptables -A ampere -s 203.0.113.5; " +
      standIn(
        "netfilter-persistent",
        "iptables-save > /etc/iptables/rules.v4\n" +
          "ip6tables-save > /etc/iptables/rules.v6",
      ),
    after:
      "grep -q ':ampere ' /etc/iptables/rules.v4; ! grep 203.0.113.5 /etc/iptables/rules.v4; " +
      "iptables -F ampere; iptables -X ampere",
  },
  {
    page: "docs/fleet.md",
    has: "redis-cli ACL SETUSER",
    before: "redis-server --daemonize yes --save '' > /dev/null; " +
      "until redis-cli ping > /dev/null 2>&1; do sleep 0.1; done",
    after: "redis-cli ACL LIST | grep -q '^user ampere on '; redis-cli shutdown nosave || true",
  },
  {
    page: "docs/freepbx.md",
    has: "manager_custom.conf",
    before: "mkdir -p /etc/asterisk; id asterisk || useradd asterisk",
  },
  {
    page: "docs/install.md",
    has: "nft delete table",
    before: "nft add table inet ampere; nft add table inet ampere_lists; " +
      "iptables -N ampere; ip6tables -N ampere",
    after: "iptables -X ampere; ip6tables -X ampere; systemctl restart ampere",
  },
  { page: "docs/install.md", has: "podman build", elsewhere: "tests/tools/container_test.ts" },
  { page: "docs/install.md", has: "--target=aarch64", elsewhere: "tests/tools/arm64_test.ts" },
  { page: "docs/install.md", has: "semanage", never: "it needs a kernel with SELinux" },
  {
    page: "docs/install.md",
    has: "mask --now",
    // Where packages have it: what is in /etc cannot be masked.
    before: "mv /etc/systemd/system/ampere-health.* /lib/systemd/system; systemctl daemon-reload",
    after: "systemctl unmask ampere-health.timer; " +
      "mv /lib/systemd/system/ampere-health.* /etc/systemd/system; systemctl daemon-reload",
  },
  { page: "docs/messages.md", has: "--check --notify", elsewhere: "tests/e2e/messages_test.ts" },
  {
    page: "docs/messages.md",
    has: "fromjson",
    before: `echo '{"event":"block","time":"t","target":"a"}' >> /var/log/ampere.log; ` +
      "exec 3>&1 > told",
    after: "exec >&3; grep -qx \"t$(printf '\\t')a$(printf '\\t')\" told",
  },
  {
    page: "docs/migrating.md",
    has: "iptables -X ampere",
    before: "for each in iptables ip6tables; do $each -N ampere; $each -I INPUT -j ampere; done",
  },
  {
    page: "docs/migrating.md",
    has: "db_dump",
    before: standIn("db_dump", "printf ' 057100cb\\n 00\\n'"),
    after: "ampere -l | grep -q ' 203.0.113.5 '; echo 203.0.113.5 | ampere -d",
  },
  { page: "docs/migrating.md", has: "--import-fail2ban", elsewhere: FAIL2BAN },
  { page: "docs/migrating.md", has: "banip --with-time", elsewhere: FAIL2BAN },
  { page: "docs/migrating.md", has: "status asterisk | sed", elsewhere: FAIL2BAN },
  { page: "docs/migrating.md", has: "cscli ", elsewhere: "tests/e2e/crowdsec_test.ts" },
  { page: "docs/migrating.md", has: "sipban.dump", elsewhere: MIGRATING },
  { page: "docs/migrating.md", has: "ipset destroy sipban", elsewhere: MIGRATING },
  { page: "docs/migrating.md", has: "apiban/config.json", elsewhere: MIGRATING },
  { page: "docs/migrating.md", has: "iptables -X APIBAN", elsewhere: MIGRATING },
  { page: "docs/migrating.md", has: "iptables -S APIBAN", elsewhere: MIGRATING },
  {
    page: "docs/migrating.md",
    has: "apiban.json",
    before: `echo '{"ipaddress":["203.0.113.5"],"ID":"1"}' > apiban.json`,
    after: "echo 203.0.113.5 | ampere -d",
  },
  {
    page: "docs/page.md",
    has: "RENEWED_LINEAGE",
    before: "export RENEWED_LINEAGE=$PWD; echo x > fullchain.pem; echo x > privkey.pem",
    after: '[ "$(stat -c %a /etc/ampere/page.key)" = 600 ]',
  },
  { page: "docs/security.md", has: "SHA256SUMS", elsewhere: "tests/tools/compile_test.ts" },
  { page: "docs/setup.md", has: "sh setup.sh", elsewhere: "tests/live/setting_up.ts" },
  { page: "docs/setup.md", has: "--undo", elsewhere: "tests/live/setting_up.ts" },
  {
    page: "docs/threat-model.md",
    has: "hashlimit",
    after: "iptables -S INPUT | grep -c hashlimit | grep -qx 2; iptables -F INPUT",
  },
  {
    page: "docs/troubleshooting.md",
    has: "-a --for 5m",
    after: "ampere -l | grep -q ' 203.0.113.5 ' && echo 203.0.113.5 | ampere -d",
  },
  { page: "docs/troubleshooting.md", has: "office.example", never: "the name is made up" },
  { page: "docs/tuning.md", has: "- < recorded.ami", before: LOGS },
  {
    page: "docs/tuning.md",
    has: "/dev/tcp/",
    never: "it records for a day what a real Asterisk says",
  },
  {
    page: "docs/tuning.md",
    has: "docker logs",
    before: `${LOGS}; gzip < /shown/security > /var/log/asterisk/messages-20261122.gz; ` +
      `${standIn("docker", "cat /shown/security")}; ${
        standIn("journalctl", "cat /shown/security")
      }`,
    after: "rm /usr/local/bin/docker /usr/local/bin/journalctl",
  },
  { page: "docs/tuning.md", has: "sed -i", before: LOGS },
];
