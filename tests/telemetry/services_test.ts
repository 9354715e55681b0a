/** What tells the outside comes, moves and goes with the configuration. */

import assert from "node:assert/strict";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Services } from "../../src/telemetry/services.ts";
import type { StatusSource } from "../../src/telemetry/status.ts";
import { source } from "../support/status_source.ts";

Deno.test("services: metrics come, move and go with the configuration", async () => {
  const lines: string[] = [];
  const log = {
    info: (message: string) => void lines.push(`info ${message}`),
    warn: (message: string) => void lines.push(`warn ${message}`),
    limited: () => {},
  };
  const folder = await Deno.makeTempDir();
  const free = () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    return { hostname: "127.0.0.1", port };
  };
  const [first, second] = [free(), free()];
  const daemon: { -readonly [K in keyof StatusSource]: StatusSource[K] } = source();
  const use = async (metrics: typeof first | undefined) => {
    daemon.config = { ...DEFAULT_CONFIG, metrics };
    await services.apply();
  };
  const isServed = async ({ port }: typeof first) => {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/metrics`);
      return (await response.text()).includes("ampere_blocks 2");
    } catch {
      return false;
    }
  };
  const services = new Services(daemon, log, folder);
  try {
    await use(undefined);
    assert.equal(await isServed(first), false);
    await use(first);
    assert.equal(await isServed(first), true);
    await use(first);
    await use(second);
    assert.deepEqual([await isServed(first), await isServed(second)], [false, true]);
    assert.deepEqual(
      lines,
      [first, second].map(({ port }) =>
        `info metrics for Prometheus at http://127.0.0.1:${port}/metrics`
      ),
    );
    await use(undefined);
    assert.equal(await isServed(second), false);

    const taken = Deno.listen({ hostname: "127.0.0.1", port: first.port });
    await use(first);
    assert.match(
      lines.at(-1)!,
      /^warn no metrics: cannot listen on 127\.0\.0\.1:\d+: .*systemctl reload ampere$/,
    );
    taken.close();
    // What the message says to do: reload after mending.
    await services.apply();
    assert.equal(await isServed(first), true);
  } finally {
    await services.stop();
    await Deno.remove(folder, { recursive: true });
  }
  assert.equal(await isServed(first), false);
});
