/**
 * Writes bytes that may not be taken at once.
 *
 * @module
 */

/**
 * Writes all of some bytes.
 *
 * @param to Takes some of them at a time: a connection, a file.
 * @param bytes The bytes.
 * @throws What it throws.
 */
export async function writeAll(
  to: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}
