/** Which authorities are believed. */

import assert from "node:assert/strict";
import { authorities, AuthoritiesError } from "../src/authorities.ts";
import { Authority } from "./support/certificates.ts";

const one = await Authority.make("One");
const two = await Authority.make("Two");

Deno.test("authorities: a file gives the certificates in it, without what stands around", async () => {
  await withFile(`# ours\n${one.certificate}\ntext\n${two.certificate}`, (file) => {
    assert.deepEqual(
      authorities(file, "tls_ca").map((text) => text.trim()),
      [one.certificate.trim(), two.certificate.trim()],
    );
  });
});

Deno.test("authorities: a file of no use is told, with its key, its name and what to do", async () => {
  const damaged = one.certificate.replace(/^[A-Za-z0-9+/]{40}/m, "A".repeat(40));
  assert.notEqual(damaged, one.certificate);
  for (
    const [text, why] of [
      ["", /there is no certificate in it$/],
      ["-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", /no certificate in it$/],
      [damaged, /a certificate in it is damaged$/],
      [`${one.certificate}${damaged}`, /a certificate in it is damaged$/],
      ["x".repeat(5 * 1024 * 1024), /longer than 4194304 bytes$/],
    ] as const
  ) {
    await withFile(text, (file) => {
      const error = refusal(file);
      assert.ok(error.message.startsWith(`webhook_ca: ${file}: `), error.message);
      assert.match(error.message, why);
      assert.notEqual(error.advice, "");
    });
  }
  assert.match(refusal("/nowhere/ca.pem").message, /there is no such file$/);
  // To open a pipe would be to wait for its writer, and to read a device never to end.
  assert.match(refusal("/dev/zero").message, /this is no file, but a pipe or a device$/);
});

Deno.test("authorities: without a file they are this machine's, and the runtime takes them", () => {
  const found = authorities(undefined, "tls_ca");
  for (const text of found) assert.match(text, /^-----BEGIN CERTIFICATE-----/);
  Deno.createHttpClient({ caCerts: found }).close();
});

function refusal(file: string): AuthoritiesError {
  try {
    authorities(file, "webhook_ca");
  } catch (error) {
    if (error instanceof AuthoritiesError) return error;
    throw error;
  }
  throw new Error("the file is taken");
}

async function withFile(text: string, act: (file: string) => void): Promise<void> {
  const file = await Deno.makeTempFile({ prefix: "ampere-authorities-" });
  try {
    await Deno.writeTextFile(file, text);
    act(file);
  } finally {
    await Deno.remove(file);
  }
}
