import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { type Config, DEFAULT_CONFIG, describeConfig } from "../../src/config/config.ts";
import {
  CONFIG_BYTES_MAX,
  formatProblem,
  parseConfig,
  PROBLEMS_MAX,
  readConfig,
} from "../../src/config/parse.ts";
import { formatDuration, parseDuration } from "../../src/config/duration.ts";

const KEYS = [
  "host",
  "port",
  "user",
  "pass",
  "loyalty",
  "chain",
  "trust",
  "database",
  "patience",
  "credit",
  "forget",
  "bantime",
  "bantime_factor",
  "bantime_max",
  "doubt",
  "learn",
  "ipv6_prefix",
  "nat64",
  "backend",
  "verify",
  "metrics",
  "webhook",
];

const FILE = "ampere.cfg";

/** The configuration of a text that is expected to be right and without doubts. */
function right(text: string): Config {
  const { config, problems, warnings } = parseConfig(text, FILE);
  deepStrictEqual([...problems, ...warnings].map(formatProblem), [], text);
  ok(config !== undefined);
  return config;
}

/** The problems of a text that is expected to be wrong, without the file's name. */
function wrong(text: string): string[] {
  const { config, problems } = parseConfig(text, FILE);
  ok(problems.length > 0, `no problem in ${JSON.stringify(text)}`);
  strictEqual(config, undefined);
  return problems.map((problem) => {
    const line = formatProblem(problem);
    ok(line.startsWith(FILE), line);
    return line.slice(FILE.length + 1);
  });
}

/** The warnings of a text that is expected to be right. */
function warned(text: string): string[] {
  const { config, problems, warnings } = parseConfig(text, FILE);
  deepStrictEqual(problems, []);
  ok(config !== undefined);
  return warnings.map(formatProblem);
}

async function withDirectory(act: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "ampere-config-" });
  try {
    await act(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("an empty file gives the defaults of the documentation", () => {
  const defaults: Config = {
    host: "127.0.0.1",
    port: 5038,
    user: "ampere",
    pass: "ampere",
    loyalty: 3,
    chain: "ampere",
    trust: [],
    database: "/var/lib/ampere/ampere.db",
    patience: 5,
    credit: 604_800,
    forget: 86_400,
    bantime: 0,
    bantimeFactor: 1,
    bantimeMax: 0,
    doubt: 60,
    learn: 3_600,
    ipv6Prefix: 64,
    nat64: [],
    backend: "iptables",
    verify: 60,
    metrics: undefined,
    webhook: undefined,
  };
  for (const text of ["", "\n", "\r\n", "\uFEFF", "# nothing\n  ; at all", " \t \n"]) {
    deepStrictEqual(right(text), defaults);
  }
  deepStrictEqual(DEFAULT_CONFIG, defaults);
});

Deno.test("a file with every key is read, whatever its line ends and byte order mark", () => {
  const lines = [
    "host = pbx.example.org",
    "port=5039",
    "  user\t=\tfilter",
    "pass = a#b;c",
    "LOYALTY = 5",
    "Chain = ampere-firewall",
    "trust = 192.168.0.0/16",
    "trust = 2001:DB8::/32",
    "database = /srv/ampere.db",
    "patience = 10",
    "credit = 30d",
    "forget = 6h",
    "bantime = 15m",
    "bantime_factor = 1.5",
    "bantime_max = 90s",
    "doubt = 2m",
    "learn = 0",
    "ipv6_prefix = 56",
    "nat64 = 2001:DB8:64::/96",
    "nat64 = 2001:db8:65::/96",
    "backend = ipset",
    "verify = 30s",
    "metrics = [::1]:9738",
    "webhook = https://hooks.example.org/a?b=c#d",
  ].map((line) => line.replace("90s", "90d"));
  const expected: Config = {
    host: "pbx.example.org",
    port: 5039,
    user: "filter",
    pass: "a#b;c",
    loyalty: 5,
    chain: "ampere-firewall",
    trust: ["192.168.0.0/16", "2001:db8::/32"],
    database: "/srv/ampere.db",
    patience: 10,
    credit: 2_592_000,
    forget: 21_600,
    bantime: 900,
    bantimeFactor: 1.5,
    bantimeMax: 7_776_000,
    doubt: 120,
    learn: 0,
    ipv6Prefix: 56,
    nat64: ["2001:db8:64::/96", "2001:db8:65::/96"],
    backend: "ipset",
    verify: 30,
    metrics: { hostname: "::1", port: 9738 },
    webhook: "https://hooks.example.org/a?b=c#d",
  };
  for (const end of ["\n", "\r\n", "\r", " \r\n\r\n"]) {
    deepStrictEqual(right(lines.join(end)), expected);
    deepStrictEqual(right("\uFEFF" + lines.join(end) + end), expected);
  }
});

Deno.test("comments, quotes and white space", () => {
  const table: [line: string, pass: string][] = [
    ["pass = a#b;c", "a#b;c"],
    ["pass = a #b;c", "a"],
    ["pass = a ;b#c", "a"],
    ["pass = a\t# b", "a"],
    ["pass=a", "a"],
    ["pass =#a", "#a"],
    ["pass = a = b", "a = b"],
    ["pass = a b  c  ", "a b  c"],
    ['pass = " a #b "', " a #b "],
    ["pass = ' a ;b '  ; comment", " a ;b "],
    ['pass = "a"\t# comment "quoted"', "a"],
    [`pass = "it's"`, "it's"],
    [`pass = 'say "x"'`, 'say "x"'],
    ["pass = it's", "it's"],
    ['pass = a"b"', 'a"b"'],
    ["pass = \\n\\x41", "\\n\\x41"],
    ["pass = Pässwörd🙂", "Pässwörd🙂"],
  ];
  for (const [line, pass] of table) strictEqual(right(line).pass, pass, line);
});

Deno.test("lines that are not key = value, and quotes that do not fit", () => {
  const table: [text: string, problem: string][] = [
    ["[general]", "1: keys stand without sections; remove this line"],
    ["\n[a=b]", "2: keys stand without sections; remove this line"],
    ["nonsense", '1: not a line "key = value"; a comment begins with # or ;'],
    ["= 5", '1: not a line "key = value"; a comment begins with # or ;'],
    ["port 5038", '1: port: there is no "=" right after the key'],
    ["port: 5038 = 1", '1: port: there is no "=" right after the key'],
    ['user = "a', '1: user: the closing " is missing'],
    ["user = 'a\"", "1: user: the closing ' is missing"],
    ["user = '", "1: user: the closing ' is missing"],
    [
      'user = "a"b',
      `1: user: there is text after the closing "; a value that holds " is put in '`,
    ],
    [
      "user = 'a'#b",
      `1: user: there is text after the closing '; a value that holds ' is put in "`,
    ],
  ];
  for (const [text, problem] of table) deepStrictEqual(wrong(text), [problem], text);
});

Deno.test("a value that is missing is a problem where the key needs one", () => {
  for (const key of KEYS) {
    for (
      const text of [`${key} =`, `${key} = # comment`, `${key} = ""`, `${key} = ''  ; comment`]
    ) {
      if (key === "metrics" || key === "webhook") {
        strictEqual(right(text)[key], undefined);
      } else {
        const [problem, ...more] = wrong(text);
        deepStrictEqual(more, []);
        ok(problem!.startsWith(`1: ${key}: has no value; `), problem);
      }
    }
  }
});

Deno.test("wrong values are told with the value and what would be right", () => {
  const table: [line: string, problem: string][] = [
    [
      "nat64 = 2001:db8::/64",
      'nat64: "2001:db8::/64" is not an IPv6 network of 96 bits, such as 2001:db8:64::/96',
    ],
    [
      "doubt = 1.5m",
      'doubt: "1.5m" is not a duration from 0s to 3650d: a number of seconds, or a number with s, m, h or d, such as 90s, 15m, 6h or 7d',
    ],
    ["trust = 10.0.0.0/33", 'trust: "10.0.0.0/33" is not an address or network'],
    ["trust = sip.example.org", 'trust: "sip.example.org" is not an address or network'],
    ["trust = 10.0.0.1, 10.0.0.2", 'trust: "10.0.0.1, 10.0.0.2" is not an address or network'],
    ["port = 0", 'port: "0" is not a whole number from 1 to 65535'],
    ["port = 65536", 'port: "65536" is not a whole number from 1 to 65535'],
    ["port = 05038", 'port: "05038" is not a whole number from 1 to 65535'],
    ["port = 5038.0", 'port: "5038.0" is not a whole number from 1 to 65535'],
    ["port = -1", 'port: "-1" is not a whole number from 1 to 65535'],
    ["port = 0x1", 'port: "0x1" is not a whole number from 1 to 65535'],
    ["port = 1e3", 'port: "1e3" is not a whole number from 1 to 65535'],
    [
      "port = 5038 pass: x",
      "port: the value (not shown, it may hold a secret) is not a whole number from 1 to 65535",
    ],
    ["port = a\\b", 'port: "a\\\\b" is not a whole number from 1 to 65535'],
    ["loyalty = 0", 'loyalty: "0" is not a whole number from 1 to 1000'],
    ["loyalty = 1001", 'loyalty: "1001" is not a whole number from 1 to 1000'],
    ["host = a b", 'host: "a b" is not a host name or address'],
    ["host = 127.0.0.256", 'host: "127.0.0.256" is not a host name or address'],
    ["host = 127.1", 'host: "127.1" is not a host name or address'],
    ["host = [127.0.0.1]", 'host: "[127.0.0.1]" is not a host name or address'],
    ["host = -x", 'host: "-x" is not a host name or address'],
    ["host = http://pbx", 'host: "http://pbx" is not a host name or address'],
    ["host = ::1/128", 'host: "::1/128" is not a host name or address'],
    [`host = ${"a".repeat(64)}`, `host: "${"a".repeat(59)}…" is not a host name or address`],
    [`user = ${"u".repeat(80)}`, "user: longer than 79 bytes"],
    [`user = ${"ü".repeat(40)}`, "user: longer than 79 bytes"],
    [`pass = ${"p".repeat(256)}`, "pass: longer than 255 bytes"],
    ["database = ampere.db", 'database: "ampere.db" is not a path that begins with /'],
    ["database = :memory:", 'database: ":memory:" is not a path that begins with /'],
    ["database = file:/x", 'database: "file:/x" is not a path that begins with /'],
    ["database = /var/lib/", 'database: "/var/lib/" is a directory; name a file in it'],
    [`database = /${"x".repeat(4095)}`, "database: longer than 4095 bytes"],
    ["patience = 301", 'patience: "301" is not from 0s to 5m'],
    [
      "patience = soon",
      'patience: "soon" is not a duration from 0s to 5m: a number of seconds, or a number with s, ' +
      "m, h or d, such as 90s, 15m, 6h or 7d",
    ],
    ["credit = 3651d", 'credit: "3651d" is not from 0s to 3650d'],
    ["forget = 0", 'forget: "0" is not from 1s to 3650d'],
    ["bantime = 999999999999999d", 'bantime: "999999999999999d" is not from 0s to 3650d'],
    [
      "bantime_factor = 0.5",
      'bantime_factor: "0.5" is not a number from 1 to 1000, such as 2 or 1.5',
    ],
    [
      "bantime_factor = 2,5",
      'bantime_factor: "2,5" is not a number from 1 to 1000, such as 2 or 1.5',
    ],
    ["ipv6_prefix = 31", 'ipv6_prefix: "31" is not a whole number from 32 to 128'],
    ["ipv6_prefix = /64", 'ipv6_prefix: "/64" is not a whole number from 32 to 128'],
    ["backend = nftables", 'backend: "nftables" is not iptables or ipset'],
    ["verify = 4s", 'verify: "4s" is not from 5s to 1d'],
    ["verify = 25h", 'verify: "25h" is not from 5s to 1d'],
    [
      "webhook = ftp://x.example/",
      "webhook: not a URL that begins with https:// or http://, nor off",
    ],
    ["webhook = https://", "webhook: not a URL that begins with https:// or http://, nor off"],
    ["webhook = http://a b/", "webhook: not a URL that begins with https:// or http://, nor off"],
    ["webhook = javascript:1", "webhook: not a URL that begins with https:// or http://, nor off"],
    [`webhook = https://x/${"x".repeat(2000)}`, "webhook: longer than 2000 characters"],
  ];
  for (const [line, problem] of table) deepStrictEqual(wrong(line), [`1: ${problem}`], line);
});

Deno.test("metrics is an address with a port, or off", () => {
  const table: [value: string, hostname: string, port: number][] = [
    ["127.0.0.1:9738", "127.0.0.1", 9738],
    ["0.0.0.0:1", "0.0.0.0", 1],
    ["[::1]:9738", "::1", 9738],
    ["[0:0::1]:65535", "::1", 65535],
    ["localhost:80", "localhost", 80],
  ];
  for (const [value, hostname, port] of table) {
    deepStrictEqual(right(`metrics = ${value}`).metrics, { hostname, port });
  }
  for (const value of ["off", "OFF", '""']) {
    strictEqual(right(`metrics = ${value}`).metrics, undefined);
  }
  const others = [
    "9738",
    ":9738",
    "127.0.0.1",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "::1:9738",
    "[::1]",
  ];
  others.push("[127.0.0.1]:9738", "*:9738", "example.org:80", "127.0.0.1:09738", "on", "[]:80");
  for (const value of others) {
    const expected = `1: metrics: "${value}" is not ADDRESS:PORT, such as 127.0.0.1:9738 or ` +
      "[::1]:9738, or off";
    deepStrictEqual(wrong(`metrics = ${value}`), [expected]);
  }
});

Deno.test("hosts that are right", () => {
  const table: [value: string, host: string][] = [
    ["localhost", "localhost"],
    ["pbx-1.example.org.", "pbx-1.example.org."],
    ["my_pbx", "my_pbx"],
    ["3com", "3com"],
    ["10.0.0.1", "10.0.0.1"],
    ["::1", "::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
  ];
  for (const [value, host] of table) strictEqual(right(`host = ${value}`).host, host);
});

Deno.test("a chain that Ampere must not flush, or that cannot exist, is refused", () => {
  for (const chain of ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"]) {
    const [problem, ...more] = wrong(`chain = ${chain}`);
    deepStrictEqual(more, []);
    match(
      problem!,
      new RegExp(`^1: chain: ${chain} is a chain of the system, .* would be lost; make`),
    );
  }
  for (const chain of ["ACCEPT", "DROP", "REJECT", "RETURN", "QUEUE", "LOG", "DNAT", "TTL"]) {
    deepStrictEqual(wrong(`chain = ${chain}`), [
      `1: chain: ${chain} is a target of iptables, so no chain can have this name`,
    ]);
  }
  for (const chain of ["-j", "!x", "a b", ":a", "a;b", "a$b", "a/b", "ä", "a,b", "(x)", "a'b"]) {
    const [problem, ...more] = wrong(`chain = "${chain}"`);
    deepStrictEqual(more, []);
    match(problem!, /^1: chain: ".*" is not a name for a chain: /);
  }
  deepStrictEqual(wrong(`chain = ${"c".repeat(29)}`), ["1: chain: longer than 28 characters"]);
  for (const chain of ["ampere-firewall", "a", "c".repeat(28), "f2b.x_y:z", "input", "1"]) {
    strictEqual(right(`chain = ${chain}`).chain, chain);
  }
});

Deno.test("the longest name of a chain is the same for each backend", () => {
  for (const backend of ["iptables", "ipset"]) {
    const name = (length: number) => `chain = ${"c".repeat(length)}\nbackend = ${backend}`;
    for (const length of [26, 27, 28]) strictEqual(right(name(length)).chain.length, length);
    deepStrictEqual(wrong(name(29)), ["1: chain: longer than 28 characters"]);
  }
});

Deno.test("a key that stands twice names both lines, a 17th trust is too many", () => {
  deepStrictEqual(wrong("port = 1\n\nPORT = 2\nport = 3"), [
    "3: port: stands twice, in line 1 and line 3; remove one of them",
    "4: port: stands twice, in line 1 and line 4; remove one of them",
  ]);
  deepStrictEqual(wrong("pass = x\npass = x"), [
    "2: pass: stands twice, in line 1 and line 2; remove one of them",
  ]);
  const lines = Array.from({ length: 18 }, (_, i) => `trust = 10.0.0.${i}`);
  strictEqual(right(lines.slice(0, 16).join("\n")).trust.length, 16);
  deepStrictEqual(wrong(lines.join("\n")), [
    "17: trust: more than 16 lines; join addresses to networks",
    "18: trust: more than 16 lines; join addresses to networks",
  ]);
});

Deno.test("all problems of a file are reported at once, in the order of its lines", () => {
  const text =
    "port = x\nuser = 'a\n[s]\nloyality = 1\nbantime_max = 1h\nbantime = 2h\ntrust = x\n";
  const { problems, warnings } = parseConfig(text, "/etc/x.cfg");
  deepStrictEqual(problems.map(formatProblem), [
    '/etc/x.cfg:1: port: "x" is not a whole number from 1 to 65535',
    "/etc/x.cfg:2: user: the closing ' is missing",
    "/etc/x.cfg:3: keys stand without sections; remove this line",
    "/etc/x.cfg:5: bantime_max: 1h is less than bantime (2h)",
    '/etc/x.cfg:7: trust: "x" is not an address or network',
  ]);
  deepStrictEqual(warnings.map(formatProblem), [
    '/etc/x.cfg:4: loyality: unknown key, ignored; did you mean "loyalty"?',
  ]);
});

Deno.test("bantime and bantime_max fit together", () => {
  right("bantime = 1h\nbantime_max = 1h");
  right("bantime = 1h\nbantime_max = 0");
  right("bantime = 0\nbantime_max = 1h");
  deepStrictEqual(wrong("bantime = 61\nbantime_max = 1m"), [
    "2: bantime_max: 1m is less than bantime (61s)",
  ]);
  // A wrong value is told alone, without what would follow from its default.
  strictEqual(wrong("bantime = x\nbantime_max = 1m").length, 1);
});

Deno.test("an unknown key is a warning that names the nearest known key", () => {
  const table: [key: string, nearest: string][] = [
    ["hosts", "host"],
    ["prot", "port"],
    ["username", "user"],
    ["password", "pass"],
    ["loyality", "loyalty"],
    ["chian", "chain"],
    ["trusted", "trust"],
    ["data_base", "database"],
    ["ban_time", "bantime"],
    ["bantime-max", "bantime_max"],
    ["BANTIME_FACTORS", "bantime_factor"],
    ["ipv6prefix", "ipv6_prefix"],
    ["webhooks", "webhook"],
  ];
  for (const [key, nearest] of table) {
    deepStrictEqual(warned(`${key} = x`), [
      `${FILE}:1: ${key}: unknown key, ignored; did you mean "${nearest}"?`,
    ]);
  }
  // One edit away from a key: this key is named, unless the edit made another one just as near.
  fc.assert(
    fc.property(
      fc.constantFrom(...KEYS.filter((key) => key.length > 5)),
      fc.nat(20),
      fc.constantFrom("x", "q", ""),
      (key, at, put) => {
        const i = at % key.length;
        const changed = key.slice(0, i) + put + key.slice(i + 1);
        if (KEYS.includes(changed)) return;
        ok(warned(`${changed} = x`)[0]!.endsWith(`did you mean "${key}"?`), changed);
      },
    ),
  );
});

Deno.test("trusting everybody, or more than was written, is a warning", () => {
  deepStrictEqual(warned("trust = 0.0.0.0/0\ntrust = ::/0\ntrust = 10.1.2.3/8"), [
    `${FILE}:1: trust: 0.0.0.0/0 is all of IPv4: nobody there will ever be blocked`,
    `${FILE}:2: trust: ::/0 is all of IPv6: nobody there will ever be blocked`,
    `${FILE}:3: trust: "10.1.2.3/8" is taken as the whole network 10.0.0.0/8`,
  ]);
  for (const value of ["0.0.0.0/32", "10.0.0.0/8", "10.1.2.3", "10.1.2.3/32", "2001:DB8:0::/32"]) {
    right(`trust = ${value}`);
  }
  deepStrictEqual(right("trust = 0.0.0.0/32").trust, ["0.0.0.0"]);
  deepStrictEqual(right("trust = ::ffff:10.0.0.0/104\ntrust=10.0.0.0/8").trust, ["10.0.0.0/8"]);
});

Deno.test("no value holds a control character, so no line of AMI can be added", () => {
  for (let code = 0; code < 0xa0; code++) {
    if (code >= 0x20 && code < 0x7f) continue;
    const character = String.fromCharCode(code);
    for (const key of KEYS) {
      for (const quote of ['"', "'", ""]) {
        wrong(`${key} = ${quote}a${character}b${quote}`);
      }
    }
  }
  const injected = "user = ampere\r\nAction: Command\npass = x\nport=1";
  ok(wrong(injected).includes('2: not a line "key = value"; a comment begins with # or ;'));
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (user, pass) => {
      const { config } = parseConfig(`user = ${user}\npass = "${pass}"`, FILE);
      if (config === undefined) return;
      // deno-lint-ignore no-control-regex
      const forbidden = /[\x00-\x1f\x7f-\x9f]/;
      ok(!forbidden.test(config.user) && !forbidden.test(config.pass));
      ok(config.user.length > 0 && config.pass.length > 0);
    }),
  );
});

Deno.test("bytes that are not UTF-8 in a value are a problem, in a comment they are not", async () => {
  await withDirectory((directory) => {
    const file = join(directory, FILE);
    const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
    Deno.writeFileSync(file, latin1("# Schlüssel\nport = 5039\n"));
    strictEqual(readConfig(file).config?.port, 5039);
    Deno.writeFileSync(file, latin1("\npass = Schlüssel\n"));
    deepStrictEqual(readConfig(file).problems.map(formatProblem), [
      `${file}:2: pass: the value holds bytes that are not UTF-8; save the file as UTF-8`,
    ]);
  });
  deepStrictEqual(wrong("pass = \ud800"), [
    "1: pass: the value holds bytes that are not UTF-8; save the file as UTF-8",
  ]);
});

/** Texts that resemble a configuration, with everything that could confuse the reader. */
const configText = fc.array(
  fc.tuple(
    fc.oneof(
      fc.constantFrom(...KEYS, "Pass", "passwd", "#", ";", "[x]", "", "\uFEFF"),
      fc.string({ unit: "binary", maxLength: 8 }),
    ),
    fc.constantFrom(" = ", "=", "", " ", ": ", ' = "', "='", "\0", "\t=\t", " =="),
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.constantFrom("off", "0", "1", "7d", "ipset", "::/0", "10.0.0.0/8", "x #y", '"a" b', "'"),
      fc.string({ unit: fc.constantFrom(..."\"'#; \t=\\0:/.") }),
    ),
    fc.constantFrom("\n", "\r\n", "\r", "\n\n", "", "\u2028"),
  ),
  { maxLength: 30 },
).map((lines) => lines.flat().join(""));

Deno.test("any text gives a configuration or problems, and never throws", () => {
  const text = fc.oneof(configText, fc.string({ unit: "binary" }), fc.string({ maxLength: 500 }));
  let read = 0;
  fc.assert(
    fc.property(text, (text) => {
      const { config, problems, warnings } = parseConfig(text, FILE);
      strictEqual(config === undefined, problems.length > 0);
      const lineCount = text.split(/\r\n|\n|\r/).length;
      for (const problem of [...problems, ...warnings]) {
        ok(problem.line >= 1 && problem.line <= lineCount, formatProblem(problem));
        // deno-lint-ignore no-control-regex
        ok(!/[\x00-\x1f\x7f-\x9f\u2028-\u202e]/.test(formatProblem(problem)));
        ok(formatProblem(problem).startsWith(`${FILE}:${problem.line}: `));
      }
      if (config === undefined) return;
      read++;
      strictEqual(
        describeConfig(config).length,
        KEYS.length - 1 + Math.max(1, config.trust.length),
      );
    }),
    { numRuns: 5_000 },
  );

  ok(read > 100, `only ${read} of the texts were right`);
});

Deno.test("the secret never appears in a message, however its line is written", () => {
  const secret = "hunter2SECRETvalue";
  const before = fc.constantFrom("", "  ", "\uFEFF", "\t", "user = bob ", "port = 1 ", "\u00a0");
  const key = fc.constantFrom("pass", "PASS", "Pass", "passwd", "password", "secret", "pass word");
  const between = fc.constantFrom(" = ", "=", " ", ": ", " := ", " == ", ' = "', " = '", "\t=\t\0");
  const after = fc.constantFrom(
    "",
    '"',
    "'x",
    '" x',
    "\0",
    "\ud800",
    " = ",
    "=",
    "\t",
    " # x",
    "\r",
  );
  const filler = fc.constantFrom("", "x", "x".repeat(300), "x = y ", "\u202e");
  fc.assert(
    fc.property(before, key, between, filler, after, configText, (a, b, c, d, e, rest) => {
      const text = `${a}${b}${c}${d}${secret}${e}\n${rest.replaceAll(secret, "")}`;
      const { config, problems, warnings } = parseConfig(text, FILE);
      const said = [...problems, ...warnings].map(formatProblem).join("\n");
      ok(!said.includes("SECRET"), said);
      // "user = bob pass = ..." is a user to whom these words belong; all else has to be silent.
      if (config === undefined || a.startsWith("user")) return;
      ok(!JSON.stringify(describeConfig(config)).includes("SECRET"));
    }),
    { numRuns: 5_000 },
  );
  // A secret that was broken into two lines.
  for (const rest of [secret, `${secret}=`, `${secret}==`, `${secret} = `, `x ${secret} = 1`]) {
    const { problems, warnings } = parseConfig(`pass = x\n${rest}\n`, FILE);
    strictEqual(problems.length + warnings.length, 1, rest);
    ok(![...problems, ...warnings].map(formatProblem).join().includes("SECRET"), rest);
  }
});

Deno.test("describeConfig shows every key and neither the secret nor the path of the webhook", () => {
  const described = describeConfig(right(
    "pass = hunter2\ntrust = 10.0.0.0/8\ntrust = ::1\nmetrics = [::1]:1\nbantime = 90m\n" +
      "webhook = https://bob:hunter3@hooks.example.org:8443/hunter4?hunter5",
  ));
  const text = described.map(([key, value]) => `${key} = ${value}`).join("\n");
  ok(!text.includes("hunter"), text);
  deepStrictEqual([...new Set(described.map(([key]) => key))], KEYS);
  for (
    const line of [
      "pass = (set)",
      "trust = 10.0.0.0/8",
      "trust = ::1",
      "metrics = [::1]:1",
      "bantime = 90m",
      "credit = 7d",
      "webhook = https://hooks.example.org:8443/(not shown)",
    ]
  ) ok(text.includes(line), text);
  const defaults = describeConfig(DEFAULT_CONFIG).map(([key, value]) => `${key} = ${value}`);
  for (const line of ["pass = (default)", "trust = (none)", "metrics = off", "webhook = off"]) {
    ok(defaults.includes(line), defaults.join("\n"));
  }
});

Deno.test("durations are read and written", () => {
  const table: [text: string, seconds: number | undefined][] = [
    ["0", 0],
    ["90", 90],
    ["90s", 90],
    ["15m", 900],
    ["6h", 21_600],
    ["7d", 604_800],
    ["", undefined],
    ["s", undefined],
    ["07d", undefined],
    ["-1", undefined],
    ["+1", undefined],
    ["1.5h", undefined],
    ["7 d", undefined],
    ["7D", undefined],
    ["1w", undefined],
    ["1h30m", undefined],
    ["1e3", undefined],
    ["７d", undefined],
    ["7d\n", undefined],
  ];
  for (const [text, seconds] of table) strictEqual(parseDuration(text), seconds, text);
  for (const [seconds, text] of [[0, "0s"], [90, "90s"], [60, "1m"], [86_400, "1d"]] as const) {
    strictEqual(formatDuration(seconds), text);
  }
  fc.assert(fc.property(fc.nat(), (seconds) => {
    strictEqual(parseDuration(formatDuration(seconds)), seconds);
  }));
});

Deno.test("readConfig: a file that is missing, a directory, not allowed, too long, a pipe", async () => {
  await withDirectory(async (directory) => {
    const file = join(directory, FILE);
    const problemsOf = (path: string) => {
      const { config, problems } = readConfig(path);
      strictEqual(config, undefined);
      return problems.map(formatProblem);
    };
    deepStrictEqual(problemsOf(file), [`${file}: there is no such file`]);
    match(problemsOf(directory).join(), /: cannot be read: Is a directory/);
    Deno.writeTextFileSync(file, "#".repeat(CONFIG_BYTES_MAX));
    deepStrictEqual(readConfig(file).config, DEFAULT_CONFIG);
    Deno.writeTextFileSync(file, "#".repeat(CONFIG_BYTES_MAX + 1));
    const tooLong = "longer than 65536 bytes, so this is not a configuration file";
    deepStrictEqual(problemsOf(file), [`${file}: ${tooLong}`]);
    deepStrictEqual(problemsOf("/dev/zero"), [`/dev/zero: ${tooLong}`]);
    deepStrictEqual(wrong("x".repeat(CONFIG_BYTES_MAX + 1)), [` ${tooLong}`]);

    // From a pipe, as `-c <(...)` gives one.
    const fifo = join(directory, "fifo");
    strictEqual((await new Deno.Command("mkfifo", { args: [fifo] }).output()).code, 0);
    const writer = new Deno.Command("sh", {
      args: ["-c", 'printf "port = 5039\\n" > "$0"', fifo],
    }).spawn();
    strictEqual(readConfig(fifo).config?.port, 5039);
    await writer.status;
  });
});

Deno.test("readConfig: the default file may be missing, which is a warning", async () => {
  // The default path exists on some machines, so a process with an empty /etc/ampere looks at it.
  await withDirectory(async (directory) => {
    const script = join(directory, "read.ts");
    await Deno.writeTextFile(
      script,
      `import { formatProblem, readConfig } from ${
        JSON.stringify(import.meta.resolve("../../src/config/parse.ts"))
      };
      const { config, problems, warnings } = readConfig(Deno.args[0]);
      console.log(config?.port + "|" + [...problems, ...warnings].map(formatProblem).join("|"));`,
    );
    const run = async (rights: string[], args: string[]) => {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", ...rights, script, ...args],
      }).output();
      return new TextDecoder().decode(stdout).trim() || new TextDecoder().decode(stderr);
    };
    const exists = await Deno.stat("/etc/ampere/ampere.cfg").then(() => true, () => false);
    const byDefault = await run(["-R"], []);
    const missing =
      "5038|/etc/ampere/ampere.cfg: there is no such file; all keys have their defaults";
    if (exists) ok(!byDefault.includes("there is no such file"), byDefault);
    else strictEqual(byDefault, missing);
    // Without Deno's permission to read the file.
    match(
      await run([], [join(directory, FILE)]),
      /^undefined\|.*ampere\.cfg: this build of Ampere may not read it; .*--allow-path=DIRECTORY`$/,
    );
  });
});

Deno.test("a file with a thousand mistakes is told in bounded length", () => {
  const { problems, warnings } = parseConfig("port = x\n[s]\nfoo = 1\n".repeat(500), FILE);
  strictEqual(problems.length, PROBLEMS_MAX + 1);
  strictEqual(
    formatProblem(problems.at(-1)!),
    `${FILE}: ${1000 - PROBLEMS_MAX} more problems; is this a configuration file of Ampere?`,
  );
  strictEqual(warnings.length, PROBLEMS_MAX + 1);
});

Deno.test("what a configuration holds cannot be changed", () => {
  for (const config of [right("trust = 10.0.0.1"), DEFAULT_CONFIG]) {
    ok(Object.isFrozen(config) && Object.isFrozen(config.trust));
  }
});

Deno.test("ampere.cfg of the repository has every key with its default, without a warning", () => {
  const text = Deno.readTextFileSync(new URL("../../ampere.cfg", import.meta.url));
  deepStrictEqual(right(text), { ...DEFAULT_CONFIG, trust: ["0.0.0.0"] });
  // With the lines in which a default is shown as a comment.
  const whole = text.replaceAll(/^;(?=[a-z0-9_]+ = )/gm, "");
  deepStrictEqual(right(whole), { ...DEFAULT_CONFIG, trust: ["0.0.0.0"] });
  const keys = [...whole.matchAll(/^([a-z0-9_]+) = /gm)].map(([, key]) => key!);
  deepStrictEqual(keys.toSorted(), KEYS.toSorted());
  // The keys of the original stand there ready to be changed, as in the original's file.
  const active = [...text.matchAll(/^([a-z0-9_]+) = /gm)].map(([, key]) => key!);
  deepStrictEqual(
    active.toSorted(),
    ["chain", "host", "loyalty", "pass", "port", "trust", "user"],
  );
});

Deno.test("docs/configuration.md describes every key: default, example that is right", () => {
  const text = Deno.readTextFileSync(new URL("../../docs/configuration.md", import.meta.url));
  const sections = text.split(/^### `/m).slice(1).map((section) => section.split("`", 1)[0]!);
  deepStrictEqual(sections.toSorted(), KEYS.toSorted());
  const defaults = new Map(describeConfig(DEFAULT_CONFIG));
  for (const section of text.split(/^### `/m).slice(1)) {
    const key = section.split("`", 1)[0]!;
    const examples = /^- Example: (.*)$/m.exec(section)?.[1] ?? "";
    const lines = [...examples.matchAll(/`([^`]+)`/g)].map(([, line]) => line!);
    ok(lines.length > 0, key);
    for (const line of lines) ok(line.startsWith(`${key} = `) && right(line), line);
    ok(section.includes("\n- If wrong: "), key);
    if (key === "pass" || key === "trust") continue;
    const [, written] = /Default:\s+`([^`]+)`/.exec(section) ?? [];
    const shown = new Map(describeConfig(right(`${key} = ${written}`))).get(key);
    strictEqual(shown, defaults.get(key), key);
  }
});
