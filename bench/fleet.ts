/**
 * Several PBXs with a real Redis between them, each in a network namespace: how soon an attacker of
 * one is in the kernel of another, and how long many changes take.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { askStatus, StatusError, statusSocketPath } from "../src/telemetry/status_socket.ts";
import { remoteOf, wrongAnswer } from "../tests/support/asterisk_events.ts";
import { RedisServer } from "../tests/support/redis.ts";
import { AmiServer } from "../tests/e2e/ami_server.ts";
import { must, pause, residentMiB, until } from "./process.ts";
import { cpuSeconds } from "./process.ts";

/** Not of 10.0.0.0/8, all of which is this machine for the other measurements. */
const HUB = "192.168.78.1";

/** Attackers that come one after the other. */
const SINGLES = 100;

/** Between two of them, in milliseconds. */
const GAP_MS = 20;

const NODES = 5;
const BURST = 2_000;
const CHANGES = 100_000;

/** How long all of it may take at a stage, in milliseconds. */
const PATIENCE_MS = 120_000;

/** How long an idle daemon is watched, in milliseconds. */
const IDLE_MS = 15_000;

/** A host of the network for such measurements (RFC 2544), which has 131,072. */
function hostOf(index: number): string {
  return `198.${18 + (index >> 16)}.${index >> 8 & 255}.${index & 255}`;
}

class Pbx {
  readonly name: string;
  readonly folder: string;
  readonly asterisk = new AmiServer({ hostname: HUB });
  readonly #ampere: string;
  #child: Deno.ChildProcess | undefined;

  constructor(index: number, ampere: string, folder: string, isShared = true) {
    this.name = `bench${index}`;
    this.#ampere = ampere;
    this.folder = `${folder}/${this.name}`;
    Deno.mkdirSync(`${this.folder}/run`, { recursive: true });
    must("ip", ["netns", "add", this.name]);
    const pair = ["type", "veth", "peer", "eth0", "netns", this.name];
    must("ip", ["link", "add", `b${index}`, ...pair]);
    must("ip", ["link", "set", `b${index}`, "master", "benchhub", "up"]);
    must("ip", ["-n", this.name, "link", "set", "lo", "up"]);
    must("ip", ["-n", this.name, "address", "add", `192.168.78.${index + 1}/24`, "dev", "eth0"]);
    must("ip", ["-n", this.name, "link", "set", "eth0", "up"]);
    const keys = [
      ...[`host = ${HUB}`, `port = ${this.asterisk.port}`, "backend = nftables", "neighbours = 0"],
      ...[`database = ${this.folder}/ampere.db`, "learn = 0", "guard_hosts = 0"],
      ...(isShared
        ? [`fleet = redis://${HUB}:6399/0`, `fleet_name = ${this.name}`, "fleet_max = 500000/hour"]
        : []),
    ];
    Deno.writeTextFileSync(`${this.folder}/ampere.cfg`, keys.join("\n") + "\n", { mode: 0o600 });
  }

  get pid(): number {
    return this.#child!.pid;
  }

  command(...args: string[]): [string, string[]] {
    const own = 'mkdir -p /run/ampere && mount --bind "$0/run" /run/ampere && exec "$@"';
    const all = [this.#ampere, "-c", `${this.folder}/ampere.cfg`, ...args];
    return ["ip", ["netns", "exec", this.name, "sh", "-c", own, this.folder, ...all]];
  }

  start(): void {
    const [program, args] = this.command("-o", `${this.folder}/log`);
    this.#child = new Deno.Command(program, { args, stdin: "null", stderr: "null" }).spawn();
  }

  logs(pattern: RegExp): boolean {
    try {
      return pattern.test(Deno.readTextFileSync(`${this.folder}/log`));
    } catch {
      return false;
    }
  }

  stored(): number {
    using database = new DatabaseSync(`${this.folder}/ampere.db`, { readOnly: true });
    return Number(database.prepare("SELECT count(*) AS blocks FROM block").get()?.blocks);
  }

  /** Entries of the kernel, by the daemon. */
  async applied(): Promise<number> {
    try {
      // As `ampere --status` does it, without the time of a process.
      const path = await statusSocketPath(`${this.folder}/ampere.db`, `${this.folder}/run`);
      return JSON.parse(await askStatus(path)).firewall.applied;
    } catch (error) {
      // It may be too busy to answer in time.
      if (error instanceof StatusError) return 0;
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    await this.#child?.status;
    this.#child = undefined;
  }

  async close(): Promise<void> {
    await this.stop();
    await this.asterisk[Symbol.asyncDispose]();
    must("ip", ["netns", "delete", this.name]);
  }
}

/** Waits longer than for a single block. */
async function patiently(
  what: string,
  look: () => true | undefined | Promise<true | undefined>,
  everyMs = 20,
): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end;) {
    if (await look()) return;
    await pause(everyMs);
  }
  throw new Error(`still not: ${what}`);
}

/** Tells when hosts come into the kernel of a PBX. */
function kernelOf(pbx: Pbx): { times: Map<string, number>; stop: () => void } {
  const child = new Deno.Command("ip", {
    args: ["netns", "exec", pbx.name, "nft", "monitor", "new", "elements"],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const times = new Map<string, number>();
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      const now = performance.now();
      for (const [host] of decoder.decode(chunk).matchAll(/198\.1[89]\.\d+\.\d+/g)) {
        if (!times.has(host)) times.set(host, now);
      }
    }
  })();
  return { times, stop: () => child.kill("SIGKILL") };
}

/** What a fleet was measured to take. */
interface FleetResult {
  /** From the kernel of one to that of another, in milliseconds. */
  readonly lags: number[];
  /** From the last attempt's event to the kernel of another, in milliseconds. */
  readonly whole: number[];
  /** Seconds until {@linkcode NODES} have all of what each was attacked by. */
  readonly burst: number;
  /** Seconds until a PBX that was away has all. */
  readonly away: number;
  /** CPU of an idle one with a fleet, as a part of a core. */
  readonly idle: number;
  /** The same without a fleet. */
  readonly idleAlone: number;
  /** Resident memory with a fleet and without, in MiB. */
  readonly memory: readonly [withFleet: number, alone: number];
}

/**
 * Measures a fleet.
 *
 * @param ampere The executable.
 * @param folder Where it may write.
 */
export async function measureFleet(ampere: string, folder: string): Promise<FleetResult> {
  must("ip", ["link", "add", "benchhub", "type", "bridge"]);
  must("ip", ["address", "add", `${HUB}/24`, "dev", "benchhub"]);
  must("ip", ["link", "set", "benchhub", "up"]);
  const redis = await RedisServer.start({ port: 6399, host: HUB });
  const pbxs = Array.from({ length: NODES }, (_, i) => new Pbx(i + 1, ampere, folder));
  const alone = new Pbx(NODES + 1, ampere, folder, false);
  try {
    for (const pbx of [...pbxs, alone]) pbx.start();
    const clients = await Promise.all(pbxs.map((pbx) => pbx.asterisk.client()));
    await alone.asterisk.client();
    for (const pbx of pbxs) {
      await until("the fleet", () => pbx.logs(/fleet: connected/) ? true : undefined);
    }
    // The programs of nftables have begun by then.
    await pause(5_000);
    const before = [pbxs[0]!, alone].map(({ pid }) => cpuSeconds(pid));
    await pause(IDLE_MS);
    const [idle, idleAlone] = [pbxs[0]!, alone].map(({ pid }, i) =>
      (cpuSeconds(pid) - before[i]!) / IDLE_MS * 1000
    ) as [number, number];
    const memory = [residentMiB(pbxs[0]!.pid), residentMiB(alone.pid)] as const;

    const attempts = (host: string, count: number) =>
      Array.from({ length: count }, () => wrongAnswer(host, { remote: remoteOf(host, "TCP") }));
    const kernels = [kernelOf(pbxs[0]!), kernelOf(pbxs[1]!)] as const;
    await pause(1_000);
    const whole: number[] = [];
    const lags: number[] = [];
    for (let i = 0; i < SINGLES; i++) {
      const host = hostOf(i);
      for (const attempt of attempts(host, 2)) await clients[0]!.send(attempt);
      await pause(GAP_MS);
      const begun = performance.now();
      for (const attempt of attempts(host, 1)) await clients[0]!.send(attempt);
      const [own, other] = kernels;
      await until("it is blocked", () => own.times.has(host) && other.times.has(host) || undefined);
      whole.push(other.times.get(host)! - begun);
      lags.push(Math.max(0, other.times.get(host)! - own.times.get(host)!));
    }
    for (const kernel of kernels) kernel.stop();

    const all = SINGLES + NODES * BURST;
    const attacks = clients.map((_, node) => {
      const first = 10_000 + node * BURST;
      const hosts = Array.from({ length: BURST }, (_, i) => hostOf(first + i));
      return hosts.flatMap((host) => attempts(host, 3)).join("");
    });
    const start = performance.now();
    const sent = clients.map((client, node) => client.send(attacks[node]!));
    await patiently(
      "all have all",
      () => pbxs.every((pbx) => pbx.stored() >= all) ? true : undefined,
    );
    const lists = (performance.now() - start) / 1000;
    await Promise.all(sent);
    await Promise.all(pbxs.map((pbx) =>
      until(
        "all is in the kernel",
        async () => await pbx.applied() >= all ? true : undefined,
        25,
      )
    ));
    const burst = (performance.now() - start) / 1000;
    console.error(`lists equal after ${lists.toFixed(2)} s`);

    const away = pbxs[NODES - 1]!;
    await away.stop();
    for (const pbx of pbxs.slice(2, NODES - 1)) await pbx.stop();
    const [program, args] = pbxs[0]!.command("-a");
    const child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const writer = child.stdin.getWriter();
    const lines = Array.from({ length: CHANGES }, (_, i) => hostOf(25_000 + i) + "\n");
    await writer.write(new TextEncoder().encode(lines.join("")));
    await writer.close();
    await child.status;
    const stored = async () => Number(await redis.cli("ZCARD", "ampere:ends"));
    await until(
      "they are sent",
      async () => await stored() >= all + CHANGES ? true : undefined,
      200,
    );
    await patiently(
      "another has them",
      () => pbxs[1]!.stored() >= all + CHANGES ? true : undefined,
      200,
    );
    await pause(3_000);
    const returned = performance.now();
    away.start();
    await patiently("it has all", () => away.stored() >= all + CHANGES ? true : undefined, 20);
    console.error(`away: list after ${((performance.now() - returned) / 1000).toFixed(2)} s`);
    await until(
      "in the kernel",
      async () => await away.applied() >= all + CHANGES ? true : undefined,
      50,
    );
    const awaySeconds = (performance.now() - returned) / 1000;
    return { lags, whole, burst, away: awaySeconds, idle, idleAlone, memory };
  } finally {
    for (const pbx of [...pbxs, alone]) await pbx.close();
    await redis[Symbol.asyncDispose]();
    must("ip", ["link", "delete", "benchhub"]);
  }
}
