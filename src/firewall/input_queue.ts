/**
 * What a program reads from its standard input while it is still being decided.
 *
 * @module
 */

/**
 * Texts in the order in which they were added. They are made when the program asks for them, and it waits when there are
 * none.
 *
 * @example
 * ```ts
 * import { InputQueue } from "./input_queue.ts";
 *
 * const input = new InputQueue();
 * input.add(["create ampere4 hash:net\n"]);
 * input.end();
 * for await (const text of input) console.log(text);
 * ```
 */
export class InputQueue implements AsyncIterable<string> {
  readonly #waiting: Iterable<string>[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  /**
   * Adds texts; after the end it does nothing.
   *
   * @param texts Taken one by one when those before them were taken.
   */
  add(texts: Iterable<string>): void {
    if (this.#ended) return;
    this.#waiting.push(texts);
    this.#wake?.();
  }

  /** Nothing more comes. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Ends, and forgets what was not taken yet. */
  cut(): void {
    this.#waiting.length = 0;
    this.end();
  }

  /** The texts; only one may ask for them. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void> {
    for (;;) {
      const texts = this.#waiting.shift();
      if (texts !== undefined) yield* texts;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
