/** E-mail, to a real server. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { MessengerConfig } from "../../../src/config/messengers.ts";
import { MailSender } from "../../../src/telemetry/messages/mail_sender.ts";
import type { Message } from "../../../src/telemetry/messages/message.ts";
import { Authority } from "../../support/certificates.ts";
import { right } from "../../support/config_texts.ts";
import { until } from "../../support/namespace.ts";
import { hasMailServer, MailServer } from "../../support/mail_server.ts";

const PASSWORD = "p4ss wörd";

const MESSAGE: Message = {
  id: "ampere-1",
  kind: "digest",
  title: "Ampere at pbx1: 2 new blocks",
  lines: ["Since now: 2 new blocks", ".", "- 203.0.113.5 for ever: …", "x".repeat(2_000)],
  events: [],
  digest: undefined,
  time: "2026-11-22T08:09:09.918Z",
};

interface Site {
  readonly authority: Authority;
  readonly files: { readonly certificate: string; readonly key: string };
  /** A messenger to a port; further lines of its section. */
  config(port: number, ...lines: string[]): MessengerConfig;
}

function test(name: string, body: (site: Site) => Promise<void>): void {
  Deno.test({
    name: `mail: ${name}`,
    ignore: !hasMailServer,
    async fn() {
      const folder = await Deno.makeTempDir({ prefix: "ampere-mail-" });
      try {
        const authority = await Authority.make();
        const { certificate, key } = await authority.issue();
        const files = { certificate: `${folder}/crt`, key: `${folder}/key` };
        await Deno.writeTextFile(files.certificate, certificate);
        await Deno.writeTextFile(files.key, key);
        await Deno.writeTextFile(`${folder}/ca`, authority.certificate);
        await Deno.writeTextFile(`${folder}/password`, `${PASSWORD}\n`);
        await body({
          authority,
          files,
          config: (port, ...lines) => {
            const own = [
              "[notify boss]",
              "format = email",
              ...(lines.some((line) => line.startsWith("url"))
                ? []
                : [`url = smtp://127.0.0.1:${port}`]),
              "from = ampere@example.org",
              "to = admin@example.org, boss@example.org",
              ...lines.map((line) => line.replaceAll("FOLDER", folder).replace("PORT", `${port}`)),
            ];
            return right(own.join("\n")).messengers[0]!;
          },
        });
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

const LOGIN = ["ca = FOLDER/ca", "login = ampere", "password_file = FOLDER/password"];
const ACCOUNT = { user: "ampere", password: PASSWORD };

const soon = () => AbortSignal.timeout(10_000);

test("a message arrives whole, by STARTTLS and with a login", async ({ files, config }) => {
  await using server = await MailServer.start({ ...files, ...ACCOUNT });
  using sender = new MailSender(config(server.port, ...LOGIN));
  deepStrictEqual(await sender.send(MESSAGE, soon()), undefined);
  await until("it is told", () => server.taken.length > 0);
  const [mail, ...more] = server.taken;
  deepStrictEqual(more, []);
  const { text, ...envelope } = mail!;
  deepStrictEqual(envelope, {
    helo: "[127.0.0.1]",
    tls: true,
    login: "ampere",
    from: "ampere@example.org",
    to: ["admin@example.org", "boss@example.org"],
  });
  const [head, body] = text.split("\r\n\r\n", 2);
  for (
    const header of [
      "From: ampere@example.org",
      "To: admin@example.org, boss@example.org",
      "Subject: Ampere at pbx1: 2 new blocks",
      "Auto-Submitted: auto-generated",
      "Date: Sun, 22 Nov 2026 08:09:09 +0000",
      "Content-Type: text/plain; charset=utf-8",
    ]
  ) ok(head!.split("\r\n").includes(header), head);
  const decoded = body!.replace(/=\r\n/g, "").replaceAll("=E2=80=A6", "…");
  for (const line of MESSAGE.lines) ok(decoded.split("\r\n").includes(line), decoded);
  ok(text.split("\r\n").every((line) => line.length <= 998));
});

test("TLS from the first byte; the address in a file", async ({ files, config }) => {
  await using server = await MailServer.start({ ...files, ...ACCOUNT, implicit: true });
  const { port } = server;
  using sender = new MailSender(config(port, ...LOGIN, "url = smtps://127.0.0.1:PORT"));
  deepStrictEqual(await sender.send({ ...MESSAGE, kind: "urgent" }, soon()), undefined);
  await until("it is told", () => server.taken.length > 0);
  const [{ text, tls } = { text: "", tls: false }] = server.taken;
  match(text, /^Importance: high\r\n/m);
  ok(tls);
});

test("a server on this machine needs neither TLS nor a login", async ({ config }) => {
  await using server = await MailServer.start({});
  using sender = new MailSender(config(server.port));
  deepStrictEqual(await sender.send(MESSAGE, soon()), undefined);
  await until("it is told", () => server.taken.length === 1);
});

test("no password and no message goes to a server that is not believed", async (site) => {
  const { files, config, authority } = site;
  await using server = await MailServer.start({ ...files, ...ACCOUNT });
  const [, ...login] = LOGIN;
  using stranger = new MailSender(config(server.port, ...login));
  const unknown = await stranger.send(MESSAGE, soon());
  match(unknown!.why, /authority that this machine does not know/);
  match(unknown!.advice!, /^ca = FILE/);
  using misnamed = new MailSender(config(server.port, ...LOGIN, "url = smtp://localhost:PORT"));
  match((await misnamed.send(MESSAGE, soon()))!.why, /its certificate is not for "localhost"/);
  const old = await authority.issue({ days: -1 });
  await Deno.writeTextFile(files.certificate, old.certificate);
  await Deno.writeTextFile(files.key, old.key);
  await using expired = await MailServer.start({ ...files, ...ACCOUNT });
  using third = new MailSender(config(expired.port, ...LOGIN));
  match((await third.send(MESSAGE, soon()))!.why, /has expired/);
  await using bare = await MailServer.start({});
  using fourth = new MailSender(config(bare.port, ...LOGIN));
  const plain = await fourth.send(MESSAGE, soon());
  match(plain!.why, /^it offers no STARTTLS \(454 /);
  deepStrictEqual([server, expired, bare].flatMap(({ taken }) => taken), []);
});

test("a server that repeats the password is not repeated, wherever it is cut", async ({ files, config }) => {
  for (const before of [0, 140, 148, 156]) {
    const refuse = [`550 ${"x".repeat(before)} ${PASSWORD} is no way in`];
    await using server = await MailServer.start({ ...files, ...ACCOUNT, refuse });
    using sender = new MailSender(config(server.port, ...LOGIN));
    const { why } = (await sender.send(MESSAGE, soon()))!;
    ok(!why.includes(PASSWORD.slice(0, 3)), why);
  }
});

test("each refusal is told with what mends it", async ({ files, config }) => {
  await using server = await MailServer.start({ ...files, ...ACCOUNT, password: "other" });
  using wrong = new MailSender(config(server.port, ...LOGIN));
  const login = await wrong.send(MESSAGE, soon());
  match(login!.why, /^it refuses the login \(535 /);
  match(login!.advice!, /^correct login, or the password in /);
  ok(login!.lasting);
  await using grey = await MailServer.start({
    ...files,
    ...ACCOUNT,
    refuse: ["451 4.7.1 come back later", "451 4.7.1 come back later"],
  });
  using patient = new MailSender(config(grey.port, ...LOGIN));
  const later = await patient.send(MESSAGE, soon());
  match(later!.why, /^451 4\.7\.1 come back later$/);
  ok(!later!.lasting);
  deepStrictEqual(await patient.send(MESSAGE, soon()), undefined);
  await using one = await MailServer.start({
    ...files,
    ...ACCOUNT,
    refuse: ["550 5.1.1 nobody here\u001b[31m"],
  });
  using half = new MailSender(config(one.port, ...LOGIN));
  const refused = await half.send(MESSAGE, soon());
  match(refused!.why, /^admin@example\.org was refused \(550 5\.1\.1 nobody here\\x1b\[31m\)$/);
  await until("it is told", () => one.taken.length > 0);
  deepStrictEqual(one.taken[0]!.to, ["boss@example.org"]);
  ok(refused!.taken);
  const closed = config(1, ...LOGIN);
  match((await new MailSender(closed).send(MESSAGE, soon()))!.why, /^connection refused$/);
  const missing = config(1, ...LOGIN.with(2, "password_file = FOLDER/none"));
  match((await new MailSender(missing).send(MESSAGE, soon()))!.why, /there is no such file$/);
});

test("who has a message does not get it again when another address has to wait", async (site) => {
  await using server = await MailServer.start({
    ...site.files,
    ...ACCOUNT,
    // The first address waits twice, and the second time another message has come in between.
    refuse: ["450 4.2.0 grey", "", "450 4.2.0 grey", "", "", "550 5.1.1 nobody here"],
  });
  using sender = new MailSender(site.config(server.port, ...LOGIN));
  const first = await sender.send(MESSAGE, soon());
  match(first!.why, /^admin@example\.org was refused \(450 4\.2\.0 grey\)$/);
  ok(!first!.taken && !first!.lasting);
  const second = await sender.send(MESSAGE, soon());
  match(second!.why, /grey/);
  ok(!second!.taken && !second!.lasting);
  strictEqual(await sender.send({ ...MESSAGE, id: "ampere-2" }, soon()), undefined);
  const third = await sender.send(MESSAGE, soon());
  match(third!.why, /^admin@example\.org was refused \(550 5\.1\.1 nobody here\)$/);
  ok(third!.taken && third!.lasting);
  await until("both are told", () => server.taken.length === 2);
  deepStrictEqual(server.taken.map(({ to }) => to), [
    ["boss@example.org"],
    ["admin@example.org", "boss@example.org"],
  ]);
  match(server.taken[0]!.text, /^Message-ID: <ampere-1@example\.org>\r$/m);
});

test("a server that stalls is left in time", async ({ config }) => {
  await using server = await MailServer.start({ stall: true });
  using sender = new MailSender(config(server.port));
  const stopped = new AbortController();
  const sending = sender.send(MESSAGE, stopped.signal);
  await server.stalls();
  stopped.abort();
  strictEqual((await sending)?.why, "it cannot be reached");
  deepStrictEqual(server.taken, []);
});

test("a look proves the login and sends nothing", async ({ files, config }) => {
  await using server = await MailServer.start({ ...files, ...ACCOUNT });
  using sender = new MailSender(config(server.port, ...LOGIN));
  const found = await sender.probe(soon());
  match("proven" in found ? found.proven : "", /^connection, TLS, login as "ampere" work/);
  deepStrictEqual(server.taken, []);
  await using bare = await MailServer.start({});
  using local = new MailSender(config(bare.port));
  const plain = await local.probe(soon());
  match("proven" in plain ? plain.proven : "", /^connection works;/);
});
