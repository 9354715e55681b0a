/** The compiled program on a machine of its own, at its default paths, used as a person uses it. */

import assert from "node:assert/strict";
import { askStatus, statusSocketPath } from "../../src/telemetry/status_socket.ts";
import { sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { attack, blocked, emptyFolder, endsSoon, LOG, logged, takenOver } from "./installed.ts";
import { blockedIn, emptyFirewall, makeChain, must, onOwnMachine } from "./machine.ts";
import { type Outcome, Program, runToEnd, type StartOptions } from "./program.ts";

const CONFIG = "/etc/ampere/ampere.cfg";
const DATABASE = "/var/lib/ampere/ampere.db";

/** Where Asterisk listens by default. */
const AMI_PORT = 5038;

/** A configuration with all keys that version 0.2.3 knows, and no other. */
const ORIGINAL_CONFIG = `# Ampere configuration

host = 127.0.0.1
port = 5038
user = ampere
pass = s3cret

loyalty = 3
chain = ampere

trust = 0.0.0.0/32
trust = 198.51.100.0/24
`;

/** What `ampere -l` of version 0.2.3 prints. */
const ORIGINAL_LIST = `     203.0.113.5 | since 2014-05-01 12:00:00
  203.0.113.0/28 | since 2013-11-30 23:59:59
 198.18.100.200 | since 2014-05-02 00:00:01
`;

onOwnMachine(import.meta.url, (executable) => {
  /** Runs a command to its end. */
  const ampere = (args: readonly string[], options?: StartOptions): Promise<Outcome> =>
    runToEnd([executable, ...args], options);

  /** Runs a command that must succeed; gives its output. */
  const well = async (args: readonly string[], stdin?: string): Promise<string> => {
    const { code, out, err } = await ampere(args, stdin === undefined ? {} : { stdin });
    assert.equal(code, 0, `ampere ${args.join(" ")}: ${err}`);
    return out;
  };

  const daemon = (...args: string[]): Program => new Program([executable, ...args]);

  /** A test that begins on a machine as after the installation. */
  const test = (name: string, body: () => Promise<void>): void => {
    Deno.test(name, async () => {
      await emptyFirewall();
      await makeChain();
      for (const folder of ["/etc/ampere", "/var/lib/ampere", "/var/log"]) {
        await emptyFolder(folder);
      }
      await Deno.writeTextFile(CONFIG, ORIGINAL_CONFIG);
      await body();
    });
  };

  test("an original configuration: it blocks, lists, keeps its rules and restores them", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using first = daemon("-o", LOG);
    const client = await first.alive(asterisk.client());
    assert.deepEqual(asterisk.logins, [{ user: "ampere", secret: "s3cret" }]);
    await attack(client, "203.0.113.66");
    await attack(client, "2001:db8:bad::66");
    await attack(client, "198.51.100.7"); // trusted
    await attack(client, "203.0.113.67", "TCP");
    await blocked("203.0.113.66", "2001:db8:bad::66", "203.0.113.67");
    const list = await well(["-l"]);
    assert.match(list, /^ {4}203\.0\.113\.66 \| since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d/m);
    assert.equal(list.trim().split("\n").length, 3);
    assert.match(
      await Deno.readTextFile(LOG),
      /blocked 203\.0\.113\.66 until [\d-]+ [\d:]+ \(1 h\): 3 wrong passwords/,
    );
    assert.match(
      await Deno.readTextFile(LOG),
      /blocked 203\.0\.113\.67 for ever: 3 wrong passwords/,
    );
    assert.equal(first.text, "", "with -o nothing is said on the terminal");

    await endsSoon(first);
    await blocked("203.0.113.66", "2001:db8:bad::66", "203.0.113.67");

    // What happens at a restart of the machine: the rules are gone, the list is not.
    await emptyFirewall();
    await makeChain();
    await using second = daemon("-o", LOG);
    await second.alive(asterisk.client());
    await blocked("203.0.113.66", "2001:db8:bad::66", "203.0.113.67");
    await endsSoon(second);
  });

  test("-a, -d and -l while the daemon runs", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    await running.alive(asterisk.client());
    await running.said(/logged in/);
    assert.match(await well(["-a"], "203.0.113.5\n2001:DB8::/48\n10.1.2.3/8\n"), /3 added/);
    await takenOver("10.0.0.0/8", "2001:db8::/48", "203.0.113.5");
    assert.equal((await well(["--list"])).trim().split("\n").length, 3);
    assert.match(await well(["--add"], "203.0.113.5\n"), /0 added, 1 blocked already/);
    assert.match(await well(["--del"], "10.0.0.0/8\n2001:db8::/48\n"), /2 deleted/);
    await takenOver("203.0.113.5");
    assert.match(await well(["-d"], await well(["-l"])), /1 deleted/);
    await takenOver();
    assert.equal(await well(["-l"]), "");
    await endsSoon(running);
  });

  test("--status tells whether a daemon runs, and what it knows", async () => {
    const absent = await ampere(["--status"]);
    assert.equal(absent.code, 1);
    assert.match(absent.err, /^ampere: no daemon answers at \/run\/ampere\/status-/);

    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    const client = await running.alive(asterisk.client());
    await attack(client, "203.0.113.66");
    await blocked("203.0.113.66");
    assert.match(await well(["--status"]), /203\.0\.113\.66/);
    const status = JSON.parse(await well(["--status", "--json"]));
    assert.equal(status.pid, running.pid);
    assert.equal(status.blocks.count, 1);
    // As often as it is asked: a runtime that counts connections without end falls silent
    // after 513.
    const socket = await statusSocketPath(status.database.path);
    for (let asked = 0; asked < 600; asked++) assert.match(await askStatus(socket), /"pid":/);
    await endsSoon(running);
    assert.equal((await ampere(["--status"])).code, 1);
  });

  test("thousands of addresses are added and deleted at once", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    await running.alive(asterisk.client());
    const many = Array.from({ length: 5_000 }, (_, i) => `11.0.${i >> 8}.${i & 255}`);
    assert.match(await well(["-a"], many.join("\n")), /5000 added/);
    await until("all are in the kernel", async () => (await blockedIn()).size === many.length);
    assert.match(await well(["-d"], many.slice(1).join("\n")), /4999 deleted/);
    await until("one is left", async () => (await blockedIn()).size === 1);
    await endsSoon(running);
  });

  test("ampere -l | ampere -a: the list of another machine is taken over with its dates", async () => {
    await well(["-a"], `${ORIGINAL_LIST}2001:db8:bad::1\n`);
    const before = await well(["-l"]);
    const other = "/etc/ampere/other.cfg";
    await Deno.writeTextFile(other, `${ORIGINAL_CONFIG}database = /var/lib/ampere/other.db\n`);
    const pipe = `"$0" -l | "$0" -c ${other} -a`;
    assert.match(await must("sh", "-c", pipe, executable), /4 added/);
    assert.equal(await well(["-c", other, "-l"]), before);
    assert.match(await must("sh", "-c", `"$0" -l | "$0" -a`, executable), /0 added, 4 blocked/);
    assert.equal(await well(["-l"]), before);
  });

  test("the list of the original is taken over with its dates", async () => {
    await well(["-a"], ORIGINAL_LIST);
    const lines = (await well(["-l"])).trimEnd().split("\n").map((line) =>
      line.split("|").slice(0, 2).map((column) => column.trim())
    );
    assert.deepEqual(lines, [
      ["203.0.113.0/28", "since 2013-11-30 23:59:59"],
      ["203.0.113.5", "since 2014-05-01 12:00:00"],
      ["198.18.100.200", "since 2014-05-02 00:00:01"],
    ]);
    // A second opinion on what is stored.
    const seconds = await must(
      "sqlite3",
      DATABASE,
      "SELECT since FROM block ORDER BY since LIMIT 1",
    );
    assert.equal(Number(seconds), new Date(2013, 10, 30, 23, 59, 59).getTime());
  });

  test("bad lines are reported with their numbers, the good ones are done", async () => {
    const input =
      "203.0.113.1\n\n# comment\n203.0.113.256\n203.0.113.2 # why\n-j ACCEPT\n0.0.0.0/0\n" +
      "127.0.0.1\n198.51.100.9\n203.0.113.3 | since 2014-02-30 00:00:00\n203.0.113.4";
    const { code, out, err } = await ampere(["-a"], { stdin: input });
    assert.equal(code, 1);
    assert.match(out, /3 added/);
    for (const line of [4, 6, 7, 8, 9, 10]) assert.match(err, new RegExp(`^line ${line}: `, "m"));
    assert.equal(err.trim().split("\n").length, 6, err);
    assert.match(err, /line 4: "203\.0\.113\.256" is not an address/);
    assert.match(err, /line 9: 198\.51\.100\.9 is trusted/);
    assert.deepEqual(await listed(), ["203.0.113.1", "203.0.113.2", "203.0.113.4"]);
  });

  test("removing what is not there is said", async () => {
    await well(["-a"], "203.0.113.0/24\n203.0.114.1\n");
    const { code, out, err } = await ampere(["-d"], {
      stdin: "203.0.114.1\n192.0.2.1\n203.0.113.9\n",
    });
    assert.equal(code, 1);
    assert.match(out, /1 deleted/);
    assert.match(err, /line 2: 192\.0\.2\.1 is not blocked/);
    assert.match(err, /line 3: 203\.0\.113\.9 is not blocked, but 203\.0\.113\.0\/24 is/);
    assert.deepEqual(await listed(), ["203.0.113.0/24"]);
    assert.equal((await ampere(["-d"], { stdin: "203.0.113.9\n" })).code, 1);
    await well(["-d"], "");
    await well(["-d"], "203.0.113.0/24\n203.0.113.0/24\n");
  });

  test("removing a network in which hosts are blocked names these hosts, and lets nobody in", async () => {
    const hosts = Array.from({ length: 12 }, (_, i) => `203.0.113.${10 + i}`);
    await well(["-a"], `${hosts.join("\n")}\n198.18.0.5\n2001:db8::5\n2001:db8::6\n`);
    const stdin = "203.0.113.0/24\n198.18.0.0/24\n2001:db8::/64\n2001:db8:1::/64\n";
    const { code, out, err } = await ampere(["-d"], { stdin });
    assert.deepEqual([code, out], [1, "0 deleted\n"]);
    assert.deepEqual(err.trim().split("\n"), [
      `line 1: 203.0.113.0/24 is not blocked, but ${
        hosts.slice(0, 10).join(", ")
      } and 2 more are: delete those`,
      "line 2: 198.18.0.0/24 is not blocked, but 198.18.0.5 is: delete that",
      "line 3: 2001:db8::/64 is not blocked, but 2001:db8::5, 2001:db8::6 are: delete those",
      "line 4: 2001:db8:1::/64 is not blocked",
    ]);
    assert.equal((await listed()).length, 15);
  });

  test("on a terminal -a and -d refuse: not in a pipeline", async () => {
    for (const flag of ["-a", "-d"]) {
      const { code, out } = await sh("script", "-qec", `${executable} ${flag}`, "/dev/null");
      assert.equal(code, 1);
      assert.match(out, /Not in a pipeline/);
    }
  });

  test("wrong arguments: usage on standard error, code 2", async () => {
    for (
      const args of [["-x"], ["--nonsense"], ["-a", "-d"], ["-c"], ["203.0.113.5"], ["-l", "more"]]
    ) {
      const { code, out, err } = await ampere(args);
      assert.equal(code, 2, `${args}: ${err}`);
      assert.equal(out, "");
      assert.match(err, /Usage: ampere/);
    }
  });

  test("-h and -V, in any order and with anything beside them", async () => {
    assert.match(await well(["-h"]), /^Usage: ampere/);
    assert.match(await well(["-a", "--help"]), /^Usage: ampere/);
    assert.match(await well(["--version"]), /^ampere\/\d+\.\d+\.\d+\n$/);
    assert.match(await well(["-c", "/nonexistent", "-V"]), /^ampere\/\d/);
  });

  test("a wrong configuration: every problem with its line, code 1, the secret is not shown", async () => {
    await Deno.writeTextFile(
      CONFIG,
      "pass = hidden-4711\ntrust = 10.0.0.0/33\nport = x\nloyality = 3\n",
    );
    for (const args of [[], ["-l"], ["-a"]]) {
      const { code, err } = await ampere(args, { stdin: "" });
      assert.equal(code, 1);
      assert.match(err, /ampere\.cfg:2: trust: "10\.0\.0\.0\/33" is not an address or network/);
      assert.match(err, /ampere\.cfg:3: port: /);
      assert.match(err, /ampere\.cfg:4: .*did you mean "loyalty"/);
      assert.doesNotMatch(err, /hidden-4711/);
    }
  });

  test("without the default file the defaults apply, a named file must be there", async () => {
    await Deno.remove(CONFIG);
    const { code, err } = await ampere(["-l"]);
    assert.equal(code, 0);
    assert.match(err, /warning: .*\/etc\/ampere\/ampere\.cfg/);
    const named = await ampere(["-l", "-c", "/etc/ampere/no.cfg"]);
    assert.equal(named.code, 1);
    assert.match(named.err, /\/etc\/ampere\/no\.cfg.*there is no such file/);
  });

  test("paths beyond its folders: a clear error that names the compile option", async () => {
    const option = /deno task compile -- --allow-path=/;
    const config = await ampere(["-c", "/root/ampere-e2e.cfg", "-l"]);
    assert.equal(config.code, 1);
    assert.match(config.err, /\/root\/ampere-e2e\.cfg/);
    assert.match(config.err, option);

    const log = await ampere(["-o", "/root/ampere-e2e.log"]);
    assert.equal(log.code, 1);
    assert.match(log.err, /\/root\/ampere-e2e\.log/);
    assert.match(log.err, option);

    await Deno.writeTextFile(CONFIG, `${ORIGINAL_CONFIG}database = /root/ampere-e2e.db\n`);
    for (const args of [[], ["-a"], ["-l"]]) {
      const database = await ampere(args, { stdin: "203.0.113.5\n" });
      assert.equal(database.code, 1, `${args}: ${database.err}`);
      assert.match(database.err, /\/root\/ampere-e2e\.db/);
      assert.match(database.err, option);
    }
    for (const name of ["log", "db"]) {
      await assert.rejects(Deno.stat(`/root/ampere-e2e.${name}`), Deno.errors.NotFound);
    }
  });

  test("a missing chain is waited for, and the commands that mend it do", async () => {
    await emptyFirewall();
    await Deno.writeTextFile(CONFIG, `${ORIGINAL_CONFIG}backend = iptables\n`);
    await using _asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    const line = await running.said(/error: IPv4: there is no chain "ampere"/);
    const mend = /iptables -N ampere && iptables -I INPUT -j ampere/.exec(line)?.[0];
    assert.ok(mend, line);
    await running.said(/logged in/);
    await must("sh", "-c", mend);
    await running.said(/IPv4: blocks are in force again/);
    await endsSoon(running);
  });

  test("a missing IPv6 chain is a warning, and IPv4 goes on", async () => {
    await emptyFirewall();
    await makeChain("ampere", ["iptables"]);
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    const client = await running.alive(asterisk.client());
    await running.said(/warn: IPv6: there is no chain "ampere".*ip6tables -N ampere/);
    await attack(client, "2001:db8:bad::66");
    await attack(client, "203.0.113.66");
    await blocked("203.0.113.66");
    // When the chain comes, what waits for it is done.
    await makeChain("ampere", ["ip6tables"]);
    await blocked("203.0.113.66", "2001:db8:bad::66");
    await endsSoon(running);
  });

  test("without iptables: code 1, and how to install it", async () => {
    await Deno.mkdir("/run/empty", { recursive: true });
    await Deno.writeTextFile(CONFIG, `${ORIGINAL_CONFIG}backend = iptables\n`);
    const { code, err } = await ampere([], { env: { PATH: "/run/empty" } });
    assert.equal(code, 1);
    assert.match(err, /iptables is not installed/);
    assert.match(err, /apt-get install iptables/);
  });

  test("without the right to change the firewall: code 1, and which rights it takes", async () => {
    const bare = ["setpriv", "--bounding-set=-net_admin,-net_raw", executable];
    const { code, err } = await runToEnd(bare);
    assert.equal(code, 1);
    assert.match(err, /may not change the firewall/);
    assert.match(err, /CAP_NET_ADMIN/);
  });

  test("the database of the original is refused, with the way to migrate, and stays as it is", async () => {
    const berkeley = await Deno.readFile(new URL("../testdata/filter.db", import.meta.url));
    await Deno.writeFile("/var/lib/ampere/filter.db", berkeley);
    await Deno.writeTextFile(CONFIG, `${ORIGINAL_CONFIG}database = /var/lib/ampere/filter.db\n`);
    for (const args of [[], ["-a"], ["-d"], ["-l"]]) {
      const { code, err } = await ampere(args, { stdin: "203.0.113.5\n" });
      assert.equal(code, 1, `${args}: ${err}`);
      assert.match(err, /\/var\/lib\/ampere\/filter\.db/);
      assert.match(err, /Berkeley/);
      assert.match(err, /-l.*ampere -a|-l.*\| .*-a/s);
    }
    assert.deepEqual(await Deno.readFile("/var/lib/ampere/filter.db"), berkeley);
  });

  test("a second daemon on the same database is refused, -a and -l are not", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    await running.alive(asterisk.client());
    const { code, err } = await ampere([]);
    assert.equal(code, 1);
    assert.match(err, /another Ampere/);
    assert.match(await well(["-a"], "203.0.113.5\n"), /1 added/);
    await blocked("203.0.113.5");
    // The lock goes with the process, however it ends.
    running.signal("SIGKILL");
    await running.end();
    await using next = daemon();
    await next.alive(asterisk.client());
    await endsSoon(next);
  });

  test("--status: nobody answers, the daemon answers, and another user is told to use sudo", async () => {
    const absent = await ampere(["--status"]);
    assert.equal(absent.code, 1);
    assert.match(absent.err, /^ampere: no daemon answers at \/run\/ampere\/status-\S+\.sock /);
    assert.match(absent.err, /systemctl start ampere/);

    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    await running.alive(asterisk.client());
    await running.said(/logged in/);
    assert.doesNotMatch(running.text, /--status will not work/);
    assert.match(await well(["--status"]), /^Asterisk +connected to 127\.0\.0\.1:5038/m);

    // The executable, where everybody reaches it.
    await must(
      "sh",
      "-c",
      'touch /run/ampere-for-all && mount --bind "$0" /run/ampere-for-all',
      executable,
    );
    const other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const asked = await runToEnd([...other, "/run/ampere-for-all", "--status"]);
    assert.equal(asked.code, 1);
    assert.match(asked.err, /only the user of the daemon may ask/);
    assert.match(asked.err, /^ask as that user: sudo ampere --status$/m);
    await endsSoon(running);
    assert.equal((await ampere(["--status"])).code, 1);
  });

  test("a read-only file system: the blocks stay, and a writable one gets what is owed", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using first = daemon();
    await attack(await first.alive(asterisk.client()), "203.0.113.66");
    await blocked("203.0.113.66");
    await endsSoon(first);
    await must(
      "sh",
      "-c",
      "cd /var/lib && mount -B ampere ampere && mount -o remount,bind,ro ampere",
    );
    try {
      assert.match(await well(["-l"]), /203\.0\.113\.66 /);
      const { code, out } = await ampere(["--check"]);
      assert.equal(code, 1);
      assert.match(
        out,
        /^problem +database +.*: it is read-only .*\n +fix: mount the file system/m,
      );
      await using second = daemon();
      const client = await second.alive(asterisk.client());
      await second.said(/error: database .*: it is read-only .*mount the file system .* writable/);
      await attack(client, "203.0.113.67");
      await blocked("203.0.113.66", "203.0.113.67");
      await must("mount", "-o", "remount,bind,rw", "/var/lib/ampere");
      await second.said(/is in order again and holds the whole list \(blocks: 2\)/);
      await endsSoon(second);
    } finally {
      await must("umount", "/var/lib/ampere");
    }
    assert.deepEqual(await listed(), ["203.0.113.66", "203.0.113.67"]);
  });

  test("no folder for the database: code 1, and the command that makes it does", async () => {
    await Deno.remove("/var/lib/ampere", { recursive: true });
    const { code, err } = await ampere([]);
    assert.equal(code, 1);
    assert.match(err, /there is no folder \/var\/lib\/ampere$/m);
    const mend = /create it \("([^"]+)"\)/.exec(err)?.[1];
    assert.ok(mend, err);
    await must("sh", "-c", mend);
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    await running.alive(asterisk.client());
    await endsSoon(running);
  });

  test("files of somebody else, and no power over them as in the unit: the command that mends it does", async () => {
    const bounded = ["setpriv", "--bounding-set=-all,+net_admin,+net_raw", executable];
    await well(["-a"], "203.0.113.5\n");
    await must("chown", "-R", "65534", "/var/lib/ampere");
    const { code, err } = await runToEnd(bounded);
    assert.equal(code, 1);
    assert.match(err, /database \/var\/lib\/ampere\/ampere\.db: it cannot be opened/);
    const mend = /chown root: .*$/m.exec(err)?.[0];
    assert.ok(mend, err);
    await must("sh", "-c", mend);
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program(bounded);
    await running.alive(asterisk.client());
    await blocked("203.0.113.5");
    await endsSoon(running);
  });

  test("a metrics port that is taken: blocking goes on, and after a reload there are metrics", async () => {
    const port = 9738;
    await Deno.writeTextFile(CONFIG, `${ORIGINAL_CONFIG}metrics = 127.0.0.1:${port}\n`);
    const taker = Deno.listen({ hostname: "127.0.0.1", port });
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    const client = await running.alive(asterisk.client());
    try {
      const told = await running.said(/warn: no metrics: cannot listen on 127\.0\.0\.1:9738: /);
      assert.match(told, /another program.*\(ss -ltnp\).*systemctl reload ampere$/);
      await attack(client, "203.0.113.66");
      await blocked("203.0.113.66");
    } finally {
      taker.close();
    }
    running.signal("SIGHUP"); // as systemctl reload does
    await running.said(/metrics for Prometheus at http:\/\/127\.0\.0\.1:9738\/metrics/);
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
    assert.match(await answer.text(), /^ampere_blocks 1$/m);
    await endsSoon(running);
  });

  test("without ipset nobody hears of it, unless the backend is ipset", async () => {
    const folder = "/run/without-ipset";
    await Deno.mkdir(folder, { recursive: true });
    for (const program of ["iptables", "ip6tables"]) {
      await must("sh", "-c", `ln -sf "$(command -v ${program})" ${folder}/${program}`);
    }
    const env = { PATH: folder };
    for (const args of [["-V"], ["-l"]]) {
      const { code, err } = await ampere(args, { env });
      assert.equal(code, 0);
      assert.doesNotMatch(err, /ipset/);
    }
    await Deno.writeTextFile(CONFIG, `${ORIGINAL_CONFIG}backend = ipset\n`);
    const needed = await ampere([], { env });
    assert.equal(needed.code, 1);
    assert.match(needed.err, /ipset is not installed/);
    assert.match(needed.err, /apt-get install ipset/);
  });

  test("a login that is refused on the first connection: code 1, without the secret", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    asterisk.accepts = false;
    const { code, err } = await ampere([]);
    assert.equal(code, 1);
    assert.match(err, /refused the login of user "ampere": Authentication failed/);
    assert.match(err, /manager\.conf/);
    assert.doesNotMatch(err, /s3cret/);
    assert.equal(asterisk.logins.length, 1);
  });

  test("protection resumes by itself after a restart of Asterisk, a refused login after a reload too", async () => {
    let asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    const client = await running.alive(asterisk.client());
    await attack(client, "203.0.113.1");
    await blocked("203.0.113.1");
    await asterisk.stop();
    await running.said(/Asterisk closed the connection/);

    asterisk = new AmiServer({ port: AMI_PORT });
    asterisk.accepts = false;
    await running.said(/refused the login/);
    asterisk.accepts = true;
    const again = await running.alive(asterisk.client());
    await attack(again, "203.0.113.2");
    await blocked("203.0.113.1", "203.0.113.2");
    await endsSoon(running);
    await asterisk.stop();
  });

  test("HUP opens the log again after a rotation and reads the configuration again", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon("-o", LOG);
    const client = await running.alive(asterisk.client());
    await attack(client, "203.0.113.1");
    await attack(client, "203.0.113.2");
    await blocked("203.0.113.1", "203.0.113.2");

    await Deno.rename(LOG, `${LOG}.1`);
    await Deno.writeTextFile(CONFIG, `${ORIGINAL_CONFIG}trust = 203.0.113.1\n`);
    running.signal("SIGHUP");
    await blocked("203.0.113.2");
    assert.match(await Deno.readTextFile(LOG), /the configuration was read again/);
    assert.match(await Deno.readTextFile(LOG), /released 203\.0\.113\.1: trusted now/);
    assert.doesNotMatch(await Deno.readTextFile(`${LOG}.1`), /read again/);

    await Deno.writeTextFile(CONFIG, ORIGINAL_CONFIG.replace("loyalty = 3", "loyalty = none"));
    running.signal("SIGHUP");
    await logged(/loyalty: .*none/);
    await logged(/the old one stays in force/);
    await attack(client, "203.0.113.1");
    await attack(client, "203.0.113.3");
    await blocked("203.0.113.2", "203.0.113.3");

    // Another password: it logs in anew.
    await Deno.writeTextFile(CONFIG, ORIGINAL_CONFIG.replace("s3cret", "n3w"));
    running.signal("SIGHUP");
    await running.alive(asterisk.client());
    assert.equal(asterisk.logins.at(-1)?.secret, "n3w");
    assert.doesNotMatch(await Deno.readTextFile(LOG), /s3cret|n3w/);
    await endsSoon(running);
  });

  test("started as the unit starts it, it never blocks the gateway, a resolver or the AMI server", async () => {
    await must("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1");
    await must("ip", "addr", "add", "10.9.0.1/24", "dev", "v0");
    for (const end of ["v0", "v1"]) await must("ip", "link", "set", end, "up");
    await must("ip", "route", "add", "default", "via", "10.9.0.254");
    await Deno.writeTextFile("/etc/resolv.conf", "nameserver 10.9.0.53\n");
    // An address of another machine for Ampere, which knows only those of interfaces.
    await must("ip", "route", "add", "local", "10.8.0.2/32", "dev", "lo");
    await Deno.writeTextFile(
      CONFIG,
      ORIGINAL_CONFIG.replace("host = 127.0.0.1", "host = 10.8.0.2"),
    );
    try {
      await using asterisk = new AmiServer({ port: AMI_PORT, hostname: "0.0.0.0" });
      await using running = new Program(
        ["sh", "-c", 'exec "$0" < /proc/net/route', executable],
      );
      const client = await running.alive(asterisk.client());
      for (const address of ["10.9.0.254", "10.9.0.53", "10.8.0.2", "10.9.0.1"]) {
        await attack(client, address);
      }
      await attack(client, "203.0.113.7");
      await blocked("203.0.113.7");
      const { code, err } = await ampere(["-a"], { stdin: "10.9.0.254\n10.9.0.53\n10.8.0.2\n" });
      assert.equal(code, 1);
      assert.match(err, /^line 1: 10\.9\.0\.254 is the default gateway of this machine$/m);
      assert.match(err, /^line 2: 10\.9\.0\.53 is a resolver of this machine/m);
      assert.match(err, /^line 3: 10\.8\.0\.2 is the AMI server/m);
      await endsSoon(running);
    } finally {
      await must("ip", "link", "del", "v0");
      await must("ip", "route", "del", "local", "10.8.0.2/32", "dev", "lo");
      await Deno.writeTextFile("/etc/resolv.conf", "nameserver 127.0.0.53\n");
    }
  });

  test("a log that nobody reads hinders neither the start nor the work", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await must("mkfifo", "/var/log/fifo");
    await using running = daemon("-o", "/var/log/fifo");
    const client = await running.alive(asterisk.client());
    await attack(client, "203.0.113.7");
    await blocked("203.0.113.7");
    await using reader = new Program(["cat", "/var/log/fifo"]);
    await reader.said(/info: blocked 203\.0\.113\.7 /);
    assert.match(reader.lines[0]!, /info: Ampere .* follows Asterisk/);
    await endsSoon(running);
    await reader.end();
    assert.match(reader.lines.at(-1)!, /info: ended; 1 block stays in force/);
  });

  test("USR1 logs the state", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon();
    const client = await running.alive(asterisk.client());
    await attack(client, "203.0.113.1");
    await blocked("203.0.113.1");
    // The rule is in the kernel a moment before Ampere has heard of it.
    const state = /connected since .*3 security events.*1 blocks, 1 in the firewall/;
    await until("the state is told", () => {
      running.signal("SIGUSR1");
      return state.test(running.text);
    });
    await endsSoon(running);
  });

  test("INT ends it as TERM does, also while Asterisk is away", async () => {
    await using running = daemon();
    await running.said(/cannot connect/);
    await endsSoon(running, "SIGINT");
  });

  test("-v shows each message and what became of it, never the secret", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = daemon("-v");
    const client = await running.alive(asterisk.client());
    await attack(client, "203.0.113.1");
    await blocked("203.0.113.1");
    await running.said(/ChallengeResponseFailed PJSIP.*points 10 -> 15 of 15/);
    await running.said(/chain = ampere/);
    assert.doesNotMatch(running.text, /s3cret/);
    await endsSoon(running);
  });

  test("nothing but the programs of the firewall is ever started", async () => {
    await using asterisk = new AmiServer({ port: AMI_PORT });
    const trace = "/run/trace";
    await using running = new Program(
      ["strace", "-f", "-qq", "-e", "trace=execve,execveat", "-o", trace, executable],
    );
    const client = await running.alive(asterisk.client());
    await attack(client, "203.0.113.1");
    await attack(client, "2001:db8:bad::1");
    await blocked("203.0.113.1", "2001:db8:bad::1");
    await well(["-d"], "203.0.113.1\n");
    await blocked("2001:db8:bad::1");
    const pid = (await Deno.readTextFile(trace)).split(/\s/)[0]!;
    await must("kill", "-TERM", pid);
    assert.equal((await running.end()).code, 0, running.text);
    const started = [
      ...(await Deno.readTextFile(trace)).matchAll(/execve(?:at)?\(.*"([^"]+)", \[/g),
    ]
      .map((found) => found[1]!);
    assert.equal(started.shift(), executable);
    assert.ok(started.length >= 5, started.join());
    for (const program of started) assert.match(program, /^\/\S*\/(iptables|ip6tables|ipset|nft)$/);
  });

  /** The targets of `ampere -l`, sorted. */
  async function listed(): Promise<string[]> {
    const lines = (await well(["-l"])).trim().split("\n");
    return lines.map((line) => line.trim().split(" ")[0]!).sort();
  }
});
