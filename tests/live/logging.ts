/**
 * What a real Asterisk writes into its logs is what --replay reads, in every form.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Server } from "../../tools/asterisk.ts";
import { until } from "../support/namespace.ts";
import { install } from "./ampere.ts";
import { AMI_PORT, Asterisk, hostOf } from "./asterisk.ts";
import { guess, LOYALTY, UNFILTERED } from "./blocking.ts";
import { CHAN_SIP, type Driver, pbx, PJSIP } from "./pbx.ts";
import { SipAgent } from "./sip.ts";

/** A log of each form; `security` and `messages` as in logger.conf of most. */
const LOGGER_CONF = `
[general]
dateformat = %F %T
[logfiles]
console => security,notice,warning,error
security => security
messages => notice,warning,error
full => security,notice,warning,error,verbose
plain => [plain]security,notice,warning,error
json => [json]security,notice,warning,error
`;

/** An endpoint for callers without an account. */
const ANONYMOUS = `
[anonymous]
type = endpoint
context = phones
disallow = all
allow = ulaw
`;

interface Found {
  readonly type: string;
  readonly target?: string;
  readonly reason?: string;
  readonly toldTwice?: number;
  readonly tampered?: Record<string, number>;
}

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param executable what runs
 * @param root Asterisk's file system
 */
export function testLogging(server: Server, executable: string, root: string): void {
  const drivers = [PJSIP, CHAN_SIP].filter(({ name }) => server.drivers.includes(name));
  Deno.test(`Asterisk ${server.version}: its logs are read in every form, and say the same`, async () => {
    const files = pbx(UNFILTERED);
    await using asterisk = await Asterisk.start(root, {
      ...files,
      "logger.conf": LOGGER_CONF,
      "pjsip.conf": files["pjsip.conf"] + ANONYMOUS,
    });
    await install();
    const guessers = await Promise.all(drivers.map(async (driver) => {
      const host = hostOf("attacker");
      await guess(host, driver, LOYALTY);
      return host;
    }));
    const managers = hostOf("attacker");
    for (let i = 0; i < LOYALTY; i++) await failAtManager(managers);
    const callers: [Driver, string][] = [];
    for (const driver of drivers) {
      const host = hostOf("attacker");
      callers.push([driver, host]);
      using agent = await SipAgent.open(host, driver, "nobody");
      for (let i = 0; i <= LOYALTY; i++) assert.equal(await agent.invite(`0097259555010${i}`), 404);
    }
    // The logs are written by a thread of their own.
    const last = callers.at(-1)![1];
    await until("the calls are in the logs", async () => {
      const messages = await asterisk.log("messages");
      return messages.split("\n").filter((line) => line.includes(`${last}:`)).length > LOYALTY;
    });
    const calls = (name: Driver["name"]) =>
      callers.filter(([driver]) => driver.name === name).map(([, host]) => host);
    // chan_sip raises an event for a number that does not exist, PJSIP does not.
    const told = [...guessers, managers, ...calls("chan_sip")].sort();
    const logs = ["security", "messages", "full", "plain", "json", "console"];
    for (const log of logs) {
      const text = log === "console" ? asterisk.console : await asterisk.log(log);
      const { found, err } = await replayed(executable, text);
      const targets = (type: string) =>
        found.filter((one) => one.type === type).map(({ target }) => target!).sort();
      assert.deepEqual(targets("block"), told, `${log}: ${err}`);
      assert.deepEqual(targets("notBlocked"), log === "security" ? [] : calls("PJSIP"), log);
      const totals = found.at(-1)!;
      assert.deepEqual(totals.tampered, {}, log);
      assert.equal(totals.toldTwice! > 0, log !== "security", log);
      assert.doesNotMatch(err, /warning/, log);
      // A request that several lines tell of is one.
      for (const { type, reason } of found) {
        if (type === "block") assert.match(reason!, /^3 (?:wrong|refused) /, log);
      }
    }
  });
}

/** Logs in at the manager interface with a wrong password. */
function failAtManager(host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port: AMI_PORT, localAddress: host });
    socket.on("error", reject);
    socket.on("close", () => resolve());
    socket.on("data", () => {});
    socket.write("Action: Login\r\nUsername: ampere\r\nSecret: wrong\r\n\r\n");
  });
}

async function replayed(
  executable: string,
  log: string,
): Promise<{ found: Found[]; err: string }> {
  const child = new Deno.Command(executable, {
    args: ["--json", "--replay", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(log));
  await writer.close();
  const { stdout, stderr } = await child.output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return {
    found: out!.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line)),
    err: err!,
  };
}
