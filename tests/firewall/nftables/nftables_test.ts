import assert from "node:assert/strict";
import { type Clock, systemClock } from "../../../src/clock.ts";
import { type Child, type ChildStarter, startChild } from "../../../src/firewall/child.ts";
import { run, type Runner } from "../../../src/firewall/command.ts";
import { isLasting } from "../../../src/firewall/failure.ts";
import { KERNEL_GRACE_SECONDS } from "../../../src/firewall/ipset.ts";
import { NftablesBackend } from "../../../src/firewall/nftables/nftables.ts";
import { openNftables } from "../../../src/firewall/nftables/open.ts";
import { NftTable } from "../../../src/firewall/nftables/table.ts";
import {
  addresses,
  inNamespace,
  passes,
  sh,
  until,
  withPrograms,
} from "../../support/namespace.ts";
import {
  childrenOf,
  elementsOf,
  forEver,
  holds,
  makeNftables as make,
  makeResident,
} from "../../support/nftables.ts";
import { Peer } from "../../support/peer.ts";

/** Listens to what the kernel says of changes, in the words for people. */
function startMonitor(take: (text: string) => void): AsyncDisposable {
  const monitor = new Deno.Command("nft", { args: ["monitor"], stdout: "piped" }).spawn();
  const reading = (async () => {
    for await (const text of monitor.stdout.pipeThrough(new TextDecoderStream())) take(text);
  })();
  return {
    async [Symbol.asyncDispose]() {
      monitor.kill();
      await Promise.all([monitor.status, reading]);
    },
  };
}

/** A test that begins without rules. */
function test(name: string, body: () => Promise<void>): void {
  Deno.test(`nftables: ${name}`, async () => {
    try {
      await body();
    } finally {
      await sh("nft", "flush", "ruleset");
    }
  });
}

inNamespace(import.meta.url, () => {
  test("targets are in sets of their family and length, and rules look at those", async () => {
    await using made = make();
    const { firewall, log } = made;
    const targets = ["192.0.2.1", "198.51.100.0/24", "2001:db8::1", "2001:db8:1::/48"];
    assert.deepEqual(await firewall.start(forEver(targets)), []);
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1"]);
    assert.deepEqual(await elementsOf("networks4_24"), ["198.51.100.0"]);
    assert.deepEqual(await elementsOf("hosts6"), ["2001:db8::1"]);
    assert.deepEqual(await elementsOf("networks6_48"), ["2001:db8:1::"]);
    firewall.block(forEver(["192.0.2.2", "203.0.112.0/23", "2001:db8::2"]));
    firewall.release(["192.0.2.1", "2001:db8::1", "198.51.100.0/24"]);
    await firewall.idle();
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.2"]);
    assert.deepEqual(await elementsOf("networks4_24"), []);
    assert.deepEqual(await elementsOf("networks4_23"), ["203.0.112.0"]);
    assert.deepEqual(await elementsOf("hosts6"), ["2001:db8::2"]);
    await firewall.verify();
    assert.deepEqual(log.lines, []);
  });

  test("packets of hosts and networks are refused, those of exceptions and of this machine pass", async () => {
    await using peer = await Peer.make();
    await using made = make();
    const { firewall } = made;
    const reached = ["192.0.2.9", "100.64.0.1", "2001:db8:0:2::1", "8.0.0.1"];
    const refused = ["192.0.2.1", "198.51.100.7", "172.21.9.9", "203.0.113.200", "2001:db8::1"];
    const friends = ["198.51.100.8", "203.0.113.70", "2001:db8:0:1::8"];
    firewall.setExceptions([...friends.slice(0, 1), "203.0.113.64/28", ...friends.slice(2)]);
    const targets = ["192.0.2.1", "198.51.100.0/24", "172.16.0.0/12", "203.0.113.0/24"];
    const targets6 = ["2001:db8::1", "2001:db8:0:1::/64"];
    assert.deepEqual(await firewall.start(forEver([...targets, ...targets6])), []);
    await firewall.idle();
    for (const address of [...reached, ...friends]) assert.ok(await peer.reaches(address), address);
    for (const address of [...refused, "2001:db8:0:1::7"]) {
      assert.ok(!await peer.reaches(address), address);
    }
    // Wider than what the look at the neighbourhood knows.
    firewall.block(forEver(["8.0.0.0/6", "3000::/8"]));
    firewall.release(["172.16.0.0/12", "203.0.113.0/24"]);
    await firewall.idle();
    assert.ok(!await peer.reaches("8.0.0.1"));
    assert.ok(!await peer.reaches("30ff::1"));
    assert.ok(await peer.reaches("172.21.9.9"));
    assert.ok(await peer.reaches("203.0.113.200"));
    // All there is, but for one; this machine can go on talking to itself.
    firewall.block(forEver(["0.0.0.0/0"]));
    firewall.setExceptions(["100.64.0.1"]);
    await firewall.idle();
    assert.ok(!await peer.reaches("100.64.0.2"));
    assert.ok(await peer.reaches("100.64.0.1"));
    assert.ok(await passes("127.0.0.1"));
  });

  test("the chain stands before connection tracking, and before it is known where packets go", async () => {
    await using made = make();
    const { firewall } = made;
    const { out } = await sh("nft", "list", "ruleset");
    assert.equal(out, "");
    await firewall.start([]);
    const chain = (await sh("nft", "list", "chain", "inet", "ampere", "incoming")).out;
    assert.match(chain, /hook prerouting priority raw - 10; policy accept;/);
  });

  test("a block ends in the kernel by itself, a little later than in Ampere", async () => {
    await using made = make();
    const { firewall } = made;
    const now = Date.now();
    const in10 = now + 600_000;
    await firewall.start([{ target: "192.0.2.1", until: in10 }, ...forEver(["192.0.2.2"])]);
    firewall.block([
      { target: "192.0.2.3", until: in10 },
      { target: "192.0.2.4", until: now + 101 * 366 * 86_400_000 },
      { target: "192.0.2.5", until: now - 1_000 },
    ]);
    await firewall.idle();
    const minutes = `10m${KERNEL_GRACE_SECONDS}s`;
    const near = [minutes, `10m${KERNEL_GRACE_SECONDS - 1}s`, `10m${KERNEL_GRACE_SECONDS - 2}s`];
    const ends = async () =>
      Object.fromEntries((await elementsOf("hosts4")).map((e) => e.split(" timeout ")));
    const first = await ends();
    assert.ok(near.includes(first["192.0.2.1"]), first["192.0.2.1"]);
    assert.ok(near.includes(first["192.0.2.3"]), first["192.0.2.3"]);
    assert.equal(first["192.0.2.5"], `${KERNEL_GRACE_SECONDS}s`);
    assert.deepEqual([first["192.0.2.2"], first["192.0.2.4"]], [undefined, undefined]);
    // The times can be changed, in both directions.
    firewall.block([
      { target: "192.0.2.1", until: undefined },
      { target: "192.0.2.2", until: now + 600_000 },
    ]);
    await firewall.idle();
    const second = await ends();
    assert.equal(second["192.0.2.1"], undefined);
    assert.ok(near.includes(second["192.0.2.2"]), second["192.0.2.2"]);
  });

  test("50,000 targets are there after a start, and stay so during the next one", async () => {
    const all = forEver([...addresses(50_000), ...addresses(1_000, 6)]);
    await using first = make();
    await first.firewall.start(all);
    await first.stop();
    const checks: boolean[] = [];
    const commands: string[] = [];
    const watching: Runner = async (program, args, options) => {
      commands.push(args.join(" "));
      const running = run(program, args, options);
      checks.push(await holds("hosts4", addresses(1)[0]!));
      const result = await running;
      checks.push(await holds("hosts4", addresses(1)[0]!));
      return result;
    };
    await using second = make({ run: watching });
    await second.firewall.start(all.slice(0, 20_000));
    await second.stop();
    assert.ok(checks.length >= 4 && checks.every(Boolean));
    // One transaction for each family.
    assert.deepEqual(commands, ["-f -", "-f -"]);
    assert.equal((await elementsOf("hosts4")).length, 20_000);
    assert.equal((await elementsOf("hosts6")).length, 0);
  });

  test("a very long list fills sets of its own, which then take the place of the others", async () => {
    await using few = make();
    await few.firewall.start(forEver(["192.0.2.1", "11.0.0.1", "198.51.100.0/24"]));
    await few.stop();
    const checks: boolean[] = [];
    const watching: Runner = async (program, args, options) => {
      const running = run(program, args, options);
      const isThere = async () =>
        (await holds("hosts4", "11.0.0.1")) || (await holds("hosts4b", "11.0.0.1"));
      checks.push(await isThere());
      const result = await running;
      checks.push(await isThere());
      return result;
    };
    const hosts = Array.from(
      { length: 2_500 },
      (_, i) => `11.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
    );
    await using many = make({ run: watching, transactionMax: 1_000 });
    await many.firewall.start(forEver([...hosts, "203.0.113.0/24"]));
    assert.ok(checks.length >= 6 && checks.every(Boolean));
    assert.equal(await holds("hosts4b", "11.0.9.195"), true);
    assert.equal(await holds("networks4b_24", "203.0.113.0"), true);
    assert.equal((await sh("nft", "list", "set", "inet", "ampere", "hosts4")).code, 1);
    await many.firewall.verify();
    assert.equal(many.firewall.status().applied, 2_501);
    assert.deepEqual(many.log.lines, []);
    many.firewall.block(forEver(["192.0.2.7"]));
    await many.firewall.idle();
    assert.deepEqual(await holds("hosts4b", "192.0.2.7"), true);
    await many.stop();

    await using again = make();
    await again.firewall.start(forEver(["192.0.2.1"]));
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1"]);
    assert.equal((await sh("nft", "list", "set", "inet", "ampere", "hosts4b")).code, 1);
    await again.firewall.verify();
    assert.deepEqual(again.log.lines, []);
    await again.stop();
  });

  test("a length that comes back does not bring old networks with it", async () => {
    await using first = make();
    await first.firewall.start(forEver(["198.51.100.0/24"]));
    await first.stop();
    await using second = make();
    await second.firewall.start([]);
    assert.equal(second.firewall.status().applied, 0);
    second.firewall.block(forEver(["203.0.113.0/24"]));
    await second.firewall.idle();
    assert.deepEqual(await elementsOf("networks4_24"), ["203.0.113.0"]);
    await second.firewall.verify();
    assert.deepEqual(second.log.lines, []);
    await second.stop();
  });

  test("what others do to the table is found and mended", async () => {
    const targets = ["192.0.2.1", "192.0.2.2", "198.51.100.0/24", "2001:db8::1"];
    await using made = make();
    const { firewall, log } = made;
    await firewall.start(forEver(targets));
    const mends = async (what: string, told: RegExp, ...commands: string[][]) => {
      for (const args of commands) {
        const { code, err } = await sh("nft", ...args);
        assert.equal(code, 0, err);
      }
      log.lines.length = 0;
      await firewall.verify();
      await firewall.idle();
      assert.match(log.lines.join("\n"), told, what);
      assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1", "192.0.2.2"], what);
      assert.deepEqual(await elementsOf("networks4_24"), ["198.51.100.0"], what);
      log.lines.length = 0;
      await firewall.verify();
      await firewall.idle();
      assert.deepEqual(log.lines, [], what);
    };
    const table = ["inet", "ampere"];
    await mends("flush", /3 of 3 blocks were missing .*IPv6/s, ["flush", "ruleset"]);
    await mends("delete", /3 of 3 blocks were missing/, ["delete", "table", ...table]);
    await mends("set", /2 of 3 blocks were missing/, ["flush", "set", ...table, "hosts4"]);
    await mends("near", /missing or wrong/, ["flush", "set", ...table, "near4"]);
    await mends("chain", /missing or wrong/, ["flush", "chain", ...table, "from4"]);
    await mends("hook", /missing or wrong/, ["flush", "chain", ...table, "incoming"]);
    await mends("networks", /1 of 3 blocks were missing/, [
      "flush",
      "chain",
      ...table,
      "networks4",
    ]);
    await mends("element", /1 targets were blocked that are not in the list/, [
      "add",
      "element",
      ...table,
      "hosts4",
      "{ 203.0.113.5 }",
    ]);
    await mends("rule", /1 of the rules were not Ampere's \("from4: counter/, [
      "insert",
      "rule",
      ...table,
      "from4",
      "counter accept",
    ]);
    await mends("dormant", /missing or wrong/, ["add", "table", ...table, "{ flags dormant; }"]);
  });

  test("iptables empties its own rules only", async () => {
    await using made = make();
    const { firewall, log } = made;
    await firewall.start(forEver(["192.0.2.1"]));
    for (const args of [["-N", "other"], ["-A", "INPUT", "-j", "other"], ["-F"], ["-X"]]) {
      assert.equal((await sh("iptables", ...args)).code, 0);
    }
    assert.equal((await sh("iptables-restore", "/dev/null")).code, 0);
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1"]);
    await firewall.verify();
    assert.deepEqual(log.lines, []);
  });

  test("a table of that name in another form is not taken for Ampere's", async () => {
    const foreign = "add table inet ampere; add set inet ampere hosts4 { type inet_service; }";
    assert.equal((await sh("nft", foreign)).code, 0);
    await using made = make();
    const { firewall } = made;
    const [failure] = await firewall.start(forEver(["192.0.2.1"]));
    assert.equal(failure?.kind, "refused");
    assert.match(failure!.advice, /^nft delete table inet ampere /);
    assert.equal((await sh("nft", "delete", "table", "inet", "ampere")).code, 0);
    await firewall.verify();
    await firewall.idle();
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1"]);
  });

  test("a machine without nft is told so", async () => {
    const path = Deno.env.get("PATH")!;
    await using made = make();
    const { firewall } = made;
    Deno.env.set("PATH", "/nowhere");
    try {
      const failures = await firewall.start(forEver(["192.0.2.1"]));
      assert.deepEqual(failures.map(({ kind }) => kind), ["missing-program", "missing-program"]);
      assert.match(failures[0]!.advice, /apt-get install nftables/);
      assert.ok(isLasting(failures[0]!));
    } finally {
      Deno.env.set("PATH", path);
    }
  });

  test("nothing but addresses reaches nft", async () => {
    const table = new NftTable({ name: "ampere" });
    const backend = new NftablesBackend({ family: 4, table });
    const bad = "192.0.2.1 }; flush ruleset; #";
    const entry = { target: bad, until: undefined };
    for (
      const outcome of [
        await backend.replace([entry]),
        await backend.replace([], undefined, [bad]),
        await backend.block([entry]),
        await backend.release([bad]),
        await backend.except([bad], []),
        await backend.except([], [bad]),
      ]
    ) assert.match(outcome.ok ? "" : outcome.failure.message, /not handed to the firewall/);
    backend.close();
    assert.equal((await sh("nft", "list", "ruleset")).out, "");
  });

  test("a name that nft would not take is changed", async () => {
    const [backend, other] = openNftables({ chain: "1:voip.x-y" });
    assert.deepEqual(await backend!.replace([]), { ok: true, done: 0 });
    assert.match((await sh("nft", "list", "tables")).out, /^table inet _1_voip\.x-y$/m);
    backend!.close();
    other!.close();
    // A word of nft: it is told what to do.
    const [word, other6] = openNftables({ chain: "counter" });
    const outcome = await word!.replace([]);
    assert.match(outcome.failure?.advice ?? "", /choose another name for "chain"/);
    word!.close();
    other6!.close();
  });

  // The programs that stay

  test("changes go through the programs that stay, whatever is there already", async () => {
    const commands: string[] = [];
    const counting: Runner = (program, args, options) => {
      commands.push(args.join(" "));
      return run(program, args, options);
    };
    const applied: string[] = [];
    await using made = await makeResident(["192.0.2.1", "198.51.100.0/24"], {
      run: counting,
      onApplied: (targets) => applied.push(...targets),
    });
    const { firewall, log, pids } = made;
    assert.equal((await pids()).length, 2);
    commands.length = 0;
    firewall.block(forEver(["192.0.2.2", "198.51.101.0/24"]));
    await firewall.idle();
    assert.deepEqual(applied, ["192.0.2.2", "198.51.101.0/24"]);
    // Others have added it, and others have removed it: neither keeps the answer away.
    await sh("nft", "add", "element", "inet", "ampere", "hosts4", "{ 192.0.2.3 }");
    firewall.block(forEver(["192.0.2.3"]));
    firewall.block([{ target: "192.0.2.2", until: Date.now() + 600_000 }]);
    await firewall.idle();
    await sh("nft", "delete", "element", "inet", "ampere", "hosts4", "{ 192.0.2.3 }");
    firewall.release(["192.0.2.3"]);
    await firewall.idle();
    const [, second] = await elementsOf("hosts4");
    assert.match(second ?? "", /^192\.0\.2\.2 timeout 10m/);
    assert.deepEqual(commands.filter((command) => command.startsWith("-f")), []);
    assert.equal(firewall.status().failures, 0);
    assert.deepEqual(log.lines.filter((line) => !/others changed|in force again/.test(line)), []);
    await made.stop();
    assert.deepEqual(await pids(), []);
  });

  test("what nft reads ahead changes nothing, so that it need not be read again", async () => {
    const written: string[] = [];
    let feeder: Child | undefined;
    const listening: ChildStarter = (...start) => {
      const child = startChild(...start);
      if (start[1][0] === "-i") feeder = child;
      return { ...child, write: (text) => (written.push(text), child.write(text)) };
    };
    await using made = await makeResident(["192.0.2.1"], { start: listening });
    const { firewall } = made;
    let seen = "";
    await using _monitor = startMonitor((text) => seen += text);
    const generations = () => seen.match(/^# new generation/gm)?.length ?? 0;
    // Until it listens.
    await until("the monitor tells", async () => {
      await sh("nft", "add set inet ampere heard { type mark; }; delete set inet ampere heard");
      return generations() > 0;
    });
    await sh("nft", "add table inet before");
    await until("all of that is told", () => seen.includes("table inet before"));
    const before = generations();
    written.length = 0;
    const hosts = addresses(20).map((host) => host.replace(/^\d+/, "203"));
    for (const host of hosts) {
      firewall.block(forEver([host]));
      await firewall.idle();
    }
    await sh("nft", "add table inet behind");
    await until("all of that is told", () => seen.includes("table inet behind"));
    // One for each change, and one for the last table.
    assert.equal(generations(), before + hosts.length + 1);
    assert.equal(
      written.filter((text) => text.includes("; add element inet ampere farewell { 0 }\n")).length,
      hosts.length,
    );
    assert.deepEqual(await elementsOf("farewell_none"), []);
    // What others have changed is read, too, without a block.
    written.length = 0;
    await sh("nft", "add table inet others");
    await until("it is read ahead", () => written.length > 0);
    assert.deepEqual(written, [
      "_none; add element inet ampere farewell { 0 }\nflush set inet ampere farewell",
    ]);
    assert.equal(firewall.status().failures, 0);
    // The table goes just before nft reads ahead: the pair stays, and tells of it as of any change.
    made.log.lines.length = 0;
    await sh("nft", "delete table inet ampere");
    feeder!.write("_none; add element inet ampere farewell { 0 }\nflush set inet ampere farewell");
    await until("it is whole again", async () => (await elementsOf("hosts4")).length === 21);
    await firewall.idle();
    assert.deepEqual(made.log.lines.filter((line) => line.includes("has ended")), []);
    firewall.block(forEver(["192.0.2.9"]));
    await firewall.idle();
    assert.equal(await holds("hosts4", "192.0.2.9"), true);
  });

  test("a monitor begins when the sets of both families are filled", async () => {
    let filled = 0;
    const filledAtStarts: number[] = [];
    const counting: Runner = async (program, args, options) => {
      const result = await run(program, args, options);
      if (args[0] === "-f") filled += 1;
      return result;
    };
    const starter: ChildStarter = (...start) => {
      filledAtStarts.push(filled);
      return startChild(...start);
    };
    await using _made = await makeResident(addresses(20_000), { run: counting, start: starter });
    assert.deepEqual(filledAtStarts, [2, 2]);
  });

  test("what others do is noticed at once", async () => {
    await using made = await makeResident(addresses(1_000));
    const { firewall, log } = made;
    const first = addresses(1)[0]!;
    for (
      const args of [
        ["flush", "ruleset"],
        ["delete", "table", "inet", "ampere"],
        ["delete", "element", "inet", "ampere", "hosts4", `{ ${first} }`],
        ["flush", "set", "inet", "ampere", "hosts4"],
        ["flush", "chain", "inet", "ampere", "incoming"],
      ]
    ) {
      log.lines.length = 0;
      assert.equal((await sh("nft", ...args)).code, 0);
      await until(`it is told of ${args.join(" ")}`, () => log.lines.length > 0);
      // One family may see it in a look that began before, and the other when the monitor tells.
      await until(
        `it is repaired after ${args.join(" ")}`,
        async () => (await elementsOf("hosts4")).length === 1_000,
      );
      await firewall.idle();
      assert.match(log.lines[0]!, /^warn IPv[46]: others changed the chain, it is repaired/);
      const { out } = await sh("nft", "list", "chain", "inet", "ampere", "incoming");
      assert.match(out, /goto from4/);
    }
  });

  test("a table that nobody has changed is not read again", async () => {
    const commands: string[] = [];
    const counting: Runner = (program, args, options) => {
      commands.push(args.join(" "));
      return run(program, args, options);
    };
    await using made = await makeResident(["192.0.2.1"], { run: counting });
    const { firewall } = made;
    await firewall.verify();
    commands.length = 0;
    await firewall.verify();
    assert.deepEqual(commands, []);
  });

  test("a large set of intervals of others makes changes slow, and is named", async () => {
    const intervals = Array.from({ length: 6_000 }, (_, i) => `11.${i >> 8}.${i & 255}.0/31`);
    const foreign = await Deno.makeTempFile();
    await Deno.writeTextFile(
      foreign,
      "table ip other {\nset small { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 } \n}\n" +
        "set fields { typeof ip saddr . meta l4proto; flags interval; }\n" +
        `set large { type ipv4_addr; flags interval; auto-merge; elements = { ${intervals.join()} } \n}\n}\n`,
    );
    const loaded = await sh("nft", "-f", foreign);
    assert.equal(loaded.code, 0, loaded.err.slice(0, 300));
    await Deno.remove(foreign);
    // Between two looks at this clock a quarter of a second goes by.
    let now = 0;
    const clock = { ...systemClock, now: () => now += 250 };
    await using made = await makeResident(["192.0.2.1"], { tableClock: clock });
    const { firewall, log } = made;
    for (let i = 2; i < 6; i++) {
      firewall.block(forEver([`192.0.2.${i}`]));
      await firewall.idle();
    }
    assert.equal((await elementsOf("hosts4")).length, 5);
    await until("it is told", () => log.lines.length > 0);
    assert.match(
      log.lines.join("\n"),
      /^warn a change of the firewall takes \d+ ms, .*: ip other large \([\d,]+ intervals\)\. .*ipset/,
    );
    assert.equal(firewall.status().failures, 0);
  });

  test("a timer that is called although it was cancelled does not end the programs", async () => {
    let waiting = 0;
    const clock: Clock = {
      ...systemClock,
      after(ms, run) {
        if (ms >= 1_000) return systemClock.after(ms, run);
        waiting += 1;
        systemClock.after(ms, () => {
          waiting -= 1;
          run();
        });
        return () => {};
      },
    };
    await using made = await makeResident(["192.0.2.1"], { tableClock: clock });
    await until("no timer is left", () => waiting === 0);
    const before = await made.pids();
    made.firewall.block(forEver(["192.0.2.2"]));
    await made.firewall.idle();
    assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1", "192.0.2.2"]);
    assert.deepEqual(await made.pids(), before);
    assert.deepEqual(made.log.lines, []);
  });

  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    for (const which of [0, 1]) {
      test(`${signal} of program ${which} keeps no block away, and it comes back`, async () => {
        await using made = await makeResident(["192.0.2.1"]);
        const { firewall, table, log } = made;
        const before = (await made.pids()).sort((a, b) => a - b);
        assert.equal(before.length, 2);
        Deno.kill(before[which]!, signal);
        firewall.block(forEver(["192.0.2.2"]));
        await firewall.idle();
        assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1", "192.0.2.2"]);
        assert.equal(firewall.status().failures, 0);
        await until(
          "another pair stays",
          async () => table.isResident && (await made.pids()).every((pid) => !before.includes(pid)),
        );
        assert.match(
          log.lines.join("\n"),
          /^warn nft, which stays for quick changes, has ended .*\ninfo nft stays again for quick/,
        );
        await made.stop();
        assert.deepEqual(await made.pids(), []);
      });
    }
  }

  test("a monitor that lies, is silent or talks nonsense loses its place", async () => {
    for (
      const [script, why] of [
        ["echo '# ERROR: We lost some netlink events!'; exec sleep 60", /We lost some netlink/],
        ["echo '{\"add\": {'; exec sleep 60", /its monitor says/],
        ["echo oops >&2; exec sleep 60", /its monitor says: .*oops/],
        ["exit 3", /its monitor: it ended with code 3/],
      ] as const
    ) {
      const real = (await sh("sh", "-c", "command -v nft")).out.trim();
      await using _programs = await withPrograms({
        nft: `#!/bin/sh\n[ "$2" = monitor ] || exec ${real} "$@"\n${script}\n`,
      });
      await using made = make({ start: startChild });
      await made.firewall.start(forEver(["192.0.2.1"]));
      await until(`it is told: ${script}`, () => made.log.lines.some((line) => why.test(line)));
      made.firewall.block(forEver(["192.0.2.2"]));
      await made.firewall.idle();
      assert.deepEqual(await elementsOf("hosts4"), ["192.0.2.1", "192.0.2.2"]);
      await made.stop();
    }
  });

  test("no program survives Ampere's death as a stranger", async () => {
    const path = new URL("../../support/nftables_process.ts", import.meta.url).pathname;
    const ampere = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", path],
      stdout: "piped",
    }).spawn();
    const reader = ampere.stdout.getReader();
    assert.equal(new TextDecoder().decode((await reader.read()).value), "ready\n");
    const children = await childrenOf(ampere.pid);
    assert.equal(children.length, 2);
    // Its sets are others then.
    assert.equal((await sh("nft", "flush", "ruleset")).code, 0);
    await until("the table is there again", () => holds("farewell", "7"));
    ampere.kill("SIGKILL");
    await ampere.status;
    await reader.cancel();
    const lives = async (pid: number) =>
      /^\d+ \(nft\) [^Z]/.test(await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => ""));
    await until(
      "they have gone",
      async () => !(await Promise.all(children.map(lives))).includes(true),
    );
  });
});
