/** Visitors get a bounded part of the daemon's time, the smaller one while many events arrive. */

import assert from "node:assert/strict";
import type { Clock } from "../../src/clock.ts";
import { Budget } from "../../src/page/budget.ts";

/** A budget whose time goes by as it waits, with so many events a millisecond. */
function budgetOf(eventsEach: number) {
  const time = { at: 0 };
  let events = 0;
  const clock: Clock = {
    now: () => time.at,
    after(ms, run) {
      const timer = setTimeout(() => {
        time.at += ms;
        events += ms * eventsEach;
        run();
      });
      return () => clearTimeout(timer);
    },
    soon: (run) => void setTimeout(run),
  };
  return { time, budget: new Budget(clock, () => events) };
}

/** Serves one visitor after the other for a while; the part of the time that they took. */
async function shareTaken(eventsEach: number, workMs: number): Promise<number> {
  const { time, budget } = budgetOf(eventsEach);
  const serve = async (visits: number) => {
    for (let visit = 0; visit < visits; visit++) {
      await budget.wait();
      budget.spend(() => time.at += workMs);
    }
  };
  // What may be taken at once is over first.
  await serve(100);
  const began = time.at;
  await serve(300);
  return 300 * workMs / (time.at - began);
}

/** Lets in one visitor after the other; the part of the time that this took. */
async function shareOfDoor(eventsEach: number): Promise<number> {
  const { time, budget } = budgetOf(eventsEach);
  for (let n = 0; n < 100; n++) await budget.admit(1);
  const began = time.at;
  for (let n = 0; n < 100; n++) await budget.admit(1);
  return 100 / (time.at - began);
}

Deno.test("budget: visitors take little while many events arrive, and a good part of the time else", async () => {
  const busy = await shareTaken(200, 5);
  assert.ok(busy > 0.02 && busy < 0.06, String(busy));
  const idle = await shareTaken(0, 5);
  assert.ok(idle > 0.3 && idle < 0.6, String(idle));
});

Deno.test("budget: so does letting them in", async () => {
  const busy = await shareOfDoor(200);
  assert.ok(busy > 0.01 && busy < 0.03, String(busy));
  const idle = await shareOfDoor(0);
  assert.ok(idle > 0.07 && idle < 0.13, String(idle));
});

Deno.test("budget: nobody waits at the door for what is made for others", async () => {
  const { time, budget } = budgetOf(200);
  await budget.wait();
  budget.spend(() => time.at += 5_000);
  const began = time.at;
  await budget.admit(1);
  assert.equal(time.at, began);
  await budget.wait();
  assert.ok(time.at - began > 10_000, String(time.at - began));
});
