/** Several PBXs with the compiled program: a network namespace each, a real Redis between them. */

import assert from "node:assert/strict";
import { remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { sh, until } from "../support/namespace.ts";
import { RedisServer } from "../support/redis.ts";
import { AmiServer } from "./ami_server.ts";
import { must, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const HUB = "10.77.0.1";
const ATTACKER = "203.0.113.66";
const PHONE = "203.0.113.10";
const TRUSTED = "203.0.113.11";

/** A PBX of the fleet: a namespace, Asterisk's AMI at the hub, and the daemon. */
class Pbx implements AsyncDisposable {
  readonly asterisk: AmiServer;
  readonly #name: string;
  readonly #folder: string;
  readonly #within: string[];
  readonly #executable: string;
  running: Program;

  private constructor(name: string, folder: string, asterisk: AmiServer, executable: string) {
    this.#name = name;
    this.#folder = folder;
    this.asterisk = asterisk;
    this.#executable = executable;
    // Of its own it has what Ampere keeps, too.
    this.#within = ["ip", "netns", "exec", name, "sh", "-c"];
    this.running = this.start();
  }

  static async make(index: number, executable: string, keys: string[] = []): Promise<Pbx> {
    const name = `pbx${index}`;
    const folder = `/var/lib/ampere/${name}`;
    await Deno.mkdir(folder);
    await must("ip", "netns", "add", name);
    await must("ip", "link", "add", `v${index}`, "type", "veth", "peer", "eth0", "netns", name);
    await must("ip", "link", "set", `v${index}`, "master", "hub", "up");
    const inside = (...args: string[]) => must("ip", "-n", name, ...args);
    await inside("link", "set", "lo", "up");
    await inside("address", "add", `10.77.0.${index + 1}/24`, "dev", "eth0");
    await inside("link", "set", "eth0", "up");
    const asterisk = new AmiServer({ hostname: HUB });
    const lines = [
      ...[
        `host = ${HUB}`,
        `port = ${asterisk.port}`,
        "pass = s3cret",
        "backend = nftables",
        "neighbours = 0",
      ],
      ...[`database = ${folder}/ampere.db`, "fleet = redis://ampere@10.77.0.1:6379/0"],
      ...[`fleet_name = ${name}`, `fleet_pass_file = /etc/ampere/${name}.pass`, ...keys, ""],
    ];
    await Deno.writeTextFile(`/etc/ampere/${name}.cfg`, lines.join("\n"), { mode: 0o600 });
    await Deno.writeTextFile(`/etc/ampere/${name}.pass`, "SECRET\n", { mode: 0o600 });
    return new Pbx(name, folder, asterisk, executable);
  }

  start(): Program {
    return this.running = new Program(this.#command());
  }

  /** Asks this PBX. */
  async ampere(args: string[], stdin?: string): Promise<{ out: string; err: string }> {
    return await runToEnd(this.#command(...args), {
      deadlineMs: 30_000,
      ...(stdin === undefined ? {} : { stdin }),
    });
  }

  /** Whether the kernel refuses a host. */
  async refuses(host: string): Promise<boolean> {
    const { out } = await sh("ip", "netns", "exec", this.#name, "nft", "list", "ruleset");
    return out.includes(host);
  }

  #command(...args: string[]): string[] {
    const all = [this.#executable, "-c", `/etc/ampere/${this.#name}.cfg`, ...args];
    // Each has its own chain lock and socket of `--status`.
    const own = 'mkdir -p /run/ampere "$0/run" && mount --bind "$0/run" /run/ampere && exec "$@"';
    return [...this.#within, own, this.#folder, ...all];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.running.signal("SIGKILL");
    await this.running.end();
    await this.asterisk[Symbol.asyncDispose]();
    await sh("ip", "netns", "delete", this.#name);
    await Deno.remove(this.#folder, { recursive: true });
  }
}

onOwnMachine(
  import.meta.url,
  (executable) => {
    Deno.test("fleet: an attacker of one is in the kernels of all, and released from all", async () => {
      await must("ip", "link", "add", "hub", "type", "bridge");
      await must("ip", "address", "add", `${HUB}/24`, "dev", "hub");
      await must("ip", "link", "set", "hub", "up");
      await using redis = await RedisServer.start({ port: 6379, host: HUB });
      const text = Deno.readTextFileSync(new URL("../../docs/fleet.md", import.meta.url));
      const [, line] = /redis-cli (ACL SETUSER .*)/.exec(text)!;
      await redis.cli(...line!.split(" ").map((word) => word.replaceAll("'", "")));
      await redis.cli("ACL", "SETUSER", "default", "resetkeys", "allkeys");
      await using one = await Pbx.make(1, executable);
      await using two = await Pbx.make(2, executable, [`trust = ${TRUSTED}`]);
      await using three = await Pbx.make(3, executable);
      const all = [one, two, three];
      const clients = await Promise.all(
        all.map((pbx) => pbx.running.alive(pbx.asterisk.client())),
      );
      for (const pbx of all) await pbx.running.said(/fleet: connected to redis:\/\/ampere@10/);
      const attack = async (at: number, host: string) => {
        for (let count = 0; count < 3; count++) {
          await clients[at]!.send(wrongAnswer(host, { remote: remoteOf(host, "TCP") }));
        }
      };
      const everywhere = (what: string, is: boolean, host: string) =>
        until(what, async () => {
          const found = await Promise.all(all.map((pbx) => pbx.refuses(host)));
          return found.every((one) => one === is);
        });

      await attack(0, ATTACKER);
      await everywhere("the attacker is blocked on all", true, ATTACKER);
      assert.match((await two.ampere(["-l"])).out, /203\.0\.113\.66 .* from pbx1: 3 wrong passw/);
      const [block] = (await two.ampere(["-l", "--json"])).out.trim().split("\n");
      assert.equal(JSON.parse(block!).origin, "pbx1");
      assert.match((await three.ampere(["--why", ATTACKER])).out, /from pbx1: 3 wrong passwords/);
      await until(
        "the status names the others",
        async () => {
          const { out } = await two.ampere(["--status"]);
          return /connected to redis:.* as pbx2/.test(out) && /pbx1: seen/.test(out);
        },
      );
      assert.match((await one.ampere(["--check"])).out, /^ok +fleet .*lets pbx1 do all/m);

      // Who is trusted on pbx2, and who has logged in on pbx3, is blocked elsewhere alone.
      await clients[2]!.send(successfulAuth(PHONE, { remote: remoteOf(PHONE, "TCP") }));
      await until(
        "the phone is known",
        async () => /1 in good standing/.test((await three.ampere(["--status"])).out),
      );
      await attack(0, TRUSTED);
      await attack(0, PHONE);
      await one.running.said(/block of 203\.0\.113\.11 is not applied on pbx2: trusted there/);
      await one.running.said(/block of 203\.0\.113\.10 is not applied on pbx3: somebody logged in/);
      await until(
        "they are blocked on pbx3 and pbx2",
        async () => await three.refuses(TRUSTED) && await two.refuses(PHONE),
      );
      assert.equal(await two.refuses(TRUSTED), false);
      assert.equal(await three.refuses(PHONE), false);

      // By hand on one of them, also while its daemon is ended: it holds everywhere.
      await two.ampere(["-d"], `${ATTACKER}\n`);
      await everywhere("the attacker is released from all", false, ATTACKER);
      await one.running.said(/released 203\.0\.113\.66: deleted by hand on pbx2/);
      await three.ampere(["-a", "--for", "1h"], "198.51.100.7\n");
      await everywhere("a block by hand", true, "198.51.100.7");
      await one.ampere(["-d", "--origin", "pbx3"]);
      await everywhere("what pbx3 has brought is gone", false, "198.51.100.7");

      // Deleted while its own daemon was ended: it does not come back, and holds everywhere.
      const other = "203.0.113.77";
      await attack(0, other);
      await everywhere("another attacker is blocked on all", true, other);
      one.running.signal("SIGTERM");
      await one.running.end();
      assert.equal((await one.ampere(["-d"], `${other}\n`)).out, "1 deleted\n");
      one.start();
      clients[0] = await one.running.alive(one.asterisk.client());
      await everywhere("the other attacker is released from all", false, other);

      // The engine is away: nothing waits for it.
      await redis.kill();
      await one.running.said(/fleet: .*Blocks here go on, and are sent later\. Fix: /);
      const late = "203.0.113.99";
      await attack(0, late);
      await until("it is blocked here", () => one.refuses(late));
      assert.match((await one.ampere(["--check"])).out, /^problem +fleet .*connection refused/m);
      assert.match((await one.ampere(["--status"])).out, /not connected to redis:/);
      await using again = await RedisServer.start({ port: 6379, host: HUB });
      await again.cli(...line!.split(" ").map((word) => word.replaceAll("'", "")));
      await everywhere("it is blocked on all", true, late);
      for (const pbx of all) assert.equal(pbx.running.text.includes("SECRET"), false);
    });
  },
  RedisServer.isInstalled() ? undefined : "needs redis-server",
);
