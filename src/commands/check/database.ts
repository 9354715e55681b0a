/**
 * Checks the database without disturbing a daemon that works with it: it is read as `ampere -l`
 * does, and whether it can be written is tried on a file beside it.
 *
 * @module
 */

import { dirname } from "node:path";
import { BlockDatabase, BlockDatabaseError } from "../../blocks/database.ts";
import { toDatabaseError } from "../../blocks/fault.ts";
import type { Config } from "../../config/config.ts";
import { counted } from "../../text/table.ts";
import { type Finding, ok, problem } from "./finding.ts";

const ABOUT = "database";

/** Size of the file that is written on trial, in bytes: a page of the database. */
const TRIAL_BYTES = 4_096;

/**
 * Checks that the list opens and can be written.
 *
 * @param config Where it is.
 */
export function checkDatabase(config: Config): Finding {
  const path = config.database;
  try {
    const blocks = count(path);
    tryToWrite(path, blocks !== undefined);
    return ok(
      ABOUT,
      blocks === undefined
        ? `${path} will be made at the first start`
        : `${path} holds ${counted(blocks, "block")} and can be written`,
    );
  } catch (error) {
    const { message, advice } = toDatabaseError(error, path);
    return problem(ABOUT, message.replace(/^database /, ""), advice);
  }
}

/** The number of blocks; `undefined` when there is no database yet. */
function count(path: string): number | undefined {
  try {
    const list = BlockDatabase.open(path, { readOnly: true });
    const blocks = list.count();
    list.close();
    return blocks;
  } catch (error) {
    if (error instanceof BlockDatabaseError && error.fault === "missing") return undefined;
    throw error;
  }
}

function tryToWrite(path: string, exists: boolean): void {
  if (exists) Deno.openSync(path, { append: true }).close();
  const trial = Deno.makeTempFileSync({ dir: dirname(path), prefix: ".ampere-check-" });
  try {
    Deno.writeFileSync(trial, new Uint8Array(TRIAL_BYTES));
  } finally {
    Deno.removeSync(trial);
  }
}
