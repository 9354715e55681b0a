/** Files of Ampere 0.2.3, as people have written them: what it took goes on working. */

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { formatProblem, parseConfig } from "../../src/config/parse.ts";
import { readOddTarget } from "../../src/config/original.ts";
import { FILE, right, warned } from "../support/config_texts.ts";

Deno.test("original: of a key that stands twice the last line counts, and a warning names both", () => {
  const text = "host = 192.0.2.1\nport = 1\nuser = a\npass = s3cret\nloyalty = 1\nchain = a\n" +
    "port = 2\nhost = 192.0.2.2\nloyalty = 4\nuser = b\npass = an0ther\nchain = b\nport = 3\n";
  const { config } = parseConfig(text, FILE);
  const { host, port, user, pass, loyalty, chain } = config!;
  deepStrictEqual(
    [host, port, user, pass, loyalty, chain],
    ["192.0.2.2", 3, "b", "an0ther", 4, "b"],
  );
  const twice = (key: string, first: number, second: number) =>
    `${FILE}:${second}: ${key}: stands twice, in line ${first} and line ${second}; the last one ` +
    "counts, as with Ampere 0.2.3: remove the other";
  deepStrictEqual(warned(text), [
    twice("port", 2, 7),
    twice("host", 1, 8),
    twice("loyalty", 5, 9),
    twice("user", 3, 10),
    twice("pass", 4, 11),
    twice("chain", 6, 12),
    twice("port", 7, 13),
  ]);
  // A line that is wrong is wrong, whichever counts.
  strictEqual(parseConfig("port = x\nport = 5", FILE).problems.length, 1);
});

Deno.test("original: names of sections, rules of signs and keys that are no words have no effect, and a warning says so", () => {
  const text = "[ampere]\nloyalty = 4\n----------\n=====\n[general]\n; comment\n" +
    "// a comment\nmy key = 5\n= 5\nbüro = 7\n";
  strictEqual(parseConfig(text, FILE).config?.loyalty, 4);
  const section = "keys stand without sections, so this line has no effect; remove it";
  const line = 'not a line "key = value"; a comment begins with # or ;';
  deepStrictEqual(warned(text), [
    `${FILE}:1: ${section}`,
    `${FILE}:3: ${line}`,
    `${FILE}:4: ${line}`,
    `${FILE}:5: ${section}`,
    ...[7, 8, 9, 10].map((number) => `${FILE}:${number}: ${line}`),
  ]);
  // These may be lines of which somebody expects an effect.
  for (const mistake of ["port 5038", "trust 10.0.0.0/8 = x", "10.0.0.0/8", "nonsense"]) {
    strictEqual(parseConfig(mistake, FILE).problems.length, 1, mistake);
  }
});

Deno.test("original: a comment needs no white space before it where the value holds no such sign", () => {
  const { port, loyalty, trust } = right(
    "port = 5039;tcp\nloyalty\t=\t4#attempts\ntrust = 10.0.0.0/8;vpn\ntrust = 192.0.2.7#door",
  );
  deepStrictEqual([port, loyalty, trust], [5039, 4, ["10.0.0.0/8", "192.0.2.7"]]);
  strictEqual(right("pass = a#b;c").pass, "a#b;c");
});

Deno.test("original: what follows a sign in user and pass may belong to it, which a warning says", () => {
  for (const key of ["user", "pass"]) {
    for (const sign of ["#", ";"]) {
      const [warning, ...more] = warned(`${key} = x7 ${sign}y9`);
      deepStrictEqual(more, []);
      strictEqual(
        warning,
        `${FILE}:1: ${key}: what follows a # or ; after white space is a comment; Ampere 0.2.3 ` +
          "took it as a part of the value: if it is one, put the value in quotes",
      );
    }
  }
  right('pass = "x7 #y9" ; a comment');
  right("pass = x7");
});

Deno.test("original: an address of trust counts however it is written, if it can mean one thing only", () => {
  const text =
    "trust = 192.168.001.000/24\ntrust = 10.0.0.0 / 8\ntrust = 172.16.0.0/255.240.0.0\n" +
    "trust = 198.51.100.1, 198.51.100.2 203.0.113.0/24\n";
  deepStrictEqual(parseConfig(text, FILE).config?.trust, [
    "192.168.1.0/24",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "198.51.100.1",
    "198.51.100.2",
    "203.0.113.0/24",
  ]);
  deepStrictEqual(warned(text), [
    `${FILE}:1: trust: "192.168.001.000/24" is taken as 192.168.1.0/24`,
    `${FILE}:2: trust: "10.0.0.0 / 8" is taken as 10.0.0.0/8`,
    `${FILE}:3: trust: "172.16.0.0/255.240.0.0" is taken as 172.16.0.0/12`,
    `${FILE}:4: trust: "198.51.100.1, 198.51.100.2 203.0.113.0/24": all of these are taken, of ` +
    "which Ampere 0.2.3 takes the first",
  ]);
  for (
    const odd of [
      "10.0.0.256",
      "10.0.0",
      "10.0.0.0/33",
      "10.0.0.0/255.0.255.0",
      "10.0.0.5-10.0.0.9",
      "0x0a.0.0.1",
      "1.2.3.4.5",
      "",
      "/8",
    ]
  ) strictEqual(readOddTarget(odd), undefined, odd);
});

Deno.test("original: a network of everybody is left out: nobody would ever be blocked", () => {
  for (const all of ["0.0.0.0/0", "10.0.0.0/0", "::/0", "0.0.0.0/0.0.0.0", "::ffff:0:0/96"]) {
    const { config, warnings } = parseConfig(`trust = ${all}\ntrust = 192.0.2.7`, FILE);
    deepStrictEqual(config?.trust, ["192.0.2.7"], all);
    strictEqual(
      warnings.map(formatProblem).join(),
      `${FILE}:1: trust: "${all}" would be everybody, and nobody would ever be blocked: it is left ` +
        "out, as Ampere 0.2.3 does; write the networks of those who belong here",
    );
  }
});
