/** What is done with an installed Ampere, and waited for. */

import assert from "node:assert/strict";
import { remoteOf, wrongAnswer } from "../support/asterisk_events.ts";
import { until } from "../support/namespace.ts";
import type { AmiClientOfServer } from "./ami_server.ts";
import { blockedIn } from "./machine.ts";
import type { Program } from "./program.ts";

export const LOG = "/var/log/ampere.log";

/** The daemon takes over what another process changed within this time, in milliseconds. */
const TAKEN_OVER_MS = 5_000;

/** The daemon ends within this time, in milliseconds. */
const ENDED_MS = 10_000;

/** Guesses three passwords; over UDP the address may be forged. */
export async function attack(
  client: AmiClientOfServer,
  address: string,
  transport: "TCP" | "UDP" = "UDP",
): Promise<void> {
  const remote = remoteOf(address, transport);
  for (let i = 0; i < 3; i++) await client.send(wrongAnswer(address, { remote }));
}

/**
 * Waits until the kernel blocks these, and nobody else.
 *
 * @returns how long that took, in milliseconds
 */
export async function blocked(...targets: string[]): Promise<number> {
  const wanted = targets.sort().join(" ");
  let seen = "";
  const started = performance.now();
  await until(`blocked are ${wanted || "nobody"}`, async () => {
    seen = [...await blockedIn()].sort().join(" ");
    return seen === wanted;
  }).catch((error) => {
    throw new Error(`${error.message}; blocked are ${seen}`);
  });
  return performance.now() - started;
}

/** The same, for what another process has changed: that may not take long. */
export async function takenOver(...targets: string[]): Promise<void> {
  const took = await blocked(...targets);
  assert.ok(took < TAKEN_OVER_MS, `the daemon took it over after ${took} ms`);
}

/** Waits for something in the log file. */
export async function logged(pattern: RegExp): Promise<void> {
  await until(`the log has ${pattern}`, async () => pattern.test(await Deno.readTextFile(LOG)));
}

/** Ends a daemon in time, with code 0. */
export async function endsSoon(running: Program, signal: Deno.Signal = "SIGTERM"): Promise<void> {
  const started = performance.now();
  running.signal(signal);
  const { code } = await running.end();
  const took = performance.now() - started;
  assert.equal(code, 0, running.text);
  assert.ok(took < ENDED_MS, `the end took ${took} ms`);
}

export async function emptyFolder(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    await Deno.remove(`${folder}/${name}`, { recursive: true });
  }
}
