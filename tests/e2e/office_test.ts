/** An office that nobody knows yet, where several phones have wrong passwords and begin first. */

import assert from "node:assert/strict";
import { remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { sh, until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { FarSide } from "./far_side.ts";
import { emptyFolder, endsSoon } from "./installed.ts";
import { emptyFirewall, must, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

/** Where phones come in by TLS, and where nobody does. */
const [SIPS, OTHER] = [5061, 8080];

onOwnMachine(import.meta.url, (executable) => {
  Deno.test("an office: phones with wrong passwords that are first shut it out until somebody logs in, and a guesser for ever", async () => {
    const [own, office, guesser] = ["203.0.113.1", "203.0.113.10", "203.0.113.66"] as const;
    await emptyFirewall();
    await sh("nft", "flush", "ruleset");
    for (const folder of ["/etc/ampere", "/var/lib/ampere"]) await emptyFolder(folder);
    const text = "pass = s3cret\nbackend = nftables\n";
    await Deno.writeTextFile("/etc/ampere/ampere.cfg", text, { mode: 0o600 });
    await using far = await FarSide.make("eth0", [`${office}/24`, `${guesser}/24`], own);
    await must("ip", "address", "add", `${own}/24`, "dev", "eth0");
    using ports = new DisposableStack();
    for (const port of [SIPS, OTHER]) ports.use(Deno.listen({ hostname: "0.0.0.0", port }));
    await using asterisk = new AmiServer({ port: 5038 });
    await using running = new Program([executable]);
    const client = await running.alive(asterisk.client());
    await running.said(/logged in/);
    const fails = (host: string, account: string) =>
      client.send(
        wrongAnswer(host, { account, session: `call-${account}`, remote: remoteOf(host, "TLS") }),
      );
    const reaches = (host: string, port: number) => far.reaches(host, own, port);
    for (const host of [office, guesser]) {
      for (const account of ["100", "101", "102"]) await fails(host, account);
      await running.said(
        new RegExp(`blocked ${host} for ever: 3 wrong passwords .*phones with wrong passwords\\)`),
      );
      await until(`${host} is refused`, async () => !await reaches(host, OTHER));
      assert(await reaches(host, SIPS), "a few packets pass");
    }
    const isSoft = async (host: string) => {
      const { out } = await sh("nft", "-s", "list", "table", "inet", "ampere");
      return new RegExp(`set soft4b? \\{[^}]*${host.replaceAll(".", "\\.")}`).test(out);
    };
    // Phones try again with the password that they have; a guesser goes on to another account.
    await fails(office, "100");
    await fails(office, "102");
    await fails(guesser, "103");
    await until("the guesser has no way back", async () => !await isSoft(guesser));
    assert(!await reaches(guesser, SIPS));
    assert(await isSoft(office));
    const login = { account: "104", remote: remoteOf(office, "TLS") };
    await client.send(successfulAuth(office, login));
    await running.said(new RegExp(`released ${office}: it logged in with a password`));
    await until("the office is let in", () => reaches(office, OTHER));
    await client.send(successfulAuth(guesser, { ...login, remote: remoteOf(guesser, "TLS") }));
    // Whoever belongs here has ten times the limit, and is out for half a minute only.
    for (let i = 0; i < 3; i++) await fails(office, `${105 + i}`);
    const { out } = await runToEnd([executable, "-l"]);
    assert.match(out, /^ +203\.0\.113\.66 \|[^\n]*for ever[^\n]*\n$/);
    await endsSoon(running);
    await sh("nft", "flush", "ruleset");
  });
});
