/**
 * Other machines of a test: network namespaces that are tied to the test's own by a pair of
 * interfaces.
 *
 * @module
 */

import { sh } from "../support/namespace.ts";
import { must } from "./machine.ts";
import { Program } from "./program.ts";

/** Tries a connection, or takes them: what of it runs elsewhere. */
const KNOCK = new URL("./knock.ts", import.meta.url).pathname;

/** One other machine. Disposing ends it with all that runs on it. */
export class FarSide implements AsyncDisposable {
  readonly #init: Program;
  readonly #programs: Program[] = [];

  private constructor(init: Program) {
    this.#init = init;
  }

  /**
   * Makes a machine.
   *
   * @param own name of this side's interface
   * @param addresses of the other side's interface, with their prefixes
   * @param gateway where the other side's packets to all others go
   */
  static async make(own: string, addresses: readonly string[], gateway: string): Promise<FarSide> {
    const init = new Program(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 600"]);
    await init.said(/ready/);
    const side = new FarSide(init);
    const pid = String(init.pid);
    await must("ip", "link", "add", own, "type", "veth", "peer", "name", "far0", "netns", pid);
    await must("ip", "link", "set", own, "up");
    await side.must("ip", "link", "set", "lo", "up");
    for (const address of addresses) {
      await side.must("ip", "address", "add", address, "dev", "far0");
    }
    await side.must("ip", "link", "set", "far0", "up");
    await side.must("ip", "route", "add", "default", "via", gateway);
    return side;
  }

  /** The command that runs another one there. */
  command(...command: string[]): string[] {
    return ["nsenter", ...this.#enter(command)];
  }

  /** Runs a program there that must succeed. */
  must(...command: string[]): Promise<string> {
    return must("nsenter", ...this.#enter(command));
  }

  /**
   * Starts a program there, which ends with the machine.
   *
   * @param hear called with each line that it writes
   * @param command the program and its arguments
   */
  start(hear: (line: string) => void, ...command: string[]): Program {
    const program = new Program(["nsenter", ...this.#enter(command)], {}, hear);
    this.#programs.push(program);
    return program;
  }

  /** Listens there for connections, which end at once. */
  async listen(address: string, port: number): Promise<void> {
    const command = [
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      KNOCK,
      "listen",
      address,
      `${port}`,
    ];
    await this.start(() => {}, ...command).said(/listening/);
  }

  /** Sends a datagram each millisecond from there, until the far side is disposed. */
  async flood(from: string, to: string, port: number): Promise<void> {
    const knock = [Deno.execPath(), "run", "-A", "--no-check", KNOCK];
    const program = new Program([
      "nsenter",
      ...this.#enter([...knock, "flood", from, to, `${port}`]),
    ]);
    this.#programs.push(program);
    await program.said(/sending/);
  }

  /**
   * Tries a connection from there.
   *
   * @returns "reached", "refused" (by a packet) or "silent"
   */
  async knock(from: string, to: string, port: number): Promise<string> {
    const command = [Deno.execPath(), "run", "-A", "--no-check", KNOCK, from, to, `${port}`];
    const { code, out, err } = await sh("nsenter", ...this.#enter(command));
    if (code !== 0) throw new Error(`${from} to ${to}: ${err}`);
    return out.trim();
  }

  /**
   * Tries a connection from there, that is answered in one way or the other.
   *
   * @returns whether it came about; false if it was refused by a packet
   */
  async reaches(from: string, to: string, port: number): Promise<boolean> {
    const answer = await this.knock(from, to, port);
    if (answer === "silent") throw new Error(`${from} to ${to}: no answer at all`);
    return answer === "reached";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of [...this.#programs, this.#init]) await program[Symbol.asyncDispose]();
  }

  #enter(command: readonly string[]): string[] {
    return ["-t", String(this.#init.pid), "-n", ...command];
  }
}
