/** What `ampere -a` and `ampere -d` understand. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  LINE_CHARACTERS_MAX,
  LIST_CHARACTERS_MAX,
  parseBlockLine,
  readBlockInput,
} from "../../src/blocks/block_input.ts";

const NOW = new Date(2026, 10, 30, 14, 45, 0).getTime();
const UNTIL = NOW + 7_200_000;

/** The blocks of a line that is right. */
function blocks(line: string, until?: number) {
  const parsed = parseBlockLine(line, { now: NOW, until });
  assert.ok(parsed.kind === "blocks", `${line}: ${JSON.stringify(parsed)}`);
  assert.deepEqual(parsed.bad, []);
  return parsed.blocks;
}

const targets = (line: string) => blocks(line).map(({ target }) => target);

function only(line: string, until?: number) {
  const [block, ...more] = blocks(line, until);
  assert.deepEqual(more, []);
  return block!;
}

function complaint(line: string): string {
  const parsed = parseBlockLine(line, { now: NOW });
  assert.ok(parsed.kind === "bad", `${line}: ${JSON.stringify(parsed)}`);
  return parsed.message;
}

/** What a whole input comes to: targets, and complaints with their lines. */
function read(text: string): { targets: string[]; bad: string[] } {
  const found: string[] = [];
  const bad: string[] = [];
  for (const { line, input } of readBlockInput(text, { now: NOW })) {
    if (input.kind === "bad") bad.push(`${line}: ${input.message}`);
    if (input.kind !== "blocks") continue;
    found.push(...input.blocks.map(({ target }) => target));
    bad.push(...input.bad.map((message) => `${line}: ${message}`));
  }
  return { targets: found, bad };
}

Deno.test("block input: the original's lines keep their date", () => {
  const block = only("    198.51.100.23 | since 2014-05-01 12:00:00");
  assert.equal(block.target, "198.51.100.23");
  assert.equal(block.since, new Date(2014, 4, 1, 12, 0, 0).getTime());
  assert.equal(block.until, undefined);
});

Deno.test("block input: addresses, networks, comments", () => {
  assert.equal(only("203.0.113.5").since, NOW);
  assert.equal(only("\t2001:DB8::1 # the scanner").target, "2001:db8::1");
  assert.equal(only("203.0.113.7/24 ; neighbours").target, "203.0.113.0/24");
  for (const line of ["", "   ", "# comment", "; comment", "  # x", "\r"]) {
    assert.equal(parseBlockLine(line, { now: NOW }).kind, "empty");
  }
});

Deno.test("block input: several addresses, ranges and netmasks in a line", () => {
  const table: [line: string, ...targets: string[]][] = [
    ["203.0.113.5 203.0.113.6", "203.0.113.5", "203.0.113.6"],
    [
      "203.0.113.5,2001:db8::6,\t198.51.100.0/24 # note",
      "203.0.113.5",
      "2001:db8::6",
      "198.51.100.0/24",
    ],
    ["203.0.113.5, 203.0.113.6,", "203.0.113.5", "203.0.113.6"],
    ["203.0.113.5-203.0.113.5", "203.0.113.5"],
    ["203.0.113.4-203.0.113.8", "203.0.113.4/30", "203.0.113.8"],
    ["203.0.113.4 - 203.0.113.7 198.51.100.1", "203.0.113.4/30", "198.51.100.1"],
    ["203.0.113.0-203.0.113.255", "203.0.113.0/24"],
    ["2001:db8::-2001:db8::ffff", "2001:db8::/112"],
    ["203.0.113.77/255.255.255.0", "203.0.113.0/24"],
    ["203.0.113.0 255.255.255.128", "203.0.113.0/25"],
    ["203.0.113.0 mask 255.255.255.0", "203.0.113.0/24"],
    ["203.0.113.0 netmask 255.255.254.0", "203.0.112.0/23"],
    ["203.0.113.0 255.255.255.0 198.51.100.0 255.255.255.0", "203.0.113.0/24", "198.51.100.0/24"],
    ["203.0.113.5/255.255.255.255", "203.0.113.5"],
  ];
  for (const [line, ...expected] of table) assert.deepEqual(targets(line), expected, line);
});

Deno.test("block input: a range holds all of its addresses and no other", () => {
  const address = fc.integer({ min: 0, max: 4_095 });
  fc.assert(
    fc.property(address, address, (a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      const text = (n: number) => `203.0.${n >> 8}.${n & 255}`;
      const numbers = targets(`${text(from)}-${text(to)}`).flatMap((target) => {
        const [network, prefix = "32"] = target.split("/");
        const [, , high, low] = network!.split(".").map(Number);
        const first = high! * 256 + low!;
        return Array.from({ length: 2 ** (32 - Number(prefix)) }, (_, i) => first + i);
      });
      assert.deepEqual(numbers, Array.from({ length: to - from + 1 }, (_, i) => from + i));
    }),
    { numRuns: 500 },
  );
  const widest = targets("0.0.0.1-255.255.255.254");
  assert.equal(widest.length, 62);
  assert.equal(targets("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe").length, 254);
});

Deno.test("block input: what is wrong is said with the value", () => {
  assert.equal(complaint("203.0.113.256"), '"203.0.113.256" is not an address or network');
  const nothing = "is not an address or network: nothing of this line was taken";
  assert.equal(complaint("203.0.113.5 attacker"), `"attacker" ${nothing}`);
  assert.equal(complaint("-j ACCEPT"), `"-j" ${nothing}`);
  assert.equal(
    complaint("203.0.113.9-203.0.113.5"),
    '"203.0.113.9-203.0.113.5" is not an address or network',
  );
  assert.match(complaint("203.0.113.9-2001:db8::1"), /is not an address/);
  assert.match(complaint("203.0.113.0/255.0.255.0"), /"203\.0\.113\.0\/255\.0\.255\.0" is not/);
  assert.match(complaint("203.0.113.0 0.0.0.255"), /has a wildcard mask; write the network as/);
  assert.match(complaint("203.0.113.0 netmask"), /"203\.0\.113\.0\/" is not an address/);
  assert.match(complaint(","), /"," is not an address/);
  assert.match(complaint("203.0.113.5 | since yesterday"), /is not a line of ampere -l/);
  assert.match(
    complaint("203.0.113.5 | since 2026-02-30 12:00:00"),
    /"2026-02-30 12:00:00" is not a date/,
  );
  assert.match(complaint("203.0.113.5 | since 2026-02-03 12:60:00"), /is not a date/);
  assert.match(complaint("nobody | since 2026-02-03 12:00:00"), /"nobody" is not an address/);
  assert.match(complaint("{oops"), /is not a line of ampere -l --json/);
  assert.match(complaint('{"target":"203.0.113.5","since":"x"}'), /is not a date/);
  assert.match(complaint(`${" ".repeat(LINE_CHARACTERS_MAX)}| x`), /longer than 1000 characters/);
  assert.match(complaint("1".repeat(LIST_CHARACTERS_MAX + 1)), /longer than 1048576 characters/);
  assert.match(complaint("a\x1b[31m"), /\\x1b/);
});

Deno.test("block input: an end of a line's own wins over a length, which wins over for ever", () => {
  const at = (hour: number, minute = 0) => new Date(2026, 10, 30, hour, minute, 0).getTime();
  assert.equal(only("203.0.113.5", UNTIL).until, UNTIL);
  assert.equal(only("203.0.113.5 | since 2026-11-30 12:00:00", UNTIL).until, UNTIL);
  assert.equal(only('{"target":"203.0.113.5"}', UNTIL).until, UNTIL);
  assert.equal(only("203.0.113.5 | since 2026-11-30 12:00:00 | for ever", UNTIL).until, undefined);
  assert.equal(only('{"target":"203.0.113.5","until":null}', UNTIL).until, undefined);
  assert.equal(
    only("203.0.113.5 | since 2026-11-30 12:00:00 | until 2026-11-30 18:00:00", UNTIL).until,
    at(18),
  );
});

Deno.test("block input: fail2ban's list with times keeps begin and end", () => {
  // As fail2ban 1.0.2 prints it: a blank and a tab, and -1 for ever.
  const timed = only("203.0.113.5 \t2026-11-30 14:45:00 + 600 = 2026-11-30 14:55:00", UNTIL);
  assert.deepEqual([timed.target, timed.since, timed.until, timed.reason], [
    "203.0.113.5",
    NOW,
    NOW + 600_000,
    "banned by fail2ban",
  ]);
  const endless = only("2001:db8::9 \t2026-11-30 14:45:00 + -1 = 9999-12-31 23:59:59", UNTIL);
  assert.deepEqual([endless.target, endless.until], ["2001:db8::9", undefined]);
  assert.match(complaint("203.0.113.5 2026-11-31 14:45:00 + 600 = x y"), /is not a date/);
  // Its list without times stands in one line, of any length.
  const many = Array.from({ length: 20_000 }, (_, i) => `203.0.${i >> 8}.${i & 255}`);
  assert.deepEqual(targets(many.join(" ")), many);
});

Deno.test("block input: APIBAN's answers, in one line or over several", () => {
  const answer = { ipaddress: ["203.0.113.5", "2001:db8::7"], ID: "1764514801" };
  for (const text of [JSON.stringify(answer), JSON.stringify(answer, null, 2)]) {
    assert.deepEqual(read(`198.51.100.1\n${text}\n198.51.100.2`), {
      targets: ["198.51.100.1", "203.0.113.5", "2001:db8::7", "198.51.100.2"],
      bad: [],
    });
  }
  assert.equal(
    only(JSON.stringify({ ...answer, ipaddress: "203.0.113.5" })).reason,
    "listed by APIBAN",
  );
  assert.deepEqual(read('{"ipaddress":["no new bans"],"ID":"none"}'), { targets: [], bad: [] });
  assert.deepEqual(read('{"ipaddress":"rate limit exceeded","ID":"none"}').bad, [
    '1: "rate limit exceeded" is not an address or network',
  ]);
  assert.deepEqual(read('{"ipaddress":["203.0.113.5","x",7],"ID":"1"}'), {
    targets: ["203.0.113.5"],
    bad: ['1: "x" is not an address or network', '1: "7" is not an address or network'],
  });
  const long = {
    ipaddress: Array.from({ length: 20_000 }, (_, i) => `203.0.${i >> 8}.${i & 255}`),
  };
  assert.equal(read(JSON.stringify(long)).targets.length, 20_000);
});

Deno.test("block input: quotes around words, as jq prints an array; objects of other keys are told", () => {
  const text = '"203.0.113.5",\n  "2001:db8::/32"\n\'203.0.113.6\' "203.0.113.8-203.0.113.9"\n';
  assert.deepEqual(read(text), {
    targets: ["203.0.113.5", "2001:db8::/32", "203.0.113.6", "203.0.113.8/31"],
    bad: [],
  });
  assert.match(complaint('"203.0.113.5'), /^"\\"203\.0\.113\.5" is not an address/);
  assert.equal(
    complaint('{"ip":"203.0.113.5"}'),
    '"{\\"ip\\":\\"203.0.113.5\\"}" has neither "target" nor "ipaddress", the keys that are read',
  );
});

Deno.test("block input: arrays in JSON, and JSON that never ends costs one line", () => {
  assert.deepEqual(targets('["203.0.113.5", {"target":"203.0.113.6"}]'), [
    "203.0.113.5",
    "203.0.113.6",
  ]);
  assert.deepEqual(read('[\n "203.0.113.5",\n "oops"\n]\n203.0.113.6'), {
    targets: ["203.0.113.5", "203.0.113.6"],
    bad: ['1: "oops" is not an address or network'],
  });
  assert.deepEqual(read('{"target":\n203.0.113.5\n203.0.113.6').targets, [
    "203.0.113.5",
    "203.0.113.6",
  ]);
  // The search for the end does not begin anew in each line.
  const open = read("{\n".repeat(200_000) + "203.0.113.5");
  assert.deepEqual([open.targets, open.bad.length], [["203.0.113.5"], 200_000]);
});

Deno.test("block input: no text throws, and what is a block has a canonical target", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.json()), (line) => {
      const parsed = parseBlockLine(line, { now: NOW });
      if (parsed.kind !== "blocks") return;
      for (const { target } of parsed.blocks) assert.match(target, /^[0-9a-f.:]+(\/\d+)?$/);
    }),
    { numRuns: 5_000 },
  );
});
