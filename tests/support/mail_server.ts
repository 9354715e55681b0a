/** A real mail server, Debian's python3-aiosmtpd, as a process. */

import { Program } from "../e2e/program.ts";

const SCRIPT = new URL("./mail_server.py", import.meta.url).pathname;

/** How the server is, and what it refuses; see the script. */
interface MailServerOptions {
  readonly certificate?: string;
  readonly key?: string;
  readonly implicit?: boolean;
  readonly user?: string;
  readonly password?: string;
  readonly refuse?: readonly string[];
  readonly stall?: boolean;
}

/** A message that it took. */
interface TakenMail {
  readonly helo: string;
  readonly tls: boolean;
  readonly login: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly text: string;
}

/** Whether there is one on this machine. */
export const hasMailServer: boolean = (() => {
  try {
    return Deno.statSync("/usr/bin/aiosmtpd").isFile;
  } catch {
    return false;
  }
})();

/** A server on 127.0.0.1. */
export class MailServer implements AsyncDisposable {
  readonly port: number;
  readonly #program: Program;

  private constructor(program: Program, port: number) {
    this.#program = program;
    this.port = port;
  }

  /** Starts one. */
  static async start(options: MailServerOptions): Promise<MailServer> {
    const program = new Program(["/usr/bin/python3", SCRIPT, JSON.stringify(options)]);
    return new MailServer(program, Number(await program.said(/^[0-9]+$/)));
  }

  /** Waits until somebody has greeted it who gets no answer. */
  async stalls(): Promise<void> {
    await this.#program.said(/^stalls$/);
  }

  /** What it took. */
  get taken(): TakenMail[] {
    return this.#program.lines.filter((line) => line.startsWith("{")).map((line) =>
      JSON.parse(line)
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}
