/**
 * Packets without end, from an attacker and from an innocent host, to this machine and through it
 * to a container.
 *
 * @module
 */

import { must } from "./machine.ts";
import { FarSide } from "./far_side.ts";
import { Program } from "./program.ts";
import { sh, until } from "../support/namespace.ts";

/** What tells a route: who sends, by which family, to what. */
type Route = `${"attacker" | "innocent"} ${4 | 6} ${"host" | "container"}`;

/** The addresses of those who send. */
export const ATTACKERS = ["203.0.113.66", "2001:db8:0:113::66"] as const;
const INNOCENTS = ["203.0.113.67", "2001:db8:0:113::67"] as const;

/** What packets travel as: flows that go on, and new ones. */
const KINDS = ["udp-flow", "tcp-flow", "udp-new", "tcp-new"] as const;

/** This machine outside, and the container behind the bridge. */
const HOST = ["203.0.113.1", "2001:db8:0:113::1"] as const;
const CONTAINER = ["172.17.0.2", "fd00:17::2"] as const;
const BRIDGE = ["172.17.0.1/16", "fd00:17::1/64"] as const;

const PORT = 5060;

/** The port of this machine that is the container's {@linkcode PORT}. */
const FORWARDED_PORT = 5070;

/** So many messages of each innocent flow show that time has passed for the attacker's, too. */
const ENOUGH = 3;

/** How long packets may take to come through again after a change, in milliseconds. */
const THROUGH_MS = 30_000;

const ROUTES = (["attacker", "innocent"] as const).flatMap((who) =>
  ([4, 6] as const).flatMap((family) =>
    (["host", "container"] as const).map((where): Route => `${who} ${family} ${where}`)
  )
);

/** The traffic. Disposing ends it with the interfaces that it had. */
export class Traffic implements AsyncDisposable {
  /** How many messages of each kind have arrived on each route. */
  readonly #arrived = new Map<string, number>();
  /**
   * Connections of innocent hosts to this machine that were refused. Those to the container are
   * while a program has taken the rules of NAT away: then they are for this machine, where nobody
   * listens.
   */
  readonly refused: string[] = [];
  readonly #parts = new AsyncDisposableStack();

  private constructor() {}

  /** Makes the machines and the bridge, and lets packets go. */
  static async begin(): Promise<Traffic> {
    const traffic = new Traffic();
    try {
      await traffic.#begin();
      return traffic;
    } catch (error) {
      await traffic[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const parts = this.#parts;
    await must("ip", "link", "add", "docker0", "type", "bridge");
    // Left alone, the interfaces would stay until the kernel has ended the other networks.
    for (const link of ["docker0", "veth1", "eth0"]) {
      parts.defer(async () => void await sh("ip", "link", "del", link));
    }
    for (const address of BRIDGE) await must("ip", "address", "add", address, "dev", "docker0");
    await must("ip", "link", "set", "docker0", "up");
    const container = parts.use(
      await FarSide.make("veth1", CONTAINER.map(withLength), BRIDGE[0].split("/")[0]!),
    );
    await container.must("ip", "route", "add", "default", "via", BRIDGE[1].split("/")[0]!);
    await must("ip", "link", "set", "veth1", "master", "docker0");
    const outside = parts.use(
      await FarSide.make("eth0", [...ATTACKERS, ...INNOCENTS].map(withLength), HOST[0]),
    );
    for (const address of HOST) {
      await must("ip", "address", "add", withLength(address), "dev", "eth0");
    }
    await outside.must("ip", "route", "add", "default", "via", HOST[1]);
    for (const key of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) {
      await Deno.writeTextFile(`/proc/sys/net/${key}`, "1");
    }
    for (const run of [must, container.must.bind(container), outside.must.bind(outside)]) {
      await until(
        "all addresses are there",
        async () => await run("ip", "-6", "address", "show", "tentative") === "",
      );
    }
    await this.publish();
    await container.start(this.#hear, ...streaming("take", `${PORT}`, ...CONTAINER))
      .said(new RegExp(`listening at ${CONTAINER[1]}`));
    const here = new Program(streaming("take", `${PORT}`, ...HOST), {}, this.#hear);
    parts.use(here);
    await here.said(new RegExp(`listening at ${HOST[1]}`));
    const routes = ROUTES.map((route) => {
      const [who, family, where] = route.split(" ");
      const at = family === "4" ? 0 : 1;
      const from = (who === "attacker" ? ATTACKERS : INNOCENTS)[at];
      return [route, from, HOST[at], where === "host" ? PORT : FORWARDED_PORT].join(",");
    });
    outside.start(this.#hear, ...streaming("send", ...routes));
    await this.goes("attacker");
    await this.goes("innocent");
  }

  /** What Docker does for a port of a container that is published; what is there stays. */
  async publish(): Promise<void> {
    for (const [at, program] of ["iptables", "ip6tables"].entries()) {
      const to = at === 0 ? CONTAINER[0] : `[${CONTAINER[1]}]`;
      for (const protocol of ["udp", "tcp"]) {
        await addOnce(program, "nat", "PREROUTING", [
          ...["-p", protocol, "--dport", `${FORWARDED_PORT}`],
          ...["-j", "DNAT", "--to-destination", `${to}:${PORT}`],
        ]);
      }
      await addOnce(program, "filter", "FORWARD", ["-o", "docker0", "-j", "ACCEPT"]);
      await addOnce(program, "filter", "FORWARD", ["-i", "docker0", "-j", "ACCEPT"]);
    }
  }

  /** Waits until messages of all kinds arrive from somebody on all routes. */
  async goes(who: "attacker" | "innocent", kinds: readonly string[] = KINDS): Promise<void> {
    const before = this.#of(who, kinds);
    await until(
      `all comes through from ${who}`,
      () => this.#of(who, kinds).every((count, i) => count >= before[i]! + ENOUGH),
      THROUGH_MS,
    )
      .catch((error) => {
        const stuck = this.#names(who, kinds).filter((_, i) =>
          this.#of(who, kinds)[i]! < before[i]! + ENOUGH
        );
        throw new Error(`${error.message}: ${stuck}; all: ${JSON.stringify([...this.#arrived])}`);
      });
  }

  /** Waits until nothing comes through from the attacker while all does from the innocent host. */
  async isCut(): Promise<void> {
    await until("the attacker is cut off", async () => {
      const before = this.passed;
      await this.goes("innocent");
      return this.passed === before;
    }, THROUGH_MS);
  }

  /** How many messages of the attacker have arrived. */
  get passed(): number {
    return this.#of("attacker").reduce((sum, count) => sum + count, 0);
  }

  /** What has arrived from the attacker, for the message of a test. */
  get passedText(): string {
    return this.#names("attacker").map((name, i) => `${name}: ${this.#of("attacker")[i]}`).join();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }

  #names(who: string, kinds: readonly string[] = KINDS): string[] {
    return ROUTES.filter((route) => route.startsWith(who))
      .flatMap((route) => kinds.map((kind) => `${kind} ${route}`));
  }

  #of(who: string, kinds: readonly string[] = KINDS): number[] {
    return this.#names(who, kinds).map((name) => this.#arrived.get(name) ?? 0);
  }

  readonly #hear = (line: string) => {
    if (/^refused innocent \d host$/.test(line)) this.refused.push(line);
    if (!line.startsWith("{")) return;
    for (const [name, count] of Object.entries(JSON.parse(line) as Record<string, number>)) {
      this.#arrived.set(name, (this.#arrived.get(name) ?? 0) + count);
    }
  };
}

function streaming(...args: string[]): string[] {
  const script = new URL("./stream.ts", import.meta.url).pathname;
  return [Deno.execPath(), "run", "-A", "--no-check", script, ...args];
}

function withLength(address: string): string {
  return address + (address.includes(":") ? "/64" : address.startsWith("172") ? "/16" : "/24");
}

async function addOnce(program: string, table: string, chain: string, rule: string[]) {
  const { success } = await new Deno.Command(program, {
    args: ["-w", "-t", table, "-C", chain, ...rule],
    stderr: "null",
  }).output();
  if (!success) await must(program, "-w", "-t", table, "-A", chain, ...rule);
}
