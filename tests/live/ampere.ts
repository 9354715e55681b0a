/**
 * Ampere's executable on the test's machine, at its default paths.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Status } from "../../src/telemetry/status.ts";
import { blockedIn, emptyFirewall, must } from "../e2e/machine.ts";
import { type Outcome, Program, runToEnd } from "../e2e/program.ts";
import { until } from "../support/namespace.ts";
import { AMPERE_CFG, FIREWALL_COMMANDS } from "./readme.ts";

/** Where the configuration is. */
export const CONFIG = "/etc/ampere/ampere.cfg";

/**
 * Waiting for a check: its failing logins take two seconds, or ten when Asterisk does not answer.
 */
const CHECK_MS = 40_000;

/**
 * What each configuration of the tests begins with: the secret of README.md, nobody who is trusted,
 * and no time in which unanswered challenges cost nothing, because the list of each test is new.
 */
export const CONFIGURATION = `${AMPERE_CFG.replace(/^trust = .*\n/gm, "")}learn = 0\n`;

/** Texts of further files, by their paths. */
type Texts = Readonly<Record<string, string>>;

/** Makes this machine as it is after the installation by README.md, with further files. */
export async function install(
  configuration: string = CONFIGURATION,
  files: Texts = {},
): Promise<void> {
  await emptyFirewall();
  await must("sh", "-ec", FIREWALL_COMMANDS);
  for (const folder of ["/etc/ampere", "/var/lib/ampere"]) {
    await Deno.remove(folder, { recursive: true });
    await Deno.mkdir(folder, { mode: 0o750 });
  }
  await Deno.writeTextFile(CONFIG, configuration, { mode: 0o640 });
  for (const [path, text] of Object.entries(files)) await Deno.writeTextFile(path, text);
}

/** A daemon that runs. Disposing ends it. */
export class Ampere implements AsyncDisposable {
  readonly #executable: string;
  readonly #program: Program;

  private constructor(executable: string) {
    this.#executable = executable;
    this.#program = new Program([executable]);
  }

  /**
   * Starts it on a fresh machine, and waits until it is logged in.
   *
   * @param executable what runs
   * @param configuration ampere.cfg
   * @param files further files
   */
  static async start(
    executable: string,
    configuration: string = CONFIGURATION,
    files: Texts = {},
  ): Promise<Ampere> {
    const ampere = await Ampere.begin(executable, configuration, files);
    await ampere.said(/logged in/);
    return ampere;
  }

  /** The same without waiting: whether it logs in is not known. */
  static async begin(executable: string, configuration: string, files: Texts): Promise<Ampere> {
    await install(configuration, files);
    return new Ampere(executable);
  }

  /** Makes it read its configuration again. */
  reload(): void {
    this.#program.signal("SIGHUP");
  }

  /** What it has said. */
  get text(): string {
    return this.#program.text;
  }

  /** How many lines it has said. */
  get lines(): number {
    return this.#program.lines.length;
  }

  /** Waits for a line, behind the first `from` ones. */
  said(pattern: RegExp, from = 0): Promise<string> {
    return this.#program.said(pattern, from, 30_000);
  }

  /** What `ampere --status` knows. */
  async status(): Promise<Status> {
    const { code, out, err } = await runToEnd([this.#executable, "--status", "--json"]);
    assert.equal(code, 0, err);
    return JSON.parse(out);
  }

  /** The line of `ampere -l` about a host. */
  async reason(host: string): Promise<string> {
    const { code, out, err } = await runToEnd([this.#executable, "-l"]);
    assert.equal(code, 0, err);
    return out.split("\n").find((line) => line.trim().startsWith(`${host} |`)) ?? "";
  }

  /** Waits until the kernel blocks these, and nobody else. */
  async blocks(...hosts: string[]): Promise<void> {
    const wanted = hosts.toSorted().join(" ");
    let seen = "";
    try {
      await until(`blocked are ${wanted || "nobody"}`, async () => {
        seen = [...await blockedIn()].sort().join(" ");
        return seen === wanted;
      }, 15_000);
    } catch (error) {
      throw new Error(`${(error as Error).message}; blocked are ${seen || "nobody"}\n${this.text}`);
    }
  }

  /** Ends it as systemd does. */
  async ends(): Promise<void> {
    this.#program.signal("SIGTERM");
    assert.equal((await this.#program.end()).code, 0, this.text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

/** Runs `ampere --check`. */
export function check(executable: string): Promise<Outcome> {
  return runToEnd([executable, "--check"], { deadlineMs: CHECK_MS });
}
