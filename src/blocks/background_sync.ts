/**
 * Brings what was committed onto the disk while the program goes on.
 *
 * @module
 */

/** How long after it is asked the first one begins, in milliseconds. */
const BEGIN_AFTER_MS = 1;

/**
 * Brings a file's data onto the disk: `fdatasync`, outside of this thread.
 *
 * Only for the write-ahead log: to close any handle of the database itself would give up the locks
 * that SQLite has on it (fcntl(2), "Advisory record locking").
 *
 * @param path Path of the log; when it is gone, SQLite has brought what it held into the database,
 *   and that onto the disk.
 * @throws the System's error if the device fails.
 */
async function syncFile(path: string): Promise<void> {
  let file;
  try {
    file = await Deno.open(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  try {
    await file.syncData();
  } finally {
    file.close();
  }
}

/**
 * Brings a file onto the disk again and again, as often as it is asked: one at a time, and all that
 * is asked for meanwhile by the next one.
 *
 * @example
 * ```ts
 * import { BackgroundSync } from "./background_sync.ts";
 *
 * const sync = new BackgroundSync("/var/lib/ampere/ampere.db-wal", console.error);
 * sync.request();
 * ```
 */
export class BackgroundSync {
  readonly #path: string;
  readonly #onError: (error: unknown) => void;
  #running = false;
  #asked = false;

  /**
   * Does nothing before it is asked.
   *
   * @param path The file.
   * @param onError Takes the system's error: what was written since the last success may never be
   *   on the disk, though reading shows it (fsync(2): a further call need not tell of it again).
   */
  constructor(path: string, onError: (error: unknown) => void) {
    this.#path = path;
    this.#onError = onError;
  }

  /** Asks for it; returns at once. */
  request(): void {
    this.#asked = true;
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    // To open the file takes 0.05 ms, for which a block must not wait on its way to the kernel, nor
    // the firewall's program for the processor. To set a timer takes as long.
    await null;
    await new Promise((resolve) => setTimeout(resolve, BEGIN_AFTER_MS));
    while (this.#asked) {
      this.#asked = false;
      try {
        await syncFile(this.#path);
      } catch (error) {
        this.#onError(error);
      }
    }
    this.#running = false;
  }
}
