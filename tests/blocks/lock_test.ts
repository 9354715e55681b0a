/**
 * One daemon for one database.
 */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { lockDatabase } from "../../src/blocks/lock.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { block, withDatabase } from "../support/database_samples.ts";
import {
  failure,
  Helper,
  isRoot,
  makeDatabase,
  NOBODY,
  noise,
  overwrite,
  PAGE,
  stored,
} from "../support/faulty_database.ts";

Deno.test("lock: a second daemon is refused and told the process; -a, -l and -d are not; the lock dies by kill -9", async () => {
  await withDatabase(async (path) => {
    await using daemon = new Helper();
    assert.deepEqual((await daemon.ask(`open ${path}`)).blocks, 0);
    const error = failure(() => WrittenBlockList.open(path));
    assert.equal(error.fault, "running");
    assert(error.message.includes(`process ${daemon.pid}`), error.message);
    assert(error.message.includes(path));
    assert.equal(failure(() => lockDatabase(path)).fault, "running");
    {
      using list = BlockDatabase.open(path);
      list.add([block("192.0.2.1")]);
      list.remove(["192.0.2.1"]);
      using reader = BlockDatabase.open(path, { readOnly: true });
      assert.equal(reader.count(), 0);
    }
    await daemon.kill();
    using list = WrittenBlockList.open(path);
    assert.equal(list.size, 0);
  });
});

Deno.test("lock: the lock ends with close, is private, and follows a lock file that was deleted", async () => {
  await withDatabase((path) => {
    WrittenBlockList.open(path).close();
    using first = lockDatabase(path);
    assert.equal((Deno.statSync(`${path}.lock`).mode ?? 0) & 0o777, 0o640);
    assert.equal(failure(() => lockDatabase(path)).fault, "running");
    first.release();
    first.release();
    Deno.removeSync(`${path}.lock`);
    using second = lockDatabase(path);
    assert.match(failure(() => lockDatabase(path)).message, new RegExp(`process ${Deno.pid}\\)`));
    second.release();
    lockDatabase(path).release();
  });
});

Deno.test("lock: the daemon's list needs the right to read and write its folder and nothing else", async () => {
  await withDatabase(async (path, folder) => {
    makeDatabase(path, 100);
    // What is done with a damaged file needs no more either.
    overwrite(path, 2 * PAGE, noise(PAGE, 1));
    const module = new URL("../../src/blocks/written_block_list.ts", import.meta.url);
    const program = `import { WrittenBlockList } from "${module}";
      using list = WrittenBlockList.open("${path}", { onTrouble: console.log });
      console.log(list.size > 50, list.start.salvaged !== undefined, list.remove(
        Array.from(list.entries(), (entry) => entry.target)));`;
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        `--allow-read=${folder}`,
        `--allow-write=${folder}`,
        "--ext=ts",
        "data:application/typescript," + encodeURIComponent(program),
      ],
    }).output();
    const errors = new TextDecoder().decode(stderr);
    assert.equal(new TextDecoder().decode(stdout), "true true true\n", errors);
    assert.deepEqual(stored(path), []);
  });
});

Deno.test("lock: a damaged lock file is made anew and hinders nobody", async () => {
  await withDatabase((path) => {
    Deno.writeTextFileSync(`${path}.lock`, "\u001b[31mme".repeat(1_000));
    using _holder = lockDatabase(path);
    assert.equal(failure(() => lockDatabase(path)).fault, "running");
  });
});

Deno.test({
  name: "lock: a user without rights is told so (root only)",
  ignore: !isRoot,
  fn: () =>
    withDatabase(async (path, folder) => {
      makeDatabase(path, 3);
      Deno.chmodSync(folder, 0o755);
      const asNobody = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
      // Its own cache folder: the other one belongs to root.
      await using helper = new Helper([
        "env",
        `DENO_DIR=${Deno.makeTempDirSync({ dir: folder })}`,
        ...asNobody,
      ]);
      Deno.chmodSync(folder, 0o755);
      const daemon = await helper.ask(`open ${path}`);
      if (daemon === undefined) return; // The checkout itself may not be read by others.
      assert.equal(daemon.fault, "denied");
      assert(daemon.error.includes(path));
      assert.match(daemon.advice, /^use sudo;.*: chown root: \S+ \S+\*$/);
      const reader = await helper.ask(`list ${path}`);
      assert.equal(reader.fault, "denied");
      Deno.chmodSync(path, 0o644);
      const allowed = await helper.ask(`list ${path}`);
      assert.deepEqual(allowed.targets?.length, 3, JSON.stringify(allowed));
    }),
});
