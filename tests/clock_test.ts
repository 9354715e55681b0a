/** Waiting, by whatever clock. */

import assert from "node:assert/strict";
import { sleep, systemClock } from "../src/clock.ts";
import { FakeClock } from "./support/fake_clock.ts";

Deno.test("clock: a wait ends by the clock, or early by its signal, and leaves no timer", async () => {
  const clock = new FakeClock();
  const ended: string[] = [];
  const stop = new AbortController();
  const waits = [
    sleep(clock, 1_000).then(() => ended.push("plain")),
    sleep(clock, 5_000, stop.signal).then(() => ended.push("stopped")),
    sleep(clock, 2_000, new AbortController().signal).then(() => ended.push("never stopped")),
    sleep(clock, 9_000, AbortSignal.abort()).then(() => ended.push("stopped before")),
  ];
  await clock.advance(999);
  assert.deepEqual(ended, ["stopped before"]);
  await clock.advance(1);
  assert.deepEqual(ended, ["stopped before", "plain"]);
  stop.abort();
  await clock.advance(0);
  assert.deepEqual(ended, ["stopped before", "plain", "stopped"]);
  await clock.advance(1_000);
  await Promise.all(waits);
  assert.deepEqual(ended, ["stopped before", "plain", "stopped", "never stopped"]);
  assert.equal(clock.next, undefined);
});

Deno.test("clock: the machine's own tells the time of day, and what it is told to do comes in order", async () => {
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 5_000);
  const came: string[] = [];
  const cancel = systemClock.after(1, () => came.push("cancelled"));
  systemClock.soon(() => came.push("soon"));
  cancel();
  await sleep(systemClock, 20);
  assert.deepEqual(came, ["soon"]);
});
