/** What is left by a chain of before: once, by name, and never of somebody else. */

import assert from "node:assert/strict";
import { ChainTakenError } from "../../src/daemon/chain_lock.ts";
import { FormerChains } from "../../src/daemon/former_chains.ts";

/** What happened, as words. */
class Bench {
  readonly file: string;
  readonly events: string[] = [];
  /** Chains that another Ampere fills, and those that cannot be cleared. */
  readonly taken = new Set<string>();
  readonly stuck = new Set<string>();

  constructor(folder: string) {
    this.file = `${folder}/ampere.db-chains`;
  }

  start(chain: string, file: string | undefined = this.file): FormerChains {
    const leftoversOf = (name: string) => ({
      clear: () => {
        this.events.push(`clear ${name}`);
        return Promise.resolve(!this.stuck.has(name));
      },
    });
    return new FormerChains({
      file,
      chain,
      log: { warn: (line) => void this.events.push(line) },
      leftovers: leftoversOf("(now)"),
      leftoversOf,
      lock: (name) => {
        if (this.taken.has(name)) throw new ChainTakenError(name);
        return undefined;
      },
    });
  }

  /** What happened since the last call. */
  take(): string[] {
    return this.events.splice(0);
  }
}

async function onBench(run: (bench: Bench, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(new Bench(folder), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("former chains: each is cleared once after a change, also one that took several starts", () =>
  onBench(async (bench) => {
    assert.ok(await bench.start("one").clear());
    assert.ok(await bench.start("one").clear());
    assert.deepEqual(bench.take(), ["clear (now)", "clear (now)"]);
    // It ends before it could clear anything.
    bench.start("two");
    const third = bench.start("three");
    bench.stuck.add("two");
    assert.equal(await third.clear(), false);
    assert.deepEqual(bench.take(), ["clear (now)", "clear one", "clear two"]);
    const again = bench.start("three");
    bench.stuck.clear();
    assert.ok(await again.clear());
    assert.deepEqual(bench.take(), ["clear (now)", "clear two"]);
    assert.ok(await again.clear());
    assert.ok(await bench.start("three").clear());
    assert.deepEqual(bench.take(), ["clear (now)", "clear (now)"]);
  }));

Deno.test("former chains: one that is used again is not cleared, and the other one is", () =>
  onBench(async (bench) => {
    bench.start("one");
    bench.start("two");
    assert.ok(await bench.start("one").clear());
    assert.deepEqual(bench.take(), ["clear (now)", "clear two"]);
    assert.ok(await bench.start("two").clear());
    assert.deepEqual(bench.take(), ["clear (now)", "clear one"]);
  }));

Deno.test("former chains: what another Ampere fills by now is left to it", () =>
  onBench(async (bench) => {
    bench.start("one");
    bench.taken.add("one");
    assert.ok(await bench.start("two").clear());
    bench.taken.clear();
    assert.ok(await bench.start("two").clear());
    assert.deepEqual(bench.take(), ["clear (now)", "clear (now)"]);
  }));

Deno.test("former chains: a file that is wrong names nothing that may not be in ampere.cfg", () =>
  onBench(async (bench) => {
    const wrong = [
      "INPUT",
      "DROP",
      "-F",
      "a b",
      '"q"',
      "x # y",
      "x\nport = 1",
      "",
      7,
      null,
      [],
      {},
    ];
    for (const text of ["", "{", "{}", '"one"', JSON.stringify([...wrong, "one"])]) {
      await Deno.writeTextFile(bench.file, text);
      assert.ok(await bench.start("two").clear());
      const isRead = text.endsWith(',"one"]');
      assert.deepEqual(bench.take(), ["clear (now)", ...isRead ? ["clear one"] : []]);
    }
  }));

Deno.test("former chains: a file that cannot be written is told, and nothing else fails", () =>
  onBench(async (bench, folder) => {
    const file = `${folder}/none/ampere.db-chains`;
    assert.ok(await bench.start("one", file).clear());
    const [told, ...rest] = bench.take();
    assert.match(told!, /^the name of the chain is not kept for the next start: .*none.*by hand$/);
    assert.deepEqual(rest, ["clear (now)"]);
  }));
