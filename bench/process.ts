/**
 * Ampere as a process: how it is started, what it costs.
 *
 * @module
 */

import { CLOCK_TICK_SECONDS, runOn } from "./native.ts";
import type { Manager, ManagerConnection } from "./manager.ts";

/** The chain of all measurements. */
export const CHAIN = "ampere";

/** How long a program may take for what it is asked, in milliseconds. */
const DEADLINE_MS = 30_000;

/** The firewall backends. */
export type BackendName = "iptables" | "ipset" | "nftables";

/** How Ampere is started. */
export interface AmpereOptions {
  /** The program, and arguments that stand before all others. */
  readonly command: readonly string[];
  /** Folder for its configuration, database and log. */
  readonly folder: string;
  readonly backend?: BackendName;
  /** Attempts that a host has; as many as possible: nobody is blocked. */
  readonly loyalty?: number;
  /** Further lines of its configuration. */
  readonly keys?: readonly string[];
  /** Whether its standard output is wanted. */
  readonly output?: boolean;
}

/** A running Ampere, logged in. */
export class Ampere {
  readonly pid: number;
  readonly connection: ManagerConnection;
  readonly #child: Deno.ChildProcess;
  readonly #log: string;

  private constructor(child: Deno.ChildProcess, connection: ManagerConnection, log: string) {
    this.pid = child.pid;
    this.connection = connection;
    this.#child = child;
    this.#log = log;
  }

  /** Starts Ampere with what its folder holds, and waits for its login. */
  static async start(manager: Manager, options: AmpereOptions): Promise<Ampere> {
    const { command, folder, output = false } = options;
    const log = `${folder}/ampere.log`;
    const child = new Deno.Command(command[0]!, {
      args: [...command.slice(1), "-c", writeConfig(options, manager.port), "-o", log],
      stdin: "null",
      stdout: output ? "piped" : "null",
      stderr: "inherit",
    }).spawn();
    const died = child.status.then(() => {
      throw new Error(`Ampere has ended: ${Deno.readTextFileSync(log).slice(-2000)}`);
    });
    died.catch(() => {});
    return new Ampere(child, await Promise.race([manager.accept(), died]), log);
  }

  /**
   * From now on this thread has the second processor, and Ampere with the programs that it has
   * started the first: attackers send their packets from elsewhere. Sent from the processor that
   * Ampere runs on, as Linux likes it because this thread wakes it, a packet every 50 µs takes a
   * third of its time away. Nothing happens on a machine with one processor.
   */
  runApart(): void {
    if (navigator.hardwareConcurrency < 2) return;
    runOn(0, 0b10);
    for (const pid of [this.pid, ...childrenOf(this.pid)]) {
      for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) runOn(Number(name), 0b01);
    }
  }

  /** CPU time of the process, all its threads, in seconds. */
  cpuSeconds(): number {
    return cpuSeconds(this.pid);
  }

  /** Resident memory, in MiB. */
  residentMiB(): number {
    return residentMiB(this.pid);
  }

  /** What it has counted, by its own status line. */
  async securityEvents(): Promise<number> {
    const before = Deno.statSync(this.#log).size;
    this.#child.kill("SIGUSR1");
    return await until("the status line", () => {
      const line = /(\d+) security events/.exec(Deno.readTextFileSync(this.#log).slice(before));
      return line === null ? undefined : Number(line[1]);
    }, 2);
  }

  /** How often its log says something. */
  logged(pattern: RegExp): number {
    return Deno.readTextFileSync(this.#log).match(pattern)?.length ?? 0;
  }

  /** What it writes to standard output until its end, if that is wanted. */
  async output(): Promise<string> {
    return await new Response(this.#child.stdout).text();
  }

  /** Ends it; the rules stay. */
  async stop(): Promise<void> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    this.connection.close();
  }
}

/** Resident memory of a process and of its children, in MiB. */
export function residentWithChildrenMiB(pid: number): number {
  return residentMiB(pid) + childrenOf(pid).reduce((sum, child) => sum + residentOrGone(child), 0);
}

/** The processes that a process has started and that run. */
function childrenOf(pid: number): number[] {
  // Each thread has its own.
  return [...Deno.readDirSync(`/proc/${pid}/task`)].flatMap(({ name }) =>
    Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`).split(" ").filter(Boolean)
  ).map(Number);
}

/** 0 if the process ends just now. */
function residentOrGone(pid: number): number {
  try {
    return residentMiB(pid) || 0;
  } catch {
    return 0;
  }
}

/** Writes a configuration, and gives its path. */
export function writeConfig(options: Omit<AmpereOptions, "command">, port = 5038): string {
  const path = `${options.folder}/ampere.cfg`;
  Deno.writeTextFileSync(
    path,
    `port = ${port}\nuser = bench\npass = bench\nchain = ${CHAIN}\n` +
      `loyalty = ${options.loyalty ?? 3}\nbackend = ${options.backend ?? "iptables"}\n` +
      `database = ${options.folder}/ampere.db\n` +
      // Who is blocked, is for their own attempts; where nobody is, the rule is a part of the work.
      (options.loyalty === undefined ? "guard_hosts = 0\n" : "") +
      (options.keys ?? []).map((line) => `${line}\n`).join(""),
  );
  return path;
}

/** CPU time of a process, all its threads, in seconds: utime and stime of proc(5). */
export function cpuSeconds(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_SECONDS;
}

/** Resident memory of a process, in MiB. */
export function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1];
  return Number(kib) / 1024;
}

/**
 * Waits for something.
 *
 * @param what for the message when it does not come
 * @param look gives it, or `undefined` when it is not there yet
 * @param everyMs how often to look, in milliseconds
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  everyMs = 10,
): Promise<T> {
  const end = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) {
      throw new Error(`after ${DEADLINE_MS / 1000} s still not: ${what}`);
    }
    await pause(everyMs);
  }
}

/** Lets time pass. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Has a text in a file as long as something runs. */
export function withFile<T>(text: string, run: (file: string) => T): T {
  const file = Deno.makeTempFileSync();
  Deno.writeTextFileSync(file, text);
  try {
    return run(file);
  } finally {
    Deno.removeSync(file);
  }
}

/** Runs a program that reads its standard input from a file, and throws when it fails. */
export function mustRead(file: string, program: string, args: readonly string[]): string {
  const script = 'file=$1; shift; exec "$@" < "$file"';
  return must("sh", ["-c", script, "sh", file, program, ...args]);
}

/** Runs a program that must succeed; gives its output. */
export function must(program: string, args: readonly string[], stdin?: string): string {
  if (stdin !== undefined) return withFile(stdin, (file) => mustRead(file, program, args));
  const { success, stdout, stderr } = new Deno.Command(program, {
    args: [...args],
    stdin: "null",
  }).outputSync();
  if (!success) {
    throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
  return new TextDecoder().decode(stdout);
}

/** Makes a folder whose list holds these hosts. */
export function storeBlocks(executable: string, folder: string, hosts: readonly string[]): void {
  Deno.mkdirSync(folder, { recursive: true });
  must(executable, ["-c", writeConfig({ folder }), "-a"], hosts.join("\n") + "\n");
}
