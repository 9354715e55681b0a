/**
 * Who is blocked and who is not, when a real Asterisk says what real SIP requests made of it.
 *
 * In each test the hosts of all channel drivers act at the same time, and the last thing is that a
 * host of each is blocked: what came before has been judged then, so that "nobody else" means
 * something.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Server } from "../../tools/asterisk.ts";
import { until } from "../support/namespace.ts";
import { Ampere, check, CONFIGURATION, install } from "./ampere.ts";
import { AMI_PORT, Asterisk, hostOf } from "./asterisk.ts";
import { isRefused } from "./packet.ts";
import {
  ACCOUNTS,
  CHAN_SIP,
  type Driver,
  FENCED,
  NUMBER,
  passwordOf,
  pbx,
  PJSIP,
  PJSIP_IPV6,
  SINGLE,
  sipConf,
} from "./pbx.ts";
import { AMPERE_CFG, MANAGER_CONF } from "./readme.ts";
import { SipAgent, type SipServer } from "./sip.ts";

/** Attempts that a stranger has: the default of `loyalty`, which stays as it is. */
export const LOYALTY = 3;

/**
 * The longest that a host may still get through after its last guess was answered, in milliseconds.
 */
const BLOCKED_MS_MAX = 1_000;

/** Hosts that guess at the same time, for each driver. */
const BOTS = 100;

/** A configuration for tests that wait for unanswered challenges. */
const IMPATIENT = `${CONFIGURATION}patience = 1\n`;

/** A user without a filter: the most that Ampere may be sent. */
export const UNFILTERED = MANAGER_CONF.replace(/^eventfilter.*\n/m, "");

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param executable Ampere
 * @param root Asterisk's file system
 */
export function testBlocking(server: Server, executable: string, root: string): void {
  const drivers = [PJSIP, CHAN_SIP].filter(({ name }) => server.drivers.includes(name));
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`Asterisk ${server.version}: ${name}`, body);
  /** Does the same on all drivers at a time, and gives what came of each. */
  const onEach = <T>(act: (driver: Driver) => Promise<T>): Promise<T[]> =>
    Promise.all(drivers.map(act));

  test("installed by the README, it is well, and blocks who guesses", async () => {
    await using asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    assert.ok(
      Number.parseInt(await asterisk.version()) >= server.version,
      await asterisk.version(),
    );
    await install(AMPERE_CFG);
    const { code, out } = await check(executable);
    assert.equal(code, 0, out);
    assert.doesNotMatch(out, /^(?:warning|problem)/m);

    await using ampere = await Ampere.start(executable, AMPERE_CFG);
    const hosts = await onEach(async (driver) => {
      // Who stops one guess earlier stays.
      await guess(hostOf("stranger"), driver, LOYALTY - 1);
      return await guessUntilBlocked(driver, hostOf("attacker"));
    });
    await ampere.blocks(...hosts);
    for (const [i, host] of hosts.entries()) {
      const service = drivers[i] === PJSIP ? "PJSIP" : "SIP";
      assert.match(
        await ampere.reason(host),
        new RegExp(
          `until [-:\\d ]+ \\| 3 wrong passwords within \\d s, ${service} over UDP, last account "100", 15 of 15 points`,
        ),
      );
    }
    await nothingTampered(ampere);
    await ampere.ends();
  });

  test("a guesser is blocked over TCP and IPv6 too, and wherever their guesses stand", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable);
    const [overTcp, overIpv6, inOneSession] = [
      hostOf("attacker"),
      "2001:db8:bad::1",
      hostOf("attacker"),
    ];
    await guess(overTcp, PJSIP, LOYALTY, "TCP");
    await guess(overIpv6, PJSIP_IPV6, LOYALTY);
    // All guesses in one registration, each answering the challenge to the one before.
    using agent = await SipAgent.open(inOneSession, PJSIP);
    for (let i = 0; i < LOYALTY; i++) {
      assert.equal(await agent.register({ password: `guess${i}`, reuseNonce: true }), 401);
    }
    await ampere.blocks(overTcp, overIpv6, inOneSession);
    await assert.rejects(SipAgent.open(overTcp, PJSIP, "100", "TCP"), /ECONNREFUSED/);
    assert.ok(isRefused(overIpv6, PJSIP_IPV6.host, PJSIP_IPV6.port));
    assert.match(await ampere.reason(overTcp), /PJSIP over TCP/);
    await nothingTampered(ampere);
  });

  test("phones that belong here stay, whatever they do", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable, IMPATIENT);
    const strangers = await onEach(async (driver) => {
      await Promise.all([
        registerAgainAndAgain(hostOf("phone"), driver),
        mistype(hostOf("phone"), driver),
        startTogether(hostOf("phone"), driver),
        keepAlive(hostOf("phone"), driver),
        call(hostOf("phone"), driver),
        ...(driver === PJSIP ? [crowd(hostOf("phone"))] : []),
      ]);
      return await leaveUnanswered(hostOf("stranger"), driver);
    });
    await ampere.blocks(...strangers);
    const { hosts, events } = await ampere.status();
    // Each of these hosts has logged in, and none has points left.
    assert.equal(hosts.inGoodStanding, 5 * drivers.length + 1);
    assert.deepEqual(hosts.worst.filter(({ points }) => points > 0), []);
    assert.equal(events.tampered, 0);
  });

  test("scanners that never log in are blocked", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable, IMPATIENT);
    const scanners = await onEach(async (driver) => {
      const [caller, searcher, intruder] = [
        hostOf("attacker"),
        hostOf("attacker"),
        hostOf("attacker"),
      ];
      using intruding = await SipAgent.open(intruder, driver, FENCED);
      using calling = await SipAgent.open(caller, driver);
      using searching = await SipAgent.open(searcher, driver);
      for (let i = 0; i < LOYALTY; i++) {
        // Calls without credentials: toll fraud begins so.
        assert.equal(await calling.invite(`900${i}`), 401);
        // Looks for accounts, with a guess for each.
        const status = await searching.registerAnew({ account: `admin${i}`, password: "admin" });
        assert.ok(status === 401 || status === 403, String(status));
        // Even with the right password: from there nobody may. The last request is refused before
        // it could be answered.
        const last = i === LOYALTY - 1;
        const refusal = await intruding.registerAnew(last ? {} : { password: passwordOf(FENCED) });
        assert.notEqual(refusal, 200);
      }
      return [caller, searcher, intruder];
    });
    await ampere.blocks(...scanners.flat());
    for (const [caller, searcher, intruder] of scanners) {
      assert.match(await ampere.reason(intruder!), /3 refused requests/);
      assert.match(await ampere.reason(caller!), /3 unanswered challenges/);
      assert.match(await ampere.reason(searcher!), /3 wrong passwords .* "(?:admin2|<unknown>)"/);
    }
    await nothingTampered(ampere);
  });

  test("every form of an event that manager.conf can ask for is understood", async () => {
    const files = pbx(
      UNFILTERED
        .replace("[general]\n", "[general]\ntimestampevents = yes\ndebug = on\n")
        .replace(/^bindaddr = .*$/m, "bindaddr = ::")
        .replace(/^(?:deny|permit) = .*\n/gm, ""),
    );
    await using _asterisk = await Asterisk.start(root, {
      ...files,
      "asterisk.conf": "[options]\nsystemname = pbx-1\n",
      // Phones then answer the first one, which Asterisk 16 does not know.
      ...(server.version < 22 ? {} : {
        "pjsip.conf": files["pjsip.conf"]!.replaceAll(
          "auth_type = userpass",
          "auth_type = digest\nsupported_algorithms_uas = SHA-256,MD5",
        ),
      }),
    });
    const configuration = `${CONFIGURATION}host = ::1\n`;
    await install(configuration);
    const { code, out } = await check(executable);
    assert.equal(code, 0, out);
    await using ampere = await Ampere.start(executable, configuration);
    const hosts = await onEach(async (driver) => {
      await registerAgainAndAgain(hostOf("phone"), driver);
      return await guessUntilBlocked(driver, hostOf("attacker"));
    });
    await ampere.blocks(...hosts);
    await nothingTampered(ampere);
  });

  test("a botnet is blocked to the last, while the phones of an office start", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    // All of them are blocked for their own attempts.
    await using ampere = await Ampere.start(executable, `${CONFIGURATION}guard_hosts = 0\n`);
    const bots = await onEach(async (driver) => {
      const hosts = Array.from({ length: BOTS }, () => hostOf("bot"));
      const office = hostOf("phone");
      await Promise.all([
        ...hosts.map((host) => guess(host, driver, LOYALTY)),
        startTogether(office, driver),
      ]);
      return hosts;
    });
    await ampere.blocks(...bots.flat());
    await nothingTampered(ampere);
  });

  test("line ends in an account name are refused, and charged to who sends them", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(UNFILTERED));
    await using ampere = await Ampere.start(executable);
    using agents = new DisposableStack();
    const attackers = await onEach(async (driver) => {
      const host = hostOf("attacker");
      await guess(host, driver, LOYALTY - 1);
      const agent = agents.use(await SipAgent.open(host, driver));
      // It is charged like a wrong password, perhaps before it is answered.
      agent.registerAnew({ account: encode(UNKNOWN_HEADER), password: "x" }).catch(() => {});
      return [host, await guessUntilBlocked(driver, hostOf("attacker"))];
    });
    await ampere.blocks(...attackers.flat());
    const { events } = await ampere.status();
    assert.ok((events.tamperedBy.malformed ?? 0) > 0, JSON.stringify(events));
  });

  test("who guesses names of AMI users, or talks without a login, is blocked", async () => {
    for (const conf of [MANAGER_CONF, UNFILTERED]) {
      await using _asterisk = await Asterisk.start(root, pbx(conf));
      await using ampere = await Ampere.start(executable);
      const [guesser, talker] = [hostOf("attacker"), hostOf("attacker")];
      for (let i = 0; i < LOYALTY; i++) {
        const login = `Action: Login\r\nUsername: admin${i}\r\nSecret: admin`;
        assert.match(await askManager(guesser, login), /Authentication failed/);
        assert.match(await askManager(talker, "Action: Status"), /Permission denied/);
      }
      await ampere.blocks(guesser, talker);
      assert.match(await ampere.reason(guesser), /AMI over TCP/);
      await nothingTampered(ampere);
    }
  });

  if (!drivers.includes(CHAN_SIP)) return;

  test("chan_sip with alwaysauthreject=no: who looks for accounts is blocked", async () => {
    for (const conf of [MANAGER_CONF, UNFILTERED]) {
      await using _asterisk = await Asterisk.start(root, {
        ...pbx(conf),
        "sip.conf": sipConf("alwaysauthreject = no"),
      });
      await using ampere = await Ampere.start(executable);
      const host = hostOf("attacker");
      using agent = await SipAgent.open(host, CHAN_SIP);
      for (let i = 0; i < LOYALTY; i++) {
        const status = await agent.registerAnew({ account: `admin${i}`, password: "admin" });
        assert.equal(status, 404, "Asterisk betrays that there is no such account");
      }
      await ampere.blocks(host);
      await nothingTampered(ampere);
    }
  });
}

/**
 * Speaks to AMI from an address; what comes until `Message: `, and then hangs up.
 *
 * @param host the address
 * @param action its lines
 */
function askManager(host: string, action: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host: "127.0.0.1", port: AMI_PORT, localAddress: host });
  let text = "";
  socket.once("error", reject);
  socket.once("connect", () => socket.write(`${action}\r\n\r\n`));
  socket.on("data", (data: Uint8Array) => {
    text += new TextDecoder("latin1").decode(data);
    if (/^Message: .*\r\n/m.test(text)) resolve(text);
  });
  return promise.finally(() => socket.destroy());
}

/** Guesses passwords of an account, as a device that begins anew each time. */
export async function guess(
  host: string,
  server: SipServer,
  times: number,
  transport: "UDP" | "TCP" = "UDP",
): Promise<void> {
  using agent = await SipAgent.open(host, server, "100", transport);
  for (let i = 0; i < times; i++) {
    const status = await agent.registerAnew({ password: `guess${i}` });
    assert.ok(status === 401 || status === 403, `guess ${i} of ${host}: ${status}`);
  }
}

/**
 * Guesses as often as a stranger may; packets pass before each guess, and are refused soon after
 * the last.
 */
export async function guessUntilBlocked(driver: Driver, host: string): Promise<string> {
  const { name, host: to, port } = driver;
  for (let i = 0; i < LOYALTY; i++) {
    assert.ok(!isRefused(host, to, port), `${name}: ${host} gets through before guess ${i}`);
    await guess(host, driver, 1);
  }
  const answered = performance.now();
  await until(`${name}: packets of ${host} are refused`, () => isRefused(host, to, port));
  const took = performance.now() - answered;
  assert.ok(took < BLOCKED_MS_MAX, `${name}: ${host} was blocked after ${took} ms`);
  return host;
}

/** No event of an Asterisk that nobody abuses may be refused. */
export async function nothingTampered(ampere: Ampere): Promise<void> {
  const { events } = await ampere.status();
  assert.deepEqual([events.tampered, events.tamperedBy], [0, {}], ampere.text);
}

/**
 * Refreshes its registration, with the nonce that it has and with a new one, and repeats what is
 * answered late.
 */
async function registerAgainAndAgain(host: string, driver: Driver): Promise<void> {
  using phone = await SipAgent.open(host, driver);
  const password = passwordOf("100");
  for (const copies of [1, 2, 4]) {
    assert.equal(await phone.register({ password, copies }), 200);
    assert.equal(await phone.register({ password, copies, reuseNonce: true }), 200);
    assert.equal(await phone.registerAnew({ password, copies }), 200);
  }
}

/** Somebody types a password wrong, twice as a stranger and many times later, and then right. */
async function mistype(host: string, driver: Driver): Promise<void> {
  using phone = await SipAgent.open(host, driver, "101");
  const password = passwordOf("101");
  for (const times of [LOYALTY - 1, 1, 2 * LOYALTY]) {
    for (let i = 0; i < times; i++) {
      assert.notEqual(await phone.registerAnew({ password: `${password}${i}` }), 200);
    }
    assert.equal(await phone.registerAnew({ password }), 200);
  }
}

/** Five phones behind one address start at the same time; what they send is sent twice. */
async function startTogether(host: string, driver: Driver): Promise<void> {
  const phones = await Promise.all(
    ACCOUNTS.map((account) => SipAgent.open(host, driver, account)),
  );
  try {
    const answers = await Promise.all(
      phones.map((phone, i) => phone.register({ password: passwordOf(ACCOUNTS[i]!), copies: 2 })),
    );
    assert.deepEqual(answers, ACCOUNTS.map(() => 200));
  } finally {
    for (const phone of phones) phone[Symbol.dispose]();
  }
}

/** Registers, and then asks again and again without credentials whether the server is there. */
async function keepAlive(host: string, driver: Driver): Promise<void> {
  using phone = await SipAgent.open(host, driver, "102");
  assert.equal(await phone.register({ password: passwordOf("102") }), 200);
  for (let i = 0; i < 20; i++) {
    const status = await phone.options();
    assert.ok(status >= 200, String(status));
  }
}

/** Registers, calls, and dials numbers that there are not. */
async function call(host: string, driver: Driver): Promise<void> {
  using phone = await SipAgent.open(host, driver, "103");
  const password = passwordOf("103");
  assert.equal(await phone.register({ password }), 200);
  for (let i = 0; i < 2 * LOYALTY; i++) {
    assert.equal(await phone.invite(`99${i}`, { password }), 404);
  }
  assert.equal(await phone.invite(NUMBER, { password }), 603);
}

/**
 * Two phones share an account that is for one: the second is refused though its password is right.
 * PJSIP only.
 */
async function crowd(host: string): Promise<void> {
  using first = await SipAgent.open(host, PJSIP, SINGLE);
  using second = await SipAgent.open(host, PJSIP, SINGLE);
  const password = passwordOf(SINGLE);
  assert.equal(await first.register({ password }), 200);
  for (let i = 0; i < 2 * LOYALTY; i++) assert.equal(await second.register({ password }), 403);
}

/** Is challenged as often as a stranger may be, and never answers. */
async function leaveUnanswered(host: string, driver: Driver): Promise<string> {
  using agent = await SipAgent.open(host, driver);
  for (let i = 0; i < LOYALTY; i++) assert.equal(await agent.registerAnew(), 401);
  return host;
}

/**
 * An account name with line ends: Asterisk prints a header that no event has. What else could be
 * written there is tested with made-up text, in tests/ami/event_reader_test.ts.
 */
const UNKNOWN_HEADER = "x\r\nX-Unknown: 1";

/** Percent-encodes what the user part of a SIP address may not hold. */
function encode(text: string): string {
  return text.replace(
    /[^A-Za-z0-9\-_.!~*'()&=+$,;?/]/g,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
