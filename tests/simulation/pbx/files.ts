/**
 * The folder in which the PBX of a world writes its logs, and what happens to files there: they are
 * renamed, truncated, taken away, and may not be read for a while.
 *
 * @module
 */

import type { FileFacts, Files } from "../../../src/logs/tail.ts";

/** A file that is older by so much than its absence was there before, in milliseconds. */
const OLDER_MS = 1_000;

/** A file that was made so short a time ago is new, if the clock was set back before, in ms. */
const FRESH_MS = 10_000;

/** A line that somebody must have read, once all of it is there. */
export interface Line {
  /** Where in its file it begins, and where it ends. */
  readonly start: number;
  end: number;
  /** It was handed to a reader. */
  read: boolean;
}

/** A file, whatever its name is by now. */
export class Inode {
  readonly identity: string;
  readonly born: number;
  /** One character a byte. */
  text = "";
  lines: Line[] = [];
  /** How often it was truncated. */
  emptied = 0;

  /**
   * @param number Which one.
   * @param born Wall time, in milliseconds.
   */
  constructor(number: number, born: number) {
    this.identity = `1 ${number}`;
    this.born = born;
  }
}

/** A folder. */
export class Folder {
  readonly #wall: () => number;
  readonly #clockMoves: boolean;
  readonly #names = new Map<string, Inode>();
  #count = 0;
  /** Nobody may open anything. */
  unreadable = false;
  /** What the process has open that has begun last. */
  open = new Set<Inode>();

  /**
   * @param wall Time of day, in milliseconds.
   * @param clockMoves It may be set back.
   */
  constructor(wall: () => number, clockMoves: boolean) {
    this.#wall = wall;
    this.#clockMoves = clockMoves;
  }

  /** The file that has a name now. */
  at(path: string): Inode | undefined {
    return this.#names.get(path);
  }

  /** The file of a name, made if there is none. */
  make(path: string): Inode {
    const known = this.#names.get(path);
    if (known !== undefined) return known;
    const inode = new Inode(++this.#count, this.#wall());
    this.#names.set(path, inode);
    return inode;
  }

  /** Gives a file another name, which may have been that of another one. */
  rename(from: string, to: string): void {
    const inode = this.#names.get(from);
    if (inode === undefined) return;
    this.#names.delete(from);
    this.#names.set(to, inode);
  }

  /** `copytruncate`: whoever has it open writes on at its beginning. */
  truncate(inode: Inode): void {
    inode.text = "";
    inode.lines = [];
    inode.emptied++;
  }

  /**
   * What one process sees of it. What stands in a file that it opens first of all is old; so is a
   * line whose beginning stood there.
   *
   * @param onLine Takes each line that is handed to it, once; and whether nobody can know that it
   *   is a new one, because what stands behind it has been read before.
   */
  filesFor(onLine: (line: Line, isVague: boolean) => void): Files {
    // What was read by each path, and in which file first.
    const toldBy = new Map<string, Map<string, string>>();
    const seen = new Set<string>();
    const absentSince = new Map<string, number>();
    // When the file was made that was open last, by path.
    const last = new Map<string, number>();
    const opened = this.open = new Set<Inode>();
    // What was open before is gone on with, wherever it has been meanwhile.
    const known = new Set<Inode>();
    return {
      time: () => this.#wall(),
      stat: (path) => {
        const inode = this.#names.get(path);
        if (inode !== undefined) return factsOf(inode);
        seen.add(path);
        if (!absentSince.has(path)) absentSince.set(path, this.#wall());
        throw new Deno.errors.NotFound(`No such file or directory (os error 2): stat '${path}'`);
      },
      open: (path) => {
        const inode = this.#names.get(path);
        if (inode === undefined) throw new Deno.errors.NotFound("(os error 2)");
        if (this.unreadable) throw new Deno.errors.PermissionDenied("(os error 13)");
        // What was made while nobody looked is new, though its path was empty when somebody did.
        const since = last.get(path) ?? absentSince.get(path) ?? -Infinity;
        // Also where the clock was set back since it was made; not where it was before.
        const wall = this.#wall();
        const isOfNow = since > wall && inode.born > wall - FRESH_MS;
        const isOld = inode.born < since - OLDER_MS && !isOfNow || inode.born > wall + OLDER_MS;
        if (!seen.has(path) || isOld && !known.has(inode)) {
          for (const line of inode.lines) line.read = true;
        }
        last.set(path, inode.born);
        known.add(inode);
        seen.add(path);
        opened.add(inode);
        const told = toldBy.get(path) ?? new Map<string, string>();
        toldBy.set(path, told);
        return {
          stat: () => factsOf(inode),
          read: (into, at) => {
            const text = inode.text.slice(at, at + into.length);
            const vagueTo = this.#clockMoves ? lastAgain(inode, told) : -1;
            for (let i = 0; i < text.length; i++) into[i] = text.charCodeAt(i);
            for (const line of inode.lines) {
              const isWhole = line.end <= inode.text.length && line.end > at;
              if (line.read || !isWhole || line.end > at + text.length) continue;
              line.read = true;
              const said = inode.text.slice(line.start, line.end);
              if (this.#clockMoves && !told.has(said)) told.set(said, beginningOf(inode));
              onLine(line, line.start <= vagueTo);
            }
            return text.length;
          },
          close: () => void opened.delete(inode),
        };
      },
    };
  }
}

/** Where the last line of a file stands that was read in another one, or before a truncation. */
function lastAgain(inode: Inode, told: ReadonlyMap<string, string>): number {
  const { text, lines } = inode;
  const beginning = beginningOf(inode);
  const line = lines.findLast(({ start, end }) =>
    (told.get(text.slice(start, end)) ?? beginning) !== beginning
  );
  return line?.start ?? -1;
}

/** Tells a file from what it was before it was truncated. */
function beginningOf({ identity, emptied }: Inode): string {
  return `${identity} ${emptied}`;
}

function factsOf({ text, born, identity }: Inode): FileFacts {
  return { isFile: true, size: text.length, born, identity };
}
