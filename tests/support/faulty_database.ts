/**
 * What the tests of databases that fail share: real files, real processes, small disks.
 */

import assert from "node:assert/strict";
import { StatementSync } from "node:sqlite";
import type { Block, NewBlock } from "../../src/blocks/block.ts";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { BlockDatabaseError } from "../../src/blocks/fault.ts";
import { WrittenBlockList, type WrittenOptions } from "../../src/blocks/written_block_list.ts";
import { address, block, NOW, saveStanding, targetsOf } from "../support/database_samples.ts";

export const PAGE = 4_096;
const PROGRAM = new URL("../support/database_process.ts", import.meta.url).pathname;
export const NOBODY = 65_534;

export const isRoot = Deno.uid() === 0;
/** Mounting needs root; a container may forbid it all the same. */
export const canMount = isRoot && succeeds("unshare", ["-m", "true"]);
export const canTrace = isRoot && succeeds("strace", ["-o", "/dev/null", "true"]);

export function succeeds(program: string, args: string[]): boolean {
  try {
    return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

export function blocks(count: number): NewBlock[] {
  return Array.from({ length: count }, (_, n) => block(address(n), { since: NOW + n }));
}

/** A closed database with so many blocks. */
export function makeDatabase(path: string, count: number): Block[] {
  using list = BlockDatabase.open(path);
  list.add(blocks(count), NOW);
  saveStanding(list, [["192.0.2.200", NOW]]);
  return list.all();
}

export function failure(call: () => unknown): BlockDatabaseError {
  try {
    call();
  } catch (error) {
    assert(error instanceof BlockDatabaseError, String(error));
    return error;
  }
  assert.fail("did not throw");
}

/** Opens the daemon's list and collects what it tells. */
export function openWritten(path: string, now = NOW, options: WrittenOptions = {}) {
  const troubles: string[] = [];
  const mends: string[] = [];
  const list = WrittenBlockList.open(path, {
    ...options,
    now,
    onTrouble: (message) => troubles.push(message),
    onRecovered: (message) => mends.push(message),
  });
  return { list, troubles, mends };
}

/** Targets that a database holds, as another process sees them. */
export function stored(path: string): string[] {
  using list = BlockDatabase.open(path);
  return targetsOf(list).sort();
}

/**
 * Runs something, and has another process's deed done once, before the statement of this number
 * that SQLite is given meanwhile.
 *
 * @param run What is disturbed.
 * @param at Number of the statement, from 0.
 * @param deed What the other does, by a connection of its own.
 * @returns Whether there were so many statements.
 */
export function disturbed(run: () => void, at: number, deed: () => void): boolean {
  // deno-lint-ignore no-explicit-any
  const prototype = StatementSync.prototype as Record<"run" | "get", (...values: any[]) => any>;
  const { run: runs, get } = prototype;
  const restore = () => Object.assign(prototype, { run: runs, get });
  let statements = 0;
  for (const name of ["run", "get"] as const) {
    const original = prototype[name];
    prototype[name] = function (...values) {
      if (statements++ === at) {
        restore();
        deed();
      }
      return original.apply(this, values);
    };
  }
  try {
    run();
  } finally {
    restore();
  }
  return statements > at;
}

/** Names in a folder that belong to databases that were set aside. */
export function setAsideFiles(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((entry) => entry.name)
    .filter((name) => name.includes(".corrupt-") && !/-(wal|shm)$/.test(name)).sort();
}

export function overwrite(path: string, at: number, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  file.writeSync(bytes);
}

export function noise(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, n) => (Math.imul(n + seed, 2_654_435_761) >>> 13) & 255);
}

/** A process that does what it is told; see database_process.ts. */
export class Helper implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(prefix: string[] = []) {
    const [program = Deno.execPath(), ...args] = [...prefix, Deno.execPath()];
    this.#child = new Deno.Command(program, {
      args: [...args, "run", "-A", "--no-lock", PROGRAM],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The next line of the answer; undefined at the end. */
  // deno-lint-ignore no-explicit-any
  async line(): Promise<any> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return JSON.parse(line);
      }
      const { value, done } = await this.#output.read();
      if (done) return undefined;
      this.#rest += value;
    }
  }

  async send(command: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(command + "\n"));
  }

  // deno-lint-ignore no-explicit-any
  async ask(command: string): Promise<any> {
    await this.send(command);
    return await this.line();
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    await this.#output.cancel();
    await this.#input.abort().catch(() => {});
  }
}

/** A helper with a small file system of its own at /mnt. */
export async function withTinyDisk(size: string): Promise<Helper> {
  const mount = `mount -t tmpfs -o size=${size} none /mnt && exec "$@"`;
  const helper = new Helper(["unshare", "-m", "sh", "-c", mount, "sh"]);
  assert.equal(await helper.ask("sh mountpoint -q /mnt"), 0);
  return helper;
}
