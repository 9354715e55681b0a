/** What others do to the table, and what becomes of the programs that stay, with the real nft. */

import assert from "node:assert/strict";
import { type Clock, systemClock } from "../../../src/clock.ts";
import { type ChildStarter, startChild } from "../../../src/firewall/child.ts";
import { run, type Runner } from "../../../src/firewall/command.ts";
import type { Damage } from "../../../src/firewall/status.ts";
import { addresses, inNamespace, sh, until } from "../../support/namespace.ts";
import { elementsOf, forEver, holds, makeNftables, makeResident } from "../../support/nftables.ts";

/** Time that goes ten times as fast, so that tests need not wait for what is asked now and then. */
const fastClock: Clock = {
  ...systemClock,
  now: () => 10 * systemClock.now(),
  after: (ms, run) => systemClock.after(ms / 10, run),
};

/** What is asked every five seconds is asked more often; nothing else is hurried. */
const askingClock: Clock = {
  ...systemClock,
  after: (ms, run) => systemClock.after(ms === 5_000 ? 200 : ms, run),
};

const TABLE = ["inet", "ampere"];

/** A test that begins without rules. */
function test(name: string, body: () => Promise<void>): void {
  Deno.test(`nftables under faults: ${name}`, async () => {
    try {
      await body();
    } finally {
      await sh("nft", "flush", "ruleset");
    }
  });
}

async function nft(...args: string[]): Promise<void> {
  const { code, err } = await sh("nft", ...args);
  assert.equal(code, 0, err);
}

/** Starts the real programs, and lets a test stand between the monitor and who reads it. */
function holdable(): { start: ChildStarter; hold: () => void; letGo: () => void } {
  let held: (() => void)[] | undefined;
  return {
    start: (program, args, handlers) => {
      const { onOutput, ...rest } = handlers;
      if (onOutput === undefined) return startChild(program, args, handlers);
      return startChild(program, args, {
        ...rest,
        onOutput: (text) => held === undefined ? onOutput(text) : held.push(() => onOutput(text)),
      });
    },
    hold: () => held = [],
    letGo: () => {
      const all = held ?? [];
      held = undefined;
      for (const tell of all) tell();
    },
  };
}

inNamespace(import.meta.url, () => {
  test("what others take out is told as not in force until it is back, once each time", async () => {
    const damages: Damage[] = [];
    const changes: string[] = [];
    await using made = await makeResident([...addresses(1_000), "198.51.100.0/24"], {
      onDamage: (damage) => damages.push(damage),
      onForce: ({ judgement: { family, inForce } }) => changes.push(`${family} ${inForce}`),
    });
    const { firewall, log } = made;
    await until("it is judged", () => firewall.judgementOf(6)?.inForce === "yes");
    const [first, second] = addresses(2);
    for (
      const [args, expected, told] of [
        [["flush", "ruleset"], ["4 no", "4 yes", "6 no", "6 yes"], /table inet ampere was deleted/],
        [["delete", "table", ...TABLE], ["4 no", "4 yes", "6 no", "6 yes"], /was deleted/],
        [["flush", "set", ...TABLE, "hosts4"], ["4 partly", "4 yes"], /1000 of 1001 blocks/],
        [["delete", "element", ...TABLE, "hosts4", `{ ${first}, ${second} }`], [
          "4 partly",
          "4 yes",
        ], /[12] of 1001 blocks/],
        [["flush", "chain", ...TABLE, "incoming"], ["4 no", "4 yes"], /missing or wrong/],
        [["insert", "rule", ...TABLE, "from4", "accept"], ["4 partly", "4 yes"], /not Ampere's/],
      ] as [string[], string[], RegExp][]
    ) {
      damages.length = changes.length = log.lines.length = 0;
      const before = firewall.status().flushes;
      await nft(...args);
      await until(
        `${args.join(" ")} is told, and mended: ${changes}`,
        () => expected.every((change) => changes.includes(change)),
      );
      await firewall.idle();
      assert.equal((await elementsOf("hosts4")).length, 1_000);
      const families = new Set(expected.map((change) => change[0])).size;
      assert.ok(damages.length >= families, `${damages.length} of ${families}: ${args}`);
      assert.match(damages[0]!.message, told);
      assert.equal(firewall.status().flushes - before, damages.length);
      assert.match(log.lines.join("\n"), /warn IPv4: others changed the chain, it is repaired: /);
      assert.match(log.lines.join("\n"), /info IPv4: blocks are in force again, \d\.\d{3} s after/);
    }
    assert.equal(firewall.status().failures, 0);
  });

  test("what others delete while a change is under way is missed by nobody", async () => {
    const { start, hold, letGo } = holdable();
    await using made = await makeResident(["192.0.2.1", "192.0.2.2", "192.0.2.3"], { start });
    const { firewall, log } = made;
    hold();
    // Its answer is held back, and so is what is told of the deed of somebody else before it.
    firewall.block(forEver(["192.0.2.4"]));
    firewall.block([{ target: "192.0.2.3", until: Date.now() + 600_000 }]);
    await until("it is in the kernel", () => holds("hosts4", "192.0.2.4"));
    await nft("delete", "element", ...TABLE, "hosts4", "{ 192.0.2.2 }");
    letGo();
    await until("it is back", () => holds("hosts4", "192.0.2.2"));
    assert.match(log.lines.join("\n"), /1 of \d blocks were missing/);
    log.lines.length = 0;
    // What Ampere itself takes out is nobody else's deed.
    firewall.release(["192.0.2.1", "192.0.2.4"]);
    firewall.block([{ target: "192.0.2.3", until: undefined }]);
    await firewall.idle();
    await firewall.verify();
    assert.deepEqual(log.lines, []);
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.2", "192.0.2.3"]);
  });

  test("a monitor that hangs while nothing happens is noticed, and what it kept back mended", async () => {
    await using made = await makeResident(["192.0.2.1"], { tableClock: fastClock });
    const { firewall, log, table } = made;
    const stopped = await made.pids();
    for (const pid of stopped) Deno.kill(pid, "SIGSTOP");
    await nft("flush", "ruleset");
    await until("it is back", () => holds("hosts4", "192.0.2.1"));
    assert.match(log.lines.join("\n"), /warn nft, which stays for quick changes, has ended/);
    await until(
      "others stay",
      async () => table.isResident && (await made.pids()).every((pid) => !stopped.includes(pid)),
    );
    assert.equal(firewall.status().failures, 0);
  });

  test("a look asks the monitor whether it hears, before it believes its silence", async () => {
    await using made = await makeResident(["192.0.2.1"]);
    const { firewall } = made;
    await firewall.verify();
    for (const pid of await made.pids()) Deno.kill(pid, "SIGSTOP");
    await nft("delete", "element", ...TABLE, "hosts4", "{ 192.0.2.1 }");
    await firewall.verify();
    await firewall.idle();
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1"]);
  });

  test("a monitor that has written much is renewed, because it never gives memory back", async () => {
    await using made = await makeResident(["192.0.2.1"], { tableClock: askingClock });
    const { firewall, table, log } = made;
    const before = await made.pids();
    const many = addresses(15_000);
    for (let i = 0; i < 2; i++) {
      firewall.block(forEver(many));
      await firewall.idle();
      firewall.release(many);
      await firewall.idle();
    }
    await until(
      "another one stays",
      async () => table.isResident && (await made.pids()).every((pid) => !before.includes(pid)),
      30_000,
    );
    assert.equal((await made.pids()).length, 2);
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1"]);
    assert.deepEqual(log.lines, []);
  });

  test("a list that is too long for a monitor is put back soon, too, and gets one when it is not", async () => {
    const hosts = addresses(600);
    await using made = makeNftables({ start: startChild, monitoredMax: 500 });
    const { firewall, table, log } = made;
    await firewall.start(forEver(hosts));
    await until("it is judged", () => firewall.judgementOf(4)?.inForce === "yes");
    await nft("flush", "ruleset");
    await until("it is back", async () => (await elementsOf("hosts4")).length === 600);
    assert.match(log.lines.join("\n"), /600 of 600 blocks were missing/);
    assert.equal(table.isResident, false);
    firewall.release(hosts.slice(100));
    await firewall.idle();
    await firewall.verify();
    await until("programs stay", () => table.isResident);
  });

  test("nft does nothing if Ampere dies while it hands over a list, wherever that is", async () => {
    const pieces: string[] = [];
    const cutting: Runner = async (program, args, options = {}) => {
      if (typeof options.stdin !== "object") return await run(program, args, options);
      const stdin = [...options.stdin as Iterable<string>];
      pieces.push(...stdin.slice(0, -1));
      for (let i = 1; i < stdin.length; i++) {
        const cut = await run(program, args, { stdin: stdin.slice(0, i).join("") });
        assert.ok(!cut.ok, `a part is done: ${stdin[i - 1]!.slice(-60)}`);
      }
      return await run(program, args, { ...options, stdin: stdin.join("") });
    };
    const targets = [...addresses(5_000), "198.51.100.0/24", "10.0.0.0/8", "100.64.0.0/10"];
    const exceptions = ["198.51.100.7", "10.1.0.0/16"];
    for (let i = 0; i < 2; i++) {
      await using made = makeNftables({ run: cutting });
      made.firewall.setExceptions(exceptions);
      assert.deepEqual(await made.firewall.start(forEver(targets)), []);
      assert.equal((await elementsOf("hosts4")).length, 5_000);
      assert.deepEqual(await elementsOf("pass4_16"), ["10.1.0.0"]);
    }
    assert.ok(pieces.length >= 4, `${pieces.length}`);
  });

  test("programs stay also if the command that made the table did not end well", async () => {
    let isFirst = true;
    const failing: Runner = async (program, args, options) => {
      const result = await run(program, args, options);
      if (args[0] !== "-f" || !isFirst) return result;
      isFirst = false;
      return { ...result, ok: false, code: undefined, timedOut: true };
    };
    await using made = makeNftables({ start: startChild, run: failing });
    await made.firewall.start(forEver(["192.0.2.1"]));
    await until("they stay", () => made.table.isResident);
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1"]);
  });

  test("what keeps a table from being put back is told, with what mends it", async () => {
    await using made = await makeResident(["192.0.2.1"]);
    const { firewall, log } = made;
    await until("it is judged", () => firewall.judgementOf(4)?.inForce === "yes");
    const other = "add set inet ampere hosts4 { type inet_service; }";
    await nft(`delete table inet ampere; add table inet ampere; ${other}`);
    await until("it is told", () => /^nft delete/.test(firewall.judgementOf(4)?.advice ?? ""));
    assert.equal(firewall.judgementOf(4)?.inForce, "no");
    const [advised] = firewall.judgementOf(4)!.advice.split(" (");
    await until("it is tried again", () => firewall.status().failures > 4);
    const repaired = log.lines.filter((line) =>
      /IPv4: others changed.*missing or wrong/.test(line)
    );
    // Each text once: with the blocks that were missing, and without.
    assert.ok(repaired.length <= 2, repaired.join("\n"));
    await nft(...advised!.split(" ").slice(1));
    await firewall.verify();
    await until("it is in force", () => firewall.judgementOf(4)?.inForce === "yes");
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1"]);
  });

  test("blocks are not told as in force while the kernel refuses one", async () => {
    await using made = await makeResident(["192.0.2.1"]);
    const { firewall } = made;
    await until("it is judged", () => firewall.judgementOf(4)?.inForce === "yes");
    // A set of this name in another form: nft refuses this one network, and no other.
    await nft("add set inet ampere networks4_24 { type inet_service; }");
    await firewall.idle();
    firewall.block(forEver(["198.51.100.0/24", "192.0.2.2"]));
    await until("the host is blocked", () => holds("hosts4", "192.0.2.2"));
    await until("it is told", () => firewall.judgementOf(4)?.inForce !== "yes");
  });
});
