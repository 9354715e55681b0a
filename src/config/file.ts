/**
 * Reads the files that an administrator writes: bounded, and with a reason when it cannot be done.
 *
 * @module
 */

/**
 * Reads a file up to a number of bytes; works for pipes too, whose length nobody knows.
 *
 * @param path The file.
 * @param most Bytes that are read at most.
 * @throws {Error} Deno's, which {@linkcode whyNotRead} puts into words.
 */
export function readBytes(path: string, most: number): Uint8Array {
  using file = Deno.openSync(path);
  const bytes = new Uint8Array(most);
  let length = 0;
  while (length < most) {
    const read = file.readSync(bytes.subarray(length));
    if (read === null || read === 0) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

/**
 * Why a file was not read, in words for an administrator, with what to do.
 *
 * @param error What {@linkcode readBytes} threw.
 */
export function whyNotRead(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.NotCapable) {
    return "this build of Ampere may not read it; put it into /etc/ampere, or compile Ampere with " +
      "`deno task compile -- --allow-path=DIRECTORY`";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "this user may not read it; use sudo (the packaged daemon is root, and reads it only if it belongs to root)";
  }
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}
