/** Lists of attackers with the compiled program: real servers, real sets, real packets. */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { listServer } from "../support/list_server.ts";
import { sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { FarSide } from "./far_side.ts";
import { attack, emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, makeChain, must, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const OWN = "203.0.113.1";
const LISTED = "203.0.113.66";
const PHONE = "203.0.113.10";
const TRUSTED = "203.0.113.11";
const INNOCENT = "203.0.113.12";
/** On the list for SIP alone. */
const FOR_SIP = "203.0.113.70";
/** On the list for strangers with one attempt. */
const STRICT = "203.0.113.80";
const ALL = [LISTED, PHONE, TRUSTED, INNOCENT, FOR_SIP, STRICT];

onOwnMachine(import.meta.url, (executable) => {
  const ampere = (...args: string[]) => runToEnd([executable, ...args], { deadlineMs: 30_000 });

  for (const backend of ["nftables", "ipset"]) {
    Deno.test(`feeds: listed, but for those who belong here, with ${backend}`, async () => {
      // That of another test may still be going.
      const card = `eth-${backend}`;
      await emptyFirewall();
      await sh("nft", "flush", "ruleset");
      for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
      await using far = await FarSide.make(card, ALL.map((one) => `${one}/24`), OWN);
      await must("ip", "address", "add", `${OWN}/24`, "dev", card);
      if (backend === "ipset") await makeChain();
      using ports = new DisposableStack();
      for (const port of [5060, 8080]) ports.use(listenAt(port));
      let lines: string[] = [LISTED];
      await using server = listServer((request, { pathname }) => {
        if (pathname === "/sip") return new Response(`${FOR_SIP}\n`);
        if (pathname === "/strict") return Response.json({ cidr: `${STRICT}/32` });
        const etag = `"${lines.length}"`;
        return request.headers.get("if-none-match") === etag
          ? new Response(null, { status: 304 })
          : new Response(lines.join("\n"), { headers: { etag } });
      });
      const config = [
        "pass = s3cret",
        `backend = ${backend}`,
        `trust = ${TRUSTED}`,
        "verify = 5s",
        "soft_rate = off",
        "[feed main]",
        `url = ${server.url}`,
        "action = block",
        "[feed sip-only]",
        `url = ${server.url}sip`,
        "action = block",
        "for = sip",
        "[feed gentle]",
        `url = ${server.url}strict`,
        "",
      ].join("\n");
      await Deno.writeTextFile("/etc/ampere/ampere.cfg", config, { mode: 0o600 });
      await using asterisk = new AmiServer({ port: 5038 });
      await using running = new Program([executable]);
      const client = await running.alive(asterisk.client());
      // The kernel tells a refusal once a second: some are met with silence.
      const reaches = async (from: string, port = 5060) =>
        await far.knock(from, OWN, port) === "reached";
      const isRefused = (from: string, port = 5060) =>
        until(`${from} is refused`, async () => !await reaches(from, port));

      await isRefused(LISTED);
      await isRefused(LISTED, 8080);
      await isRefused(FOR_SIP);
      assert(await reaches(FOR_SIP, 8080), "for = sip leaves other ports alone");
      for (const other of [PHONE, TRUSTED, INNOCENT, STRICT]) assert(await reaches(other), other);

      // A phone that belongs here is put on the list by mistake, and who is trusted too.
      await client.send(successfulAuth(PHONE, { remote: remoteOf(PHONE, "TCP") }));
      await until(
        "the phone is known",
        async () => /1 in good standing/.test((await ampere("--status")).out),
      );
      lines = [LISTED, PHONE, `${TRUSTED}/32`, "10.0.0.0/8", OWN];
      const checked = await ampere("--check");
      assert.match(checked.out, /^ok +feed +main: 3 entries in http:\/\/127/m);
      assert.match(
        checked.out,
        /^warning +feed +main: 2 lines are left out: line 4: 10\.0\.0\.0\/8 /m,
      );
      assert.match(
        checked.out,
        new RegExp(`^warning +feed +main: 1 host .* trusted .*${TRUSTED}`, "m"),
      );
      // A section that is new is fetched at once.
      await Deno.writeTextFile(
        "/etc/ampere/ampere.cfg",
        config.replace("feed main", "feed second"),
      );
      running.signal("SIGHUP");
      await running.said(/feed second: 3 entries from /);
      await running.said(new RegExp(`1 host in good standing is on a list .* passes: ${PHONE}`));
      await until(
        "the list is in force",
        async () => /second: 3 entries.*in force/.test((await ampere("--status")).out),
      );
      await isRefused(LISTED);
      for (const own of [PHONE, TRUSTED, INNOCENT]) assert(await reaches(own), own);
      const why = await ampere("--why", LISTED);
      assert.match(
        why.out,
        /is not blocked for what it did, but refused: it is on the list second/,
      );
      assert.match(
        (await ampere("--why", PHONE)).out,
        /Listed +by feed second: it passes, because it belongs/,
      );
      assert.equal((await ampere("-l")).out, "");

      // One attempt: what others are not blocked for yet.
      for (const stranger of [STRICT, INNOCENT]) {
        await client.send(wrongAnswer(stranger, { remote: remoteOf(stranger, "TCP") }));
      }
      await running.said(
        new RegExp(`blocked ${STRICT} .* one attempt only: listed by feed gentle`),
      );
      assert(!running.text.includes(`blocked ${INNOCENT}`));

      // The copies are in force without the servers, and in the kernel without the daemon.
      running.signal("SIGKILL");
      await running.end();
      await server[Symbol.asyncDispose]();
      assert(!await reaches(LISTED) && await reaches(PHONE));
      await using again = new Program([executable]);
      await again.alive(asterisk.client());
      await again.said(/feed second: 3 entries of the copy/);
      await until(
        "the list is in force",
        async () => /second: 3 entries.*in force/.test((await ampere("--status")).out),
      );
      assert(!await reaches(LISTED));
      for (const own of [PHONE, TRUSTED]) assert(await reaches(own), own);

      // With the sections all of it leaves.
      await Deno.writeTextFile("/etc/ampere/ampere.cfg", config.split("[feed")[0]!);
      again.signal("SIGHUP");
      for (const one of [LISTED, FOR_SIP]) {
        await until(`${one} is let go`, () => reaches(one));
      }
      await endsSoon(again);
      await sh("nft", "flush", "ruleset");
    });
  }

  Deno.test("feeds: the way back: a few packets of signalling, of which one login lifts it", async () => {
    await emptyFirewall();
    await sh("nft", "flush", "ruleset");
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    await using far = await FarSide.make("eth3", ALL.map((one) => `${one}/24`), OWN);
    await must("ip", "address", "add", `${OWN}/24`, "dev", "eth3");
    await Deno.writeTextFile("/etc/ampere/attackers", `${PHONE}\n${LISTED}\n${STRICT}\n`);
    const config = "pass = s3cret\nbackend = nftables\nverify = 5s\n[feed own]\n" +
      "url = file:///etc/ampere/attackers\naction = block\n";
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", config, { mode: 0o600 });
    await using asterisk = new AmiServer({ port: 5038 });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await running.said(/the kernel refuses who is on the lists own \(3\)/);
    await using sip = new Counter(5060);
    await using other = new Counter(8080);
    for (const host of [PHONE, LISTED, STRICT]) {
      await far.flood(host, OWN, 8080);
      await far.flood(host, OWN, 5060);
    }
    // A datagram each millisecond comes from each of them.
    await until(
      "hundreds were refused",
      async () =>
        Number(
          /own: .* (\d+) packets? refused/.exec((await ampere("--status")).out.replaceAll(",", ""))
            ?.[1],
        ) > 1_000,
    );
    for (const host of [PHONE, LISTED, STRICT]) {
      const passed = sip.count(host);
      assert(passed >= 3 && passed <= 3 + 20, `${host}: ${passed}`);
      assert.equal(other.count(host), 0);
    }

    // A guess by the gap is charged as any other, and closes it.
    await client.send(wrongAnswer(LISTED, { remote: remoteOf(LISTED, "UDP") }));
    await running.said(new RegExp(`blocked ${LISTED} .* one attempt only: listed by feed own`));
    await until(
      "its own block is in the kernel",
      async () => (await sh("nft", "list", "set", "inet", "ampere", "hosts4")).out.includes(LISTED),
    );
    const closed = sip.count(LISTED);

    // A login by the gap opens it.
    await client.send(successfulAuth(PHONE, { remote: remoteOf(PHONE, "UDP") }));
    await running.said(new RegExp(`${PHONE} logged in, and passes in spite of the lists`));
    for (const counter of [sip, other]) {
      await until("the phone passes", () => Promise.resolve(counter.count(PHONE) > 500));
    }
    assert.equal(sip.count(LISTED), closed);
    assert(sip.count(STRICT) < 100);
    await endsSoon(running);
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("the way back: a network that is blocked for its hosts is soft, by hand it is not", async () => {
    await emptyFirewall();
    await sh("nft", "flush", "ruleset");
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    const guessers = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];
    const [phone, byHand] = ["198.51.100.200", "192.0.2.9"];
    const far = [`${PHONE}/24`, ...[...guessers, phone, byHand].map((one) => `${one}/32`)];
    await using side = await FarSide.make("eth4", far, OWN);
    await must("ip", "address", "add", `${OWN}/24`, "dev", "eth4");
    for (const network of ["198.51.100.0/24", "192.0.2.0/24"]) {
      await must("ip", "route", "add", network, "dev", "eth4");
    }
    const config = "pass = s3cret\nbackend = nftables\nneighbours = 3\n";
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", config, { mode: 0o600 });
    await using asterisk = new AmiServer({ port: 5038 });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    for (const guesser of guessers) await attack(client, guesser, "TCP");
    await running.said(/blocked 198\.51\.100\.0\/24 .* blocked hosts within a day/);
    assert.equal((await runToEnd([executable, "-a"], { stdin: "192.0.2.0/24\n" })).code, 0);
    const refused = (network: string, set: string) =>
      until(
        `${network} is refused`,
        async () => (await sh("nft", "list", "set", "inet", "ampere", set)).out.includes(network),
      );
    for (const network of ["198.51.100.0", "192.0.2.0"]) await refused(network, "networks4_24");
    await refused("198.51.100.0", "soft4_24");
    await using sip = new Counter(5060);
    await using other = new Counter(8080);
    for (const host of [phone, byHand, guessers[0]!]) {
      await side.flood(host, OWN, 8080);
      await side.flood(host, OWN, 5060);
    }
    await until("a few have passed", () => Promise.resolve(sip.count(phone) >= 4));
    assert(sip.count(phone) < 30, `${sip.count(phone)}`);
    for (const host of [byHand, guessers[0]!]) assert.equal(sip.count(host), 0, host);
    assert.equal(other.count(phone), 0);
    // What others take away comes back, gap and all.
    const checked = await ampere("--check");
    assert.match(checked.out, /^ok +firewall +nftables works; .* with 5 blocks$/m);

    await client.send(successfulAuth(phone, { remote: remoteOf(phone, "UDP") }));
    await until("the network is let go", () => Promise.resolve(other.count(phone) > 500));
    await running.said(/released 198\.51\.100\.0\/24/);
    for (const host of [byHand, guessers[0]!]) assert.equal(sip.count(host), 0, host);
    await endsSoon(running);
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("feeds: iptables refuses lists with the file and the line", async () => {
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    const text =
      "pass = s3cret\nbackend = iptables\n[feed own]\nurl = file:///etc/ampere/own\naction = block\n";
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", text, { mode: 0o600 });
    const { code, err } = await ampere();
    assert.notEqual(code, 0);
    assert.match(
      err,
      /\/etc\/ampere\/ampere\.cfg:3: action: \[feed own\] has action = block, but with backend = iptables/,
    );
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

/** Counts datagrams by who has sent them. */
class Counter implements AsyncDisposable {
  readonly #counts = new Map<string, number>();
  readonly #socket = createSocket("udp4");

  constructor(port: number) {
    this.#socket.on(
      "message",
      (_, { address }) => this.#counts.set(address, this.count(address) + 1),
    );
    this.#socket.bind(port, "0.0.0.0");
  }

  count(host: string): number {
    return this.#counts.get(host) ?? 0;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}
