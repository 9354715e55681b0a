/**
 * Blocks that are not in force: the compiled program notices it, tells it everywhere alike, and
 * mends what it may. Real iptables, real packets.
 */

import assert from "node:assert/strict";
import type { Notice } from "../../src/telemetry/notice.ts";
import type { Status } from "../../src/telemetry/status.ts";
import { printEvent, remoteOf, wrongAnswer } from "../support/asterisk_events.ts";
import { passes, sh, until } from "../support/namespace.ts";
import { type AmiClientOfServer, AmiServer } from "./ami_server.ts";
import { FarSide } from "./far_side.ts";
import { attack, blocked, emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, FAMILIES, makeChain, must, onOwnMachine } from "./machine.ts";
import { receiveNotices } from "./notice_receiver.ts";
import { Program, runToEnd } from "./program.ts";

const CONFIG = "/etc/ampere/ampere.cfg";

const AMI_PORT = 5038;
const METRICS = "127.0.0.1:9738";
const WEBHOOK_PORT = 9739;

/** What each configuration has: looks that come soon, and everything that can tell. */
const BASE = `pass = s3cret
backend = iptables
learn = 0
verify = 5s
metrics = ${METRICS}
webhook = http://127.0.0.1:${WEBHOOK_PORT}/
`;

/** A host of this machine's loopback network that attacks, so that real packets can be tried. */
const FIRST = "203.0.113.66";
const SECOND = "203.0.113.67";

/** Somebody else's rule that lets in who is known already. */
const ESTABLISHED = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"];

/** Looks come each 5 s; more than two of them are not waited for. */
const NOTICED_MS = 14_000;

onOwnMachine(import.meta.url, (executable) => {
  const ampere = (...args: string[]) => runToEnd([executable, ...args]);

  const statusNow = async (): Promise<Status> => {
    const { code, out, err } = await ampere("--status", "--json");
    assert.equal(code, 0, err);
    return JSON.parse(out);
  };

  /** All that tell of IPv4's blocks, in one look. */
  const told = async () => {
    const status = await statusNow();
    const [text, list, json, metrics] = await Promise.all([
      ampere("--status"),
      ampere("-l"),
      ampere("-l", "--json"),
      fetch(`http://${METRICS}/metrics`).then((response) => response.text()),
    ]);
    return {
      status: status.firewall.inForce.find(({ family }) => family === 4)!.inForce,
      text: text.out.match(/IPv4: blocks are (not|only partly) in force/)?.[1],
      list: list.out.split("\n").filter((line) =>
        !line.startsWith("#") && line.includes("203.0.113.")
      ),
      remarks: list.out.split("\n").filter((line) => line.startsWith("# IPv4")),
      json: json.out.trim().split("\n").filter((line) => line !== "").map((line) =>
        JSON.parse(line).inForce
      ),
      metric: Number(/^ampere_firewall_in_force\{family="4"\} (\d)$/m.exec(metrics)?.[1]),
    };
  };

  /** Waits for what the status says, and sees that all others say the same. */
  const agree = async (inForce: "yes" | "partly" | "no"): Promise<void> => {
    let seen = await told();
    await until(
      `all say "${inForce}"`,
      async () => {
        seen = await told();
        // On a busy machine the daemon may not answer in time: then it is not known.
        return seen.status === inForce && !seen.json.includes(null);
      },
      NOTICED_MS,
    )
      .catch((error) => {
        throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
      });
    const mark = { yes: undefined, partly: "only partly", no: "not" }[inForce];
    assert.equal(seen.text, mark, JSON.stringify(seen));
    assert.equal(seen.metric, inForce === "yes" ? 1 : 0);
    assert.deepEqual(seen.json.filter((mark) => mark !== inForce), [], JSON.stringify(seen));
    const remarks = inForce === "yes" || seen.list.length === 0 ? 0 : 1;
    assert.equal(seen.remarks.length, remarks, JSON.stringify(seen));
    const end =
      { yes: / in force/i, partly: / \| partly in force$/, no: / \| NOT IN FORCE$/ }[inForce];
    for (const line of seen.list) assert.equal(end.test(line), inForce !== "yes", line);
  };

  /** A daemon that is logged in, on a machine that has been prepared. */
  const running = async (
    configuration: string,
    body: (daemon: Program, client: AmiClientOfServer, notices: Notice[]) => Promise<void>,
  ): Promise<void> => {
    const base = configuration.includes("backend = ") ? BASE.replace(/^backend.*\n/m, "") : BASE;
    await Deno.writeTextFile(CONFIG, base + configuration);
    await using receiver = receiveNotices(WEBHOOK_PORT);
    const { notices } = receiver;
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using daemon = new Program([executable]);
    await body(daemon, await daemon.alive(asterisk.client()), notices);
    await endsSoon(daemon);
  };

  const test = (name: string, body: () => Promise<void>): void => {
    Deno.test(name, async () => {
      await emptyFirewall();
      for (const folder of ["/etc/ampere", "/var/lib/ampere", "/var/log"]) {
        await emptyFolder(folder);
      }
      await sh("ip", "route", "del", "local", `${FIRST}/32`);
      await body();
    });
  };

  const reported = (notices: readonly Notice[]) =>
    notices.filter((notice) =>
      notice.event.startsWith("firewall-") && notice.event !== "firewall-flushed" &&
      "family" in notice && notice.family === 4
    )
      .map(({ event }) => event);

  const isReported = (notices: readonly Notice[], ...events: string[]) =>
    until(`${events} are reported`, () => reported(notices).join() === events.join(), 5_000)
      .catch((error) => {
        throw new Error(`${error.message}: ${JSON.stringify(notices)}`);
      });

  const linesOf = (daemon: Program, pattern: RegExp) =>
    daemon.lines.filter((line) => pattern.test(line));

  /** The words of the log, once each. */
  const saidOnce = (daemon: Program, lost: RegExp): void => {
    const isLost = /IPv4: .*blocks are (?:not|only partly) in force/;
    assert.equal(linesOf(daemon, isLost).length, 1, daemon.text);
    assert.match(linesOf(daemon, isLost)[0]!, lost);
    assert.equal(linesOf(daemon, /IPv4: blocks are in force again/).length, 1, daemon.text);
  };

  /** What happens to the firewall: the fault, and what undoes it without Ampere. */
  const FAULTS: Record<string, {
    readonly strike: string[][];
    readonly undo: string[][];
    readonly state: "no" | "partly";
    readonly says: RegExp;
  }> = {
    "F1: everything is flushed and deleted": {
      strike: [["iptables", "-F"], ["iptables", "-X"]],
      undo: [["iptables", "-I", "INPUT", "-j", "ampere"], ["iptables", "-N", "ampere"]].reverse(),
      state: "no",
      says: /there is no chain "ampere"/,
    },
    "F3: nft flush ruleset": {
      strike: [["nft", "flush", "ruleset"]],
      undo: [["iptables", "-N", "ampere"], ["iptables", "-I", "INPUT", "-j", "ampere"]],
      state: "no",
      says: /there is no chain "ampere"/,
    },
    "F4: the jump is flushed away": {
      strike: [["iptables", "-F", "INPUT"]],
      undo: [["iptables", "-I", "INPUT", "-j", "ampere"]],
      state: "no",
      says: /INPUT does not ask ampere/,
    },
    "F5: who is known already is let in first": {
      strike: [["iptables", "-I", "INPUT", ...ESTABLISHED]],
      undo: [["iptables", "-D", "INPUT", ...ESTABLISHED]],
      state: "partly",
      says: /too late.*ESTABLISHED/,
    },
    "a goto takes all packets before the jump": {
      strike: [["iptables", "-N", "web"], ["iptables", "-I", "INPUT", "-g", "web"]],
      undo: [["iptables", "-D", "INPUT", "-g", "web"], ["iptables", "-X", "web"]],
      state: "no",
      says: /too late.*-g web/,
    },
  };

  for (const [name, { strike, undo, state, says }] of Object.entries(FAULTS)) {
    test(`${name}: it is told everywhere, and so is its end`, async () => {
      await makeChain();
      await running("", async (daemon, client, notices) => {
        await attack(client, FIRST);
        await blocked(FIRST);
        await agree("yes");
        for (const [program, ...args] of strike) await must(program!, ...args);
        await agree(state);
        await isReported(notices, "firewall-lost");
        await attack(client, SECOND);
        const line = await daemon.said(/ blocked 203\.0\.113\.67 /);
        assert.match(line, state === "no" ? /\(not in force yet: / : /\(only partly in force: /);
        await agree(state);
        for (const [program, ...args] of undo) await must(program!, ...args);
        await agree("yes");
        await blocked(FIRST, SECOND);
        await isReported(notices, "firewall-lost", "firewall-restored");
        // While the chain was made, it was there for a moment and nobody asked it.
        if (!says.source.includes("no chain")) saidOnce(daemon, says);
        assert.match(daemon.text, says);
      });
    });

    for (const backend of ["iptables", "ipset"]) {
      test(`${name}: with a jump of its own it comes back by itself, ${backend}`, async () => {
        // Packets may come from there, and it is no address of this machine.
        await must("ip", "route", "add", "local", `${FIRST}/32`, "dev", "lo");
        await running(`jump = INPUT\nbackend = ${backend}\n`, async (daemon, client, notices) => {
          await attack(client, FIRST);
          await until("it is refused", async () => !await passes(FIRST));
          await agree("yes");
          assert.deepEqual(reported(notices), []);
          for (const [program, ...args] of strike) await must(program!, ...args);
          await daemon.said(/IPv4: blocks are in force again/, 0, NOTICED_MS);
          await agree("yes");
          assert.equal(await passes(FIRST), false);
          assert.match(
            (await must("iptables", "-S", "INPUT")).split("\n")[1]!,
            /^-A INPUT -j ampere$/,
          );
          const jumps = (await must("iptables", "-S", "INPUT")).match(/-j ampere/g);
          assert.equal(jumps?.length, 1, "one jump, not two");
          saidOnce(daemon, says);
          await isReported(notices, "firewall-lost", "firewall-restored");
        });
      });
    }
  }

  test("F1: a new attacker finds that the chain is gone, long before the next look", async () => {
    await makeChain();
    await running("", async (daemon, client) => {
      await attack(client, FIRST);
      await blocked(FIRST);
      for (const args of [["-F"], ["-X"]]) await must("iptables", ...args);
      await attack(client, SECOND);
      await daemon.said(/error: .*there is no chain "ampere".*blocks are not in force/, 0, 2_000);
      await agree("no");
    });
  });

  test("F2: without the chain it runs, follows events, keeps blocks, and waits", async () => {
    await running("", async (daemon, client, notices) => {
      await daemon.said(
        /error: IPv4: there is no chain "ampere".*not in force.*Fix: iptables -N ampere/,
      );
      await attack(client, FIRST);
      assert.match(
        await daemon.said(/ blocked 203\.0\.113\.66 /),
        /not in force yet: there is no chain/,
      );
      await agree("no");
      await isReported(notices, "firewall-lost");
      await makeChain();
      await blocked(FIRST);
      await agree("yes");
      await isReported(notices, "firewall-lost", "firewall-restored");
    });
  });

  test("F2: no line of the log calls blocks in force that are not, nor does its last one", async () => {
    await Deno.writeTextFile(CONFIG, "pass = s3cret\nbackend = iptables\n");
    assert.equal((await runToEnd([executable, "-a"], { stdin: `${FIRST}\n` })).code, 0);
    await using daemon = new Program([executable]);
    assert.match(
      await daemon.said(/cannot connect to 127\.0\.0\.1:5038/),
      /Blocks stay in the list/,
    );
    await daemon.said(/error: IPv4: there is no chain/);
    daemon.signal("SIGUSR1");
    await daemon.said(
      /1 blocks.* in the list, but not in force \(IPv4: there is no chain "ampere"\)/,
    );
    await endsSoon(daemon);
    assert.match(
      daemon.lines.at(-1)!,
      /ended; 1 block stays in the list, but not in force \(IPv4: there is no chain "ampere"\)$/,
    );
    assert.deepEqual(linesOf(daemon, /stays? in force/), []);
  });

  test("F2: with a jump of its own it needs nobody, in both families", async () => {
    await running("jump = INPUT\n", async (daemon, client, notices) => {
      await attack(client, FIRST);
      await attack(client, "2001:db8:bad::66");
      await blocked(FIRST, "2001:db8:bad::66");
      await agree("yes");
      for (const program of FAMILIES) {
        assert.match(await must(program, "-S", "INPUT"), /^-A INPUT -j ampere$/m);
      }
      // But for where the made-up events say that they came in.
      const loud = linesOf(daemon, /not in force|warn:|error:/);
      assert.deepEqual(loud.filter((line) => !/is reached at 192\.0\.2\.10/.test(line)), []);
      assert.deepEqual(reported(notices), []);
    });
  });

  test("a jump into a chain that is not there yet is told and waited for", async () => {
    await running("jump = INPUT,DOCKER-USER\n", async (daemon, client) => {
      await daemon.said(/warn: IPv4: there is no chain DOCKER-USER yet/);
      await attack(client, FIRST);
      await blocked(FIRST);
      await agree("yes");
      await must("iptables", "-N", "DOCKER-USER");
      await until(
        "the jump is there",
        async () => /-j ampere/.test(await must("iptables", "-S", "DOCKER-USER")),
        NOTICED_MS,
      );
    });
  });

  test("a rule for one address lets it in although it is blocked: told, and left there", async () => {
    await must("ip", "route", "add", "local", `${FIRST}/32`, "dev", "lo");
    await running("jump = INPUT\n", async (daemon, client, notices) => {
      await attack(client, FIRST);
      await until("it is refused", async () => !await passes(FIRST));
      await agree("yes");
      await must("iptables", "-I", "INPUT", "-s", SECOND, "-j", "ACCEPT");
      await must("iptables", "-I", "INPUT", "-s", FIRST, "-j", "ACCEPT");
      assert.ok(await passes(FIRST));
      await agree("partly");
      assert.match(
        linesOf(daemon, /error: IPv4: blocks are/)[0]!,
        /too late for 203\.0\.113\.66, which is blocked: before it stands.*ampere -d 203\.0\.113\.66/,
      );
      await isReported(notices, "firewall-lost");
      // Who was blocked by mistake and let in by hand stays so.
      assert.ok(await passes(FIRST));
      const { out } = await ampere("--check");
      const mend = /^warning +firewall +IPv4: INPUT asks.*\n +fix: (.*?) \(/m.exec(out)?.[1];
      assert.equal(mend, "iptables -D INPUT -j ampere && iptables -I INPUT -j ampere", out);
      await must("sh", "-c", mend!);
      await agree("yes");
      assert.equal(await passes(FIRST), false);
    });
  });

  test("SIGHUP takes a jump over", async () => {
    await running("", async (daemon, client) => {
      await attack(client, FIRST);
      await agree("no");
      await Deno.writeTextFile(CONFIG, `${BASE}jump = INPUT\n`);
      daemon.signal("SIGHUP");
      await agree("yes");
      await blocked(FIRST);
      assert.match(await must("iptables", "-S", "INPUT"), /^-A INPUT -j ampere$/m);
    });
  });

  test("--dry-run with a jump changes nothing, and says what it would", async () => {
    await Deno.writeTextFile(CONFIG, `${BASE}jump = INPUT\n`);
    const before = await must("iptables", "-S");
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using daemon = new Program([executable, "--dry-run"]);
    const client = await daemon.alive(asterisk.client());
    await daemon.said(/would run iptables -w 4 -N ampere/);
    await daemon.said(/would run iptables -w 4 -I INPUT -j ampere/);
    await attack(client, FIRST);
    await daemon.said(/dry run: would block 203\.0\.113\.66/);
    assert.equal(await must("iptables", "-S"), before);
    assert.doesNotMatch(daemon.text, /in force/);
    await endsSoon(daemon);
  });

  for (
    const [narrow, state, says] of [
      [["-p", "udp", "--dport", "5060"], "partly", /by TCP, TLS, WS and WSS .*pass/],
      [["-i", "eth9"], "no", /no interface eth9/],
    ] as const
  ) {
    test(`F7: a narrow jump (${narrow.join(" ")}) is a warning, and told by the daemon`, async () => {
      await must("iptables", "-N", "ampere");
      await must("iptables", "-A", "INPUT", ...narrow, "-j", "ampere");
      await running("", async (daemon, client) => {
        const { out } = await ampere("--check");
        const finding = out.split("\n").find((line) => /^warning +firewall +IPv4/.test(line));
        assert.match(finding ?? out, says);
        await attack(client, FIRST);
        await agree(state);
        assert.match(linesOf(daemon, /error: IPv4: blocks are/)[0]!, says);
      });
    });
  }

  test("F6: Asterisk in a container: FORWARD counts, and real packets say the same", async () => {
    const [container, port] = ["172.17.0.2", 5060];
    await must("ip", "link", "add", "docker0", "type", "bridge");
    await must("ip", "address", "add", "172.17.0.1/16", "dev", "docker0");
    await must("ip", "link", "set", "docker0", "up");
    await using inside = await FarSide.make("veth1", [`${container}/16`], "172.17.0.1");
    await must("ip", "link", "set", "veth1", "master", "docker0");
    await using outside = await FarSide.make(
      "eth0",
      [`${FIRST}/24`, `${SECOND}/24`],
      "203.0.113.1",
    );
    await must("ip", "address", "add", "203.0.113.1/24", "dev", "eth0");
    await must("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
    await must("iptables", "-N", "DOCKER-USER");
    await must("iptables", "-A", "FORWARD", "-j", "DOCKER-USER");
    await must("iptables", "-A", "FORWARD", "-o", "docker0", ...ESTABLISHED);
    await makeChain();
    await inside.listen(container, port);
    assert.ok(await outside.reaches(FIRST, container, port), "before all");
    const local = `IPV4/UDP/${container}/${port}`;
    try {
      await running("", async (daemon, client) => {
        await agree("yes");
        for (let i = 0; i < 3; i++) {
          await client.send(wrongAnswer(FIRST, { local, remote: remoteOf(FIRST, "TCP") }));
        }
        await blocked(FIRST);
        await agree("no");
        assert.ok(await outside.reaches(FIRST, container, port), "INPUT does not see it");
        await daemon.said(/Asterisk is at 172\.17\.0\.2, behind docker0/);
        const { out, code } = await ampere("--check");
        const mend = /^problem +firewall +IPv4: .*FORWARD does not ask ampere.*\n +fix: (.*?) \(/m
          .exec(out)?.[1];
        assert.equal(mend, "iptables -I DOCKER-USER -j ampere", out);
        assert.equal(code, 1);
        await must("sh", "-c", mend!);
        await agree("yes");
        assert.equal(await outside.reaches(FIRST, container, port), false, "blocked");
        assert.ok(await outside.reaches(SECOND, container, port), "an innocent");
        // One odd event changes nothing.
        await client.send(wrongAnswer("203.0.113.90", { local: "IPV4/UDP/127.0.0.1/5060" }));
        await client.send(wrongAnswer("203.0.113.91", { local: "IPV4/UDP/203.0.113.1/5060" }));
        await agree("yes");
      });

      // The address of the manager interface says it too, and Ampere makes the jump itself.
      await must("iptables", "-F", "DOCKER-USER");
      await Deno.writeTextFile(CONFIG, `${BASE}host = ${container}\n`);
      const { out } = await ampere("--check");
      assert.match(out, /^problem +firewall +IPv4: Asterisk is at 172\.17\.0\.2 behind docker0/m);
      await Deno.writeTextFile(CONFIG, `${BASE}host = ${container}\njump = DOCKER-USER\n`);
      await using daemon = new Program([executable]);
      await daemon.said(/DOCKER-USER asks the chain first now/);
      await agree("yes");
      assert.equal(await outside.reaches(FIRST, container, port), false, "blocked");
      await endsSoon(daemon);
    } finally {
      await sh("ip", "link", "del", "docker0");
      await sh("ip", "link", "del", "eth0");
    }
  });

  test("F6: an Asterisk that is behind no bridge of this machine: blocks protect nothing there", async () => {
    await makeChain();
    await Deno.writeTextFile(CONFIG, `${BASE}host = 198.51.100.77\n`);
    const { out, code } = await ampere("--check");
    assert.match(
      out,
      /^problem +firewall +IPv4: Asterisk is at 198\.51\.100\.77.*blocks here protect nothing there/m,
    );
    assert.equal(code, 1);
    await using daemon = new Program([executable]);
    await daemon.said(/error: IPv4: blocks are not in force: .*protect nothing there/);
    await until("the status says so", async () => {
      const { firewall } = await statusNow();
      return firewall.inForce.every(({ inForce }) => inForce === "no") &&
        firewall.asterisk.kind === "elsewhere";
    });
    await endsSoon(daemon);
  });

  test("an address of Asterisk's that is nowhere here, with its manager interface here, is told once", async () => {
    await makeChain();
    await running("", async (daemon, client) => {
      for (let i = 0; i < 5; i++) {
        await client.send(printEvent({
          kind: "ChallengeSent",
          service: "PJSIP",
          remote: remoteOf(`203.0.113.${100 + i}`),
          local: "IPV4/TLS/198.51.100.5/5061",
          tail: [["Challenge", ""]],
        }));
      }
      await daemon.said(
        /warn: Asterisk says that it is reached at 198\.51\.100\.5.*protect nothing there/,
      );
      assert.equal((await statusNow()).firewall.doubt, "198.51.100.5");
      await agree("yes");
      assert.equal(linesOf(daemon, /is reached at/).length, 1);
    });
  });
});
