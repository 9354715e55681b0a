/** `ampere --ready`, without a daemon; with one: tests/tools/units_test.ts. */

import { match, strictEqual } from "node:assert/strict";
import { isReady, waitUntilReady } from "../../src/commands/ready.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";

Deno.test("ready: when nothing waits for the firewall any more, or it is known why it does", () => {
  const trouble = [{ message: "nft failed", advice: "see the log" }];
  strictEqual(isReady({ queued: 0, trouble: [] }), true);
  strictEqual(isReady({ queued: 1, trouble: [] }), false);
  strictEqual(isReady({ queued: 1, trouble }), true);
});

Deno.test("ready: without a daemon it gives up, and says what to do", async () => {
  const said: string[] = [];
  const config = { ...DEFAULT_CONFIG, database: "/nonexistent/ampere.db" };
  strictEqual(await waitUntilReady(config, (line) => said.push(line), 1), 1);
  match(said.join("\n"), /^after 0\.001 seconds still: .*systemctl start ampere/);
});
