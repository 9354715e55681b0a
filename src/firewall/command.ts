/**
 * Runs the firewall programs. This is the only module that starts processes: a program of a fixed
 * list, with an array of arguments (never a shell), bounded output and a hard limit of time.
 *
 * @module
 */

import { readPieces } from "./output_pieces.ts";
import type { Family } from "../address/address.ts";

/** The programs that may be run; the same names stand in `--allow-run` of the compiled program. */
export const PROGRAMS: readonly Program[] = ["iptables", "ip6tables", "ipset", "nft"];

/** The name of a program that may be run. */
export type Program = "iptables" | "ip6tables" | "ipset" | "nft";

/** The program that changes the rules of a family. */
export const IPTABLES: Readonly<Record<Family, Program>> = { 4: "iptables", 6: "ip6tables" };

/** How long a command may take before it is killed, in milliseconds. */
export const COMMAND_TIMEOUT_MS = 5_000;

/**
 * Most bytes of standard output that are kept for a command whose output is wanted. A line of
 * `iptables -S` has at most 130 bytes, so that this holds the rules of 500,000 hosts, or an ipset
 * of 1,000,000.
 */
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024;

/** Most bytes that are kept of a command's messages (standard error). */
export const MESSAGES_MAX_BYTES = 4 * 1024;

/**
 * How long the pipes of a command that has ended may stay open, in milliseconds. They do only if
 * the program (a wrapper script) left another process behind, for which nobody should wait.
 */
const PIPES_GRACE_MS = 1_000;

/** The same for a command that was killed: what it wrote matters little. */
const PIPES_GRACE_KILLED_MS = 20;

/** What became of a command. A failure is a value too: nothing here throws. */
export interface CommandResult {
  /** The program ran, ended with code 0, and all of its output is here. */
  readonly ok: boolean;
  /** The exit code; `undefined` if the program did not run or was killed by Ampere. */
  readonly code: number | undefined;
  /** Standard output, if it was wanted. */
  readonly stdout: Uint8Array;
  /** Standard error without white space at its ends; why the program did not start, if so. */
  readonly stderr: string;
  /** It was killed because it took too long. It may have done its work, or a part of it. */
  readonly timedOut: boolean;
  /** It was killed because the caller's signal asked for that. */
  readonly aborted: boolean;
  /** There is no such program in PATH. */
  readonly missing: boolean;
  /** Deno's permissions, or those of the file, do not allow to run it. */
  readonly denied: boolean;
  /** `stdout` holds only a beginning: there was more than {@linkcode OUTPUT_MAX_BYTES}. */
  readonly incomplete: boolean;
}

/** A text, or pieces of one, which may be made while they are read. */
export type Input = Iterable<string>;

/** How a command is to be run. */
export interface RunOptions {
  /**
   * What the program reads from its standard input, a text or pieces of it; nothing by default. A
   * piece is asked for when those before it are on their way.
   */
  readonly stdin?: Input;
  /** Whether standard output is wanted. @default {false} */
  readonly output?: boolean;
  /** The limit of time in milliseconds. @default {COMMAND_TIMEOUT_MS} */
  readonly timeoutMs?: number;
  /** Kills the program when it is aborted. */
  readonly signal?: AbortSignal;
}

/** The type of {@linkcode run}, for those who are given another one (a simulation, a log). */
export type Runner = (
  program: Program,
  args: readonly string[],
  options?: RunOptions,
) => Promise<CommandResult>;

const NOTHING = new Uint8Array(0);

/**
 * Runs a program and waits for its end. The process is started before this function returns, in
 * the same turn of the event loop.
 *
 * A program that was killed may have done all, a part or nothing of its work; the caller must look.
 *
 * @param program Found by PATH.
 * @param args Its arguments, handed over as they are; no shell sees them.
 * @param options Its input, whether its output is wanted, the limit of time.
 * @returns What became of it, always a value.
 *
 * @example
 * ```ts
 * import { run } from "./command.ts";
 *
 * const result = await run("iptables", ["-w", "4", "-S", "ampere"], { output: true });
 * if (!result.ok) console.error(result.stderr);
 * ```
 */
export async function run(
  program: Program,
  args: readonly string[],
  options: RunOptions = {},
): Promise<CommandResult> {
  const { stdin, output = false, timeoutMs = COMMAND_TIMEOUT_MS, signal } = options;
  if (!PROGRAMS.includes(program)) {
    return notStarted(`${String(program)} is not a firewall program`, { denied: true });
  }
  if (signal?.aborted) return notStarted("Ampere is ending", { aborted: true });
  let child: Deno.ChildProcess;
  try {
    // The environment is handed on: PATH decides which iptables a person means, and clearing it
    // was measured not to be faster.
    child = new Deno.Command(program, {
      args: [...args],
      stdin: stdin === undefined ? "null" : "piped",
      stdout: output ? "piped" : "null",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    return refused(program, error);
  }

  let timedOut = false;
  let aborted = false;
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has just ended by itself.
    }
  };
  const abort = () => {
    aborted = true;
    kill();
  };
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, timeoutMs);
  signal?.addEventListener("abort", abort, { once: true });

  const messages = new Collector(child.stderr, MESSAGES_MAX_BYTES);
  const listing = output ? new Collector(child.stdout, OUTPUT_MAX_BYTES) : undefined;
  const input = stdin === undefined ? undefined : feed(child.stdin, stdin);
  const status = await child.status;
  clearTimeout(timer);
  signal?.removeEventListener("abort", abort);
  const killed = timedOut || aborted;
  await within(
    killed ? PIPES_GRACE_KILLED_MS : PIPES_GRACE_MS,
    Promise.all([messages.done, listing?.done, input?.done]),
    () => Promise.all([messages.cancel(), listing?.cancel(), input?.cancel()]),
  );

  const incomplete = listing?.incomplete ?? false;
  const text = new TextDecoder().decode(messages.bytes()).trim();
  return {
    ok: status.success && !killed && !incomplete,
    code: killed ? undefined : status.code,
    stdout: listing?.bytes() ?? NOTHING,
    stderr: text === "" && status.signal !== null ? `ended by ${status.signal}` : text,
    timedOut: timedOut && !aborted,
    aborted,
    missing: false,
    denied: false,
    incomplete,
  };
}

/** A result for a program that did not start. */
function notStarted(
  message: string,
  why: { missing?: boolean; denied?: boolean; aborted?: boolean },
): CommandResult {
  return {
    ok: false,
    code: undefined,
    stdout: NOTHING,
    stderr: message,
    timedOut: false,
    aborted: why.aborted ?? false,
    missing: why.missing ?? false,
    denied: why.denied ?? false,
    incomplete: false,
  };
}

/**
 * The result for an error of `spawn`. Observed with Deno 2.8.3: a program that is not in PATH is
 * `NotFound`, also when `--allow-run` names it; one that came into PATH after Ampere had started
 * is `NotCapable`, because Deno looks the allowed names up once, at its start.
 */
function refused(program: Program, error: unknown): CommandResult {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Deno.errors.NotFound) {
    return notStarted(`there is no program "${program}" in PATH`, { missing: true });
  }
  if (
    error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied
  ) {
    return notStarted(message, { denied: true });
  }
  return notStarted(`"${program}" could not be started: ${message}`, {});
}

/** Collects the beginning of a stream; what comes after the limit is read and thrown away. */
class Collector {
  /** Fulfilled when the stream has ended or was given up; never rejected. */
  readonly done: Promise<void>;
  /** More came than the limit, or the stream was given up. */
  incomplete = false;
  readonly #reader: ReadableStreamBYOBReader;
  readonly #limit: number;
  #bytes = NOTHING;
  #length = 0;
  #ended = false;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>, limit: number) {
    this.#reader = stream.getReader({ mode: "byob" });
    this.#limit = limit;
    this.done = readPieces(this.#reader, (piece) => this.#take(piece)).then(
      () => void (this.#ended = true),
      () => {},
    );
  }

  /** Gives the stream up; what was read so far stays. */
  async cancel(): Promise<void> {
    if (!this.#ended) this.incomplete = true;
    await this.#reader.cancel().catch(() => {});
  }

  /** What was read. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #take(piece: Uint8Array): void {
    const kept = piece.subarray(0, this.#limit - this.#length);
    if (kept.length < piece.length) this.incomplete = true;
    const length = this.#length + kept.length;
    if (length > this.#bytes.length) {
      const more = new Uint8Array(Math.min(this.#limit, Math.max(length, 2 * this.#bytes.length)));
      more.set(this.bytes());
      this.#bytes = more;
    }
    this.#bytes.set(kept, this.#length);
    this.#length = length;
  }
}

/** Writes a program's input; a program that ends without reading it is no error here. */
function feed(
  stream: WritableStream<Uint8Array>,
  input: Input,
): { done: Promise<void>; cancel: () => Promise<void> } {
  const writer = stream.getWriter();
  writer.closed.catch(() => {});
  const encoder = new TextEncoder();
  const write = async () => {
    // Taken piece by piece, a text would be taken character by character.
    const pieces = typeof input === "string" ? [input] : input;
    for (const piece of pieces) await writer.write(encoder.encode(piece));
    await writer.close();
  };
  return {
    done: write().catch(() => {}),
    cancel: () => writer.abort().catch(() => {}),
  };
}

/** Waits for `work`; after `ms` milliseconds gives it up by `giveUp`. */
async function within(
  ms: number,
  work: Promise<unknown>,
  giveUp: () => Promise<unknown>,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), ms);
  });
  const tooLate = await Promise.race([work.then(() => false), late]);
  clearTimeout(timer);
  if (tooLate) await giveUp();
}
