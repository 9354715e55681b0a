/**
 * Gets real Asterisk servers for the tests in `tests/live`: the file systems of two Debian
 * releases, with Asterisk installed.
 *
 * ```sh
 * deno task asterisk                     # into $AMPERE_ASTERISK, or /var/cache/ampere-asterisk
 * deno task asterisk --dir=/srv/asterisk # elsewhere; tell the tests by AMPERE_ASTERISK
 * ```
 *
 * What is there already stays. A file system has its name only when it is complete, so whoever
 * finds one may use it. Nothing is started or installed on this machine itself.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";
import { parseArgs } from "node:util";

/** A server that the tests know. */
export interface Server {
  /** The Debian release that has it, and the name of its folder. */
  readonly suite: string;
  /** Major version of Asterisk, at least: Debian's sid moves on. */
  readonly version: number;
  /** The SIP channel drivers that it has. */
  readonly drivers: readonly ("PJSIP" | "chan_sip")[];
}

/** The oldest Asterisk of Debian that has both SIP drivers, and the newest there is. */
export const SERVERS: { readonly old: Server; readonly current: Server } = {
  old: { suite: "bullseye", version: 16, drivers: ["PJSIP", "chan_sip"] },
  current: { suite: "sid", version: 22, drivers: ["PJSIP"] },
};

/** Where the file systems are unless `AMPERE_ASTERISK` says otherwise. */
const DEFAULT_FOLDER = "/var/cache/ampere-asterisk";

/** The longest that one may take, in milliseconds: about 500 MB are unpacked, 150 MB downloaded. */
const LIMIT_MS = 600_000;

/** What shows that a file system has Asterisk in it. */
const PROOF = "usr/sbin/asterisk";

/** What only takes room; relative to the file system. */
const USELESS = [
  "debootstrap",
  "usr/share/doc",
  "usr/share/locale",
  "usr/share/man",
  "var/cache/apt",
  "var/lib/apt/lists",
];

/** Lines of debootstrap that are shown when it fails. */
const SHOWN_LINES = 8;

/** How it is called; the folder is $AMPERE_ASTERISK by default, or {@linkcode DEFAULT_FOLDER}. */
const USAGE = "usage: deno task asterisk [--dir=DIR]";

/** No Asterisk could be had; the message says why, and what to do. */
export class AsteriskError extends Error {
  override readonly name = "AsteriskError";
}

/** Where the file systems of the servers are. */
function serversFolder(): string {
  return Deno.env.get("AMPERE_ASTERISK") || DEFAULT_FOLDER;
}

/**
 * The file system of a server.
 *
 * @param server which
 * @param folder where they are
 * @returns its root, or `undefined` when it has not been made
 */
export function rootOf({ suite }: Server, folder: string = serversFolder()): string | undefined {
  const root = join(folder, suite);
  return exists(join(root, PROOF)) ? root : undefined;
}

/**
 * Makes the file system of a server, unless it is there.
 *
 * @param server which
 * @param folder where
 * @param debootstrap the program that makes it
 * @returns whether it had to be made
 * @throws {AsteriskError} when it cannot be made
 */
export async function provide(
  server: Server,
  folder: string,
  debootstrap = "debootstrap",
): Promise<boolean> {
  if (rootOf(server, folder) !== undefined) return false;
  if (Deno.uid() !== 0) {
    throw new AsteriskError("debootstrap makes a file system for root: run this as root");
  }
  await Deno.mkdir(folder, { recursive: true });
  await removeStages(folder, server.suite);
  const stage = join(folder, `.${server.suite}.${Deno.pid}`);
  try {
    await bootstrap(server, stage, debootstrap);
    for (const path of USELESS) await removeTree(join(stage, path));
    // What stands there is not whole, or rootOf would know it.
    await removeTree(join(folder, server.suite));
    await Deno.rename(stage, join(folder, server.suite));
  } finally {
    await removeTree(stage);
  }
  return true;
}

async function bootstrap({ suite }: Server, stage: string, debootstrap: string): Promise<void> {
  const log = `${stage}.log`;
  // In a mount namespace of its own it leaves no mount behind, and in a process namespace no
  // process, however it ends.
  const namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
  const command = [debootstrap, "--variant=minbase", "--include=asterisk", suite, stage];
  try {
    const { code, signal } = await new Deno.Command("unshare", {
      args: [...namespaces, "sh", "-c", 'log=$1; shift; "$@" >"$log" 2>&1', "sh", log, ...command],
      // With LC_ALL unset, Perl in the new system does not complain about locales that are not
      // there.
      env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
      stdin: "null",
      signal: AbortSignal.timeout(LIMIT_MS),
    }).output();
    if (code === 0) return;
    const said = (await Deno.readTextFile(log).catch(() => "")).trim().split("\n");
    if (code === 127) {
      throw new AsteriskError(`${debootstrap} is missing: apt-get install debootstrap`);
    }
    const how = signal === null
      ? `ended with ${code}`
      : `was ended after ${LIMIT_MS / 60_000} minutes`;
    throw new AsteriskError(
      `${command.join(" ")} ${how}:\n${said.slice(-SHOWN_LINES).join("\n")}`,
    );
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new AsteriskError("unshare is missing: apt-get install util-linux");
  } finally {
    await Deno.remove(log).catch(() => {});
  }
}

/** Removes what others who were killed have left. */
async function removeStages(folder: string, suite: string): Promise<void> {
  for (const { name } of Deno.readDirSync(folder)) {
    const [, pid] = new RegExp(`^\\.${suite}\\.(\\d+)(?:\\.log)?$`).exec(name) ?? [];
    if (pid !== undefined && !exists(`/proc/${pid}`)) await removeTree(join(folder, name));
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

async function main(args: readonly string[]): Promise<number> {
  let folder: string;
  try {
    const { values } = parseArgs({ args: [...args], options: { dir: { type: "string" } } });
    folder = values.dir ?? serversFolder();
    if (!isAbsolute(folder)) throw new TypeError("--dir must be an absolute path");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}; ${USAGE}`);
    return 2;
  }
  let code = 0;
  // At the same time: one downloads while the other unpacks.
  await Promise.all(
    Object.values(SERVERS).map(async (server: Server) => {
      const what = `Asterisk ${server.version} (Debian ${server.suite})`;
      try {
        const made = await provide(server, folder);
        console.log(`${what} is ${made ? "now" : "already"} in ${join(folder, server.suite)}`);
      } catch (error) {
        if (!(error instanceof AsteriskError)) throw error;
        console.error(`asterisk: no ${what}: ${error.message}`);
        code = 1;
      }
    }),
  );
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
