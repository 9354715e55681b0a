/** Sections `[feed NAME]` of the configuration. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { describeConfig } from "../../src/config/config.ts";
import { FEEDS_MAX } from "../../src/config/feeds.ts";
import { FILE, right, wrong } from "../support/config_texts.ts";

const URL_LINE = "url = https://lists.example.org/sip.txt\n";

Deno.test("config feeds: all keys, their defaults, and keys of Ampere behind them", () => {
  const text = `[feed voipbl]\n${URL_LINE}\n# another one\n[FEED own-2] ; mine\n` +
    "URL = file:///etc/ampere/my%20list\nevery = 5m\nformat = TEXT\nfor = sip\naction = block\n" +
    "trust = 192.0.2.7\nbackend = ipset\n";
  const { feeds, trust, backend } = right(text);
  const first = {
    name: "voipbl",
    file: FILE,
    line: 1,
    url: "https://lists.example.org/sip.txt",
    every: 21_600,
    format: "auto",
    for: "everything",
    action: "strict",
    keyFile: undefined,
  };
  deepStrictEqual(feeds, [first, {
    name: "own-2",
    file: FILE,
    line: 5,
    url: "file:///etc/ampere/my%20list",
    every: 300,
    format: "text",
    for: "sip",
    action: "block",
    keyFile: undefined,
  }]);
  deepStrictEqual([trust, backend], [["192.0.2.7"], "ipset"]);
  ok(Object.isFrozen(feeds) && Object.isFrozen(feeds[0]));
  const apiban = "[feed a]\nurl = https://apiban.org/api\nkey_file = /etc/ampere/key\n";
  strictEqual(right(apiban).feeds[0]!.format, "apiban");
});

Deno.test("config feeds: what is shown of one holds no secret", () => {
  const described = describeConfig(right("[feed a]\nurl = https://example.org/a?key=hunter2#x\n"));
  const [key, value] = described.at(-1)!;
  strictEqual(key, "[feed a]");
  strictEqual(value, "https://example.org/a?…, every 6h, auto, for everything, strict");
});

Deno.test("config feeds: a file is named with one slash or three", () => {
  for (const url of ["file:/etc/ampere/list", "file:///etc/ampere/list"]) {
    const { feeds } = right(`[feed a]\nurl = ${url}`);
    strictEqual(feeds[0]?.url, "file:///etc/ampere/list");
  }
});

Deno.test("config feeds: each mistake is told with its line, and one for each section", () => {
  const table: [text: string, problem: string][] = [
    ["[feed]\nurl = x", "1: a list of attackers begins with a line [feed NAME]"],
    [
      "[feed A b]\nurl = x",
      '1: "A b" is not a name for a feed: 1 to 16 small letters, digits and - are',
    ],
    ["[feed a", "1: a list of attackers begins with a line [feed NAME]"],
    [
      `[feed a]\n${URL_LINE}[feed a]\n${URL_LINE}`,
      "3: there are two sections [feed a]; remove one of them",
    ],
    [
      "[feed a]\naction = block",
      "1: url: [feed a] does not say where its list is; add: url = https://…",
    ],
    [
      "[feed a]\nurl = ftp://example.org/",
      "2: url: not a URL that begins with https://, http:// or file:///",
    ],
    [
      "[feed a]\nurl = https://",
      "2: url: not a URL that begins with https://, http:// or file:///",
    ],
    [
      "[feed a]\nurl = file://host/x",
      "2: url: not a URL that begins with https://, http:// or file:///",
    ],
    ["[feed a]\nurl = file:///etc/", "2: url: is not a file: write file:///etc/ampere/NAME"],
    [
      "[feed a]\nurl = https://u:p@example.org/",
      "2: url: holds a name or a password in front of the server, which is not supported",
    ],
    [
      `[feed a]\n${URL_LINE}every = 1m`,
      '3: every: "1m" is not a duration from 5m to 30d, such as 6h',
    ],
    [
      `[feed a]\n${URL_LINE}format = csv`,
      '3: format: "csv" is not auto, text, json-lines or apiban',
    ],
    [`[feed a]\n${URL_LINE}for = web`, '3: for: "web" is not everything or sip'],
    [
      `[feed a]\n${URL_LINE}action = drop`,
      '3: action: "drop" is not block or strict; that of Ampere itself stands above the first ' +
      "[feed …]",
    ],
    ["[feed a]\nurl = file:///etc/a list", "2: url: holds a blank; write %20 for it"],
    [
      "[feed a]\nurl = file:///etc/ampere/100%",
      "2: url: holds a % that stands for no character: write %25 for it",
    ],
    [
      "[feed a]\nurl = file:///etc/ampere/a%00",
      "2: url: holds a % that stands for no character: write %25 for it",
    ],
    [
      `[feed a]\n${URL_LINE}key_file = key`,
      '3: key_file: "key" is not a path of a file that begins with /',
    ],
    [
      `[feed a]\n${URL_LINE}key_file = /k`,
      "3: key_file: only APIBAN (format = apiban) has a key; remove this line",
    ],
    [
      `[feed a]\n${URL_LINE}format = apiban`,
      "1: key_file: APIBAN needs a key; add: key_file = /etc/ampere/apiban.key",
    ],
    [
      `[feed a]\n${URL_LINE}urls = x`,
      "3: urls: unknown key; the keys of a feed are url, every, format, for, action, key_file",
    ],
    [`[feed a]\n${URL_LINE}nonsense`, '3: not a line "key = value"; a comment begins with # or ;'],
    [
      `[feed a]\n${URL_LINE}${URL_LINE}`,
      "3: url: stands twice in [feed a], in line 2 and line 3; remove one of them",
    ],
    [
      `[feed a]\n${URL_LINE}every =`,
      "3: every: has no value; remove the line for the default, and put a value that begins with # or ; in quotes",
    ],
  ];
  for (const [text, problem] of table) deepStrictEqual(wrong(text), [problem], text);
  const many = Array.from({ length: FEEDS_MAX + 1 }, (_, i) => `[feed f${i}]\n${URL_LINE}`).join(
    "",
  );
  deepStrictEqual(wrong(many), [
    `${2 * FEEDS_MAX + 1}: more than ${FEEDS_MAX} feeds; join lists to one file`,
  ]);
});

Deno.test("config feeds: with iptables a list is refused that would block", () => {
  const text = `[feed a]\n${URL_LINE}action = block\nbackend = iptables`;
  match(wrong(text)[0]!, /^1: action: \[feed a\] has action = block, but with backend = iptables /);
  right(text.replace("action = block", "action = strict"));
});

Deno.test("config feeds: the examples of ampere.cfg are right when they are switched on", () => {
  const text = Deno.readTextFileSync(new URL("../../ampere.cfg", import.meta.url));
  const lists = text.slice(text.indexOf("#[feed"));
  const { feeds } = right(lists.replaceAll(/^#/gm, ""));
  deepStrictEqual(feeds.map(({ name }) => name), [
    "voipbl",
    "blocklist-de",
    "spamhaus",
    "spamhaus-v6",
    "apiban",
    "own",
  ]);
});
