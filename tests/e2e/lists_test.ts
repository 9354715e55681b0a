/** What the compiled program's -a and -d take: forms, ends, and what they warn of. */

import assert from "node:assert/strict";
import { remoteOf, successfulAuth } from "../support/asterisk_events.ts";
import { StatusServer, statusSocketPath } from "../../src/telemetry/status_socket.ts";
import { until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { emptyFolder, endsSoon, takenOver } from "./installed.ts";
import { emptyFirewall, makeChain, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const CONFIG = "/etc/ampere/ampere.cfg";

/** Where Asterisk listens by default. */
const AMI_PORT = 5038;

/** Lines of a big list. */
const MANY = 1_000_000;

/** How long a big list may take at most, in milliseconds, on a slow machine. */
const MANY_MS = 120_000;

onOwnMachine(import.meta.url, (executable) => {
  const ampere = (args: readonly string[], stdin = "", deadlineMs = 30_000) =>
    runToEnd([executable, ...args], { stdin, deadlineMs });

  /** What is listed: target, and how long from now it lasts in minutes. */
  const listed = async (): Promise<Record<string, number | undefined>> => {
    const { out } = await ampere(["-l", "--json"]);
    return Object.fromEntries(
      out.trim().split("\n").filter((line) => line !== "").map((line) => {
        const { target, until } = JSON.parse(line);
        const minutes = until === null
          ? undefined
          : Math.round((Date.parse(until) - Date.now()) / 60_000);
        return [target, minutes];
      }),
    );
  };

  const test = (name: string, body: () => Promise<void>): void => {
    Deno.test(name, async () => {
      await emptyFirewall();
      await makeChain();
      for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
      await Deno.writeTextFile(CONFIG, "pass = s3cret\n", { mode: 0o600 });
      await body();
    });
  };

  /** A time as `ampere -l` and fail2ban print it, so many minutes from now. */
  const local = (minutes: number): string => {
    const at = new Date(Date.now() + 60_000 * minutes);
    const two = (n: number) => String(n).padStart(2, "0");
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
      `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  };

  test("-d of the last blocked host of a network releases the network that was blocked for its hosts", async () => {
    const block = (target: string, reason: string, minutes: number) =>
      JSON.stringify({
        target,
        since: new Date(Date.now() - 60_000).toISOString(),
        until: new Date(Date.now() + 60_000 * minutes).toISOString(),
        reason,
        service: "",
      });
    const reason = "2 blocked hosts within a day: 203.0.113.4, 203.0.113.5";
    const lines = [
      block("203.0.113.4", "3 wrong passwords", 100),
      block("203.0.113.5", "3 wrong passwords", 100),
      block("203.0.113.0/24", reason, 58),
      block("2001:db8:1:2::/64", "3 wrong passwords", 100),
      block("2001:db8:1::/48", reason, 58),
      // By hand, as far as anybody can tell.
      block("198.51.100.7", "3 wrong passwords", 100),
      block("198.51.100.0/24", "a whole network", 58),
    ];
    assert.equal((await ampere(["-a"], lines.join("\n"))).code, 0);
    const first = await ampere(["-d"], "203.0.113.4\n");
    assert.equal(first.code, 1, "it is not let in");
    assert.match(
      first.out + first.err,
      /^line 1: 203\.0\.113\.4 is deleted, but 203\.0\.113\.0\/24 around it is blocked too: echo 203\.0\.113\.0\/24 \| ampere -d$/m,
    );
    const last = await ampere(["-d"], "203.0.113.5\n2001:db8:1:2::/64\n");
    assert.equal(last.code, 0, last.err);
    assert.match(
      last.out,
      /^2 deleted, and 203\.0\.113\.0\/24, 2001:db8:1::\/48, blocked for hosts of which none is left$/m,
    );
    assert.deepEqual(Object.keys(await listed()).sort(), ["198.51.100.0/24", "198.51.100.7"]);
    const other = await ampere(["-d"], "198.51.100.7\n");
    assert.deepEqual(Object.keys(await listed()), ["198.51.100.0/24"]);
    assert.equal(other.code, 1);
  });

  test("-a --for gives an end to what names none; without it that is for ever", async () => {
    const plain = await ampere(["-a"], "203.0.113.1\n");
    assert.deepEqual([plain.code, plain.out, plain.err], [0, "1 added\n", ""]);
    const input = `203.0.113.2\n203.0.113.3 | since ${local(-60)} | until ${local(30)} | x\n` +
      `203.0.113.4 | since ${local(-60)} | for ever\n203.0.113.5 | since ${local(-600)}\n`;
    assert.equal((await ampere(["-a", "--for", "2h"], input)).code, 0);
    assert.deepEqual(await listed(), {
      "203.0.113.5": 120,
      "203.0.113.3": 30,
      "203.0.113.4": undefined,
      "203.0.113.1": undefined,
      "203.0.113.2": 120,
    });
    // What is in force already ends at the later of both ends.
    await ampere(["-a", "--for=3h"], "203.0.113.2\n203.0.113.1\n");
    const after = await listed();
    assert.deepEqual([after["203.0.113.2"], after["203.0.113.1"]], [180, undefined]);
    for (const value of ["soon", "-1", "1.5h", "3651d", ""]) {
      const { code, err } = await ampere(["-a", `--for=${value}`], "203.0.113.9\n");
      assert.equal(code, 2);
      assert.match(err, /--for ".*" is not a length of time up to 3650d, such as 90s, 15m, 2h/);
    }
    assert.equal((await ampere(["-d", "--for", "2h"], "203.0.113.1\n")).code, 2);
    assert.equal(Object.keys(await listed()).length, 5);
  });

  test("-a of fail2ban's list: with times the ends are kept, and the chain follows them", async () => {
    await Deno.writeTextFile(CONFIG, "pass = s3cret\nbantime = 10m\n", { mode: 0o600 });
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    await running.alive(asterisk.client());
    // As `fail2ban-client get asterisk banip --with-time` prints it: a blank and a tab.
    const timed = `203.0.113.5 \t${local(-5)} + 600 = ${local(5)}\n` +
      `2001:db8::9 \t${local(-5)} + 604800 = ${local(10_075)}\n` +
      `203.0.113.6 \t${local(-5)} + -1 = 9999-12-31 23:59:59\n` +
      `203.0.113.7 \t${local(-20)} + 600 = ${local(-10)}\n`;
    const { code, out, err } = await ampere(["-a"], timed);
    assert.deepEqual([code, err], [0, ""]);
    assert.match(out, /^3 added, 1 left out because their time is over; what names no end /);
    await takenOver("2001:db8::9", "203.0.113.5", "203.0.113.6");
    assert.deepEqual(await listed(), {
      "203.0.113.5": 5,
      "2001:db8::9": 10_075,
      "203.0.113.6": undefined,
    });
    // And without times, all in one line.
    const plain = await ampere(["-a", "--for", "10m"], "203.0.113.8 203.0.113.9 2001:db8::a\n");
    assert.equal(plain.out, "3 added\n");
    const now = await listed();
    for (const host of ["203.0.113.8", "203.0.113.9", "2001:db8::a"]) assert.equal(now[host], 10);
    await endsSoon(running);
  });

  test("-a and -d take the same forms: several, ranges, netmasks, APIBAN's JSON", async () => {
    const apiban = { ipaddress: ["198.18.0.1", "198.18.0.2"], ID: "1764514801" };
    const input = [
      "203.0.113.1, 203.0.113.2 203.0.113.3 # three",
      "203.0.113.8-203.0.113.12",
      "198.51.100.7/255.255.255.0",
      "192.0.2.0 255.255.255.128",
      JSON.stringify(apiban, null, 1),
      '["2001:db8::1","2001:db8::2"]',
      "203.0.113.256 203.0.113.20",
      "203.0.113.30-203.0.113.20",
    ].join("\n");
    const targets = [
      "192.0.2.0/25",
      "198.18.0.1",
      "198.18.0.2",
      "198.51.100.0/24",
      "2001:db8::1",
      "2001:db8::2",
      "203.0.113.1",
      "203.0.113.12",
      "203.0.113.2",
      "203.0.113.3",
      "203.0.113.8/30",
    ];
    const added = await ampere(["-a"], input);
    assert.equal(added.code, 1);
    assert.equal(added.out, "11 added\n");
    // The JSON takes seven lines.
    assert.deepEqual(added.err.trim().split("\n"), [
      'line 13: "203.0.113.256" is not an address or network: nothing of this line was taken',
      'line 14: "203.0.113.30-203.0.113.20" is not an address or network',
    ]);
    assert.deepEqual(Object.keys(await listed()).sort(), targets);
    const deleted = await ampere(["-d"], input);
    assert.deepEqual([deleted.code, deleted.out], [1, "11 deleted\n"]);
    assert.deepEqual(await listed(), {});
    assert.equal(
      (await ampere(["-a"], '{"ipaddress":["no new bans"],"ID":"none"}')).out,
      "0 added\n",
    );
  });

  test("-a warns of private networks and of who is in good standing, and blocks them", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    for (let i = 1; i <= 5; i++) {
      const address = `203.0.113.${i}`;
      await client.send(successfulAuth(address, { remote: remoteOf(address, "TCP") }));
    }
    await until("they are in good standing", async () => {
      const { out } = await ampere(["--status", "--json"]);
      return out !== "" && JSON.parse(out).hosts.inGoodStanding === 5;
    });
    await endsSoon(running);
    const networks = ["10.0.0.0/8", "192.168.0.0/16", "100.64.0.0/10", "172.20.1.1", "fd00::1"];
    const others = ["203.0.113.0/24", "203.0.113.5", "198.51.100.0/24", "8.0.0.0/6"];
    const { code, out, err } = await ampere(["-a"], [...networks, ...others].join("\n"));
    assert.equal(code, 0);
    assert.equal(out, "9 added\n");
    const lines = err.trim().split("\n");
    assert.equal(lines.length, 8, err);
    assert.equal(
      lines[0],
      "warning: line 1: 10.0.0.0/8 is private addresses (RFC 1918), which your own phones may " +
        "have. It is blocked; to take it back: echo 10.0.0.0/8 | ampere -d",
    );
    assert.match(lines[1]!, /line 2: 192\.168\.0\.0\/16 is private/);
    assert.match(lines[2]!, /line 3: 100\.64\.0\.0\/10 is the addresses that providers share out/);
    assert.match(
      lines[3]!,
      /line 4: 172\.20\.1\.1 shares addresses with 172\.16\.0\.0\/12, private/,
    );
    assert.match(lines[4]!, /line 5: fd00::1 shares addresses with fc00::\/7, private/);
    assert.match(lines[5]!, /line 6: 203\.0\.113\.0\/24 holds .*, .* and 2 more, in good standing/);
    assert.match(lines[6]!, /line 7: 203\.0\.113\.5 is in good standing/);
    assert.match(lines[7]!, /line 9: 8\.0\.0\.0\/6 shares addresses with 10\.0\.0\.0\/8/);
    // The advised command.
    assert.equal((await ampere(["-d"], "10.0.0.0/8\n")).out, "1 deleted\n");
    // Whoever logged in longer ago than `credit` is not warned of any more.
    await Deno.writeTextFile(CONFIG, "pass = s3cret\ncredit = 0\n", { mode: 0o600 });
    assert.equal((await ampere(["-a"], "203.0.113.0/25\n")).err, "");
  });

  test("-a says when the daemon has changes that the database does not have yet", async () => {
    const path = await statusSocketPath("/var/lib/ampere/ampere.db");
    let owed = 2;
    const daemon = await StatusServer.open(
      path,
      () => `${JSON.stringify({ database: { owed } })}\n`,
    );
    try {
      // What is new can't be undone by them.
      assert.equal((await ampere(["-a"], "203.0.113.1\n")).err, "");
      const again = await ampere(["-a"], "203.0.113.1\n203.0.113.2\n");
      assert.equal(again.out, "1 added, 1 blocked already\n");
      assert.match(again.err, /^warning: 2 changes of the daemon are not in the database yet/);
      owed = 0;
      assert.equal((await ampere(["-a"], "203.0.113.1\n")).err, "");
    } finally {
      await daemon.stop();
    }
  });

  test("a million lines of addresses and a million addresses of APIBAN are taken", async () => {
    const many = Array.from(
      { length: MANY },
      (_, i) => `${11 + (i >> 18)}.${(i >> 16) & 3}.${(i >> 8) & 255}.${i & 255}`,
    );
    const added = await ampere(["-a"], many.join("\n"), MANY_MS);
    assert.deepEqual([added.code, added.out, added.err], [0, `${MANY} added\n`, ""]);
    const again = await ampere(["-a"], JSON.stringify({ ipaddress: many, ID: "1" }), MANY_MS);
    assert.deepEqual([again.code, again.out], [0, `0 added, ${MANY} blocked already\n`]);
  });
});
