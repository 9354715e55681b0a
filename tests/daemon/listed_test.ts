/** Whom lists of attackers refuse, and whom not. */

import assert from "node:assert/strict";
import { parseConfig } from "../../src/config/parse.ts";
import { Listed } from "../../src/daemon/listed.ts";
import type { KernelList, ListBackend } from "../../src/firewall/lists/backend.ts";
import { keyOf } from "../../src/penalties/host_key.ts";
import { successfulAuth } from "../support/asterisk_events.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { memoryLog } from "../support/memory_log.ts";
import { TableBench } from "../support/table_bench.ts";

/** What a firewall would hold. */
class Kernel implements ListBackend {
  action = "reject" as const;
  lists: readonly KernelList[] = [];
  pass: readonly string[] = [];

  replace(lists: readonly KernelList[], pass: readonly string[]): Promise<undefined> {
    [this.lists, this.pass] = [lists, pass];
    return Promise.resolve(undefined);
  }

  setPass(pass: readonly string[]): Promise<undefined> {
    this.pass = pass;
    return Promise.resolve(undefined);
  }

  look() {
    return Promise.resolve({ ok: true, whole: true, counts: new Map() } as const);
  }

  close(): void {}
}

async function listed(kernel: Kernel | undefined, bench: TableBench, backendName: string) {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/attackers`;
  Deno.writeTextFileSync(path, "203.0.0.0/16\n");
  const { config } = parseConfig(`[feed own]\nurl = file://${path}\naction = block\n`, "a.cfg");
  const clock = new FakeClock(bench.now);
  const { log, stderr } = memoryLog();
  const made = new Listed({
    config: config!,
    log,
    clock,
    wallClock: () => clock.now(),
    lists: kernel,
    backendName,
    dryRun: false,
    table: () => bench.table,
    firewall: () => ({ judgementOf: () => undefined }),
    saveLogins: () => {},
  });
  await made.begin();
  made.look();
  const deadline = Date.now() + 10_000;
  while (made.states[0]!.entries === 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await clock.advance(0);
  return {
    made,
    clock,
    stderr,
    [Symbol.dispose]() {
      made.close();
      Deno.removeSync(folder, { recursive: true });
    },
  };
}

const host = (i: number) => `203.0.${i >> 8}.${i & 255}`;

Deno.test("listed: where more belong here than can pass nobody is refused, and it is told", async () => {
  const bench = new TableBench();
  for (let i = 0; i < 10_000; i++) bench.take(successfulAuth(host(i)));
  const kernel = new Kernel();
  using running = await listed(kernel, bench, "nftables");
  const { made, clock, stderr } = running;
  assert.deepEqual([kernel.lists.length, kernel.pass.length], [1, 10_000]);
  assert.equal(made.trouble, undefined);
  // One more, who would be locked out.
  const one = host(10_000);
  bench.take(successfulAuth(one));
  made.loggedIn(keyOf(one));
  await clock.advance(0);
  assert.deepEqual([kernel.lists.length, made.states[0]!.inForce], [0, false]);
  assert.match(made.trouble!.message, /more than 10000 hosts that belong here/);
  assert.match(stderr.text, /error: more than 10000 hosts .* Fix: ampere --check names the list/);
  // Told once.
  const said = stderr.lines.length;
  made.loggedIn(keyOf(one));
  made.exemptChanged();
  await clock.advance(0);
  assert.equal(stderr.lines.length, said);
  assert.equal(made.whyStrict(keyOf("203.0.200.1")), "listed by feed own");
});

Deno.test("listed: who is known to be registered passes without a login of theirs", async () => {
  const bench = new TableBench();
  const kernel = new Kernel();
  using running = await listed(kernel, bench, "ipset");
  assert.deepEqual([kernel.lists.length, kernel.pass.length], [1, 0]);
  bench.table.assumeStanding([host(7)], bench.now);
  running.made.exemptChanged();
  await running.clock.advance(0);
  assert.deepEqual(kernel.pass, [host(7)]);
});

Deno.test("listed: where iptables was chosen the status says why a list is not in force", async () => {
  using running = await listed(undefined, new TableBench(), "iptables");
  assert.equal(running.made.states[0]!.inForce, false);
  assert.deepEqual(running.made.trouble, {
    message: "iptables refuses nobody for a list: strangers on it have one attempt",
    advice: "backend = nftables or backend = ipset, or action = strict",
  });
});
