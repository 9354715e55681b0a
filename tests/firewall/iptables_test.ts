import assert from "node:assert/strict";
import { isSafeTarget, type Outcome } from "../../src/firewall/backend.ts";
import { LOCK_WAIT_SECONDS } from "../../src/firewall/chain.ts";
import { COMMAND_TIMEOUT_MS, type Program, run, type Runner } from "../../src/firewall/command.ts";
import { isLasting } from "../../src/firewall/failure.ts";
import { Firewall } from "../../src/firewall/firewall.ts";
import { ADDRESSES_MAX_BYTES, IptablesBackend } from "../../src/firewall/iptables.ts";
import {
  addresses,
  inNamespace,
  sh,
  until,
  withChains,
  withPrograms,
} from "../support/namespace.ts";

/** Linux: the longest single argument with its ending zero. */
const MAX_ARG_STRLEN = 131_072;

const forEver = (targets: readonly string[]) =>
  targets.map((target) => ({ target, until: undefined }));

/** Keeps what is logged. */
function memoryLog() {
  const lines: string[] = [];
  const add = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return {
    lines,
    /** The lines of a level and above. */
    loud: () => lines.filter((line) => !line.startsWith("debug")),
    log: { debug: add("debug"), info: add("info"), warn: add("warn"), error: add("error") },
  };
}

/** A runner that keeps the arguments. */
function recording(): { runner: Runner; calls: [Program, ...string[]][] } {
  const calls: [Program, ...string[]][] = [];
  const runner: Runner = (program, args, options) => {
    calls.push([program, ...args]);
    return run(program, args, options);
  };
  return { runner, calls };
}

/** The targets of the chain as `iptables -S` shows them, sorted. */
async function rulesOf(program: string, chain = "ampere"): Promise<string[]> {
  const { out } = await sh(program, "-S", chain);
  return out.split("\n").filter((line) => line.startsWith("-A")).sort();
}

/** The rule that the first version of Ampere made. */
const rule = (address: string, chain = "ampere") =>
  address.includes(":")
    ? `-A ${chain} -s ${address} -j REJECT --reject-with icmp6-port-unreachable`
    : `-A ${chain} -s ${address} -j REJECT --reject-with icmp-port-unreachable`;

const done = (outcome: Outcome) => {
  assert.ok(outcome.ok, outcome.ok ? "" : outcome.failure.message);
  return outcome.done;
};

async function listed(backend: IptablesBackend, mark?: string) {
  const answer = await backend.list(mark);
  assert.equal(answer.state, "listed");
  return (answer as Extract<typeof answer, { state: "listed" }>).listing;
}

function registerFor(kind: "nft" | "legacy"): void {
  const multi = `/usr/sbin/xtables-${kind}-multi`;
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`iptables: ${kind}: ${name}`, async () => {
      await using _ = await withPrograms({
        iptables: { link: multi },
        ip6tables: { link: multi },
      });
      await withChains(body);
    });

  test("block makes the rule of the original, one for each target", async () => {
    const four = new IptablesBackend({ family: 4, chain: "ampere" });
    assert.equal(done(await four.block(forEver(["192.0.2.1", "198.51.100.0/24"]))), 2);
    assert.deepEqual(
      await rulesOf("iptables"),
      [rule("192.0.2.1/32"), rule("198.51.100.0/24")],
    );
    const six = new IptablesBackend({ family: 6, chain: "ampere" });
    const targets = ["2001:db8::1", "2001:db8:1::/48", "::102:304"];
    assert.equal(done(await six.block(forEver(targets))), 3);
    assert.deepEqual(
      await rulesOf("ip6tables"),
      [rule("2001:db8:1::/48"), rule("2001:db8::1/128"), rule("::1.2.3.4/128")].sort(),
    );
    assert.deepEqual([...(await listed(six)).targets.keys()].sort(), targets.toSorted());
  });

  test("the whole address space is one rule, which is known again", async () => {
    for (const [family, target] of [[4, "0.0.0.0/0"], [6, "::/0"]] as const) {
      const backend = new IptablesBackend({ family, chain: "ampere" });
      assert.equal(done(await backend.block(forEver([target]))), 1);
      assert.deepEqual([...(await listed(backend)).targets], [[target, 1]]);
      assert.equal(done(await backend.release([target])), 1);
      assert.equal((await listed(backend)).targets.size, 0);
    }
  });

  test("release is all or nothing when a rule is missing", async () => {
    const backend = new IptablesBackend({ family: 4, chain: "ampere" });
    await backend.block(forEver(["192.0.2.1", "192.0.2.2", "192.0.2.3"]));
    const outcome = await backend.release(["192.0.2.1", "192.0.2.9"]);
    assert.equal(outcome.ok, false);
    assert.equal((await listed(backend)).targets.size, 3);
    assert.equal(done(await backend.release(["192.0.2.3", "192.0.2.1"])), 2);
    assert.deepEqual(await rulesOf("iptables"), [rule("192.0.2.2/32")]);
  });

  test("list counts duplicates and names strangers", async () => {
    const strangers = [
      "-A ampere -s 192.0.2.1/32 -j DROP",
      "-A ampere -s 192.0.2.1/32 -p udp -j REJECT --reject-with icmp-port-unreachable",
      "-A ampere ! -s 192.0.2.1/32 -j REJECT --reject-with icmp-port-unreachable",
      "-A ampere -s 192.0.0.1/255.0.0.255 -j REJECT --reject-with icmp-port-unreachable",
      '-A ampere -m comment --comment "-A ampere -s 1.2.3.4/32" -j RETURN',
    ];
    const comment = ["-m", "comment", "--comment", "-A ampere -s 1.2.3.4/32", "-j", "RETURN"];
    for (const line of strangers.slice(0, -1)) await sh("iptables", ...line.split(" "));
    await sh("iptables", "-A", "ampere", ...comment);
    const backend = new IptablesBackend({ family: 4, chain: "ampere" });
    await backend.block(forEver(["192.0.2.1", "192.0.2.2", "192.0.2.1"]));
    const listing = await listed(backend);
    assert.deepEqual([...listing.targets], [["192.0.2.1", 2], ["192.0.2.2", 1]]);
    assert.deepEqual(listing.strangers.toSorted(), strangers.toSorted());
  });

  test("list answers with the mark as long as nothing has changed", async () => {
    const backend = new IptablesBackend({ family: 4, chain: "ampere" });
    await backend.block(forEver(addresses(100)));
    const { mark } = await listed(backend);
    assert.equal((await backend.list(mark)).state, "same");
    await sh("iptables", "-R", "ampere", "50", "-s", "203.0.113.7", "-j", "REJECT");
    assert.equal((await backend.list(mark)).state, "listed");
  });

  test("10,000 targets are a few commands, each within the limits of Linux", async () => {
    for (const family of [4, 6] as const) {
      const { runner, calls } = recording();
      const backend = new IptablesBackend({ family, chain: "ampere", run: runner });
      const all = forEver(addresses(10_000, family));
      let at = done(await backend.replace(all));
      while (at < all.length) at += done(await backend.block(all.slice(at)));
      assert.equal((await listed(backend)).targets.size, 10_000);
      const adds = calls.filter((call) => call.includes("-A"));
      assert.ok(adds.length <= 3, `${adds.length} commands`);
      for (const call of adds) {
        const list = call[call.indexOf("-s") + 1]!;
        assert.ok(list.length <= ADDRESSES_MAX_BYTES && list.length + 1 <= MAX_ARG_STRLEN);
        assert.ok(call.join(" ").length < 128 * 1024);
      }
    }
  });

  test("replace leaves nothing else", async () => {
    await sh("iptables", "-A", "ampere", "-j", "ACCEPT");
    const backend = new IptablesBackend({ family: 4, chain: "ampere" });
    await backend.block(forEver(["192.0.2.1", "192.0.2.1"]));
    assert.equal(done(await backend.replace(forEver(["192.0.2.9"]))), 1);
    assert.deepEqual(await rulesOf("iptables"), [rule("192.0.2.9/32")]);
    assert.equal(done(await backend.replace([])), 0);
    assert.deepEqual(await rulesOf("iptables"), []);
  });

  test("a missing chain is told with the commands that mend it", async () => {
    for (const [family, program] of [[4, "iptables"], [6, "ip6tables"]] as const) {
      const backend = new IptablesBackend({ family, chain: "nowhere" });
      const blocked = await backend.block(forEver([family === 4 ? "192.0.2.1" : "2001:db8::1"]));
      assert.ok(!blocked.ok && /^IPv[46]: ip6?tables failed: /.test(blocked.failure.message));
      const answers = [
        await backend.list(),
        await backend.replace([]),
      ];
      for (const answer of answers) {
        assert.ok("failure" in answer);
        const { failure } = answer;
        assert.deepEqual([failure.kind, isLasting(failure)], ["no-chain", true]);
        assert.match(failure.message, new RegExp(`^IPv${family}: there is no chain "nowhere"`));
        assert.equal(
          failure.advice,
          `${program} -N nowhere && ${program} -I INPUT -j nowhere`,
        );
      }
    }
  });

  test("the advice for a missing chain works when it is typed in", async () => {
    const backend = new IptablesBackend({ family: 4, chain: "amp-2" });
    const answer = await backend.list();
    assert.ok(answer.state === "failed");
    assert.equal((await sh("sh", "-c", answer.failure.advice)).code, 0);
    assert.equal(done(await backend.block(forEver(["192.0.2.1"]))), 1);
    await sh("iptables", "-D", "INPUT", "-j", "amp-2");
    await sh("iptables", "-F", "amp-2");
    await sh("iptables", "-X", "amp-2");
  });

  test("the firewall applies 50,000 targets, and finds them at the next start", async () => {
    const all = forEver([...addresses(50_000), ...addresses(100, 6)]);
    const make = (runner: Runner) =>
      new Firewall({
        backends: [4, 6].map((family) =>
          new IptablesBackend({ family: family as 4 | 6, chain: "ampere", run: runner })
        ),
        log: memoryLog().log,
        verifyMs: 3_600_000,
      });
    const starting = recording();
    const first = make(starting.runner);
    assert.deepEqual(await first.start(all), []);
    assert.equal(first.status().applied, 50_100);
    assert.equal(await first.stop(), 0);
    const verbs = starting.calls.map(([program, , , verb]) => `${program} ${verb}`);
    // As few as the length of an argument allows, and nothing else.
    assert.deepEqual(
      verbs.toSorted(),
      [
        "ip6tables -A",
        "ip6tables -S",
        ...Array<string>(verbs.length - 3).fill("iptables -A"),
        "iptables -S",
      ].sort(),
    );
    const bytes = all.slice(0, 50_000).reduce((sum, { target }) => sum + target.length + 1, 0);
    assert.ok(verbs.length - 3 <= Math.ceil(bytes / (ADDRESSES_MAX_BYTES - 20)), `${verbs.length}`);
    assert.equal((await rulesOf("iptables")).length, 50_000);
    assert.equal((await rulesOf("ip6tables")).length, 100);
    const { runner, calls } = recording();
    const second = make(runner);
    assert.deepEqual(await second.start(all), []);
    assert.deepEqual(calls.map((call) => call.slice(3, 5)), [["-S", "ampere"], ["-S", "ampere"]]);
    assert.equal(second.status().applied, 50_100);
    await second.stop();
  });

  test("a command of the start that does its work and is then killed doubles nothing", async () => {
    const all = forEver(addresses(20_000));
    let adds = 0;
    const killing: Runner = async (program, args, options) => {
      const result = await run(program, args, options);
      const isKilled = args.includes("-A") && ++adds === 2;
      return isKilled ? { ...result, ok: false, code: undefined, timedOut: true } : result;
    };
    const backend = new IptablesBackend({ family: 4, chain: "ampere", run: killing });
    const { log, loud } = memoryLog();
    const firewall = new Firewall({ backends: [backend], log, verifyMs: 3_600_000 });
    await firewall.start(all);
    await firewall.idle();
    const rules = await rulesOf("iptables");
    assert.deepEqual([rules.length, new Set(rules).size], [20_000, 20_000]);
    assert.match(loud().join("\n"), /did not end in time and was killed/);
    firewall.release([all[0]!.target, all[19_999]!.target]);
    await firewall.idle();
    assert.equal((await rulesOf("iptables")).length, 19_998);
    await firewall.stop();
  });

  test("all is replaced by several commands, as long as nobody wants to come between", async () => {
    const all = forEver(addresses(20_000));
    const { runner, calls } = recording();
    const backend = new IptablesBackend({ family: 4, chain: "ampere", run: runner });
    await backend.block(forEver(["192.0.2.1"]));
    assert.equal(done(await backend.replace(all)), 20_000);
    const commands = calls.length;
    assert.deepEqual([...new Set(calls.slice(1).map((call) => call[3]))], ["-F", "-A"]);
    assert.equal((await rulesOf("iptables")).length, 20_000);
    let asked = 0;
    const some = done(await backend.replace(all, () => ++asked < 2));
    assert.equal(asked, 2);
    assert.ok(some > 10_000 && some < 20_000, String(some));
    assert.equal(calls.length, commands + 3);
    assert.deepEqual([...(await listed(backend)).targets.keys()].length, some);
    // A command that fails in the middle: what was done before it counts.
    let left = 2;
    const failing: Runner = (program, args, options) =>
      args.includes("-A") && left-- === 0
        ? run(program, ["-w", "4", "-A", "nowhere", "-j", "nowhere"], options)
        : run(program, args, options);
    const other = new IptablesBackend({ family: 4, chain: "ampere", run: failing });
    assert.equal(done(await other.replace(all)), some);
    assert.equal((await rulesOf("iptables")).length, some);
    left = 0;
    assert.equal((await other.replace(all)).ok, false);
  });

  test("the firewall removes a few of many, and nearly all of many", async () => {
    const all = addresses(10_000);
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
      log: memoryLog().log,
      verifyMs: 3_600_000,
    });
    await firewall.start(forEver(all));
    firewall.release(all.slice(5_000, 5_050));
    await firewall.idle();
    assert.equal((await rulesOf("iptables")).length, 9_950);
    firewall.release(all.slice(7));
    await firewall.idle();
    assert.deepEqual(
      await rulesOf("iptables"),
      all.slice(0, 7).map((address) => rule(`${address}/32`)).sort(),
    );
    await firewall.stop();
  });

  test("the firewall repairs what others do to the chain, and says so", async () => {
    const { log, loud, lines } = memoryLog();
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
      log,
      verifyMs: 3_600_000,
    });
    const targets = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    const wanted = targets.map((target) => rule(`${target}/32`));
    await firewall.start(forEver(targets));
    const repaired = async (said: RegExp) => {
      lines.length = 0;
      await firewall.verify();
      assert.deepEqual(await rulesOf("iptables"), wanted);
      assert.equal(loud().length, 1, loud().join("\n"));
      assert.match(loud()[0]!, said);
    };
    await firewall.verify();
    assert.deepEqual(loud(), []);
    await sh("iptables", "-F", "ampere");
    await repaired(/^warn IPv4: .*3 of 3 blocks were missing \(was the chain flushed/);
    await sh("iptables", "-D", "ampere", "2");
    await repaired(/1 of 3 blocks were missing \(were they removed by hand/);
    await sh("iptables", "-I", "ampere", "-s", "192.0.2.2", "-j", "ACCEPT");
    await repaired(/1 of the rules were not Ampere's \("-A ampere -s 192.0.2.2\/32 -j ACCEPT"\)/);
    await sh("iptables", ...rule("192.0.2.77").split(" "));
    await repaired(/1 targets were blocked that are not in the list/);
    await sh("iptables", ...rule("192.0.2.1").split(" "));
    await sh("iptables", ...rule("192.0.2.1").split(" "));
    await repaired(/2 rules were there twice/);
    // A release of what somebody has removed by hand is no failure that anybody must know of.
    await sh("iptables", ...rule(targets[0]!).replace("-A", "-D").split(" "));
    lines.length = 0;
    firewall.release([targets[0]!]);
    await firewall.idle();
    wanted.shift();
    assert.deepEqual(await rulesOf("iptables"), wanted);
    assert.deepEqual(loud(), []);
    await firewall.stop();
  });

  test("a chain that was deleted is filled when it is back", async () => {
    const { log, loud } = memoryLog();
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
      log,
      verifyMs: 3_600_000,
    });
    await firewall.start(forEver(["192.0.2.1"]));
    await sh("iptables", "-F", "ampere");
    await sh("iptables", "-X", "ampere");
    firewall.block(forEver(["192.0.2.2"]));
    await until("the failure was logged", () => loud().length === 1);
    assert.match(loud()[0]!, /^error .*no chain "ampere".*iptables -N ampere && iptables -I INPUT/);
    assert.deepEqual([firewall.status().applied, firewall.status().failing], [0, true]);
    firewall.block(forEver(["192.0.2.3"]));
    await sh("iptables", "-N", "ampere");
    await until("all rules are there", async () => (await rulesOf("iptables")).length === 3);
    await firewall.idle();
    assert.equal(firewall.status().applied, 3);
    assert.match(loud().at(-1)!, /^info IPv4: the firewall works again/);
    await firewall.stop();
  });

  test("IPv4 works without an IPv6 chain, and IPv6 follows when it is there", async () => {
    await sh("ip6tables", "-X", "ampere");
    const { log, loud } = memoryLog();
    const firewall = new Firewall({
      backends: [4, 6].map((family) =>
        new IptablesBackend({ family: family as 4 | 6, chain: "ampere" })
      ),
      log,
      verifyMs: 3_600_000,
    });
    const failures = await firewall.start(forEver(["192.0.2.1", "2001:db8::1"]));
    assert.deepEqual(failures.map(({ family, kind }) => [family, kind]), [[6, "no-chain"]]);
    assert.deepEqual(await rulesOf("iptables"), [rule("192.0.2.1/32")]);
    assert.match(loud()[0]!, /^warn IPv6: there is no chain "ampere".*ip6tables -N ampere/);
    firewall.block(forEver(["2001:db8::2", "192.0.2.2"]));
    await firewall.idle();
    assert.equal((await rulesOf("iptables")).length, 2);
    await sh("ip6tables", "-N", "ampere");
    await firewall.verify();
    assert.deepEqual(await rulesOf("ip6tables"), [
      rule("2001:db8::1/128"),
      rule("2001:db8::2/128"),
    ]);
    assert.equal(loud().filter((line) => line.startsWith("warn")).length, 1);
    await firewall.stop();
  });

  test("rules of the ipset backend, and its sets, are taken over", async () => {
    await sh("ipset", "create", "ampere4", "hash:net");
    const before = "-A ampere -m set --match-set ampere4 src -j REJECT";
    assert.equal((await sh("iptables", ...before.split(" "))).code, 0);
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
      log: memoryLog().log,
      verifyMs: 3_600_000,
    });
    assert.deepEqual(await firewall.start(forEver(["192.0.2.1"])), []);
    assert.deepEqual(await rulesOf("iptables"), [rule("192.0.2.1/32")]);
    assert.equal((await sh("ipset", "list", "-n")).out, "");
    await firewall.stop();
  });

  test("a command that is killed in the middle leaves nothing wrong", async () => {
    const all = addresses(30_000);
    let commands = 0;
    const impatient: Runner = (program, args, options) => {
      // At every moment of a command, also when it has nearly done its work.
      const late = args.includes("-A") && firewall.status().failures < 8;
      return run(program, args, { ...options, timeoutMs: late ? 1 + 3 * (commands++ % 8) : 5_000 });
    };
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere", run: impatient })],
      log: memoryLog().log,
      verifyMs: 3_600_000,
      random: () => 0,
    });
    await firewall.start([]);
    // Some commands are faster than the shortest timer; the more rules there are, the longer they
    // take.
    let blocked = 0;
    while (firewall.status().failures < 3 && blocked < all.length) {
      firewall.block(forEver(all.slice(blocked, blocked += 3_000)));
      await firewall.idle();
    }
    assert.deepEqual(
      await rulesOf("iptables"),
      all.slice(0, blocked).map((address) => rule(`${address}/32`)).sort(),
    );
    assert.ok(firewall.status().failures >= 3);
    await firewall.stop();
  });
}

inNamespace(import.meta.url, () => {
  registerFor("nft");
  registerFor("legacy");

  Deno.test("iptables: legacy: a lock that another program holds is waited for, and survived", async () => {
    const multi = "/usr/sbin/xtables-legacy-multi";
    await using _ = await withPrograms({ iptables: { link: multi } });
    await sh("iptables", "-N", "ampere");
    const holder = new Deno.Command("flock", {
      args: ["/run/xtables.lock", "sh", "-c", "echo held; exec cat"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    const { log, loud } = memoryLog();
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
      log,
      verifyMs: 3_600_000,
    });
    const failures = await firewall.start(forEver(["192.0.2.1"]));
    assert.deepEqual(failures.map((failure) => failure.kind), ["busy"]);
    assert.equal(failures.some(isLasting), false);
    assert.match(loud()[0]!, /^error IPv4: another program holds the lock/);
    firewall.block(forEver(["192.0.2.2"]));
    await reader.cancel();
    await holder.stdin.close();
    await holder.status;
    await firewall.idle();
    assert.equal((await rulesOf("iptables")).length, 2);
    assert.equal(firewall.status().failing, false);
    await firewall.stop();
    await sh("iptables", "-F", "ampere");
    await sh("iptables", "-X", "ampere");
  });

  Deno.test("iptables: a user without rights is told so", async () => {
    const code = `
      import { IptablesBackend } from ${
      JSON.stringify(new URL("../../src/firewall/iptables.ts", import.meta.url).href)
    };
      const answer = await new IptablesBackend({ family: 4, chain: "ampere" }).list();
      console.log(JSON.stringify(answer));`;
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    await Deno.writeTextFile(file, code);
    const { out, err } = await sh(
      "setpriv",
      "--bounding-set=-net_admin,-net_raw",
      "--inh-caps=-all",
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      file,
    );
    await Deno.remove(file);
    const answer = JSON.parse(out || err);
    assert.deepEqual([answer.state, answer.failure.kind], ["failed", "no-rights"]);
    assert.match(answer.failure.message, /^IPv4: iptables may not change the firewall: /);
    assert.match(answer.failure.advice, /CAP_NET_ADMIN/);
  });

  Deno.test("iptables: a missing program is told so", async () => {
    const path = Deno.env.get("PATH")!;
    Deno.env.set("PATH", "/nowhere");
    const answer = await new IptablesBackend({ family: 4, chain: "ampere" }).list();
    Deno.env.set("PATH", path);
    assert.ok(answer.state === "failed");
    assert.deepEqual([answer.failure.kind, isLasting(answer.failure)], ["missing-program", true]);
    assert.match(answer.failure.advice, /apt-get install iptables/);
  });

  Deno.test("iptables: a program that hangs is killed, and all is applied when it works again", async () => {
    const folder = await Deno.makeTempDir();
    const script =
      `#!/bin/sh\n[ -e ${folder}/hang ] && exec sleep 1000\nexec /usr/sbin/$\{0##*/} "$@"\n`;
    await using _ = await withPrograms({ iptables: script });
    await sh("iptables", "-N", "ampere");
    const { log, loud } = memoryLog();
    const soon: Runner = (program, args, options) =>
      run(program, args, { ...options, timeoutMs: 300 });
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere", run: soon })],
      log,
      verifyMs: 3_600_000,
    });
    await firewall.start([]);
    await Deno.writeTextFile(`${folder}/hang`, "");
    firewall.block(forEver(["192.0.2.1"]));
    await until("the time limit was reached", () => firewall.status().failures >= 2);
    firewall.block(forEver(["192.0.2.2"]));
    assert.match(loud()[0]!, /^error IPv4: iptables did not end in time and was killed/);
    await Deno.remove(`${folder}/hang`);
    await firewall.idle();
    assert.equal((await rulesOf("iptables")).length, 2);
    assert.equal(loud().length, 2, loud().join("\n"));
    // A command that hangs does not hold up the end of the program.
    await Deno.writeTextFile(`${folder}/hang`, "");
    firewall.block(forEver(["192.0.2.3"]));
    const start = performance.now();
    assert.equal(await firewall.stop(100), 1);
    assert.ok(performance.now() - start < 1_000);
    await Deno.remove(folder, { recursive: true });
    await sh("iptables", "-F", "ampere");
    await sh("iptables", "-X", "ampere");
  });

  Deno.test("iptables: a program that lists nothing is believed, and not asked again and again", async () => {
    const folder = await Deno.makeTempDir();
    const script = `#!/bin/sh\necho "$@" >> ${folder}/log\n`;
    await using _ = await withPrograms({ iptables: script });
    const { log, loud } = memoryLog();
    const firewall = new Firewall({
      backends: [new IptablesBackend({ family: 4, chain: "ampere" })],
      log,
      verifyMs: 3_600_000,
    });
    assert.deepEqual(await firewall.start(forEver(["192.0.2.1"])), []);
    firewall.block(forEver(["192.0.2.2"]));
    await firewall.idle();
    await firewall.verify();
    await firewall.verify();
    const end = "-j REJECT --reject-with icmp-port-unreachable";
    assert.equal(
      await Deno.readTextFile(`${folder}/log`),
      `-w 4 -S ampere\n-w 4 -F ampere\n-w 4 -A ampere -s 192.0.2.1 ${end}\n` +
        `-w 4 -A ampere -s 192.0.2.2 ${end}\n-w 4 -S ampere\n-w 4 -S ampere\n`,
    );
    assert.equal(loud().length, 1);
    await firewall.stop();
    await Deno.remove(folder, { recursive: true });
  });
});

Deno.test("iptables: only canonical addresses and networks reach a command", async () => {
  const good4 = ["0.0.0.0", "255.255.255.255", "10.0.0.0/8", "0.0.0.0/0", "192.0.2.128/25"];
  const good6 = ["::", "::1", "2001:db8::/32", "fe80::1", "1:2:3:4:5:6:7:8", "::/0"];
  for (const target of good4) assert.ok(isSafeTarget(target, 4), target);
  for (const target of good6) assert.ok(isSafeTarget(target, 6), target);
  for (const target of good4) assert.ok(!isSafeTarget(target, 6), target);
  for (const target of good6) assert.ok(!isSafeTarget(target, 4), target);
  const bad = [
    ["", "-j", "--help", "192.0.2.1,192.0.2.2", "192.0.2.1 ", "192.0.2.1\n", "192.0.2", "a.b.c.d"],
    ["256.0.0.1", "01.2.3.4", "1.2.3.4/32", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/08", "localhost"],
    ["fe80::1%eth0", "2001:DB8::1", "::1/128", "::1/129", "::ffff:1.2.3.4", "dead", "1:2", "g::"],
    ["1.2.3.4\nflush", "::1\nflush", "::1 timeout 1", "$(id)", "1.2.3.4;id", "!::1", "::1,::2"],
    ["0".repeat(60), ":".repeat(60), "１.2.3.4"],
  ].flat();
  const { runner, calls } = recording();
  for (const target of bad) {
    assert.ok(!isSafeTarget(target, 4) && !isSafeTarget(target, 6), JSON.stringify(target));
    for (const family of [4, 6] as const) {
      const backend = new IptablesBackend({ family, chain: "ampere", run: runner });
      const outcome = await backend.block(forEver([target]));
      assert.ok(!outcome.ok && outcome.failure.kind === "refused");
      assert.ok(!(await backend.release([target])).ok);
    }
  }
  assert.deepEqual(calls, []);
});

Deno.test("iptables: it gives up the wait for the lock before it is killed", () => {
  assert.ok(LOCK_WAIT_SECONDS * 1_000 < COMMAND_TIMEOUT_MS);
});
