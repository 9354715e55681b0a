/** The units of systemd that the package holds, with a real systemd as the first process. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";
import { compiledAmpere, executableFolder } from "../support/executable.ts";
import { doWithSystemd, hasSystemd } from "../support/systemd.ts";

const SHOWN = executableFolder();
const SYSTEMD = { ignore: !await hasSystemd(SHOWN) };

/** The units, where that machine sees them: the project may be in a folder that it hides. */
function shownUnits(): string {
  const folder = join(SHOWN, "units");
  Deno.mkdirSync(folder, { recursive: true });
  for (const { name } of Deno.readDirSync(join(PROJECT, "packaging"))) {
    if (!/^ampere.*\.(?:service|timer)$/.test(name)) continue;
    Deno.copyFileSync(join(PROJECT, "packaging", name), join(folder, name));
  }
  return folder;
}

/** Installs, with no Asterisk to log in to and one block; `wait_for N COMMAND...` tries so long. */
async function installed(script: string): Promise<string> {
  return `
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /usr/lib/ampere /etc/ampere /var/lib/ampere
cp ${await compiledAmpere()} /usr/lib/ampere/ampere
ln -sf /usr/lib/ampere/ampere /usr/sbin/ampere
cp ${shownUnits()}/* /etc/systemd/system/
printf 'backend = nftables\\npass = s3cret\\n' > /etc/ampere/ampere.cfg
echo 203.0.113.5 | ampere -a > /dev/null
wait_for() {
  left=$1; shift
  until "$@"; do left=$((left - 1)); [ $left -gt 0 ] || return 1; sleep 1; done
}
systemctl daemon-reload
${script}`;
}

Deno.test(
  "systemd: when the unit has started, the blocks are in the firewall",
  SYSTEMD,
  async () => {
    const said = await doWithSystemd(
      await installed(`
systemctl start ampere
nft list ruleset | grep -o -m 1 203.0.113.5
systemctl is-active ampere.service ampere-health.timer
systemctl show -p Result --value ampere
systemctl stop ampere
nft list ruleset | grep -o -m 1 203.0.113.5
systemctl is-active ampere.service ampere-health.timer || true
`),
      SHOWN,
    );
    assert.equal(
      said,
      "203.0.113.5\nactive\nactive\nsuccess\n203.0.113.5\ninactive\ninactive\n",
    );
  },
);

Deno.test(
  "systemd: a daemon that stands still is restarted, one that was stopped is not",
  SYSTEMD,
  async () => {
    const said = await doWithSystemd(
      await installed(`
systemctl start ampere
first=$(systemctl show -p MainPID --value ampere)
systemctl start ampere-health.service
[ "$(systemctl show -p MainPID --value ampere)" = "$first" ] && echo 'who answers is left alone'
kill -STOP "$first"
systemctl start ampere-health.service
second=$(systemctl show -p MainPID --value ampere)
[ "$second" != "$first" ] && ampere --ready && echo 'who stands still is restarted'
nft list ruleset | grep -o -m 1 203.0.113.5
systemctl stop ampere
systemctl start ampere-health.service
systemctl is-active ampere || true
`),
      SHOWN,
    );
    assert.equal(
      said,
      "who answers is left alone\nwho stands still is restarted\n203.0.113.5\ninactive\n",
    );
  },
);

Deno.test("systemd: the journal knows how important a line is", SYSTEMD, async () => {
  const said = await doWithSystemd(
    await installed(`
mkdir -p /etc/systemd/system/ampere.service.d
printf '[Service]\\nExecStart=\\nExecStart=/usr/lib/ampere/ampere --journal\\n' \\
  > /etc/systemd/system/ampere.service.d/journal.conf
printf '[Journal]\\nStorage=volatile\\n' > /etc/systemd/journald.conf
systemctl daemon-reload
systemctl start systemd-journald.socket systemd-journald.service
systemctl start ampere
seen() { journalctl --sync; journalctl -t ampere -o cat -p "$1" | grep -q "$2"; }
wait_for 20 seen warning 'cannot connect to 127.0.0.1:5038'
journalctl -t ampere -o cat -p warning | grep -c 'follows Asterisk' || true
journalctl -t ampere -o cat -p info | grep -o -m 1 '^Ampere .* follows Asterisk'
systemctl stop ampere
echo 'loyalty = many' >> /etc/ampere/ampere.cfg
systemctl start ampere || true
wait_for 20 seen err 'loyalty'
journalctl -t ampere -o cat -p err | grep -o -m 1 'ampere.cfg:3: .*many'
`),
    SHOWN,
  );
  assert.match(said, /^0\nAmpere [\d.]+ follows Asterisk\n.*ampere\.cfg:3: .*many/);
});

Deno.test(
  "systemd: a journal that stands still holds up nothing",
  SYSTEMD,
  async () => {
    const said = await doWithSystemd(
      await installed(`
mkdir -p /etc/systemd/system/ampere.service.d
printf '[Service]\\nExecStart=\\nExecStart=/usr/lib/ampere/ampere --journal\\nLogRateLimitIntervalSec=0\\n' \\
  > /etc/systemd/system/ampere.service.d/journal.conf
printf '[Journal]\\nStorage=volatile\\nRateLimitIntervalSec=0\\n' > /etc/systemd/journald.conf
systemctl daemon-reload
systemctl start systemd-journald.socket systemd-journald.service
systemctl start ampere
kill -STOP "$(systemctl show -p MainPID --value systemd-journald)"
ampere=$(systemctl show -p MainPID --value ampere)
cp /etc/ampere/ampere.cfg /tmp/good
# Some MiB of complaints; that more than fits is counted: tests/text/log_queue_test.ts.
i=0; while [ $i -lt 100 ]; do i=$((i + 1)); echo "trust = no-network-$i-%0200d"; echo "wrong_key_$i = 1"; done |
  sed "s/%0200d/$(printf %0200d 0)/" >> /etc/ampere/ampere.cfg
i=0; while [ $i -lt 300 ]; do i=$((i + 1)); kill -HUP "$ampere"; sleep 0.03; done
cp /tmp/good /etc/ampere/ampere.cfg
echo 203.0.113.9 | ampere -a > /dev/null
wait_for 10 sh -c 'nft list ruleset | grep -q 203.0.113.9' && echo blocked
ampere --status > /dev/null && echo answers
kill -CONT "$(systemctl show -p MainPID --value systemd-journald)"
systemctl stop ampere && echo ended
`),
      SHOWN,
    );
    assert.equal(said, "blocked\nanswers\nended\n");
  },
);
