/**
 * Files that hold one secret: the token of a bot, a password, an address that must not be known.
 *
 * @module
 */

import { readBytes, whyNotRead } from "../../config/file.ts";

/** Most bytes of such a file. */
const SECRET_BYTES_MAX = 4_096;

/** A file is of no use; the message names the key and the file, and nothing in it. */
export class SecretError extends Error {
  /** Name of the error. */
  override readonly name = "SecretError";
  /** What a person can do about it. */
  readonly advice: string;

  /**
   * An error.
   *
   * @param message What is wrong.
   * @param advice What mends it.
   */
  constructor(message: string, advice: string) {
    super(message);
    this.advice = advice;
  }
}

/**
 * Reads a secret: what stands in the first line of its file. It is read anew each time, so that a
 * new one needs no restart.
 *
 * @param path The file.
 * @param key The key that names it, for the message.
 * @throws {SecretError} When there is none.
 */
export function readSecret(path: string, key: string): string {
  let text: string;
  try {
    const bytes = readBytes(path, SECRET_BYTES_MAX + 1);
    if (bytes.length > SECRET_BYTES_MAX) throw new Error(`longer than ${SECRET_BYTES_MAX} bytes`);
    text = new TextDecoder().decode(bytes);
  } catch (error) {
    throw new SecretError(
      `${key}: ${path}: ${whyNotRead(error)}`,
      `write it into ${path}, readable for root alone: (umask 077; cat > ${path})`,
    );
  }
  const [, secret = ""] = /^\uFEFF?\s*([^\r\n]*?)\s*(?:[\r\n]|$)/.exec(text) ?? [];
  // deno-lint-ignore no-control-regex -- these would end a header, or be cut out of an address
  if (secret === "" || /[\x00-\x1f\x7f]/.test(secret)) {
    throw new SecretError(
      `${key}: ${path}: ${secret === "" ? "its first line is empty" : "holds a control character"}`,
      `write it into ${path}, in one line and nothing else`,
    );
  }
  return secret;
}
