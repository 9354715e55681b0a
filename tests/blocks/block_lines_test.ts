import assert from "node:assert/strict";
import type { Block } from "../../src/blocks/database.ts";
import { parseBlockLine } from "../../src/blocks/block_input.ts";
import { formatBlock, formatBlockJson } from "../../src/blocks/block_lines.ts";

const NOW = new Date(2026, 10, 22, 12, 0, 0).getTime();
const BLOCK: Block = {
  target: "203.0.113.5",
  since: new Date(2026, 10, 22, 8, 9, 9).getTime(),
  until: undefined,
  reason: '3 wrong passwords within 2 s, PJSIP over UDP, last account "100"',
  service: "PJSIP",
  transport: "UDP",
  account: "100",
  times: 2,
};

function blockOf(line: string) {
  const parsed = parseBlockLine(line, { now: NOW });
  assert.ok(parsed.kind === "blocks" && parsed.blocks.length === 1, JSON.stringify(parsed));
  return parsed.blocks[0]!;
}

function complaint(line: string): string {
  const parsed = parseBlockLine(line, { now: NOW });
  assert.equal(parsed.kind, "bad", line);
  return (parsed as { message: string }).message;
}

Deno.test("block lines: the columns of the original, then the end and the reason", () => {
  assert.equal(
    formatBlock({ ...BLOCK, reason: "" }),
    "     203.0.113.5 | since 2026-11-22 08:09:09 | for ever",
  );
  assert.ok(
    formatBlock(BLOCK).endsWith(
      '| for ever | 3 wrong passwords within 2 s, PJSIP over UDP, last account "100"',
    ),
  );
  assert.match(formatBlock({ ...BLOCK, until: NOW }), /\| until 2026-11-22 12:00:00 \|/);
  assert.match(
    formatBlock({ ...BLOCK, target: "2001:db8:bad::/48" }),
    /^ 2001:db8:bad::\/48 \| since/,
  );
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(formatBlock({ ...BLOCK, reason: "a\nb\x1b[31m" }), /[\x00-\x1f]/);
});

Deno.test("block lines: what is printed is read again", () => {
  for (
    const block of [BLOCK, { ...BLOCK, until: NOW + 3_600_000 }, {
      ...BLOCK,
      target: "2001:db8::1",
      reason: "x | y",
    }]
  ) {
    const { target, since, until, reason } = blockOf(formatBlock(block));
    assert.deepEqual([target, since, until, reason], [
      block.target,
      block.since,
      block.until,
      block.reason,
    ]);
    const { times: _, ...exact } = block;
    assert.deepEqual(blockOf(formatBlockJson(block)), exact);
    // A mark at the end of the line, that the block is not in force, is left out again.
    for (const mark of ["no", "partly", "yes"] as const) {
      assert.deepEqual(blockOf(formatBlock(block, mark)), blockOf(formatBlock(block)));
      assert.deepEqual(blockOf(formatBlockJson(block, mark)), exact);
      assert.equal(JSON.parse(formatBlockJson(block, mark)).inForce, mark);
    }
    assert.equal(JSON.parse(formatBlockJson(block)).inForce, null);
    assert.match(formatBlock(block, "no"), / \| NOT IN FORCE$/);
    assert.match(formatBlock(block, "partly"), / \| partly in force$/);
    assert.equal(formatBlock(block, "yes"), formatBlock(block));
  }
});

Deno.test("block lines: in the hour that comes twice nothing moves, and only the second one looks different", async () => {
  const source = `
    import { formatBlock } from ${
    JSON.stringify(import.meta.resolve("../../src/blocks/block_lines.ts"))
  };
    import { parseBlockLine } from ${
    JSON.stringify(import.meta.resolve("../../src/blocks/block_input.ts"))
  };
    const [first, last, step] = Deno.args.map(Number);
    const lines = [];
    for (let at = first; at <= last; at += step) {
      const line = formatBlock({ target: "203.0.113.5", since: at, until: at + 1000, reason: "x" });
      const { since, until } = parseBlockLine(line, { now: 0 }).blocks[0];
      if (since !== at || until !== at + 1000) throw new Error(at + ": " + line);
      lines.push(line.trim());
    }
    console.log(lines.join("\\n"));`;
  const run = async (zone: string, first: string, last: string) => {
    const args = [
      "eval",
      source,
      ...[first, last].map((text) => String(Date.parse(text))),
      "900000",
    ];
    const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
      args,
      env: { TZ: zone },
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).trim().split("\n");
  };
  for (
    const [zone, first, last, offset] of [
      ["Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-26T12:00:00Z", "+0100"],
      ["America/New_York", "2026-11-01T00:00:00Z", "2026-11-02T12:00:00Z", "-0500"],
    ] as const
  ) {
    const lines = await run(zone, first, last);
    const marked = lines.filter((line) => / [+-]\d{4} /.test(line));
    // A quarter of an hour each; of the last one before the next hour only the end is later than
    // the digits repeat.
    assert.equal(marked.length, 4, marked.join("\n"));
    assert.ok(marked.every((line) => line.includes(` ${offset} | until `)));
  }
  const spring = await run("Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z");
  assert.deepEqual(spring.filter((line) => / [+-]\d{4} /.test(line)), []);
  assert.equal(
    blockOf("203.0.113.5 | since 2026-10-25 02:30:00 +0100").since,
    Date.UTC(2026, 9, 25, 1, 30),
  );
  assert.match(complaint("203.0.113.5 | since 2026-02-30 02:30:00 +0100"), /is not a date/);
  assert.match(complaint("203.0.113.5 | since 2026-10-25 02:30:00 +9999"), /is not a date/);
});

Deno.test("block lines: where a block is stands behind the reason, and is not read as part of it", () => {
  const places = [
    [{ country: "BR", asn: 64_500, organisation: "| from" }, " | from BR AS64500"],
    [{ country: "BR", asn: undefined, organisation: undefined }, " | from BR"],
    [{ country: undefined, asn: 64_500, organisation: undefined }, " | from AS64500"],
    [{ country: undefined, asn: undefined, organisation: undefined }, ""],
  ] as const;
  for (const [place, column] of places) {
    for (const [mark, words] of [[undefined, ""], ["no", " | NOT IN FORCE"]] as const) {
      const line = formatBlock(BLOCK, mark, place);
      assert.equal(line, `${formatBlock(BLOCK)}${column}${words}`);
      assert.equal(blockOf(line).reason, BLOCK.reason);
    }
  }
  const [[place]] = places;
  assert.equal(JSON.parse(formatBlockJson(BLOCK, "no", place)).asn, 64_500);
  assert.deepEqual(blockOf(formatBlockJson(BLOCK, "no", place)).reason, BLOCK.reason);
  assert.equal("country" in JSON.parse(formatBlockJson(BLOCK)), false);
});
