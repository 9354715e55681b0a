/**
 * The database of the simulated machine: the rows in memory, any number of connections, and a disk
 * that fails.
 *
 * {@linkcode WrittenBlockList} is the real one; only what it opens is exchanged.
 *
 * @module
 */

import type { Entry } from "../../src/firewall/backend.ts";
import {
  type Block,
  BlockDatabase,
  BlockDatabaseError,
  type Changes,
  type DatabaseFault,
  END_OF_ROWS,
  type NewBlock,
  type OpenOptions,
  type PastBlock,
  type RowPage,
} from "../../src/blocks/database.ts";
import type { StoredPoints } from "../../src/blocks/kept_points.ts";
import { boundedNew, boundedTime, mergeBlock } from "../../src/blocks/block.ts";
import type { SlowChange, SlowRow } from "../../src/blocks/slow_rows.ts";

/** What is the matter with the disk. */
export type DiskFault = Extract<DatabaseFault, "busy" | "full" | "readonly" | "io">;

/** The content of one database, and its faults. */
export class Disk {
  readonly rows = new Map<string, Block>();
  readonly history = new Map<string, PastBlock>();
  readonly standing = new Map<string, number>();
  readonly slow = new Map<string, SlowRow>();
  readonly points = new Map<string, StoredPoints>();
  /** Present fault; every access that it concerns fails. */
  fault: DiskFault | undefined;
  /** What another process does between two accesses of the daemon, after so many of them. */
  between:
    | { run: () => void; skip: number; fromOpening: boolean; when?: (() => boolean) | undefined }
    | undefined;
  readonly #rowNumbers = new Map<string, bigint>();
  #commits = 0;
  #isLocked = false;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** The number of a target's row, which it keeps. */
  rowOf(target: string): bigint {
    const row = this.#rowNumbers.get(target) ?? BigInt(this.#rowNumbers.size + 1);
    this.#rowNumbers.set(target, row);
    return row;
  }

  /** Opens a connection, as `BlockDatabase.open` does. */
  open(options: OpenOptions = {}): BlockDatabase {
    if (this.between !== undefined) this.between.fromOpening = false;
    if (options.readOnly) this.fail("read");
    else this.fail("open");
    return new DiskConnection(this) as unknown as BlockDatabase;
  }

  /** The daemon is about to look at the disk. */
  accessed(): void {
    const { between } = this;
    if (this.#isLocked || between === undefined || between.fromOpening) return;
    if (between.when?.() === false || between.skip-- > 0) return;
    this.between = undefined;
    between.run();
  }

  /** Runs a transaction of the daemon: no other process gets in between. */
  alone<T>(transaction: () => T): T {
    this.#isLocked = true;
    try {
      return transaction();
    } finally {
      this.#isLocked = false;
    }
  }

  /** How many changes were committed, but for those of one connection. */
  version(own: number): number {
    return this.#commits - own;
  }

  /** When a daemon first had it. */
  birth: number | undefined;

  committed(): void {
    this.#commits++;
  }

  /** What `ampere -a` does. */
  addByHand(block: NewBlock, now: number): void {
    this.fail("write");
    const known = this.rows.get(block.target);
    const past = this.history.get(block.target)?.times ?? 0;
    this.put(mergeBlock(known, past, boundedNew(block), now).block);
    this.committed();
  }

  /** What `ampere -d` does. */
  deleteByHand(target: string): void {
    this.fail("write");
    this.rows.delete(target);
    this.history.delete(target);
    this.points.delete(target);
    this.slow.delete(target);
    this.committed();
  }

  put(block: Block): void {
    this.rows.set(block.target, block);
    this.history.delete(block.target);
  }

  /** Fails if the present fault concerns the access. */
  fail(access: "read" | "write" | "open"): void {
    const fault = this.fault;
    if (fault === undefined) return;
    // With a write-ahead log a writer hinders no reader, and a full disk neither.
    if (access === "read" && fault !== "io") return;
    if (access === "open" && fault === "busy") return;
    throw new BlockDatabaseError(fault, this.#path, `database ${this.#path}: ${fault}`, "wait");
  }
}

/** One open connection; has what {@linkcode WrittenBlockList} uses of a `BlockDatabase`. */
class DiskConnection {
  readonly skipped = 0;
  readonly #disk: Disk;
  #own = 0;
  #open = true;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  dataVersion(): number {
    this.#begin();
    this.#disk.fail("read");
    return this.#disk.version(this.#own);
  }

  check(): void {
    this.#begin();
    this.#disk.fail("read");
  }

  unsorted(): Block[] {
    this.#begin();
    this.#disk.fail("read");
    return [...this.#disk.rows.values()];
  }

  standing(): Map<string, number> {
    this.#begin();
    this.#disk.fail("read");
    return new Map(this.#disk.standing);
  }

  birth(): number | undefined {
    this.#begin();
    this.#disk.fail("read");
    return this.#disk.birth;
  }

  saveBirth(at: number): void {
    this.#begin();
    this.#disk.fail("write");
    this.#disk.birth ??= at;
    this.#disk.committed();
    this.#own++;
  }

  history(): PastBlock[] {
    this.#begin();
    this.#disk.fail("read");
    return [...this.#disk.history.values()];
  }

  entries(): Entry[] {
    this.#begin();
    this.#disk.fail("read");
    return [...this.#disk.rows.values()].map(({ target, until }) => ({ target, until }));
  }

  /** What blocked hosts did is not looked at here. */
  readonly evidence = {
    save: () => {
      this.#begin();
      this.#disk.fail("write");
    },
  };

  readonly points = {
    save: (put: readonly StoredPoints[], gone: readonly string[]) => {
      this.#begin();
      const { points } = this.#disk;
      this.#disk.fail("write");
      for (const host of gone) points.delete(host);
      for (const one of put) {
        const times = { firstAt: boundedTime(one.firstAt), lastAt: boundedTime(one.lastAt) };
        points.set(one.host, { ...structuredClone(one), ...times });
      }
      this.#disk.committed();
      this.#own++;
    },
    all: (): StoredPoints[] => {
      this.#begin();
      this.#disk.fail("read");
      return [...this.#disk.points.values()].sort((a, b) => a.lastAt - b.lastAt);
    },
  };

  readonly slow = {
    save: (changes: readonly SlowChange[]) => {
      this.#begin();
      const { slow } = this.#disk;
      this.#disk.fail("write");
      for (const [host, row] of changes) {
        if (row === undefined) slow.delete(host);
        else slow.set(host, row);
      }
      this.#disk.committed();
      this.#own++;
    },
    all: (): SlowRow[] => {
      this.#begin();
      this.#disk.fail("read");
      return [...this.#disk.slow.values()];
    },
  };

  count(): number {
    this.#begin();
    this.#disk.fail("read");
    return this.#disk.rows.size;
  }

  entriesAfter(after: bigint, rows: number): RowPage {
    this.#begin();
    this.#disk.fail("read");
    const found = [...this.#disk.rows.values()]
      .map(({ target, until }) => ({ row: this.#disk.rowOf(target), target, until }))
      .filter(({ row }) => row > after)
      .sort((a, b) => Number(a.row - b.row))
      .slice(0, rows);
    return {
      entries: found.map(({ target, until }) => ({ target, until })),
      last: found.length < rows ? END_OF_ROWS : found.at(-1)!.row,
    };
  }

  get(target: string): Block | undefined {
    this.#begin();
    this.#disk.fail("read");
    return this.#disk.rows.get(target);
  }

  timesOf(target: string): number {
    this.#begin();
    this.#disk.fail("read");
    return this.#disk.rows.get(target)?.times ?? this.#disk.history.get(target)?.times ?? 0;
  }

  save(decide: () => Changes): void {
    this.#begin();
    const disk = this.#disk;
    disk.fail("write");
    const changes = disk.alone(decide);
    for (const block of changes.put) disk.put(block);
    for (const target of changes.gone) {
      disk.rows.delete(target);
      disk.history.delete(target);
      disk.points.delete(target);
      disk.slow.delete(target);
    }
    for (const past of changes.ended) {
      disk.rows.delete(past.target);
      const times = Math.max(past.times, disk.history.get(past.target)?.times ?? 0);
      disk.history.set(past.target, { ...past, times });
    }
    if (changes.standing.length > 0) {
      for (const [host, at] of changes.standing) {
        disk.standing.set(host, Math.max(boundedTime(at), disk.standing.get(host) ?? 0));
      }
      for (const [host, at] of disk.standing) {
        if (at < changes.forgetStandingBefore) disk.standing.delete(host);
      }
    }
    disk.committed();
    this.#own++;
  }

  close(): void {
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #begin(): void {
    if (!this.#open) throw new Error("the database is not open");
    this.#disk.accessed();
  }
}

/**
 * Has `BlockDatabase.open` open simulated databases, until the returned object is disposed.
 *
 * @param diskOf The disk at a path.
 */
export function withDisks(diskOf: (path: string) => Disk): Disposable {
  const open = BlockDatabase.open;
  BlockDatabase.open = (path, options) => diskOf(path).open(options);
  return { [Symbol.dispose]: () => void (BlockDatabase.open = open) };
}
