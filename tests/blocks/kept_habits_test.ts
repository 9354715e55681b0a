/** From where accounts log in, in the file. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { ACCOUNTS_MAX, type Habit, PLACES_MAX, readHabit } from "../../src/blocks/kept_habits.ts";

const NOW = Date.UTC(2026, 10, 30);

function habit(account: string, last = NOW): Habit {
  return {
    account,
    countries: { since: NOW - 1_000, seen: new Map([["DE", last], ["AT", last - 5]]) },
    networks: { since: undefined, seen: new Map() },
  };
}

async function withDatabase(run: (database: BlockDatabase, path: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/ampere.db`;
  try {
    using database = BlockDatabase.open(path);
    run(database, path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("habits: what is written is read again, the newest last; a file without them has none", async () => {
  await withDatabase((database, path) => {
    assert.deepEqual(database.habits.all(), []);
    database.habits.save([habit("PJSIP 100"), habit("PJSIP 101", NOW - 10)]);
    database.habits.save([habit("PJSIP 100", NOW + 5)]);
    using other = BlockDatabase.open(path, { readOnly: true });
    assert.deepEqual(other.habits.all(), [
      habit("PJSIP 101", NOW - 10),
      habit("PJSIP 100", NOW + 5),
    ]);
  });
});

Deno.test("habits: the table is bounded", async () => {
  await withDatabase((database) => {
    const many = Array.from({ length: ACCOUNTS_MAX + 10 }, (_, i) => habit(`${i}`, NOW + i));
    database.habits.save(many);
    const kept = database.habits.all();
    assert.equal(kept.length, ACCOUNTS_MAX);
    assert.equal(kept[0]!.account, "10");
  });
});

Deno.test("habits: a row that holds anything else is none, or holds less", () => {
  const good = JSON.stringify([[1, [["DE", 2]]], [null, [[64_500, 3]]]]);
  assert.deepEqual(readHabit(["PJSIP 100", good]), {
    account: "PJSIP 100",
    countries: { since: 1, seen: new Map([["DE", 2]]) },
    networks: { since: undefined, seen: new Map([[64_500, 3]]) },
  });
  const bad: unknown[][] = [
    [],
    [1, good],
    ["", good],
    ["a", 1],
    ["a", "[]"],
    ["a", "[[1,[]]]"],
    ["a", "[[1],[1]]"],
    ["a", "[1,2]"],
    ["a", "{"],
    ["a", `[[1,[]],[1,[]],"${"x".repeat(5_000)}"]`],
  ];
  for (const row of bad) assert.equal(readHabit(row), undefined, JSON.stringify(row).slice(0, 40));
  const odd = JSON.stringify([["x", [["de", 1], ["DE"], 5, ["FR", 1e300], ["IT", 4]]], [0, [[
    "1",
    1,
  ], [0, 1]]]]);
  const read = readHabit(["a", odd])!;
  assert.deepEqual([...read.countries.seen.keys()], ["FR", "IT"]);
  assert.equal(read.networks.seen.size, 0);
  const many = JSON.stringify([[
    1,
    Array(99).fill(0).map((_, i) => [`A${String.fromCharCode(65 + i % 26)}`, i]),
  ], [1, []]]);
  assert.ok(readHabit(["a", many])!.countries.seen.size <= PLACES_MAX);
});
