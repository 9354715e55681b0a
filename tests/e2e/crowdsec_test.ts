/** The compiled program beside a real CrowdSec that reads Asterisk's log: its bans, taken over. */

import assert from "node:assert/strict";
import { PREDECESSORS, rootOf } from "../../tools/firewalls.ts";
import { until } from "../support/namespace.ts";
import { commandsOf } from "./documented.ts";
import { Debian } from "./debian.ts";
import { onOwnMachine } from "./machine.ts";
import { type Outcome, runToEnd } from "./program.ts";

const root = rootOf(PREDECESSORS);

/**
 * How CrowdSec is set up by its package, but for its makers' server, and with its part for
 * Asterisk.
 */
const SET_UP = `
tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id
touch /etc/crowdsec/local_api_credentials.yaml
sed -i '/online_client:/,/online_api/d' /etc/crowdsec/config.yaml
cscli --error machines add --force "$(cat /etc/machine-id)" --password a-password
hub=/usr/share/crowdsec/hub
for item in collections parsers postoverflows scenarios .index.json; do
  ln -s $hub/$item /var/lib/crowdsec/hub/
done
cp /usr/share/crowdsec/data/* /var/lib/crowdsec/data/
for item in collections/crowdsecurity/asterisk parsers/s00-raw/crowdsecurity/syslog-logs \
  parsers/s01-parse/crowdsecurity/asterisk-logs parsers/s02-enrich/crowdsecurity/dateparse-enrich \
  scenarios/crowdsecurity/asterisk_bf scenarios/crowdsecurity/asterisk_user_enum; do
  folder=/etc/crowdsec/$(dirname "$(dirname $item)")
  mkdir -p $folder
  ln -s /var/lib/crowdsec/hub/$item.yaml $folder/
done
mkdir -p /var/log/asterisk
: > /var/log/asterisk/messages
printf 'filenames:\\n- /var/log/asterisk/messages\\nlabels:\\n  type: asterisk\\n' > /etc/crowdsec/acquis.yaml
`;

const ATTACKER = "203.0.113.9";

/** A wrong password, as Asterisk's log has it. */
const guess = (second: number) =>
  `[Dec  1 05:00:0${second}] SECURITY[77] res_security_log.c: SecurityEvent="InvalidPassword",` +
  `EventTV="2026-12-01T05:00:0${second}.000+0000",Severity="Error",Service="SIP",` +
  `EventVersion="2",AccountID="100",SessionID="0x7f",` +
  `LocalAddress="IPV4/UDP/192.0.2.1/5060",RemoteAddress="IPV4/UDP/${ATTACKER}/5060",` +
  `Challenge="x",ReceivedChallenge="x",ReceivedHash="y"`;

onOwnMachine(import.meta.url, (executable) => {
  Deno.test("a real CrowdSec is taken over: who it banned for Asterisk's log, and whom a person did", async () => {
    await using debian = await Debian.open(root!, executable);
    const run = (line: string): Promise<Outcome> =>
      runToEnd(["chroot", debian.root, "sh", "-c", line], { deadlineMs: 60_000 });
    const well = async (line: string): Promise<string> => {
      const { code, out, err } = await run(line);
      assert.equal(code, 0, `${line}\n${out}${err}`);
      return out;
    };
    await well(`set -e\n${SET_UP}`);
    await debian.write("/etc/ampere/ampere.cfg", "trust = 198.51.100.7\n");
    const crowdsec = debian.start(["crowdsec", "-c", "/etc/crowdsec/config.yaml"]);
    await until("CrowdSec runs", async () => {
      if (crowdsec.over) throw new Error(crowdsec.text);
      return (await run("cscli lapi status")).code === 0;
    }, 60_000);
    await well("cscli decisions add --ip 203.0.113.5 --duration 4h --reason 'by hand'");
    await well("cscli decisions add --ip 2001:db8:bad::7 --duration 168h");
    await well("cscli decisions add --range 203.0.113.64/29 --duration 30m");
    await well("cscli decisions add --range 198.51.100.0/24 --duration 30m");
    await well("cscli decisions add --ip 203.0.113.6 --type captcha");
    const log = `${debian.root}/var/log/asterisk/messages`;
    await until("it has banned who guesses", async () => {
      const lines = Array.from({ length: 9 }, (_, i) => guess(i));
      await Deno.writeTextFile(log, `${lines.join("\n")}\n`, { append: true });
      return (await run("cscli decisions list -o json")).out.includes(ATTACKER);
    }, 60_000);

    const [dry = "", real = ""] = commandsOf("docs/migrating.md", /^cscli /m).trim().split("\n");
    const shown = await run(dry);
    assert.match(shown.out, /^4 would be added$/m);
    assert.match(
      shown.out,
      RegExp(`^ +${ATTACKER} \\| since .* until .*crowdsecurity/asterisk_bf`, "m"),
    );
    assert.match(shown.err, /198\.51\.100\.0\/24 .*trust/);
    assert.match(shown.err, /"203\.0\.113\.6" is a decision "captcha", not a ban/);
    assert.equal(await well("ampere -l"), "", "nothing was changed");
    const done = await run(real);
    assert.match(done.out, /^4 added$/m);
    assert.equal(done.code, 1, "some were refused");
    const blocks = new Map(
      (await well("ampere -l --json")).trim().split("\n").map((line) => {
        const { target, until, reason } = JSON.parse(line);
        return [target, { hours: (Date.parse(until) - Date.now()) / 3_600_000, reason }];
      }),
    );
    for (
      const [target, hours] of [
        ["203.0.113.5", 4],
        ["2001:db8:bad::7", 168],
        ["203.0.113.64/29", 0.5],
        // Its profile for bans by itself.
        [ATTACKER, 4],
      ] as const
    ) {
      const left = blocks.get(target)?.hours ?? NaN;
      assert.ok(left <= hours && left > hours - 0.1, `${target}: ${left} h`);
    }
    assert.match(blocks.get(ATTACKER)!.reason, /crowdsecurity\/asterisk_bf/);
    assert.match(blocks.get("203.0.113.5")!.reason, /by hand/);
  });
}, root === undefined ? 'there is no CrowdSec; "deno task firewalls" gets it' : undefined);
