/**
 * A firewall program that goes on running, and is fed by a pipe or read by one. It is started as
 * {@linkcode run} starts one: of a fixed list, with an array of arguments, never by a shell.
 *
 * @module
 */

import { readPieces } from "./output_pieces.ts";
import { type Program, PROGRAMS } from "./command.ts";

/** Most bytes of a child's messages that are kept: what a person needs of them. */
const MESSAGES_MAX_CHARACTERS = 1_024;

/** What hears of a child. Nothing is called any more after {@linkcode Child.kill}. */
interface ChildHandlers {
  /** Takes a piece of what the program writes; without it the output is thrown away. */
  readonly onOutput?: (text: string) => void;
  /** Called with what the program says on standard error, as soon as it says something. */
  readonly onMessage: (text: string) => void;
  /**
   * Called when it has ended by itself, or could not be started.
   *
   * @param why What happened, for people.
   */
  readonly onEnd: (why: string) => void;
}

/** A program that runs on. */
export interface Child {
  /**
   * Writes to its standard input. The bytes are on their way when this returns, unless earlier ones
   * wait.
   *
   * @param text What it is to read.
   */
  write(text: string): void;
  /** Ends it at once. */
  kill(): void;
  /** Fulfilled when it has ended and nothing of it is left; never rejected. */
  readonly gone: Promise<void>;
}

/** The type of {@linkcode startChild}, for those who are given another one (a simulation). */
export type ChildStarter = (
  program: Program,
  args: readonly string[],
  handlers: ChildHandlers,
) => Child;

/**
 * What a child sees of the environment besides PATH and the rest: no home, so that it keeps no file
 * of what it was told, and no terminal.
 */
const ENVIRONMENT = { HOME: "/dev/null", TERM: "dumb" };

/**
 * Starts a program that goes on running. It never throws: a program that does not start has ended.
 *
 * Its standard input is a pipe that only this process holds, so that the program sees its end when
 * Ampere dies, however that happens.
 *
 * @param program Found by PATH.
 * @param args Its arguments, handed over as they are.
 * @param handlers What hears of it.
 *
 * @example
 * ```ts
 * import { startChild } from "./child.ts";
 *
 * const child = startChild("nft", ["-j", "monitor"], {
 *   onOutput: (text) => console.log(text),
 *   onMessage: (text) => console.error(text),
 *   onEnd: (why) => console.error(why),
 * });
 * child.kill();
 * await child.gone;
 * ```
 */
export function startChild(
  program: Program,
  args: readonly string[],
  handlers: ChildHandlers,
): Child {
  const { onOutput, onMessage, onEnd } = handlers;
  let child: Deno.ChildProcess;
  let isKilled = false;
  try {
    if (!PROGRAMS.includes(program)) throw new Error("it is not a firewall program");
    child = new Deno.Command(program, {
      args: [...args],
      env: ENVIRONMENT,
      stdin: "piped",
      stdout: onOutput === undefined ? "null" : "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    const why = `it could not be started: ${error instanceof Error ? error.message : error}`;
    queueMicrotask(() => isKilled || onEnd(why));
    return { write() {}, kill: () => void (isKilled = true), gone: Promise.resolve() };
  }
  const writer = child.stdin.getWriter();
  writer.closed.catch(() => {});
  const encoder = new TextEncoder();
  const hear = (hearer: (text: string) => void) => (text: string) => {
    if (!isKilled) hearer(text);
  };
  const output = onOutput === undefined ? undefined : read(child.stdout, hear(onOutput));
  const messages = read(
    child.stderr,
    hear((text) => onMessage(text.slice(0, MESSAGES_MAX_CHARACTERS))),
  );
  const ended = child.status.then(({ code, signal }) => {
    if (!isKilled) onEnd(signal === null ? `it ended with code ${code}` : `ended by ${signal}`);
  });
  return {
    write: (text) => void writer.write(encoder.encode(text)).catch(() => {}),
    kill() {
      if (isKilled) return;
      isKilled = true;
      try {
        child.kill("SIGKILL");
      } catch {
        // It has just ended by itself.
      }
      void writer.abort().catch(() => {});
    },
    gone: Promise.all([ended, output, messages]).then(() => {}),
  };
}

/** Reads a stream to its end, as text. */
async function read(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  take: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  try {
    await readPieces(
      stream.getReader({ mode: "byob" }),
      (piece) => take(decoder.decode(piece, { stream: true })),
    );
  } catch {
    // The process has gone.
  }
}
