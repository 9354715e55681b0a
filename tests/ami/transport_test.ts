/** TLS to AMI, with what no Asterisk can be made to do; tests/live/tls.ts has real ones. */

import assert from "node:assert/strict";
import { AmiClient } from "../../src/ami/client.ts";
import { openConnection, TlsError } from "../../src/ami/transport.ts";
import { Authority, type Certificate } from "../support/certificates.ts";
import { BANNER } from "../support/asterisk_events.ts";
import { until } from "../support/namespace.ts";

const authority = await Authority.make();
const right = await authority.issue();
const SECRET = "the-secret-of-the-login";

/** A file with the authority, for as long as something is done. */
async function withAuthority(act: (ca: string) => Promise<void>): Promise<void> {
  const ca = await Deno.makeTempFile({ prefix: "ampere-transport-" });
  try {
    await Deno.writeTextFile(ca, authority.certificate);
    await act(ca);
  } finally {
    await Deno.remove(ca);
  }
}

function listenTls({ certificate, key }: Certificate): Deno.TlsListener {
  return Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert: certificate, key });
}

function portOf(listener: Deno.Listener): number {
  return (listener.addr as Deno.NetAddr).port;
}

/** Why there is no connection; a silent server is waited for no longer than a test may take. */
async function refusal(
  port: number,
  ca: string,
  name?: string,
  handshakeMs = 4_000,
): Promise<TlsError> {
  const tls = { ca, name };
  try {
    (await openConnection({ host: "127.0.0.1", port, tls }, { handshakeMs })).close();
  } catch (error) {
    if (error instanceof TlsError) return error;
    throw error;
  }
  throw new Error("connected");
}

Deno.test("transport: text goes both ways by TLS; names are compared, addresses too", () =>
  withAuthority(async (ca) => {
    using listener = listenTls(right);
    const port = portOf(listener);
    for (const name of [undefined, "127.0.0.1", "pbx.example.org", "PBX.example.org."]) {
      const [server, client] = await Promise.all([
        listener.accept(),
        openConnection({ host: "127.0.0.1", port, tls: { ca, name } }),
      ]);
      await server.write(new TextEncoder().encode(BANNER));
      const into = new Uint8Array(256);
      const count = await client.read(into);
      assert.equal(new TextDecoder().decode(into.subarray(0, count!)), BANNER);
      server.close();
      client.close();
    }
    for (const name of ["127.0.0.2", "::1", "example.org", "x.pbx.example.org"]) {
      const accepted = listener.accept();
      assert.match((await refusal(port, ca, name)).message, /is not for "/);
      (await accepted).close();
    }
    const accepted = listener.accept();
    assert.match(
      (await refusal(port, ca, "pbx-.example.org")).message,
      /"pbx-\.example\.org" is no/,
    );
    (await accepted).close();
  }));

Deno.test("transport: what was said in plain text before TLS is there, and not a word of ours", () =>
  withAuthority(async (ca) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    let heard = "";
    const served = (async () => {
      using connection = await listener.accept();
      await connection.write(new TextEncoder().encode(BANNER));
      const into = new Uint8Array(4_096);
      for (;;) {
        const count = await connection.read(into).catch(() => null);
        if (count === null) return;
        heard += new TextDecoder("latin1").decode(into.subarray(0, count));
      }
    })();
    const told: string[] = [];
    const stop = new AbortController();
    const port = portOf(listener);
    const login = { host: "127.0.0.1", port, user: "ampere", pass: SECRET };
    const running = new AmiClient({ ...login, tls: { ca, name: undefined } }, {
      event: () => {},
      tampered: () => {},
      connected: () => told.push("connected"),
      disconnected: (why) => told.push(why),
    }).run(stop.signal);
    await until("it is told", () => told.length > 0);
    stop.abort();
    await Promise.all([running, served]);
    assert.match(told[0]!, /no TLS with 127\.0\.0\.1:\d+: it answers in plain text.*Fix: .*5039/);
    assert.ok(heard.length > 0);
    assert.ok(!heard.includes("Login") && !heard.includes(SECRET), heard);
  }));

Deno.test("transport: a silent server and one that hangs up are told", () =>
  withAuthority(async (ca) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const refused = refusal(portOf(listener), ca, undefined, 50);
    const silent = await listener.accept();
    assert.match((await refused).message, /no answer to the TLS handshake within 0\.05 s/);
    // Its socket is left until the server says something.
    silent.close();
    const hangUp = refusal(portOf(listener), ca);
    const connection = await listener.accept();
    await connection.read(new Uint8Array(4_096));
    connection.close();
    assert.match(
      (await hangUp).message,
      /closed the connection in the middle of the TLS handshake/,
    );
  }));

Deno.test("transport: a file of no use is told before anything is sent", async () => {
  // Nobody listens there, which is not what is told.
  const error = await refusal(1, "/nowhere/ca.pem");
  assert.match(error.message, /^tls_ca: \/nowhere\/ca\.pem: there is no such file$/);
});
