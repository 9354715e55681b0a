/** What the tests of the block list share. */

import type { NewBlock } from "../../src/blocks/database.ts";

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
