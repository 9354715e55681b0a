/**
 * The block list when the outside fails: real files, real file systems, real processes.
 */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import {
  type Block,
  BlockDatabase,
  BlockDatabaseError,
  type NewBlock,
} from "../../src/blocks/database.ts";
import { applyWal, fileKind, readImage } from "../../src/blocks/recovery/image.ts";
import { lockDatabase } from "../../src/blocks/lock.ts";
import { PENDING_STANDING_MAX } from "../../src/blocks/pending_changes.ts";
import { BARE_REASON, salvageImage } from "../../src/blocks/recovery/salvage.ts";
import { SET_ASIDE_MAX, setAside } from "../../src/blocks/recovery/set_aside.ts";
import { CHANGES_PER_WRITE_MAX } from "../../src/blocks/list_writer.ts";
import { COMPARED_AT_ONCE_MAX, COMPARED_PER_TURN } from "../../src/blocks/comparison.ts";
import { BUSY_TOLD_AFTER_MS, RETRY_MAX_MS } from "../../src/blocks/trouble.ts";
import { WrittenBlockList, type WrittenOptions } from "../../src/blocks/written_block_list.ts";
import {
  address,
  block,
  NOW,
  saveStanding,
  targetsOf,
  withDatabase,
} from "../support/database_samples.ts";

const PAGE = 4_096;
const PROGRAM = new URL("../support/database_process.ts", import.meta.url).pathname;
const NOBODY = 65_534;

const isRoot = Deno.uid() === 0;
/** Mounting needs root; a container may forbid it all the same. */
const canMount = isRoot && succeeds("unshare", ["-m", "true"]);
const canTrace = isRoot && succeeds("strace", ["-o", "/dev/null", "true"]);

function succeeds(program: string, args: string[]): boolean {
  try {
    return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

function blocks(count: number): NewBlock[] {
  return Array.from({ length: count }, (_, n) => block(address(n), { since: NOW + n }));
}

/** A closed database with so many blocks. */
function makeDatabase(path: string, count: number): Block[] {
  using list = BlockDatabase.open(path);
  list.add(blocks(count), NOW);
  saveStanding(list, [["192.0.2.200", NOW]]);
  return list.all();
}

function failure(call: () => unknown): BlockDatabaseError {
  try {
    call();
  } catch (error) {
    assert(error instanceof BlockDatabaseError, String(error));
    return error;
  }
  assert.fail("did not throw");
}

/** Opens the daemon's list and collects what it tells. */
function openWritten(path: string, now = NOW, options: WrittenOptions = {}) {
  const troubles: string[] = [];
  const mends: string[] = [];
  const list = WrittenBlockList.open(path, {
    ...options,
    now,
    onTrouble: (message) => troubles.push(message),
    onRecovered: (message) => mends.push(message),
  });
  return { list, troubles, mends };
}

/** Targets that a database holds, as another process sees them. */
function stored(path: string): string[] {
  using list = BlockDatabase.open(path);
  return targetsOf(list).sort();
}

/** Names in a folder that belong to databases that were set aside. */
function setAsideFiles(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((entry) => entry.name)
    .filter((name) => name.includes(".corrupt-") && !/-(wal|shm)$/.test(name)).sort();
}

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  file.writeSync(bytes);
}

function noise(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, n) => (Math.imul(n + seed, 2_654_435_761) >>> 13) & 255);
}

/** A process that does what it is told; see database_process.ts. */
class Helper implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(prefix: string[] = []) {
    const [program = Deno.execPath(), ...args] = [...prefix, Deno.execPath()];
    this.#child = new Deno.Command(program, {
      args: [...args, "run", "-A", "--no-lock", PROGRAM],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The next line of the answer; undefined at the end. */
  // deno-lint-ignore no-explicit-any
  async line(): Promise<any> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return JSON.parse(line);
      }
      const { value, done } = await this.#output.read();
      if (done) return undefined;
      this.#rest += value;
    }
  }

  async send(command: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(command + "\n"));
  }

  // deno-lint-ignore no-explicit-any
  async ask(command: string): Promise<any> {
    await this.send(command);
    return await this.line();
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    await this.#output.cancel();
    await this.#input.abort().catch(() => {});
  }
}

/** A helper with a small file system of its own at /mnt. */
async function withTinyDisk(size: string): Promise<Helper> {
  const mount = `mount -t tmpfs -o size=${size} none /mnt && exec "$@"`;
  const helper = new Helper(["unshare", "-m", "sh", "-c", mount, "sh"]);
  assert.equal(await helper.ask("sh mountpoint -q /mnt"), 0);
  return helper;
}

// One daemon for one database

Deno.test("a second daemon is refused and told the process; -a, -l and -d are not; the lock dies by kill -9", async () => {
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

Deno.test("the lock ends with close, is private, and follows a lock file that was deleted", async () => {
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

Deno.test("the daemon's list needs the right to read and write its folder and nothing else", async () => {
  await withDatabase(async (path, folder) => {
    makeDatabase(path, 100);
    // what is done with a damaged file needs no more either
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

Deno.test("a damaged lock file is made anew and hinders nobody", async () => {
  await withDatabase((path) => {
    Deno.writeTextFileSync(`${path}.lock`, "\u001b[31mme".repeat(1_000));
    using _holder = lockDatabase(path);
    assert.equal(failure(() => lockDatabase(path)).fault, "running");
  });
});

Deno.test({
  name: "a user without rights is told so (root only)",
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

// Changes by other processes

Deno.test("reload takes over what other processes add, remove and change", async () => {
  await withDatabase((path) => {
    const { list, troubles } = openWritten(path);
    list.add(
      [block("192.0.2.1"), block("192.0.2.2"), block("192.0.2.3", { until: NOW + 10 })],
      NOW,
    );
    assert.deepEqual(list.reload(), { added: [], removed: [], changed: [] });
    using other = BlockDatabase.open(path);
    other.add([block("192.0.2.4", { until: NOW + 5 }), block("192.0.2.3")], NOW);
    other.remove(["192.0.2.1"]);
    assert.deepEqual(list.reload(), {
      added: ["192.0.2.4"],
      removed: ["192.0.2.1"],
      changed: ["192.0.2.3"],
    });
    assert.deepEqual(list.reload(), { added: [], removed: [], changed: [] });
    assert.deepEqual(targetsOf(list).sort(), ["192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    assert.equal(list.get("192.0.2.3")?.until, undefined);
    assert.deepEqual(list.removeEnded(NOW + 5).map((b) => b.target), ["192.0.2.4"]);
    assert.deepEqual(stored(path), ["192.0.2.2", "192.0.2.3"]);
    // Own writes and those of others in turn.
    list.add([block("192.0.2.5")], NOW);
    other.add([block("192.0.2.6")], NOW);
    list.add([block("192.0.2.7")], NOW);
    assert.deepEqual(list.reload().added, ["192.0.2.6"]);
    other.add(blocks(2_000), NOW);
    assert.equal(list.reload().added.length, 2_000);
    assert.deepEqual(troubles, []);
    assert.equal(list.close(), 0);
  });
});

Deno.test("what others change in a long list is taken over in turns, and what happens between them counts", async () => {
  await withDatabase((path) => {
    const { list, troubles } = openWritten(path);
    const many = Array.from(
      { length: COMPARED_AT_ONCE_MAX + 1_000 },
      (_, i) => block(`10.${i >> 16}.${i >> 8 & 255}.${i & 255}`),
    );
    list.add(many, NOW);
    while (list.pending > 0) list.retry(NOW);
    using other = BlockDatabase.open(path);
    const [first, last] = [many[0]!.target, many.at(-1)!.target];
    other.remove([first, many[7]!.target]);
    other.add(
      [block("192.0.2.1"), block("192.0.2.2"), block("192.0.2.3", { until: NOW + 5 })],
      NOW,
    );
    const seen = { added: [] as string[], removed: [] as string[], changed: [] as string[] };
    let turns = 0;
    const between = [
      () => list.add([block("198.51.100.1")], NOW),
      () => list.remove([many[1]!.target, last], NOW),
      // This process deletes what the other has just added, and the other what this one has.
      () => list.remove(["192.0.2.2"], NOW),
      () => other.remove(["198.51.100.1"]),
      // Behind the row that was read last.
      () => other.remove([many[9]!.target]),
    ];
    for (let more = true; more; turns++) {
      const change = list.reload(NOW);
      for (const key of ["added", "removed", "changed"] as const) {
        assert.ok(change[key].length <= COMPARED_PER_TURN);
        seen[key].push(...change[key]);
      }
      more = change.more ?? false;
      between[turns]?.();
    }
    assert.ok(turns > 2 * many.length / COMPARED_PER_TURN, `${turns} turns`);
    // What others changed meanwhile may need another comparison.
    for (let more = true; more;) {
      const change = list.reload(NOW);
      seen.removed.push(...change.removed);
      assert.deepEqual([...change.added, ...change.changed], []);
      more = change.more ?? false;
    }
    assert.deepEqual(seen.added.filter((target) => target !== "192.0.2.2"), [
      "192.0.2.1",
      "192.0.2.3",
    ]);
    assert.deepEqual(seen.changed, []);
    assert.deepEqual(
      seen.removed.toSorted(),
      [first, many[7]!.target, many[9]!.target, "198.51.100.1"].toSorted(),
    );
    assert.deepEqual(targetsOf(list).sort(), targetsOf(other).sort());
    assert.deepEqual(list.reload(NOW), { added: [], removed: [], changed: [] });
    assert.deepEqual(troubles, []);
    assert.equal(list.close(), 0);
  });
});

Deno.test("targets and ends are there before the rest is read, and the rest is the same as ever", async () => {
  await withDatabase((path) => {
    const all = makeDatabase(path, 3_000);
    const { list, troubles } = openWritten(path, NOW);
    assert.equal(list.size, 3_000);
    assert.deepEqual(
      [...list.entries()],
      all.map(({ target, until }) => ({ target, until })),
    );
    assert.equal(list.standing().size, 1);
    // Asked for anything else it reads the rest by itself.
    assert.deepEqual(list.get(all[7]!.target), all[7]);
    assert.deepEqual(list.all(), all);
    list.readRest(NOW);
    assert.deepEqual(list.all(), all);
    list.close();
    using again = WrittenBlockList.open(path);
    again.readRest(NOW);
    assert.deepEqual(again.all(), all);
    assert.deepEqual(troubles, []);
  });
});

Deno.test("what others change before the rest is read is told by reload, not swallowed", async () => {
  await withDatabase((path) => {
    makeDatabase(path, 10);
    using other = BlockDatabase.open(path);
    other.add([block("192.0.2.1", { until: NOW + 9 }), block("192.0.2.2")], NOW);
    using list = openWritten(path, NOW).list;
    other.remove(["192.0.2.2", address(3)]);
    other.add([block("192.0.2.1"), block("192.0.2.3", { reason: "new" })], NOW);
    list.readRest(NOW);
    assert.equal(list.size, 12);
    assert.equal(list.get("192.0.2.1")?.until, NOW + 9);
    assert.equal(list.get("192.0.2.3"), undefined);
    const { added, removed, changed } = list.reload(NOW);
    assert.deepEqual([added, removed.toSorted(), changed], [
      ["192.0.2.3"],
      ["192.0.2.2", address(3)].sort(),
      ["192.0.2.1"],
    ]);
    assert.deepEqual(targetsOf(list).sort(), targetsOf(other).sort());
    assert.equal(list.get("192.0.2.3")?.reason, "new");
  });
});

Deno.test("blocks whose end comes, and blocks that are added, before the rest is read", async () => {
  await withDatabase((path) => {
    makeDatabase(path, 10);
    using other = BlockDatabase.open(path);
    other.add([block("192.0.2.1", { until: NOW + 9, account: "root" })], NOW);
    using ends = openWritten(path, NOW).list;
    assert.deepEqual(ends.removeEnded(NOW + 8), []);
    assert.deepEqual(ends.removeEnded(NOW + 9).map(({ account }) => account), ["root"]);
    ends.close();
    using adds = openWritten(path, NOW).list;
    assert.equal(adds.add([block("192.0.2.4"), block(address(2), { since: NOW + 5 })], NOW), true);
    assert.equal(adds.size, 11);
    assert.equal(adds.get(address(2))?.since, NOW + 2);
    assert.deepEqual(stored(path), targetsOf(adds).sort());
  });
});

Deno.test("blocks that ended while no daemon ran are the same whether the rest is read or not", async () => {
  for (const count of [3, 600]) {
    const outcomes: unknown[] = [];
    for (const isRead of [true, false]) {
      await withDatabase((path) => {
        makeDatabase(path, 1_000);
        const ending = { until: NOW + 9, account: "root", times: 7 };
        using other = BlockDatabase.open(path);
        other.add(blocks(count).map((_, n) => block(address(5_000 + n), ending)), NOW);
        using list = openWritten(path, NOW).list;
        if (isRead) list.readRest(NOW);
        const ended = list.removeEnded(NOW + 9);
        assert.equal(ended.length, count);
        assert.deepEqual(list.removeEnded(NOW + 9), []);
        assert.equal(list.size, 1_000);
        assert.equal(list.timesOf(ended[0]!.target), 7);
        assert.deepEqual(stored(path), targetsOf(list).sort());
        outcomes.push([ended, list.all(), other.history()]);
      });
    }
    assert.deepEqual(outcomes[0], outcomes[1]);
  }
});

Deno.test("deleted or replaced before the rest is read: the old file still tells it", async () => {
  for (const replaced of [false, true]) {
    await withDatabase((path, folder) => {
      const all = makeDatabase(path, 50);
      using list = openWritten(path, NOW).list;
      for (const part of ["", "-wal", "-shm"]) Deno.removeSync(path + part);
      if (replaced) {
        using other = BlockDatabase.open(`${folder}/other.db`);
        other.add([block("192.0.2.1")], NOW);
        other.close();
        Deno.renameSync(`${folder}/other.db`, path);
      }
      assert.equal(list.retry(NOW + 1), true);
      list.readRest(NOW + 1);
      const kept = new Map(list.all().map((one) => [one.target, one]));
      for (const one of all) assert.deepEqual(kept.get(one.target), one);
      assert.equal(list.size, replaced ? 51 : 50);
      list.close();
      using again = BlockDatabase.open(path);
      for (const one of all) assert.deepEqual(again.get(one.target), one);
    });
  }
});

Deno.test("the file is destroyed before the rest is read: every block stays, and is written anew", async () => {
  await withDatabase((path, folder) => {
    const all = makeDatabase(path, 40_000); // larger than SQLite's page cache of 2 MB
    const { list, troubles } = openWritten(path, NOW);
    overwrite(path, 4 * PAGE, noise(Deno.statSync(path).size - 8 * PAGE, 7));
    // Nobody changed it: it is not read for that.
    assert.deepEqual(list.reload(NOW), { added: [], removed: [], changed: [] });
    assert.deepEqual(troubles, []);
    list.readRest(NOW);
    assert.deepEqual(targetsOf(list).sort(), all.map(({ target }) => target).sort());
    assert.match(troubles.join(), /damaged.*set aside and written anew/);
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.deepEqual([list.pending, list.trouble], [0, undefined]);
    assert.equal(setAsideFiles(folder).length, 1);
    assert.equal(list.close(), 0);
    assert.equal(stored(path).length, 40_000);
  });
});

Deno.test("what a person must mend is thrown, and the lock given back", async () => {
  await withDatabase((path) => {
    Deno.writeTextFileSync(path, "hello\n".repeat(2_000));
    assert.throws(() => WrittenBlockList.open(path, { now: NOW }), {
      name: "BlockDatabaseError",
      fault: "foreign",
    });
    Deno.removeSync(path);
    using list = WrittenBlockList.open(path, { now: NOW });
    assert.throws(() => WrittenBlockList.open(path, { now: NOW }), { fault: "running" });
    assert.equal(list.size, 0);
  });
});

Deno.test("ended blocks, their count and good standing survive a restart of the daemon", async () => {
  await withDatabase((path) => {
    {
      const { list } = openWritten(path);
      assert.equal(list.add([block("192.0.2.1", { until: NOW + 10 })], NOW), true);
      assert.equal(list.saveStanding([["192.0.2.9", NOW]], NOW - 5, NOW), true);
      assert.deepEqual(list.removeEnded(NOW + 9), []);
      assert.deepEqual(list.removeEnded(NOW + 10).map((b) => b.target), ["192.0.2.1"]);
      assert.equal(list.timesOf("192.0.2.1"), 1);
      list.close();
    }
    const { list } = openWritten(path);
    assert.equal(list.timesOf("192.0.2.1"), 1);
    assert.equal(list.standing().get("192.0.2.9"), NOW);
    list.add([block("192.0.2.1", { since: NOW + 20 })], NOW + 20);
    assert.equal(list.get("192.0.2.1")?.times, 2);
    list.remove(["192.0.2.1", "192.0.2.77"], NOW + 21);
    assert.equal(list.timesOf("192.0.2.1"), 0);
    list.close();
    assert.deepEqual(stored(path), []);
  });
});

// Busy

Deno.test("a database that another process holds: the change is pending, told late, written later", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list, troubles, mends } = openWritten(path);
    assert.equal(await other.ask(`hold ${path}`), true);
    const start = performance.now();
    assert.equal(list.add([block("192.0.2.1")], NOW), false);
    const waited = performance.now() - start;
    assert(waited < 1_000, `the caller waited ${waited} ms`);
    // Within the delay nothing is tried, so nothing waits.
    const again = performance.now();
    assert.equal(list.add([block("192.0.2.2")], NOW + 1), false);
    assert.equal(list.retry(NOW + 2), false);
    assert(performance.now() - again < 50);
    assert.deepEqual([list.pending, list.trouble, troubles.length], [2, "busy", 0]);
    assert.equal(list.retry(NOW + BUSY_TOLD_AFTER_MS), false);
    assert.equal(list.retry(NOW + 2 * BUSY_TOLD_AFTER_MS), false);
    assert.equal(troubles.length, 1);
    assert.match(troubles[0] ?? "", /another process is writing.*blocking goes on/);
    assert.deepEqual(targetsOf(list), ["192.0.2.1", "192.0.2.2"]);
    assert.equal(await other.ask("release"), true);
    assert.equal(list.retry(NOW + 3 * BUSY_TOLD_AFTER_MS + RETRY_MAX_MS), true);
    assert.deepEqual([list.pending, list.trouble, mends.length], [0, undefined, 1]);
    assert.deepEqual(stored(path), ["192.0.2.1", "192.0.2.2"]);
    list.close();
  });
});

Deno.test("a short hold is never told; a clock that is set back does not delay the writing", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list, troubles, mends } = openWritten(path);
    await other.ask(`hold ${path}`);
    assert.equal(list.add([block("192.0.2.1")], NOW), false);
    await other.ask("release");
    assert.equal(list.retry(NOW - 3_600_000), true);
    assert.deepEqual([troubles, mends], [[], []]);
    list.close();
  });
});

Deno.test("the latest state of each target wins, so what is pending is bounded", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list } = openWritten(path);
    list.add([block("192.0.2.1"), block("192.0.2.2", { until: NOW + 50 })], NOW);
    await other.ask(`hold ${path}`);
    for (let round = 0; round < 100; round++) {
      list.remove(["192.0.2.1"], NOW);
      list.add([block("192.0.2.1"), block("192.0.2.3")], NOW);
      list.remove(["192.0.2.3"], NOW);
    }
    list.removeEnded(NOW + 50);
    assert.equal(list.pending, 3);
    assert.equal(list.timesOf("192.0.2.2"), 1);
    const hosts = Array.from(
      { length: PENDING_STANDING_MAX + 5 },
      (_, n) => [address(n), NOW + n] as const,
    );
    list.saveStanding(hosts, 0, NOW + 60);
    assert.equal(list.pending, 3 + PENDING_STANDING_MAX);
    await other.ask("release");
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.deepEqual(stored(path), ["192.0.2.1"]);
    using check = BlockDatabase.open(path);
    assert.equal(check.timesOf("192.0.2.2"), 1);
    assert.equal(check.timesOf("192.0.2.3"), 0);
    assert.equal(check.standing().size, PENDING_STANDING_MAX);
    assert.equal(check.standing().has(address(4)), false);
    list.close();
  });
});

Deno.test("what is blocked anew by hand before its end is written stays blocked", async () => {
  for (
    const [noticed, until] of [[true, undefined], [false, undefined], [false, NOW + 900]] as const
  ) {
    await withDatabase(async (path) => {
      await using other = new Helper();
      const { list } = openWritten(path);
      list.add([block("192.0.2.1", { until: NOW + 50 })], NOW);
      await other.ask(`hold ${path}`);
      assert.equal(list.removeEnded(NOW + 50).length, 1);
      await other.ask("release");
      {
        using hand = BlockDatabase.open(path);
        hand.add([block("192.0.2.1", { since: NOW + 60, until })], NOW + 60);
      }
      const added: string[] = [];
      if (noticed) added.push(...list.reload(NOW + 70).added);
      assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
      added.push(...list.reload(NOW + RETRY_MAX_MS).added);
      assert.deepEqual([added, stored(path)], [["192.0.2.1"], ["192.0.2.1"]]);
      assert.equal(list.get("192.0.2.1")?.until, until);
      assert.equal(list.get("192.0.2.1")?.times, 2);
      list.close();
    });
  }
});

Deno.test("what others block for longer is not written over by a shorter block", async () => {
  for (const held of [true, false]) {
    await withDatabase(async (path) => {
      await using other = new Helper();
      const { list } = openWritten(path);
      if (held) {
        await other.ask(`hold ${path}`);
        assert.equal(list.add([block("192.0.2.1", { until: NOW + 900 })], NOW), false);
        await other.ask("release");
      }
      {
        using hand = BlockDatabase.open(path);
        hand.add([block("192.0.2.1"), block("192.0.2.2")], NOW);
      }
      if (!held) list.add([block("192.0.2.1", { until: NOW + 900 })], NOW);
      assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
      assert.deepEqual(list.reload(NOW + RETRY_MAX_MS).changed, ["192.0.2.1"]);
      assert.deepEqual(list.removeEnded(NOW + 900), []);
      assert.deepEqual([targetsOf(list), stored(path)], [
        ["192.0.2.1", "192.0.2.2"],
        ["192.0.2.1", "192.0.2.2"],
      ]);
      list.close();
    });
  }
});

Deno.test("what was removed and blocked again for a while does not come back for ever", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list } = openWritten(path);
    list.add([block("192.0.2.1")], NOW);
    await other.ask(`hold ${path}`);
    list.remove(["192.0.2.1"], NOW);
    list.add([block("192.0.2.1", { until: NOW + 50 })], NOW);
    list.removeEnded(NOW + 50);
    await other.ask("release");
    {
      using hand = BlockDatabase.open(path);
      hand.add([block("192.0.2.2")], NOW);
    }
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.deepEqual(list.reload(NOW + RETRY_MAX_MS).added, ["192.0.2.2"]);
    assert.deepEqual(stored(path), ["192.0.2.2"]);
    list.close();
  });
});

Deno.test("an end that is written after the clock was set back is no block of others", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    const { list } = openWritten(path);
    const hour = 3_600_000;
    list.add([block("192.0.2.1", { until: NOW + hour })], NOW);
    await other.ask(`hold ${path}`);
    assert.equal(list.removeEnded(NOW + hour).length, 1);
    list.add([block("192.0.2.1", { until: NOW + 50 })], NOW);
    assert.equal(list.removeEnded(NOW + 50).length, 1);
    await other.ask("release");
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.deepEqual([list.reload(NOW + RETRY_MAX_MS).added, stored(path)], [[], []]);
    list.close();
  });
});

Deno.test("a daemon that starts while another process holds the database reads it and writes later", async () => {
  await withDatabase(async (path) => {
    makeDatabase(path, 10);
    await using other = new Helper();
    await other.ask(`hold ${path}`);
    const { list } = openWritten(path);
    assert.equal(list.size, 10);
    assert.equal(list.add([block("192.0.2.1")], NOW), false);
    await other.ask("release");
    assert.equal(list.retry(NOW + RETRY_MAX_MS), true);
    assert.equal(stored(path).length, 11);
    list.close();
  });
});

Deno.test("what is pending at the end is written by close, or counted", async () => {
  await withDatabase(async (path) => {
    await using other = new Helper();
    {
      const { list } = openWritten(path);
      await other.ask(`hold ${path}`);
      list.add([block("192.0.2.1")], NOW);
      await other.ask("release");
      assert.equal(list.close(NOW), 0);
      assert.deepEqual(stored(path), ["192.0.2.1"]);
    }
    const { list } = openWritten(path);
    await other.ask(`hold ${path}`);
    list.add([block("192.0.2.2")], NOW);
    assert.equal(list.close(NOW), 1);
    await other.ask("release");
  });
});

Deno.test("a large debt is written in several transactions", async () => {
  await withDatabase((path) => {
    const { list, troubles } = openWritten(path);
    const count = 2 * CHANGES_PER_WRITE_MAX + 1;
    assert.equal(list.add(blocks(count), NOW), false);
    assert.equal(list.pending, CHANGES_PER_WRITE_MAX + 1);
    assert.equal(stored(path).length, CHANGES_PER_WRITE_MAX);
    assert.deepEqual(list.reload(), { added: [], removed: [], changed: [] });
    assert.equal(list.retry(NOW), false);
    assert.equal(list.retry(NOW), true);
    assert.equal(stored(path).length, count);
    assert.deepEqual(troubles, []);
    list.close();
  });
});

// Full, read-only, failing

Deno.test({
  name: "disk full: blocking goes on, told once, written when there is room (root only)",
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
  name: "disk full at the start: stored blocks are read, the list goes on in memory (root only)",
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
  name: "read-only file system: the list can be read, the daemon starts and owes (root only)",
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
    "a list read from a read-only file system holds the write-ahead log of a killed daemon (root only)",
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
  name: "an immutable file (chattr +i) while running: pending, then written (root only)",
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
 * Lets system calls on a database fail in a running process, until the returned function is called.
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
    name: `the device fails (${fault}): pending, then written (root and strace only)`,
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
    "the disk fails before the rest is read: what is missing is completed when it is over (root and strace only)",
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
  name: "a list that cannot even be read is not an empty one: no start (root and strace only)",
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
    "the disk does not take what was to reach it later: told, and all is written again (root and strace only)",
  ignore: !canTrace,
  fn: () =>
    withDatabase(async (path) => {
      await using daemon = new Helper();
      await daemon.ask(`later ${path}`);
      assert.equal(await daemon.ask("add 192.0.2.1"), true);
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

Deno.test({
  name: "what is to reach the disk later does so by itself (root and strace only)",
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

Deno.test("the write-ahead log does not grow with each change that is to reach the disk later", () =>
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

Deno.test("deleted while running: noticed by the timer, made anew from memory, with history and standing", async () => {
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

Deno.test("what another process changed last is read from the file that was deleted", async () => {
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

Deno.test("the write-ahead log deleted while running: the list is written again", async () => {
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

Deno.test("replaced by another list: both are joined, reload tells what came", async () => {
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

Deno.test("replaced by a file of somebody else: not touched, told, goes on in memory", async () => {
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

Deno.test("the folder renamed away and back: pending meanwhile", async () => {
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

Deno.test("a block that another process deletes while the daemon is in trouble stays deleted", async () => {
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

Deno.test("a block that others delete during a trouble, and make again before it is told, is added", async () => {
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

Deno.test("kill -9 in the middle of writing: everything that was confirmed is there", async () => {
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

// Damaged

Deno.test("garbage pages in the middle: set aside at the start, the rows of all other pages are saved", async () => {
  await withDatabase((path, folder) => {
    const before = makeDatabase(path, 5_000);
    const pages = Deno.statSync(path).size / PAGE;
    for (const at of [0.3, 0.5, 0.51, 0.8]) {
      overwrite(path, Math.floor(pages * at) * PAGE, noise(PAGE, at * 1_000));
    }
    const damaged = Deno.readFileSync(path);
    const { list, troubles } = openWritten(path);
    const report = list.start.salvaged;
    assert(report !== undefined);
    const rowsPerPage = Math.ceil(5_000 / (pages / 2));
    assert(report.blocks >= 5_000 - 4 * rowsPerPage, report.message);
    for (const block of before) {
      const saved = list.get(block.target);
      if (saved !== undefined && saved.reason !== BARE_REASON) assert.deepEqual(saved, block);
    }
    assert.match(
      report.message,
      /damaged.*set aside as .*\.corrupt-20231114T221320; saved from it: blocks/,
    );
    assert.equal(report.setAside, `${path}.corrupt-20231114T221320`);
    assert.deepEqual(setAsideFiles(folder), ["ampere.db.corrupt-20231114T221320"]);
    assert.deepEqual(Deno.readFileSync(report.setAside), damaged);
    assert.equal(list.standing().get("192.0.2.200"), NOW);
    assert.deepEqual([troubles, list.pending], [[], 0]);
    assert.equal(stored(path).length, report.blocks);
    list.close();
    const { list: again } = openWritten(path);
    assert.equal(again.start.salvaged, undefined);
    assert.equal(again.size, report.blocks);
    again.close();
  });
});

Deno.test("a page of rows that is lost: the index still tells the targets", async () => {
  await withDatabase((path) => {
    const before = makeDatabase(path, 2_000);
    // The last page that holds rows of eight columns: garbage.
    const image = Deno.readFileSync(path);
    let victim = 0;
    for (let page = 1; page * PAGE < image.length; page++) {
      if (image[page * PAGE] === 0x0d && (image[page * PAGE + 4] ?? 0) > 20) victim = page;
    }
    overwrite(path, victim * PAGE, noise(PAGE, 1));
    const until = NOW + 600_000;
    using list = WrittenBlockList.open(path, { now: NOW + 5, bareUntil: until });
    assert.equal(list.size, before.length);
    const bare = list.all().filter((b) => b.reason === BARE_REASON);
    assert(bare.length > 10);
    assert.equal(list.start.salvaged?.bare, bare.length);
    assert(bare.every((b) => b.until === until && b.since === NOW + 5));
  });
});

for (
  const [name, damage] of [
    ["the first page", (path: string) => overwrite(path, 16, noise(PAGE - 16, 3))],
    ["the end", (path: string, size: number) => Deno.truncateSync(path, Math.floor(size * 0.6))],
    ["the end, in a page", (path: string, size: number) => Deno.truncateSync(path, size - 100)],
    ["all but the header", (path: string) => Deno.truncateSync(path, 60)],
    ["all but ten bytes", (path: string) => Deno.truncateSync(path, 10)],
    ["the first page, now zero", (path: string) => overwrite(path, 0, new Uint8Array(PAGE))],
    [
      "the whole content, now zero",
      (path: string, size: number) => overwrite(path, 0, new Uint8Array(size)),
    ],
  ] as const
) {
  Deno.test(`damaged: ${name} is lost; the daemon starts with the rest and the file is set aside`, async () => {
    await withDatabase((path, folder) => {
      makeDatabase(path, 3_000);
      const { size } = Deno.statSync(path);
      damage(path, size);
      const damaged = Deno.readFileSync(path);
      if (fileKind(path) === "sqlite") {
        const error = failure(() => {
          using list = BlockDatabase.open(path);
          list.check();
        });
        assert.equal(error.fault, "corrupt");
        assert.match(error.advice, /daemon.*sets the damaged file aside/);
      }
      const { list } = openWritten(path);
      const salvaged = list.start.salvaged;
      assert(salvaged !== undefined);
      const kept = damaged.some((byte, at) => at > PAGE && byte !== 0);
      // A page of the 8-column table holds some 60 rows; a third of the file is the index.
      assert(
        kept ? list.size >= (name === "the end" ? 1_000 : 2_900) : list.size === 0,
        `${list.size}`,
      );
      assert.deepEqual(Deno.readFileSync(`${folder}/${setAsideFiles(folder)[0]}`), damaged);
      assert.equal(list.add([block("192.0.2.1")], NOW), true);
      assert.equal(stored(path).length, list.size);
      list.close();
    });
  });
}

for (const left of [0, 50]) {
  Deno.test(`${left} bytes are left beside the write-ahead log: the log's state is saved`, async () => {
    await withDatabase(async (path, folder) => {
      await using daemon = new Helper();
      await daemon.ask(`open ${path}`);
      const targets = Array.from({ length: 300 }, (_, n) => address(n));
      await daemon.ask(`add ${targets.join(" ")}`);
      await daemon.ask(`remove ${targets.slice(0, 100).join(" ")}`);
      await daemon.kill();
      Deno.truncateSync(path, left);
      if (left === 0) assert.equal(failure(() => BlockDatabase.open(path)).fault, "corrupt");
      const { list } = openWritten(path);
      assert.deepEqual(targetsOf(list).sort(), targets.slice(100).sort());
      if (left === 0) {
        const [aside] = setAsideFiles(folder);
        assert(Deno.statSync(`${folder}/${aside}-wal`).size > PAGE);
      }
      list.close();
      assert.equal(stored(path).length, 200);
    });
  });
}

Deno.test("damaged while running: set aside, and written anew from memory", async () => {
  await withDatabase(async (path, folder) => {
    makeDatabase(path, 40_000); // larger than SQLite's page cache of 2 MB
    await using daemon = new Helper();
    assert.equal((await daemon.ask(`open ${path}`)).blocks, 40_000);
    const { size } = Deno.statSync(path);
    overwrite(path, 4 * PAGE, noise(size - 8 * PAGE, 7));
    // These go to many pages of the index.
    const targets = Array.from({ length: 200 }, (_, n) => `20.0.${n}.7`);
    await daemon.ask(`remove ${targets.slice(0, 100).join(" ")}`);
    await daemon.ask(`add ${targets.slice(150).join(" ")} 192.0.2.1`);
    const state = await daemon.ask("state");
    assert.deepEqual([state.size, state.pending, state.trouble], [39_944, 0, null]);
    assert.equal(state.troubles.length, 1);
    assert.match(state.troubles[0], /damaged.*set aside and written anew/);
    assert.equal(state.mends.length, 1);
    assert.equal(setAsideFiles(folder).length, 1);
    assert.equal((await daemon.ask(`stored ${path}`)).length, 39_944);
    await daemon.kill();
    using list = BlockDatabase.open(path);
    list.check();
  });
});

Deno.test("rows deleted before the damage do not come back", async () => {
  await withDatabase((path) => {
    makeDatabase(path, 5_000);
    {
      using list = BlockDatabase.open(path);
      list.remove(blocks(4_000).map((b) => b.target));
    }
    overwrite(path, 16, noise(84, 5)); // the header: only the pages are left to read
    const salvage = salvageImage(readImage(path));
    const wrong = blocks(4_000).filter((b) => salvage.blocks.has(b.target));
    assert.deepEqual(wrong, []);
    assert.equal(salvage.blocks.size, 1_000);
  });
});

Deno.test("the image of a database with its log is what SQLite reads", async () => {
  await withDatabase((path) => {
    const list = BlockDatabase.open(path);
    list.add(blocks(800), NOW);
    list.remove(blocks(100).map((b) => b.target));
    const copy = `${path}.copy`;
    for (const part of ["", "-wal"]) Deno.copyFileSync(path + part, copy + part);
    const salvage = salvageImage(readImage(copy));
    assert.deepEqual([...salvage.blocks.keys()].sort(), targetsOf(list).sort());
    assert.deepEqual(salvage.bare, []);
    // A torn last frame counts for nothing, as for SQLite.
    const wal = Deno.readFileSync(`${copy}-wal`);
    const torn = salvageImage(applyWal(Deno.readFileSync(copy), wal.subarray(0, wal.length - 1)));
    Deno.truncateSync(`${copy}-wal`, wal.length - 1);
    using sqlite = BlockDatabase.open(copy);
    assert.deepEqual([...torn.blocks.keys()].sort(), targetsOf(sqlite).sort());
    list.close();
  });
});

Deno.test("salvage takes any bytes without an error and saves the rows of all pages that are whole", async () => {
  await withDatabase((path) => {
    makeDatabase(path, 400);
    const image = Deno.readFileSync(path);
    const pages = image.length / PAGE;
    const rowsOf = Array.from({ length: pages }, (_, page) => {
      const alone = new Uint8Array(image.length);
      alone.set(image.subarray(page * PAGE, (page + 1) * PAGE), page * PAGE);
      return [...salvageImage(alone).blocks.values()];
    });
    assert.equal(rowsOf.flat().length, 400);
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            at: fc.oneof(fc.nat(image.length - 1), fc.nat(99)),
            bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
          }),
          { minLength: 1, maxLength: 20 },
        ),
        (wounds) => {
          const copy = image.slice();
          for (const { at, bytes } of wounds) copy.set(bytes.subarray(0, copy.length - at), at);
          const { blocks } = salvageImage(copy);
          for (let page = 0; page < pages; page++) {
            const [start, end] = [page * PAGE, (page + 1) * PAGE];
            if (wounds.some(({ at, bytes }) => at < end && at + bytes.length > start)) continue;
            for (const { target } of rowsOf[page] ?? []) assert(blocks.has(target), target);
          }
        },
      ),
      { numRuns: 200 },
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 20_000 }),
        fc.uint8Array({ maxLength: 20_000 }),
        (main, wal) => {
          salvageImage(applyWal(Uint8Array.from(main), wal));
        },
      ),
      { numRuns: 200 },
    );
  });
});

Deno.test("databases that were set aside: names do not clash, the oldest are deleted", async () => {
  await withDatabase((path, folder) => {
    assert.equal(setAside(path, NOW), undefined);
    const places = new Set<string | undefined>();
    for (let n = 0; n < SET_ASIDE_MAX + 3; n++) {
      Deno.writeTextFileSync(path, `${n}`);
      Deno.writeTextFileSync(`${path}-wal`, `${n}`);
      places.add(setAside(path, NOW + 1_000 * Math.floor(n / 2)));
    }
    assert.equal(places.size, SET_ASIDE_MAX + 3);
    const left = setAsideFiles(folder);
    assert.equal(left.length, SET_ASIDE_MAX);
    assert.equal([...Deno.readDirSync(folder)].length, 2 * SET_ASIDE_MAX);
    assert.equal(Deno.readTextFileSync(`${folder}/${left.at(-1)}`), `${SET_ASIDE_MAX + 2}`);
  });
});

Deno.test("a start never touches the original's Berkeley DB or a later version", async () => {
  await withDatabase((path, folder) => {
    Deno.copyFileSync(new URL("../testdata/filter.db", import.meta.url), path);
    const before = Deno.readFileSync(path);
    assert.equal(failure(() => WrittenBlockList.open(path)).fault, "foreign");
    assert.deepEqual(Deno.readFileSync(path), before);
    assert.deepEqual(setAsideFiles(folder), []);
    Deno.removeSync(path);
    BlockDatabase.open(path).close();
    const db = new DatabaseSync(path);
    db.exec("PRAGMA user_version = 99");
    db.close();
    assert.equal(failure(() => WrittenBlockList.open(path)).fault, "newer");
    // The lock was given back each time.
    lockDatabase(path).release();
  });
});
