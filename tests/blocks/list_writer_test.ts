/**
 * The daemon's list when its database fails or is moved, or its process killed: real file systems.
 */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { RETRY_MAX_MS } from "../../src/blocks/trouble.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { address, block, NOW, targetsOf, withDatabase } from "../support/database_samples.ts";
import { until } from "../support/namespace.ts";
import {
  blocks,
  canMount,
  canTrace,
  Helper,
  isRoot,
  makeDatabase,
  openWritten,
  PAGE,
  stored,
  succeeds,
  withTinyDisk,
} from "../support/faulty_database.ts";

// Full, read-only, failing

Deno.test({
  name:
    "list writer: disk full: blocking goes on, told once, written when there is room (root only)",
  ignore: !canMount,
  async fn() {
    await using daemon = await withTinyDisk("256k");
    await daemon.ask("open /mnt/ampere.db");
    assert.equal(await daemon.ask("add 192.0.2.1"), true);
    await daemon.ask("fill /mnt/fill");
    assert.equal(await daemon.ask("add 192.0.2.2 192.0.2.3"), false);
    for (let second = 1; second <= 100; second++) {
      await daemon.ask(`clock ${NOW + second * 1_000}`);
      await daemon.ask("retry");
      await daemon.ask(`add 192.0.2.${100 + second}`);
    }
    const full = await daemon.ask("state");
    assert.deepEqual([full.size, full.pending, full.trouble], [103, 102, "full"]);
    assert.equal(full.troubles.length, 1);
    assert.match(full.troubles[0], /disk is full.*blocking goes on, make room.*\/mnt/);
    assert.deepEqual(await daemon.ask("stored /mnt/ampere.db"), ["192.0.2.1"]);
    assert.equal(await daemon.ask("sh rm /mnt/fill"), 0);
    await daemon.ask(`clock ${NOW + 100_000 + RETRY_MAX_MS}`);
    assert.equal(await daemon.ask("retry"), true);
    const mended = await daemon.ask("state");
    assert.deepEqual([mended.pending, mended.trouble, mended.mends.length], [0, null, 1]);
    assert.equal((await daemon.ask("stored /mnt/ampere.db")).length, 103);
    assert.equal(await daemon.ask("close"), 0);
  },
});

Deno.test({
  name:
    "list writer: disk full at the start: stored blocks are read, the list goes on in memory (root only)",
  ignore: !canMount,
  async fn() {
    await using daemon = await withTinyDisk("256k");
    await daemon.ask("open /mnt/ampere.db");
    await daemon.ask("add 192.0.2.1");
    await daemon.ask("close");
    await daemon.ask("fill /mnt/fill");
    assert.equal((await daemon.ask("open /mnt/ampere.db")).blocks, 1);
    assert.equal(await daemon.ask("add 192.0.2.2"), false);
    assert.equal((await daemon.ask("state")).trouble, "full");
    await daemon.ask("sh rm /mnt/fill");
    await daemon.ask(`clock ${NOW + RETRY_MAX_MS}`);
    assert.equal(await daemon.ask("retry"), true);
    assert.deepEqual(await daemon.ask("stored /mnt/ampere.db"), ["192.0.2.1", "192.0.2.2"]);
    await daemon.ask("close");
    // Without a database, and without room for one.
    await daemon.ask("sh rm /mnt/*");
    await daemon.ask("fill /mnt/fill");
    assert.equal((await daemon.ask("open /mnt/new.db")).blocks, 0);
    assert.equal(await daemon.ask("add 192.0.2.3"), false);
    await daemon.ask("sh rm /mnt/fill");
    await daemon.ask(`clock ${NOW + 3 * RETRY_MAX_MS}`);
    assert.equal(await daemon.ask("retry"), true);
    assert.deepEqual(await daemon.ask("stored /mnt/new.db"), ["192.0.2.3"]);
  },
});

Deno.test({
  name:
    "list writer: read-only file system: the list can be read, the daemon starts and owes (root only)",
  ignore: !canMount,
  async fn() {
    await using daemon = await withTinyDisk("8m");
    await daemon.ask("open /mnt/ampere.db");
    await daemon.ask("add 192.0.2.1 2001:db8::/32");
    await daemon.ask("close");
    assert.equal(await daemon.ask("sh mount -o remount,ro,bind /mnt"), 0);
    const read = await daemon.ask("list /mnt/ampere.db");
    assert.deepEqual(read, { targets: ["192.0.2.1", "2001:db8::/32"], isSnapshot: true });
    const refused = await daemon.ask("stored /mnt/ampere.db");
    assert.equal(refused.fault, "readonly");
    assert.match(refused.advice, /mount.*writable/);
    assert.equal((await daemon.ask("open /mnt/ampere.db")).blocks, 2);
    assert.equal(await daemon.ask("add 192.0.2.2"), false);
    const owing = await daemon.ask("state");
    assert.deepEqual([owing.size, owing.trouble, owing.troubles.length], [3, "readonly", 1]);
    assert.equal(await daemon.ask("sh mount -o remount,rw,bind /mnt"), 0);
    await daemon.ask(`clock ${NOW + RETRY_MAX_MS}`);
    assert.equal(await daemon.ask("retry"), true);
    const mended = await daemon.ask("state");
    assert.deepEqual([mended.pending, mended.mends.length], [0, 1]);
    assert.equal((await daemon.ask("stored /mnt/ampere.db")).length, 3);
  },
});

Deno.test({
  name:
    "list writer: a list read from a read-only file system holds the write-ahead log of a killed daemon (root only)",
  ignore: !canMount,
  async fn() {
    await using daemon = await withTinyDisk("8m");
    await daemon.ask("open /mnt/a.db");
    await daemon.ask("add 192.0.2.1");
    // The files as they would lie there after a power failure: the log is not in the database yet.
    await daemon.ask("sh cp /mnt/a.db /mnt/b.db && cp /mnt/a.db-wal /mnt/b.db-wal");
    await daemon.ask("sh mount -o remount,ro,bind /mnt");
    const read = await daemon.ask("list /mnt/b.db");
    assert.deepEqual(read.targets, ["192.0.2.1"], JSON.stringify(read));
  },
});

Deno.test({
  name:
    "list writer: an immutable file (chattr +i) while running: pending, then written (root only)",
  ignore: !isRoot,
  fn: () =>
    withDatabase((path) => {
      const { list, troubles, mends } = openWritten(path);
      list.add([block("192.0.2.1")], NOW);
      const files = [path, `${path}-wal`];
      if (!succeeds("chattr", ["+i", ...files])) return list.close(); // not on every file system
      try {
        assert.equal(list.add([block("192.0.2.2")], NOW), false);
        assert.equal(list.retry(NOW + 1_000), false);
        assert(troubles.length >= 1);
        assert.deepEqual(mends, []);
      } finally {
        succeeds("chattr", ["-i", ...files]);
      }
      assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
      assert.equal(mends.length, 1);
      assert.deepEqual(stored(path), ["192.0.2.1", "192.0.2.2"]);
      list.close();
    }),
});

/**
 * Lets system calls on a database fail in a running process, until the returned function is
 * called.
 */
async function injectFault(pid: number, path: string, fault: string): Promise<() => Promise<void>> {
  const paths = ["", "-wal"].flatMap((part) => ["-P", path + part]);
  const tracer = new Deno.Command("strace", {
    args: ["-f", "-p", `${pid}`, ...paths, "-e", `inject=${fault}`],
    stdin: "null",
    stderr: "piped",
  }).spawn();
  const output = tracer.stderr.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes("attached");) {
    const { value, done } = await output.read();
    if (done) assert.fail(`strace: ${text}`);
    text += value;
  }
  return async () => {
    tracer.kill("SIGINT");
    while (!(await output.read()).done);
    await tracer.status;
  };
}

for (
  const [fault, kind] of [
    ["fsync,fdatasync:error=EIO", "io"],
    ["pwrite64:error=EIO", "io"],
    ["pwrite64:error=EIO:when=2+", "io"],
    ["pwrite64:error=ENOSPC", "full"],
    ["pwrite64:error=EROFS", "io"],
    ["pwrite64:error=EDQUOT", "io"],
  ] as const
) {
  Deno.test({
    name: `list writer: the device fails (${fault}): pending, then written (root and strace only)`,
    ignore: !canTrace,
    fn: () =>
      withDatabase(async (path) => {
        await using daemon = new Helper();
        await daemon.ask(`open ${path}`);
        assert.equal(await daemon.ask("add 192.0.2.1"), true);
        const endFault = await injectFault(daemon.pid, path, fault);
        assert.equal(await daemon.ask("add 192.0.2.2 192.0.2.3"), false);
        await daemon.ask("remove 192.0.2.1");
        await daemon.ask(`clock ${NOW + 1_000}`);
        assert.equal(await daemon.ask("retry"), false);
        const failing = await daemon.ask("state");
        assert.deepEqual([failing.trouble, failing.pending, failing.size], [kind, 3, 2]);
        assert.match(failing.troubles[0], /blocking goes on/);
        await endFault();
        await daemon.ask(`clock ${NOW + 2 * RETRY_MAX_MS}`);
        assert.equal(await daemon.ask("retry"), true);
        const mended = await daemon.ask("state");
        assert.deepEqual([mended.trouble, mended.mends.length], [null, 1]);
        const targets = await daemon.ask(`stored ${path}`);
        assert.deepEqual(targets.sort(), ["192.0.2.2", "192.0.2.3"]);
      }),
  });
}

Deno.test({
  name:
    "list writer: the disk fails before the rest is read: what is missing is completed when it is over (root and strace only)",
  ignore: !canTrace,
  fn: () =>
    withDatabase(async (path) => {
      makeDatabase(path, 70_000); // larger than SQLite's page caches of 4 MB
      await using daemon = new Helper();
      await daemon.ask(`clock ${NOW}`);
      assert.equal((await daemon.ask(`open ${path}`)).blocks, 70_000);
      const endFault = await injectFault(daemon.pid, path, "pread64:error=EIO");
      const failing = await daemon.ask("rest");
      assert.equal(failing.size, 70_000);
      assert((await daemon.ask("state")).troubles.length > 0, "everything could be read");
      await endFault();
      await daemon.ask(`clock ${NOW + 2 * RETRY_MAX_MS}`);
      for (let n = 3; !await daemon.ask("retry"); n++) {
        assert(n < 20, "still not written");
        await daemon.ask(`clock ${NOW + n * RETRY_MAX_MS}`);
      }
      assert.deepEqual(await daemon.ask("rest"), { size: 70_000, bare: 0 });
      assert.equal((await daemon.ask("state")).trouble, null);
    }),
});

Deno.test({
  name:
    "list writer: a list that cannot even be read is not an empty one: no start (root and strace only)",
  ignore: !canTrace,
  fn: () =>
    withDatabase(async (path) => {
      makeDatabase(path, 3);
      await using daemon = new Helper();
      await daemon.ask(`clock ${NOW}`);
      const endFault = await injectFault(daemon.pid, path, "read,pread64:error=EIO");
      const failed = await daemon.ask(`open ${path}`);
      assert.deepEqual([failed.fault, failed.blocks], ["io", undefined]);
      await endFault();
      assert.equal((await daemon.ask(`open ${path}`)).blocks, 3);
    }),
});

Deno.test({
  name:
    "list writer: the disk does not take what was to reach it later: told, and all is written again (root and strace only)",
  ignore: !canTrace,
  fn: () =>
    withDatabase(async (path) => {
      await using daemon = new Helper();
      await daemon.ask(`later ${path}`);
      assert.equal(await daemon.ask("add 192.0.2.1"), true);
      await daemon.ask("state");
      // Beside SQLite's own handle there is one as long as that is on its way to the disk.
      await until("it is on the disk", () => handlesOf(daemon.pid, `${path}-wal`) === 1);
      const endFault = await injectFault(daemon.pid, path, "fsync,fdatasync:error=EIO");
      assert.equal(await daemon.ask("add 192.0.2.2 192.0.2.3"), true);
      let failing = await daemon.ask("state");
      while (failing.trouble === null) failing = await daemon.ask("state");
      assert.deepEqual([failing.trouble, failing.pending, failing.size], ["io", 3, 3]);
      assert.match(failing.troubles[0], /blocking goes on/);
      // Now each change waits for the disk: that it still fails is seen at once, and said once.
      await daemon.ask(`clock ${Date.now() + 1_000}`);
      assert.equal(await daemon.ask("add 192.0.2.4"), false);
      await endFault();
      await daemon.ask(`clock ${Date.now() + 2 * RETRY_MAX_MS}`);
      assert.equal(await daemon.ask("retry"), true);
      const mended = await daemon.ask("state");
      assert.deepEqual([mended.trouble, mended.troubles.length, mended.mends.length], [null, 1, 1]);
      const targets = await daemon.ask(`stored ${path}`);
      assert.deepEqual(targets.sort(), ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    }),
});

/** How often a process has a file open. */
function handlesOf(pid: number, path: string): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].filter(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === path;
    } catch {
      return false; // It was closed just now.
    }
  }).length;
}

Deno.test({
  name: "list writer: what is to reach the disk later does so by itself (root and strace only)",
  ignore: !canTrace,
  fn: () =>
    withDatabase(async (path, folder) => {
      await using daemon = new Helper();
      await daemon.ask(`later ${path}`);
      const trace = `${folder}/trace`;
      const tracer = new Deno.Command("strace", {
        args: ["-f", "-p", `${daemon.pid}`, "-o", trace, "-P", `${path}-wal`, "-e", "fdatasync"],
        stderr: "null",
      }).spawn();
      try {
        while (!/fdatasync\(.*= 0$/m.test(traced(trace))) {
          assert.equal(await daemon.ask("add 192.0.2.1"), true);
          await daemon.ask("remove 192.0.2.1");
        }
      } finally {
        tracer.kill("SIGINT");
        await tracer.status;
      }
    }),
});

/** What strace has written so far. */
function traced(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

Deno.test("list writer: the write-ahead log does not grow with each change that is to reach the disk later", () =>
  withDatabase(async (path) => {
    await using daemon = new Helper();
    await daemon.ask(`later ${path}`);
    const pages = () => Deno.statSync(`${path}-wal`).size / PAGE;
    let made = 0;
    const add = async (count: number) => {
      const targets = Array.from({ length: count }, () => address(made++));
      assert.equal(await daemon.ask(`add ${targets.join(" ")}`), true);
    };
    await daemon.ask(`clock ${NOW}`);
    // In an attack: after 1,000 changes at the latest. Each of 300 commits has five pages or more.
    for (let round = 0; round < 300; round++) {
      await add(10);
      assert.equal(await daemon.ask("retry"), true);
    }
    const most = pages();
    assert.ok(most < 1_200, `${most} pages`);
    // Otherwise whenever nothing has changed for two seconds.
    for (let round = 1; round <= 20; round++) {
      for (let i = 0; i < 20; i++) await add(1);
      await daemon.ask(`clock ${NOW + 2_000 * round}`);
      assert.equal(await daemon.ask("retry"), true);
    }
    assert.equal(pages(), most);
    assert.equal((await daemon.ask(`stored ${path}`)).length, made);
  }));

// Deleted, replaced, renamed

Deno.test("list writer: deleted while running: noticed by the timer, made anew from memory, with history and standing", async () => {
  await withDatabase((path, folder) => {
    const { list, troubles, mends } = openWritten(path);
    list.add([...blocks(500), block("192.0.2.1", { until: NOW + 10 })], NOW);
    list.removeEnded(NOW + 10);
    list.saveStanding([["192.0.2.9", NOW]], 0, NOW);
    Deno.removeSync(path);
    assert.equal(list.retry(NOW + 20), true);
    assert.match(troubles[0] ?? "", /was deleted while it was in use/);
    assert.equal(mends.length, 1);
    assert.equal(stored(path).length, 500);
    {
      using check = BlockDatabase.open(path);
      assert.equal(check.timesOf("192.0.2.1"), 1);
      assert.equal(check.standing().get("192.0.2.9"), NOW);
      assert.deepEqual(check.all(), list.all());
    }
    // All files at once, and then the change that notices it.
    for (const entry of [...Deno.readDirSync(folder)]) Deno.removeSync(`${folder}/${entry.name}`);
    assert.equal(list.add([block("192.0.2.3")], NOW + 30), true);
    assert.equal(stored(path).length, 501);
    assert.equal(troubles.length, 2);
    list.close();
  });
});

Deno.test("list writer: a block that comes between the deletion and the timer is in the new file", async () => {
  await withDatabase((path) => {
    for (const gone of [[path], [`${path}-wal`], [path, `${path}-wal`, `${path}-shm`]]) {
      const { list, troubles } = openWritten(path, NOW, { inPlaceMs: 250, syncLater: true });
      list.add(blocks(50), NOW);
      assert.equal(list.retry(NOW), true);
      for (const file of gone) Deno.removeSync(file);
      assert.equal(list.add([block("192.0.2.1")], NOW + 249), true);
      assert.equal(list.retry(NOW + 250), true);
      assert.equal(stored(path).length, 51);
      assert.equal(troubles.length, 1);
      list.close();
      for (const file of [path, `${path}-wal`, `${path}-shm`]) {
        try {
          Deno.removeSync(file);
        } catch {
          // It is not there.
        }
      }
    }
  });
});

Deno.test("list writer: what another process changed last is read from the file that was deleted", async () => {
  await withDatabase((path) => {
    makeDatabase(path, 2);
    const { list } = openWritten(path);
    const [first, second] = targetsOf(list).sort();
    {
      using other = BlockDatabase.open(path);
      other.add([block("192.0.2.1")], NOW);
      other.remove([first!]);
    }
    Deno.removeSync(path);
    assert.equal(list.retry(NOW), true);
    const { added, removed, changed } = list.reload(NOW);
    assert.deepEqual([added, removed, changed], [["192.0.2.1"], [first!], []]);
    assert.deepEqual(targetsOf(list).sort(), ["192.0.2.1", second!]);
    assert.deepEqual(stored(path), ["192.0.2.1", second!]);
    list.close();
  });
});

Deno.test("list writer: the write-ahead log deleted while running: the list is written again", async () => {
  await withDatabase((path) => {
    const { list } = openWritten(path);
    list.add(blocks(100), NOW);
    Deno.removeSync(`${path}-wal`);
    assert.equal(list.add([block("192.0.2.1")], NOW), true);
    list.close();
    assert.equal(stored(path).length, 101);
    using check = BlockDatabase.open(path);
    check.check();
  });
});

Deno.test("list writer: replaced by another list: both are joined, reload tells what came", async () => {
  await withDatabase((path) => {
    makeDatabase(`${path}.backup`, 3);
    {
      using backup = BlockDatabase.open(`${path}.backup`);
      backup.add([block("192.0.2.3", { until: NOW + 9 })], NOW);
    }
    const { list } = openWritten(path);
    list.add([block("192.0.2.1"), block("192.0.2.2"), block("192.0.2.3")], NOW);
    Deno.renameSync(`${path}.backup`, path);
    assert.equal(list.remove(["192.0.2.2"], NOW), true);
    const expected = [...blocks(3).map((b) => b.target), "192.0.2.1", "192.0.2.3"].sort();
    assert.deepEqual(targetsOf(list).sort(), expected);
    const { added, removed, changed } = list.reload();
    assert.deepEqual([...added].sort(), blocks(3).map((b) => b.target).sort());
    assert.deepEqual([removed, changed], [[], ["192.0.2.3"]]);
    assert.deepEqual(list.reload(), { added: [], removed: [], changed: [] });
    assert.deepEqual(stored(path), expected);
    list.close();
  });
});

Deno.test("list writer: replaced by a file of somebody else: not touched, told, goes on in memory", async () => {
  await withDatabase((path) => {
    const { list, troubles } = openWritten(path);
    list.add([block("192.0.2.1")], NOW);
    Deno.writeTextFileSync(`${path}.other`, "hello\n".repeat(2_000));
    Deno.renameSync(`${path}.other`, path);
    assert.equal(list.add([block("192.0.2.2")], NOW), false);
    assert.equal(list.retry(NOW + RETRY_MAX_MS), false);
    assert.equal(list.trouble, "foreign");
    assert.match(troubles.at(-1) ?? "", /not an SQLite database/);
    assert.equal(Deno.readTextFileSync(path), "hello\n".repeat(2_000));
    Deno.removeSync(path);
    assert.equal(list.retry(NOW + 3 * RETRY_MAX_MS), true);
    assert.deepEqual(stored(path), ["192.0.2.1", "192.0.2.2"]);
    list.close();
  });
});

Deno.test("list writer: the folder renamed away and back: pending meanwhile", async () => {
  await withDatabase((_, folder) => {
    Deno.mkdirSync(`${folder}/a`);
    const { list, mends } = openWritten(`${folder}/a/ampere.db`);
    list.add([block("192.0.2.1")], NOW);
    Deno.renameSync(`${folder}/a`, `${folder}/b`);
    assert.equal(list.add([block("192.0.2.2")], NOW), false);
    assert.equal(list.trouble, "missing");
    Deno.renameSync(`${folder}/b`, `${folder}/a`);
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.equal(mends.length, 1);
    list.close();
    assert.deepEqual(stored(`${folder}/a/ampere.db`), ["192.0.2.1", "192.0.2.2"]);
  });
});

// Killed

Deno.test("list writer: a block that another process deletes while the daemon is in trouble stays deleted", async () => {
  await withDatabase((_, outer) => {
    const folder = `${outer}/ampere`;
    const path = `${folder}/ampere.db`;
    Deno.mkdirSync(folder);
    makeDatabase(path, 3);
    const { list } = openWritten(path);
    const [first, second, third] = targetsOf(list).sort();
    const again = block("192.0.2.5", { until: NOW + 3_600_000 });
    assert.equal(list.add([block("192.0.2.1"), again], NOW), true);
    Deno.renameSync(folder, `${outer}/away`);
    assert.equal(list.add([block("192.0.2.2")], NOW), false);
    {
      using other = BlockDatabase.open(`${outer}/away/ampere.db`);
      assert.equal(other.remove([first!, "192.0.2.1", "192.0.2.5"]).length, 3);
    }
    Deno.renameSync(`${outer}/away`, folder);
    // Blocked once more before it is noticed.
    list.add([{ ...again, until: NOW + 7_200_000 }], NOW + 1);
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    const expected = ["192.0.2.2", "192.0.2.5", second!, third!].sort();
    assert.deepEqual(targetsOf(list).sort(), expected);
    assert.deepEqual([...list.reload(NOW + RETRY_MAX_MS).removed].sort(), ["192.0.2.1", first!]);
    assert.deepEqual(list.reload(NOW + RETRY_MAX_MS).removed, []);
    assert.deepEqual(stored(path), expected);
    // Another file in its place: nothing was deleted from it.
    Deno.renameSync(folder, `${outer}/gone`);
    assert.equal(list.add([block("192.0.2.4")], NOW), false);
    Deno.mkdirSync(folder);
    makeDatabase(path, 1);
    assert.equal(list.retry(NOW + 3 * RETRY_MAX_MS), true);
    assert.deepEqual(stored(path), [...new Set([...expected, first!, "192.0.2.4"])].sort());
    list.close();
  });
});

Deno.test("list writer: a block that others delete during a trouble, and make again before it is told, is added", async () => {
  for (const comparison of [{ atOnce: 50, perTurn: 50 }, { atOnce: 1, perTurn: 1 }]) {
    await withDatabase((_, outer) => {
      const folder = `${outer}/ampere`;
      const path = `${folder}/ampere.db`;
      Deno.mkdirSync(folder);
      makeDatabase(path, 3);
      const { list } = openWritten(path, NOW, { comparison });
      const [first, second] = targetsOf(list).sort();
      Deno.renameSync(folder, `${outer}/away`);
      assert.equal(list.add([block("192.0.2.2")], NOW), false);
      {
        using other = BlockDatabase.open(`${outer}/away/ampere.db`);
        assert.equal(other.remove([first!, second!]).length, 2);
      }
      Deno.renameSync(`${outer}/away`, folder);
      assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
      {
        using other = BlockDatabase.open(path);
        other.add([block(first!, { until: NOW + 7_200_000 })], NOW);
      }
      const told: string[] = [];
      for (let more = true; more;) {
        const change = list.reload(NOW + RETRY_MAX_MS);
        more = change.more ?? false;
        // In this order the firewall is told.
        told.push(...change.added.map((target) => `block ${target}`));
        told.push(...change.removed.map((target) => `release ${target}`));
      }
      const last = (target: string) => told.findLast((order) => order.endsWith(` ${target}`));
      assert.equal(last(first!), `block ${first}`);
      assert.equal(last(second!), `release ${second}`);
      list.close();
    });
  }
});

Deno.test("list writer: kill -9 in the middle of writing: everything that was confirmed is there", async () => {
  for (let run = 0; run < 5; run++) {
    await withDatabase(async (path) => {
      await using writer = new Helper();
      await writer.send(`burst ${path}`);
      const confirmed: string[] = [];
      const enough = 20 + 37 * run;
      while (confirmed.length < enough) confirmed.push(await writer.line());
      await writer.kill();
      for (;;) {
        const line = await writer.line();
        if (line === undefined) break;
        confirmed.push(line);
      }
      using list = WrittenBlockList.open(path);
      assert.equal(list.start.salvaged, undefined);
      const missing = confirmed.filter((target) => list.get(target) === undefined);
      assert.deepEqual(missing, []);
      assert(list.size <= confirmed.length + 1);
    });
  }
});
