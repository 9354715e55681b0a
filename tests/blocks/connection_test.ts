/** How a file is opened. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { BERKELEY, block, withDatabase } from "../support/database_samples.ts";
import { failure } from "../support/faulty_database.ts";

Deno.test("connection: an existing file keeps its rights", async () => {
  await withDatabase((path) => {
    Deno.writeFileSync(path, new Uint8Array(), { mode: 0o600 });
    using list = BlockDatabase.open(path);
    list.add([block("192.0.2.1")]);
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
  });
});

Deno.test("connection: a foreign file beside which a write-ahead log was left stays as it is", async () => {
  await withDatabase((path) => {
    const list = BlockDatabase.open(path);
    list.add([block("192.0.2.1")]);
    for (const part of ["-wal", "-shm"]) Deno.copyFileSync(path + part, `${path}2${part}`);
    list.close();
    Deno.copyFileSync(BERKELEY, `${path}2`);
    assert.equal(failure(() => BlockDatabase.open(`${path}2`)).fault, "foreign");
    assert.deepEqual(Deno.readFileSync(`${path}2`), Deno.readFileSync(BERKELEY));
  });
});

Deno.test("connection: a reader who must not write sees the list, also while a daemon writes", async () => {
  await withDatabase((path) => {
    using daemon = BlockDatabase.open(path);
    daemon.add([block("192.0.2.1")]);
    using reader = BlockDatabase.open(path, { readOnly: true });
    assert.equal(reader.isSnapshot, false);
    daemon.add([block("192.0.2.2")]);
    assert.deepEqual(reader.entries().map(({ target }) => target).sort(), [
      "192.0.2.1",
      "192.0.2.2",
    ]);
    assert.equal(failure(() => reader.add([block("192.0.2.3")])).fault, "readonly");
  });
});
