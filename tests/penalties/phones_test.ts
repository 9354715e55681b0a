/**
 * What real SIP phones and tools made Asterisk print, in testdata/phones, and what becomes of them:
 * docs/phones.md says how it was seen.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { AddressSet } from "../../src/address/address_set.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { PenaltyTable } from "../../src/penalties/penalty_table.ts";
import { policyOf } from "../../src/penalties/policy.ts";
import { Replay } from "../../src/commands/replay/replay.ts";
import { RecordingReader } from "../../src/commands/replay/recording.ts";

const FOLDER = new URL("../testdata/phones/", import.meta.url);

/** Milliseconds of a second. */
const SECOND_MS = 1_000;

/** The first hour, in milliseconds, in which a guesser may have so many answers. */
const HOUR_MS = 3_600_000;
const GUESSES_MAX = 20;

/** What is known about one recording. */
interface Truth {
  readonly title: string;
  readonly asterisk: string;
  /** What of it was seen; the rest is repeated or comes from the program's documentation. */
  readonly seen: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly events: Readonly<Record<string, number>>;
  readonly hosts: Readonly<Record<string, Fate>>;
}

/** Who a host is, and what becomes of it with the default configuration. */
interface Fate {
  readonly role: "phone" | "phone with a wrong password" | "monitor" | "attacker" | "scanner";
  /**
   * How long each of its blocks may last at most, in seconds; null: for ever. No block more than
   * these.
   */
  readonly blocks: readonly (number | null)[];
  /** When it logs in after its password was mended, in seconds from the first event. */
  readonly back?: number;
  /** What it was, where several are in one recording. */
  readonly program?: string;
}

const truths: Record<string, Truth> = JSON.parse(
  Deno.readTextFileSync(new URL("index.json", FOLDER)),
);
const bytesOf = (name: string) => Deno.readFileSync(new URL(name, FOLDER));

for (const [name, truth] of Object.entries(truths)) {
  Deno.test(`phones: ${name}: ${truth.title}`, () => {
    const run = replay(bytesOf(name));
    assert.deepEqual(run.tampered, new Map());
    const from = run.from!;
    for (const { target } of run.blocks) assert.ok(target in truth.hosts, `${target} is blocked`);
    for (const [host, { role, blocks, back, program }] of Object.entries(truth.hosts)) {
      const got = run.blocks.filter(({ target }) => target === host);
      const lengths = got.map(({ at, until }) =>
        until === undefined ? null : (until - at) / SECOND_MS
      );
      const who = `${host} (${program ?? role})`;
      const told = `${who} was blocked for ${JSON.stringify(lengths)} s`;
      assert.ok(got.length <= blocks.length, told);
      lengths.forEach((length, i) => {
        const most = blocks[i]!;
        assert.ok(most === null || (length !== null && length <= most), told);
      });
      if (role !== "phone" && role !== "scanner") {
        assert.ok(got.length > 0, `${who} was not blocked`);
      }
      if (back !== undefined) {
        assert.ok(run.logins.has(host), `${host} does not log in`);
        const until = got.at(-1)?.until ?? from;
        assert.ok(until < from + back * SECOND_MS, `${host} is still blocked at its login`);
      }
      if (role === "attacker") {
        const judged = run.judged.filter((guess) => guess.host === host);
        const early = judged.filter(({ at }) => at - from < HOUR_MS).length;
        assert.ok(early <= GUESSES_MAX, `${host} has ${early} answers in the first hour`);
      }
    }
  });
}

Deno.test("phones: the recordings are those that are described, and name nobody real", () => {
  const files = [...Deno.readDirSync(FOLDER)].map(({ name }) => name)
    .filter((name) => name.endsWith(".ami"));
  assert.deepEqual(files.sort(), Object.keys(truths).sort());
  for (const [name, truth] of Object.entries(truths)) {
    const bytes = bytesOf(name);
    assert.equal(bytes.length, truth.bytes, name);
    assert.equal(createHash("sha256").update(bytes).digest("hex"), truth.sha256, name);
    const text = new TextDecoder().decode(bytes);
    const counts: Record<string, number> = {};
    for (const [, kind] of text.matchAll(/^Event: (\w+)\r$/gm)) {
      if (kind !== "FullyBooted") counts[kind!] = (counts[kind!] ?? 0) + 1;
    }
    assert.deepEqual(counts, truth.events, name);
    const addresses = new Set(
      [...text.matchAll(/^RemoteAddress: \w+\/\w+\/([^/]+)\//gm)].map(([, address]) => address!),
    );
    assert.deepEqual([...addresses].sort(), Object.keys(truth.hosts).sort(), name);
    for (const address of addresses) {
      const { role } = truth.hosts[address]!;
      const net = role === "attacker" || role === "scanner" ? "203.0.113." : "198.51.100.";
      assert.ok(address.startsWith(net), `${name}: ${address}`);
    }
  }
});

Deno.test("phones: a phone whose network was dead is in good standing, and owes nothing", () => {
  for (const name of ["phones-16-dead-network.ami", "phones-22-dead-network.ami"]) {
    const run = replay(bytesOf(name));
    assert.deepEqual([...run.logins.keys()].sort(), Object.keys(truths[name]!.hosts).sort());
    assert.deepEqual(run.blocks, [], name);
  }
});

Deno.test("phones: what is under way when a phone is blocked does not make its next block longer", () => {
  const table = new PenaltyTable(policyOf(DEFAULT_CONFIG, new AddressSet([])));
  const reader = new RecordingReader({
    // All of it arrives, as it does before the kernel knows of the block.
    event: (event) => table.record(event, Date.parse(isoOf(event.time))),
    tampered: assert.fail,
  });
  // Three bursts of fifteen answers, each worth five offences; the second, in the minute behind the
  // first block, is forborne.
  reader.push(bytesOf("baresip-16-pjsip-tls-wrong-for-ever.ami"));
  reader.end();
  const offences = table.takeOffences();
  assert.ok(offences.every(({ grounds }) => grounds === "single session"));
  assert.deepEqual(offences.map(({ row }) => row), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
});

Deno.test("phones: without the time for doubt a phone's burst of answers would be its end", () => {
  // Over TLS nobody can forge it: a block that is no doubt is for ever.
  const { blocks } = replay(bytesOf("baresip-16-pjsip-tls-wrong-for-ever.ami"), { doubt: 0 });
  assert.deepEqual(blocks.map(({ until }) => until), [undefined]);
});

function replay(bytes: Uint8Array, change: Partial<typeof DEFAULT_CONFIG> = {}) {
  const run = new Replay({ ...DEFAULT_CONFIG, ...change });
  const judged: { host: string; at: number }[] = [];
  const reader = new RecordingReader({
    event: (event, verdict) => {
      run.take(event, verdict === "security");
      const wrong = event.kind === "ChallengeResponseFailed" || event.kind === "InvalidPassword";
      if (wrong) judged.push({ host: event.address, at: run.now });
    },
    tampered: (what) => run.tampered(what),
  });
  reader.push(bytes);
  reader.end();
  const replayed = run.finish();
  // What came while its host was blocked would never have reached Asterisk.
  const inTime = judged.filter(({ host, at }) =>
    !replayed.blocks.some((block) =>
      block.target === host && at > block.at && at <= (block.until ?? Infinity)
    )
  );
  return { ...replayed, judged: inTime };
}

/** EventTV with a colon in its offset. */
function isoOf(eventTime: string): string {
  return eventTime.replace(/(\d\d)$/, ":$1");
}
