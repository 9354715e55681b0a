/** The server of a webhook by TLS, real certificates; tests/telemetry/webhook_test.ts the rest. */

import assert from "node:assert/strict";
import { checkWebhook } from "../../src/commands/check/webhook.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { type WebhookBody, WebhookServer } from "../../src/telemetry/webhook_server.ts";
import { Authority, type Certificate } from "../support/certificates.ts";

const authority = await Authority.make("A company");
const PATH = "/hook/s3cret";

/** A receiver, and what it took. */
function serve({ certificate, key }: Certificate, status = 200) {
  const bodies: WebhookBody[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert: certificate, key, onListen: () => {} },
    async (request) => {
      bodies.push(await request.json());
      return new Response(null, { status });
    },
  );
  return {
    bodies,
    url: `https://127.0.0.1:${(server.addr as Deno.NetAddr).port}${PATH}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

async function withFile(text: string, act: (file: string) => Promise<void>): Promise<void> {
  const file = await Deno.makeTempFile({ prefix: "ampere-webhook-" });
  try {
    await Deno.writeTextFile(file, text);
    await act(file);
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("webhook server: webhook_ca decides whose certificate is accepted, at each try anew", async () => {
  await using receiver = serve(await authority.issue());
  const other = await Authority.make("Another company");
  await withFile(other.certificate, async (ca) => {
    using server = new WebhookServer(receiver.url, ca);
    const post = () =>
      server.post([{ event: "check", time: "now" }], 0, AbortSignal.timeout(9_000));
    const failure = await post();
    assert.match(failure!.why, /not signed by an authority in /);
    assert.match(failure!.advice!, /^put the certificate of the authority/);
    assert.ok(!JSON.stringify(failure).includes("s3cret"));
    await Deno.writeTextFile(ca, authority.certificate);
    assert.equal(await post(), undefined);
    assert.equal(receiver.bodies.length, 1);
  });
});

Deno.test("webhook server: --check sends an event that tells of nothing", async () => {
  await using receiver = serve(await authority.issue());
  await using refusing = serve(await authority.issue(), 410);
  assert.deepEqual(await checkWebhook(DEFAULT_CONFIG), []);
  await withFile(authority.certificate, async (webhookCa) => {
    const config = { ...DEFAULT_CONFIG, webhook: receiver.url, webhookCa };
    const [found, ...more] = await checkWebhook(config, 0);
    assert.deepEqual(more, []);
    assert.equal(found!.level, "ok");
    assert.ok(!JSON.stringify(found).includes("s3cret"));
    assert.deepEqual(receiver.bodies.map(({ events }) => events), [
      [{ event: "check", time: "1970-01-01T00:00:00.000Z" }],
    ]);
    const [refused] = await checkWebhook({ ...config, webhook: refusing.url });
    assert.equal(refused!.level, "warning");
    assert.match(refused!.message, /did not take a report: HTTP 410/);
  });
  const [unknown] = await checkWebhook({ ...DEFAULT_CONFIG, webhook: receiver.url });
  assert.match(unknown!.message, /from an authority that this machine does not know/);
  assert.match(unknown!.advice, /^webhook_ca = FILE/);
});
