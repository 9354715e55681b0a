/**
 * Slow guessers and insiders: the compiled program, its database and the kernel, over a restart.
 */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { blocked, emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, makeChain, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const AMI_PORT = 5038;
const HOUR = 3_600_000;
const SLOW = "203.0.113.9";
const OFFICE = "198.51.100.10";
const DATABASE = "/var/lib/ampere/ampere.db";

onOwnMachine(import.meta.url, (executable) => {
  const ampere = (args: readonly string[], stdin = "") =>
    runToEnd([executable, ...args], { stdin, deadlineMs: 30_000 });
  const why = async (target: string) => {
    const { out, err } = await ampere(["--why", "--json", target]);
    return JSON.parse(out || JSON.stringify({ err }));
  };
  const begin = async (...lines: string[]) => {
    await emptyFirewall();
    await makeChain();
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    const config = ["pass = s3cret", "backend = iptables", ...lines, ""].join("\n");
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", config, { mode: 0o600 });
  };

  Deno.test("the ninth slow guess blocks, though another life has seen the others", async () => {
    await begin("metrics = 127.0.0.1:9911");
    {
      using list = BlockDatabase.open(DATABASE);
      const last = Date.now() - 25 * HOUR;
      const row = { failures: 8, kind: 0, several: false, first: last - 175 * HOUR, last } as const;
      list.slow.save([[SLOW, { host: SLOW, ...row }]]);
    }
    assert.deepEqual((await why(SLOW)).slow, { count: 8, limit: 9 }, "without a daemon");
    await using asterisk = new AmiServer({ port: AMI_PORT });
    {
      await using running = new Program([executable]);
      const client = await running.alive(asterisk.client());
      assert.deepEqual((await why(SLOW)).slow, { count: 8, limit: 9 });
      const remote = remoteOf(SLOW, "UDP");
      await client.send(wrongAnswer(SLOW, { remote, account: "100" }));
      await running.said(/blocked 203\.0\.113\.9 .*: 9 wrong passwords within 8 d 8 h, /);
      await blocked(SLOW);
      const { blocks } = await why(SLOW);
      assert.deepEqual(blocks.map(({ by }: { by: string }) => by), ["slow guesses"]);
      assert.match(
        (await ampere(["--why", SLOW])).out,
        /^ +for wrong passwords of many days, each after its points were forgotten$/m,
      );
      const status = JSON.parse((await ampere(["--status", "--json"])).out);
      assert.deepEqual(status.slow, { hosts: 1, blocked: 1 });
      const metrics = await (await fetch("http://127.0.0.1:9911/metrics")).text();
      assert.match(metrics, /^ampere_slow_offences_total 1$/m);
      await until("it is written that the next one is too much", async () => {
        using list = BlockDatabase.open(DATABASE, { readOnly: true });
        return await Promise.resolve(list.slow.of(SLOW)?.failures === 8);
      });
      await endsSoon(running);
    }
    // Who deletes the block says that it was wrong, with the daemon or without it.
    assert.equal((await ampere(["-d"], SLOW)).code, 0);
    assert.equal((await why(SLOW)).slow, null);
  });

  Deno.test("an insider is told and blocked, a stale phone beside it is not", async () => {
    await begin("insider = block", "loyalty = 20");
    await using asterisk = new AmiServer({ port: AMI_PORT });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    const stale = "198.51.100.20";
    const remotes = [OFFICE, stale].map((host) => remoteOf(host, "TLS"));
    // Of five answers to one challenge within a moment four are one burst, and cost nothing.
    for (let n = 0; n < 200; n++) {
      for (const [i, host] of [OFFICE, stale].entries()) {
        if (host === OFFICE && n >= 40) continue;
        const remote = remotes[i]!;
        if (n % 5 === 0) await client.send(successfulAuth(host, { remote, account: "666" }));
        const session = host === stale ? { session: "stale" } : {};
        await client.send(wrongAnswer(host, { remote, account: "200", ...session }));
      }
      if (n !== 20) continue;
      await until(
        "the failures are counted",
        async () => (await why(OFFICE)).insider?.count === 21,
      );
      assert.match(
        (await ampere(["--why", OFFICE])).out,
        /^Insider +21 of 31 failures within a day/m,
      );
    }
    await running.said(/198\.51\.100\.10, which logged in as "666", failed more than 30 times/);
    await running.said(/198\.51\.100\.20, .* Phones with old passwords do that/);
    await blocked(OFFICE);
    const { blocks } = await why(OFFICE);
    assert.deepEqual(blocks.map(({ by }: { by: string }) => by), ["insider"]);
    const { insiders } = JSON.parse((await ampere(["--status", "--json"])).out);
    assert.deepEqual(
      insiders.last.map((
        { host, login, account, likePhones }: Record<string, unknown>,
      ) => [host, login, account, likePhones]),
      [[OFFICE, "666", "200", false], [stale, "666", "200", true]],
    );
    await endsSoon(running);
  });
});
