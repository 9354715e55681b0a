/**
 * Packs `dist/ampere` into a Debian package and an archive for other systems.
 *
 * ```sh
 * deno task package
 * ```
 *
 * It writes `ampere_1.0.0_amd64.deb`, `ampere-1.0.0-linux-x86_64.tar.gz` and `SHA256SUMS` to dist/.
 *
 * Options after `--` are those of `deno task compile`, which runs first. Needs dpkg-deb, tar and
 * gzip. Like the executable, the packages have the same bytes wherever they are made from the same
 * files.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { compile, CompileError, parseOptions, PROJECT, releaseDate, writeSums } from "./compile.ts";

/** A file or folder of the package. */
interface Item {
  /** In the project, or the text itself, or (for a folder) neither. */
  readonly from?: string;
  readonly text?: string;
  /** Place in the installed system. */
  readonly to: string;
  readonly mode: number;
  /** Stored compressed, as Debian wants it for manual pages and changelogs. */
  readonly gzip?: true;
}

const DOC = "usr/share/doc/ampere";

/**
 * What is installed where. Only the configuration is not for everybody to read: it holds the secret
 * of AMI. The folder of the database is closed because the addresses of a company's phones are in
 * it.
 */
const INSTALLED: readonly Item[] = [
  { from: "ampere.cfg", to: "etc/ampere/ampere.cfg", mode: 0o640 },
  { from: "packaging/logrotate", to: "etc/logrotate.d/ampere", mode: 0o644 },
  { from: "packaging/ampere.service", to: "lib/systemd/system/ampere.service", mode: 0o644 },
  {
    from: "packaging/ampere-health.service",
    to: "lib/systemd/system/ampere-health.service",
    mode: 0o644,
  },
  {
    from: "packaging/ampere-health.timer",
    to: "lib/systemd/system/ampere-health.timer",
    mode: 0o644,
  },
  { from: "packaging/ampere.8", to: "usr/share/man/man8/ampere.8.gz", mode: 0o644, gzip: true },
  {
    from: "packaging/completions/ampere.bash",
    to: "usr/share/bash-completion/completions/ampere",
    mode: 0o644,
  },
  {
    from: "packaging/completions/_ampere",
    to: "usr/share/zsh/vendor-completions/_ampere",
    mode: 0o644,
  },
  {
    from: "packaging/completions/ampere.fish",
    to: "usr/share/fish/vendor_completions.d/ampere.fish",
    mode: 0o644,
  },
  { from: "README.md", to: `${DOC}/README.md`, mode: 0o644 },
  { from: "packaging/debian/copyright", to: `${DOC}/copyright`, mode: 0o644 },
  { from: "packaging/debian/changelog", to: `${DOC}/changelog.gz`, mode: 0o644, gzip: true },
  {
    from: "packaging/debian/lintian-overrides",
    to: "usr/share/lintian/overrides/ampere",
    mode: 0o644,
  },
  { to: "var/lib/ampere", mode: 0o750 },
];

/** Files that dpkg treats as the administrator's: it never overwrites their changes. */
const CONFIG_FILES = ["/etc/ampere/ampere.cfg", "/etc/logrotate.d/ampere"];

const SCRIPTS = ["preinst", "postinst", "prerm", "postrm"] as const;

/**
 * How dpkg-deb and tar compress; the quick way (5 s instead of 30 s, 36 MB instead of 25 MB) is for
 * tests.
 */
const COMPRESSION = {
  small: { debian: ["-Zxz", "-z6"], archive: "gzip -6n" },
  quick: { debian: ["-Zgzip", "-z1"], archive: "gzip -1n" },
} as const;

/** What is packed. */
interface PackageOptions {
  /** The executable. */
  readonly program: string;
  /** Where the packages are put. */
  readonly folder: string;
  readonly compression: keyof typeof COMPRESSION;
}

/** The packages that were made. */
export interface Packages {
  readonly debian: string;
  readonly archive: string;
}

/**
 * Makes both packages.
 *
 * @throws {CompileError} when dpkg-deb or tar cannot do it
 */
export async function makePackages(options: PackageOptions): Promise<Packages> {
  const version = await projectVersion();
  const date = await releaseDate();
  const stage = await Deno.makeTempDir({ prefix: "ampere-package-" });
  try {
    const items = [...INSTALLED, ...await documents()];
    const tree = join(stage, "deb");
    await layOut(tree, items, options.program);
    await writeControl(tree, items, version);
    await openFolders(tree, items);
    const debian = join(options.folder, `ampere_${version}_amd64.deb`);
    await setDates(tree, date);
    const env = { SOURCE_DATE_EPOCH: String(date.getTime() / 1000) };
    const compression = COMPRESSION[options.compression];
    const flags = ["--root-owner-group", ...compression.debian];
    await run("dpkg-deb", [...flags, "--build", tree, debian], env);

    const name = `ampere-${version}-linux-x86_64`;
    const archive = join(options.folder, `${name}.tar.gz`);
    await layOutArchive(join(stage, name), items, options.program);
    await openFolders(join(stage, name), []);
    await setDates(join(stage, name), date);
    const owner = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--format=gnu"];
    await run("tar", ["-C", stage, ...owner, "-I", compression.archive, "-cf", archive, name]);
    return { debian, archive };
  } finally {
    await Deno.remove(stage, { recursive: true });
  }
}

/** The version in deno.json. */
export async function projectVersion(): Promise<string> {
  const text = await Deno.readTextFile(join(PROJECT, "deno.json"));
  return (JSON.parse(text) as { version: string }).version;
}

/** The folder docs/ and the dashboards, which are documentation for the package. */
async function documents(): Promise<Item[]> {
  const items: Item[] = [];
  for (const [folder, place] of [["docs", DOC], ["packaging", `${DOC}/examples`]] as const) {
    for await (const entry of Deno.readDir(join(PROJECT, folder))) {
      if (!entry.isFile || !/\.(md|svg|png|json)$/.test(entry.name)) continue;
      const to = folder === "docs" ? `${place}/docs/${entry.name}` : `${place}/${entry.name}`;
      items.push({ from: `${folder}/${entry.name}`, to, mode: 0o644 });
    }
  }
  return items;
}

/** Puts the executable and the items where they will be installed. */
async function layOut(tree: string, items: readonly Item[], program: string): Promise<void> {
  for (const item of items) await put(item, join(tree, item.to));
  const executable = join(tree, "usr/lib/ampere/ampere");
  await Deno.mkdir(dirname(executable), { recursive: true });
  await Deno.copyFile(program, executable);
  await Deno.chmod(executable, 0o755);
  await Deno.mkdir(join(tree, "usr/sbin"), { recursive: true });
  await Deno.symlink("../lib/ampere/ampere", join(tree, "usr/sbin/ampere"));
}

/** The archive: the same files side by side, for a person to put in place as the README says. */
async function layOutArchive(tree: string, items: readonly Item[], program: string): Promise<void> {
  for (const { from, mode } of items) {
    if (from === undefined || from.startsWith("packaging/debian/")) continue;
    await put({ from, to: from, mode }, join(tree, from));
  }
  await put({ from: "LICENSE", to: "LICENSE", mode: 0o644 }, join(tree, "LICENSE"));
  await Deno.copyFile(program, join(tree, "ampere"));
  await Deno.chmod(join(tree, "ampere"), 0o755);
}

async function put(item: Item, path: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  if (item.from === undefined && item.text === undefined) {
    await Deno.mkdir(path);
  } else {
    const bytes = item.from === undefined
      ? new TextEncoder().encode(item.text)
      : await Deno.readFile(join(PROJECT, item.from));
    await Deno.writeFile(path, item.gzip ? await gzip(bytes) : bytes);
  }
  // Not given to writeFile, which would apply the umask.
  await Deno.chmod(path, item.mode);
}

/** Compressed at the highest level, without name and time, as Debian's policy asks. */
async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const child = new Deno.Command("gzip", { args: ["-9n"], stdin: "piped", stdout: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(bytes);
  await writer.close();
  return (await child.output()).stdout;
}

/** Writes the folder DEBIAN: what dpkg has to know. */
async function writeControl(tree: string, items: readonly Item[], version: string): Promise<void> {
  const source = (name: string) => Deno.readTextFile(join(PROJECT, "packaging/debian", name));
  const control = (name: string, text: string, mode = 0o644) =>
    put({ text, to: name, mode }, join(tree, "DEBIAN", name));

  const { sums, size } = await sumsAndSize(tree);
  await control("md5sums", sums);
  await control("conffiles", CONFIG_FILES.map((path) => `${path}\n`).join(""));
  const fields = { VERSION: version, ARCHITECTURE: "amd64", INSTALLED_SIZE: String(size) };
  await control("control", fill(await source("control"), fields));
  const config = items.find((item) => `/${item.to}` === CONFIG_FILES[0])!;
  const CONFIG = await Deno.readTextFile(join(PROJECT, config.from!));
  for (const script of SCRIPTS) {
    await control(script, fill(await source(script), { CONFIG }), 0o755);
  }
}

/** Replaces each `@NAME@` by its value. */
function fill(text: string, values: Record<string, string>): string {
  return text.replace(/@([A-Z_]+)@/g, (whole, name: string) => values[name] ?? whole);
}

/** The file md5sums (all but configuration files) and the size on disk in KiB. */
async function sumsAndSize(tree: string): Promise<{ sums: string; size: number }> {
  let sums = "";
  let size = 0;
  for (const path of await walk(tree)) {
    const { isFile, size: bytes } = await Deno.lstat(path);
    // A folder or link counts 1 KiB, as in dpkg-gencontrol.
    size += isFile ? Math.ceil(bytes / 1024) : 1;
    const name = path.slice(tree.length);
    if (!isFile || CONFIG_FILES.includes(name)) continue;
    const hash = createHash("md5").update(await Deno.readFile(path)).digest("hex");
    sums += `${hash}  ${name.slice(1)}\n`;
  }
  return { sums, size };
}

/** All that is in a folder, sorted, folders before what is in them. */
async function walk(folder: string): Promise<string[]> {
  const names: Deno.DirEntry[] = [];
  for await (const entry of Deno.readDir(folder)) names.push(entry);
  names.sort((a, b) => a.name < b.name ? -1 : 1);
  const paths: string[] = [];
  for (const { name, isDirectory } of names) {
    paths.push(join(folder, name));
    if (isDirectory) paths.push(...await walk(join(folder, name)));
  }
  return paths;
}

/**
 * Makes all folders readable, whatever the umask was, but those of the list, which say their mode.
 */
async function openFolders(tree: string, items: readonly Item[]): Promise<void> {
  for (const path of [tree, ...await walk(tree)]) {
    const listed = items.some((item) => join(tree, item.to) === path);
    if (!listed && (await Deno.lstat(path)).isDirectory) await Deno.chmod(path, 0o755);
  }
}

async function setDates(tree: string, date: Date): Promise<void> {
  const paths = (await walk(tree)).reverse();
  await run("touch", ["--no-dereference", `--date=${date.toISOString()}`, ...paths, tree]);
}

async function run(program: string, args: string[], env: Record<string, string> = {}) {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, { args, env, stdin: "null" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CompileError(`${program} is not installed; it is needed to make the packages`);
  }
  if (output.success) return;
  throw new CompileError(`${program} failed: ${new TextDecoder().decode(output.stderr).trim()}`);
}

/** Compiles and packs, and prints what was made. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const folder = dirname(options.output);
    const { runtime } = await compile(options);
    console.log(`${options.output} (runtime: ${runtime})`);
    const { debian, archive } = await makePackages({
      program: options.output,
      folder,
      compression: "small",
    });
    const names = [options.output, debian, archive].map((path) => path.slice(folder.length + 1));
    console.log(`${debian}\n${archive}\n\n${await writeSums(folder, names)}`);
    return 0;
  } catch (error) {
    if (!(error instanceof CompileError || error instanceof TypeError)) throw error;
    console.error(`package: ${error.message}`);
    return error instanceof TypeError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
