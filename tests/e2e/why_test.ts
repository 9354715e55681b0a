/** `ampere --why`: the compiled program, real firewalls, with and without the daemon. */

import assert from "node:assert/strict";
import { remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { attack, emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, FAMILIES, makeChain, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const AMI_PORT = 5038;
const CONFIG = "/etc/ampere/ampere.cfg";

/** Names that strangers give themselves, as bytes in Latin-1. */
const EVIL = '10\x1b[2J0"\xe2\x80\xae';

type Answer = Record<string, unknown> & {
  readonly target: string;
  readonly blocked: boolean;
  readonly daemon: boolean;
  readonly blocks: readonly { target: string; by: string; since: string; until: string | null }[];
  readonly blocksWithin: readonly { target: string; by: string }[];
  readonly points: readonly { host: string; points: number; limit: number }[];
  readonly goodStanding: readonly { host: string; lastLogin: string }[];
  readonly neverBlocked: readonly { target: string; cause: string; why: string }[];
  readonly kernel: {
    readonly backend: string;
    readonly holds: readonly string[] | null;
    readonly letsThrough: readonly string[] | null;
    readonly failure: string | null;
  };
  readonly attempts: readonly {
    at: string;
    host: string;
    what: string;
    account: string;
    service: string;
    transport: string;
    points: number;
  }[];
  readonly cures: readonly { type: string }[];
};

onOwnMachine(import.meta.url, (executable) => {
  const ampere = (args: readonly string[], stdin = "") =>
    runToEnd([executable, ...args], { stdin, deadlineMs: 30_000 });

  const why = async (...words: string[]): Promise<Answer> => {
    const { code, out, err } = await ampere(["--why", "--json", ...words]);
    assert.equal(code, 0, err);
    return JSON.parse(out);
  };

  /** Types what is advised. */
  const type = async (command: string) => {
    const path = `${executable.slice(0, executable.lastIndexOf("/"))}:${Deno.env.get("PATH")}`;
    const { code, err } = await runToEnd(["env", `PATH=${path}`, "sh", "-c", command]);
    assert.equal(code, 0, `${command}: ${err}`);
  };

  const test = (name: string, body: () => Promise<void>): void => {
    Deno.test(name, async () => {
      await emptyFirewall();
      await sh("nft", "flush", "ruleset");
      await sh("ipset", "destroy");
      for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
      await body();
    });
  };

  const configure = (...lines: string[]) =>
    Deno.writeTextFile(CONFIG, ["pass = s3cret", ...lines, ""].join("\n"), { mode: 0o600 });

  for (const backend of ["iptables", "ipset", "nftables"]) {
    test(`why with ${backend}: blocked for its attempts, held by the kernel, and released`, async () => {
      if (backend !== "nftables") await makeChain();
      await configure(`backend = ${backend}`, "neighbours = 0");
      await using asterisk = new AmiServer({ port: AMI_PORT });
      await using running = new Program([executable]);
      const client = await running.alive(asterisk.client());
      for (const address of ["203.0.113.5", "2001:db8::5"]) {
        for (const account of ["100", EVIL, "200"]) {
          const remote = remoteOf(address, "TCP");
          await client.send(wrongAnswer(address, { remote, account }));
        }
      }
      for (const target of ["203.0.113.5", "2001:db8::5"]) {
        await running.said(new RegExp(`blocked ${target.replaceAll(".", "\\.")} `));
        await until("the kernel holds it", async () => {
          const { kernel } = await why(target);
          return kernel.holds?.join() === target;
        });
        const answer = await why(target);
        assert.equal(answer.blocked, true);
        assert.equal(answer.daemon, true);
        assert.equal(answer.kernel.backend, backend);
        assert.deepEqual(answer.blocks.map(({ target, by }) => [target, by]), [[
          target,
          "attempts",
        ]]);
        assert.deepEqual(answer.points, []);
        assert.deepEqual(
          answer.attempts.map(({ host, what, account, service, transport, points }) =>
            [host, what, account, service, transport, points].join()
          ),
          ["100", EVIL, "200"].map((account) =>
            [target, "wrong password", account, "PJSIP", "TCP", 5].join()
          ),
        );
      }
      const text = (await ampere(["--why", "203.0.113.5"])).out;
      assert.match(text, /^203\.0\.113\.5 is blocked$/m);
      assert.match(text, /wrong password +"10\\x1b\[2J0\\"â\\x80®" +PJSIP over TCP +5$/m);
      // deno-lint-ignore no-control-regex -- nothing of that kind may reach a terminal
      assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);

      const answer = await why("203.0.113.5");
      await type(answer.cures[0]!.type);
      await until("it is free", async () => {
        const { blocked, kernel } = await why("203.0.113.5");
        return !blocked && kernel.holds?.length === 0;
      });
      // What it did is still known.
      assert.equal((await why("203.0.113.5")).attempts.length, 3);
      // The daemon ends: the kernel goes on holding the other one, and the database knows why.
      await endsSoon(running);
      const { code, out, err } = await ampere(["--why", "--json", "2001:db8::5"]);
      assert.equal(code, 0, err);
      assert.match(err, /^No daemon runs with this database: /);
      const without: Answer = JSON.parse(out);
      assert.equal(without.daemon, false);
      assert.equal(without.blocked, true);
      assert.deepEqual(without.kernel.holds, ["2001:db8::5"]);
      assert.equal(without.attempts.length, 3);
    });
  }

  test("why: a phone with points, its login, and what a restart keeps", async () => {
    await makeChain();
    await configure("backend = iptables");
    await using asterisk = new AmiServer({ port: AMI_PORT });
    {
      await using running = new Program([executable]);
      const client = await running.alive(asterisk.client());
      const tcp = (address: string) => ({ remote: remoteOf(address, "TCP") });
      for (const address of ["203.0.113.6", "203.0.113.6", "203.0.113.7", "198.51.100.9"]) {
        await client.send(wrongAnswer(address, tcp(address)));
      }
      await client.send(successfulAuth("198.51.100.9", tcp("198.51.100.9")));
      await until("it is charged", async () => (await why("198.51.100.9")).goodStanding.length > 0);
      const guesser = await why("203.0.113.6");
      assert.deepEqual(guesser.points, [
        { host: "203.0.113.6", points: 10, limit: 15, waiting: 0 },
      ]);
      assert.equal(guesser.attempts.length, 2);
      assert.deepEqual((await why("203.0.113.0/24")).points.map(({ host }) => host), [
        "203.0.113.6",
        "203.0.113.7",
      ]);
      const phone = await why("198.51.100.9");
      assert.deepEqual([phone.points, phone.blocked], [[], false]);
      await endsSoon(running);
    }
    const stored = await why("203.0.113.6");
    assert.deepEqual(
      stored.points.map(({ points, limit }) => [points, limit]),
      [[10, 15]],
    );
    assert.deepEqual((await why("198.51.100.9")).points, []);
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    assert.equal((await why("203.0.113.6")).points[0]!.points, 10);
    // No restart blocks anybody; the next failure does.
    assert.equal((await why("203.0.113.6")).blocked, false);
    await client.send(wrongAnswer("203.0.113.6", { remote: remoteOf("203.0.113.6", "TCP") }));
    await running.said(/blocked 203\.0\.113\.6 .*3 wrong passwords/);
    await until("it is held", async () => {
      return (await why("203.0.113.6")).kernel.holds?.length === 1;
    });
    await endsSoon(running);
  });

  test("why: killed at any moment, points are a minute old; attempts of the blocked are there", async () => {
    await makeChain();
    await configure("backend = iptables");
    await using asterisk = new AmiServer({ port: AMI_PORT });
    {
      await using running = new Program([executable]);
      const client = await running.alive(asterisk.client());
      await client.send(wrongAnswer("203.0.113.8", { remote: remoteOf("203.0.113.8", "TCP") }));
      await attack(client, "203.0.113.9", "TCP");
      await running.said(/blocked 203\.0\.113\.9/);
      await until("they are written", async () => {
        return (await Deno.readTextFile("/var/lib/ampere/ampere.db-wal")).includes(
          '"wrong password"',
        );
      });
      running.signal("SIGKILL");
      await running.end();
    }
    const blocked = await why("203.0.113.9");
    assert.deepEqual([blocked.blocked, blocked.daemon, blocked.attempts.length], [true, false, 3]);
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    // Nothing was written within the first minute, so nothing is known: it begins anew.
    assert.deepEqual((await why("203.0.113.8")).points, []);
    await attack(client, "203.0.113.8", "TCP");
    await running.said(/blocked 203\.0\.113\.8/);
    await endsSoon(running);
  });

  test("why: a stranger at a guarded account", async () => {
    await makeChain();
    await configure("backend = iptables", "guard_hosts = 3");
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    for (let i = 1; i <= 4; i++) {
      const remote = remoteOf(`203.0.113.${i}`, "TCP");
      await client.send(wrongAnswer(`203.0.113.${i}`, { remote, account: "700" }));
    }
    await running.said(/blocked 203\.0\.113\.4/);
    const answer = await why("203.0.113.4");
    assert.deepEqual(answer.blocks.map(({ target, by }) => `${target} ${by}`), [
      "203.0.113.4 account guard",
    ]);
    assert.deepEqual(answer.attempts.map(({ account }) => account), ["700"]);
    assert.deepEqual(answer.points.map(({ points }) => points), [5]);
    await endsSoon(running);
  });

  test("why: by hand, with a network, by neighbours, trusted in each way, and this machine", async () => {
    await makeChain();
    await Deno.writeTextFile("/etc/hosts", "127.0.0.1 localhost\n192.0.2.77 office.example\n");
    await Deno.writeTextFile("/etc/ampere/trusted", "192.0.2.78\n");
    await configure(
      "backend = iptables",
      "neighbours = 3",
      "trust = 192.0.2.64/29",
      "trust = office.example",
      "trust_file = /etc/ampere/trusted",
    );
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    assert.equal((await ampere(["-a"], "198.51.100.0/24\n")).code, 0);
    await until("it is held", async () => {
      return (await why("198.51.100.77")).kernel.holds?.join() === "198.51.100.0/24";
    });
    const inside = await why("198.51.100.77");
    assert.deepEqual(inside.blocks.map(({ target, by }) => `${target} ${by}`), [
      "198.51.100.0/24 hand",
    ]);
    assert.deepEqual(inside.cures[0]!.type, "echo 198.51.100.0/24 | ampere -d");
    for (const host of ["203.0.113.1", "203.0.113.2", "203.0.113.3"]) {
      await attack(client, host, "TCP");
    }
    await running.said(/blocked 203\.0\.113\.0\/24/);
    const neighbour = await why("203.0.113.200");
    assert.deepEqual(neighbour.blocks.map(({ target, by }) => `${target} ${by}`), [
      "203.0.113.0/24 neighbours",
    ]);
    const network = await why("203.0.113.0/24");
    assert.equal(network.blocksWithin.length, 3);
    assert.equal(network.attempts.length, 9);

    for (
      const [address, cause, reason] of [
        ["192.0.2.66", "trusted", /^trust = 192\.0\.2\.64\/29$/],
        ["192.0.2.77", "trusted", /^trust = office\.example, which is 192\.0\.2\.77$/],
        ["192.0.2.78", "trusted", /^it stands in \/etc\/ampere\/trusted$/],
        ["::ffff:192.0.2.66", "trusted", /^trust = 192\.0\.2\.64\/29$/],
        ["64:ff9b::192.0.2.66", "trusted", /^trust = 192\.0\.2\.64\/29$/],
        ["127.0.0.1", "loopback", /^loopback$/],
        ["127.0.0.53", "resolver", /^a resolver of this machine/],
      ] as const
    ) {
      const { neverBlocked, blocked } = await why(address);
      assert.equal(blocked, false, address);
      const found = neverBlocked.find((one) => one.cause === cause);
      assert.match(found?.why ?? `${address}: ${JSON.stringify(neverBlocked)}`, reason);
    }
    // To trust somebody is typed as it stands there, but for systemd.
    const cure = inside.cures.find(({ type }) => type.includes("trust = "))!.type;
    assert.match(cure, / && systemctl reload ampere$/);
    await type(cure.replace(/ && systemctl reload ampere$/, ""));
    running.signal("SIGHUP");
    await running.said(/the configuration was read again/);
    await until("it passes", async () => {
      const { kernel, neverBlocked } = await why("198.51.100.77");
      return neverBlocked.length === 1 && kernel.letsThrough?.join() === "198.51.100.77";
    });
    await endsSoon(running);
  });

  test("why: forms of an address, and what is none", async () => {
    await makeChain();
    await configure("backend = iptables");
    for (
      const [words, targets] of [
        [["192.0.2.7/255.255.255.0"], ["192.0.2.0/24"]],
        [["192.0.2.0", "255.255.255.0"], ["192.0.2.0/24"]],
        [["192.0.2.4-192.0.2.8"], ["192.0.2.4/30", "192.0.2.8"]],
        [["2001:DB8:0:0::1", "192.0.2.1"], ["2001:db8::1", "192.0.2.1"]],
        [['{"target":"192.0.2.9"}'], ["192.0.2.9"]],
        [["::ffff:192.0.2.1"], ["192.0.2.1"]],
      ] as const
    ) {
      const { code, out } = await ampere(["--why", "--json", ...words]);
      assert.equal(code, 0);
      const answers: Answer[] = out.trim().split("\n").map((line) => JSON.parse(line));
      assert.deepEqual(answers.map(({ target }) => target), targets);
      assert.ok(answers.every(({ blocked }) => !blocked));
    }
    for (
      const [words, message] of [
        [[], /--why needs an address or network: ampere --why 203\.0\.113\.5/],
        [[""], /--why: "" is no address or network/],
        [["192.0.2.300"], /--why: .*192\.0\.2\.300.* is not an address or network/],
        [["1.2.3.4; reboot"], /--why: .* is not an address or network/],
        [["192.0.2.1\x1b[2J"], /--why: .*\\x1b\[2J.* is not an address or network/],
        [["phone.example"], /--why: .*phone\.example.* is not an address or network/],
        [["10.0.0.0/33"], /--why: .*10\.0\.0\.0\/33.* is not/],
      ] as const
    ) {
      const { code, err, out } = await ampere(["--why", ...words]);
      assert.equal(code, 2, words.join(" "));
      assert.match(err, message);
      assert.equal(out, "");
    }
  });

  test("why: another user is told to use sudo, and still what is known", async () => {
    await makeChain();
    await configure("backend = iptables");
    await Deno.chmod(CONFIG, 0o644);
    await ampere(["-a"], "203.0.113.5\n");
    const other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const { code, out, err } = await runToEnd([...other, executable, "--why", "203.0.113.5"]);
    assert.equal(code, 1);
    assert.match(err, /root may ask everybody: sudo ampere --why 203\.0\.113\.5/);
    assert.match(out, /^Kernel +not known: /m);
    for (const program of FAMILIES) assert.equal((await sh(program, "-S")).code, 0);
  });
});
