import assert from "node:assert/strict";
import { isLasting } from "../../src/firewall/failure.ts";
import { CHAIN_LENGTH_MAX } from "../../src/config/keys.ts";
import { type Program, run, type Runner } from "../../src/firewall/command.ts";
import { Firewall, type FirewallOptions } from "../../src/firewall/firewall.ts";
import {
  IpsetBackend,
  KERNEL_GRACE_SECONDS,
  KERNEL_TIMEOUT_MAX_SECONDS,
} from "../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import {
  addresses,
  inNamespace,
  sh,
  until,
  withChains,
  withPrograms,
} from "../support/namespace.ts";

const RULE4 =
  "-A ampere -m set --match-set ampere4 src -j REJECT --reject-with icmp-port-unreachable";
const RULE6 =
  "-A ampere -m set --match-set ampere6 src -j REJECT --reject-with icmp6-port-unreachable";

const forEver = (targets: readonly string[]) =>
  targets.map((target) => ({ target, until: undefined }));

function memoryLog() {
  const lines: string[] = [];
  const add = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { lines, debug() {}, info: add("info"), warn: add("warn"), error: add("error") };
}

/** The chain's rules. */
async function rulesOf(program: string): Promise<string[]> {
  const { out } = await sh(program, "-S", "ampere");
  return out.split("\n").filter((line) => line.startsWith("-A"));
}

/** The entries of a set with their timeouts in seconds, sorted. */
async function entriesOf(set: string): Promise<[string, number][]> {
  const { out } = await sh("ipset", "save", set);
  const entries: [string, number][] = [];
  for (const line of out.split("\n")) {
    const match = /^add \S+ (\S+) timeout (\d+)$/.exec(line);
    if (match) entries.push([match[1]!, Number(match[2])]);
  }
  return entries.sort(([a], [b]) => a < b ? -1 : 1);
}

const targetsOf = async (set: string) => (await entriesOf(set)).map(([target]) => target);
const setNames = async () =>
  (await sh("ipset", "list", "-n")).out.split("\n").filter(Boolean).sort();

function make(options: Partial<FirewallOptions> & { run?: Runner; families?: (4 | 6)[] } = {}) {
  const log = memoryLog();
  const { run: runner = run, families = [4], ...rest } = options;
  const backends = families.map((family) =>
    new IpsetBackend({ family, chain: "ampere", run: runner })
  );
  const firewall = new Firewall({ backends, log, verifyMs: 3_600_000, random: () => 0, ...rest });
  return { firewall, log };
}

/** A test that begins with two empty chains and no sets. */
function test(name: string, body: () => Promise<void>): void {
  Deno.test(`ipset: ${name}`, async () => {
    try {
      await withChains(body);
    } finally {
      await sh("ipset", "destroy");
    }
  });
}

inNamespace(import.meta.url, () => {
  test("targets are in a set of each family, and one rule looks at it", async () => {
    const { firewall, log } = make({ families: [4, 6] });
    const targets = ["192.0.2.1", "198.51.100.0/24", "2001:db8::1", "2001:db8:1::/48"];
    assert.deepEqual(await firewall.start(forEver(targets)), []);
    assert.deepEqual(await rulesOf("iptables"), [RULE4]);
    assert.deepEqual(await rulesOf("ip6tables"), [RULE6]);
    assert.deepEqual(await targetsOf("ampere4"), targets.slice(0, 2));
    assert.deepEqual(await targetsOf("ampere6"), ["2001:db8:1::/48", "2001:db8::1"]);
    firewall.block(forEver(["192.0.2.2", "192.0.2.3", "2001:db8::2"]));
    firewall.release(["192.0.2.1", "2001:db8::1"]);
    await firewall.idle();
    assert.deepEqual(await targetsOf("ampere4"), ["192.0.2.2", "192.0.2.3", "198.51.100.0/24"]);
    assert.deepEqual(await targetsOf("ampere6"), ["2001:db8:1::/48", "2001:db8::2"]);
    await firewall.verify();
    assert.deepEqual(log.lines, []);
    await firewall.stop();
    assert.deepEqual(await setNames(), ["ampere4", "ampere6"]);
  });

  test("the set has room for a million", async () => {
    const { firewall } = make();
    await firewall.start([]);
    const { out } = await sh("ipset", "list", "-t", "ampere4");
    assert.match(out, /^Type: hash:net$/m);
    assert.match(out, /family inet .*maxelem 1000000 timeout 0/);
    await firewall.stop();
  });

  test("a block ends in the kernel by itself, a little later than in Ampere", async () => {
    const { firewall } = make();
    const now = Date.now();
    const hour = now + 3_600_000;
    await firewall.start([{ target: "192.0.2.1", until: hour }, ...forEver(["192.0.2.2"])]);
    firewall.block([
      { target: "192.0.2.3", until: hour },
      { target: "192.0.2.4", until: now + KERNEL_TIMEOUT_MAX_SECONDS * 1_000 },
      { target: "192.0.2.5", until: now - 1_000 },
    ]);
    await firewall.idle();
    const timeouts = async () => Object.fromEntries(await entriesOf("ampere4"));
    const near = (actual: number | undefined, expected: number) =>
      assert.ok(actual! <= expected && actual! > expected - 10, `${actual} for ${expected}`);
    const first = await timeouts();
    near(first["192.0.2.1"], 3_600 + KERNEL_GRACE_SECONDS);
    near(first["192.0.2.3"], 3_600 + KERNEL_GRACE_SECONDS);
    near(first["192.0.2.5"], KERNEL_GRACE_SECONDS);
    // Longer than the kernel can: Ampere alone ends it.
    assert.deepEqual([first["192.0.2.2"], first["192.0.2.4"]], [0, 0]);
    // The times can be changed, in both directions.
    firewall.block([
      { target: "192.0.2.1", until: undefined },
      { target: "192.0.2.2", until: now + 600_000 },
    ]);
    await firewall.idle();
    const second = await timeouts();
    assert.equal(second["192.0.2.1"], 0);
    near(second["192.0.2.2"], 600 + KERNEL_GRACE_SECONDS);
    await firewall.stop();
  });

  test("everything is blocked by two halves, which may also be blocked by themselves", async () => {
    for (
      const [family, all, low, high] of [
        [4, "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"],
        [6, "::/0", "::/1", "8000::/1"],
      ] as const
    ) {
      const { firewall, log } = make({ families: [family] });
      const set = `ampere${family}`;
      await firewall.start(forEver([all]));
      assert.deepEqual((await targetsOf(set)).toSorted(), [low, high].sort());
      await firewall.verify();
      assert.deepEqual(log.lines, []);
      firewall.block(forEver([low]));
      await firewall.idle();
      firewall.release([all]);
      await firewall.idle();
      assert.deepEqual(await targetsOf(set), [low]);
      firewall.block(forEver([all]));
      await firewall.idle();
      firewall.release([low]);
      await firewall.idle();
      assert.equal((await targetsOf(set)).length, 2);
      await firewall.verify();
      assert.deepEqual(log.lines, []);
      assert.equal(firewall.status().applied, 1);
      firewall.release([all]);
      await firewall.idle();
      assert.deepEqual(await targetsOf(set), []);
      await firewall.stop();
    }
  });

  test("50,000 targets are there after a start, and the next start swaps them in", async () => {
    const all = forEver([...addresses(50_000), ...addresses(1_000, 6)]);
    const first = make({ families: [4, 6] });
    await first.firewall.start(all);
    await first.firewall.stop();
    assert.equal((await entriesOf("ampere4")).length, 50_000);
    assert.equal((await entriesOf("ampere6")).length, 1_000);

    // At every moment of the next start one of the blocked hosts is refused.
    const calls: [Program, ...string[]][] = [];
    const checks: boolean[] = [];
    const watching: Runner = async (program, args, options) => {
      calls.push([program, ...args]);
      const result = await run(program, args, options);
      checks.push(
        (await sh("ipset", "test", "ampere4", addresses(1)[0]!)).code === 0 &&
          (await rulesOf("iptables")).includes(RULE4),
      );
      return result;
    };
    const second = make({ run: watching });
    await second.firewall.start(all.slice(0, 20_000));
    await second.firewall.stop();
    assert.ok(checks.length >= 2 && checks.every(Boolean));
    assert.deepEqual(calls.filter((call) => call.includes("-F") || call.includes("flush")), []);
    assert.equal((await entriesOf("ampere4")).length, 20_000);
    assert.deepEqual(await setNames(), ["ampere4", "ampere6"]);
  });

  test("a start after an interrupted start, and after sets with other options", async () => {
    await sh("ipset", "create", "ampere4-t", "hash:ip");
    await sh("ipset", "add", "ampere4-t", "203.0.113.1");
    await sh("ipset", "create", "ampere4", "hash:net", "maxelem", "10");
    await sh("iptables", ...RULE4.split(" "));
    const { firewall } = make();
    assert.deepEqual(await firewall.start(forEver(["192.0.2.1"])), []);
    assert.deepEqual(await entriesOf("ampere4"), [["192.0.2.1", 0]]);
    assert.deepEqual(await setNames(), ["ampere4"]);
    await firewall.stop();
  });

  test("a set of another type under this name is told, and how to mend it", async () => {
    await sh("ipset", "create", "ampere4", "hash:ip");
    const { firewall, log } = make();
    const failures = await firewall.start(forEver(["192.0.2.1"]));
    assert.equal(failures.length, 1);
    assert.match(log.lines[0]!, /type does not match.*Fix: ipset destroy ampere4 /);
    await sh("ipset", "destroy", "ampere4");
    await until("it is mended", () => firewall.status().applied === 1);
    await firewall.stop();
  });

  test("what others do is repaired and told", async () => {
    const { firewall, log } = make();
    const targets = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    await firewall.start(forEver(targets));
    const repaired = async (said: RegExp) => {
      log.lines.length = 0;
      await firewall.verify();
      assert.deepEqual(await targetsOf("ampere4"), targets);
      assert.deepEqual(await rulesOf("iptables"), [RULE4]);
      assert.equal(log.lines.length, 1, log.lines.join("\n"));
      assert.match(log.lines[0]!, said);
    };
    await sh("iptables", "-F", "ampere");
    await repaired(/^warn IPv4: .*the rule that looks at it, was missing/);
    await sh("ipset", "flush", "ampere4");
    await repaired(/3 of 3 blocks were missing/);
    await sh("ipset", "del", "ampere4", "192.0.2.2");
    await repaired(/1 of 3 blocks were missing/);
    await sh("ipset", "add", "ampere4", "203.0.113.9");
    await repaired(/1 targets were blocked that are not in the list/);
    await sh("ipset", "add", "ampere4", "192.0.0.0/16", "nomatch");
    await repaired(/1 exceptions of blocked networks were missing or too many/);
    await sh("iptables", "-I", "ampere", "-s", "192.0.2.1", "-j", "ACCEPT");
    await repaired(/1 of the rules were not Ampere's/);
    await sh("iptables", ...RULE4.split(" "));
    await repaired(/1 of the rules were not Ampere's/);
    await sh("iptables", "-F", "ampere");
    await sh("ipset", "destroy", "ampere4");
    await repaired(/3 of 3 blocks were missing/);
    // Also when it is noticed by a command that fails.
    await sh("iptables", "-F", "ampere");
    await sh("ipset", "destroy", "ampere4");
    firewall.block(forEver(["192.0.2.4"]));
    await firewall.idle();
    assert.deepEqual(await targetsOf("ampere4"), [...targets, "192.0.2.4"]);
    assert.deepEqual(await rulesOf("iptables"), [RULE4]);
    await firewall.stop();
  });

  test("the longest names of chains that iptables takes are long enough for its sets", async () => {
    assert.notEqual((await sh("iptables", "-N", "c".repeat(CHAIN_LENGTH_MAX + 1))).code, 0);
    for (const length of [CHAIN_LENGTH_MAX - 1, CHAIN_LENGTH_MAX]) {
      const chain = "c".repeat(length);
      for (const program of ["iptables", "ip6tables"]) {
        assert.equal((await sh(program, "-N", chain)).code, 0);
      }
      const log = memoryLog();
      const backends = ([4, 6] as const).map((family) => new IpsetBackend({ family, chain }));
      const firewall = new Firewall({ backends, log, verifyMs: 3_600_000 });
      assert.deepEqual(await firewall.start(forEver(["192.0.2.1", "2001:db8::1"])), []);
      firewall.block(forEver(["192.0.2.2"]));
      await firewall.verify();
      assert.deepEqual(await targetsOf(`${chain}4`), ["192.0.2.1", "192.0.2.2"]);
      assert.deepEqual(await targetsOf(`${chain}6`), ["2001:db8::1"]);
      assert.deepEqual(log.lines, []);
      await firewall.stop();
      for (const program of ["iptables", "ip6tables"]) {
        await sh(program, "-F", chain);
        await sh(program, "-X", chain);
      }
      for (const family of [4, 6]) await sh("ipset", "destroy", `${chain}${family}`);
    }
  });

  test("an unchanged set is not read again", async () => {
    const calls: string[] = [];
    const recording: Runner = (program, args, options) => {
      calls.push([program, ...args].join(" "));
      return run(program, args, options);
    };
    const { firewall } = make({ run: recording });
    await firewall.start(forEver(["192.0.2.1"]));
    await firewall.verify();
    calls.length = 0;
    await firewall.verify();
    assert.deepEqual(calls, ["iptables -w 4 -S ampere", "ipset list -t ampere4"]);
    await firewall.stop();
  });

  test("there and back again: the backend is changed, and nothing is left over", async () => {
    const targets = ["192.0.2.1", "192.0.2.2"];
    const iptables = () =>
      new Firewall({
        backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
        log: memoryLog(),
        verifyMs: 3_600_000,
      });
    const before = iptables();
    await before.start(forEver(targets));
    await before.stop();
    const rules = await rulesOf("iptables");
    const { firewall } = make();
    assert.deepEqual(await firewall.start(forEver(targets)), []);
    assert.deepEqual(await rulesOf("iptables"), [RULE4]);
    await firewall.stop();
    const after = iptables();
    await after.start(forEver(targets));
    assert.deepEqual(await rulesOf("iptables"), rules);
    assert.deepEqual(await setNames(), []);
    await after.stop();
  });

  test("a missing chain, and a missing program, are told with what mends them", async () => {
    await sh("iptables", "-X", "ampere");
    const first = make();
    const [failure] = await first.firewall.start(forEver(["192.0.2.1"]));
    assert.deepEqual([failure?.kind, isLasting(failure!)], ["no-chain", true]);
    assert.match(first.log.lines[0]!, /Fix: iptables -N ampere && iptables -I INPUT/);
    await sh("iptables", "-N", "ampere");
    await first.firewall.verify();
    await first.firewall.idle();
    assert.deepEqual(await rulesOf("iptables"), [RULE4]);
    await first.firewall.stop();

    const folder = await Deno.makeTempDir();
    await Deno.symlink("/usr/sbin/xtables-nft-multi", `${folder}/iptables`);
    const path = Deno.env.get("PATH")!;
    Deno.env.set("PATH", folder);
    const second = make();
    const [missing] = await second.firewall.start([]);
    Deno.env.set("PATH", path);
    await second.firewall.stop();
    assert.deepEqual([missing?.kind, isLasting(missing!)], ["missing-program", true]);
    assert.match(missing!.advice, /apt-get install ipset.*"backend = iptables"/);
    await Deno.remove(folder, { recursive: true });
  });

  test("a set without room is told, and blocks that end make room", async () => {
    const { firewall, log } = make();
    await firewall.start([]);
    // The same set, but small; the kernel's answer is the same with a million.
    await sh("ipset", "create", "small", "hash:net", "maxelem", "3", "timeout", "0");
    await sh("ipset", "swap", "small", "ampere4");
    const targets = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    firewall.block(forEver(targets));
    await firewall.idle();
    assert.deepEqual(await targetsOf("ampere4"), targets.slice(0, 3));
    assert.match(log.lines[0]!, /^error 192.0.2.4 could not be blocked.*is full.*ampere -d/);
    firewall.release(["192.0.2.1"]);
    await firewall.idle();
    await until("the last one has its place", () => firewall.status().rejected === 0);
    assert.deepEqual(await targetsOf("ampere4"), targets.slice(1));
    await firewall.stop();
  });

  test("a command that is killed in the middle leaves nothing wrong", async () => {
    const all = addresses(30_000);
    let kills = 0;
    const impatient: Runner = (program, args, options) => {
      const late = program === "ipset" && args[0] === "restore" && kills < 8;
      return run(program, args, { ...options, timeoutMs: late ? 2 + 12 * kills++ : 10_000 });
    };
    const { firewall } = make({ run: impatient });
    await firewall.start(forEver(all.slice(0, 10_000)));
    firewall.block(forEver(all.slice(10_000)));
    firewall.release(all.slice(0, 1_000));
    await firewall.idle();
    assert.deepEqual(await targetsOf("ampere4"), all.slice(1_000).sort());
    assert.ok(firewall.status().failures > 0);
    await firewall.stop();
  });

  test("a host that is blocked cannot reach a port, another can", async () => {
    assert.equal((await sh("ip", "link", "set", "lo", "up")).code, 0);
    await sh("iptables", "-I", "INPUT", "-j", "ampere");
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const served = (async () => {
      for await (const connection of listener) connection.close();
    })();
    const { firewall } = make();
    await firewall.start([]);
    firewall.block(forEver(["127.0.0.2"]));
    await firewall.idle();
    const connect = async (source: string) =>
      (await sh(
        "bash",
        "-c",
        `ip route replace local 127.0.0.1 dev lo src ${source} &&
        exec 3<>/dev/tcp/127.0.0.1/${port}`,
      )).code;
    assert.equal(await connect("127.0.0.3"), 0);
    assert.notEqual(await connect("127.0.0.2"), 0);
    firewall.release(["127.0.0.2"]);
    await firewall.idle();
    assert.equal(await connect("127.0.0.2"), 0);
    listener.close();
    await served;
    await sh("iptables", "-D", "INPUT", "-j", "ampere");
    await firewall.stop();
  });
});

Deno.test("ipset: programs that only answer 0 are told all that they need", async () => {
  const folder = await Deno.makeTempDir();
  const stub = `#!/bin/sh\necho "$\{0##*/} $*" >> ${folder}/log\n` +
    `[ "$1" = restore ] && cat >> ${folder}/log\nexit 0\n`;
  await using _ = await withPrograms({ iptables: stub, ipset: stub });
  const { firewall, log } = make();
  assert.deepEqual(await firewall.start(forEver(["192.0.2.1"])), []);
  firewall.block(forEver(["192.0.2.2"]));
  await firewall.idle();
  await firewall.verify();
  await firewall.verify();
  await firewall.stop();
  const said = (await Deno.readTextFile(`${folder}/log`)).trim().split("\n");
  // The chain is looked at while the set is filled: in which order that is written down is not
  // certain.
  const isChain = (line: string) => line.startsWith("iptables");
  assert.deepEqual(said.filter((line) => !isChain(line)), [
    "ipset restore -exist",
    "destroy ampere4-t",
    "create ampere4-t hash:net family inet hashsize 4096 maxelem 1000000 timeout 0",
    "add ampere4-t 192.0.2.1",
    "create ampere4 hash:net family inet hashsize 4096 maxelem 1000000 timeout 0",
    "swap ampere4-t ampere4",
    "destroy ampere4-t",
    "ipset restore -exist",
    "add ampere4 192.0.2.2 timeout 0",
  ]);
  assert.deepEqual(said.filter(isChain), [
    "iptables -w 4 -S ampere",
    `iptables -w 4 ${RULE4}`,
    "iptables -w 4 -S ampere",
    "iptables -w 4 -S ampere",
  ]);
  assert.equal(log.lines.length, 1);
  await Deno.remove(folder, { recursive: true });
});
