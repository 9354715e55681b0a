/** Blocks that the database does not take, and the end of the compiled program. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { attack } from "./installed.ts";
import { emptyFirewall, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const DATABASE = "/var/lib/ampere/ampere.db";

onOwnMachine(import.meta.url, (executable) => {
  Deno.test("a block that the database does not take outlives SIGKILL, and -d takes it back", async () => {
    await emptyFirewall();
    await using asterisk = new AmiServer({ port: 5038 });
    await Deno.writeTextFile(
      "/etc/ampere/ampere.cfg",
      "pass = s3cret\nbackend = nftables\nlearn = 0\nneighbours = 0\n",
    );
    const refused = async (...targets: string[]) =>
      await until(`refused are ${targets}`, async () => {
        const { out } = await sh("nft", "-s", "list", "set", "inet", "ampere", "hosts4");
        return [...out.matchAll(/203\.0\.113\.\d+/g)].sort().join() === targets.join();
      });
    const del = (target: string) => runToEnd([executable, "-d"], { stdin: `${target}\n` });

    await using first = new Program([executable]);
    const client = await first.alive(asterisk.client());
    await attack(client, "203.0.113.1", "TCP");
    await refused("203.0.113.1");
    using other = new DatabaseSync(DATABASE);
    other.exec("BEGIN EXCLUSIVE");
    for (const host of ["203.0.113.2", "203.0.113.3"]) await attack(client, host, "TCP");
    await refused("203.0.113.1", "203.0.113.2", "203.0.113.3");
    first.signal("SIGKILL");
    await first.end();

    await using second = new Program([executable]);
    await second.alive(asterisk.client());
    await second.said(
      /2 changes that .*ampere\.db did not take .* were kept in .*, and taken over/,
    );
    await refused("203.0.113.1", "203.0.113.2", "203.0.113.3");
    second.signal("SIGKILL");
    await second.end();
    other.exec("ROLLBACK");
    assert.equal((await del("203.0.113.2")).out, "1 deleted\n");
    assert.equal((await del("203.0.113.2")).code, 1);

    await using third = new Program([executable]);
    await third.alive(asterisk.client());
    await refused("203.0.113.1", "203.0.113.3");
    const { out } = await runToEnd([executable, "-l"]);
    assert.deepEqual([...out.matchAll(/203\.0\.113\.\d+/g)].join(), "203.0.113.1,203.0.113.3");
  });
});
