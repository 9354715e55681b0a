/** Sections `[notify NAME]` of the configuration. */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { describeConfig } from "../../src/config/config.ts";
import { MESSENGERS_MAX } from "../../src/config/messengers.ts";
import { FILE, right, wrong } from "../support/config_texts.ts";

const NTFY = "format = ntfy\nurl = https://ntfy.example.org/topic\n";
const MAIL = "format = email\nurl = smtp://mail.example.org\nfrom = a@example.org\n" +
  "to = b@example.org\n";
const TELEGRAM = "format = telegram\ntoken_file = /etc/ampere/t\n";

Deno.test("config messengers: all keys, their defaults, beside feeds and keys of Ampere", () => {
  const { messengers, feeds, trust } = right(
    `[notify phone]\n${NTFY}[feed a]\nurl = https://example.org/\n[NOTIFY mail] # boss\n` +
      "format = EMAIL\nurl_file = /etc/ampere/url\nfrom = ampere@example.org\n" +
      "to = a@example.org,b@example.org, a@example.org\nlogin = Jörg\n" +
      "password_file = /etc/ampere/p\nca = /etc/ampere/ca.pem\ndigest = 1d\n" +
      "quiet = 22:00-7:30\ntitle = PBX in Köln\ntrust = 192.0.2.7\n",
  );
  const first = {
    name: "phone",
    file: FILE,
    line: 1,
    format: "ntfy",
    url: "https://ntfy.example.org/topic",
    urlFile: undefined,
    tokenFile: undefined,
    chat: "",
    room: "",
    from: "",
    to: [],
    login: "",
    passwordFile: undefined,
    ca: undefined,
    digest: 3_600,
    quiet: undefined,
    title: "Ampere",
  };
  deepStrictEqual(messengers, [first, {
    ...first,
    name: "mail",
    line: 6,
    format: "email",
    url: "",
    urlFile: "/etc/ampere/url",
    from: "ampere@example.org",
    to: ["a@example.org", "b@example.org"],
    login: "Jörg",
    passwordFile: "/etc/ampere/p",
    ca: "/etc/ampere/ca.pem",
    digest: 86_400,
    quiet: { from: 22 * 60, to: 7 * 60 + 30 },
    title: "PBX in Köln",
  }]);
  strictEqual(feeds.length, 1);
  deepStrictEqual(trust, ["192.0.2.7"]);
  ok(Object.isFrozen(messengers) && Object.isFrozen(messengers[0]));
  const [bot] = right(`[notify bot]\n${TELEGRAM}chat = @channel\n`).messengers;
  strictEqual(bot!.url, "https://api.telegram.org/");
});

Deno.test("config messengers: what is shown of one holds no secret", () => {
  const text = "[notify a]\nformat = slack\nurl = https://hooks.example.org/services/hunter2\n" +
    "quiet = 22:00-07:00\n";
  const shown = describeConfig(right(text)).at(-1);
  deepStrictEqual(shown, [
    "[notify a]",
    "slack, https://hooks.example.org, digest 1h, quiet 22:00-07:00",
  ]);
});

Deno.test("config messengers: each mistake is told with its line, and no secret", () => {
  const url = (text: string) => `[notify a]\nformat = slack\nurl = ${text}`;
  const notHttp = "3: url: not a URL that begins with https:// or http://, such as " +
    "https://hooks.slack.com/services/…";
  const table: [text: string, problem: string][] = [
    ["[notify]", "1: who is told begins with a line [notify NAME]"],
    [
      "[notify A]",
      '1: "A" is not a name for a messenger: 1 to 16 small letters, digits and - are',
    ],
    [
      `[notify a]\n${NTFY}[notify a]\n${NTFY}`,
      "4: there are two sections [notify a]; remove one of them",
    ],
    [
      "[notify a]\nurl = https://example.org/",
      "1: format: [notify a] does not say what it is; add: format = slack, telegram, ntfy, " +
      "matrix, json or email",
    ],
    [
      "[notify a]\nformat = discord",
      '2: format: "discord" is not slack, telegram, ntfy, matrix, json or email',
    ],
    [
      "[notify a]\nformat = slack",
      "1: url: format = slack needs it; add: url = https://hooks.slack.com/services/…",
    ],
    [url("ftp://hunter2"), notHttp],
    [url("https://"), notHttp],
    [
      url("https://u:hunter2@example.org/"),
      "3: url: holds a name or a password in front of the server: write a token into token_file",
    ],
    [
      "[notify a]\nformat = ntfy\nurl = https://ntfy.sh/",
      "3: url: does not end in a topic; write https://ntfy.sh/TOPIC",
    ],
    [
      `[notify a]\n${NTFY}chat = 1`,
      "4: chat: format = ntfy has no such key; remove this line",
    ],
    [
      `[notify a]\n${NTFY}url_file = /x`,
      "4: url_file: the address stands in url already; remove one of the two lines",
    ],
    [
      `[notify a]\n${NTFY}token_file = secret`,
      "4: token_file: the value (not shown, it may hold a secret) is not a path of a file that " +
      "begins with /",
    ],
    [
      `[notify a]\n${TELEGRAM}`,
      "1: chat: format = telegram needs it; add: chat = -1001234567890",
    ],
    [
      `[notify a]\n${TELEGRAM}chat = me`,
      '4: chat: "me" is not the number of a chat, such as -1001234567890, nor @NAME of a channel',
    ],
    [
      "[notify a]\nformat = matrix\nurl = https://m.example.org\ntoken_file = /t\nroom = #r:e.org",
      "5: room: has no value; remove the line for the default, and put a value that begins with " +
      "# or ; in quotes",
    ],
    [
      "[notify a]\nformat = matrix\nurl = https://m.example.org\ntoken_file = /t\nroom = '#r:e'",
      '5: room: "#r:e" is not the ID of a room, such as !id:example.org (its settings tell it; a ' +
      "name with # is not one)",
    ],
    [
      `[notify a]\n${MAIL}login = me`,
      "6: password_file: login needs it; add: password_file = /etc/ampere/smtp.password",
    ].map((text) => text.replace("6: password_file", "1: password_file")) as [string, string],
    [
      `[notify a]\n${MAIL.replace("b@example.org", "b@example.org, Boss <c@example.org>")}`,
      '5: to: "Boss <c@example.org>" is not an address of e-mail, such as admin@example.org',
    ],
    [
      `[notify a]\n${MAIL.replace("smtp://mail.example.org", "smtp://mail.example.org:465")}`,
      "3: url: port 465 speaks TLS from the first byte on; write smtps:// for smtp://",
    ],
    [
      `[notify a]\n${MAIL.replace("smtp://mail.example.org", "https://mail.example.org")}`,
      "3: url: not a URL that begins with smtp:// or smtps://, such as " +
      "smtp://mail.example.org:587",
    ],
    [
      `[notify a]\n${NTFY}digest = 1m`,
      '4: digest: "1m" is not a duration from 5m to 7d, such as 1h, nor off',
    ],
    [
      `[notify a]\n${NTFY}quiet = 25:00-07:00`,
      '4: quiet: "25:00-07:00" is not two times of the day, such as 22:00-07:00, nor off',
    ],
    [
      `[notify a]\n${NTFY}quiet = 07:00-7:00`,
      "4: quiet: is from a time to the same time; write off if nothing is to be quiet",
    ],
    [`[notify a]\n${NTFY}title = ${"x".repeat(61)}`, "4: title: longer than 60 characters"],
  ];
  for (const [text, problem] of table) deepStrictEqual(wrong(text), [problem], text);
  const many = Array.from({ length: MESSENGERS_MAX + 1 }, (_, i) => `[notify f${i}]\n${NTFY}`);
  deepStrictEqual(wrong(many.join("")), [
    `${3 * MESSENGERS_MAX + 1}: more than ${MESSENGERS_MAX} messengers`,
  ]);
});
