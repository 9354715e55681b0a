/**
 * Packs `dist/ampere` into a Debian package, an rpm, and an archive for other systems.
 *
 * ```sh
 * deno task package
 * ```
 *
 * It writes `ampere_1.0.0_amd64.deb`, `ampere-1.0.0-1.x86_64.rpm`,
 * `ampere-1.0.0-linux-x86_64.tar.gz`, `ampere-1.0.0-linux-x86_64.cdx.json` (what the executable is
 * made of, in the form of CycloneDX) and `SHA256SUMS` to dist/.
 *
 * Options after `--` are those of `deno task compile`, which runs first. Needs dpkg-deb,
 * rpmbuild, tar and gzip. Like the executable, the packages have the same bytes wherever they are
 * made from the same files.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname, join, relative } from "node:path";
import { compile, CompileError, parseOptions, PROJECT, releaseDate, writeSums } from "./compile.ts";
import { projectConfigPage } from "./manual.ts";
import { makeRpm } from "./rpm.ts";
import { softwareBill } from "./sbom.ts";
import {
  fill,
  type Item,
  openFolders,
  projectVersion,
  put,
  run,
  setDates,
  walk,
} from "./staging.ts";

const DOC = "usr/share/doc/ampere";

/** The units of systemd. */
const UNITS = ["ampere.service", "ampere-health.service", "ampere-health.timer"];

/**
 * What is installed where. Only the configuration is not for everybody to read: it holds the secret
 * of AMI. The folder of the database is closed because the addresses of a company's phones are in
 * it.
 */
const INSTALLED: readonly Item[] = [
  { from: "ampere.cfg", to: "etc/ampere/ampere.cfg", mode: 0o640 },
  { from: "packaging/logrotate", to: "etc/logrotate.d/ampere", mode: 0o644 },
  ...UNITS.map((unit) => ({
    from: `packaging/${unit}`,
    to: `lib/systemd/system/${unit}`,
    mode: 0o644,
  })),
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
  ...["Containerfile", "compose.yaml"].map((name) => ({
    from: `packaging/container/${name}`,
    to: `${DOC}/examples/container/${name}`,
    mode: 0o644,
  })),
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

/** The names of a machine's kind. */
const MACHINES = {
  x86_64: { debian: "amd64" },
  aarch64: { debian: "arm64" },
} as const;

/** A kind of machine, as `uname -m` says it. */
type Machine = keyof typeof MACHINES;

/** What is packed. */
interface PackageOptions {
  /** The executable. */
  readonly program: string;
  /** What it runs on; default `x86_64`. */
  readonly machine?: Machine;
  /** The version of Deno inside; default this one. */
  readonly runtime?: string;
  /** Where the packages are put. */
  readonly folder: string;
  readonly compression: keyof typeof COMPRESSION;
}

/** The packages that were made. */
export interface Packages {
  readonly debian: string;
  readonly rpm: string;
  readonly archive: string;
  /** What the executable is made of. */
  readonly bill: string;
}

/**
 * Makes the packages, and the list of what is in them.
 *
 * @throws {CompileError} when dpkg-deb, rpmbuild or tar cannot do it
 */
export async function makePackages(options: PackageOptions): Promise<Packages> {
  const { program, folder, machine = "x86_64", runtime = Deno.version.deno } = options;
  const version = await projectVersion();
  const date = await releaseDate();
  const page = await projectConfigPage(version, date);
  const bill = join(folder, `ampere-${version}-linux-${machine}.cdx.json`);
  const described = { version, runtime, program: await Deno.readFile(program), date };
  await Deno.writeTextFile(bill, await softwareBill(described));
  const work = await Deno.makeTempDir({ prefix: "ampere-package-" });
  try {
    const items = [
      ...INSTALLED,
      {
        text: page,
        to: "usr/share/man/man5/ampere.cfg.5.gz",
        mode: 0o644,
        gzip: true as const,
      },
      ...await documents(),
    ];
    const stage = { ...options, version, machine, date, items, work };
    return {
      debian: await makeDebian(stage),
      rpm: await makeRpmPackage(stage),
      archive: await makeArchive(stage, page),
      bill,
    };
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** What each of the packages is made of. */
interface Stage extends PackageOptions {
  readonly version: string;
  readonly machine: Machine;
  readonly date: Date;
  readonly items: readonly Item[];
  readonly work: string;
}

async function makeDebian(stage: Stage): Promise<string> {
  const { version, machine, date, items, work, folder, compression } = stage;
  const tree = join(work, "deb");
  const architecture = MACHINES[machine].debian;
  await layOut(tree, items, stage.program, "usr/lib/ampere/ampere", "usr/sbin/ampere");
  await writeControl(tree, items, version, architecture);
  await openFolders(tree, items);
  const debian = join(folder, `ampere_${version}_${architecture}.deb`);
  await setDates(tree, date);
  const env = { SOURCE_DATE_EPOCH: String(date.getTime() / 1000) };
  const flags = ["--root-owner-group", ...COMPRESSION[compression].debian];
  await run("dpkg-deb", [...flags, "--build", tree, debian], env);
  return debian;
}

/**
 * The rpm. The executable is in /usr/sbin and the link in /usr/lib/ampere, not the other way round:
 * SELinux labels what is in /usr/sbin as a program (bin_t), which systemd starts unconfined, and
 * what is in a folder of /usr/lib as a library.
 */
async function makeRpmPackage(stage: Stage): Promise<string> {
  const { items, work, date } = stage;
  const tree = join(work, "rpm");
  const places: readonly [RegExp, string][] = [
    [/^lib\/systemd\//, "usr/lib/systemd/"],
    [/^usr\/share\/zsh\/vendor-completions\//, "usr/share/zsh/site-functions/"],
  ];
  const own = items.filter(({ to }) => !/lintian|changelog\.gz$|copyright$/.test(to))
    .map((item) => ({
      ...item,
      to: places.reduce((to, [from, place]) => to.replace(from, place), item.to),
    }));
  own.push(
    { from: "CHANGELOG.md", to: `${DOC}/CHANGELOG.md`, mode: 0o644 },
    { from: "LICENSE", to: "usr/share/licenses/ampere/LICENSE", mode: 0o644 },
    {
      from: "packaging/debian/copyright",
      to: "usr/share/licenses/ampere/copyright",
      mode: 0o644,
    },
  );
  const programs = ["usr/sbin/ampere", "usr/lib/ampere/ampere"] as const;
  await layOut(tree, own, stage.program, ...programs);
  await openFolders(tree, own);
  await setDates(tree, date);
  return await makeRpm({ ...stage, tree, items: own, configFiles: CONFIG_FILES, programs });
}

/** The archive for all others. */
async function makeArchive(stage: Stage, page: string): Promise<string> {
  const { version, machine, date, work, folder, compression } = stage;
  const name = `ampere-${version}-linux-${machine}`;
  const archive = join(folder, `${name}.tar.gz`);
  const tree = join(work, name);
  await layOutArchive(tree, stage.items, stage.program);
  await put(
    { text: page, to: "", mode: 0o644 },
    join(tree, "packaging/ampere.cfg.5"),
  );
  await openFolders(tree, []);
  const names: string[] = [];
  for (const path of await walk(tree)) {
    if ((await Deno.lstat(path)).isFile) names.push(path.slice(tree.length + 1));
  }
  await writeSums(tree, names);
  await Deno.chmod(join(tree, "SHA256SUMS"), 0o644);
  await setDates(tree, date);
  const owner = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--format=gnu"];
  const compressor = COMPRESSION[compression].archive;
  await run("tar", ["-C", work, ...owner, "-I", compressor, "-cf", archive, name]);
  return archive;
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

/**
 * Puts the executable, a link to it, and the items where they will be installed.
 *
 * @param place Of the executable.
 * @param link Of the link.
 */
async function layOut(
  tree: string,
  items: readonly Item[],
  program: string,
  place: string,
  link: string,
): Promise<void> {
  for (const item of items) await put(item, join(tree, item.to));
  const executable = join(tree, place);
  await Deno.mkdir(dirname(executable), { recursive: true });
  await Deno.copyFile(program, executable);
  await Deno.chmod(executable, 0o755);
  await Deno.mkdir(dirname(join(tree, link)), { recursive: true });
  await Deno.symlink(relative(dirname(link), place), join(tree, link));
}

/** The archive: the same files side by side, for a person to put in place as the README says. */
async function layOutArchive(tree: string, items: readonly Item[], program: string): Promise<void> {
  for (const { from, mode } of items) {
    if (from === undefined || from.startsWith("packaging/debian/")) continue;
    await put({ from, to: from, mode }, join(tree, from));
  }
  for (const from of ["LICENSE", "CHANGELOG.md"]) {
    await put({ from, to: from, mode: 0o644 }, join(tree, from));
  }
  const script = "packaging/install.sh";
  await put({ from: script, to: script, mode: 0o755 }, join(tree, "install.sh"));
  await Deno.copyFile(program, join(tree, "ampere"));
  await Deno.chmod(join(tree, "ampere"), 0o755);
}

/** Writes the folder DEBIAN: what dpkg has to know. */
async function writeControl(
  tree: string,
  items: readonly Item[],
  version: string,
  architecture: string,
): Promise<void> {
  const source = (name: string) => Deno.readTextFile(join(PROJECT, "packaging/debian", name));
  const control = (name: string, text: string, mode = 0o644) =>
    put({ text, to: name, mode }, join(tree, "DEBIAN", name));

  const { sums, size } = await sumsAndSize(tree);
  await control("md5sums", sums);
  await control("conffiles", CONFIG_FILES.map((path) => `${path}\n`).join(""));
  const fields = { VERSION: version, ARCHITECTURE: architecture, INSTALLED_SIZE: String(size) };
  await control("control", fill(await source("control"), fields));
  const config = items.find((item) => `/${item.to}` === CONFIG_FILES[0])!;
  const CONFIG = await Deno.readTextFile(join(PROJECT, config.from!));
  for (const script of SCRIPTS) {
    await control(script, fill(await source(script), { CONFIG }), 0o755);
  }
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

/** Compiles and packs, and prints what was made. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    const folder = dirname(options.output);
    const { runtime } = await compile(options);
    console.log(`${options.output} (runtime: ${runtime})`);
    const packages = await makePackages({
      program: options.output,
      machine: (options.target ?? Deno.build.target).startsWith("aarch64") ? "aarch64" : "x86_64",
      runtime: /\d+\.\d+\.\d+/.exec(runtime)?.[0] ?? Deno.version.deno,
      folder,
      compression: "small",
    });
    const made = Object.values<string>({ ...packages });
    const names = [options.output, ...made].map((path) => path.slice(folder.length + 1));
    console.log(`${made.join("\n")}\n\n${await writeSums(folder, names)}`);
    return 0;
  } catch (error) {
    if (!(error instanceof CompileError || error instanceof TypeError)) throw error;
    console.error(`package: ${error.message}`);
    return error instanceof TypeError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
