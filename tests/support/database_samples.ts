/** What the tests of the block list share. */

import { DatabaseSync } from "node:sqlite";
import { type Block, hasEnded, type NewBlock } from "../../src/blocks/block.ts";
import type { BlockDatabase, Changes } from "../../src/blocks/database.ts";

export const NOW = 1_700_000_000_000;

/** Runs a test in a folder of its own, with the path of a database in it. */
export async function withDatabase(test: (path: string, folder: string) => unknown): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "ampere-" });
  try {
    await test(`${folder}/ampere.db`, folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

export function block(target: string, more: Partial<NewBlock> = {}): NewBlock {
  return {
    target,
    since: NOW,
    until: undefined,
    reason: "3 attempts",
    service: "PJSIP",
    transport: "UDP",
    account: "100",
    ...more,
  };
}

/** The n-th of 16 million different addresses. */
export function address(n: number): string {
  return `20.${n >> 16 & 255}.${n >> 8 & 255}.${n & 255}`;
}

const NO_CHANGES: Changes = {
  put: [],
  ended: [],
  gone: [],
  standing: [],
  forgetStandingBefore: 0,
};

/** Takes out the blocks whose end has come, as the daemon does. */
export function removeEnded(list: BlockDatabase, now: number): Block[] {
  const blocks = list.all().filter((block) => hasEnded(block, now));
  const ended = blocks.map(({ target, times, until }) => ({ target, times, ended: until ?? now }));
  list.save(() => ({ ...NO_CHANGES, ended }), now);
  return blocks;
}

/** Keeps logins, as the daemon does. */
export function saveStanding(
  list: BlockDatabase,
  standing: Changes["standing"],
  forgetStandingBefore = 0,
): void {
  list.save(() => ({ ...NO_CHANGES, standing, forgetStandingBefore }));
}

/** The targets of all blocks, in no order. */
export function targetsOf(list: { entries(): Iterable<{ readonly target: string }> }): string[] {
  return Array.from(list.entries(), ({ target }) => target);
}

/** The original's file: a Berkeley DB B-tree with three addresses. */
export const BERKELEY = new URL("../testdata/filter.db", import.meta.url).pathname;

/** Changes a database behind the back of the program. */
export function meddle(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}
