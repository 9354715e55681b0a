/**
 * Reads the files that an administrator writes: bounded, and with a reason when it cannot be done.
 *
 * @module
 */

/** A pipe, a socket or a device in the place of a file; to open a pipe is to wait for a writer. */
class NotAFileError extends Error {
  /** Name of the error. */
  override readonly name = "NotAFileError";
}

/**
 * Reads a file up to a number of bytes.
 *
 * @param path The file.
 * @param most Bytes that are read at most.
 * @param mayBePipe Whether a pipe is read too, which may be waited for as long as it likes.
 * @throws {Error} Deno's, or that it is no file; {@linkcode whyNotRead} puts it into words.
 */
export function readBytes(path: string, most: number, mayBePipe = false): Uint8Array {
  if (!mayBePipe) {
    const { isFile, isDirectory } = Deno.statSync(path);
    if (!isFile && !isDirectory) throw new NotAFileError();
  }
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
  if (error instanceof NotAFileError) return "this is no file, but a pipe or a device";
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}
