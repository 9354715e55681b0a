/**
 * Attacks of many hosts that each stay below every limit, on a real Asterisk: who is blocked, what
 * the kernel refuses, and who is left alone.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Server } from "../../tools/asterisk.ts";
import { until } from "../support/namespace.ts";
import { Ampere, CONFIGURATION } from "./ampere.ts";
import { Asterisk, hostOf } from "./asterisk.ts";
import { guess, LOYALTY, nothingTampered } from "./blocking.ts";
import { isRefused } from "./packet.ts";
import { passwordOf, pbx, PJSIP } from "./pbx.ts";
import { MANAGER_CONF } from "./readme.ts";
import { SipAgent } from "./sip.ts";

/** Hosts with two guesses each. */
const HOSTS = 40;

/** From so many hosts on an account is guarded: the default. */
const GUARD_HOSTS = 10;

/** Registers the tests. */
export function testThin(server: Server, executable: string, root: string): void {
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`Asterisk ${server.version}: ${name}`, body);

  test("of 40 hosts with two guesses each on one account those from the tenth on have one, and the office stays", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable);
    const office = hostOf("phone");
    await register(office);
    const hosts = Array.from({ length: HOSTS }, () => hostOf("bot"));
    for (const host of hosts.slice(0, GUARD_HOSTS - 1)) await guess(host, PJSIP, 1);
    const blocked = hosts.slice(GUARD_HOSTS - 1);
    for (const host of blocked) {
      await guess(host, PJSIP, 1);
      await until(`${host} is refused`, () => isRefused(host, PJSIP.host, PJSIP.port));
    }
    // The office mistypes too, and registers again; somebody new knows the password.
    await guess(office, PJSIP, LOYALTY);
    await register(office);
    await register(hostOf("phone"));
    // Those that failed before it was guarded are blocked for their second guess.
    for (const host of hosts.slice(0, GUARD_HOSTS - 1)) {
      await guess(host, PJSIP, 1);
      await until(`${host} is refused`, () => isRefused(host, PJSIP.host, PJSIP.port));
    }
    // The first of these blocks may be over by now: the log has all of them, soon after the kernel.
    const told = () => [...ampere.text.matchAll(/blocked (\S+) until .* \(25 s\): (.*)/g)];
    await until("the log tells of all of them", () => told().length >= HOSTS);
    assert.deepEqual(told().map(([, host]) => host).sort(), hosts.toSorted());
    for (const [, , why] of told()) {
      assert.match(why!, /^[12] wrong .* \(in doubt: many strangers fail on this account\)$/);
    }
    assert.match(ampere.text, /account "100" \(PJSIP\) is guarded: 10 hosts that never logged in/);
    const { guard } = await ampere.status();
    assert.deepEqual([guard.accounts, guard.blocked], [1, HOSTS]);
    await nothingTampered(ampere);
  });

  test("a /24 that is walked is blocked with its third host, and not by UDP", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable, `${CONFIGURATION}neighbours = 3\n`);
    const forged = Array.from({ length: 4 }, () => hostOf("stranger"));
    for (const host of forged) await guess(host, PJSIP, LOYALTY);
    await ampere.blocks(...forged);
    const walked = Array.from({ length: 3 }, () => hostOf("attacker"));
    for (const host of walked) await guess(host, PJSIP, LOYALTY, "TCP");
    const network = "203.0.113.0/24";
    await ampere.blocks(...forged, ...walked, network);
    const next = hostOf("attacker");
    assert.ok(isRefused(next, PJSIP.host, PJSIP.port));
    await assert.rejects(SipAgent.open(next, PJSIP, "100", "TCP"), /ECONNREFUSED/);
    const reason = await ampere.reason(network);
    assert.ok(reason.endsWith(`3 blocked hosts within a day: ${walked.join(", ")}`), reason);
    assert.equal((await ampere.status()).blocks.networks, 1);
    await nothingTampered(ampere);
  });
}

async function register(host: string): Promise<void> {
  using phone = await SipAgent.open(host, PJSIP);
  assert.equal(await phone.register({ password: passwordOf("100") }), 200);
}
