import assert from "node:assert/strict";
import { EVENT_TYPES } from "../../src/ami/event.ts";
import { Counters, Histogram, LATENCY_BOUNDS } from "../../src/telemetry/counters.ts";
import { eventType } from "../support/status_source.ts";

Deno.test("counters: a duration counts in the first bound that holds it, or beyond all", () => {
  const histogram = new Histogram();
  for (const bound of LATENCY_BOUNDS) histogram.observe(bound);
  assert.deepEqual(histogram.counts, [...LATENCY_BOUNDS.map(() => 1), 0]);
  histogram.observe(0);
  histogram.observe(0.0011);
  histogram.observe(5.5);
  histogram.observe(1_000);
  const [first, second, ...others] = histogram.counts;
  assert.deepEqual([first, second, others.pop(), new Set(others)], [2, 2, 2, new Set([1])]);
  assert.equal(histogram.count, LATENCY_BOUNDS.length + 4);
  const sum = LATENCY_BOUNDS.reduce((sum, bound) => sum + bound, 0) + 0.0011 + 5.5 + 1_000;
  assert.ok(Math.abs(histogram.sum - sum) < 1e-9);
});

Deno.test("counters: the bounds of the histogram rise, and two histograms share nothing", () => {
  assert.deepEqual([...LATENCY_BOUNDS].sort((a, b) => a - b), LATENCY_BOUNDS);
  const [one, other] = [new Histogram(), new Histogram()];
  one.observe(0.001);
  assert.equal(other.counts.reduce((sum, count) => sum + count, 0), 0);
});

Deno.test("counters: events are told by kind and service, and only those that came", () => {
  const counters = new Counters();
  assert.deepEqual([counters.events.size, counters.eventsTotal], [0, 0]);
  const types = [
    eventType("ChallengeSent", "SIP"),
    eventType("ChallengeSent", "PJSIP"),
    eventType("ChallengeSent", "SIP"),
    EVENT_TYPES.length - 1,
  ];
  for (const type of types) counters.event(type);
  const { kind, service } = EVENT_TYPES.at(-1)!;
  assert.deepEqual(
    counters.events,
    new Map([["ChallengeSent PJSIP", 1], ["ChallengeSent SIP", 2], [`${kind} ${service}`, 1]]),
  );
  assert.equal(counters.eventsTotal, 4);
  assert.equal(new Counters().eventsTotal, 0);
});

Deno.test("counters: messages that were not obeyed are summed over all reasons", () => {
  const counters = new Counters();
  assert.equal(counters.tamperedTotal, 0);
  counters.tampered.set("malformed", 3);
  counters.tampered.set("cut off", 4);
  assert.equal(counters.tamperedTotal, 7);
});
