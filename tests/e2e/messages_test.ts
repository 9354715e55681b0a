/** The compiled program tells people what happens, and machines by its log. */

import assert from "node:assert/strict";
import { Authority } from "../support/certificates.ts";
import { hasMailServer, MailServer } from "../support/mail_server.ts";
import { until } from "../support/namespace.ts";
import { remoteOf, wrongAnswer } from "../support/asterisk_events.ts";
import { AmiServer } from "./ami_server.ts";
import { attack, blocked, endsSoon } from "./installed.ts";
import { emptyFirewall, makeChain, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";

const CONFIG = "/etc/ampere/ampere.cfg";
const PASSWORD = "s3cret-mail";
const TOKEN = "s3cret-token";

onOwnMachine(import.meta.url, (executable) => {
  Deno.test({
    name: "a real mail server, and a receiver of JSON, are told by the compiled program",
    ignore: !hasMailServer,
    async fn() {
      const authority = await Authority.make();
      const { certificate, key } = await authority.issue();
      await Deno.writeTextFile("/etc/ampere/mail.pem", authority.certificate);
      await Deno.writeTextFile("/etc/ampere/mail.password", PASSWORD, { mode: 0o600 });
      await Deno.writeTextFile("/etc/ampere/hook.token", TOKEN, { mode: 0o644 });
      await Deno.writeTextFile("/var/lib/ampere/crt", certificate);
      await Deno.writeTextFile("/var/lib/ampere/key", key);
      await using mail = await MailServer.start({
        certificate: "/var/lib/ampere/crt",
        key: "/var/lib/ampere/key",
        user: "ampere",
        password: PASSWORD,
      });
      await using implicit = await MailServer.start({
        certificate: "/var/lib/ampere/crt",
        key: "/var/lib/ampere/key",
        implicit: true,
      });
      await using hook = receive();
      await using asterisk = new AmiServer();
      await emptyFirewall();
      await makeChain();
      await Deno.writeTextFile(
        CONFIG,
        [
          `port = ${asterisk.port}`,
          "guard_hosts = 2",
          "log_format = json",
          "[notify mail]",
          "format = email",
          `url = smtp://127.0.0.1:${mail.port}`,
          "ca = /etc/ampere/mail.pem",
          "login = ampere",
          "password_file = /etc/ampere/mail.password",
          "from = ampere@example.org",
          "to = admin@example.org",
          "[notify hook]",
          "format = json",
          `url = ${hook.url}`,
          "token_file = /etc/ampere/hook.token",
          "digest = off",
          "[notify stranger]",
          "format = email",
          `url = smtp://127.0.0.1:${mail.port}`,
          "login = ampere",
          "password_file = /etc/ampere/mail.password",
          "from = ampere@example.org",
          "to = admin@example.org",
          "[notify tls]",
          "format = email",
          `url = smtps://127.0.0.1:${implicit.port}`,
          "ca = /etc/ampere/mail.pem",
          "from = ampere@example.org",
          "to = admin@example.org",
          "digest = off",
          "[notify misnamed]",
          "format = email",
          `url = smtps://localhost:${implicit.port}`,
          "ca = /etc/ampere/mail.pem",
          "from = ampere@example.org",
          "to = admin@example.org",
          "digest = off",
          "[notify broken]",
          "format = slack",
          "url = http://127.0.0.1:9/s3cret-hook",
          "",
        ].join("\n"),
      );

      const looked = (await runToEnd([executable, "--check"], { deadlineMs: 60_000 })).out;
      assert.match(looked, /^ok +messages +mail \(email\).*login as "ampere" work/m);
      assert.match(looked, /^ok +messages +tls \(email\), smtps:.*connection, TLS work/m);
      assert.match(
        looked,
        /^warning +messages +hook \(json\).*is reached.*everybody .* may read .*hook\.token$/m,
      );
      assert.match(looked, /^ +fix: chmod 600 \/etc\/ampere\/hook\.token$/m);
      assert.match(
        looked,
        /^warning +messages +broken \(slack\), http:\/\/127\.0\.0\.1:9: .*refused/m,
      );
      assert.match(looked, /^warning +messages +stranger .*authority that this machine does not/m);
      assert.match(looked, /^warning +messages +misnamed .*not for "localhost" but for pbx/m);
      assert.deepEqual([mail.taken, implicit.taken, hook.received], [[], [], []]);
      await runToEnd([executable, "--check", "--notify"], { deadlineMs: 60_000 });
      await until("the test arrives", () => mail.taken.length === 1 && hook.received.length === 1);
      assert.match(mail.taken[0]!.text, /^Subject: Ampere: a test\r$/m);
      assert.deepEqual(hook.received[0]!.kind, "test");

      await using daemon = new Program([executable]);
      const client = await daemon.alive(asterisk.client());
      for (const address of ["203.0.113.66", "203.0.113.67"]) {
        const account = 'x" <b@evil.example>';
        const remote = remoteOf(address, "TCP");
        for (let i = 0; i < 3; i++) await client.send(wrongAnswer(address, { remote, account }));
      }
      await attack(client, "203.0.113.68");
      await blocked("203.0.113.66", "203.0.113.67", "203.0.113.68");
      await until("the guard is told", () => hook.received.length === 2, 10_000);
      assert.deepEqual(hook.received[1]!.events.map(({ event }) => event), ["account-guarded"]);
      await until("by mail, too", () => mail.taken.length === 2 && implicit.taken.length === 2);

      await until("the broken one is told", async () => {
        const { out } = await runToEnd([executable, "--status"]);
        return /broken \(slack\): failing: .*1 event waiting/.test(out) &&
          /mail \(email\): 1 message taken/.test(out);
      });
      const signal = daemon.lines.length;
      daemon.signal("SIGHUP");
      await daemon.said(/read again/, signal);
      await endsSoon(daemon);
      await until("the digest arrives", () => mail.taken.length === 3);
      const { text, ...envelope } = mail.taken[2]!;
      assert.deepEqual(
        [envelope.tls, envelope.login, envelope.to],
        [true, "ampere", ["admin@example.org"]],
      );
      assert.match(text, /^Subject: Ampere: 4 new blocks\r$/m);
      assert.match(text, /^Since .*: 4 new blocks, 0 ended/m);
      for (const last of ["66", "67", "68"]) {
        assert.match(text, new RegExp(`203\\.0\\.113\\.${last}`));
      }
      assert.match(text, /b\[@\]evil\[\.\]example/);

      // Each line of the daemon's life is an object, with nothing secret in it.
      const lines = daemon.lines.map((line) => JSON.parse(line));
      for (const line of lines) {
        assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        assert.match(line.level, /^(?:debug|info|warn|error)$/);
        assert.equal(typeof line.message, "string");
      }
      assert.ok(!daemon.text.includes("s3cret"), daemon.text);
      const block = lines.find(({ event, target }) =>
        event === "block" && target === "203.0.113.66"
      );
      assert.deepEqual(
        [block.level, block.until, block.service, block.transport],
        ["info", null, "PJSIP", "TCP"],
      );
      assert.match(block.reason, /^3 wrong passwords|^\d wrong password/);
      assert.ok(lines.some(({ event }) => event === "ami-connected"));
      assert.ok(lines.some(({ event }) => event === "account-guarded"));
    },
  });
});

interface Received {
  readonly kind: string;
  readonly events: readonly { readonly event: string }[];
}

/** Takes messages as JSON from whoever has the token. */
function receive() {
  const received: Received[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      if (request.headers.get("authorization") !== `Bearer ${TOKEN}`) {
        return new Response("who are you?", { status: 401 });
      }
      if (request.method === "POST") received.push(await request.json());
      return new Response();
    },
  );
  return {
    received,
    url: `http://127.0.0.1:${server.addr.port}/hook`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
