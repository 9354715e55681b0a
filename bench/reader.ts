/**
 * How many security events a second are read, and what one costs.
 *
 * @module
 */

import { challenges, type LoopedFeed } from "./feed.ts";
import { emptyFirewall } from "./firewall.ts";
import type { Manager, ManagerConnection } from "./manager.ts";
import {
  Ampere,
  type AmpereOptions,
  cpuSeconds,
  pause,
  residentMiB,
  residentWithChildrenMiB,
  until,
} from "./process.ts";

/** The most attempts that a configuration allows: nobody is blocked for their own. */
export const NOBODY_BLOCKED = 1000;

/** What a reader did with a feed. */
export interface ReaderResult {
  readonly events: number;
  /** From the first byte sent to the last event counted. */
  readonly seconds: number;
  /** CPU time of its process in that time. */
  readonly cpuSeconds: number;
  /** The longest time for which it took no byte while more were there. */
  readonly longestPauseMs: number;
  /** Hosts that were blocked meanwhile. */
  readonly blocked: number;
}

/** Sends a feed some times. */
async function send(connection: ManagerConnection, feed: LoopedFeed, loops: number) {
  let longest = 0;
  let last = performance.now();
  for (let loop = 0; loop < loops; loop++) {
    await connection.send(feed.next());
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return longest;
}

/** Ampere reads: socket, grammar, penalties, and what follows from them. */
export async function measureReader(
  manager: Manager,
  options: AmpereOptions & { feed: LoopedFeed; events: number; blocks: boolean },
): Promise<ReaderResult> {
  const { feed, blocks } = options;
  const loops = Math.ceil(options.events / feed.events);
  const ampere = await Ampere.start(manager, {
    ...options,
    ...(blocks ? {} : { loyalty: NOBODY_BLOCKED }),
  });
  try {
    // The first events find the machine cold: they are not counted.
    const warmUp = Math.ceil(loops / 10);
    await send(ampere.connection, feed, warmUp);
    await counted(ampere, warmUp * feed.events);
    const cpu = ampere.cpuSeconds();
    const start = performance.now();
    const longestPauseMs = await send(ampere.connection, feed, loops);
    await counted(ampere, (warmUp + loops) * feed.events);
    return {
      events: loops * feed.events,
      seconds: (performance.now() - start) / 1000,
      cpuSeconds: ampere.cpuSeconds() - cpu,
      longestPauseMs,
      blocked: blocks ? ampere.logged(/ blocked /g) : 0,
    };
  } finally {
    await ampere.stop();
  }
}

/** Waits until so many events were counted. */
export async function counted(ampere: Ampere, events: number): Promise<void> {
  await until(`${events} events`, async () => {
    const now = await ampere.securityEvents();
    if (now > events) throw new Error(`${now} events were counted instead of ${events}`);
    return now === events ? true : undefined;
  }, 2);
}

/** A program that only reads the socket gets the same bytes. */
export async function measurePlainLoop(
  manager: Manager,
  executable: string,
  feed: LoopedFeed,
  events: number,
): Promise<ReaderResult> {
  const loops = Math.ceil(events / feed.events);
  const warmUp = Math.ceil(loops / 10);
  const answer = "Response: Success\r\nActionID: 1\r\nMessage: Authentication accepted\r\n\r\n";
  const bytes = "Asterisk Call Manager/11.0.0\r\n".length + answer.length +
    (warmUp + loops) * feed.length;
  const child = new Deno.Command(executable, {
    args: [String(manager.port), String(bytes)],
    stdin: "null",
  }).spawn();
  const connection = await manager.accept();
  await send(connection, feed, warmUp);
  const cpu = cpuSeconds(child.pid);
  const start = performance.now();
  // All but the last loop, because the CPU time of a process that has ended is not there any more.
  const longestPauseMs = await send(connection, feed, loops - 1);
  const used = cpuSeconds(child.pid) - cpu;
  await connection.send(feed.next());
  await connection.closed;
  const seconds = (performance.now() - start) / 1000;
  await child.status;
  connection.close();
  return {
    events: loops * feed.events,
    seconds,
    cpuSeconds: used,
    longestPauseMs,
    blocked: 0,
  };
}

/**
 * The stops for garbage collection while Ampere reads a feed, as V8 tells them.
 *
 * @param options the command must have the V8 flag `--trace-gc`
 * @returns milliseconds, the longest first
 */
export async function measureCollections(
  manager: Manager,
  options: AmpereOptions & { feed: LoopedFeed; events: number },
): Promise<number[]> {
  const ampere = await Ampere.start(manager, {
    ...options,
    loyalty: NOBODY_BLOCKED,
    output: true,
  });
  const output = ampere.output();
  const loops = Math.ceil(options.events / options.feed.events);
  await send(ampere.connection, options.feed, loops);
  await counted(ampere, loops * options.feed.events);
  await ampere.stop();
  // For example: [1234:0x55] 345 ms: Scavenge 22.1 (24.5) -> 21.3 (25.5) MB, pooled: 0 MB, 0.53 /
  // 0.00 ms
  const stops = [...(await output).matchAll(/MB, .*?([\d.]+) \/ [\d.]+ ms/g)].map((m) =>
    Number(m[1])
  );
  if (stops.length === 0) throw new Error("V8 told of no garbage collection");
  return stops.sort((a, b) => b - a);
}

/** Resident memory, in MiB. */
interface MemoryResult {
  readonly idle: number;
  /** After so many forged hosts had sent one packet each. */
  readonly afterFlood: number;
  readonly hosts: number;
}

/** Between what happened and the look at the memory, in milliseconds. */
const REST_MS = 2_000;

/** Hosts of a flood that are made at a time. */
const CHUNK_HOSTS = 2_000;

/** What Ampere occupies when nothing happens, and after a flood of forged UDP packets. */
export async function measureMemory(
  manager: Manager,
  options: AmpereOptions & { hosts: number },
): Promise<MemoryResult> {
  const { hosts } = options;
  const ampere = await Ampere.start(manager, options);
  try {
    await pause(REST_MS);
    const idle = ampere.residentMiB();
    for (let first = 0; first < hosts; first += CHUNK_HOSTS) {
      await ampere.connection.send(challenges(first, Math.min(CHUNK_HOSTS, hosts - first)));
    }
    await counted(ampere, hosts);
    await pause(REST_MS);
    return { idle, afterFlood: ampere.residentMiB(), hosts };
  } finally {
    await ampere.stop();
  }
}

/** What Ampere occupies with nftables when nothing happens, with the two programs that stay. */
export async function measureIdleWithChildren(
  manager: Manager,
  options: AmpereOptions,
): Promise<{ readonly all: number; readonly own: number }> {
  const ampere = await Ampere.start(manager, options);
  try {
    await pause(REST_MS);
    return { all: residentWithChildrenMiB(ampere.pid), own: ampere.residentMiB() };
  } finally {
    await ampere.stop();
    emptyFirewall();
  }
}

/** What a program that does nothing occupies, in MiB. */
export async function measureEmptyProgram(executable: string): Promise<number> {
  const child = new Deno.Command(executable, { stdin: "null", stdout: "null", stderr: "null" })
    .spawn();
  await pause(REST_MS);
  const resident = residentMiB(child.pid);
  child.kill("SIGKILL");
  await child.status;
  return resident;
}
