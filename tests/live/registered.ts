/**
 * Who is registered when Ampere starts for the first time belongs here.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Server } from "../../tools/asterisk.ts";
import { Ampere, CONFIGURATION } from "./ampere.ts";
import { Asterisk, hostOf } from "./asterisk.ts";
import { guess, LOYALTY, nothingTampered } from "./blocking.ts";
import { CHAN_SIP, passwordOf, pbx, PJSIP, sipConf } from "./pbx.ts";
import { MANAGER_CONF } from "./readme.ts";
import { SipAgent } from "./sip.ts";

/** What the user of README.md may do as well, to ask: Asterisk names both drivers to each. */
const ASKING = ["reporting", "system"] as const;

/** What a phone behind NAT believes its address to be. */
const BEHIND_NAT = "192.168.77.7";

const LEARNING = CONFIGURATION.replace("learn = 0\n", "");

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param executable Ampere
 * @param root Asterisk's file system
 */
export function testRegistered(server: Server, executable: string, root: string): void {
  const drivers = [PJSIP, CHAN_SIP].filter(({ name }) => server.drivers.includes(name));
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`Asterisk ${server.version}: ${name}`, body);

  for (const write of ASKING) {
    test(
      `with write = ${write} who is registered at the first start is in good standing, where it is certain from where`,
      () => standing(`${MANAGER_CONF.trimEnd()}\nwrite = ${write}\n`),
    );
  }

  /** Phones of each driver that Asterisk has seen, and others, before Ampere is there. */
  async function standing(manager: string): Promise<void> {
    const files = pbx(manager);
    await using _asterisk = await Asterisk.start(root, {
      ...files,
      "pjsip.conf": files["pjsip.conf"]!.replace(
        "type = endpoint\ncontext = phones\ndisallow = all\nallow = ulaw\nauth = 100\n",
        (endpoint) => `${endpoint}rewrite_contact = yes\n`,
      ),
      "sip.conf": `${sipConf()}\n`.replace("[100]\n", "[100]\nnat = force_rport,comedia\n"),
    });
    const known: string[] = [];
    const unknown: string[] = [];
    for (const driver of drivers) {
      for (const [account, hosts] of [["100", known], ["101", unknown]] as const) {
        const host = hostOf("phone");
        using phone = await SipAgent.open(host, driver, account);
        const password = passwordOf(account);
        assert.equal(await phone.register({ password, contact: BEHIND_NAT }), 200);
        hosts.push(host);
      }
    }
    await using ampere = await Ampere.start(executable, LEARNING);
    const said = await ampere.said(/of registered phones/);
    assert.match(said, new RegExp(`names ${known.length} address.*from now on: ${known.length}$`));
    for (const [i, driver] of drivers.entries()) {
      // Far more wrong passwords than a stranger may have.
      await guess(known[i]!, driver, 2 * LOYALTY);
      await guess(unknown[i]!, driver, LOYALTY);
    }
    await ampere.blocks(...unknown);
    await nothingTampered(ampere);
    await ampere.ends();
  }

  test("whose user may not ask is told, and works", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable, LEARNING);
    await ampere.said(
      /not known for certain.*may not ask .* PJSIP, which needs "write = reporting"/,
    );
    const attackers = drivers.map(() => hostOf("attacker"));
    for (const [i, driver] of drivers.entries()) await guess(attackers[i]!, driver, LOYALTY);
    await ampere.blocks(...attackers);
    await ampere.ends();
  });
}
