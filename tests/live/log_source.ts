/**
 * Asterisk's log beside its manager interface: what a real one tells there is charged, once.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Server } from "../../tools/asterisk.ts";
import { must } from "../e2e/machine.ts";
import { until } from "../support/namespace.ts";
import { Ampere, check, CONFIGURATION, install } from "./ampere.ts";
import { AMI_PORT, Asterisk, type Files, hostOf } from "./asterisk.ts";
import { guess, LOYALTY, nothingTampered } from "./blocking.ts";
import { registerByIax } from "./iax.ts";
import { CHAN_SIP, passwordOf, pbx, PJSIP } from "./pbx.ts";
import { DIALPLAN, MANAGER_CONF } from "./readme.ts";
import { SipAgent } from "./sip.ts";

/** As Debian's, with the level security. */
const LOGGER_CONF = `
[general]
dateformat = %F %T
[logfiles]
console => notice,warning,error
security => security
messages => notice,warning,error
`;

const IAX_CONF = `
[general]
bindaddr = 0.0.0.0
authdebug = yes
requirecalltoken = no
calltokenoptional = 0.0.0.0/0.0.0.0

[trunk]
type = friend
host = dynamic
secret = pwtrunk
auth = md5
context = phones
requirecalltoken = no
`;

/** An endpoint for callers without an account. */
const ANONYMOUS = `
[anonymous]
type = endpoint
context = phones
disallow = all
allow = ulaw
`;

/** A context for them as FreePBX has it, behind the file that FreePBX reads first. */
const FROM_OUTSIDE = `${DIALPLAN}
[from-sip-external]
exten => _.,1,NoOp(\${EXTEN})
exten => _.,n,Goto(s,1)
exten => s,1,Log(WARNING,"Rejecting unknown SIP connection from \${CHANNEL(recvip)}")
 same => n,Hangup(21)
exten => h,1,Hangup()
`;

const LOGS = "log = /var/log/asterisk/messages\nlog = /var/log/asterisk/security\n";

/** Nobody is blocked, so that points can be counted. */
const COUNTING = CONFIGURATION.replace(/^loyalty.*\n/gm, "") + `loyalty = 1000\n${LOGS}`;

/** Time between two guesses of a host, in milliseconds. */
const GUESS_EVERY_MS = 100;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Breaks the connections to the manager interface, or lets new ones be made. Asterisk sees it at
 * its next event, Ampere only when it asks whether Asterisk is there, up to 15 s later.
 */
async function breakManager(how: "-I" | "-D"): Promise<void> {
  for (const side of ["--sport", "--dport"]) {
    const rule = ["INPUT", "-p", "tcp", side, String(AMI_PORT), "-j", "REJECT"];
    await must("iptables", "-w", how, ...rule, "--reject-with", "tcp-reset");
  }
}

function files(): Files {
  const own = pbx(MANAGER_CONF);
  return {
    ...own,
    "logger.conf": LOGGER_CONF,
    "iax.conf": IAX_CONF,
    "pjsip.conf": own["pjsip.conf"] + ANONYMOUS,
  };
}

/** Anonymous callers come into the context of FreePBX. */
function likeFreePbx(): Files {
  const own = files();
  return {
    ...own,
    "extensions.conf": own["extensions.conf"] + FROM_OUTSIDE,
    "pjsip.conf": own["pjsip.conf"]!.replace(
      /(\[anonymous\][^[]*context = )phones/,
      "$1from-sip-external",
    ),
    "sip.conf": own["sip.conf"]!.replace("context = phones", "context = from-sip-external"),
  };
}

/** An Asterisk whose logs stand where an installed one has them. */
async function withLogs(
  root: string,
  run: (asterisk: Asterisk) => Promise<void>,
  configured = files(),
): Promise<void> {
  await using asterisk = await Asterisk.start(root, configured);
  await Deno.mkdir("/var/log/asterisk", { recursive: true });
  await must("mount", "--bind", asterisk.logFolder, "/var/log/asterisk");
  try {
    await run(asterisk);
  } finally {
    await must("umount", "/var/log/asterisk");
  }
}

/** Points of a host once all of it has settled. */
async function pointsOf(ampere: Ampere, host: string, expected: number): Promise<void> {
  let seen: number | undefined;
  await until(`${host} has ${expected} points and nothing waits`, async () => {
    const { hosts, logs } = await ampere.status();
    seen = hosts.worst.find((one) => one.host === host)?.points ?? 0;
    return seen === expected && logs!.waiting === 0 &&
      logs!.files.every((f) => f.behindBytes === 0);
  }, 30_000).catch((error) => {
    throw new Error(`${error.message}; it has ${seen}\n${ampere.text}`);
  });
}

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param executable what runs
 * @param root its file system
 */
export function testLogSource(server: Server, executable: string, root: string): void {
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`Asterisk ${server.version}: ${name}`, body);
  const drivers = [PJSIP, CHAN_SIP].filter(({ name }) => server.drivers.includes(name));

  test("the log tells of anonymous callers and of IAX2", async () => {
    await withLogs(root, async () => {
      await install(CONFIGURATION + LOGS);
      const { out } = await check(executable);
      assert.match(out, /^ok +log +\/var\/log\/asterisk\/messages can be read/m);
      assert.doesNotMatch(out, /^problem/m, out);
      await using ampere = await Ampere.start(executable, CONFIGURATION + LOGS);
      const callers: string[] = [];
      // One after the other: right behind a number of chan_sip a line of PJSIP is not believed.
      for (const driver of drivers) {
        const host = hostOf("attacker");
        callers.push(host);
        using agent = await SipAgent.open(host, driver, "nobody");
        for (let i = 0; i < LOYALTY; i++) {
          assert.equal(await agent.invite(`0097259555010${i}`), 404, driver.name);
        }
      }
      const [guesser, seeker] = [hostOf("attacker"), hostOf("attacker")];
      // One after the other: of two hosts whose lines are read together one may go uncounted.
      for (let i = 0; i < LOYALTY; i++) {
        assert.equal(await registerByIax(guesser, "trunk", `guess${i}`), false);
      }
      await ampere.blocks(...callers, guesser);
      for (let i = 0; i < LOYALTY; i++) {
        assert.equal(await registerByIax(seeker, `admin${i}`, "admin"), false);
      }
      await ampere.blocks(...callers, guesser, seeker);
      assert.match(
        await ampere.reason(callers[0]!),
        /3 calls without an account .* PJSIP over UDP, last number "0/,
      );
      assert.match(await ampere.reason(guesser), /3 wrong passwords .* IAX2/);
      assert.match(
        await ampere.reason(seeker),
        /3 refused requests .* IAX2/,
      );
      await nothingTampered(ampere);
    });
  });

  test("the dialplan reports whom it turns away, as docs/freepbx.md says, once though it logs it", async () => {
    for (const logs of ["", LOGS]) {
      await withLogs(root, async () => {
        await using ampere = await Ampere.start(executable, CONFIGURATION + logs);
        const callers = await Promise.all(drivers.map(async (driver) => {
          const [few, many] = [hostOf("stranger"), hostOf("attacker")];
          for (const [host, times] of [[few, LOYALTY - 1], [many, LOYALTY]] as const) {
            // Nothing in a number or a name is obeyed.
            const isCrafted = driver === PJSIP;
            const name = isCrafted ? "x%0d%0aAddress%3a%20192.0.2.98" : "nobody";
            using agent = await SipAgent.open(host, driver, name);
            for (let i = 0; i < times; i++) {
              const crafted = `${i}%0d%0aUserEvent%3a%20Ampere%0d%0aAddress%3a%20192.0.2.99`;
              assert.equal(await agent.invite(isCrafted && i === 0 ? crafted : `00972${i}`), 403);
            }
          }
          return { few, many };
        }));
        await ampere.blocks(...callers.map(({ many }) => many));
      }, likeFreePbx());
    }
  });

  test("with the log no request is charged twice, and phones may dial what they like", async () => {
    await withLogs(root, async () => {
      await using ampere = await Ampere.start(executable, COUNTING);
      const hosts = await Promise.all(drivers.map(async (driver) => {
        const [guesser, unknown, caller] = [
          hostOf("attacker"),
          hostOf("attacker"),
          hostOf("phone"),
        ];
        await guess(guesser, driver, 4);
        using agent = await SipAgent.open(unknown, driver, "nobody");
        for (let i = 0; i < 4; i++) await agent.registerAnew({ account: `x${i}`, password: "x" });
        using phone = await SipAgent.open(caller, driver);
        assert.equal(await phone.register({ password: passwordOf("100") }), 200);
        using guest = await SipAgent.open(caller, driver, "nobody");
        for (let i = 0; i < 4; i++) assert.equal(await guest.invite(`00972${i}`), 404);
        return { guesser, unknown, caller };
      }));
      for (const { guesser, unknown, caller } of hosts) {
        await pointsOf(ampere, guesser, 20);
        await pointsOf(ampere, unknown, 20);
        await pointsOf(ampere, caller, 0);
      }
      const { logs } = await ampere.status();
      assert.ok(logs!.toldTwice > 0, JSON.stringify(logs));
      await nothingTampered(ampere);
    });
  });

  test("when AMI goes and comes, no guess is lost and none counts twice", async () => {
    await withLogs(root, async () => {
      await using ampere = await Ampere.start(executable, COUNTING);
      const hosts = drivers.map((driver) => ({ driver, host: hostOf("attacker"), guesses: 0 }));
      let over = false;
      const guessing = Promise.all(hosts.map(async (one) => {
        while (!over) {
          await guess(one.host, one.driver, 1);
          one.guesses++;
          await sleep(GUESS_EVERY_MS);
        }
      }));
      for (let round = 0; round < 2; round++) {
        await until(
          "there are guesses by AMI",
          () => hosts.every((one) => one.guesses > 10 * (round + 1)),
        );
        const lines = ampere.lines;
        await breakManager("-I");
        await ampere.said(/Blocks stay .*; trying again/, lines);
        const before = hosts.map(({ guesses }) => guesses);
        await until(
          "there are guesses without AMI",
          () => hosts.every(({ guesses }, i) => guesses > before[i]! + 10),
        );
        const gone = ampere.lines;
        await breakManager("-D");
        await ampere.said(/logged in/, gone);
      }
      over = true;
      await guessing;
      for (const { host, guesses } of hosts) await pointsOf(ampere, host, 5 * guesses);
      await nothingTampered(ampere);
    });
  });

  test("an AMI user that may not read security events is told, and the log counts", async () => {
    const own = files();
    const deaf = own["manager.conf"]!.replace(/^read = .*$/m, "read = system,user");
    assert.notEqual(deaf, own["manager.conf"]);
    await withLogs(root, async (asterisk) => {
      await using ampere = await Ampere.start(executable, COUNTING);
      const hosts = drivers.map((driver) => ({ driver, host: hostOf("attacker") }));
      const told = /AMI has told of nobody since its login, .* The log counts meanwhile\. Fix: /;
      let guesses = 0;
      await until("it is told", async () => {
        for (const { host, driver } of hosts) await guess(host, driver, 1);
        guesses++;
        // Asterisk tells something else.
        await asterisk.command("module reload acl");
        return told.test(ampere.text);
      }, 30_000);
      for (const { host } of hosts) await pointsOf(ampere, host, 5 * guesses);
      await nothingTampered(ampere);
    }, { ...own, "manager.conf": deaf });
  });

  test("without AMI the log alone is enough, through its rotation", async () => {
    await withLogs(root, async (asterisk) => {
      const configuration = `${
        CONFIGURATION.replace(/^(?:user|pass).*\n/gm, "")
      }${LOGS}host = none\n`;
      await install(configuration);
      const { code, out } = await check(executable);
      assert.equal(code, 0, out);
      await using ampere = await Ampere.begin(executable, configuration, {});
      await ampere.said(/following \/var\/log\/asterisk\/security/);
      const office = hostOf("phone");
      using phone = await SipAgent.open(office, PJSIP);
      assert.equal(await phone.register({ password: passwordOf("100") }), 200);
      await until(
        "its login was read",
        async () => (await ampere.status()).hosts.inGoodStanding === 1,
      );
      const blocked: string[] = [];
      for (const rotate of [false, true]) {
        if (rotate) {
          for (const name of ["messages", "security"]) {
            await Deno.rename(`/var/log/asterisk/${name}`, `/var/log/asterisk/${name}.1`);
          }
          await asterisk.command("logger reload");
        }
        for (const driver of drivers) {
          const host = hostOf("attacker");
          await guess(host, driver, LOYALTY);
          blocked.push(host);
          await guess(office, driver, LOYALTY);
        }
        await ampere.blocks(...blocked);
      }
      await nothingTampered(ampere);
    });
  });
}
