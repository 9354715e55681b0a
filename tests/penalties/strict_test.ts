/** Strangers who have one attempt instead of `loyalty`. */

import assert from "node:assert/strict";
import { keyOf, keyText } from "../../src/penalties/host_key.ts";
import { reasonOf } from "../../src/penalties/reason.ts";
import { anyStrict, type StrictHosts } from "../../src/penalties/strict.ts";
import { challengeSent, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { HOST, MINUTE, SECOND, TableBench } from "../support/table_bench.ts";

const OTHER = "203.0.113.77";

/** Lists some, and keeps who was asked for. */
class Listed implements StrictHosts {
  readonly asked: string[] = [];
  readonly hosts: Set<string>;

  constructor(...hosts: string[]) {
    this.hosts = new Set(hosts);
  }

  whyStrict(host: number | string): string | undefined {
    this.asked.push(keyText(host));
    return this.hosts.has(keyText(host)) ? "listed by feed example" : undefined;
  }
}

Deno.test("strict: a listed stranger is blocked for the first wrong password, others as ever", () => {
  const bench = new TableBench({ strict: new Listed(HOST) });
  bench.take(wrongAnswer(HOST, { session: "a" }), wrongAnswer(OTHER, { session: "b" }));
  assert.deepEqual(bench.blocked, [HOST]);
  const offence = bench.offences[0]!;
  assert.deepEqual([offence.points, offence.limit], [5, 5]);
  assert.match(reasonOf(offence), /one attempt only: listed by feed example, 5 of 5 points/);
  bench.after(SECOND).take(
    wrongAnswer(OTHER, { session: "c" }),
    wrongAnswer(OTHER, { session: "d" }),
  );
  assert.deepEqual(bench.blocked, [HOST, OTHER]);
  assert.doesNotMatch(reasonOf(bench.offences[1]!), /one attempt only/);
});

Deno.test("strict: one unanswered challenge is not an attempt, two are", () => {
  const bench = new TableBench({ strict: new Listed(HOST) });
  bench.take(challengeSent(HOST, { session: "a" })).after(6 * SECOND);
  assert.deepEqual(bench.blocked, []);
  bench.take(challengeSent(HOST, { session: "b" })).after(6 * SECOND);
  assert.deepEqual(bench.offences.map(({ target, grounds }) => [target, grounds]), [
    [HOST, "unanswered"],
  ]);
});

Deno.test("strict: who logs in is no stranger, listed or not", () => {
  const bench = new TableBench({ strict: new Listed(HOST) });
  bench.take(challengeSent(HOST, { session: "a" }), successfulAuth(HOST, { session: "a" }));
  for (let i = 0; i < 3; i++) {
    bench.after(MINUTE).take(wrongAnswer(HOST, { session: `b${i}` }));
  }
  assert.deepEqual(bench.blocked, []);
});

Deno.test("strict: a neighbour of an IPv6 network in good standing has as many as anybody", () => {
  const [phone, later] = ["2001:db8::1", "2001:db8::2"];
  const bench = new TableBench({ strict: new Listed(phone, later), ipv6Prefix: 64 });
  bench.take(successfulAuth(phone, { session: "a" })).after(SECOND);
  bench.take(wrongAnswer(later, { session: "b" }), wrongAnswer(later, { session: "c" }));
  assert.deepEqual(bench.blocked, []);
});

Deno.test("strict: a host is asked for once, when it is charged, and never who belongs here", () => {
  const strict = new Listed();
  const bench = new TableBench({ strict });
  bench.take(successfulAuth(OTHER, { session: "a" }), challengeSent(HOST, { session: "b" }));
  assert.deepEqual(strict.asked, []);
  bench.take(wrongAnswer(HOST, { session: "b" }), wrongAnswer(HOST, { session: "c" }));
  bench.take(wrongAnswer(OTHER, { session: "d" }));
  assert.deepEqual(strict.asked, [HOST]);
});

Deno.test("strict: a list that changes holds for the next attempt of whoever is known", () => {
  const strict = new Listed();
  const bench = new TableBench({ strict });
  bench.take(wrongAnswer(HOST, { session: "a" }));
  strict.hosts.add(HOST);
  bench.table.recheckStrict();
  assert.deepEqual(bench.blocked, []);
  bench.take(wrongAnswer(HOST, { session: "b" }));
  assert.deepEqual(bench.blocked, [HOST]);
  // And the other way round.
  bench.take(wrongAnswer(OTHER, { session: "c" }));
  bench.table.setPolicy({ ...bench.table.policy, strict: undefined });
  bench.take(wrongAnswer(HOST, { session: "d" }));
  assert.deepEqual(bench.blocked, [HOST]);
});

Deno.test("strict: of several sources the first that knows a reason counts", () => {
  assert.equal(anyStrict(undefined, undefined), undefined);
  const [one, other] = [new Listed(HOST), new Listed(HOST, OTHER)];
  assert.equal(anyStrict(undefined, one), one);
  const both = anyStrict(one, undefined, other)!;
  assert.equal(both.whyStrict(keyOf(HOST)), "listed by feed example");
  assert.equal(both.whyStrict(keyOf(OTHER)), "listed by feed example");
  assert.equal(both.whyStrict(keyOf("192.0.2.1")), undefined);
  assert.deepEqual(other.asked, [OTHER, "192.0.2.1"]);
});

/** Bars some, who are strict as well. */
class Barred extends Listed {
  whyBarred(host: number | string): string | undefined {
    return this.whyStrict(host);
  }
}

Deno.test("strict: who is barred is blocked at the first challenge, others as ever", () => {
  const bench = new TableBench({ strict: new Barred(HOST) });
  bench.take(challengeSent(HOST, { session: "a" }), challengeSent(OTHER, { session: "b" }));
  const [offence, ...more] = bench.offences;
  assert.deepEqual([offence?.target, offence?.grounds, more], [HOST, "unanswered", []]);
  assert.match(
    reasonOf(offence!),
    /^1 unanswered challenge .*, no attempt: listed by feed example, 4 of 1 points \(in doubt/,
  );
});

Deno.test("strict: who is barred and was in good standing, or has such a neighbour, is left alone", () => {
  const [phone, later] = ["2001:db8::1", "2001:db8::2"];
  const bench = new TableBench({ strict: new Barred(HOST, phone, later), ipv6Prefix: 64 });
  bench.take(successfulAuth(HOST, { session: "a" }), successfulAuth(phone, { session: "b" }));
  bench.after(MINUTE).take(
    challengeSent(HOST, { session: "c" }),
    challengeSent(later, { session: "d" }),
    wrongAnswer(HOST, { session: "c" }),
  );
  assert.deepEqual(bench.after(MINUTE).blocked, []);
});

Deno.test("strict: while nobody is known yet a challenge bars nobody, a wrong password does", () => {
  const bench = new TableBench({ strict: new Barred(HOST, OTHER) });
  bench.table.learnUntil(bench.now + MINUTE);
  bench.take(challengeSent(HOST, { session: "a" }), challengeSent(OTHER, { session: "b" }));
  bench.take(successfulAuth(HOST, { session: "a" }), wrongAnswer(OTHER, { session: "b" }));
  assert.deepEqual(bench.after(2 * MINUTE).blocked, [OTHER]);
});

Deno.test("strict: of several sources one may bar, and only then anybody is asked for that", () => {
  const [one, other] = [new Listed(HOST), new Barred(OTHER)];
  assert.equal(anyStrict(one, new Listed(OTHER))?.whyBarred, undefined);
  const both = anyStrict(one, other)!;
  assert.equal(both.whyBarred?.(keyOf(OTHER)), "listed by feed example");
  assert.equal(both.whyBarred?.(keyOf(HOST)), undefined);
});
