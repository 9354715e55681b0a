/** The list of a dry run. */

import assert from "node:assert/strict";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import { NOW } from "../support/database_samples.ts";

Deno.test("dry-run block list: the list of a dry run without a database is as old as the run", () => {
  assert.equal(new DryRunBlockList("(memory)", undefined, NOW).bornAt, NOW);
});
