/** What messengers that are reached by HTTP are sent, and what their answers mean. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Notice } from "../../../src/telemetry/notice.ts";
import { HttpSender } from "../../../src/telemetry/messages/http_sender.ts";
import type { Message } from "../../../src/telemetry/messages/message.ts";
import { lineOf } from "../../../src/telemetry/messages/wording.ts";
import { right } from "../../support/config_texts.ts";

const TIME = "2026-11-22T08:09:09.918Z";
const TOKEN = "12345:AbCd-efgh_ijkl";

/** What a stranger writes who knows of messengers. */
const HOSTILE =
  '<!channel> *bold* `x` </pre> & @here https://evil.example/x "q" \r\nSubject: y \u202e\u001b[2J \ud800';

const GUARDED: Notice = {
  event: "account-guarded",
  time: TIME,
  service: "PJSIP",
  account: HOSTILE,
  hosts: 10,
};

const MESSAGE: Message = {
  id: "ampere-1-2",
  kind: "prompt",
  title: "Ampere at Köln: an account is attacked by many hosts",
  lines: [lineOf(GUARDED)],
  events: [GUARDED],
  digest: undefined,
  time: TIME,
};

interface Received {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | null;
  readonly type: string | null;
  readonly text: string;
}

/** A server that answers as told. */
function listen(answer: () => Response = () => new Response("ok")) {
  const received: Received[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { headers, method, url } = request;
      received.push({
        method,
        path: new URL(url).pathname,
        authorization: headers.get("authorization"),
        type: headers.get("content-type"),
        text: await request.text(),
      });
      return answer();
    },
  );
  return {
    origin: `http://127.0.0.1:${server.addr.port}`,
    received,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const soon = () => AbortSignal.timeout(5_000);

/** A sender for a section; `TOKEN` in it is a file with the token. */
async function senderFor(section: string): Promise<HttpSender & { readonly folder: string }> {
  const folder = await Deno.makeTempDir({ prefix: "ampere-token-" });
  await Deno.writeTextFile(`${folder}/token`, `${TOKEN}\n`);
  const text = `[notify a]\n${section}`.replaceAll("TOKEN", `${folder}/token`);
  return Object.assign(new HttpSender(right(text).messengers[0]!), { folder });
}

/** Sends one message to a server of its own, and gives what that was sent. */
async function sent(section: (origin: string) => string, message = MESSAGE): Promise<Received> {
  await using server = listen();
  using sender = await senderFor(section(server.origin));
  deepStrictEqual(await sender.send(message, soon()), undefined);
  strictEqual(server.received.length, 1);
  return server.received[0]!;
}

Deno.test("http messengers: a stranger's text is in one line, and is no link and no mention", () => {
  strictEqual(
    MESSAGE.lines[0],
    '10 hosts failed on account "<!channel> *bold* `x` </pre> & [@]here https[://]evil[.]example/x \\"q…" ' +
      "(PJSIP): each further stranger is blocked for the first failure on it",
  );
  strictEqual(
    lineOf({ ...GUARDED, account: '1.2.3.4 a"\r\n\u202e\u001b \ud800' }).slice(27, 73),
    '"1.2.3.4 a\\"\\x0d\\x0a\\u202e\\x1b \\ud800" (PJSIP)',
  );
});

Deno.test("http messengers: Slack: text with its three characters escaped, and no markup", async () => {
  const { method, path, type, text } = await sent((origin) =>
    `format = slack\nurl = ${origin}/services/T0/B0/x`
  );
  deepStrictEqual([method, path], ["POST", "/services/T0/B0/x"]);
  match(type!, /^application\/json/);
  const body = JSON.parse(text);
  deepStrictEqual(
    [body.mrkdwn, body.link_names, body.unfurl_links, body.unfurl_media],
    [false, false, false, false],
  );
  ok(body.text.startsWith(`${MESSAGE.title}\n10 hosts`), body.text);
  ok(body.text.includes("&lt;!channel&gt; *bold* `x` &lt;/pre&gt; &amp; "), body.text);
  ok(!/[<>]/.test(body.text));
});

Deno.test("http messengers: Telegram: plain text for the chat, the token in the path", async () => {
  const { method, path, text } = await sent((origin) =>
    `format = telegram\nurl = ${origin}\ntoken_file = TOKEN\nchat = -100123`
  );
  deepStrictEqual([method, path], ["POST", `/bot${TOKEN}/sendMessage`]);
  const { text: said, ...rest } = JSON.parse(text);
  deepStrictEqual(rest, {
    chat_id: "-100123",
    link_preview_options: { is_disabled: true },
    disable_notification: false,
  });
  strictEqual(said, [MESSAGE.title, ...MESSAGE.lines].join("\n"));
});

Deno.test("http messengers: ntfy: JSON to the server's root, with priority and token", async () => {
  const { method, path, authorization, text } = await sent(
    (origin) => `format = ntfy\nurl = ${origin}/below/my-topic\ntoken_file = TOKEN`,
    { ...MESSAGE, kind: "urgent" },
  );
  deepStrictEqual([method, path, authorization], ["POST", "/below/", `Bearer ${TOKEN}`]);
  deepStrictEqual(JSON.parse(text), {
    topic: "my-topic",
    title: MESSAGE.title,
    message: MESSAGE.lines[0],
    priority: 5,
    tags: ["rotating_light"],
  });
});

Deno.test("http messengers: Matrix: a PUT with the message's own transaction", async () => {
  const { method, path, authorization, text } = await sent(
    (origin) => `format = matrix\nurl = ${origin}/\ntoken_file = TOKEN\nroom = !a:example.org`,
  );
  deepStrictEqual([method, path, authorization], [
    "PUT",
    "/_matrix/client/v3/rooms/!a%3Aexample.org/send/m.room.message/ampere-1-2",
    `Bearer ${TOKEN}`,
  ]);
  const { body, ...rest } = JSON.parse(text);
  deepStrictEqual(rest, { msgtype: "m.text", "m.mentions": {} });
  match(body, /^Ampere at Köln/);
});

Deno.test("http messengers: JSON: all of it, with strangers' texts as they are", async () => {
  const { path, authorization, text } = await sent((origin) =>
    `format = json\nurl = ${origin}/hook?a=b\ntoken_file = TOKEN`
  );
  deepStrictEqual([path, authorization], ["/hook", `Bearer ${TOKEN}`]);
  const { version, ...body } = JSON.parse(text);
  match(version, /^\d/);
  deepStrictEqual(body, {
    source: "ampere",
    id: "ampere-1-2",
    time: TIME,
    kind: "prompt",
    title: MESSAGE.title,
    text: MESSAGE.lines.join("\n"),
    events: [GUARDED],
    digest: null,
  });
});

Deno.test("http messengers: of what is too long the first lines are sent, and how many are missing", async () => {
  const lines = Array.from({ length: 300 }, (_, i) => `${i} ${"ä&".repeat(50)}`);
  const long = { ...MESSAGE, lines };
  const slack = await sent((origin) => `format = slack\nurl = ${origin}/x`, long);
  const { text } = JSON.parse(slack.text);
  ok(text.length <= 4_000 && text.length > 3_500, String(text.length));
  match(text, /\n… 2[89]\d more lines$/);
  const ntfy = await sent((origin) => `format = ntfy\nurl = ${origin}/x`, long);
  const { message } = JSON.parse(ntfy.text);
  const bytes = new TextEncoder().encode(message).length;
  ok(bytes <= 4_096 && bytes > 3_500, String(bytes));
  const one = { ...MESSAGE, title: "T", lines: ["😀".repeat(5_000)] };
  const telegram = await sent(
    (origin) => `format = telegram\nurl = ${origin}\ntoken_file = TOKEN\nchat = 1`,
    one,
  );
  ok(JSON.parse(telegram.text).text.length <= 4_096);
});

Deno.test("http messengers: answers are told with what mends them, and hold no secret", async () => {
  const telegram = (origin: string) =>
    `format = telegram\nurl = ${origin}\ntoken_file = TOKEN\nchat = 1`;
  const table: [Response, RegExp, string | undefined, boolean, number | undefined][] = [
    [
      Response.json({ ok: false, description: `Unauthorized ${TOKEN}\u001b` }, { status: 401 }),
      /^HTTP 401 "Unauthorized \(not shown\)\\x1b"$/,
      "correct FOLDER/token",
      true,
      undefined,
    ],
    [
      Response.json({ ok: false, parameters: { retry_after: 7 } }, { status: 429 }),
      /^HTTP 429/,
      undefined,
      false,
      7_000,
    ],
    [
      new Response("busy", { status: 503, headers: { "retry-after": "30" } }),
      /^HTTP 503 "busy"$/,
      undefined,
      false,
      30_000,
    ],
    [
      Response.json({ errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 1_500 }, { status: 429 }),
      /^HTTP 429/,
      undefined,
      false,
      1_500,
    ],
    [
      Response.json({
        description: "group chat was upgraded",
        parameters: { migrate_to_chat_id: -1001234567890123 },
      }, { status: 400 }),
      /^HTTP 400 "group chat was upgraded"$/,
      "the group has another number now: write chat = -1001234567890123 into [notify a]",
      true,
      undefined,
    ],
    [
      new Response("<!doctype html>", { status: 404 }),
      /^HTTP 404$/,
      "correct FOLDER/token",
      true,
      undefined,
    ],
    [
      new Response(null, { status: 302, headers: { location: "https://evil.example/" } }),
      /^it sends to another address \(HTTP 302\)/,
      undefined,
      true,
      undefined,
    ],
  ];
  for (const [response, why, advice, lasting, retryAfterMs] of table) {
    await using server = listen(() => response);
    using sender = await senderFor(telegram(server.origin));
    const failure = (await sender.send(MESSAGE, soon()))!;
    match(failure.why, why);
    strictEqual(failure.advice, advice?.replace("FOLDER", sender.folder));
    strictEqual(failure.lasting ?? false, lasting, failure.why);
    strictEqual(failure.retryAfterMs, retryAfterMs);
    ok(!JSON.stringify(failure).includes(TOKEN));
  }
  // What stands in an address is as secret as a token.
  for (
    const said of [
      "no hook /T0AB/B%20cd%2F/9kq?key=q%C3%B6x7&n=1",
      "no hook T0AB, B cd/, qöx7",
      "no hook B%20cd%2F",
    ]
  ) {
    await using server = listen(() => new Response(said, { status: 404 }));
    using hook = await senderFor(
      `format = json\nurl = ${server.origin}/T0AB/B%20cd%2F/9kq?key=q%C3%B6x7&n=1`,
    );
    const { why } = (await hook.send(MESSAGE, soon()))!;
    match(why, /^HTTP 404 "no hook .*\(not shown\)/);
    ok(!/T0AB|cd|x7/.test(why), why);
  }
  const gone = listen();
  await gone[Symbol.asyncDispose]();
  using closed = await senderFor(telegram(gone.origin));
  strictEqual((await closed.send(MESSAGE, soon()))!.why, "connection refused");
  await Deno.writeTextFile(`${closed.folder}/token`, "not a token\n");
  const wrong = (await closed.send(MESSAGE, soon()))!;
  match(wrong.why, /^token_file: .*token: that is not a token$/);
  await Deno.remove(`${closed.folder}/token`);
  const missing = (await closed.send(MESSAGE, soon()))!;
  match(missing.why, /^token_file: .*token: there is no such file$/);
  match(missing.advice!, /umask 077/);
});

Deno.test("http messengers: a look sends no message, and says what it proves", async () => {
  await using server = listen(() => Response.json({ ok: true }));
  using bot = await senderFor(
    `format = telegram\nurl = ${server.origin}\ntoken_file = TOKEN\nchat = 1`,
  );
  const found = await bot.probe(soon());
  match("proven" in found ? found.proven : "", /^it knows the bot/);
  using matrix = await senderFor(
    `format = matrix\nurl = ${server.origin}\ntoken_file = TOKEN\nroom = !a:b`,
  );
  match(JSON.stringify(await matrix.probe(soon())), /it knows the account/);
  using ntfy = await senderFor(`format = ntfy\nurl = ${server.origin}/topic`);
  match(JSON.stringify(await ntfy.probe(soon())), /in good health/);
  using slack = await senderFor(`format = slack\nurl = ${server.origin}/services/x`);
  match(JSON.stringify(await slack.probe(soon())), /it is reached/);
  deepStrictEqual(
    server.received.map(({ method, path, text }) => [method, path, text]),
    [
      ["GET", `/bot${TOKEN}/getMe`, ""],
      ["GET", "/_matrix/client/v3/account/whoami", ""],
      ["GET", "/v1/health", ""],
      ["HEAD", "/services/x", ""],
    ],
  );
  await using refusing = listen(() =>
    Response.json({ errcode: "M_UNKNOWN_TOKEN" }, { status: 401 })
  );
  using stranger = await senderFor(
    `format = matrix\nurl = ${refusing.origin}\ntoken_file = TOKEN\nroom = !a:b`,
  );
  match(JSON.stringify(await stranger.probe(soon())), /HTTP 401/);
});
