/**
 * Makes the one executable, `dist/ampere`, with exactly the permissions that it needs.
 *
 * ```sh
 * deno task compile                                # dist/ampere and dist/SHA256SUMS
 * deno task compile -- --allow-path=/srv/ampere    # may also read and write this folder
 * deno task compile -- --output=/tmp/ampere
 * deno task compile -- --denort=npm                # see denort.ts
 * deno task compile -- --target=aarch64-unknown-linux-gnu   # dist/aarch64/ampere
 * ```
 *
 * The same sources, options and runtime give the same bytes on every machine: the modules are
 * joined (bundle.ts) into files that all bear the date of the release (or `SOURCE_DATE_EPOCH`),
 * because `deno compile` writes the dates of the files into the executable.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { RESOLVER_FILES } from "../src/address/neighbours.ts";
import { AUTHORITY_FILES } from "../src/authorities.ts";
import { FAIL2BAN_FILES } from "../src/commands/fail2ban/import.ts";
import { PROGRAMS } from "../src/firewall/command.ts";
import { GEO_FOLDERS } from "../src/places/read_mmdb.ts";
import { bundle, BundleError } from "./bundle.ts";
import { DenortError, denortFromNpm, NPM_DENORT_VERSION } from "./denort.ts";

/** The folder of the project. */
export const PROJECT = resolve(import.meta.dirname!, "..");

/** Read only: nothing in the program changes the configuration. */
const CONFIG_FOLDER = "/etc/ampere";

/** The npm packages whose code goes into the executable; see joined_package.ts. */
export const JOINED_PACKAGES: readonly string[] = ["mmdb-lib", "nodemailer"];

/** Read and write: the block list, the log, the socket of `--status`. */
const STATE_FOLDERS = ["/var/lib/ampere", "/var/log", "/run/ampere"] as const;

/**
 * The runtime is a download of about 40 MB; a server that is silent for longer counts as out of
 * reach.
 */
const COMPILE_LIMIT_MS = 240_000;

const USAGE =
  `Usage: deno task compile -- [--allow-path=DIR]... [--output=FILE] [--denort=auto|deno|npm]
                                 [--target=TARGET]

  --allow-path=DIR  the executable may also read and write DIR and what is in it (repeatable)
  --output=FILE     default: dist/ampere, with dist/SHA256SUMS beside it
  --denort=SOURCE   where the runtime comes from: deno = Deno's download server,
                    npm = the npm registry (tools/denort.ts says what that means),
                    auto = deno, and npm when the server is out of reach (default)
  --target=TARGET   for which machine: x86_64-unknown-linux-gnu or
                    aarch64-unknown-linux-gnu; default: this one
`;

/** The machines that it can be compiled for; the part before the first `-` is `uname -m`. */
const TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] as const;

/** One of {@linkcode TARGETS}. */
type Target = typeof TARGETS[number];

/** Where the runtime comes from. */
type DenortSource = "auto" | "deno" | "npm";

/** What is to be compiled, and how. */
export interface CompileOptions {
  /** Absolute path of the first module. */
  readonly entry: string;
  /** Absolute path of the folder that holds every module, and deno.json if there is one. */
  readonly root: string;
  /** Absolute path of the executable. */
  readonly output: string;
  /** Absolute folders that it may read and write beyond its own. */
  readonly allowPaths: readonly string[];
  readonly denort: DenortSource;
  /** The machine that it is for; `undefined`: this one. */
  readonly target?: Target | undefined;
}

/** What came of it. */
interface Compiled {
  /** The permission flags in effect. */
  readonly permissions: readonly string[];
  /** The runtime inside, for people. */
  readonly runtime: string;
  /** Why Deno's own runtime could not be used, if it was tried in vain. */
  readonly fallbackReason: string | undefined;
}

/** The executable was not made; the message says why. */
export class CompileError extends Error {
  override name = "CompileError";
}

/**
 * The permissions of the executable, as flags of `deno compile`. There is no `--allow-env`, no
 * `--allow-ffi` and no `--allow-all`; `--no-prompt` makes a denied access an error instead of a
 * question to whoever sits at the terminal.
 *
 * - run: the firewall commands, by name; Deno looks them up in `PATH` when the program starts.
 * - net: the hosts are the administrator's choice (`host`, `metrics`, `webhook`).
 * - read: the authorities of certificates that this machine believes are one file each; of places
 *   (`geo`, `asn`) the two folders where packages and updaters put such files; of fail2ban the
 *   files that `--import-fail2ban` reads, and which the unit hides from the daemon.
 * - sys: the machine's own addresses, which are never blocked.
 *
 * @param allowPaths absolute folders to read and write beyond the program's own
 * @returns the flags, in a fixed order
 */
export function permissionFlags(allowPaths: readonly string[] = []): string[] {
  // Deno separates paths by commas and reads a doubled one as part of a path.
  const extra = allowPaths.map((path) => path.replaceAll(",", ",,"));
  return [
    "--no-prompt",
    `--allow-run=${PROGRAMS.join(",")}`,
    "--allow-net",
    "--allow-sys=networkInterfaces",
    `--allow-read=${
      [
        CONFIG_FOLDER,
        ...RESOLVER_FILES,
        ...AUTHORITY_FILES,
        ...GEO_FOLDERS,
        ...FAIL2BAN_FILES,
        ...STATE_FOLDERS,
        ...extra,
      ].join(",")
    }`,
    `--allow-write=${[...STATE_FOLDERS, ...extra].join(",")}`,
  ];
}

/**
 * How V8 collects garbage: the heap may grow by half before it does, not to four times, and what is
 * young has 8 MiB. Most of what there is in a flood of forged addresses dies young. It does not
 * begin before there are 32 MiB, so that a long list is read without (an idle Ampere has 10). And
 * without the compiler in the middle (Maglev): what runs long enough to matter is compiled by the
 * best one all the same, and 4 MB of code stay out of memory.
 *
 * That compiler may copy more into a function than by default (920 bytes of bytecode): an event
 * passes through some twenty small functions, and what does not fit is called. With 2,600 an event
 * takes a tenth less; with 4,000 to compile takes longer than is gained in the first second.
 */
export const V8_FLAGS =
  "--heap-growing-percent=60,--max-semi-space-size=8,--initial-heap-size=32,--no-maglev," +
  "--max-inlined-bytecode-size-cumulative=2600";

/**
 * The other flags of `deno compile`.
 *
 * - Nothing foreign is loaded: no npm package, no remote module; {@linkcode JOINED_PACKAGES} are
 *   part of the program's own files. With `--cached-only` even the default list of hosts that a
 *   program may import from is left out of the executable.
 * - `--quiet` goes into the executable: without it every command would begin with two words of Deno
 *   about an ipset that is not installed and not needed.
 * - `--no-code-cache` is for security, not for size: with the cache the program would, beside its
 *   permissions, write and next time trust /tmp/deno-compile-ampere.cache, where any local user can
 *   put a file first. Each start takes 3 to 5 ms longer for that.
 */
const BUILD_FLAGS = [
  "--no-npm",
  "--no-remote",
  "--cached-only",
  "--quiet",
  "--no-code-cache",
  `--v8-flags=${V8_FLAGS}`,
] as const;

/**
 * Compiles a program with {@linkcode permissionFlags}.
 *
 * @throws {CompileError} when the sources have errors or the runtime cannot be had
 */
export async function compile(options: CompileOptions): Promise<Compiled> {
  await deno(["check", "--quiet", options.entry], options.root);
  const parts = await partsOf(options.entry, options.root);
  const permissions = permissionFlags(options.allowPaths);

  await Deno.mkdir(dirname(options.output), { recursive: true });
  const stage = await Deno.makeTempDir({ prefix: "ampere-compile-" });
  try {
    const entry = await stageBundle(options, parts, stage, await releaseDate());
    // The types were checked above, where the messages name the real files.
    const { target } = options;
    const isForeign = target !== undefined && target !== Deno.build.target;
    const forTarget = isForeign ? ["--target", target] : [];
    const flags = [
      "--no-check",
      ...BUILD_FLAGS,
      ...forTarget,
      ...permissions,
      "--output",
      options.output,
    ];
    const source = isForeign ? "deno" : options.denort;
    const origin = await compileWithRuntime(["compile", ...flags, entry], stage, source)
      .catch((error) => {
        if (isForeign && isDownload(error)) throw noRuntimeFor(target, error);
        throw error;
      });
    return { permissions, ...origin };
  } finally {
    await Deno.remove(stage, { recursive: true });
  }
}

type Origin = Pick<Compiled, "runtime" | "fallbackReason">;

/**
 * Runs `deno compile`, with denort from the npm registry if asked for or if there is no other way.
 */
async function compileWithRuntime(
  args: string[],
  folder: string,
  source: DenortSource,
): Promise<Origin> {
  let fallbackReason: string | undefined;
  if (source !== "npm") {
    try {
      await deno(args, folder);
      const own = Deno.env.get("DENORT_BIN");
      const runtime = own === undefined ? `Deno ${Deno.version.deno}` : `DENORT_BIN=${own}`;
      return { runtime, fallbackReason };
    } catch (error) {
      if (source === "deno" || !isDownload(error)) throw error;
      fallbackReason = downloadFailure(error);
    }
  }
  try {
    await deno(args, folder, { DENORT_BIN: await denortFromNpm() });
  } catch (error) {
    if (!(error instanceof DenortError)) throw error;
    const before = fallbackReason === undefined ? "" : `Deno's server: ${fallbackReason}\n`;
    throw new CompileError(`no runtime for the executable.\n${before}npm: ${error.message}`);
  }
  const runtime = `Deno ${NPM_DENORT_VERSION}, cut out of an npm package`;
  return { runtime, fallbackReason };
}

/** Whether the runtime could not be downloaded: Deno's message names the file that it wanted. */
function isDownload(error: unknown): error is CompileError {
  return error instanceof CompileError && /denort|no end within/.test(error.message);
}

/** Why not. */
function downloadFailure({ message }: CompileError): string {
  return /error sending request.*/.exec(message)?.[0] ?? message;
}

/** The npm registry has the slim runtime for one kind of machine alone. */
function noRuntimeFor(target: Target, error: CompileError): CompileError {
  return new CompileError(
    `the slim runtime for ${target} is on Deno's download server alone, which cannot be reached ` +
      `from here (${
        downloadFailure(error).split("\n")[0]
      }): compile it where dl.deno.land can be reached`,
  );
}

/** Runs this Deno; gives what it printed. */
async function deno(args: string[], cwd: string, env: Record<string, string> = {}) {
  const { success, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    signal: AbortSignal.timeout(COMPILE_LIMIT_MS),
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  const limit = signal === null ? "" : `no end within ${COMPILE_LIMIT_MS / 1000} s\n`;
  // Deno adds a backtrace of itself, without names.
  const said = new TextDecoder().decode(stderr).split("\n\nStack backtrace:")[0]!.trim();
  throw new CompileError(`deno ${args[0]}: ${limit}${said}`);
}

/** What a program consists of. */
interface Parts {
  /** Its files, relative to the root. */
  readonly modules: readonly string[];
  /** The npm packages among {@linkcode JOINED_PACKAGES} that it uses, with the folder of each. */
  readonly packages: ReadonlyMap<string, string>;
}

/** What `deno info` says of a program. */
interface Graph {
  readonly modules: readonly {
    readonly kind?: string;
    readonly specifier: string;
    readonly local?: string;
    readonly error?: string;
    readonly npmPackage?: string;
  }[];
  readonly npmPackages: Readonly<
    Record<string, { readonly name: string; readonly localPath: string }>
  >;
}

/**
 * What a program consists of.
 *
 * @param entry Absolute path of the first module.
 * @param root Absolute path of the folder that holds every module.
 * @throws {CompileError} When it needs something else.
 */
export async function partsOf(entry: string, root: string): Promise<Parts> {
  const graph = JSON.parse(await deno(["info", "--json", entry], root)) as Graph;
  const packages = new Map<string, string>();
  const modules = graph.modules.flatMap((module) => {
    if (module.kind === "node") return [];
    const used = graph.npmPackages[module.npmPackage ?? ""];
    if (used !== undefined && JOINED_PACKAGES.includes(used.name)) {
      packages.set(used.name, used.localPath);
      return [];
    }
    // A module that only `await import()` names can be missing without a word from `deno check`.
    if (module.error !== undefined) throw new CompileError(module.error.split("\n")[0]!);
    const path = module.local === undefined ? module.specifier : relative(root, module.local);
    if (module.local === undefined || path.startsWith("..") || isAbsolute(path)) {
      throw new CompileError(`${entry} needs ${module.specifier}, which is not part of ${root}`);
    }
    return [path];
  });
  return { modules, packages };
}

/**
 * Writes the joined modules into a folder, all with the same date.
 *
 * @returns The first of them.
 */
async function stageBundle(
  { root, entry }: CompileOptions,
  { modules, packages }: Parts,
  target: string,
  date: Date,
): Promise<string> {
  try {
    const joined = await bundle(root, modules, relative(root, entry), packages);
    for (const [name, text] of joined.files) {
      const file = join(target, name);
      await Deno.writeTextFile(file, text);
      await Deno.utime(file, date, date);
    }
    return joined.entry;
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    throw new CompileError(error.message);
  }
}

/**
 * The date of every file in the executable and in the package: `SOURCE_DATE_EPOCH` (seconds, see
 * reproducible-builds.org) or that of the first entry of packaging/debian/changelog.
 */
export async function releaseDate(): Promise<Date> {
  const given = Deno.env.get("SOURCE_DATE_EPOCH");
  if (given !== undefined && /^\d+$/.test(given)) return new Date(Number(given) * 1000);
  const changelog = await Deno.readTextFile(join(PROJECT, "packaging/debian/changelog"));
  const date = new Date(/^ -- .*> {2}(.*)$/m.exec(changelog)?.[1] ?? "");
  if (Number.isNaN(date.getTime())) throw new CompileError("no date in packaging/debian/changelog");
  return date;
}

/**
 * Writes the file `SHA256SUMS`, in the form that `sha256sum --check` reads, into a folder.
 *
 * @param folder where the files are
 * @param names the files, without folder
 * @returns the text written
 */
export async function writeSums(folder: string, names: readonly string[]): Promise<string> {
  const lines = await Promise.all(names.map(async (name) => {
    const hash = createHash("sha256").update(await Deno.readFile(join(folder, name))).digest("hex");
    return `${hash}  ${name}\n`;
  }));
  await Deno.writeTextFile(join(folder, "SHA256SUMS"), lines.join(""));
  return lines.join("");
}

/**
 * Reads the options of the command line. A leading `--`, which `deno task` passes on, is skipped.
 *
 * @throws {TypeError} with the reason, on an option that does not exist
 * @throws {CompileError} on a value that is wrong
 */
export function parseOptions(
  args: readonly string[],
): CompileOptions & { isDefaultOutput: boolean } {
  const { values } = parseArgs({
    args: args[0] === "--" ? args.slice(1) : [...args],
    options: {
      "allow-path": { type: "string", multiple: true, default: [] },
      output: { type: "string" },
      denort: { type: "string", default: "auto" },
      target: { type: "string" },
    },
  });
  const denort = values.denort;
  if (denort !== "auto" && denort !== "deno" && denort !== "npm") {
    throw new CompileError(`--denort=${denort}: auto, deno or npm`);
  }
  const target = TARGETS.find((each) => each === values.target);
  if (values.target !== undefined && target === undefined) {
    throw new CompileError(`--target=${values.target}: ${TARGETS.join(" or ")}`);
  }
  const isForeign = target !== undefined && target !== Deno.build.target;
  const output = isForeign ? `dist/${target.split("-")[0]}/ampere` : "dist/ampere";
  if (values["allow-path"].includes("")) throw new CompileError("--allow-path= needs a folder");
  return {
    entry: join(PROJECT, "main.ts"),
    root: PROJECT,
    output: resolve(values.output ?? join(PROJECT, output)),
    isDefaultOutput: values.output === undefined,
    allowPaths: values["allow-path"].map((path) => resolve(path)),
    denort,
    target,
  };
}

/** Compiles Ampere as told and prints what was made. */
async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  let options: ReturnType<typeof parseOptions>;
  try {
    options = parseOptions(args);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof CompileError)) throw error;
    console.error(`compile: ${error.message} (deno task compile -- --help tells the options)`);
    return 2;
  }
  try {
    const compiled = await compile(options);
    const { size } = await Deno.stat(options.output);
    if (compiled.fallbackReason !== undefined) {
      console.warn(`Deno's runtime could not be downloaded: ${compiled.fallbackReason}`);
    }
    if (compiled.runtime.includes("npm")) {
      console.warn(
        "The runtime comes from the npm registry (tools/denort.ts): do not publish this build.",
      );
    }
    console.log(`executable   ${options.output}`);
    console.log(`size         ${(size / 1e6).toFixed(1)} MB`);
    console.log(`runtime      ${compiled.runtime}`);
    console.log(`permissions  ${compiled.permissions.join("\n             ")}`);
    if (options.isDefaultOutput) {
      const sums = await writeSums(dirname(options.output), [basename(options.output)]);
      console.log(`SHA-256      ${sums.slice(0, 64)}`);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    console.error(`compile: ${error.message}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
