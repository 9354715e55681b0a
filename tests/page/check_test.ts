/** What `ampere --check` says of the status page, and that what it advises mends it. */

import assert from "node:assert/strict";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { checkPage } from "../../src/page/check.ts";
import { makeToken } from "../../src/page/token_file.ts";
import type { Status } from "../../src/telemetry/status.ts";
import { Authority } from "../support/certificates.ts";

/** Its findings, a line each; without `ok` those that are in order. */
async function found(text: string, status?: Partial<Status>, now = Date.now()): Promise<string[]> {
  const { config = DEFAULT_CONFIG, problems } = parseConfig(text, "ampere.cfg");
  assert.deepEqual(problems, []);
  const findings = await checkPage(config, status as Status | undefined, now);
  return findings.map(({ level, message, advice }) => `${level} ${message} (${advice})`);
}

/** A port that nobody has. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("check page: nothing without one; without a token it only shows", async () => {
  assert.deepEqual(await found(""), []);
  const port = freePort();
  assert.deepEqual(await found(`page = 127.0.0.1:${port}`), [
    "ok nobody can act on it: page_token_file is not set, so that it only shows ()",
    `ok it can be served at http://127.0.0.1:${port}/ ()`,
  ]);
});

Deno.test("check page: a file with tokens that is not there, empty, or open to others", async () => {
  await withFolder(async (folder) => {
    const file = `${folder}/page.token`;
    const text = `page = 127.0.0.1:${freePort()}\npage_token_file = ${file}`;
    const first = async (more = "") => (await found(`${text}\n${more}`))[0]!;
    assert.equal(
      await first(),
      `warning ${file}: there is no such file, so nobody can act on it (ampere --page-token)`,
    );
    assert.match(
      await first("page_name = pbx.example.org"),
      /so it is not served \(ampere --page-/,
    );
    await Deno.writeTextFile(file, "", { mode: 0o600 });
    assert.match(await first(), /^warning .* holds no token, so nobody can act on it/);
    await makeToken(file, "lists");
    assert.match(await first(), /^warning .* has no token for actions, so nobody can act on it/);
    await makeToken(file, "actions");
    assert.equal(await first(), `ok ${file} holds the token ()`);
    await Deno.chmod(file, 0o644);
    assert.equal(await first(), `warning everybody may read ${file} (chmod 600 ${file})`);
    await Deno.chmod(file, 0o666);
    assert.match(
      await first(),
      /may change .*, and give themselves a token \(chmod 600 .*; ampere/,
    );
    await Deno.chmod(file, 0o600);
    assert.match(await first(), /^ok/);
  });
});

Deno.test("check page: an address that another program has, or that is not this machine's", async () => {
  const port = freePort();
  const text = `page = 127.0.0.1:${port}`;
  const other = Deno.listen({ hostname: "127.0.0.1", port });
  const last = async (status?: Partial<Status>, own = text) => (await found(own, status)).at(-1)!;
  const taken = await last();
  assert.equal(
    taken,
    `warning it cannot be served at http://127.0.0.1:${port}/: another program has 127.0.0.1 port ` +
      `${port} (ss -ltnp 'sport = :${port}' names it; end it, or write another port into page)`,
  );
  // What is advised first names this process.
  const { stdout } = await new Deno.Command("ss", { args: ["-ltnp", `sport = :${port}`] }).output();
  assert.match(new TextDecoder().decode(stdout), new RegExp(`pid=${Deno.pid},`));
  const url = `http://127.0.0.1:${port}/`;
  assert.equal(await last({ page: { url, trouble: null } }), `ok it is served at ${url} ()`);
  assert.match(
    await last({ page: { url: `https://127.0.0.1:${port}/`, trouble: null } }),
    /^warning the daemon still serves it as before \(systemctl reload ampere\)/,
  );
  assert.match(await last({ page: { url, trouble: "taken" } }), /another program has/);
  assert.match(await last({}), /^ok somebody has http:.*: after a restart the daemon tells/);
  other.close();
  assert.match(
    await last({ page: null }),
    /does not serve it at .* yet \(systemctl reload ampere\)/,
  );
  assert.match(
    await last({ page: { url, trouble: "it had no key. Fix: a key" } }),
    /^warning the daemon does not serve it: it had no key \(/,
  );
  assert.match(
    await last(undefined, `page = 203.0.113.7:${port}\npage_token_file = /none`),
    /203\.0\.113\.7 is no address of this machine \(one of those that ip address shows/,
  );
});

Deno.test("check page: a certificate that is missing, another key's, expired, or open to others", async () => {
  await withFolder(async (folder) => {
    const [crt, key] = [`${folder}/page.crt`, `${folder}/page.key`];
    await makeToken(`${folder}/token`, "actions");
    const text = `page = 127.0.0.1:${freePort()}\npage_token_file = ${folder}/token\n` +
      `page_cert = ${crt}\npage_key = ${key}`;
    const second = async (now?: number) => (await found(text, undefined, now))[1]!;
    assert.match(
      await second(),
      /^warning page_cert: .*page\.crt: there is no such file, so it is not served \(a copy in /,
    );
    const authority = await Authority.make();
    const [one, other] = [await authority.issue(), await authority.issue({ days: 100 })];
    await Deno.writeTextFile(crt, one.certificate);
    await Deno.writeTextFile(key, other.key, { mode: 0o600 });
    assert.match(await second(), /^warning page_cert .* cannot be used: .*Mismatch.*\(the cert/);
    await Deno.writeTextFile(key, "nothing");
    assert.match(await second(), /^warning page_cert .* cannot be used: .*, so it is not served/);
    await Deno.writeTextFile(key, one.key);
    const day = (days: number) =>
      new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
    assert.match(
      await second(),
      new RegExp(`^warning the certificate .* expires on ${day(10)} \\(renew it`),
    );
    assert.match(await second(Date.now() + 11 * 86_400_000), /has expired on .* \(renew it/);
    assert.match(await second(Date.now() - 86_400_000), /is valid from .* on \(look whether the c/);
    await Deno.writeTextFile(crt, other.certificate);
    await Deno.writeTextFile(key, other.key);
    assert.match(await second(), new RegExp(`^ok the certificate .* is valid until ${day(100)}`));
    await Deno.chmod(key, 0o644);
    assert.match(await second(), /^warning others than its owner may use the key .*\(chmod 600 /);
  });
});
