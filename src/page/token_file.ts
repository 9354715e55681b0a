/**
 * The file with the tokens of the page: their hashes only, so that who reads the file has none.
 *
 * @module
 */

import { writeWholeFile } from "../text/whole_file.ts";
import { readBytes, whyNotRead } from "../config/file.ts";

/** What a token may do: all that the page can, or only read the lists for other firewalls. */
export const ROLES = ["actions", "lists"] as const;

/** One of the {@linkcode ROLES}. */
export type Role = typeof ROLES[number];

/** Bytes of a token: nobody guesses 256 bits. */
const TOKEN_BYTES = 32;

/** Longest file, in bytes. */
const FILE_BYTES_MAX = 4_096;

/** Where the file is unless another one is named: the program may write there. */
export const DEFAULT_TOKEN_FILE = "/var/lib/ampere/page.token";

/** Hashes by role: SHA-256, 32 bytes each. */
export type Tokens = ReadonlyMap<Role, Uint8Array>;

/**
 * Reads the file.
 *
 * @param path Its absolute path.
 * @returns The tokens; or why there are none.
 */
export function readTokenFile(path: string): Tokens | { readonly why: string } {
  let bytes: Uint8Array;
  try {
    bytes = readBytes(path, FILE_BYTES_MAX + 1);
  } catch (error) {
    return { why: `${path}: ${whyNotRead(error)}` };
  }
  const tokens = new Map<Role, Uint8Array>();
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, name, hex = ""] = /^(\w+) sha256 ([0-9a-f]{64})$/.exec(line.trim()) ?? [];
    const role = ROLES.find((one) => one === name);
    if (role === undefined) return { why: `${path} is no file of ampere --page-token` };
    tokens.set(role, Uint8Array.fromHex(hex));
  }
  return tokens.size === 0 ? { why: `${path} holds no token` } : tokens;
}

/**
 * Makes a token, and keeps its hash; the one of before that may do the same is void then.
 *
 * @param path The file.
 * @param role What it may do.
 * @returns The token, which stands nowhere else; and whether there was one before.
 * @throws {Error} Deno's, when the file cannot be written.
 */
export async function makeToken(
  path: string,
  role: Role,
): Promise<{ readonly token: string; readonly wasThere: boolean }> {
  const known = readTokenFile(path);
  const tokens = new Map("why" in known ? [] : known);
  const wasThere = tokens.has(role);
  const token = randomText(TOKEN_BYTES);
  tokens.set(role, await hashOf(token));
  const lines = [...tokens].map(([name, hash]) => `${name} sha256 ${hash.toHex()}\n`);
  const text = "# Hashes of the tokens of Ampere's page; made by ampere --page-token.\n" +
    lines.join("");
  writeWholeFile(path, text);
  return { token, wasThere };
}

/**
 * A text that nobody can guess, of letters, digits, `-` and `_`.
 *
 * @param bytes Its randomness, in bytes.
 */
export function randomText(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes))
    .toBase64({ alphabet: "base64url", omitPadding: true });
}

/**
 * The hash of a token. It needs no salt and no slowness: a token is not chosen by a person.
 *
 * @param token Any text.
 */
export async function hashOf(token: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token)));
}

/**
 * Whether two hashes are the same, in a time that does not tell where they differ.
 *
 * @param a 32 bytes.
 * @param b As many.
 */
export function isSameHash(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}
