/**
 * A database that the executable of version 1.0.0 has left is taken over by the compiled program as
 * it is.
 *
 * `tests/testdata/ampere-1.0.0.db` was made by that executable on a machine of its own: blocks by
 * hand (a network, a line of `-l` of 2014), blocks of PJSIP and SIP over UDP, TCP and TLS, for ever
 * and until 2036, one of a host that came back twice, an account with control characters; blocks
 * that ended by their time and by hand; three hosts in good standing.
 */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { challengeSent } from "../support/asterisk_events.ts";
import { AmiServer } from "./ami_server.ts";
import { attack, blocked, endsSoon } from "./installed.ts";
import { emptyFirewall, makeChain, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const FIXTURE = new URL("../testdata/ampere-1.0.0.db", import.meta.url).pathname;
const DATABASE = "/var/lib/ampere/ampere.db";

/** Tables of version 1.0.0, with the column by which their rows are sorted here. */
const TABLES = { block: "target", history: "target", standing: "host" } as const;

type Row = Record<string, unknown>;

onOwnMachine(import.meta.url, (executable) => {
  Deno.test("a database of version 1.0.0 is taken over as it is", async () => {
    await using asterisk = new AmiServer();
    await emptyFirewall();
    await makeChain();
    // The logins in it are as old as this test, and count all the same.
    await Deno.writeTextFile(
      "/etc/ampere/ampere.cfg",
      `port = ${asterisk.port}\ncredit = 3650d\nbantime = 1h\nbantime_factor = 2\n`,
    );
    await Deno.copyFile(FIXTURE, DATABASE);
    const before = tablesOf(DATABASE);
    const list = async () => {
      const { code, out, err } = await runToEnd([executable, "-l", "--json"]);
      assert.equal(code, 0, err);
      // Whether they are in force, and who has brought them, is not theirs.
      return out.trim().split("\n").map((line) => JSON.parse(line))
        .map(({ inForce: _inForce, origin: _origin, ...row }) => row);
    };
    const byTarget = (rows: Row[]) =>
      rows.toSorted((a, b) => String(a.target) < String(b.target) ? -1 : 1);

    // -l alone changes nothing in it.
    assert.deepEqual(byTarget(await list()), before.block.map(asListed));
    assert.deepEqual(tablesOf(DATABASE), before);

    await using daemon = new Program([executable]);
    const client = await daemon.alive(asterisk.client());
    await daemon.said(/10 blocks from/);
    const targets = before.block.map(({ target }) => String(target));
    await blocked(...targets);
    assert.deepEqual(tablesOf(DATABASE), before);
    assert.deepEqual(byTarget(await list()), before.block.map(asListed));
    assert.doesNotMatch(daemon.text, /list of blocks is new/);

    // Whoever was in good standing still is; who has been blocked before is blocked for longer.
    await attack(client, "192.0.2.10", "TCP");
    await attack(client, "198.51.100.30", "TCP");
    await blocked(...targets, "198.51.100.30");
    await daemon.said(/blocked 198\.51\.100\.30 until .* \(2 h\)/);
    // The list is not new, so nobody learns: unanswered challenges cost something.
    for (let i = 0; i < 3; i++) await client.send(challengeSent("203.0.113.99"));
    await blocked(...targets, "198.51.100.30", "203.0.113.99");
    await endsSoon(daemon);
    const after = tablesOf(DATABASE);
    const kept = (rows: Row[]) => rows.filter(({ target }) => targets.includes(String(target)));
    assert.deepEqual(kept(after.block), before.block);
    assert.deepEqual(after.standing, before.standing);
  });
});

/** All rows of version 1.0.0. */
function tablesOf(path: string): Record<keyof typeof TABLES, Row[]> {
  using db = new DatabaseSync(path, { readOnly: true });
  const rows = (table: keyof typeof TABLES) =>
    db.prepare(`SELECT * FROM ${table} ORDER BY ${TABLES[table]}`).all()
      .map((row) => ({ ...row }));
  return { block: rows("block"), history: rows("history"), standing: rows("standing") };
}

/** A row as `-l --json` shows it. */
function asListed(row: Row): Row {
  const time = (ms: unknown) => ms === null ? null : new Date(Number(ms)).toISOString();
  return { ...row, since: time(row.since), until: time(row.until) };
}
