/**
 * Phones and tools that others wrote: docs/phones.md tells what they do. Each test needs one
 * program of Debian, and is left out where that is missing.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Server } from "../../tools/asterisk.ts";
import type { Program } from "../e2e/program.ts";
import { Ampere, CONFIGURATION } from "./ampere.ts";
import { Asterisk, hostOf } from "./asterisk.ts";
import { guessUntilBlocked, LOYALTY, nothingTampered } from "./blocking.ts";
import { CHAN_SIP, type Driver, passwordOf, pbx, PJSIP } from "./pbx.ts";
import { MANAGER_CONF } from "./readme.ts";
import { Site } from "./site.ts";

/** Programs, and the packages of Debian that have them. */
const PACKAGES = {
  baresip: "baresip-core",
  sipp: "sip-tester",
  sipsak: "sipsak",
  svcrack: "sipvicious",
} as const;

/** A configuration for tests that wait for the end of a block that was made in doubt. */
const SHORT_DOUBT = `${CONFIGURATION}doubt = 1s\n`;

/** One for tests that look at such a block at their end. */
const LONG_DOUBT = `${CONFIGURATION}doubt = 1m\n`;

/**
 * So many guesses of svcrack come before the right one, which takes it five seconds: how many it
 * has until the kernel refuses it, three or four, depends on how busy this machine is.
 */
const GUESSES_BEFORE = 1_000;

/**
 * The longest that a program may take, in milliseconds: baresip rests half a minute after what
 * failed.
 */
const PROGRAM_MS = 60_000;

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param executable Ampere
 * @param root Asterisk's file system
 */
export function testPhones(server: Server, executable: string, root: string): void {
  const drivers = [PJSIP, CHAN_SIP].filter(({ name }) => server.drivers.includes(name));
  const test = (program: keyof typeof PACKAGES, name: string, body: () => Promise<void>) => {
    const ignore = !isInstalled(program);
    const why = ignore
      ? ` (left out: ${program} is missing, apt install ${PACKAGES[program]})`
      : "";
    Deno.test({ name: `Asterisk ${server.version}: ${name}${why}`, ignore, fn: body });
  };

  test(
    "baresip",
    "baresip with a wrong password is out for a moment, and back when it is mended",
    async () => {
      await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
      await using ampere = await Ampere.start(executable, SHORT_DOUBT);
      // It answers a challenge of PJSIP fifteen times; over TCP nobody could have forged that.
      await Promise.all(["udp", "tcp"].map(async (transport) => {
        await using site = await Site.open(hostOf("phone"));
        const wrong = await baresip(site, PJSIP, [["100", "wrong"]], transport);
        await ampere.said(
          new RegExp(`blocked ${site.host} until .* \\(1 s\\): .*all in one session`),
        );
        await ampere.said(new RegExp(`released .*${site.host}[,:]`));
        await wrong[Symbol.asyncDispose]();
        const right = await baresip(site, PJSIP, [["100", passwordOf("100")]], transport);
        await registered(right, "100");
      }));
      await ampere.blocks();
      await nothingTampered(ampere);
    },
  );

  test("baresip", "a wrong password in one baresip does not harm the one beside it", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable);
    const attackers = await Promise.all(drivers.map(async (driver) => {
      await using site = await Site.open(hostOf("phone"));
      await registered(await baresip(site, driver, [["100", passwordOf("100")]]), "100");
      const bad = await baresip(site, driver, [["101", "wrong"]], "udp", 5070);
      await bad.said(/101@.*: 40[13] /, 0, PROGRAM_MS);
      return await guessUntilBlocked(driver, hostOf("attacker"));
    }));
    await ampere.blocks(...attackers);
    await nothingTampered(ampere);
  });

  test(
    "sipp",
    "a desk phone with a wrong password is in doubt while it keeps its Call-ID",
    async () => {
      await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
      await using ampere = await Ampere.start(executable, LONG_DOUBT);
      const hosts = await Promise.all(
        drivers.flatMap((driver) =>
          ["u1", "t1"].filter((transport) => driver === PJSIP || transport === "u1")
            .map(async (transport) => {
              await using site = await Site.open(hostOf("phone"));
              await sipp(site, driver, "wrong", transport);
              // SessionID of chan_sip is a place in its memory.
              const length = driver === PJSIP ? "1 min" : "1 h";
              await ampere.said(new RegExp(`blocked ${site.host} until .* \\(${length}\\): `));
              return site.host;
            })
        ),
      );
      await ampere.blocks(...hosts);
      await nothingTampered(ampere);
    },
  );

  test(
    "sipsak",
    "sipsak answers a challenge without a password: a monitor has to be trusted",
    async () => {
      await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
      const monitor = hostOf("stranger");
      await using ampere = await Ampere.start(executable, `${CONFIGURATION}trust = ${monitor}\n`);
      const hosts: string[] = [];
      for (const host of [monitor, hostOf("stranger")]) {
        await using site = await Site.open(host);
        for (let i = 0; i < LOYALTY; i++) {
          await site.run("sipsak", "-s", `sip:${site.pbx}:${PJSIP.port}`);
        }
        hosts.push(host);
      }
      await ampere.blocks(hosts[1]!);
      await nothingTampered(ampere);
    },
  );

  test("svcrack", "svcrack is stopped long before it comes to the right password", async () => {
    await using _asterisk = await Asterisk.start(root, pbx(MANAGER_CONF));
    await using ampere = await Ampere.start(executable, LONG_DOUBT);
    const hosts = await Promise.all(drivers.map(async (driver) => {
      await using site = await Site.open(hostOf("attacker"));
      const guesses = Array.from({ length: GUESSES_BEFORE }, (_, i) => `guess${i}`);
      const folder = await site.folder({
        words: [...guesses, passwordOf("100"), "last"].join("\n") + "\n",
      });
      const said = await site.run(
        ...["svcrack", "-p", String(driver.port)],
        ...["-u", "100", "-d", `${folder}/words`, site.pbx],
      );
      assert.match(said, /found nothing/, `${driver.name}: ${said}`);
      return site.host;
    }));
    await ampere.blocks(...hosts);
    await nothingTampered(ampere);
  });
}

/** Whether a program is found by PATH. */
export function isInstalled(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

/**
 * Starts baresip.
 *
 * @param site where
 * @param driver whom it registers with
 * @param accounts their names and passwords
 * @param transport how
 * @param port where it listens
 */
export async function baresip(
  site: Site,
  driver: Driver,
  accounts: readonly (readonly [account: string, password: string])[],
  transport = "udp",
  port = 5060,
): Promise<Program> {
  const folder = await site.folder({
    accounts: accounts.map(([account, password]) =>
      `<sip:${account}@${site.pbx}:${driver.port};transport=${transport}>;auth_pass=${password}\n`
    ).join(""),
    contacts: "",
    config: [
      `sip_listen ${site.host}:${port}`,
      "module_path /usr/lib/baresip/modules",
      "module g711.so",
      "module_app account.so",
      "module_app menu.so",
      "",
    ].join("\n"),
  });
  // It tells its registrations by its standard output, which it would keep back.
  return site.start("stdbuf", "-oL", "baresip", "-f", folder);
}

/** Waits until an account of a baresip is registered. */
export function registered(baresip: Program, account: string): Promise<string> {
  return baresip.said(new RegExp(`${account}@.* 200 OK`), 0, PROGRAM_MS);
}

/**
 * Registers by sipp as often as a stranger may, with one Call-ID, and answers each challenge once.
 */
async function sipp(
  site: Site,
  driver: Driver,
  password: string,
  transport: string,
): Promise<void> {
  const register = (sequence: number, answer = "") =>
    `<send><![CDATA[

REGISTER sip:[remote_ip] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:100@[remote_ip]>;tag=[call_number]
To: <sip:100@[remote_ip]>
Call-ID: [call_id]
CSeq: ${sequence} REGISTER
Contact: <sip:100@[local_ip]:[local_port];transport=[transport]>
${answer}Expires: 60
Content-Length: 0

]]></send>\n`;
  const attempt = (_: unknown, i: number) =>
    register(2 * i + 1) + '<recv response="401" auth="true"/>\n' +
    register(2 * i + 2, `[authentication username=100 password=${password}]\n`) +
    (driver === PJSIP ? '<recv response="401"/>\n' : '<recv response="403"/>\n');
  const attempts = Array.from({ length: LOYALTY }, attempt).join("");
  const folder = await site.folder({
    "desk.xml": `<?xml version="1.0" encoding="ISO-8859-1"?>\n<scenario name="a desk phone">\n` +
      `${attempts}</scenario>\n`,
  });
  const program = site.start(
    ...["sipp", "-sf", `${folder}/desk.xml`, "-i", site.host, "-t", transport, "-m", "1"],
    ...["-nostdin", "-timeout", `${PROGRAM_MS / 1000}s`, `${site.pbx}:${driver.port}`],
  );
  const { code } = await program.end(PROGRAM_MS);
  assert.equal(code, 0, program.text);
}
