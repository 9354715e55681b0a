/** One daemon for one chain. */

import assert from "node:assert/strict";
import { ChainTakenError, lockChain } from "../../src/daemon/chain_lock.ts";
import { RUN_FOLDER } from "../../src/telemetry/status_socket.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { inNamespace, sh, until } from "../support/namespace.ts";
import { Program } from "../e2e/program.ts";

const LOCKER = `
import { lockChain } from "${new URL("../../src/daemon/chain_lock.ts", import.meta.url)}";
lockChain(Deno.args[1], Deno.args[0], console.log);
console.log("locked");
setInterval(() => {}, 1_000);
`;

Deno.test("chain lock: another process is refused as long as the first one lives, and told of it", async () => {
  const folder = `${await Deno.makeTempDir()}/run`;
  const doubts: string[] = [];
  const lock = (chain: string) => lockChain(chain, folder, (message) => void doubts.push(message));
  const args = ["eval", LOCKER, folder, "ampere"];
  await using other = new Program([Deno.execPath(), ...args]);
  await other.said(/^locked$/);
  assert.throws(() => lock("ampere"), (error: Error) => {
    assert.ok(error instanceof ChainTakenError);
    assert.match(
      error.message,
      new RegExp(`^another Ampere \\(process ${other.pid}\\) fills the chain ampere`),
    );
    assert.match(error.message, /\nstop that one first, or give this one a `chain` of its own/);
    return true;
  });
  lock("ampere-2")!.release();
  // In nftables both have the table voip_block.
  const table = lock("voip:block")!;
  assert.throws(() => lock("voip_block"), /fills the chain voip_block/);
  table.release();
  other.signal("SIGKILL");
  await other.end();
  const mine = lock("ampere")!;
  assert.throws(() => lock("ampere"), ChainTakenError);
  mine.release();
  lock("ampere")!.release();
  assert.deepEqual(doubts, []);
  await Deno.remove(folder.slice(0, -"/run".length), { recursive: true });
});

Deno.test("chain lock: where there can be none, that is said, and the daemon may go on", () => {
  const doubts: string[] = [];
  assert.equal(
    lockChain("ampere", "/proc/none", (message) => void doubts.push(message)),
    undefined,
  );
  assert.match(
    doubts.join(),
    /^whether another Ampere fills the chain ampere is not known: there can be no lock in \/proc\/none/,
  );
});

inNamespace(import.meta.url, () => {
  Deno.test("chain lock: a second daemon with another database does not start; a dry run does", async () => {
    for (const iptables of ["iptables", "ip6tables"]) await sh(iptables, "-N", "ampere");
    await sh("ip", "link", "set", "lo", "up");
    await using asterisk = new FakeAsterisk({
      users: [{ name: "ampere", secret: "ampere", read: ["security", "system"] }],
    });
    const folder = await Deno.makeTempDir();
    const command = async (name: string, ...more: string[]) => {
      const config = `${folder}/${name}.cfg`;
      await Deno.writeTextFile(
        config,
        `port = ${asterisk.port}\ndatabase = ${folder}/${name}.db\n`,
      );
      const run = ["run", "-A", "--no-check", "main.ts"];
      return new Program([Deno.execPath(), ...run, "-c", config, ...more]);
    };
    await using first = await command("a");
    await first.said(/logged in/);
    await using second = await command("b");
    assert.equal((await second.end()).code, 1);
    assert.match(
      second.text,
      new RegExp(
        `ampere: another Ampere \\(process ${first.pid}\\) fills the chain ampere and holds ${RUN_FOLDER}/`,
      ),
    );
    await using dry = await command("b", "--dry-run");
    await dry.said(/logged in/);
    for (const one of [dry, first]) one.signal("SIGTERM");
    await Promise.all([dry.end(), first.end()]);
    await using third = await command("b");
    await third.said(/logged in/);
    third.signal("SIGTERM");
    await third.end();
    await until("all sessions have ended", () => asterisk.loggedIn === 0);
    await Deno.remove(folder, { recursive: true });
  });
});
