/** Who is trusted for a time: until the end, over a restart, until somebody takes the line out. */

import assert from "node:assert/strict";
import { formatTimedTrust, parseTimedTrust, timedTrustFile } from "../../src/config/timed_trust.ts";
import { TimedTrust } from "../../src/daemon/timed_trust.ts";

const NOW = Date.UTC(2026, 10, 30, 12);
const HOUR = 3_600_000;

async function withFolder(run: (database: string, lines: string[]) => void | Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await run(`${folder}/ampere.db`, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function open(database: string, lines: string[], now = NOW, isDry = false): TimedTrust {
  const log = {
    info: (text: string) => void lines.push(text),
    warn: (text: string) => void lines.push(`warn: ${text}`),
  };
  return new TimedTrust(database, log, now, isDry);
}

Deno.test("timed trust: lasts until its end, also over a restart", async () => {
  await withFolder((database, lines) => {
    const first = open(database, lines);
    assert.equal(first.look(NOW), false);
    assert.equal(first.add("192.0.2.7", NOW + HOUR, "by 127.0.0.1", NOW), undefined);
    assert.equal(first.add("2001:db8::/64", NOW + 2 * HOUR, "", NOW), undefined);
    assert.equal(Deno.statSync(timedTrustFile(database)).mode! & 0o777, 0o600);
    const second = open(database, lines);
    assert.deepEqual(second.targets, ["192.0.2.7", "2001:db8::/64"]);
    assert.equal(second.look(NOW + HOUR - 1), false);
    assert.equal(second.look(NOW + HOUR), true);
    assert.deepEqual(second.targets, ["2001:db8::/64"]);
    assert.match(lines.join(), /192\.0\.2\.7 is not trusted any more/);
    assert.ok(!Deno.readTextFileSync(timedTrustFile(database)).includes("192.0.2.7"));
    // It has ended while nobody looked.
    assert.deepEqual(open(database, lines, NOW + 2 * HOUR).targets, []);
  });
});

Deno.test("timed trust: a line that is taken out by hand ends it", async () => {
  await withFolder((database, lines) => {
    const trust = open(database, lines);
    for (const n of [1, 2, 3]) trust.add(`192.0.2.${n}`, NOW + HOUR, "x", NOW);
    const file = timedTrustFile(database);
    const text = Deno.readTextFileSync(file);
    Deno.writeTextFileSync(
      file,
      text.split("\n").filter((line) => !line.startsWith("192.0.2.2")).join("\n"),
    );
    const seen = [1, 2].map(() => trust.look(NOW));
    assert.deepEqual(seen, [false, true]);
    assert.deepEqual(trust.targets, ["192.0.2.1", "192.0.2.3"]);
    assert.equal(trust.remove("192.0.2.3"), undefined);
    assert.equal(trust.remove("192.0.2.3"), "is not trusted for a time");
    assert.deepEqual(open(database, lines).targets, ["192.0.2.1"]);
  });
});

Deno.test("timed trust: bounded in number, length and breadth; a dry run changes no file", async () => {
  await withFolder((database, lines) => {
    const trust = open(database, lines);
    assert.equal(trust.add("0.0.0.0/0", NOW + HOUR, "", NOW), "is everybody");
    for (let n = 0; n < 256; n++) trust.add(`192.0.2.${n}`, NOW + HOUR, "", NOW);
    assert.match(trust.add("198.51.100.1", NOW + HOUR, "", NOW) ?? "", /^256 are trusted/);
    assert.equal(trust.add("192.0.2.1", NOW + 1_000 * 24 * HOUR, "", NOW), undefined);
    const end = trust.entries.find(({ target }) => target === "192.0.2.1")!.until;
    assert.equal(end, NOW + 90 * 24 * HOUR);
  });
  await withFolder((database, lines) => {
    const trust = open(database, lines, NOW, true);
    assert.match(trust.add("192.0.2.1", NOW + HOUR, "", NOW) ?? "", /dry run/);
    assert.deepEqual(trust.targets, []);
    assert.throws(() => Deno.statSync(timedTrustFile(database)), Deno.errors.NotFound);
  });
});

Deno.test("timed trust: a line that is wrong trusts nobody, whatever its remark holds", () => {
  const entry = { target: "192.0.2.7", until: NOW, remark: "by a\n0.0.0.0/0 until x" };
  const text = formatTimedTrust([entry]);
  assert.equal(text.split("\n").length, 3);
  assert.deepEqual(parseTimedTrust(text).map(({ target }) => target), ["192.0.2.7"]);
  const wrong = [
    "192.0.2.7",
    "192.0.2.7 until tomorrow",
    "192.0.2.7 until 2026-13-01T00:00:00Z",
    "192.0.2 until 2026-12-01T00:00:00Z",
    "0.0.0.0/0 until 2026-12-01T00:00:00Z",
    "office.example until 2026-12-01T00:00:00Z",
    "192.0.2.7 until 2026-12-01T00:00:00Z and more",
    "# 192.0.2.7 until 2026-12-01T00:00:00Z",
  ];
  for (const line of wrong) assert.deepEqual(parseTimedTrust(line), [], line);
  assert.equal(parseTimedTrust(" 192.0.2.7 until 2026-12-01T00:00:00Z").length, 1);
});
