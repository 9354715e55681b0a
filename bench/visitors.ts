/**
 * Visitors of the status page, in a thread of their own: what they measure does not wait for who
 * sends events.
 *
 * @module
 */

/** What visitors shall do. */
export interface Errand {
  /** Where, on this machine. */
  readonly port: number;
  readonly path: string;
  /** How often it is loaded; as often as possible until the next message if it is Infinity. */
  readonly loads: number;
  /** How many visitors load it at a time. */
  readonly together: number;
  /** Between two loads of a visitor, in milliseconds. */
  readonly pauseMs: number;
}

/** What they saw. */
export interface Visits {
  /** From the call that connects to the first byte of the answer, in milliseconds. */
  readonly firstByteMs: readonly number[];
  /** To its end. */
  readonly wholeMs: readonly number[];
  /** Bytes of the longest answer. */
  readonly bytes: number;
  /** Answers that were none, or not those of a page. */
  readonly failed: number;
}

/** What they run. */
const THREAD = new URL("programs/visitors.ts", import.meta.url);

/** Visitors who wait for an errand. */
export class Visitors implements Disposable {
  readonly #worker = new Worker(THREAD, { type: "module" });

  /**
   * Sends them.
   *
   * @param errand what they shall do
   * @returns what they saw, when they are back
   */
  send(errand: Errand): Promise<Visits> {
    const back = Promise.withResolvers<Visits>();
    this.#worker.onmessage = ({ data }) => back.resolve(data);
    this.#worker.onerror = (event) => back.reject(new Error(event.message));
    this.#worker.postMessage(errand);
    return back.promise;
  }

  /** Calls those back who load without an end. */
  callBack(): void {
    this.#worker.postMessage(null);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
