/**
 * Gets file systems of Debian releases, with programs that tests need, by debootstrap.
 *
 * What is there already stays. A file system has its name only when it is complete, so whoever
 * finds one may use it. Nothing is started or installed on this machine itself.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";
import { parseArgs } from "node:util";

/** A file system that tests know. */
export interface System {
  /** The Debian release. */
  readonly suite: string;
  /** The name of its folder, if it is not that of the release. */
  readonly name?: string;
  /** The packages that it has besides those that each has. */
  readonly packages: readonly string[];
  /** Packages whose files it has, but whose scripts were not run: they want a network service. */
  readonly unpacked?: readonly string[];
  /** What shows that they are there: a file, relative to the file system. */
  readonly proof: string;
}

/** The longest that one may take, in milliseconds: about 500 MB are unpacked, 150 MB downloaded. */
const LIMIT_MS = 600_000;

/** What only takes room; relative to the file system. */
const USELESS = [
  "debootstrap",
  "usr/share/doc",
  "usr/share/locale",
  "usr/share/man",
  "var/cache/apt",
  "var/lib/apt/lists",
];

/**
 * Runs a command, then fetches packages in the file system that it made, and puts their files
 * there.
 */
const MAKE = `log=$1 root=$2 unpacked=$3; shift 3
exec > "$log" 2>&1
"$@" || exit
[ -z "$unpacked" ] || exec chroot "$root" sh -ec '
  apt-get update -qq
  cd /tmp
  apt-get download -qq $1
  for package in *.deb; do
    dpkg --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C /
    rm "$package"
  done' sh "$unpacked"`;

/** Lines of debootstrap that are shown when it fails. */
const SHOWN_LINES = 8;

/** No file system could be had; the message says why, and what to do. */
export class DebianError extends Error {
  override readonly name = "DebianError";
}

/**
 * Finds a file system.
 *
 * @param system which
 * @param folder where they are
 * @returns its root, or `undefined` when it has not been made
 */
export function rootOf({ suite, name = suite, proof }: System, folder: string): string | undefined {
  const root = join(folder, name);
  return exists(join(root, proof)) ? root : undefined;
}

/**
 * Makes a file system, unless it is there.
 *
 * @param system which
 * @param folder where
 * @param debootstrap the program that makes it
 * @returns whether it had to be made
 * @throws {DebianError} when it cannot be made
 */
export async function provide(
  system: System,
  folder: string,
  debootstrap = "debootstrap",
): Promise<boolean> {
  if (rootOf(system, folder) !== undefined) return false;
  if (Deno.uid() !== 0) {
    throw new DebianError("debootstrap makes a file system for root: run this as root");
  }
  await Deno.mkdir(folder, { recursive: true });
  const name = system.name ?? system.suite;
  await removeStages(folder, name);
  const stage = join(folder, `.${name}.${Deno.pid}`);
  try {
    await bootstrap(system, stage, debootstrap);
    for (const path of USELESS) await removeTree(join(stage, path));
    // What stands there is not whole, or rootOf would know it.
    await removeTree(join(folder, name));
    await Deno.rename(stage, join(folder, name));
  } finally {
    await removeTree(stage);
  }
  return true;
}

async function bootstrap(
  { suite, packages, unpacked = [] }: System,
  stage: string,
  debootstrap: string,
): Promise<void> {
  const log = `${stage}.log`;
  // In a mount namespace of its own it leaves no mount behind, and in a process namespace no
  // process, however it ends.
  const namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
  const include = `--include=${packages.join(",")}`;
  const command = [debootstrap, "--variant=minbase", include, suite, stage];
  try {
    const { code, signal } = await new Deno.Command("unshare", {
      args: [...namespaces, "sh", "-c", MAKE, "sh", log, stage, unpacked.join(" "), ...command],
      // With LC_ALL unset, Perl in the new system does not complain about locales that are not
      // there.
      env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
      stdin: "null",
      signal: AbortSignal.timeout(LIMIT_MS),
    }).output();
    if (code === 0) return;
    const said = (await Deno.readTextFile(log).catch(() => "")).trim().split("\n");
    if (code === 127) {
      throw new DebianError(`${debootstrap} is missing: apt-get install debootstrap`);
    }
    const how = signal === null
      ? `ended with ${code}`
      : `was ended after ${LIMIT_MS / 60_000} minutes`;
    throw new DebianError(
      `${command.join(" ")} ${how}:\n${said.slice(-SHOWN_LINES).join("\n")}`,
    );
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new DebianError("unshare is missing: apt-get install util-linux");
  } finally {
    await Deno.remove(log).catch(() => {});
  }
}

/** Removes what others who were killed have left. */
async function removeStages(folder: string, name: string): Promise<void> {
  for (const entry of Deno.readDirSync(folder)) {
    const [, pid] = new RegExp(`^\\.${name}\\.(\\d+)(?:\\.log)?$`).exec(entry.name) ?? [];
    if (pid !== undefined && !exists(`/proc/${pid}`)) await removeTree(join(folder, entry.name));
  }
}

async function removeTree(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
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

/**
 * Makes several file systems, as a task does that is called with `[--dir=DIR]`.
 *
 * @param task the name of the task
 * @param systems each with what it is called
 * @param byDefault the folder if none is given
 * @param args what the task was called with
 * @returns the exit code
 */
export async function provideAll(
  task: string,
  systems: ReadonlyMap<string, System>,
  byDefault: string,
  args: readonly string[],
): Promise<number> {
  let folder: string;
  try {
    const { values } = parseArgs({ args: [...args], options: { dir: { type: "string" } } });
    folder = values.dir ?? byDefault;
    if (!isAbsolute(folder)) throw new TypeError("--dir must be an absolute path");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}; usage: deno task ${task} [--dir=DIR]`);
    return 2;
  }
  let code = 0;
  // At the same time: one downloads while the other unpacks.
  await Promise.all(
    [...systems].map(async ([what, system]) => {
      try {
        const made = await provide(system, folder);
        console.log(
          `${what} is ${made ? "now" : "already"} in ${join(folder, system.name ?? system.suite)}`,
        );
      } catch (error) {
        if (!(error instanceof DebianError)) throw error;
        console.error(`${task}: no ${what}: ${error.message}`);
        code = 1;
      }
    }),
  );
  return code;
}
