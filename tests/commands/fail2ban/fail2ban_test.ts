/** What is taken over from fail2ban; tests/e2e/fail2ban_test.ts asks the real one. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { parseBlockLine } from "../../../src/blocks/block_input.ts";
import { importFail2ban } from "../../../src/commands/fail2ban/import.ts";
import { Jails, readTime } from "../../../src/commands/fail2ban/jails.ts";
import { translate } from "../../../src/commands/fail2ban/settings.ts";
import { parseConfig } from "../../../src/config/parse.ts";

const NOW = Date.UTC(2026, 11, 1, 12, 0, 0);

/** As Debian ships it, as far as it matters. */
const JAIL_CONF = `[INCLUDES]
before = paths-debian.conf
[DEFAULT]
bantime  = 10m
findtime  = 10m
maxretry = 5
mode = normal
enabled = false
filter = %(__name__)s[mode=%(mode)s]
[sshd]
port = ssh
[asterisk]
port     = 5060,5061
logpath  = /var/log/asterisk/messages
maxretry = 10
`;

/** A fail2ban, in a folder of its own. */
async function fail2ban(
  files: Record<string, string>,
  bans: readonly (readonly [ip: string, jail: string, since: number, length: number])[],
  test: (
    run: (...jails: string[]) => { code: number; out: string; err: string },
    folder: string,
  ) => void | Promise<void>,
): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "ampere-" });
  try {
    Deno.mkdirSync(`${folder}/jail.d`);
    for (const [name, text] of Object.entries({ "jail.conf": JAIL_CONF, ...files })) {
      Deno.writeTextFileSync(`${folder}/${name}`, text);
    }
    const database = `${folder}/fail2ban.sqlite3`;
    const db = new DatabaseSync(database);
    db.exec(
      "CREATE TABLE bips(ip TEXT NOT NULL, jail TEXT NOT NULL, timeofban INTEGER NOT NULL, " +
        "bantime INTEGER NOT NULL, bancount INTEGER NOT NULL default 1, data JSON, " +
        "PRIMARY KEY(ip, jail))",
    );
    const insert = db.prepare("INSERT INTO bips(ip, jail, timeofban, bantime) VALUES (?, ?, ?, ?)");
    for (const ban of bans) insert.run(...ban);
    db.close();
    await test((...jails) => {
      let out = "";
      let err = "";
      const code = importFail2ban(
        jails,
        (text) => (out += text, 0),
        (line) => err += `${line}\n`,
        { folder, database },
        NOW,
      );
      return { code, out, err };
    }, folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("fail2ban: what the administrator has set becomes lines of ampere.cfg, with its place", async () => {
  const local = `# mine
[DEFAULT]
ignoreip = 127.0.0.1/8 ::1 198.51.100.0/24, Office.example.org
           # the second office
           2001:db8:1::/48
bantime = 1h ; an hour
bantime.increment = true
bantime.maxtime = 4w
[asterisk]
enabled = true
maxretry = 4
findtime : 1d 12h
blocktype = DROP
`;
  await fail2ban({ "jail.local": local }, [], (run) => {
    const { code, out, err } = run();
    assert.deepEqual([code, err], [0, ""]);
    const lines = [...out.matchAll(/^# {3}(\S+ = .*?) +# (.*)$/gm)].map(([, a, b]) => [a, b]);
    assert.deepEqual(lines, [
      ["loyalty = 4", "maxretry, jail.local:11, [asterisk]"],
      ["forget = 36h", "findtime, jail.local:12, [asterisk]"],
      ["bantime = 1h", "bantime, jail.local:6, [DEFAULT]"],
      ["bantime_factor = 2", "bantime.increment, jail.local:7, [DEFAULT]"],
      ["bantime_max = 28d", "bantime.maxtime, jail.local:8, [DEFAULT]"],
      ["action = drop", "blocktype, jail.local:13, [asterisk]"],
      ["trust = 198.51.100.0/24", "ignoreip, jail.local:3, [DEFAULT]"],
      ["trust = office.example.org", "ignoreip, jail.local:3, [DEFAULT]"],
      ["trust = 2001:db8:1::/48", "ignoreip, jail.local:3, [DEFAULT]"],
    ]);
    const config = lines.map(([line]) => `${line}\n`).join("");
    assert.deepEqual(parseConfig(config, "x").problems, [], "Ampere takes them");
  });
});

Deno.test("fail2ban: its own defaults, and jails that do not watch Asterisk, are not taken over", async () => {
  const files = { "jail.local": "[sshd]\nenabled = true\nmaxretry = 2\n[asterisk]\nenabled=1\n" };
  await fail2ban(files, [], (run) => {
    assert.match(run().out, /of the jail asterisk\.\n.*\n# {3}nothing\n/);
    assert.match(run("sshd").out, /loyalty = 2 /);
    const none = run("bogus");
    assert.equal(none.code, 1);
    assert.match(none.err, /there is no jail "bogus"; there are: asterisk, sshd/);
  });
  await fail2ban({}, [], (run) => assert.match(run().out, /no jail of Asterisk is switched on/));
});

Deno.test("fail2ban: files are read in its order, and a jail is known by its filter", async () => {
  const files = {
    "jail.d/zz.conf": "[DEFAULT]\nmaxretry = 7\n[pbx]\nenabled = yes\nfilter = asterisk[mode=x]\n",
    "jail.local": "[pbx]\nmaxretry = 6\nbantime = %(own)s\nown = 2h\n",
    "jail.d/a.local": "[pbx]\nmaxretry = 5\n",
    "jail.d/ignored.txt": "[pbx]\nmaxretry = 1\n",
  };
  await fail2ban(files, [], (run) => {
    const { out } = run();
    assert.match(out, /loyalty = 5 +# maxretry, jail\.d\/a\.local:2, \[pbx\]/);
    assert.match(out, /bantime = 2h /, "a value may refer to another one");
  });
});

Deno.test("fail2ban: what cannot be taken over is told, and strangers' text is escaped", () => {
  const files = [{
    name: "jail.local",
    text: "[asterisk]\nmaxretry = many\nbantime = 1h * 2\nfindtime = -1\n" +
      "ignoreip = 10.0.0.256 file:/x\nbantime.formula = ban.Time\nignorecommand = /x \x1b[2J\n" +
      "[asterisk-tcp]\nmaxretry = 3\n[asterisk-udp]\nmaxretry = 4\n",
  }];
  const jails = new Jails(files);
  const { lines, remarks } = translate(jails, jails.names);
  assert.deepEqual(lines, [`${"loyalty = 3".padEnd(32)} # maxretry, jail.local:9, [asterisk-tcp]`]);
  const text = remarks.join("\n");
  assert.match(text, /maxretry = "many" .*: is not a number of attempts/);
  assert.match(text, /bantime = "1h \* 2" .*: is not a length of time that can be taken over/);
  assert.match(text, /findtime = "-1" .*: has no counterpart/);
  assert.match(text, /"10\.0\.0\.256" is not an address or network; it is not taken over/);
  assert.match(text, /bantime\.formula \(jail\.local:6\) has no counterpart/);
  assert.match(text, /loyalty = 4 of jail asterisk-udp .* is not taken: loyalty = 3/);
  // deno-lint-ignore no-control-regex -- this is what must not be there
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f]/);
});

Deno.test("fail2ban: values that refer to themselves end", () => {
  const jails = new Jails([{
    name: "jail.local",
    text: `[asterisk]\na = %(b)s%(b)s\nb = %(a)s%(a)s\nmaxretry = %(a)s\nbantime = %(none)s\n`,
  }]);
  assert.ok(jails.setting("asterisk", "maxretry")!.value.length < 100_000);
  assert.equal(jails.setting("asterisk", "bantime")!.value, "%(none)s");
});

Deno.test("fail2ban: bans come with their ends and their jail, as lines that -a takes", async () => {
  const since = NOW / 1000 - 60;
  const bans = [
    ["203.0.113.7", "asterisk", since, 3600],
    ["2001:db8:bad::5", "asterisk", since, -1],
    ["203.0.113.0/29", "asterisk", since, 600],
    ["203.0.113.8", "asterisk", since, 30],
    ["evil\x1b[2J.example", "asterisk", since, 600],
    ["203.0.113.9", "sshd", since, 600],
  ] as const;
  await fail2ban({ "jail.local": "[asterisk]\nenabled = true\n" }, bans, (run) => {
    const { code, out, err } = run();
    assert.equal(code, 1, "one is wrong");
    assert.match(err, /jail "asterisk": "evil\\x1b\[2J\.example" is not an address or network\n/);
    assert.match(err, /1 ban left out: their time is over\n/);
    assert.match(err, /1 ban of other jails left out: sshd\. .*ampere --import-fail2ban JAIL/);
    const blocks = out.split("\n").flatMap((line) => {
      const read = parseBlockLine(line, { now: NOW });
      assert.notEqual(read.kind, "bad", line);
      return read.kind === "blocks" ? read.blocks : [];
    });
    assert.deepEqual(
      blocks.map(({ target, since, until, reason }) => [target, since, until, reason]),
      [
        ["2001:db8:bad::5", since * 1000, undefined],
        ["203.0.113.0/29", since * 1000, (since + 600) * 1000],
        ["203.0.113.7", since * 1000, (since + 3600) * 1000],
      ].map((block) => [...block, "imported from fail2ban, jail asterisk"]),
    );
    assert.match(run("sshd").out, /203\.0\.113\.9 .*imported from fail2ban, jail sshd/);
  });
});

Deno.test("fail2ban: without its files, or with a database of an older one, it says what helps", async () => {
  await fail2ban(
    { "jail.local": "[asterisk]\nenabled = true\nmaxretry = 3\n" },
    [],
    (run, folder) => {
      const database = `${folder}/fail2ban.sqlite3`;
      const db = new DatabaseSync(database);
      db.exec("DROP TABLE bips; CREATE TABLE bans(jail TEXT, ip TEXT, timeofban INTEGER)");
      db.close();
      const old = run();
      assert.equal(old.code, 1);
      assert.match(
        old.err,
        /older than 0\.11, which keeps no ends of bans\. No bans are taken over/,
      );
      assert.match(old.err, /banip --with-time \| ampere -a/);
      assert.match(old.out, /loyalty = 3 /, "the settings are told all the same");
      Deno.writeTextFileSync(database, "something else".repeat(100));
      assert.match(run().err, /fail2ban\.sqlite3: it cannot be read: file is not a database/);
      Deno.removeSync(database);
      assert.match(run().err, /fail2ban\.sqlite3: there is no such file\. No bans/);
      Deno.removeSync(`${folder}/jail.conf`);
      const none = run();
      assert.equal(none.code, 1);
      assert.equal(none.out, "");
      assert.match(none.err, /jail\.conf: there is no such file: fail2ban is not installed here/);
    },
  );
});

Deno.test("fail2ban: lengths of time", () => {
  const times: [string, number | undefined][] = [
    ["600", 600],
    ["-1", -1],
    ["10m", 600],
    ["1d 12h", 129_600],
    ["1d12h", 129_600],
    ["2 weeks", 1_209_600],
    ["1mo", 2_629_800],
    ["1year", 31_557_600],
    ["90 mins", 5_400],
    ["", undefined],
    ["1h+30m", undefined],
    ["5 parsecs", undefined],
  ];
  for (const [text, seconds] of times) assert.equal(readTime(text), seconds, text);
});
