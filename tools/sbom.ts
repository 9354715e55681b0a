/**
 * The list of what an executable is made of, in the form of CycloneDX 1.5 (ECMA-424): Ampere's own
 * modules, the npm packages that are joined with them, and the runtime. Few enough to need no tool.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { JOINED_PACKAGES, PROJECT } from "./compile.ts";

/** What is described. */
interface Described {
  readonly version: string;
  /** The version of Deno inside. */
  readonly runtime: string;
  /** The executable's bytes. */
  readonly program: Uint8Array;
  readonly date: Date;
}

/** What deno.lock says of an npm package. */
interface Lock {
  readonly npm: Readonly<Record<string, { readonly integrity: string }>>;
}

/** The hash in deno.lock, in hexadecimal digits. */
function lockedHash(lock: Lock, name: string): { version: string; sha512: string } {
  const key = Object.keys(lock.npm).find((each) => each.startsWith(`${name}@`));
  const integrity = key === undefined ? undefined : lock.npm[key]!.integrity;
  if (key === undefined || !integrity?.startsWith("sha512-")) {
    throw new Error(`deno.lock has no sha512 of ${name}`);
  }
  const sha512 = Uint8Array.fromBase64(integrity.slice("sha512-".length)).toHex();
  return { version: key.slice(name.length + 1), sha512 };
}

/**
 * Makes the list.
 *
 * @param described The executable.
 * @returns JSON, the same for the same executable.
 */
export async function softwareBill(described: Described): Promise<string> {
  const { version, runtime, program, date } = described;
  const lock = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.lock"))) as Lock;
  const sha256 = createHash("sha256").update(program).digest("hex");
  const self = `pkg:generic/ampere@${version}`;
  const deno = `pkg:github/denoland/deno@v${runtime}`;
  const packages = JOINED_PACKAGES.map((name) => ({ name, ...lockedHash(lock, name) }));
  const refs = packages.map((each) => `pkg:npm/${each.name}@${each.version}`);
  const bill = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    serialNumber: `urn:uuid:${uuidOf(`${self} ${sha256}`)}`,
    version: 1,
    metadata: {
      timestamp: date.toISOString(),
      component: {
        type: "application",
        "bom-ref": self,
        name: "ampere",
        version,
        description: "active network filter for Asterisk",
        purl: self,
        licenses: [{ license: { id: "BSD-2-Clause" } }],
        hashes: [{ alg: "SHA-256", content: sha256 }],
      },
    },
    components: [
      {
        type: "platform",
        "bom-ref": deno,
        name: "deno",
        version: runtime,
        description: "runtime, with V8, SQLite and libraries in Rust inside",
        purl: deno,
        licenses: [{ license: { id: "MIT" } }],
      },
      ...packages.map((each, i) => ({
        type: "library",
        "bom-ref": refs[i],
        name: each.name,
        version: each.version,
        purl: refs[i],
        licenses: [{ license: { id: LICENCES[each.name] ?? "MIT" } }],
        hashes: [{ alg: "SHA-512", content: each.sha512 }],
      })),
    ],
    dependencies: [
      { ref: self, dependsOn: [deno, ...refs] },
      ...[deno, ...refs].map((ref) => ({ ref, dependsOn: [] })),
    ],
  };
  return `${JSON.stringify(bill, undefined, 2)}\n`;
}

/** Licences of packages that are not under that of most (SPDX). */
const LICENCES: Readonly<Record<string, string>> = { nodemailer: "MIT-0" };

/** A UUID made of a text (version 8 of RFC 9562: of one's own making). */
function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}
