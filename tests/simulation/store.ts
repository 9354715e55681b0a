/**
 * Where the simulated machine keeps its block list: in memory, or in a real SQLite file.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import {
  type Block,
  BlockDatabase,
  BlockDatabaseError,
  type NewBlock,
} from "../../src/blocks/database.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { saveStanding } from "../support/database_samples.ts";
import type { Dice } from "./dice.ts";
import { Disk, type DiskFault, withDisks } from "./database.ts";

/** What is stored. */
interface Stored {
  readonly rows: ReadonlyMap<string, Block>;
  /** How often those were blocked that are not now. */
  readonly history: ReadonlyMap<string, number>;
  readonly standing: ReadonlyMap<string, number>;
}

/** A database that other processes use too, and that fails. */
export interface Store extends Disposable {
  /** The daemon opens it. */
  open(now: number, log: (message: string) => void): WrittenBlockList;
  /** Something goes wrong with it, until {@linkcode Store.heal}. Tells what. */
  harm(dice: Dice): string;
  heal(): void;
  /** Whether a daemon can read it now. */
  readonly readable: boolean;
  /** The daemon was killed: what it had written stays, its locks are gone. */
  abandon(list: WrittenBlockList, now: number): void;
  /** What `ampere -a` does; false when it fails. */
  add(block: NewBlock, now: number): boolean;
  /** What `ampere -d` does; false when it fails. */
  delete(target: string): boolean;
  /**
   * Has another process do something between two accesses of the daemon, once.
   *
   * @param run What it does.
   * @param skip After how many accesses.
   * @param fromOpening Counted from the next time that the daemon opens the database.
   * @param when Whether an access counts; by default each does.
   */
  between(run: () => void, skip: number, fromOpening: boolean, when?: () => boolean): void;
  /** Nothing of that kind happens any more. */
  calm(): void;
  /** Before the beginning: a host has logged in. */
  remember(address: string, at: number): void;
  read(): Stored;
}

/** Whether something worked; a fault of the database is no error here. */
function worked(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    if (error instanceof BlockDatabaseError) return false;
    throw error;
  }
}

/** Most lists of the simulation are compared in several turns, and short ones in one. */
const COMPARISON = { atOnce: 3, perTurn: 2 };

function openWritten(path: string, now: number, log: (message: string) => void): WrittenBlockList {
  return WrittenBlockList.open(path, {
    now,
    busyTimeout: 0,
    comparison: COMPARISON,
    onTrouble: log,
    onRecovered: log,
  });
}

/** A database in memory, under the real list of the daemon. */
export class MemoryStore implements Store {
  #path: string;
  readonly #base: string;
  #incarnation = 0;
  readonly #disk: Disk;
  readonly #disks: Disposable;
  readonly #files: string[] = [];

  /** @param base Where lock files may be made. */
  constructor(base: string) {
    this.#base = base;
    this.#path = `${base}.db`;
    this.#disk = new Disk(this.#path);
    this.#disks = withDisks(() => this.#disk);
  }

  open(now: number, log: (message: string) => void): WrittenBlockList {
    this.#files.push(this.#path, `${this.#path}.lock`);
    // By the file the daemon tells that it is the same database when it opens it again.
    Deno.writeFileSync(this.#path, new Uint8Array(0));
    return openWritten(this.#path, now, log);
  }

  harm(dice: Dice): string {
    this.#disk.fault = dice.pick<DiskFault>(["busy", "busy", "full", "readonly", "io"]);
    return this.#disk.fault;
  }

  heal(): void {
    this.#disk.fault = undefined;
  }

  get readable(): boolean {
    return this.#disk.fault !== "io";
  }

  abandon(list: WrittenBlockList, now: number): void {
    // Nothing of what it still tries must reach the disk.
    const fault = this.#disk.fault;
    this.#disk.fault = "io";
    list.close(now);
    this.#disk.fault = fault;
    this.#path = `${this.#base}.${++this.#incarnation}.db`;
  }

  add(block: NewBlock, now: number): boolean {
    return worked(() => this.#disk.addByHand(block, now));
  }

  delete(target: string): boolean {
    return worked(() => this.#disk.deleteByHand(target));
  }

  between(run: () => void, skip: number, fromOpening: boolean, when?: () => boolean): void {
    this.#disk.between = { run, skip, fromOpening, when };
  }

  calm(): void {
    this.#disk.between = undefined;
  }

  remember(address: string, at: number): void {
    this.#disk.standing.set(address, at);
  }

  read(): Stored {
    const { rows, standing } = this.#disk;
    const history = [...this.#disk.history.values()].map(({ target, times }) =>
      [target, times] as const
    );
    return { rows, history: new Map(history), standing };
  }

  [Symbol.dispose](): void {
    this.#disks[Symbol.dispose]();
    for (const file of new Set(this.#files)) Deno.removeSync(file);
  }
}

/** A real SQLite file, best in a file system in memory. */
export class SqliteStore implements Store {
  readonly #folder: string;
  #path: string;
  #incarnation = 0;
  #writer: DatabaseSync | undefined;

  /** @param folder An empty folder; it is removed in the end. */
  constructor(folder: string) {
    this.#folder = folder;
    this.#path = `${folder}/0.db`;
    BlockDatabase.open(this.#path).close();
  }

  open(now: number, log: (message: string) => void): WrittenBlockList {
    return openWritten(this.#path, now, log);
  }

  harm(dice: Dice): string {
    if (this.#writer !== undefined) return "still busy";
    if (dice.chance(0.3)) {
      for (const end of ["", "-wal", "-shm"]) removeIfThere(this.#path + end);
      return "deleted";
    }
    this.#writer = new DatabaseSync(this.#path);
    try {
      this.#writer.exec("BEGIN IMMEDIATE");
    } catch {
      this.heal();
    }
    return "busy";
  }

  heal(): void {
    this.#writer?.close();
    this.#writer = undefined;
  }

  /**
   * A deleted file is written anew by the daemon that runs; one that begins meanwhile would find
   * nothing.
   */
  readonly readable = true;

  abandon(list: WrittenBlockList, now: number): void {
    this.heal();
    const next = `${this.#folder}/${++this.#incarnation}.db`;
    for (const end of ["", "-wal"]) {
      try {
        Deno.copyFileSync(this.#path + end, next + end);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    list.close(now);
    this.#path = next;
  }

  add(block: NewBlock, now: number): boolean {
    return worked(() => {
      using list = BlockDatabase.open(this.#path, { busyTimeout: 0 });
      list.add([block], now);
    });
  }

  delete(target: string): boolean {
    return worked(() => {
      using list = BlockDatabase.open(this.#path, { busyTimeout: 0 });
      list.remove([target]);
    });
  }

  between(run: () => void): void {
    run();
  }

  calm(): void {}

  remember(address: string, at: number): void {
    using list = BlockDatabase.open(this.#path);
    saveStanding(list, [[address, at]]);
  }

  read(): Stored {
    try {
      using list = BlockDatabase.open(this.#path, { readOnly: true });
      return {
        rows: new Map(list.unsorted().map((block) => [block.target, block])),
        history: new Map(list.history().map(({ target, times }) => [target, times])),
        standing: list.standing(),
      };
    } catch (error) {
      if (!(error instanceof BlockDatabaseError)) throw error;
      return { rows: new Map(), history: new Map(), standing: new Map() };
    }
  }

  [Symbol.dispose](): void {
    this.heal();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
