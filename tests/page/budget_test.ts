/** Visitors get a bounded part of the daemon's time, the smaller one while many events arrive. */

import assert from "node:assert/strict";
import type { Clock } from "../../src/clock.ts";
import { Budget } from "../../src/page/budget.ts";

/** Serves one visitor after the other for a while; the part of the time that they took. */
async function shareTaken(eventsEach: number, workMs: number): Promise<number> {
  let at = 0;
  let events = 0;
  const clock: Clock = {
    now: () => at,
    after(ms, run) {
      const timer = setTimeout(() => {
        at += ms;
        events += ms * eventsEach;
        run();
      });
      return () => clearTimeout(timer);
    },
    soon: (run) => void setTimeout(run),
  };
  const budget = new Budget(clock, () => events);
  const serve = async (visits: number) => {
    for (let visit = 0; visit < visits; visit++) {
      await budget.wait();
      budget.spend(() => at += workMs);
    }
  };
  // What may be taken at once is over first.
  await serve(100);
  const began = at;
  await serve(300);
  return 300 * workMs / (at - began);
}

Deno.test("budget: visitors take little while many events arrive, and half of the time else", async () => {
  const busy = await shareTaken(200, 5);
  assert.ok(busy > 0.03 && busy < 0.09, String(busy));
  const idle = await shareTaken(0, 5);
  assert.ok(idle > 0.4 && idle < 0.8, String(idle));
});
