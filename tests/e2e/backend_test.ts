/**
 * `backend = auto` and `action` with the compiled program and real packets: which firewall it is,
 * what becomes of the one of before, and how a packet of a blocked host is refused.
 */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer, type Socket } from "node:net";
import { sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { FarSide } from "./far_side.ts";
import { attack, emptyFolder, endsSoon } from "./installed.ts";
import { FAMILIES, makeChain, must, onOwnMachine } from "./machine.ts";
import { type Outcome, Program, runToEnd } from "./program.ts";

const CONFIG = "/etc/ampere/ampere.cfg";
const AMI_PORT = 5038;
const PORT = 5060;

/** This machine, as the hosts see it. */
const HERE = { 4: "203.0.113.1", 6: "2001:db8:66::1" } as const;

/** Guessers; the third does nothing. */
const FIRST = "203.0.113.66";
const SECOND = "203.0.113.67";
const INNOCENT = "203.0.113.68";
const FIRST6 = "2001:db8:66::66";

/** A folder with some programs of the firewall, to be the only one in PATH. */
async function pathWith(...programs: string[]): Promise<string> {
  const folder = await Deno.makeTempDir({ dir: "/run" });
  for (const name of programs) {
    const found = (await sh("sh", "-c", `command -v ${name}`)).out.trim();
    await Deno.symlink(found, `${folder}/${name}`);
  }
  return folder;
}

/** The machine without rules, sets and lists. */
async function clean(): Promise<void> {
  for (const iptables of FAMILIES) {
    await sh(iptables, "-F");
    await sh(iptables, "-X");
  }
  await sh("nft", "flush", "ruleset");
  await sh("ipset", "destroy");
  for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
}

/** Answers by an end; whoever is blocked meanwhile may reset the connection. */
function answer(socket: Socket): void {
  socket.on("error", () => {});
  socket.end();
}

/** Hosts on another machine, and a port here that they try. */
class Net implements AsyncDisposable {
  /** How many datagrams of the flood have come in. */
  came = 0;
  readonly #far: FarSide;
  readonly #servers: { close(): void }[];

  private constructor(far: FarSide) {
    this.#far = far;
    const udp = createSocket("udp4");
    udp.on("message", () => this.came += 1);
    udp.bind(PORT, HERE[4]);
    this.#servers = [
      udp,
      createServer(answer).listen(PORT, HERE[4]),
      createServer(answer).listen(PORT, HERE[6]),
    ];
  }

  static async make(): Promise<Net> {
    const hosts = [FIRST, SECOND, INNOCENT].map((host) => `${host}/24`);
    const far = await FarSide.make("eth0", hosts, HERE[4]);
    await must("ip", "address", "add", `${HERE[4]}/24`, "dev", "eth0");
    await must("ip", "address", "add", `${HERE[6]}/64`, "dev", "eth0", "nodad");
    await far.must("ip", "address", "add", `${FIRST6}/64`, "dev", "far0", "nodad");
    // Who is blocked cannot ask for a neighbour either, which nobody far away has to.
    const macOf = (text: string) => /link\/ether (\S+)/.exec(text)![1]!;
    const own = macOf(await must("ip", "link", "show", "eth0"));
    await far.must("ip", "neighbour", "replace", HERE[6], "lladdr", own, "dev", "far0");
    const theirs = macOf(await far.must("ip", "link", "show", "far0"));
    await must("ip", "neighbour", "replace", FIRST6, "lladdr", theirs, "dev", "eth0");
    return new Net(far);
  }

  /** What becomes of a connection from a host. */
  knock(from: string): Promise<string> {
    return this.#far.knock(from, HERE[from.includes(":") ? 6 : 4], PORT);
  }

  /** Waits until a connection ends so. */
  async becomes(from: string, answer: string): Promise<void> {
    await until(`${from}: ${answer}`, async () => await this.knock(from) === answer);
  }

  /** Lets a host send a datagram each millisecond, and sees that they come. */
  async flood(from: string): Promise<void> {
    await this.#far.flood(from, HERE[4], PORT);
    await until("datagrams come", () => this.came > 0);
  }

  /** Waits until no datagram comes any more, and counts from then on. */
  async held(): Promise<void> {
    await until("no datagram comes", async () => {
      this.came = 0;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return this.came === 0;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    await this.#far[Symbol.asyncDispose]();
    await sh("ip", "link", "delete", "eth0");
  }
}

onOwnMachine(import.meta.url, (executable) => {
  const ampere = (args: readonly string[], stdin = "", env = {}): Promise<Outcome> =>
    runToEnd([executable, ...args], { stdin, env, deadlineMs: 40_000 });

  /** Runs a daemon that is logged in. */
  async function running(
    asterisk: AmiServer,
    config: string,
    body: (daemon: Program, client: Awaited<ReturnType<AmiServer["client"]>>) => Promise<void>,
    env: Record<string, string> = {},
    args: readonly string[] = [],
  ): Promise<void> {
    const text = `pass = s3cret\nlearn = 0\nmetrics = 127.0.0.1:9738\n${config}`;
    await Deno.writeTextFile(CONFIG, text, { mode: 0o600 });
    await using daemon = new Program([executable, ...args], { env });
    const client = await daemon.alive(asterisk.client());
    await daemon.said(/logged in/);
    await body(daemon, client);
    await endsSoon(daemon);
  }

  /** All that tells names the same firewall, and that blocks are in force. */
  async function agree(backend: string, why: RegExp, env = {}): Promise<void> {
    await until("blocks are in force", async () => {
      const { out } = await ampere(["--status", "--json"], "", env);
      const inForce: { family: number; inForce: string }[] = JSON.parse(out).firewall.inForce;
      return inForce.every((one) => one.inForce === "yes");
    });
    const { firewall } = JSON.parse((await ampere(["--status", "--json"], "", env)).out);
    assert.equal(firewall.backend, backend);
    assert.equal(firewall.configured, "auto");
    assert.match(firewall.why, why);
    const status = (await ampere(["--status"], "", env)).out;
    assert.match(status, new RegExp(`in order: ${backend}, .* in the kernel`));
    assert.match(status, new RegExp(`^ +${backend} was chosen, because ${why.source}`, "m"));
    const check = (await ampere(["--check"], "", env)).out;
    const choice =
      `^ok +firewall +backend = auto: the daemon uses ${backend}, because ${why.source}`;
    assert.match(check, new RegExp(choice, "m"));
    assert.doesNotMatch(check, /^(?:problem|warning) +firewall/m);
    const list = (await ampere(["-l"], "", env)).out;
    assert.doesNotMatch(list, /in force/i);
    const metrics = await (await fetch("http://127.0.0.1:9738/metrics")).text();
    assert.ok(
      metrics.includes(
        `ampere_firewall_info{backend="${backend}",configured="auto",action="reject"} 1\n`,
      ),
      metrics,
    );
  }

  Deno.test("backend: on a machine with nft alone nothing has to be done for the firewall", async () => {
    await clean();
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using net = await Net.make();
    const env = { PATH: await pathWith("nft") };
    await Deno.writeTextFile(CONFIG, "pass = s3cret\n", { mode: 0o600 });
    const before = await ampere(["--check"], "", env);
    assert.match(
      before.out,
      /^ok +firewall +backend = auto: nftables, because nft works, and ipt/m,
    );
    assert.match(before.out, /^ok +firewall +nftables works; Ampere makes the table inet ampere/m);
    assert.equal((await sh("nft", "list", "ruleset")).out, "");
    await running(asterisk, "", async (daemon, client) => {
      await daemon.said(/info: backend = auto: nftables, because .* iptables is not installed$/);
      await daemon.said(/blocks in the table inet ampere \(nftables\)/);
      assert.equal(await net.knock(FIRST), "reached");
      assert.equal(await net.knock(FIRST6), "reached");
      await attack(client, FIRST, "TCP");
      await attack(client, FIRST6, "TCP");
      await net.becomes(FIRST, "refused");
      await net.becomes(FIRST6, "refused");
      assert.equal(await net.knock(INNOCENT), "reached");
      await agree("nftables", /nft works, and iptables is not installed/, env);
      assert.equal((await ampere(["-d"], `${FIRST}\n`, env)).code, 0);
      await net.becomes(FIRST, "reached");
    }, env);
    assert.equal(await net.knock(FIRST6), "refused", "the blocks stay");
  });

  Deno.test("backend: who comes from 0.2.3 goes on with the chain, and its rules become drop", async () => {
    await clean();
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using net = await Net.make();
    await makeChain("ampere", ["iptables"]);
    for (const host of [FIRST, "198.51.100.7"]) {
      await must("iptables", "-A", "ampere", "-s", host, "-j", "REJECT");
    }
    const listed =
      ` ${FIRST} | since 2014-05-01 12:00:00\n 198.51.100.7 | since 2014-05-02 00:00:01\n`;
    assert.equal((await ampere(["-a"], listed)).code, 0);
    await net.flood(SECOND);
    await must("iptables", "-I", "ampere", "-s", SECOND, "-j", "REJECT");
    assert.equal((await ampere(["-a"], `${SECOND} | since 2014-05-02 00:00:01\n`)).code, 0);
    await net.held();
    await running(asterisk, "", async (daemon) => {
      await daemon.said(/info: backend = auto: iptables, because its chain ampere is there$/);
      await net.becomes(FIRST, "refused");
      assert.match((await ampere(["--status"])).out, /: iptables, chain ampere, 3 blocks/);
      assert.equal((await sh("nft", "list", "table", "inet", "ampere")).code, 1);
    });
    await running(asterisk, "action = drop\n", async (daemon) => {
      await until("all are dropped", async () => {
        const rules = (await must("iptables", "-S", "ampere")).trim().split("\n").slice(1);
        return rules.length === 3 && rules.every((rule) => rule.endsWith("/32 -j DROP"));
      });
      assert.equal(await net.knock(FIRST), "silent");
      // Nobody else has done it.
      assert.doesNotMatch(daemon.text, /others changed/);
    });
    assert.equal(net.came, 0, "datagrams of a blocked host came through");
  });

  Deno.test("backend: after a change of the chain's name nobody stays refused by the one of before", async () => {
    await clean();
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using net = await Net.make();
    await running(asterisk, "backend = nftables\nchain = old:4\n", async (daemon, client) => {
      // It is named as nft knows it.
      await daemon.said(/blocks in the table inet old_4 \(nftables\)/);
      assert.match((await ampere(["--status"])).out, /: nftables, table inet old_4, /);
      for (const host of [FIRST, SECOND, FIRST6]) {
        await attack(client, host, "TCP");
        await net.becomes(host, "refused");
      }
    });
    assert.equal((await ampere(["-d"], `${FIRST}\n`)).code, 0);
    await running(asterisk, "backend = nftables\nchain = new\n", async (daemon) => {
      await daemon.said(
        /info: the table inet old_4 of before was taken out of nftables: the table inet new holds/,
      );
      await net.becomes(FIRST, "reached");
      assert.equal(await net.knock(SECOND), "refused");
      assert.equal(await net.knock(FIRST6), "refused");
    });
    assert.equal((await ampere(["-d"], `${FIRST6}\n`)).code, 0);
    const chain = "backend = iptables\nchain = newer\njump = INPUT\n";
    await running(asterisk, chain, async (daemon, client) => {
      await daemon.said(
        /info: the table inet new of before was taken out of nftables: the chain newer holds/,
      );
      await net.becomes(FIRST6, "reached");
      assert.equal(await net.knock(SECOND), "refused");
      await attack(client, FIRST, "TCP");
      await net.becomes(FIRST, "refused");
    });
    assert.equal((await ampere(["-d"], `${FIRST}\n`)).code, 0);
    await running(asterisk, chain.replace("newer", "newest"), async (daemon) => {
      await daemon.said(/info: IPv4: the chain newer of iptables was emptied of 2 rules of before/);
      await net.becomes(FIRST, "reached");
      assert.equal(await net.knock(SECOND), "refused");
    });
  });

  Deno.test("backend: a chain that asks a set goes on with ipset", async () => {
    await clean();
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using net = await Net.make();
    await running(asterisk, "backend = ipset\njump = INPUT\n", async (_daemon, client) => {
      await attack(client, FIRST, "TCP");
      await net.becomes(FIRST, "refused");
    });
    await running(asterisk, "", async (daemon) => {
      await daemon.said(
        /info: backend = auto: ipset, because the chain ampere asks the set ampere4$/,
      );
      await agree("ipset", /the chain ampere asks the set ampere4/);
      assert.equal(await net.knock(FIRST), "refused");
      assert.equal((await ampere(["-d"], `${FIRST}\n`)).code, 0);
      await net.becomes(FIRST, "reached");
    });
  });

  Deno.test("backend: from iptables to nftables to iptables nobody comes through or stays out", async () => {
    await clean();
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using net = await Net.make();
    await net.flood(SECOND);
    await running(asterisk, "jump = INPUT\n", async (daemon, client) => {
      await daemon.said(/info: backend = auto: iptables, because jump = INPUT is for iptables$/);
      await attack(client, FIRST, "TCP");
      await attack(client, SECOND, "TCP");
      await attack(client, FIRST6, "TCP");
      await net.becomes(FIRST, "refused");
      await net.becomes(FIRST6, "refused");
      await net.held();
    });
    await running(asterisk, "backend = nftables\n", async (daemon) => {
      await daemon.said(
        /info: IPv4: the chain ampere of iptables was emptied of 2 rules of before/,
      );
      await daemon.said(/info: IPv6: the chain ampere of iptables was emptied of 1 rule of before/);
      assert.equal((await must("iptables", "-S", "ampere")).trim(), "-N ampere");
      assert.equal(await net.knock(FIRST), "refused");
      assert.equal(await net.knock(FIRST6), "refused");
      assert.equal((await ampere(["-d"], `${FIRST}\n`)).code, 0);
      await net.becomes(FIRST, "reached");
    });
    // A chain that is loaded with old blocks later goes the same way.
    await running(asterisk, "backend = nftables\nverify = 5s\n", async (daemon) => {
      await until(
        "there is the table",
        async () => (await sh("nft", "list", "table", "inet", "ampere")).code === 0,
      );
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await must("iptables", "-A", "ampere", "-s", INNOCENT, "-j", "REJECT");
      assert.equal(await net.knock(INNOCENT), "refused");
      await daemon.said(/info: IPv4: the chain ampere of iptables was emptied of 1 rule/);
      assert.equal(await net.knock(INNOCENT), "reached");
    });
    await running(asterisk, "jump = INPUT\n", async (daemon) => {
      await daemon.said(
        /info: the table inet ampere of before was taken out of nftables: iptables/,
      );
      assert.equal((await sh("nft", "list", "table", "inet", "ampere")).code, 1);
      assert.equal(await net.knock(FIRST), "reached");
      assert.equal(await net.knock(FIRST6), "refused");
      assert.equal((await ampere(["-d"], `${FIRST6}\n`)).code, 0);
      await net.becomes(FIRST6, "reached");
    });
    assert.equal(net.came, 0, "datagrams of a blocked host came through");
    assert.equal((await ampere(["-d"], `${SECOND}\n`)).code, 0);
    await running(asterisk, "jump = INPUT\n", async () => {
      await until("datagrams come", () => net.came > 0);
    });
  });

  for (const backend of ["iptables", "ipset", "nftables"] as const) {
    Deno.test(`action: ${backend} refuses and drops, and changes what is there`, async () => {
      await clean();
      await using asterisk = new AmiServer({ port: AMI_PORT });
      await using net = await Net.make();
      await net.flood(SECOND);
      const base = `backend = ${backend}\n${backend === "nftables" ? "" : "jump = INPUT\n"}`;
      const become = async (answer: string) => {
        await Promise.all([net.becomes(FIRST, answer), net.becomes(FIRST6, answer)]);
      };
      await running(asterisk, base, async (_daemon, client) => {
        const before = (await ampere(["--check"])).out;
        assert.match(
          before,
          /^ok +firewall +no packet of a blocked host has come since .*--check/m,
        );
        for (const host of [FIRST, SECOND, FIRST6]) await attack(client, host, "TCP");
        await net.held();
        await become("refused");
        // What was refused just now is seen by --check, in both families.
        const [, ...numbers] =
          /^ok +firewall +seen by packets: (\S+) packets of blocked hosts were refused since the rules were made \(IPv4: (\S+), IPv6: (\S+)\)$/m
            .exec((await ampere(["--check"])).out) ?? [];
        const [sum, four, six] = numbers.map((text) => Number(text.replaceAll(",", "")));
        assert.ok(four! > 1 && six! > 0 && sum === four! + six!, numbers.join());
      });
      await running(asterisk, `${base}action = drop\n`, async (daemon, client) => {
        await become("silent");
        assert.match((await ampere(["--status"])).out, /in the kernel, packets are dropped/);
        const { out } = await ampere(["--check"]);
        assert.doesNotMatch(out, /^(?:problem|warning) +firewall/m);
        await attack(client, INNOCENT, "TCP");
        await net.becomes(INNOCENT, "silent");
        await Deno.writeTextFile(CONFIG, `pass = s3cret\nlearn = 0\n${base}`);
        daemon.signal("SIGHUP");
        await daemon.said(/the configuration was read again/);
        await become("refused");
        await net.becomes(INNOCENT, "refused");
        await Deno.writeTextFile(CONFIG, `pass = s3cret\nlearn = 0\n${base}action = drop\n`);
        daemon.signal("SIGHUP");
        await become("silent");
        assert.equal((await ampere(["-d"], `${FIRST}\n${INNOCENT}\n`)).code, 0);
        await net.becomes(FIRST, "reached");
        await net.becomes(INNOCENT, "reached");
        assert.doesNotMatch(daemon.text, /others changed|warn: IPv|error:/);
      });
      await running(asterisk, base, async (daemon) => {
        await net.becomes(FIRST6, "refused");
        assert.doesNotMatch(daemon.text, /others changed|warn: IPv|error:/);
      });
      assert.equal(net.came, 0, "datagrams of a blocked host came through");
    });
  }

  Deno.test("backend: without any firewall it ends, and says what to install", async () => {
    await clean();
    await using _asterisk = new AmiServer({ port: AMI_PORT });
    await Deno.writeTextFile(CONFIG, "pass = s3cret\n", { mode: 0o600 });
    const env = { PATH: await pathWith() };
    const { code, err } = await ampere([], "", env);
    assert.equal(code, 1);
    assert.match(
      err,
      /error: there is no firewall to block in: neither nft nor iptables is installed\. Fix: apt-get install nftables, then systemctl restart ampere$/m,
    );
    const check = await ampere(["--check"], "", env);
    assert.equal(check.code, 1);
    assert.match(check.out, /^problem +firewall +there is no firewall to block in: neither/m);
    assert.match(check.out, /^ +fix: apt-get install nftables/m);
  });

  Deno.test("backend: --check says what a start would change, and a dry run chooses too", async () => {
    await clean();
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await running(asterisk, "", async (daemon) => {
      await daemon.said(/info: backend = auto: nftables, because nft works, and iptables has no/);
      await makeChain();
      const { out } = await ampere(["--check"]);
      assert.match(
        out,
        /^warning +firewall +the daemon uses nftables, but at its next start it would use iptables, because its chain ampere is there$/m,
      );
      assert.match(out, /^ +fix: write "backend = nftables" into ampere\.cfg if it is to stay so/m);
      await Deno.writeTextFile(CONFIG, "pass = s3cret\nbackend = ipset\n");
      assert.match(
        (await ampere(["--check"])).out,
        /^warning +firewall +the daemon still uses nftables; backend = ipset takes effect at its/m,
      );
    });
    const dry = async (choice: RegExp, command: RegExp) => {
      await running(
        asterisk,
        "",
        async (daemon, client) => {
          await daemon.said(choice);
          await attack(client, FIRST, "TCP");
          await daemon.said(command);
        },
        {},
        ["--dry-run"],
      );
    };
    await dry(
      /: iptables, because its chain/,
      /dry run: would run iptables .* -s 203\.0\.113\.66 -j/,
    );
    await clean();
    await dry(
      /: nftables, because/,
      /dry run: would run nft -f - .*add element inet ampere hosts4/,
    );
    assert.doesNotMatch((await sh("nft", "list", "ruleset")).out, /ampere/);
  });
});
