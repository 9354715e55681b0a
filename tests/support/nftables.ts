/**
 * A firewall by nftables with the real programs, for tests in a namespace.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Clock, systemClock } from "../../src/clock.ts";
import { type ChildStarter, startChild } from "../../src/firewall/child.ts";
import { run, type Runner } from "../../src/firewall/command.ts";
import { Firewall, type FirewallOptions } from "../../src/firewall/firewall.ts";
import { NftablesBackend } from "../../src/firewall/nftables/nftables.ts";
import { NftTable } from "../../src/firewall/nftables/table.ts";
import { sh, until } from "./namespace.ts";

/** Entries without an end. */
export const forEver = (targets: readonly string[]) =>
  targets.map((target) => ({ target, until: undefined }));

function memoryLog() {
  const lines: string[] = [];
  const add = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { lines, debug() {}, info: add("info"), warn: add("warn"), error: add("error") };
}

/** A firewall whose end takes its programs with it. */
export function makeNftables(
  options: Partial<FirewallOptions> & {
    run?: Runner;
    start?: ChildStarter;
    transactionMax?: number;
    tableClock?: Clock;
    monitoredMax?: number;
  } = {},
) {
  const log = memoryLog();
  const { run: runner = run, start, transactionMax, tableClock, monitoredMax, ...rest } = options;
  const clock = tableClock ?? systemClock;
  const table = new NftTable({
    name: "ampere",
    run: runner,
    start,
    log,
    clock,
    ...(monitoredMax && { monitoredMax }),
  });
  const backends = ([4, 6] as const).map((family) =>
    new NftablesBackend({ family, table, ...(transactionMax && { transactionMax }) })
  );
  const firewall = new Firewall({ backends, log, verifyMs: 3_600_000, random: () => 0, ...rest });
  let stopped: Promise<void> | undefined;
  const stop = () => stopped ??= firewall.stop().then(() => table.gone());
  return { firewall, log, table, stop, [Symbol.asyncDispose]: stop };
}

type Made = ReturnType<typeof makeNftables>;

/** The same with the programs that stay, which are ready when this returns. */
export async function makeResident(
  targets: readonly string[],
  options: Parameters<typeof makeNftables>[0] = {},
): Promise<Made & { pids: () => Promise<number[]> }> {
  const made = makeNftables({ start: startChild, ...options });
  try {
    assert.deepEqual(await made.firewall.start(forEver(targets)), []);
    await until("the programs stay", () => made.table.isResident);
  } catch (error) {
    await made.stop();
    throw error;
  }
  await made.firewall.idle();
  return { ...made, pids: () => childrenOf(Deno.pid) };
}

/** The programs that stay, of those that a process has started. */
export async function childrenOf(pid: number): Promise<number[]> {
  const children: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await Deno.readTextFile(`/proc/${name}/stat`).catch(() => "");
    const [, program, state, parent] = /^\d+ \((.*)\) (\S) (\d+)/.exec(stat) ?? [];
    if (program !== "nft" || state === "Z" || Number(parent) !== pid) continue;
    const command = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (/\0-i\0|\0monitor\0/.test(command)) children.push(Number(name));
  }
  return children;
}

/** The elements of a set, each with what is behind it. */
export async function elementsOf(set: string): Promise<string[]> {
  const { out } = await sh("nft", "-s", "list", "set", "inet", "ampere", set);
  const [, text = ""] = /elements = \{([^}]*)\}/.exec(out) ?? [];
  return text.split(",").map((element) => element.trim()).filter(Boolean).sort();
}

/** Whether a set has an element. */
export const holds = async (set: string, key: string) =>
  (await sh("nft", "get", "element", "inet", "ampere", set, `{ ${key} }`)).code === 0;
