/**
 * Runs Ampere as a process, and listens to what it says.
 *
 * @module
 */

/** How long a program may take for what it is asked, unless told otherwise, in milliseconds. */
const DEADLINE_MS = 15_000;

/** How a program is started. */
export interface StartOptions {
  readonly env?: Record<string, string>;
  /** Given to standard input, which is closed then. */
  readonly stdin?: string;
  /** How long {@linkcode runToEnd} lets it run, in milliseconds. @default {15_000} */
  readonly deadlineMs?: number;
}

/** A program that runs. Disposing ends it with SIGKILL if it has not ended. */
export class Program implements AsyncDisposable {
  readonly pid: number;
  /** Lines of standard output and standard error, in the order of arrival. */
  readonly lines: string[] = [];
  /** Fulfilled at its end, when all that it said has been read. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #listeners = new Set<() => void>();
  #over = false;

  /**
   * @param command the program and its arguments
   * @param options see {@linkcode StartOptions}
   * @param hear called with each line as it arrives
   */
  constructor(
    command: readonly string[],
    options: StartOptions = {},
    hear: (line: string) => void = () => {},
  ) {
    this.#child = spawn(command, options);
    this.pid = this.#child.pid;
    const take = (line: string) => {
      this.lines.push(line);
      hear(line);
      this.#notify();
    };
    const said = Promise.all([
      eachLine(this.#child.stdout, take),
      eachLine(this.#child.stderr, take),
      options.stdin === undefined ? undefined : feed(this.#child.stdin, options.stdin),
    ]);
    this.ended = this.#child.status.then(async (status) => {
      await said;
      this.#over = true;
      this.#notify();
      return status;
    });
  }

  get over(): boolean {
    return this.#over;
  }

  /** All that it has said, as one text. */
  get text(): string {
    return this.lines.join("\n");
  }

  /** Sends a signal; one that has ended gets none. */
  signal(signal: Deno.Signal): void {
    if (this.#over) return;
    try {
      this.#child.kill(signal);
    } catch (error) {
      // It has just ended by itself, and this is not known here yet.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /**
   * Waits for a line.
   *
   * @param pattern what it must match
   * @param from lines before this index do not count
   * @param deadlineMs how long at most, in milliseconds
   */
  async said(pattern: RegExp, from = 0, deadlineMs = DEADLINE_MS): Promise<string> {
    const find = () => this.lines.slice(from).find((line) => pattern.test(line));
    await this.#wait(() => find() !== undefined || this.#over, deadlineMs);
    const line = find();
    if (line === undefined) {
      const state = this.#over ? "it has ended" : `not within ${deadlineMs} ms`;
      throw new Error(`no line matches ${pattern} (${state}); it said:\n${this.text}`);
    }
    return line;
  }

  /**
   * Waits for the end.
   *
   * @param deadlineMs how long at most, in milliseconds
   */
  async end(deadlineMs = DEADLINE_MS): Promise<Deno.CommandStatus> {
    await this.#wait(() => this.#over, deadlineMs);
    if (!this.#over) throw new Error(`no end within ${deadlineMs} ms; it said:\n${this.text}`);
    return await this.ended;
  }

  /**
   * Waits for something that cannot come when the program has ended.
   *
   * @param promise what is waited for
   */
  async alive<T>(promise: Promise<T>): Promise<T> {
    const ended = this.ended.then(({ code }) => {
      throw new Error(`it ended with ${code}`);
    });
    try {
      return await Promise.race([promise, ended]);
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}; it said:\n${this.text}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.ended;
  }

  async #wait(holds: () => boolean, deadlineMs: number): Promise<void> {
    if (holds()) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let look = () => {};
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs);
      look = () => holds() && resolve();
      this.#listeners.add(look);
    });
    clearTimeout(timer);
    this.#listeners.delete(look);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** What a program that has ended said. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs a program to its end.
 *
 * @param command the program and its arguments
 * @param options see {@linkcode StartOptions}
 */
export async function runToEnd(
  command: readonly string[],
  options: StartOptions = {},
): Promise<Outcome> {
  const child = spawn(command, options);
  const timer = setTimeout(() => child.kill("SIGKILL"), options.deadlineMs ?? DEADLINE_MS);
  const [{ code, stdout, stderr }] = await Promise.all([
    child.output(),
    options.stdin === undefined ? undefined : feed(child.stdin, options.stdin),
  ]);
  clearTimeout(timer);
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

function spawn(command: readonly string[], options: StartOptions): Deno.ChildProcess {
  return new Deno.Command(command[0]!, {
    args: command.slice(1),
    env: options.env ?? {},
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function feed(stream: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stream.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    // A program may end without reading its input.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

async function eachLine(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    lines.forEach(take);
  }
  if (rest !== "") take(rest);
}
