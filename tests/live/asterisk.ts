/**
 * A real Asterisk on the test's machine, in a copy of its file system that lives as long as the
 * test.
 *
 * @module
 */

import { rootOf, type Server } from "../../tools/asterisk.ts";
import { copyOnWrite } from "../e2e/debian.ts";
import { must, onOwnMachine } from "../e2e/machine.ts";
import { Program } from "../e2e/program.ts";
import { sh } from "../support/namespace.ts";

/** Where AMI listens. */
export const AMI_PORT = 5038;

/**
 * How long Asterisk may take to start, in milliseconds; it takes two seconds, and more on a busy
 * machine.
 */
const START_MS = 60_000;

/** How long a command of Asterisk's console may take, in milliseconds. */
const COMMAND_MS = 20_000;

/**
 * Networks of hosts that the tests play: any process here may send from any of their addresses, and
 * the kernel brings the packets to INPUT as if they came from outside.
 */
const NETWORKS = [
  "192.0.2.0/24",
  "198.18.0.0/24",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "2001:db8::/32",
] as const;

/** Who a host is, and the part of {@linkcode NETWORKS} that such hosts have. */
const ROLES = {
  phone: "198.51.100.",
  attacker: "203.0.113.",
  stranger: "192.0.2.",
  bot: "198.18.0.",
} as const;

const hosts = { phone: 0, attacker: 0, stranger: 0, bot: 0 };

/** An address that no other host of this machine has had. */
export function hostOf(role: keyof typeof ROLES): string {
  return `${ROLES[role]}${++hosts[role]}`;
}

/** Where Asterisk keeps its configuration. */
const ETC = "/etc/asterisk";

/**
 * Runs the tests of a file on a machine of its own, if its Asterisk is there.
 *
 * @param url `import.meta.url` of the test file
 * @param server which Asterisk
 * @param define registers the tests, given the path of Ampere's executable and the root of
 *   Asterisk's file system
 */
export function withAsterisk(
  url: string,
  server: Server,
  define: (executable: string, root: string) => void,
): void {
  const root = rootOf(server);
  const obstacle = root === undefined
    ? `there is no Asterisk ${server.version}; "deno task asterisk" gets it`
    : undefined;
  onOwnMachine(url, (executable) => define(executable, root!), obstacle);
}

/** Lets this machine play the hosts of {@linkcode NETWORKS}. */
export async function openNetworks(): Promise<void> {
  for (const network of NETWORKS) {
    const [family, here] = network.includes(":") ? ["-6", "::1"] : ["-4", "127.0.0.1"];
    // Without src Asterisk would answer a host from that host's own address, which may be blocked
    // by then.
    await must("ip", family, "route", "add", "local", network, "dev", "lo", "src", here);
  }
  // Linux lets a socket bind to any IPv4 address with a local route; of IPv6 it has to be told.
  await Deno.writeTextFile("/proc/sys/net/ipv6/ip_nonlocal_bind", "1");
}

/** Configuration files by their names, such as `manager.conf`. */
export type Files = Readonly<Record<string, string>>;

/** An Asterisk that runs. Disposing ends it at once. */
export class Asterisk implements AsyncDisposable {
  readonly #root: string;
  #program: Program | undefined;

  private constructor(root: string) {
    this.#root = root;
  }

  /**
   * Starts one, and waits until it is ready.
   *
   * @param root its file system, which stays as it is
   * @param files what is configured otherwise than Debian does
   */
  static async start(root: string, files: Files): Promise<Asterisk> {
    const copy = await copyOnWrite(root);
    await must("chroot", copy, "install", "-d", "-o", "asterisk", "/run/asterisk");
    const asterisk = new Asterisk(copy);
    await asterisk.configure(files);
    await asterisk.start();
    return asterisk;
  }

  /** Writes configuration files; Asterisk reads them when it is told to. */
  async configure(files: Files): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${this.#root}${ETC}/${name}`, text);
    }
  }

  /** Starts it again. */
  async start(): Promise<void> {
    const program = new Program(
      ["chroot", this.#root, "asterisk", "-f", "-n", "-g", "-U", "asterisk"],
    );
    this.#program = program;
    await program.said(/Asterisk Ready/, 0, START_MS);
  }

  /**
   * Gives a command to its console.
   *
   * @returns what it says
   */
  async command(text: string): Promise<string> {
    const { code, out, err } = await sh(
      "timeout",
      String(COMMAND_MS / 1000),
      "chroot",
      this.#root,
      "asterisk",
      "-rx",
      text,
    );
    if (code !== 0) throw new Error(`asterisk -rx '${text}' ended with ${code}: ${err}${out}`);
    return out;
  }

  /**
   * What is in one of its logs.
   *
   * @param name a file in /var/log/asterisk; what is not there is empty
   */
  async log(name: string): Promise<string> {
    const path = `${this.#root}/var/log/asterisk/${name}`;
    return await Deno.readTextFile(path).catch(() => "");
  }

  /** Its file system, as this machine sees it. */
  get root(): string {
    return this.#root;
  }

  /** Where its logs are, as this machine sees it. */
  get logFolder(): string {
    return `${this.#root}/var/log/asterisk`;
  }

  /** What its console has shown. */
  get console(): string {
    return this.#program!.text;
  }

  /** Its version, such as `22.10.1`. */
  async version(): Promise<string> {
    return /Asterisk (\d\S*?)[~+\s]/.exec(await this.command("core show version"))?.[1] ?? "?";
  }

  /** Replaces its process by a new one, as an administrator does after an update. */
  async restart(): Promise<void> {
    const before = this.#program!.lines.length;
    await this.command("core restart now");
    await this.#program!.said(/Asterisk Ready/, before, START_MS);
  }

  /** Ends it as `systemctl stop` does. */
  async stop(): Promise<void> {
    await this.command("core stop now");
    await this.#program!.end();
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    this.#program!.signal("SIGKILL");
    await this.#program!.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
    await must("umount", "--recursive", this.#root);
  }
}
