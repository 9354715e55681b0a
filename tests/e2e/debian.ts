/**
 * Other Debian releases on the test's machine: file systems that programs run in by `chroot`, in
 * the machine's own network.
 *
 * @module
 */

import { sh, until } from "../support/namespace.ts";
import { must } from "./machine.ts";
import { Program, type StartOptions } from "./program.ts";

/** How long firewalld may take to start, in milliseconds; it takes one or two seconds. */
const START_MS = 60_000;

let count = 0;

/**
 * Makes a copy of a file system that shares everything with it but what is changed; it lives in
 * memory, as long as the machine or until it is unmounted recursively.
 *
 * @param root the file system, which stays as it is
 * @returns the root of the copy
 */
export async function copyOnWrite(root: string): Promise<string> {
  const base = `/run/copy-${++count}`;
  const copy = `${base}/root`;
  for (const folder of ["upper", "work", "root"]) {
    await Deno.mkdir(`${base}/${folder}`, { recursive: true });
  }
  const layers = `lowerdir=${root},upperdir=${base}/upper,workdir=${base}/work`;
  await must("mount", "-t", "overlay", "overlay", "-o", layers, copy);
  await must("mount", "-t", "proc", "proc", `${copy}/proc`);
  await must("mount", "--rbind", "/dev", `${copy}/dev`);
  await must("mount", "-t", "tmpfs", "none", `${copy}/run`);
  return copy;
}

/** A Debian release with Ampere on it. Disposing ends what was started there. */
export class Debian implements AsyncDisposable {
  /** Where its files are. */
  readonly root: string;
  readonly #programs: Program[] = [];

  private constructor(root: string) {
    this.root = root;
  }

  /**
   * Makes one.
   *
   * @param root its file system, which stays as it is
   * @param executable Ampere
   */
  static async open(root: string, executable: string): Promise<Debian> {
    const debian = new Debian(await copyOnWrite(root));
    await debian.write("/usr/bin/ampere", "");
    await must("mount", "--bind", executable, `${debian.root}/usr/bin/ampere`);
    for (const folder of ["/etc/ampere", "/var/lib/ampere", "/run/dbus"]) {
      await Deno.mkdir(debian.root + folder, { recursive: true });
    }
    return debian;
  }

  /** Writes a file there. */
  async write(path: string, text: string): Promise<void> {
    await Deno.writeTextFile(this.root + path, text, { mode: 0o600 });
  }

  /** Runs a program there that must succeed; gives its output. */
  must(...command: string[]): Promise<string> {
    return must("chroot", this.root, ...command);
  }

  /** Starts a program there, which ends with it if not before. */
  start(command: readonly string[], options: StartOptions = {}): Program {
    const program = new Program(["chroot", this.root, ...command], options);
    this.#programs.push(program);
    return program;
  }

  /** Starts D-Bus and firewalld, which are ready when this returns. */
  async startFirewalld(): Promise<Program> {
    this.start(["dbus-daemon", "--system", "--nofork", "--nopidfile"]);
    await until("D-Bus is there", () => exists(`${this.root}/run/dbus/system_bus_socket`));
    const firewalld = this.start(["firewalld", "--nofork", "--nopid"]);
    await until("firewalld runs", async () => {
      if (firewalld.over) throw new Error(`firewalld has ended: ${firewalld.text}`);
      return (await sh("chroot", this.root, "firewall-cmd", "--state")).code === 0;
    }, START_MS);
    return firewalld;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs.reverse()) await program[Symbol.asyncDispose]();
    await must("umount", "--recursive", "--lazy", this.root);
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
