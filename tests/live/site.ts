/**
 * A network of its own for programs that are phones: they find in it nothing but the PBX.
 *
 * @module
 */

import { must } from "../e2e/machine.ts";
import { Program } from "../e2e/program.ts";
import { sh, until } from "../support/namespace.ts";

/**
 * Where the PBX is for the sites: each has a network of 256 addresses of this, and the PBX the
 * first.
 */
const PBX_NETWORK = "198.19.";

let count = 0;

/** A site with one address. Disposing ends it, and the programs that still run there. */
export class Site implements AsyncDisposable {
  /** Its address. */
  readonly host: string;
  /** The address at which the PBX is found from there. */
  readonly pbx: string;
  readonly #holder: Program;
  readonly #programs: Program[] = [];
  readonly #folders: string[] = [];

  private constructor(host: string, pbx: string, holder: Program) {
    this.host = host;
    this.pbx = pbx;
    this.#holder = holder;
  }

  /**
   * Makes one.
   *
   * @param host its address, which lies in a network that this machine plays
   */
  static async open(host: string): Promise<Site> {
    const number = ++count;
    const pbx = `${PBX_NETWORK}${number}.1`;
    const link = `site${number}`;
    // It lives as long as a process in it.
    const holder = new Program(["unshare", "--net", "sleep", "infinity"]);
    const site = new Site(host, pbx, holder);
    const own = await Deno.readLink("/proc/self/ns/net");
    await until("there is another network", async () => {
      const there = await Deno.readLink(`/proc/${holder.pid}/ns/net`).catch(() => own);
      return there !== own;
    });
    const pid = String(holder.pid);
    await must("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid);
    await must("ip", "address", "add", `${pbx}/24`, "dev", link);
    await must("ip", "link", "set", link, "up");
    // In the table "local" it is found before the route to this machine itself that the whole
    // network has.
    await must("ip", "route", "add", `${host}/32`, "dev", link, "table", "local");
    for (
      const args of [
        ["link", "set", "lo", "up"],
        ["address", "add", `${host}/32`, "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["route", "add", `${pbx}/32`, "dev", "eth0", "src", host],
        ["route", "add", "default", "via", pbx, "src", host],
      ]
    ) await must("nsenter", "--target", pid, "--net", "ip", ...args);
    return site;
  }

  /** Runs a program there to its end, and gives what it says on both outputs. */
  async run(...command: string[]): Promise<string> {
    const { out, err } = await sh("nsenter", ...this.#inside(command));
    return out + err;
  }

  /** Starts a program there. */
  start(...command: string[]): Program {
    const program = new Program(["nsenter", ...this.#inside(command)]);
    this.#programs.push(program);
    return program;
  }

  /** Makes a folder with files, which goes away with the site. */
  async folder(files: Readonly<Record<string, string>>): Promise<string> {
    const folder = await Deno.makeTempDir();
    this.#folders.push(folder);
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) await program[Symbol.asyncDispose]();
    await this.#holder[Symbol.asyncDispose]();
    for (const folder of this.#folders) await Deno.remove(folder, { recursive: true });
  }

  #inside(command: readonly string[]): string[] {
    return ["--target", String(this.#holder.pid), "--net", ...command];
  }
}
