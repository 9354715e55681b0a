/**
 * Asterisk restarts, stops, dies and reads its configuration again while Ampere runs.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Server } from "../../tools/asterisk.ts";
import { until } from "../support/namespace.ts";
import { Ampere } from "./ampere.ts";
import { Asterisk, hostOf } from "./asterisk.ts";
import { guess, guessUntilBlocked, LOYALTY, nothingTampered } from "./blocking.ts";
import { ACCOUNTS, passwordOf, pbx, PJSIP } from "./pbx.ts";
import { MANAGER_CONF } from "./readme.ts";
import { SipAgent } from "./sip.ts";

/**
 * Ampere is back within this time after Asterisk, in milliseconds: docs/troubleshooting.md promises
 * two seconds.
 */
const BACK_MS_MAX = 2_000;

/** How long Asterisk is away when it is stopped, in milliseconds. */
const AWAY_MS = 3_000;

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param executable Ampere
 * @param root Asterisk's file system
 */
export function testRestarting(server: Server, executable: string, root: string): void {
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`Asterisk ${server.version}: ${name}`, body);

  test("whatever ends Asterisk, Ampere is back soon after it, and knows what was before", async () => {
    await using asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable);
    const ways: Record<string, () => Promise<void>> = {
      "core restart now": () => asterisk.restart(),
      "a stop, and a start later": async () => {
        await asterisk.stop();
        await ampere.said(/cannot connect to .*: connection refused/);
        await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
        await asterisk.start();
      },
      "a crash": async () => {
        await asterisk.kill();
        await asterisk.start();
      },
    };
    using office = await Office.open(hostOf("phone"));
    await office.register();
    const blocked: string[] = [];
    for (const [way, happens] of Object.entries(ways)) {
      const patient = hostOf("attacker");
      await guess(patient, PJSIP, LOYALTY - 1);
      // A crash takes with it what Asterisk has not told yet.
      await until(`${way}: Ampere knows of both guesses`, async () => {
        const { hosts } = await ampere.status();
        return hosts.worst.some(({ host, wrongAnswers }) =>
          host === patient && wrongAnswers === LOYALTY - 1
        );
      });
      const said = ampere.lines;
      await happens();
      const ready = performance.now();
      await ampere.said(/logged in/, said);
      const took = performance.now() - ready;
      assert.ok(took < BACK_MS_MAX, `${way}: Ampere was back after ${took} ms`);
      await office.register();
      await guess(patient, PJSIP, 1);
      blocked.push(patient, await guessUntilBlocked(PJSIP, hostOf("attacker")));
      await ampere.blocks(...blocked);
    }
    const { asterisk: connection } = await ampere.status();
    assert.equal(connection.logins, 1 + Object.keys(ways).length);
    await nothingTampered(ampere);
    await ampere.ends();
  });

  test("after a power cut the phones of an office stay, of which Ampere knows nothing", async () => {
    await using asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    using office = await Office.open(hostOf("phone"));
    await office.register();
    await asterisk.restart();
    await using ampere = await Ampere.start(executable);
    await office.register();
    await ampere.blocks(await guessUntilBlocked(PJSIP, hostOf("attacker")));
    await nothingTampered(ampere);
  });

  test("an Asterisk that reads its configuration again keeps Ampere's connection", async () => {
    await using asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable);
    const blocked: string[] = [];
    for (const command of ["manager reload", "core reload"]) {
      await asterisk.command(command);
      blocked.push(await guessUntilBlocked(PJSIP, hostOf("attacker")));
    }
    await ampere.blocks(...blocked);
    const { asterisk: connection } = await ampere.status();
    assert.deepEqual([connection.logins, connection.losses], [1, 0]);
    await nothingTampered(ampere);
  });
}

/** Phones behind one address. */
class Office implements Disposable {
  readonly #phones: readonly SipAgent[];

  private constructor(phones: readonly SipAgent[]) {
    this.#phones = phones;
  }

  static async open(host: string): Promise<Office> {
    return new Office(
      await Promise.all(ACCOUNTS.map((account) => SipAgent.open(host, PJSIP, account))),
    );
  }

  /**
   * All register at the same time, with the nonces that they have. Those of an Asterisk that is
   * gone are refused once, with the right passwords.
   */
  async register(): Promise<void> {
    const answers = await Promise.all(
      this.#phones.map((phone, i) =>
        phone.register({ password: passwordOf(ACCOUNTS[i]!), reuseNonce: true })
      ),
    );
    assert.deepEqual(answers, ACCOUNTS.map(() => 200));
  }

  [Symbol.dispose](): void {
    for (const phone of this.#phones) phone[Symbol.dispose]();
  }
}
