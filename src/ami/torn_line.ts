/**
 * A message of IAX2 that a stranger's line end has torn, and who sent it.
 *
 * `No registration for peer 'NAME' (from ADDRESS)` prints the address behind a name of theirs. Who
 * writes line ends into the name must not be cheaper than who does not. They may write anything
 * before the true end, also what looks as an end, or as another line; the true end they cannot take
 * away, and it stands within the room of their text. So if all ends within it name one host, or no
 * line with a beginning of Asterisk's stands before the last of them, that is the sender.
 *
 * @module
 */

import { ROOM } from "./held_lines.ts";

const BEGINNING = "No registration for peer '";

const END = /' \(from ([\w.:%[\]-]{2,80})\)$/;

/** Collects the ends that may be the true one. */
export class TornLine {
  readonly #until: number;
  #sender: string | undefined;
  #isAmbiguous = false;
  #sawBeginning = false;

  /**
   * No end was seen yet.
   *
   * @param at Where in the input the message begins, behind what Asterisk prints before it.
   */
  constructor(at: number) {
    this.#until = at + BEGINNING.length + ROOM;
  }

  /** Whether a message is torn so. */
  static is(file: string, message: string): boolean {
    return file === "chan_iax2.c" && message.startsWith(BEGINNING) && !END.test(message);
  }

  /**
   * Whether its true end stands before.
   *
   * @param at Where in the input the next line begins.
   */
  isOver(at: number): boolean {
    return at > this.#until;
  }

  /**
   * A line behind it that may be a part of it.
   *
   * @param text The line.
   * @param isBeginning It begins as a line of Asterisk's.
   */
  meet(text: string, isBeginning: boolean): void {
    this.#sawBeginning ||= isBeginning;
    const host = END.exec(text)?.[1];
    if (host === undefined) return;
    if (this.#sawBeginning && host !== this.#sender) this.#isAmbiguous = true;
    this.#sender = host;
  }

  /** The address as it is printed; `undefined` when it is not known. */
  get sender(): string | undefined {
    return this.#isAmbiguous ? undefined : this.#sender;
  }
}
