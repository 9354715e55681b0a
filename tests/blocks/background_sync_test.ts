import assert from "node:assert/strict";
import { BackgroundSync } from "../../src/blocks/background_sync.ts";
import { withDatabase } from "../support/database_samples.ts";
import { until } from "../support/namespace.ts";

/** Counts how often files are brought onto the disk, and how many at a time at most. */
function watchedDisk() {
  const { open } = Deno;
  const { syncData } = Deno.FsFile.prototype;
  const seen = { tried: 0, begun: 0, ended: 0, mostAtOnce: 0 };
  Deno.open = async (...args) => {
    try {
      return await open(...args);
    } finally {
      seen.tried++;
    }
  };
  Deno.FsFile.prototype.syncData = async function (this: Deno.FsFile) {
    seen.mostAtOnce = Math.max(seen.mostAtOnce, ++seen.begun - seen.ended);
    try {
      await syncData.call(this);
    } finally {
      seen.ended++;
    }
  };
  return Object.assign(seen, {
    [Symbol.dispose]() {
      Deno.open = open;
      Deno.FsFile.prototype.syncData = syncData;
    },
  });
}

function handlesOf(path: string): number {
  const handles = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch {
      return undefined; // That of the folder itself.
    }
  });
  return handles.filter((handle) => handle === path).length;
}

Deno.test("background sync: what is asked for meanwhile is done together by the next one", async () => {
  await withDatabase(async (path) => {
    Deno.writeTextFileSync(path, "a");
    using disk = watchedDisk();
    const errors: unknown[] = [];
    const sync = new BackgroundSync(path, (error) => errors.push(error));
    assert.equal(disk.begun, 0);
    sync.request();
    await until("it has begun", () => disk.begun === 1);
    for (let n = 0; n < 100; n++) sync.request();
    await until("all is on the disk", () => disk.ended === 2);
    // And later again.
    sync.request();
    await until("it is done again", () => disk.ended === 3);
    assert.deepEqual([disk.begun, disk.mostAtOnce, errors], [3, 1, []]);
    await until("no file is open any more", () => handlesOf(path) === 0);
  });
});

Deno.test("background sync: a log that is gone is no error, and comes back", async () => {
  await withDatabase(async (path) => {
    using disk = watchedDisk();
    const errors: unknown[] = [];
    const sync = new BackgroundSync(path, (error) => errors.push(error));
    sync.request();
    await until("it is looked for", () => disk.tried === 1);
    Deno.writeTextFileSync(path, "a");
    sync.request();
    await until("it is on the disk", () => disk.ended === 1);
    assert.deepEqual(errors, []);
  });
});

Deno.test("background sync: each error is told, and the next request tries again", async () => {
  await withDatabase(async (path) => {
    Deno.writeTextFileSync(path, "");
    using disk = watchedDisk();
    const errors: unknown[] = [];
    const log = `${path}/log`;
    const sync = new BackgroundSync(log, (error) => errors.push(error));
    for (let told = 1; told <= 2; told++) {
      sync.request();
      await until("it is told", () => errors.length === told);
    }
    assert.ok(errors.every((error) => error instanceof Error), String(errors));
    Deno.removeSync(path);
    Deno.mkdirSync(path);
    Deno.writeTextFileSync(log, "a");
    sync.request();
    await until("it is on the disk", () => disk.ended === 1);
    assert.equal(errors.length, 2);
  });
});
