/**
 * Holds lines of refusals back until what follows shows that they are lines of their own.
 *
 * In some messages a stranger's text may hold line ends: the message then stands in the log as
 * several lines, of which they can make all but the beginning of the first and the end of the last
 * look as they like. What gives it away: Asterisk's end of the message stands behind all of theirs,
 * no further away than their text can be long; and the number of Asterisk's thread, which they do
 * not know, stands in the first line only.
 *
 * @module
 */

import type { LogLine } from "./log_line.ts";
import type { Notice } from "./notice_lines.ts";

/** A refusal, and where it was told. */
export interface HeldLine {
  readonly line: LogLine;
  readonly notice: Notice;
  /** Number of the line. */
  readonly number: number;
  /** The line as it is. */
  readonly text: string;
}

/** Where in a message a stranger's text with line ends may stand. */
interface Opening {
  /** Index of the first character of theirs. */
  readonly from: number;
  /** Most bytes of theirs. */
  readonly room: number;
  /** How Asterisk ends the message. */
  readonly end: RegExp;
  /** The address stands behind their text. */
  readonly addressLast: boolean;
  /** It stands before all that is theirs. */
  readonly addressFirst: boolean;
}

/** A message that may go on. */
interface Open extends Opening {
  readonly thread: string;
  readonly file: string;
  /** Whom its first line names. */
  readonly address: string | undefined;
  /** How its first line ends, if that looks like the end of the message. */
  readonly ended: string | undefined;
  /** Number of its first line. */
  readonly number: number;
  /** Where in the input the end of Asterisk's stands at the latest. */
  readonly until: number;
}

/**
 * Most bytes of a stranger's text with line ends: chan_sip has 256 for a whole URI
 * (`get_destination`), in IAX2 the length of an element is one byte. A whole security event is
 * longer.
 */
export const ROOM = 256;

/** Bytes of a number and a context that IAX2 calls (`AST_MAX_EXTENSION`, `AST_MAX_CONTEXT`). */
const IAX2_CALL_ROOM = 160;

/** The last place that could be it: then a stranger has more room rather than less. */
const CALL = /^Call from '.{0,900} \([\w.:%[\]-]{2,80}\) to extension '/s;

const CALL_END = /' rejected because extension not found in context '[^']{0,80}'\.$/;

const PEER = /^No registration for peer '/;

const PEER_END = /' \(from [^()]{2,80}\)$/;

const IAX2_CALL = /^Rejected (?:connect|dial) attempt from [\w.:%[\]-]{2,80}, [\w ]{5,30} '/;

const IAX2_CALL_END = /'(?: does not exist)?$/;

const HASHES =
  /^Host [\w.:%[\]-]{2,80} failed MD5 authentication for '.{0,80}?' \([0-9a-f]{0,64} != /;

const HASHES_END = /\)$/;

/**
 * Where a message may hold a stranger's line ends; `undefined` for most. What PJSIP prints of
 * theirs (79 bytes) is too short for a line and for what has to stand around it.
 */
function openingOf({ file, message }: LogLine): Opening | undefined {
  const opening = (beginning: RegExp, room: number, end: RegExp) => {
    const found = beginning.exec(message);
    if (found === null) return undefined;
    return {
      from: found[0].length,
      room,
      end,
      addressLast: end === PEER_END,
      addressFirst: end === IAX2_CALL_END || end === HASHES_END,
    };
  };
  if (file === "chan_sip.c") return opening(CALL, ROOM, CALL_END);
  if (file !== "chan_iax2.c") return undefined;
  return opening(PEER, ROOM, PEER_END) ?? opening(IAX2_CALL, IAX2_CALL_ROOM, IAX2_CALL_END) ??
    opening(HASHES, ROOM, HASHES_END);
}

/**
 * Whether a stranger's line ends may be in a message.
 *
 * @param line A line of any level.
 */
export function mayGoOn(line: LogLine): boolean {
  return openingOf(line) !== undefined;
}

/** The lines that are held. */
export class HeldLines {
  readonly #release: (held: HeldLine) => void;
  readonly #refuse: (held: HeldLine) => void;
  readonly #held: HeldLine[] = [];
  #open: Open[] = [];

  /**
   * @param release Takes what is a line of its own.
   * @param refuse Takes what a stranger may have made.
   */
  constructor(release: (held: HeldLine) => void, refuse: (held: HeldLine) => void) {
    this.#release = release;
    this.#refuse = refuse;
  }

  /** The last line that is held, as it is. */
  get last(): string | undefined {
    return this.#held.at(-1)?.text;
  }

  /** Whether a message may still go on. */
  get isOpen(): boolean {
    return this.#open.length > 0;
  }

  /** Whether the last line that is held has the form of the console. */
  get isConsole(): boolean {
    return this.#held.at(-1)?.line.console === true;
  }

  /**
   * The next line of Asterisk's.
   *
   * @param line The line.
   * @param at Where in the input it begins.
   * @param end Where it ends.
   * @param address Whom it names.
   * @returns Whether it may be believed; false when it may be a part of a message before it.
   */
  meet(line: LogLine, at: number, end: number, address?: string): boolean {
    if (this.#open.length > 0 && !line.framed) {
      // Its thread goes on: a message of it is over.
      this.#open = this.#open.filter(({ thread, until }) => at <= until && thread !== line.thread);
    }
    if (this.#open.length === 0 || line.framed) {
      this.releaseAll();
      return true;
    }
    // What stands before every message that is still open is no part of one.
    const oldest = this.#open[0]!.number;
    while (this.#held.length > 0 && this.#held[0]!.number < oldest) {
      this.#release(this.#held.shift()!);
    }
    let believed = true;
    for (const open of this.#open) {
      const found = open.end.exec(line.message);
      if (found === null || end - found[0].length > open.until) continue;
      // Worker threads of IAX2 take turns: of one host it does not matter whose line it is.
      if (line.file === open.file && line.file === "chan_iax2.c") {
        const isSame = address === open.address && (!open.addressLast || found[0] === open.ended);
        if (!isSame) believed = false;
        const isDoubtful = open.addressLast && !isSame;
        this.#refuseThose(({ number, line: { thread }, notice }) =>
          number > open.number && thread !== open.thread &&
            (isDoubtful || notice.address !== open.address) ||
          number === open.number && isDoubtful
        );
        continue;
      }
      believed = false;
      this.#refuseThose(({ number, line: { thread } }) =>
        number > open.number && thread !== open.thread ||
        number === open.number && open.addressLast
      );
    }
    return believed;
  }

  /**
   * Holds a line, that {@linkcode HeldLines.meet} has met.
   *
   * @param held The line.
   */
  hold(held: HeldLine): void {
    this.#held.push(held);
    if (held.line.framed) this.releaseAll();
  }

  /**
   * A stranger's text in a line may go on in the next ones.
   *
   * @param line The line, whether it is held or not.
   * @param number Its number.
   * @param end Where in the input it ends.
   * @param address Whom it names.
   */
  open(line: LogLine, number: number, end: number, address?: string): void {
    const opening = line.framed ? undefined : openingOf(line);
    if (opening === undefined) return;
    const until = end - line.message.length + opening.from + opening.room;
    const { thread, file } = line;
    const ended = opening.end.exec(line.message)?.[0];
    this.#open.push({ ...opening, thread, file, address, ended, number, until });
  }

  /**
   * A line has come that is none of Asterisk's: the end of a message, of which they are a part. The
   * first line of it is Asterisk's, and names who sent it if the address stands first.
   *
   * @returns The first line, if it stands right before and the address stands last.
   */
  meetRest(): HeldLine | undefined {
    const oldest = this.#open[0];
    const last = this.#held.at(-1);
    this.#refuseThose(({ number }) => number !== oldest?.number || !oldest.addressFirst);
    return oldest?.addressLast && last?.number === oldest.number ? last : undefined;
  }

  /** Nothing that a stranger could have made has come behind them. */
  releaseAll(): void {
    this.#open = [];
    for (const held of this.#held.splice(0)) this.#release(held);
  }

  #refuseThose(forged: (held: HeldLine) => boolean): void {
    for (const held of this.#held.splice(0)) {
      if (forged(held)) this.#refuse(held);
      else this.#held.push(held);
    }
  }
}
