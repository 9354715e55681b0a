/**
 * Packs a tree of files into an rpm for Rocky, Alma and their like, 9 and later, by rpmbuild, which
 * Debian has as the package rpm.
 *
 * @module
 */

import { join } from "node:path";
import { PROJECT } from "./compile.ts";
import { fill, type Item, run } from "./staging.ts";

const SCRIPTS = ["pre", "post", "preun", "postun"] as const;

/** How rpm compresses; see `COMPRESSION` of package.ts. Both are read by rpm 4.16 (Rocky 9). */
const PAYLOAD = { small: "w6.xzdio", quick: "w1.gzdio" } as const;

/** What is packed. */
interface RpmOptions {
  readonly version: string;
  /** As `uname -m` says it. */
  readonly machine: string;
  /** The files, as they will be installed. */
  readonly tree: string;
  /** What is in the tree, besides the executable and the link to it. */
  readonly items: readonly Item[];
  /** Paths of the administrator's files. */
  readonly configFiles: readonly string[];
  /** The executable, and what links to it. */
  readonly programs: readonly string[];
  readonly compression: keyof typeof PAYLOAD;
  readonly date: Date;
  /** A folder for what rpmbuild makes on its way. */
  readonly work: string;
  /** Where the package is put. */
  readonly folder: string;
}

/**
 * Makes the package.
 *
 * @returns Its path.
 * @throws {CompileError} When rpmbuild is missing or cannot do it.
 */
export async function makeRpm(options: RpmOptions): Promise<string> {
  const { version, machine, tree, date, work, folder } = options;
  const source = (name: string) => Deno.readTextFile(join(PROJECT, "packaging/rpm", name));
  const scripts: Record<string, string> = {};
  for (const name of SCRIPTS) scripts[name.toUpperCase()] = await source(name);
  const spec = join(work, "ampere.spec");
  await Deno.writeTextFile(
    spec,
    fill(await source("ampere.spec"), {
      ...scripts,
      VERSION: version,
      PAYLOAD: PAYLOAD[options.compression],
      TREE: tree,
      FILES: fileList(options),
      CHANGELOG: changelogEntry(version, date),
    }),
  );
  const define = (name: string, value: string) => ["--define", `${name} ${value}`];
  await run("rpmbuild", [
    "-bb",
    "--quiet",
    `--target=${machine}-linux`,
    ...define("_topdir", join(work, "rpmbuild")),
    ...define("_rpmdir", work),
    ...define("_rpmfilename", "ampere.rpm"),
    spec,
  ], { SOURCE_DATE_EPOCH: String(date.getTime() / 1000) });
  const path = join(folder, `ampere-${version}-1.${machine}.rpm`);
  await Deno.copyFile(join(work, "ampere.rpm"), path);
  return path;
}

/** The section %files: each with its rights; a changed configuration is never written over. */
function fileList({ items, configFiles, programs }: RpmOptions): string {
  const lines = items.map(({ from, text, to, mode }) => {
    const path = `/${to}`;
    const isFolder = from === undefined && text === undefined;
    const kind = configFiles.includes(path)
      ? "%config(noreplace) "
      : isFolder
      ? "%dir "
      : /^\/usr\/share\/(doc|man|licenses)\//.test(path)
      ? "%doc "
      : "";
    return `%attr(${mode.toString(8).padStart(4, "0")},root,root) ${kind}${path}`;
  });
  const folders = ["/etc/ampere", "/usr/lib/ampere", "/usr/share/doc/ampere"];
  return [
    "%defattr(-,root,root)",
    ...folders.map((path) => `%dir ${path}`),
    ...lines,
    ...programs.map((path) => `/${path}`),
  ].join("\n");
}

/** rpm wants one entry with the day of the release. */
function changelogEntry(version: string, date: Date): string {
  const [weekday, day, month, year] = date.toUTCString().replace(",", "").split(" ");
  return `* ${weekday} ${month} ${day} ${year} The Ampere authors <ampere@example.org> - ${version}-1
- Version ${version}; /usr/share/doc/ampere/CHANGELOG.md tells what is new.`;
}
