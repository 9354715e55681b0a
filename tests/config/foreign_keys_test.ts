/** Keys of other programs. */

import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { adviceForForeign } from "../../src/config/foreign_keys.ts";
import { RULES } from "../../src/config/keys.ts";
import { FILE, right, warned } from "../support/config_texts.ts";

Deno.test("foreign keys: those of fail2ban are told by what they are here, and hinder nothing", () => {
  const table: [line: string, advice: RegExp][] = [
    [
      "ignoreip = 127.0.0.1/8 ::1",
      /^ignoreip: unknown key, ignored; did you mean "trust"\? One line for each: trust = 127\.0\.0\.1\/8, trust = ::1$/,
    ],
    [
      "ignoreip = 10.0.0.1,office.example , 10.0.0.3",
      /: trust = 10\.0\.0\.1, trust = office\.example, trust = 10\.0\.0\.3$/,
    ],
    ["maxretry = 5", /did you mean "loyalty"\? It counts attempts, .*: loyalty = 5$/],
    ["findtime = 10m", /did you mean "forget"\?/],
    ["bantime.increment = true", /^bantime\.increment: .*did you mean "bantime_factor"\?/],
    ["bantime.factor = 2", /did you mean "bantime_factor"\?/],
    ["bantime.maxtime = 5w", /did you mean "bantime_max"\?/],
    ["ignoreself = true", /ignored; loopback and this machine's own addresses are never blocked/],
    ["banaction = iptables-multiport", /did you mean "backend"\?/],
    ["blocktype = DROP", /did you mean "action"\? Reject or drop$/],
    ["logpath = /var/log/asterisk/full", /ignored; did you mean "log"\? Beside the manager/],
    ["dbfile = /var/lib/x.sqlite3", /did you mean "database"\?/],
    ["usedns = warn", /ignored; who is blocked comes from Asterisk as an address/],
    ["enabled = true", /nothing here is like it/],
    ["Whitelist = 10.0.0.1", /did you mean "trust"\?/],
    ["white_list = /etc/x.wl", /did you mean "trust_file"\? A file with one address/],
    ["ban = 86400", /did you mean "bantime"\?/],
    ["blacklist = 203.0.113.5", /ampere -a/],
    ["destemail = root", /did you mean "webhook"\?/],
  ];
  for (const [line, advice] of table) {
    const [warning, ...more] = warned(line);
    deepStrictEqual(more, []);
    match(warning!.slice(`${FILE}:1: `.length), advice);
  }
});

Deno.test("foreign keys: none of them is a key of ours, each names one", () => {
  for (const key of RULES.keys()) strictEqual(adviceForForeign(key, "x"), undefined);
  for (const key of ["ignoreip", "maxretry", "findtime", "bantime.maxtime", "dbfile"]) {
    const [, named] = /did you mean "(.*?)"/.exec(adviceForForeign(key, "")!)!;
    strictEqual(RULES.has(named!), true);
  }
  right("trust = 10.0.0.1");
});
