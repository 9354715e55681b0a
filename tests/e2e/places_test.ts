/** Countries and networks with the compiled program, and real data. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { LEARN_MS } from "../../src/places/habits.ts";
import {
  BANNER,
  challengeSent,
  remoteOf,
  successfulAuth,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { mmdbBytes, REAL, realFile } from "../support/mmdb.ts";
import { sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { FarSide } from "./far_side.ts";
import { emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, makeChain, must, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const GEO = "/var/lib/GeoIP/country.mmdb";
const ASN = "/var/lib/GeoIP/asn.mmdb";
/** Where the executable may not read. */
const ELSEWHERE = "/etc/elsewhere";
const DATABASE = "/var/lib/ampere/ampere.db";

/** How long it takes at most until a file that has changed is read, in milliseconds. */
const READ_MS = 60_000;

/** Addresses that the real file knows, and in which country. */
const [DE, US, AU] = ["193.99.144.80", "8.8.8.8", "1.1.1.1"];
/** Two more of the United States. */
const [TRAVELLER, HOSTED] = ["8.8.4.4", "193.99.145.1"];

// Inside there is no network.
const real = await realFile(REAL.both);

onOwnMachine(import.meta.url, (executable) => {
  const ampere = (...args: string[]) => runToEnd([executable, ...args], { deadlineMs: 30_000 });

  async function prepare(...lines: string[]): Promise<void> {
    await emptyFirewall();
    await makeChain();
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    await Deno.mkdir("/var/lib/GeoIP", { recursive: true });
    await Deno.copyFile(real, GEO);
    const networks = [["193.99.145.0/24", { asn: 64_500, name: "Example Hosting" }]] as const;
    await Deno.writeFile(ASN, mmdbBytes({ networks }));
    await configure(...lines);
  }

  async function configure(...lines: string[]): Promise<void> {
    const text = ["pass = s3cret", "learn = 0", `geo = ${GEO}`, `asn = ${ASN}`, ...lines, ""];
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", text.join("\n"), { mode: 0o600 });
  }

  Deno.test("places: strangers from away have one attempt, and everybody is told from where", async () => {
    await prepare("home = DE", "asn_strict = 64500");
    await using asterisk = new AmiServer({ port: 5038 });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await running.said(/geo: .*country\.mmdb was read: "country ipvAll" of 2026-06-17/);
    const fails = (host: string) =>
      client.send(wrongAnswer(host, { remote: remoteOf(host, "TCP") }));
    await client.send(successfulAuth(TRAVELLER, { remote: remoteOf(TRAVELLER, "TCP") }));
    for (const host of [TRAVELLER, TRAVELLER, DE, US, HOSTED]) await fails(host);
    await running.said(
      /blocked 8\.8\.8\.8 .* one attempt only: it is in US, which is not home, .*; from US \(away\)/,
    );
    await running.said(
      /blocked 193\.99\.145\.1 .* AS64500 is in asn_strict, .*; from DE, AS64500 "Example Hosting"/,
    );
    const list = (await ampere("-l")).out;
    assert.match(list, /^ +8\.8\.8\.8 \| since .* \| from US$/m);
    assert.match(list, /^ +193\.99\.145\.1 \| since .* \| from DE AS64500$/m);
    assert.equal(list.trim().split("\n").length, 2, list);
    const again = await runToEnd([executable, "-a"], { stdin: list, deadlineMs: 30_000 });
    assert.match(again.out, /^0 added, 2 blocked already/);
    const why = (await ampere("--why", AU)).out;
    assert.match(why, /^From +AU \(away\)\n +a stranger from there has one attempt: it is in AU/m);
    const status = (await ampere("--status")).out;
    assert.match(status, /^Places +known: .*country\.mmdb/m);
    assert.match(status, /^ +blocks since the start: 1 US, 1 DE; 1 AS64500$/m);
    const check = (await ampere("--check")).out;
    assert.match(check, /^(ok|warning) +places +geo: .* with 1,010,885 networks/m);
    await until(
      "the login is stored",
      async () =>
        /the 1 host that logged in lately would, .*: 8\.8\.4\.4 \(US\)/.test(
          (await ampere("--check")).out,
        ),
    );

    // With block the first challenge is enough, but not from whoever logged in.
    await configure("home = DE", "away = block");
    running.signal("SIGHUP");
    await running.said(/the configuration was read again/);
    await until(
      "it is in force",
      async () => /is blocked when they first appear/.test((await ampere("--why", AU)).out),
    );
    for (const host of [TRAVELLER, DE, AU]) await client.send(challengeSent(host));
    await running.said(
      /blocked 1\.1\.1\.1 .*\(10 min\): 1 unanswered challenge .* no attempt: it is in AU/,
    );
    assert.doesNotMatch(running.text, /blocked (?:8\.8\.4\.4|193\.99\.144\.80) /);

    // Another file in its place, then one that was cut off.
    const replace = async (bytes: Uint8Array) => {
      await Deno.writeFile(`${GEO}.new`, bytes);
      await Deno.rename(`${GEO}.new`, GEO);
    };
    await replace(mmdbBytes({ networks: [[`${DE}/24`, { country_code: "FR" }]], type: "Other" }));
    await running.said(/geo: .*country\.mmdb was read: "Other"/, 0, READ_MS);
    await replace(new Uint8Array(99).fill(65));
    await running.said(
      /geo: .*country\.mmdb is no file in MaxMind's format .*; what was read before stays in use\. Fix: /,
      0,
      READ_MS,
    );
    await client.send(challengeSent(DE));
    await running.said(/blocked 193\.99\.144\.80 .* it is in FR/);
    await endsSoon(running);
  });

  Deno.test("places: who is blocked at sight comes back by a login, and not by a guess, with nftables", async () => {
    const [own, phone, guesser] = ["203.0.113.1", "203.0.113.10", "203.0.113.66"] as const;
    await prepare();
    await emptyFirewall();
    await sh("nft", "flush", "ruleset");
    await using far = await FarSide.make("eth0", [`${phone}/24`, `${guesser}/24`], own);
    await must("ip", "address", "add", `${own}/24`, "dev", "eth0");
    using ports = new DisposableStack();
    for (const port of [5060, 8080]) ports.use(listenAt(port));
    await Deno.writeFile(
      GEO,
      mmdbBytes({ networks: [["203.0.113.0/24", { country_code: "BR" }]] }),
    );
    await configure("home = DE", "away = block", "backend = nftables");
    await using asterisk = new AmiServer({ port: 5038 });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await running.said(/geo: .* was read/);
    const reaches = (from: string, port: number) => far.reaches(from, own, port);
    for (const host of [phone, guesser]) {
      assert(await reaches(host, 5060));
      await client.send(challengeSent(host, { remote: remoteOf(host, "TCP") }));
      await running.said(new RegExp(`blocked ${host} .* no attempt: it is in BR`));
      await until(`${host} is refused`, async () => !await reaches(host, 8080));
      assert(await reaches(host, 5060), "a few packets pass");
    }
    await client.send(wrongAnswer(guesser, { remote: remoteOf(guesser, "TCP") }));
    await until("the guesser has no way back", async () => {
      const { out } = await sh("nft", "-s", "list", "table", "inet", "ampere");
      return !/set soft4b? \{[^}]*203\.0\.113\.66/.test(out);
    });
    assert(!await reaches(guesser, 5060));
    await client.send(successfulAuth(phone, { remote: remoteOf(phone, "TCP") }));
    await running.said(new RegExp(`released ${phone}: it logged in with a password`));
    await until("the phone is let in", () => reaches(phone, 8080));
    assert.match((await ampere("-l")).out, /^ +203\.0\.113\.66 \|[^\n]*\n$/);
    await client.send(challengeSent(phone, { remote: remoteOf(phone, "TCP") }));
    await endsSoon(running);
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("places: a login from a new place is told after a restart, and blocks nobody", async () => {
    await prepare("home = DE");
    const since = Date.now() - LEARN_MS - 60_000;
    const list = BlockDatabase.open(DATABASE);
    list.habits.save([{
      account: "PJSIP 100",
      countries: { since, seen: new Map([["DE", since]]) },
      networks: { since: undefined, seen: new Map() },
    }]);
    list.close();
    await using asterisk = new AmiServer({ port: 5038 });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await running.said(/geo: .* was read/);
    for (const host of [DE, AU, AU]) {
      await client.send(successfulAuth(host, { account: "100", remote: remoteOf(host, "TCP") }));
    }
    await running.said(
      /account "100" \(PJSIP\) logged in from a new place: 1\.1\.1\.1, AU \(away\); since .* always from DE/,
    );
    const status = (await ampere("--status")).out;
    assert.match(status, /new place: "100" \(PJSIP\) logged in from 1\.1\.1\.1, AU \(away\), at/);
    assert.equal((await ampere("-l")).out, "");
    assert.equal(running.text.match(/logged in from a new place/g)?.length, 1);
    await endsSoon(running);
    using kept = BlockDatabase.open(DATABASE, { readOnly: true });
    assert.deepEqual([...kept.habits.all()[0]!.countries.seen.keys()].toSorted(), ["AU", "DE"]);
  });

  Deno.test("places: a recording is judged by them, and a file elsewhere is told where to put", async () => {
    await prepare("home = DE");
    const recording = "/var/lib/ampere/recorded.ami";
    await Deno.writeTextFile(recording, BANNER + wrongAnswer(US) + wrongAnswer(DE));
    const { out, code } = await ampere("--replay", recording);
    assert.equal(code, 0);
    assert.match(out, /8\.8\.8\.8 .* US \(away\) +1 wrong password/);
    assert.match(out, /^1 host would have been blocked/m);
    await Deno.mkdir(ELSEWHERE, { recursive: true });
    await Deno.copyFile(GEO, `${ELSEWHERE}/country.mmdb`);
    await Deno.writeTextFile(
      "/etc/ampere/ampere.cfg",
      `pass = s3cret\ngeo = ${ELSEWHERE}/country.mmdb\n`,
    );
    const check = (await ampere("--check")).out;
    assert.match(
      check,
      /^warning +places +geo: \/etc\/elsewhere\/country\.mmdb may not be read by this build of Ampere; .*\n.*fix: put it, or a link to it, into \/var\/lib\/GeoIP/m,
    );
    const replayed = await ampere("--replay", recording);
    assert.match(replayed.err, /^warning: geo: .* may not be read by this build of Ampere/m);
    assert.match(replayed.out, /^0 hosts would have been blocked/m);
  });
});

/** Takes connections, which end at once. */
function listenAt(port: number): Deno.Listener {
  const listener = Deno.listen({ hostname: "0.0.0.0", port });
  (async () => {
    for await (const connection of listener) connection.close();
  })().catch(() => {});
  return listener;
}
