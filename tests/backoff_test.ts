import assert from "node:assert/strict";
import { jittered, retryDelay } from "../src/backoff.ts";

Deno.test("backoff: a retry delay doubles up to the longest, however often it fails", () => {
  const delays = [0, 1, 2, 3, 4, 5].map((failures) => retryDelay(failures, 100, 1_500));
  assert.deepEqual(delays, [100, 200, 400, 800, 1_500, 1_500]);
  assert.equal(retryDelay(1_000_000, 100, 1_500), 1_500);
});

Deno.test("backoff: jitter takes the half to the whole of a delay", () => {
  assert.deepEqual([0, 0.5, 1].map((part) => jittered(1_000, () => part)), [500, 750, 1_000]);
});
