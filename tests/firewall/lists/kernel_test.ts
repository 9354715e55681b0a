/** Lists in the real kernel, by nftables and by ipset. */

import assert from "node:assert/strict";
import { expectNetwork } from "../../../src/address/address.ts";
import { TargetSetBuilder } from "../../../src/address/target_set.ts";
import { startChild } from "../../../src/firewall/child.ts";
import { IpsetBackend } from "../../../src/firewall/ipset.ts";
import type { KernelList, ListBackend } from "../../../src/firewall/lists/backend.ts";
import { IpsetLists } from "../../../src/firewall/lists/ipset.ts";
import { KernelLists } from "../../../src/firewall/lists/lists.ts";
import { NftLists } from "../../../src/firewall/lists/nftables.ts";
import { openWithLists } from "../../../src/firewall/nftables/open.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { inNamespace, sh, until, withChains } from "../../support/namespace.ts";

function setOf(...targets: string[]) {
  const builder = new TargetSetBuilder();
  for (const target of targets) builder.add(expectNetwork(target));
  return builder.build();
}

function list(name: string, targets: readonly string[], ports?: readonly number[]): KernelList {
  return { name, ports, set: setOf(...targets) };
}

const ONE = list("one", ["203.0.113.0/24", "198.51.100.7", "2001:db8:1::/48"]);
const SIP = list("for-sip", ["192.0.2.9"], [5060, 5061]);

/** What each firewall has for the tests. */
interface Kind {
  readonly name: string;
  open(): Promise<ListBackend>;
  /** Names of lists whose sets are there. */
  sets(): Promise<string>;
  /** What a stranger to Ampere may do. */
  readonly harm: readonly string[];
}

const KINDS: readonly Kind[] = [
  {
    name: "nftables",
    open: () => Promise.resolve(new NftLists({ table: "ampere" })),
    sets: async () => (await sh("nft", "list", "ruleset")).out,
    harm: ["nft", "flush", "ruleset"],
  },
  {
    name: "ipset",
    open: async () => {
      const backends = ([4, 6] as const).map((family) =>
        new IpsetBackend({ family, chain: "ampere" })
      );
      for (const backend of backends) await backend.replace([]);
      return new IpsetLists({ chain: "ampere", backends });
    },
    sets: async () => {
      const rules = await Promise.all(
        ["iptables", "ip6tables"].map((program) => sh(program, "-S", "ampere")),
      );
      return (await sh("ipset", "save")).out + rules.map(({ out }) => out).join("");
    },
    harm: ["iptables", "-F", "ampere"],
  },
];

/** A test that begins with nothing in the kernel. */
function test(kind: Kind, name: string, body: () => Promise<void>): void {
  Deno.test(`${kind.name}: ${name}`, async () => {
    await sh("nft", "flush", "ruleset");
    try {
      await withChains(body);
    } finally {
      await sh("nft", "flush", "ruleset");
      await sh("ipset", "destroy");
    }
  });
}

inNamespace(import.meta.url, () => {
  for (const kind of KINDS) {
    test(kind, "lists come, change and leave; nothing of them is left", async () => {
      const lists = await kind.open();
      const before = await kind.sets();
      assert.equal(await lists.replace([ONE, SIP], ["203.0.113.5", "203.0.113.64/26"]), undefined);
      let there = await kind.sets();
      for (const part of ["198.51.100.7", "192.0.2.9", "203.0.113.5", "2001:db8:1::"]) {
        assert(there.includes(part), `${part} in ${there}`);
      }
      assert.match(there, /5060, ?5061/);
      const seen = await lists.look();
      assert(seen.ok && seen.whole, JSON.stringify(seen));
      assert.deepEqual(
        [...seen.counts].toSorted(),
        [["for-sip", { packets: 0, bytes: 0 }], ["one", { packets: 0, bytes: 0 }]],
      );
      // One stays, the other one has other entries, and another one passes.
      const changed = list("one", ["198.51.100.8"]);
      assert.equal(await lists.replace([changed, SIP], ["203.0.113.6"]), undefined);
      there = await kind.sets();
      assert(there.includes("198.51.100.8") && there.includes("192.0.2.9"), there);
      assert.doesNotMatch(there, /198\.51\.100\.7|203\.0\.113\.5|2001:db8:1::/);
      assert.equal(await lists.setPass(["2001:db8::/64"]), undefined);
      there = await kind.sets();
      assert(there.includes("2001:db8::") && !there.includes("203.0.113.6"), there);
      const whole = await lists.look();
      assert(whole.ok && whole.whole);
      assert.equal(await lists.replace([], []), undefined);
      assert.equal(strip(await kind.sets()), strip(before));
      lists.close();
    });

    test(
      kind,
      "what an earlier life has left is taken over without a gap, and kept right",
      async () => {
        const first = await kind.open();
        assert.equal(await first.replace([ONE, SIP], []), undefined);
        first.close();
        const second = await kind.open();
        // Both generations, or the set and its successor, are never there for long.
        assert.equal(await second.replace([list("one", ["198.51.100.9"])], []), undefined);
        const there = await kind.sets();
        assert(there.includes("198.51.100.9"), there);
        assert.doesNotMatch(there, /198\.51\.100\.7|192\.0\.2\.9|for_sip/);
        const seen = await second.look();
        assert(seen.ok && seen.whole);
        second.close();
      },
    );

    test(kind, "what others take away is noticed, told, and made again", async () => {
      const clock = new FakeClock();
      const lines: string[] = [];
      const say = (message: string) => void lines.push(message);
      const kernel = new KernelLists({
        backend: await kind.open(),
        log: { info: say, warn: say, error: say },
        clock,
        verifyMs: 5_000,
      });
      kernel.set([ONE, SIP], []);
      await until("both are in force", () => Promise.resolve(kernel.inForce.length === 2));
      const [program, ...args] = kind.harm;
      assert.equal((await sh(program!, ...args)).code, 0);
      await clock.advance(5_000);
      kernel.look();
      await until("it is noticed", () => Promise.resolve(lines.length > 1));
      assert.match(lines[0]!, /^the kernel refuses who is on the lists one \(3\), for-sip \(1\); /);
      assert.match(lines[1]!, /somebody else has changed what refuses the hosts of feeds/);
      await until("both are in force again", () => Promise.resolve(kernel.inForce.length === 2));
      assert((await kind.sets()).includes("198.51.100.7"));
      // Where it is known that others have changed something nobody waits for the next look.
      assert.equal((await sh(program!, ...args)).code, 0);
      const said = lines.length;
      kernel.lookAtOnce();
      await until("it is noticed at once", () => Promise.resolve(lines.length > said));
      await until("both are in force again", () => Promise.resolve(kernel.inForce.length === 2));
      kernel.close();
    });
  }

  test(KINDS[1]!, "a set that others have emptied is noticed, and filled again", async () => {
    const lists = await KINDS[1]!.open();
    assert.equal(await lists.replace([ONE, SIP], ["203.0.113.5"]), undefined);
    assert.equal((await sh("ipset", "flush")).code, 0);
    const seen = await lists.look();
    assert(seen.ok && !seen.whole);
    assert.equal(await lists.replace([ONE, SIP], ["203.0.113.5"]), undefined);
    const there = await KINDS[1]!.sets();
    for (const part of ["198.51.100.7", "192.0.2.9", "203.0.113.5", "2001:db8:1::"]) {
      assert(there.includes(part), `${part} in ${there}`);
    }
    const again = await lists.look();
    assert(again.ok && again.whole);
    lists.close();
  });

  Deno.test("nftables: a single element that others delete, or add, is noticed by the monitor", async () => {
    const clock = new FakeClock();
    const lines: string[] = [];
    const say = (message: string) => void lines.push(message);
    const { backends, lists } = openWithLists({ chain: "ampere", start: startChild });
    for (const backend of backends) assert((await backend.replace([])).ok);
    const kernel = new KernelLists({
      backend: lists,
      log: { info: say, warn: say, error: say },
      clock,
      verifyMs: 3_600_000,
    });
    const there = async () => (await sh("nft", "list", "table", "inet", "ampere_lists")).out;
    kernel.look();
    kernel.set([ONE, SIP], ["203.0.113.5"]);
    await until("both are in force", () => Promise.resolve(kernel.inForce.length === 2));
    kernel.look();
    await clock.advance(3_600_000);
    kernel.look();
    // Nothing of the own changes is taken for one of others.
    await until(
      "the monitor listens",
      async () => (await sh("pgrep", "-f", "j monitor")).code === 0,
    );
    for (let i = 0; i < 5; i++) {
      kernel.setPass(i % 2 === 0 ? ["203.0.113.6"] : ["203.0.113.5"]);
      await until("it is changed", async () => (await there()).includes(`203.0.113.${6 - i % 2}`));
      await clock.advance(30_000);
      kernel.look();
    }
    assert.equal(lines.length, 1, lines.join("\n"));
    for (const [verb, address] of [["delete", "198.51.100.7"], ["add", "192.0.2.200"]] as const) {
      lines.splice(1);
      const [set] = /f_one_4[ab]_32/.exec(await there())!;
      const changed = await sh(
        ...["nft", verb, "element", "inet", "ampere_lists", set, `{ ${address} }`] as const,
      );
      assert.equal(changed.code, 0, changed.err);
      await until("it is noticed", async () => {
        await clock.advance(1_000);
        kernel.look();
        return lines.some((line) => line.startsWith("somebody else has changed"));
      });
      await until("all is there again", async () => {
        const text = await there();
        return text.includes("198.51.100.7") && !text.includes("192.0.2.200");
      });
      await until("that is told", () => Promise.resolve(lines.length === 3));
    }
    kernel.close();
    for (const backend of backends) backend.close?.();
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("nftables: a program that fails is tried again, and nothing is told as in force", async () => {
    const clock = new FakeClock();
    const lines: string[] = [];
    const say = (message: string) => void lines.push(message);
    let fails = true;
    const { run } = await import("../../../src/firewall/command.ts");
    const backend = new NftLists({
      table: "ampere",
      run: (program, args, options) =>
        fails ? run(program, ["no-such-command"], options) : run(program, args, options),
    });
    const kernel = new KernelLists({
      backend,
      log: { info: say, warn: say, error: say },
      clock,
      verifyMs: 5_000,
    });
    kernel.set([ONE], []);
    await until("it has failed", () => Promise.resolve(kernel.trouble !== undefined));
    assert.deepEqual(kernel.inForce, []);
    assert.match(lines[0]!, /^the lists of feeds are not in the kernel as they should be: /);
    fails = false;
    await until("it is in force", async () => {
      await clock.advance(1_000);
      return kernel.inForce.length === 1;
    });
    assert.equal(kernel.trouble, undefined);
    assert.equal(lines[1], "the lists of feeds are in the kernel again");
    kernel.close();
    await sh("nft", "flush", "ruleset");
  });
});

/** What differs each time that a set is made. */
function strip(text: string): string {
  return text.replaceAll(/ initval \S+/g, "").replaceAll(/hashsize \d+/g, "");
}
