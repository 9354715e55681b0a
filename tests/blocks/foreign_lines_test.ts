/** Lines of other programs that keep blocks. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { readBlockInput } from "../../src/blocks/block_input.ts";
import { readDecision, readForeignLine } from "../../src/blocks/foreign_lines.ts";
import { PROJECT } from "../../tools/compile.ts";

const NOW = Date.UTC(2026, 11, 1, 12, 0, 0);

/** What an input comes to: `target until reason`, and what is wrong, with the line. */
function read(text: string, until?: number): { blocks: string[]; bad: string[] } {
  const blocks: string[] = [];
  const bad: string[] = [];
  for (const { line, input } of readBlockInput(text, { now: NOW, until })) {
    if (input.kind === "bad") bad.push(`${line}: ${input.message}`);
    if (input.kind !== "blocks") continue;
    for (const one of input.blocks) {
      const seconds = one.until === undefined ? "ever" : (one.until - NOW) / 1000;
      blocks.push(`${one.target} ${seconds} ${one.reason}`);
    }
    bad.push(...input.bad.map((message) => `${line}: ${message}`));
  }
  return { blocks, bad };
}

Deno.test("foreign lines: what cscli prints, with the ends; what is no ban of a host is named", async () => {
  const file = join(PROJECT, "tests/testdata/migration/crowdsec-1.4.6.json");
  assert.deepEqual(read(await Deno.readTextFile(file)), {
    blocks: [
      "2001:db8:bad::7 1799.431 imported from CrowdSec, manual 'ban' from 'pbx'",
      "198.51.100.0/24 86399.431 imported from CrowdSec, manual 'ban' from 'pbx'",
      "203.0.113.5 14398.431 imported from CrowdSec, crowdsecurity/asterisk_bf",
    ],
    bad: [
      '1: "XX" is of the scope "Country": only Ip and Range can be blocked',
      '1: "203.0.113.6" is a decision "captcha", not a ban',
    ],
  });
  assert.deepEqual(read("null"), { blocks: [], bad: [] }, "as cscli says that there is none");
});

Deno.test("foreign lines: decisions that are over, simulated or nothing", () => {
  const decision = { type: "ban", scope: "ip", value: "203.0.113.5", scenario: "x" };
  const over = readDecision({ ...decision, duration: "-1m30s" }, NOW);
  assert.equal(over.kind === "block" && over.until, NOW - 90_000);
  const wrong: [unknown, RegExp][] = [
    [{ ...decision, duration: "1h", simulated: true }, /only simulated/],
    [{ ...decision, duration: "" }, /lasts "", which is not a length of time/],
    [{ ...decision, duration: "for\x1b[2J" }, /lasts "for\\x1b\[2J", which/],
    [null, /"null" is not a decision/],
    [["203.0.113.5"], /is not a decision/],
    [{}, /decision "", not a ban/],
  ];
  for (const [value, message] of wrong) {
    const line = readDecision(value, NOW);
    assert.match(line.kind === "bad" ? line.message : "", message);
  }
});

Deno.test("foreign lines: SIPban's dump, of the versions with and without ipset", () => {
  const old = `# [2026-12-01 12:00:00]\n203.0.113.5,${NOW / 1000 + 600}\n203.0.113.6,${
    NOW / 1000 - 5
  }\n`;
  assert.deepEqual(read(old), {
    blocks: ["203.0.113.5 600 imported from SIPban", "203.0.113.6 -5 imported from SIPban"],
    bad: [],
  });
  const saved =
    `create sipban hash:ip family inet hashsize 1024 maxelem 65536 timeout 604800 bucketsize 12 initval 0x285783a9
add sipban 203.0.113.5 timeout 596479
add sipban 203.0.113.9 timeout 0
add nets 198.51.100.0/24 comment "x"
add nets 198.51.100.7 nomatch
`;
  assert.deepEqual(read(saved, NOW + 60_000), {
    blocks: [
      "203.0.113.5 596479 imported from ipset, set sipban",
      "203.0.113.9 ever imported from ipset, set sipban",
      "198.51.100.0/24 60 imported from ipset, set nets",
    ],
    bad: ['5: "add nets 198.51.100.7 nomatch" is an exception of a set, and blocks nobody'],
  });
});

Deno.test("foreign lines: rules of iptables and nft, as APIBAN's clients and fail2ban have them", () => {
  const rules = `-N APIBAN
-A APIBAN -s 203.0.113.5/32 -j REJECT --reject-with icmp-port-unreachable
-A APIBAN -s 203.0.113.6/32 -d 0.0.0.0/0 -j DROP
-A f2b-asterisk -s 2001:db8:bad::5/128 -m comment --comment "a b" -j REJECT
-A APIBAN -s 203.0.113.7/32 -p udp -m udp --dport 5060 -j DROP
-A APIBAN -s 198.51.100.7/32 -j ACCEPT
-A APIBAN -j RETURN
`;
  assert.deepEqual(read(rules, NOW + 1_000), {
    blocks: [
      "203.0.113.5 1 imported from iptables, chain APIBAN",
      "203.0.113.6 1 imported from iptables, chain APIBAN",
      "2001:db8:bad::5 1 imported from iptables, chain f2b-asterisk",
    ],
    bad: [
      '5: "-A APIBAN -s 203.0.113.7/32 -p udp -m udp --dport 5060 -j D…" is a rule with ' +
      "further conditions: a block is about all of a host's packets",
    ],
  });
  assert.deepEqual(read("\t\tip saddr 203.0.113.5 counter packets 3 bytes 9 drop\n"), {
    blocks: ["203.0.113.5 ever imported from nftables"],
    bad: [],
  });
});

Deno.test("foreign lines: addresses in them pass the same parser, and nothing else changes", () => {
  assert.deepEqual(read("add sipban 203.0.113.500 timeout 5").bad, [
    '1: "203.0.113.500" is not an address or network',
  ]);
  assert.deepEqual(read("-A APIBAN -s 203.0.113.5/33 -j DROP").bad, [
    '1: "203.0.113.5/33" is not an address or network',
  ]);
  assert.equal(readForeignLine("203.0.113.5, 203.0.113.6", NOW), undefined);
  assert.equal(readForeignLine("add 203.0.113.5", NOW), undefined);
  const name = read("add \x1b[2J 203.0.113.5").blocks[0]!;
  assert.equal(name, "203.0.113.5 ever imported from ipset, set \\x1b[2J");
});
