/**
 * Two programs that stay: `nft -i` takes changes from a pipe, and `nft -j monitor` tells what the
 * kernel has. A change takes a tenth of what a process for it takes.
 *
 * Each change ends with an element of a set of marks, in the same transaction. When the monitor
 * tells of this mark the whole change is in the kernel; what was there before makes no difference.
 *
 * @module
 */

import { retryDelay } from "../../backoff.ts";
import type { Clock } from "../../clock.ts";
import type { Child, ChildStarter } from "../child.ts";
import {
  FAREWELL,
  farewellCommand,
  listTableOf,
  markCommand,
  MARKS,
  NO_FAREWELL,
  readAheadCommand,
} from "./layout.ts";

/** How long a change may take at least before the pair counts as hanging, in milliseconds. */
const ANSWER_MIN_MS = 2_000;

/**
 * How long the pair may take to begin, in milliseconds: the monitor first reads all elements that
 * are there, 0.3 s for 50,000.
 */
const BEGIN_MS = 45_000;

/**
 * Between the first two attempts to be heard by a monitor that begins, in milliseconds; then four
 * times as long each time. Each of them changes the ruleset, and a monitor that has not read all by
 * then begins anew.
 */
const KNOCK_FIRST_MS = 10;
const KNOCK_MAX_MS = 8_000;

/**
 * So many characters one `nft -i` takes in its life: it keeps every line as its history, in memory.
 */
const CHARACTERS_MAX = 2_000_000;

/**
 * How long after a change of others nft reads ahead again, in milliseconds: they may change more,
 * and with thousands of intervals it takes 0.2 s.
 */
const READ_AHEAD_AFTER_MS = 2_000;

/** How long the rest of a line may take that nft has begun to say, in milliseconds. */
const COMPLAINT_MS = 100;

/** What nft says of a table, or something in it, that is not there. */
const NOTHING_THERE = "No such file or directory";

/** Longest line of the monitor, in characters. A rule of somebody else may be long. */
const LINE_MAX = 1_048_576;

/**
 * So many lines one monitor writes in its life: nft 1.0.6 never gives back what it needs for an
 * element, 0.25 to 0.4 kB. Where there are more elements it is renewed later, because another one
 * reads them all at its start, 0.7 kB each.
 */
const LINES_MAX = 50_000;
const LINES_PER_ELEMENT = 2;

/** Most characters of what a program says that are told. */
const SAID_MAX = 200;

/** What nft 0.9 says of each transaction, even in JSON: "# new generation 7 by process …". */
const GENERATION = /^# new generation \d+/;

/** Marks are whole numbers below this. */
const MARKS_END = 0x8000_0000;

/** What a pair is made of. */
interface ResidentOptions {
  /** The table's name. */
  readonly name: string;
  /** Starts programs. */
  readonly start: ChildStarter;
  /** The time. */
  readonly clock: Clock;
  /** How long a change may take, in milliseconds, if that is more than usual. */
  readonly answerMs: () => number;
  /** Called when it takes changes. What others did before is not known to it. */
  readonly onReady: () => void;
  /**
   * Called when somebody else has changed the table.
   *
   * @param isGone Whether the table was deleted.
   */
  readonly onForeign: (isGone: boolean) => void;
  /** Called when something was changed in the table of the lists, by whomever. */
  readonly onLists?: () => void;
  /**
   * Called once when the pair has ended by itself.
   *
   * @param why What happened, for people.
   */
  readonly onEnd: (why: string) => void;
}

/** What a change of Ampere's own makes the monitor tell. */
export interface OwnWork {
  /** Whether it makes sets or rules, and not only elements. */
  readonly isStructure: boolean;
  /** Whether it may take an element out of a set. */
  readonly takes: (set: string, key: string) => boolean;
}

/** Adds a mark, and nothing else. */
const NO_WORK: OwnWork = { isStructure: false, takes: () => false };

/** Somebody waits for a mark. */
interface Waiter {
  readonly work: OwnWork;
  readonly tell: (isThere: boolean) => void;
  readonly cancel: () => void;
}

/** The pair. */
export class Resident {
  /** It takes changes. */
  isReady = false;
  readonly #options: ResidentOptions;
  readonly #monitor: Child;
  #feeder: Child;
  /** Feeders that have taken enough. */
  readonly #worn: Promise<void>[] = [];
  /** What the monitor has not ended yet. */
  #rest: string[] = [];
  #restLength = 0;
  /** Own changes that are under way: what the monitor tells meanwhile may be their work. */
  readonly #waiters = new Map<number, Waiter>();
  #mark: number;
  /** Changes that the feeder has under way. */
  #fed = 0;
  #written = 0;
  /** The feeder has the beginning of a line. */
  #hasBegunLine = false;
  #lines = 0;
  /** What of the lines that came together was the work of others. */
  #foreign: "nothing" | "change" | "table" = "nothing";
  /** How the table of the lists is named in a line. */
  readonly #lists: string;
  #isAboutLists = false;
  /** What the feeder says, as far as its line is not whole. */
  #complaint = "";
  #cancelComplaint = () => {};
  #hasEnded = false;
  #cancelBegin = () => {};
  #cancelReadAhead: (() => void) | undefined;

  /**
   * Starts both programs. The table must be there.
   *
   * @param options The table, the time.
   */
  constructor(options: ResidentOptions) {
    this.#options = options;
    this.#lists = `"${listTableOf(options.name)}"`;
    this.#mark = Math.floor(Math.random() * MARKS_END / 2);
    const { start } = options;
    // Only what is said by one of them matters: neither has anything to say when it works.
    this.#monitor = start("nft", ["-j", "monitor"], {
      onOutput: (text) => this.#read(text),
      onMessage: (text) => this.#end(`its monitor says: ${shown(text)}`),
      onEnd: (why) => this.#end(`its monitor: ${why}`),
    });
    this.#feeder = this.#startFeeder();
    this.#begin();
  }

  /** The monitor has not told yet of all changes. */
  get isBehind(): boolean {
    return this.#waiters.size > 0;
  }

  /**
   * Whether the monitor has written so much that another one should take its place.
   *
   * @param elements How many elements that one would read.
   */
  isWorn(elements: number): boolean {
    return this.#lines > Math.max(LINES_MAX, LINES_PER_ELEMENT * elements);
  }

  /** Fulfilled when nothing of the two programs is left. */
  get gone(): Promise<void> {
    return Promise.all([this.#feeder.gone, this.#monitor.gone, ...this.#worn]).then(() => {});
  }

  /**
   * Gives a change to the kernel. The bytes are on their way when this returns its promise.
   *
   * @param commands The commands, which become one transaction; with none of them the answer only
   * tells that the monitor has told all until now.
   * @param work What they make the monitor tell.
   * @returns Whether it is in the kernel. If not, the pair has ended, and what became of the change
   * is not known.
   */
  async feed(commands: readonly string[], work: OwnWork = NO_WORK): Promise<boolean> {
    const { name } = this.#options;
    const mark = this.nextMark();
    // First of all: what else there is to do is done while nft works.
    if (!this.#hasEnded) this.#write([...commands, markCommand(name, mark)], this.#readAheadLine);
    const limitMs = Math.max(ANSWER_MIN_MS, this.#options.answerMs());
    this.#fed += 1;
    const isThere = await this.expect(mark, limitMs, work);
    this.#fed -= 1;
    if (isThere) this.#renewWornFeeder();
    return isThere;
  }

  /** Lets nft read what others have changed, so that the next change need not wait for that. */
  readAhead(): void {
    // Where others change something all the time this is what wears it out.
    if (this.isReady && !this.#renewWornFeeder()) this.#write(this.#readAheadLine);
  }

  get #readAheadLine(): string[] {
    return [readAheadCommand(this.#options.name)];
  }

  /** A mark that was not used. */
  nextMark(): number {
    this.#mark = (this.#mark + 1) % MARKS_END;
    return this.#mark;
  }

  /**
   * Waits for the mark of a change.
   *
   * @param mark The mark.
   * @param limitMs How long it may take, in milliseconds.
   * @param work What the change makes the monitor tell: that is not the work of others.
   * @returns Whether it came; if not, the pair has ended.
   */
  expect(mark: number, limitMs: number, work: OwnWork = NO_WORK): Promise<boolean> {
    return new Promise((tell) => {
      if (this.#hasEnded) return tell(false);
      const cancel = this.#options.clock.after(
        limitMs,
        () => this.#end(`a change was not acknowledged within ${limitMs / 1_000} s`),
      );
      this.#waiters.set(mark, { work, tell, cancel });
    });
  }

  /**
   * Waits no more for a mark: its change has failed.
   *
   * @param mark The mark.
   */
  forget(mark: number): void {
    this.#settle(mark, false);
  }

  /** Ends both. */
  close(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.isReady = false;
    this.#cancelBegin();
    this.#cancelReadAhead?.();
    this.#forgetComplaint();
    for (const mark of [...this.#waiters.keys()]) this.#settle(mark, false);
    this.#feeder.kill();
    this.#monitor.kill();
  }

  #end(why: string): void {
    if (this.#hasEnded) return;
    this.close();
    this.#options.onEnd(why);
  }

  #startFeeder(): Child {
    return this.#options.start("nft", ["-i"], {
      onMessage: (text) => this.#complains(text),
      onEnd: (why) => this.#end(why),
    });
  }

  /** Nft 0.9 writes a message in pieces: what it is about is known when its line is whole. */
  #complains(text: string): void {
    if (this.#hasEnded) return;
    if (this.#complaint === "") {
      this.#cancelComplaint = this.#options.clock.after(COMPLAINT_MS, () => this.#takeComplaint());
    }
    this.#complaint += text;
    if (this.#complaint.includes("\n")) this.#takeComplaint();
  }

  #takeComplaint(): void {
    const text = this.#complaint;
    this.#forgetComplaint();
    const isIdle = this.isReady && this.#fed === 0;
    if (!isIdle || !text.includes(NOTHING_THERE)) return this.#end(`it says: ${shown(text)}`);
    // Somebody took the table away just when nft read ahead, which the monitor tells, or has told.
    // There is more to come of the feeder's words.
    this.#replaceFeeder();
    this.#options.onForeign(false);
  }

  #forgetComplaint(): void {
    this.#cancelComplaint();
    this.#complaint = "";
  }

  /**
   * Lets another one go on if this one has taken enough and nothing is under way.
   *
   * @returns Whether it does; it has read ahead.
   */
  #renewWornFeeder(): boolean {
    if (this.#written <= CHARACTERS_MAX || this.#waiters.size > 0) return false;
    this.#replaceFeeder(this.#readAheadLine);
    return true;
  }

  #replaceFeeder(...lines: readonly string[][]): void {
    this.#feeder.kill();
    // Few are left at a time.
    const gone = this.#feeder.gone.then(() => {
      this.#worn.splice(this.#worn.indexOf(gone), 1);
    });
    this.#worn.push(gone);
    this.#written = 0;
    this.#forgetComplaint();
    this.#hasBegunLine = false;
    this.#feeder = this.#startFeeder();
    this.#write(...lines);
  }

  /** Ends the line that waits with the first line, and begins one more behind the last. */
  #write(...lines: readonly (readonly string[])[]): void {
    let text = "";
    for (const commands of lines) {
      const line = this.#hasBegunLine ? [NO_FAREWELL, ...commands] : commands;
      text += `${line.join("; ")}\n${farewellCommand(this.#options.name)}`;
      this.#hasBegunLine = true;
    }
    if (!this.#hasBegunLine) text = farewellCommand(this.#options.name);
    this.#hasBegunLine = true;
    this.#written += text.length;
    this.#feeder.write(text);
  }

  /** Marks are added again and again until the monitor has begun to listen. */
  #begin(): void {
    const { clock } = this.#options;
    const mark = this.nextMark();
    void this.expect(mark, BEGIN_MS).then(async (isThere) => {
      this.#cancelBegin();
      if (!isThere || this.#hasEnded) return;
      // Other attempts may still be under way, and would fail if somebody deleted the table.
      const last = this.nextMark();
      const done = this.expect(last, BEGIN_MS);
      this.#write([markCommand(this.#options.name, last)]);
      if (!await done || this.#hasEnded) return;
      this.isReady = true;
      this.#write(this.#readAheadLine);
      this.#options.onReady();
    });
    let knocks = 0;
    const knock = () => {
      // On a busy machine a timer that was due with others is called although it is cancelled.
      if (this.isReady || this.#hasEnded) return;
      const command = markCommand(this.#options.name, mark);
      // It must be added again and again: what is there already is not told of.
      this.#write([command, command.replace("add", "delete"), command]);
      const delay = retryDelay(2 * knocks++, KNOCK_FIRST_MS, KNOCK_MAX_MS);
      this.#cancelBegin = clock.after(delay, knock);
    };
    knock();
  }

  #settle(mark: number, isThere: boolean): void {
    const waiter = this.#waiters.get(mark);
    if (waiter === undefined) return;
    this.#waiters.delete(mark);
    waiter.cancel();
    waiter.tell(isThere);
  }

  #read(text: string): void {
    this.#readLines(text);
    // What came together was one change, or more, and is told once.
    const foreign = this.#foreign;
    this.#foreign = "nothing";
    if (foreign !== "nothing" && !this.#hasEnded) this.#options.onForeign(foreign === "table");
    if (!this.#isAboutLists) return;
    this.#isAboutLists = false;
    if (!this.#hasEnded) this.#options.onLists?.();
  }

  #readLines(text: string): void {
    let start = 0;
    for (;;) {
      const end = text.indexOf("\n", start);
      if (end < 0) break;
      this.#rest.push(text.slice(start, end));
      const line = this.#rest.length === 1 ? this.#rest[0]! : this.#rest.join("");
      this.#rest = [];
      this.#restLength = 0;
      start = end + 1;
      if (line.length > LINE_MAX) return this.#endOfLine();
      this.#hear(line);
      if (this.#hasEnded) return;
    }
    if (start === text.length) return;
    this.#rest.push(text.slice(start));
    this.#restLength += text.length - start;
    if (this.#restLength > LINE_MAX) this.#endOfLine();
  }

  #endOfLine(): void {
    this.#end("its monitor wrote a line without end");
  }

  /** Understands one line of the monitor. */
  #hear(line: string): void {
    this.#lines += 1;
    // Most lines of a large change are looked at no further.
    if (this.#waiters.size > 0 && line.startsWith('{"add": {"element"')) {
      if (!line.includes(`"${MARKS}"`)) return;
    }
    // What passes by the gap is counted in sets of the same table.
    if (line.includes(this.#lists) && !line.includes('"gap')) this.#isAboutLists = true;
    const about = readMonitorLine(line, this.#options.name);
    if (about === undefined) return this.#end(`its monitor says: ${shown(line)}`);
    if (about.what === "mark") return this.#settle(about.mark, true);
    if (about.what === "other") return this.#othersChanged();
    if (this.#isOwn(about)) return;
    // It may be gone: whoever repairs it lets nft read again.
    this.#cancelReadAhead?.();
    if (about.what === "gone") this.#foreign = "table";
    else if (this.#foreign === "nothing") this.#foreign = "change";
  }

  #othersChanged(): void {
    if (!this.isReady || this.#cancelReadAhead !== undefined) return;
    const cancel = this.#options.clock.after(READ_AHEAD_AFTER_MS, () => {
      this.#cancelReadAhead = undefined;
      this.readAhead();
    });
    this.#cancelReadAhead = () => {
      this.#cancelReadAhead = undefined;
      cancel();
    };
  }

  /** Ampere empties chains and sets, and never takes the table away. */
  #isOwn(about: About): boolean {
    for (const { work } of this.#waiters.values()) {
      if (about.what === "taken" ? work.takes(about.set, about.key) : work.isStructure) {
        return about.what !== "gone";
      }
    }
    return false;
  }
}

/** What a line of the monitor is about. */
type About =
  /** A mark was added. */
  | { readonly what: "mark"; readonly mark: number }
  /** The table was deleted. */
  | { readonly what: "gone" }
  /** An element was taken out of a set; its key is empty if it has none that can be read. */
  | { readonly what: "taken"; readonly set: string; readonly key: string }
  /** Something else in the table has changed. */
  | { readonly what: "changed" }
  /** Nothing that matters. */
  | { readonly what: "other" };

const OTHER: About = { what: "other" };
const CHANGED: About = { what: "changed" };

/**
 * Reads a line of `nft -j monitor`.
 *
 * @param line The line.
 * @param name The table's name.
 * @returns `undefined` if a monitor writes no such line, as when it has lost messages.
 *
 * @example
 * ```ts
 * import { readMonitorLine } from "./resident.ts";
 *
 * const line = '{"delete": {"table": {"family": "inet", "name": "ampere"}}}';
 * readMonitorLine(line, "ampere"); // { what: "gone" }
 * ```
 */
export function readMonitorLine(line: string, name: string): About | undefined {
  if (line === "" || GENERATION.test(line)) return OTHER;
  if (!line.startsWith("{") || !line.endsWith("}")) return undefined;
  if (!line.includes(`"${name}"`)) return OTHER;
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return undefined;
  }
  const [verb, thing] = only(event);
  const [kind, object] = only(thing);
  if (!isRecord(object) || object.family !== "inet") return OTHER;
  if (kind === "table") {
    if (object.name !== name) return OTHER;
    return verb === "delete" ? { what: "gone" } : CHANGED;
  }
  if (object.table !== name) return OTHER;
  if (kind !== "element") return CHANGED;
  if (object.name === FAREWELL) return OTHER;
  const key = keyOf(object.elem);
  if (object.name !== MARKS) {
    if (verb !== "delete" || typeof object.name !== "string") return CHANGED;
    return { what: "taken", set: object.name, key: typeof key === "string" ? key : "" };
  }
  return verb === "add" && typeof key === "number" ? { what: "mark", mark: key } : OTHER;
}

/** The only element of an event: nft writes a line for each. */
function keyOf(elem: unknown): unknown {
  if (!isRecord(elem) || !Array.isArray(elem.set) || elem.set.length !== 1) return undefined;
  const element: unknown = elem.set[0];
  return isRecord(element) && isRecord(element.elem) ? element.elem.val : element;
}

/** The first key and value of an object. */
function only(value: unknown): [key: string, value: unknown] {
  return isRecord(value) ? Object.entries(value)[0] ?? ["", undefined] : ["", undefined];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a program said, on one line. */
function shown(text: string): string {
  return JSON.stringify(text.trim().slice(0, SAID_MAX));
}
