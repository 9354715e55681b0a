/**
 * A list of attackers that names who belongs here, on a real Asterisk: a registered phone and a
 * trunk are never stopped by it.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Server } from "../../tools/asterisk.ts";
import { must } from "../e2e/machine.ts";
import { until } from "../support/namespace.ts";
import { Ampere, CONFIGURATION } from "./ampere.ts";
import { Asterisk, hostOf } from "./asterisk.ts";
import { guess, LOYALTY, nothingTampered } from "./blocking.ts";
import { isRefused } from "./packet.ts";
import { passwordOf, pbx, PJSIP } from "./pbx.ts";
import { baresip, isInstalled, registered } from "./phones.ts";
import { MANAGER_CONF } from "./readme.ts";
import { SipAgent } from "./sip.ts";
import { Site } from "./site.ts";

const LIST = "/etc/ampere/attackers";

/** Guesses from another network. */
const GUESS = new URL("./guess.ts", import.meta.url).pathname;

/** Registers the tests. */
export function testListed(server: Server, executable: string, root: string): void {
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`Asterisk ${server.version}: ${name}`, body);
  const register = async (host: string) => {
    using phone = await SipAgent.open(host, PJSIP);
    assert.equal(await phone.register({ password: passwordOf("100") }), 200);
  };

  test("a list that names a registered phone and a trunk stops neither, and whoever else is on it", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    const [phone, trunk] = [hostOf("phone"), hostOf("stranger")];
    const [attacker, later] = [hostOf("attacker"), hostOf("attacker")];
    const configuration = `${CONFIGURATION}backend = ipset\ntrust = ${trunk}\n` +
      `[feed own]\nurl = file://${LIST}\naction = block\n`;
    await using ampere = await Ampere.start(executable, configuration, { [LIST]: `${attacker}\n` });
    const isListed = (host: string) =>
      until(`${host} is refused`, () => isRefused(host, PJSIP.host, PJSIP.port));
    await isListed(attacker);
    await register(phone);
    await register(trunk);
    // Networks of both, by mistake.
    const network = (host: string) => `${host.slice(0, host.lastIndexOf("."))}.0/24`;
    await Deno.writeTextFile(LIST, [network(phone), trunk, network(attacker)].join("\n"));
    await ampere.said(new RegExp(`1 host in good standing is on a list .* passes: ${phone} `));
    await isListed(later);
    const neighbour = hostOf("phone");
    await isListed(neighbour);
    for (let i = 0; i < 3; i++) for (const host of [phone, trunk]) await register(host);
    // The phone mistypes, as often as it may; that is no reason to stop it either.
    await guess(phone, PJSIP, 5);
    await register(phone);
    assert.ok(!isRefused(trunk, PJSIP.host, PJSIP.port));
    assert.ok(isRefused(neighbour, PJSIP.host, PJSIP.port));
    await nothingTampered(ampere);
    await ampere.ends();
  });

  const isMissing = !isInstalled("baresip");
  Deno.test({
    name:
      `Asterisk ${server.version}: baresip registers by the gap in a block that is not its guilt, ` +
      `and a guesser there has one attempt${isMissing ? " (left out: baresip is missing)" : ""}`,
    ignore: isMissing,
    fn: async () => {
      await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
      const configuration = CONFIGURATION + "backend = nftables\n" +
        `[feed own]\nurl = file://${LIST}\naction = block\n`;
      await using ampere = await Ampere.start(executable, configuration, {
        [LIST]: "198.51.100.0/24\n203.0.113.0/24\n",
      });
      await ampere.said(/the kernel refuses who is on the lists own \(2\)/);
      await using guesser = await Site.open(hostOf("attacker"));
      const { host, port } = { ...PJSIP, host: guesser.pbx };
      const guesses = guesser.start(
        ...[Deno.execPath(), "run", "-A", "--no-check", GUESS, guesser.host, host, `${port}`, "20"],
      );
      await ampere.said(
        new RegExp(`blocked ${guesser.host} .* one attempt only: listed by feed own, 5 of 5`),
      );
      for (const transport of ["udp", "tcp"]) {
        await using site = await Site.open(hostOf("phone"));
        await using phone = await baresip(site, PJSIP, [["100", passwordOf("100")]], transport);
        await registered(phone, "100");
        await ampere.said(new RegExp(`${site.host} logged in, and passes in spite of the lists`));
      }
      // One was answered, and of the next the challenge at most.
      assert(guesses.lines.length < LOYALTY, guesses.text);
      await ampere.ends();
      for (const table of ["ampere", "ampere_lists"]) {
        await must("nft", "delete", "table", "inet", table);
      }
    },
  });
}
