/** What blocked hosts did, in the file: bounded, pruned, and readable whatever stands there. */

import assert from "node:assert/strict";
import {
  ATTEMPTS_KEPT_MAX,
  type Evidence,
  EVIDENCE_AGE_MAX_MS,
  EVIDENCE_ROWS_MAX,
} from "../../src/blocks/evidence.ts";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { MIGRATIONS } from "../../src/blocks/schema.ts";
import { salvageFile } from "../../src/blocks/opening.ts";
import { address, block, meddle, NOW, withDatabase } from "../support/database_samples.ts";

const HOST = "203.0.113.5";

function evidence(target = HOST, count = 3, at = NOW): Evidence {
  return {
    target,
    host: HOST,
    at,
    attempts: Array.from({ length: count }, (_, i) => ({
      at: at - 1_000 * (count - i),
      what: "wrong password",
      service: "PJSIP",
      transport: "TCP",
      account: `${i}`,
      points: 5,
    })),
  };
}

Deno.test("evidence: is there again, in a file of the version before, which that version still opens", async () => {
  await withDatabase((path) => {
    {
      using list = BlockDatabase.open(path);
      list.add([block(HOST)], NOW);
      assert.equal(list.evidence.of(HOST), undefined);
      assert.deepEqual(list.points.all(), []);
    }
    {
      using list = BlockDatabase.open(path, { readOnly: true });
      assert.equal(list.evidence.of(HOST), undefined);
      assert.deepEqual(list.evidence.targets(), []);
    }
    using list = BlockDatabase.open(path);
    list.evidence.save([evidence()], NOW);
    assert.deepEqual(list.evidence.of(HOST), evidence());
    // What an earlier version asks of the file: its number is the same.
    meddle(path, "CREATE TEMP TABLE t AS SELECT user_version AS v FROM pragma_user_version");
    using read = BlockDatabase.open(path, { readOnly: true });
    assert.deepEqual(read.evidence.of(HOST), evidence());
    assert.equal(MIGRATIONS.length, 2);
    // Neither table is taken for one of blocks by who saves a damaged file.
    list.points.save([points(HOST)], []);
    list.checkpoint();
    const saved = salvageFile(path);
    assert.deepEqual([...saved.blocks.keys()], [HOST]);
    assert.deepEqual([saved.bare, saved.history.size, saved.standing.size], [[], 0, 0]);
  });
});

function points(host: string) {
  return {
    host,
    firstAt: NOW - 1_000,
    lastAt: NOW,
    points: 10,
    soft: 4,
    proven: 5,
    session: -1,
    tally: [1, 1, 0, 0, 0, 0],
    accounts: [{ account: "\0SIP", points: 5, session: 7 }],
  };
}

Deno.test("evidence: a further block adds to it, twenty attempts stay, the same ones once", async () => {
  await withDatabase((path) => {
    using list = BlockDatabase.open(path);
    list.evidence.save([evidence(HOST, 15)], NOW);
    list.evidence.save([evidence(HOST, 15)], NOW);
    assert.equal(list.evidence.of(HOST)?.attempts.length, 15);
    // The clock was set back since.
    const later = evidence(HOST, 10, NOW - 3_600_000);
    list.evidence.save([later], NOW);
    const kept = list.evidence.of(HOST)!;
    assert.equal(kept.attempts.length, ATTEMPTS_KEPT_MAX);
    assert.deepEqual(kept.attempts.slice(-10), later.attempts);
  });
});

Deno.test("evidence: thirty days, and so many targets", async () => {
  await withDatabase((path) => {
    using list = BlockDatabase.open(path);
    list.evidence.save([evidence(HOST, 1, NOW - EVIDENCE_AGE_MAX_MS + 1)], NOW);
    assert.notEqual(list.evidence.of(HOST), undefined);
    list.evidence.save([evidence("203.0.113.6")], NOW + 2);
    assert.equal(list.evidence.of(HOST), undefined);
    const many = Array.from(
      { length: EVIDENCE_ROWS_MAX },
      (_, i) => evidence(address(i), 1, NOW + i + 1),
    );
    list.evidence.save(many, NOW);
    assert.equal(list.evidence.targets().length, EVIDENCE_ROWS_MAX);
    assert.equal(list.evidence.of("203.0.113.6"), undefined);
    assert.equal(list.evidence.targets()[0], address(EVIDENCE_ROWS_MAX - 1));
  });
});

Deno.test("points: are there again; a host that is released by hand has none", async () => {
  await withDatabase((path) => {
    using list = BlockDatabase.open(path);
    const later = { ...points("2001:db8::5"), lastAt: NOW + 1 };
    list.points.save([later, points(HOST)], []);
    assert.deepEqual(list.points.all(), [points(HOST), later]);
    list.points.save([{ ...points(HOST), points: 14 }], ["2001:db8::5"]);
    assert.deepEqual(list.points.all(), [{ ...points(HOST), points: 14 }]);
    list.add([block(HOST)], NOW);
    assert.deepEqual(list.remove([HOST]), [HOST]);
    assert.deepEqual(list.points.all(), []);
  });
});

Deno.test("evidence and points: rows of others are left out, whatever they hold", async () => {
  await withDatabase((path) => {
    using list = BlockDatabase.open(path);
    list.evidence.save([evidence()], NOW);
    list.points.save([points(HOST)], []);
    const bad = [
      `INSERT INTO evidence VALUES ('x''; DROP', '1.2.3.4', 1, '[]')`,
      `INSERT INTO evidence VALUES ('203.0.113.9', 'nobody', 1, '[]')`,
      `INSERT INTO evidence VALUES ('203.0.113.10', '203.0.113.10', 1, '{"a":')`,
      `INSERT INTO evidence VALUES ('203.0.113.11', '203.0.113.11', 9e15, '[1,[2],[3,"a","b","c","d",1e99]]')`,
      `INSERT INTO points VALUES ('203.0.113.0/24', 1, 1, 5, '[0,0,0,[],[]]')`,
      `INSERT INTO points VALUES ('203.0.113.12', 1, 1, -5, '[0,0,0,[],[]]')`,
      `INSERT INTO points VALUES ('203.0.113.13', 1, 1, 5, '[0,0]')`,
      `INSERT INTO points VALUES ('203.0.113.14', 1, 1, 5, 'null')`,
    ];
    meddle(path, bad.join(";"));
    assert.equal(list.evidence.of("203.0.113.9"), undefined);
    assert.equal(list.evidence.of("203.0.113.10"), undefined);
    assert.deepEqual(list.evidence.of("203.0.113.11")?.attempts.map(({ points }) => points), [
      1_000_000,
    ]);
    assert(!list.evidence.targets().includes("x'; DROP"));
    assert.deepEqual(list.points.all().map(({ host }) => host), [HOST]);
  });
});
