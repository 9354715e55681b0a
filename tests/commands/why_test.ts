/** What `ampere --why` makes of what was asked, and of what it found. */

import assert from "node:assert/strict";
import type { Block } from "../../src/blocks/block.ts";
import { curesFor } from "../../src/commands/why/cures.ts";
import { blockedBy, type Known } from "../../src/commands/why/facts.ts";
import { formatWhy, formatWhyJson } from "../../src/commands/why/text.ts";
import { readAsked } from "../../src/commands/why/why.ts";
import type { Grounds } from "../../src/penalties/offence.ts";
import { reasonOf } from "../../src/penalties/reason.ts";
import { PLAIN } from "../../src/text/table.ts";
import { OFFENCE } from "../support/offence_sample.ts";

const NOW = Date.UTC(2026, 10, 30);

const BLOCK: Block = {
  target: "203.0.113.5",
  since: NOW - 60_000,
  until: NOW + 60_000,
  reason: "added by hand",
  service: "",
  transport: "",
  account: "",
  times: 1,
};

const KNOWN: Known = {
  target: "203.0.113.5",
  isLive: true,
  network: undefined,
  ipv4: undefined,
  around: [BLOCK],
  within: [],
  points: [],
  slow: undefined,
  insider: undefined,
  standing: [],
  attempts: [],
  exempt: [],
  kernel: { isAsked: true, blocked: ["203.0.113.5"], passing: [] },
  force: undefined,
  place: undefined,
  strict: undefined,
  lists: [],
  feeds: [],
};

Deno.test("why: whatever -d takes is read, and what it does not is named", () => {
  const read = (...words: string[]) => readAsked(words);
  assert.deepEqual(read("::ffff:203.0.113.5"), ["203.0.113.5"]);
  assert.deepEqual(read("203.0.113.9/24", "2001:db8::/32"), ["203.0.113.0/24", "2001:db8::/32"]);
  assert.deepEqual(read("203.0.113.5,203.0.113.5"), ["203.0.113.5"]);
  assert.deepEqual(
    read("   203.0.113.5 | since 2014-05-01 12:00:00"),
    ["203.0.113.5"],
  );
  // As logs of Asterisk print hosts.
  for (
    const [word, target] of [
      ["203.0.113.5:5060", "203.0.113.5"],
      ["[2001:db8::5]:5061", "2001:db8::5"],
      ["[2001:db8::5]", "2001:db8::5"],
      ["IPV4/UDP/203.0.113.5/37275", "203.0.113.5"],
      ["IPV6/TLS/2001:db8::5/5061", "2001:db8::5"],
      ["IPV4/203.0.113.5/5060", "203.0.113.5"],
    ] as const
  ) assert.deepEqual(read(word), [target], word);
  assert.deepEqual(read('["203.0.113.5"]'), ["203.0.113.5"]);
  for (const words of [["203.0.113.5:x"], ["IPV4/UDP/x/1"], ["[203.0.113.5"]]) {
    assert("wrong" in read(...words), JSON.stringify(words));
  }
  for (const words of [[], [""], ["# 203.0.113.5"], ["203.0.113.256"], ["-d"], ["\x1b[2J"]]) {
    assert("wrong" in read(...words), JSON.stringify(words));
  }
  const many = Array.from({ length: 65 }, (_, i) => `192.0.2.${i}`);
  assert.deepEqual(read(...many), { wrong: "that are 65 addresses and networks; at most 64" });
});

Deno.test("why: what has brought a block about, which no account name can change", () => {
  const by = (more: Partial<Block>) => blockedBy({ ...BLOCK, ...more });
  const own = (grounds: Grounds, account = "100") =>
    by({ service: "PJSIP", reason: reasonOf({ ...OFFENCE, grounds, account }) });
  assert.equal(own("attempts"), "attempts");
  assert.equal(own("good standing"), "attempts");
  assert.equal(own("guarded account"), "account guard");
  assert.equal(own("insider"), "insider");
  for (const grounds of ["slow guesses", "slow account"] as const) {
    for (const isForgeable of [true, false]) {
      const reason = reasonOf({ ...OFFENCE, grounds }, isForgeable);
      assert.equal(by({ service: "PJSIP", reason }), "slow guesses", reason);
    }
  }
  assert.equal(own("attempts", "(in doubt: many strangers fail on this account)"), "attempts");
  assert.equal(by({}), "hand");
  assert.equal(by({ reason: "banned by fail2ban" }), "list");
  const reason = "3 blocked hosts within a day: 203.0.113.1, 203.0.113.2, 203.0.113.3";
  assert.equal(by({ target: "203.0.113.0/24", reason }), "neighbours");
});

Deno.test("why: commands name the configuration, as a shell takes it", () => {
  const types = (file?: string, known: Partial<Known> = {}) =>
    curesFor({ ...KNOWN, ...known }, file).map(({ type }) => type);
  assert.deepEqual(types(), [
    "echo 203.0.113.5 | ampere -d",
    "printf '\\ntrust = 203.0.113.5\\n' >> /etc/ampere/ampere.cfg && systemctl reload ampere",
  ]);
  assert.equal(types("/tmp/it's here")[0], "echo 203.0.113.5 | ampere -c '/tmp/it'\\''s here' -d");
  // Nobody is told to trust everybody, nor who is trusted already.
  const everybody = { target: "0.0.0.0/0", around: [], within: [BLOCK] };
  assert.deepEqual(types(undefined, everybody), ["echo 203.0.113.5 | ampere -d"]);
  const exempt = [{ target: "203.0.113.5", cause: "trusted", why: "trust = 203.0.113.5" }] as const;
  const kernel = { isAsked: true, blocked: [], passing: [] } as const;
  assert.deepEqual(types(undefined, { exempt, kernel, around: [] }), ["systemctl reload ampere"]);
  // List and kernel differ.
  assert.equal(types(undefined, { kernel }).at(-1), "ampere --check");
  assert.equal(types(undefined, { isLive: false }).at(-1), "systemctl start ampere");
});

Deno.test("why: what counts beside points is told with its limit", () => {
  const known = { ...KNOWN, slow: { count: 7, limit: 9 }, insider: { count: 12, limit: 31 } };
  const text = formatWhy(known, [], "ipset", NOW, PLAIN);
  assert.match(
    text,
    /^Slow guesses +7 of 9 wrong passwords, of earlier days too, without a login$/m,
  );
  assert.match(text, /^Insider +12 of 31 failures within a day on accounts that never logged in/m);
  const { slow, insider } = JSON.parse(formatWhyJson(known, [], "ipset"));
  assert.deepEqual([slow, insider], [known.slow, known.insider]);
  const without = formatWhy(KNOWN, [], "ipset", NOW, PLAIN);
  assert.doesNotMatch(without, /Slow|Insider/);
  assert.equal(JSON.parse(formatWhyJson(KNOWN, [], "ipset")).slow, null);
});

Deno.test("why: strangers' texts are escaped, and JSON says what they were", () => {
  const evil = '\x1b]0;x\x07"\u202e\n203.0.113.9 is not blocked';
  const attempts = [{
    at: NOW,
    what: evil,
    service: evil,
    transport: evil,
    account: evil,
    points: 5,
    host: "203.0.113.5",
  }];
  const known = { ...KNOWN, around: [{ ...BLOCK, reason: evil }], attempts };
  const text = formatWhy(known, curesFor(known, undefined), "ipset", NOW, PLAIN);
  assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
  assert.doesNotMatch(text, /^203\.0\.113\.9/m);
  assert.equal(JSON.parse(formatWhyJson(known, [], "ipset")).attempts[0].account, evil);
});
