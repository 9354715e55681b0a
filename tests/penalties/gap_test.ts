/** What the gap in the block of a list is worth to a guesser: less than having no list at all. */

import assert from "node:assert/strict";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { blockOf, policyOf } from "../../src/penalties/policy.ts";
import { challengeSent, remoteOf, wrongAnswer } from "../support/asterisk_events.ts";
import { DAY, HOST, TableBench } from "../support/table_bench.ts";
import { AddressSet } from "../../src/address/address_set.ts";

/** What the kernel lets through: three packets at once, then one each six seconds. */
const BURST = 3;
const EVERY_MS = 60_000 / DEFAULT_CONFIG.softRate;

/** Guesses that a host makes in two days, as fast as it can, if each is one packet. */
function guesses(strict: boolean, transport: string, isLimited: boolean): number {
  const policy = policyOf(
    DEFAULT_CONFIG,
    new AddressSet([]),
    strict ? { whyStrict: () => "listed" } : undefined,
  );
  const bench = new TableBench(policy);
  const end = bench.now + 2 * DAY;
  let times = 0;
  let made = 0;
  let tokens = BURST;
  let session = 0;
  let told = 0;
  while (bench.now < end) {
    if (isLimited && tokens < 1) {
      bench.after(EVERY_MS);
      tokens++;
      continue;
    }
    tokens--;
    made++;
    bench.take(wrongAnswer(HOST, {
      // The session in which it is hardest to tell a guesser from a phone.
      session: `s${session}`,
      remote: remoteOf(HOST, transport),
    })).after(10);
    const offence = bench.offences[told];
    if (offence === undefined) continue;
    told = bench.offences.length;
    session++;
    const block = blockOf(offence, DEFAULT_CONFIG, () => times, bench.now);
    if (block.counts !== false) times++;
    if (block.until === undefined) return made;
    const wait = block.until - bench.now;
    tokens = Math.min(BURST, tokens + Math.floor(wait / EVERY_MS));
    bench.after(wait);
  }
  return made;
}

Deno.test("gap: it is worth fewer guesses than a stranger has without a list", () => {
  for (const transport of ["UDP", "TLS"]) {
    const [gap, free] = [guesses(true, transport, true), guesses(false, transport, false)];
    assert(gap < free, `${transport}: ${gap} by the gap, ${free} without a list`);
  }
  // Before the first block: one, and not as many as loyalty.
  const bench = new TableBench({ strict: { whyStrict: () => "listed" } });
  bench.take(wrongAnswer(HOST));
  assert.deepEqual(bench.blocked, [HOST]);
  assert(1 < DEFAULT_CONFIG.loyalty);
});

/** Guesses of a host in two days that is blocked when it appears, and has a gap to log in by. */
function guessesAtSight(transport: string): number {
  const why = () => "it is in BR";
  const strict = { whyStrict: why, whyBarred: why };
  const bench = new TableBench(policyOf(DEFAULT_CONFIG, new AddressSet([]), strict));
  const end = bench.now + 2 * DAY;
  let times = 0;
  let told = 0;
  const blockedFor = () => {
    const offence = bench.offences[told++];
    assert(offence !== undefined);
    const block = blockOf(offence, DEFAULT_CONFIG, () => times, bench.now);
    if (block.counts !== false) times++;
    return (block.until ?? Infinity) - bench.now;
  };
  let made = 0;
  while (bench.now < end) {
    const session = `s${made}`;
    bench.take(challengeSent(HOST, { session, remote: remoteOf(HOST, transport) }));
    const sight = blockedFor();
    // It answers by the gap, which is closed then.
    bench.take(wrongAnswer(HOST, { session, remote: remoteOf(HOST, transport) }));
    made++;
    const wait = Math.max(sight, blockedFor());
    if (wait === Infinity) return made;
    bench.after(wait);
  }
  return made;
}

Deno.test("gap: whoever is blocked at sight has fewer guesses by it than a stranger has who is not", () => {
  for (const transport of ["UDP", "TLS"]) {
    const [gap, free] = [guessesAtSight(transport), guesses(false, transport, false)];
    assert(gap < free, `${transport}: ${gap} by the gap, ${free} without`);
  }
});
