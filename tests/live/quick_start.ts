/**
 * The steps of docs/by-hand.md on a machine where of all firewalls there is nft alone.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";
import type { Server } from "../../tools/asterisk.ts";
import { emptyFirewall } from "../e2e/machine.ts";
import { Program, runToEnd } from "../e2e/program.ts";
import { sh, until } from "../support/namespace.ts";
import { CONFIG } from "./ampere.ts";
import { Asterisk, hostOf } from "./asterisk.ts";
import { LOYALTY } from "./blocking.ts";
import { pbx, PJSIP } from "./pbx.ts";
import { AMPERE_CFG, CHECK_COMMAND, QUICK_MANAGER_CONF } from "./readme.ts";
import { Site } from "./site.ts";

/** What runs on the other machine. */
const GUESS = new URL("./guess.ts", import.meta.url).pathname;
const KNOCK = new URL("../e2e/knock.ts", import.meta.url).pathname;

/**
 * Registers the test.
 *
 * @param server which Asterisk
 * @param executable Ampere
 * @param root Asterisk's file system
 */
export function testQuickStart(server: Server, executable: string, root: string): void {
  Deno.test(`Asterisk ${server.version}: the steps by hand, with nft alone`, async () => {
    await emptyFirewall();
    await using _asterisk = await Asterisk.start(root, pbx(QUICK_MANAGER_CONF));
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) {
      await Deno.remove(folder, { recursive: true });
      await Deno.mkdir(folder, { mode: 0o750 });
    }
    await Deno.writeTextFile(CONFIG, await configured(), { mode: 0o640 });
    const path = await Deno.makeTempDir({ dir: "/run" });
    await Deno.symlink(executable, `${path}/ampere`);
    await Deno.symlink((await sh("sh", "-c", "command -v nft")).out.trim(), `${path}/nft`);
    const env = { PATH: path };
    const ampere = (command: string, stdin = "") =>
      runToEnd(["/bin/sh", "-c", command], { env, stdin, deadlineMs: 40_000 });

    const { code, out } = await ampere(CHECK_COMMAND);
    assert.equal(code, 0, out);
    assert.doesNotMatch(out, /^(?:warning|problem)/m);
    assert.match(out, /^ok +firewall +backend = auto: nftables, because .* iptables is not inst/m);

    await using site = await Site.open(hostOf("attacker"));
    await using daemon = new Program([`${path}/ampere`], { env });
    await daemon.said(/logged in at .*: following the security events$/, 0, 30_000);
    const deno = [Deno.execPath(), "run", "-A", "--no-check"];
    const port = String(PJSIP.port);
    const knock = () => site.run(...deno, KNOCK, site.host, site.pbx, port);
    assert.match(await knock(), /^reached/);
    const answers = await site.run(...deno, GUESS, site.host, site.pbx, port, String(LOYALTY));
    assert.match(answers, /^(?:40[13]\n){3}$/);
    await until("the guesser is refused", async () => (await knock()).startsWith("refused"));
    assert.match((await ampere("ampere -l")).out, new RegExp(`${site.host} .*3 wrong passwords`));
    assert.match((await ampere("ampere --status")).out, /in order: nftables, table inet ampere, 1/);
    assert.equal((await ampere("ampere -d", `${site.host}\n`)).code, 0);
    await until("the guesser is let in", async () => (await knock()).startsWith("reached"));
    daemon.signal("SIGTERM");
    assert.equal((await daemon.end()).code, 0, daemon.text);
    assert.doesNotMatch(daemon.text, /^\S+ \S+ (?:warn|error)/m);
    assert.doesNotMatch((await sh("iptables", "-S")).out, /ampere/);
    await sh("nft", "delete", "table", "inet", "ampere");
  });
}

/** The file that is installed, with the lines that docs/by-hand.md changes. */
async function configured(): Promise<string> {
  const text = await Deno.readTextFile(join(PROJECT, "ampere.cfg"));
  const keys = AMPERE_CFG.split("\n").flatMap((line) => /^[a-z_]+/.exec(line)?.[0] ?? []);
  const isChanged = (line: string) => keys.some((key) => new RegExp(`^${key} *=`).test(line));
  return text.split("\n").filter((line) => !isChanged(line)).join("\n") + AMPERE_CFG;
}
