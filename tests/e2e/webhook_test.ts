/** The compiled program's webhook by TLS: whose certificate it accepts, under its permissions. */

import assert from "node:assert/strict";
import type { Notice } from "../../src/telemetry/notice.ts";
import { Authority } from "../support/certificates.ts";
import { until } from "../support/namespace.ts";
import { AmiServer } from "./ami_server.ts";
import { attack, blocked } from "./installed.ts";
import { emptyFirewall, makeChain, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const CONFIG = "/etc/ampere/ampere.cfg";

/** Where Debian keeps the authorities that the machine believes; /etc is the machine's own here. */
const STORE = "/etc/ssl/certs/ca-certificates.crt";

onOwnMachine(import.meta.url, (executable) => {
  Deno.test("a webhook whose authority the machine knows, or webhook_ca names, is told of blocks", async () => {
    const [installed, named] = [await Authority.make("Ours"), await Authority.make("Named")];
    await using first = await receive(installed);
    await using second = await receive(named);
    await using asterisk = new AmiServer();
    await emptyFirewall();
    await makeChain();
    const write = (...lines: string[]) =>
      Deno.writeTextFile(CONFIG, [`port = ${asterisk.port}`, ...lines, ""].join("\n"));
    const check = async () => {
      const { out } = await runToEnd([executable, "--check"], { deadlineMs: 60_000 });
      return /^\w+ +webhook .*(?:\n +fix: .*)?$/m.exec(out)?.[0] ?? out;
    };

    await write(`webhook = ${first.url}`);
    assert.match(
      await check(),
      /^warning +webhook .* that this machine does not know\..*\n +fix: webhook_ca = FILE/,
    );
    await Deno.writeTextFile(STORE, installed.certificate, { append: true });
    assert.match(await check(), /^ok +webhook +https:\/\/127\.0\.0\.1:\d+ took a report/);
    assert.deepEqual(first.events.map(({ event }) => event), ["check"]);

    await using daemon = new Program([executable]);
    const client = await daemon.alive(asterisk.client());
    await attack(client, "203.0.113.66");
    await blocked("203.0.113.66");
    await until("the block is reported", () => first.tells("203.0.113.66"));

    await Deno.writeTextFile("/etc/ampere/hooks.pem", named.certificate);
    await write(`webhook = ${second.url}`, "webhook_ca = /etc/ampere/hooks.pem");
    assert.match(await check(), /^ok +webhook /);
    daemon.signal("SIGHUP");
    await daemon.said(/read again/);
    await attack(client, "203.0.113.67");
    await blocked("203.0.113.66", "203.0.113.67");
    await until("the block is reported", () => second.tells("203.0.113.67"));
    assert.ok(!daemon.text.includes("s3cret"), daemon.text);
  });
});

/** A receiver with a certificate of an authority. */
async function receive(authority: Authority) {
  const { certificate: cert, key } = await authority.issue();
  const events: Notice[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} },
    async (request) => {
      events.push(...(await request.json()).events);
      return new Response();
    },
  );
  return {
    events,
    tells: (target: string) =>
      events.some((notice) => notice.event === "block" && notice.target === target),
    url: `https://127.0.0.1:${(server.addr as Deno.NetAddr).port}/s3cret`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
