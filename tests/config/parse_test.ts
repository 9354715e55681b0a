import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { type Config, DEFAULT_CONFIG, describeConfig } from "../../src/config/config.ts";
import { adviceForForeign } from "../../src/config/foreign_keys.ts";
import {
  CONFIG_BYTES_MAX,
  formatProblem,
  parseConfig,
  PROBLEMS_MAX,
  readConfig,
} from "../../src/config/parse.ts";
import { TRUST_MAX } from "../../src/config/trust_file.ts";
import { FILE, KEYS, right, warned, wrong } from "../support/config_texts.ts";

async function withDirectory(act: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "ampere-config-" });
  try {
    await act(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("parse: an empty file gives the defaults of the documentation", () => {
  const defaults: Config = {
    logs: [],
    logFormat: "text",
    host: "127.0.0.1",
    port: 5038,
    tls: false,
    tlsCa: undefined,
    tlsName: undefined,
    user: "ampere",
    pass: "ampere",
    loyalty: 3,
    chain: "ampere",
    jump: [],
    trust: [],
    trustNames: [],
    trustFile: undefined,
    database: "/var/lib/ampere/ampere.db",
    patience: 5,
    credit: 604_800,
    forget: 86_400,
    bantime: 0,
    bantimeFactor: 1,
    bantimeMax: 0,
    doubt: 25,
    guardHosts: 10,
    guardWindow: 3_600,
    neighbours: undefined,
    insider: "tell",
    learn: 3_600,
    ipv6Prefix: 64,
    nat64: [],
    geo: undefined,
    asn: undefined,
    home: [],
    away: "strict",
    asnStrict: [],
    newPlace: true,
    backend: "auto",
    action: "reject",
    trustLookup: 60,
    verify: 60,
    metrics: undefined,
    page: undefined,
    pageNames: [],
    pageTokenFile: undefined,
    pageCert: undefined,
    pageKey: undefined,
    webhook: undefined,
    webhookCa: undefined,
    feeds: [],
    messengers: [],
    softRate: 10,
    sipPorts: [5060, 5061],
    fleet: undefined,
    fleetName: undefined,
    fleetPassFile: undefined,
    fleetCa: undefined,
    fleetPrefix: "ampere:",
    fleetMax: 10_000,
  };
  for (const text of ["", "\n", "\r\n", "\uFEFF", "# nothing\n  ; at all", " \t \n"]) {
    deepStrictEqual(right(text), defaults);
  }
  deepStrictEqual(DEFAULT_CONFIG, defaults);
});

Deno.test("parse: a file with every key is read, whatever its line ends and byte order mark", () => {
  const lines = [
    "host = pbx.example.org",
    "port=5040",
    "tls = yes",
    "tls_ca = /etc/ampere/asterisk-ca.pem",
    "tls_name = pbx.example.net",
    "  user\t=\tfilter",
    "pass = a#b;c",
    "LOYALTY = 5",
    "Chain = ampere-firewall",
    "jump = INPUT, DOCKER-USER",
    "trust = 192.168.0.0/16",
    "trust = 2001:DB8::/32",
    "trust = Office.Example.org.",
    "trust_file = /etc/ampere/trusted",
    "trust_lookup = 5m",
    "log = /var/log/asterisk/messages",
    "log = /var/log/asterisk/security",
    "log = /var/log/asterisk/messages",
    "log_format = json",
    "database = /srv/ampere.db",
    "patience = 10",
    "credit = 30d",
    "forget = 6h",
    "bantime = 15m",
    "bantime_factor = 1.5",
    "bantime_max = 90s",
    "doubt = 2m",
    "guard_hosts = 20",
    "guard_window = 2h",
    "neighbours = 5",
    "insider = block",
    "learn = 0",
    "ipv6_prefix = 56",
    "nat64 = 2001:DB8:64::/96",
    "nat64 = 2001:db8:65::/96",
    "geo = /var/lib/GeoIP/GeoLite2-Country.mmdb",
    "asn = /var/lib/GeoIP/GeoLite2-ASN.mmdb",
    "home = DE, at,CH, DE",
    "away = block",
    "asn_strict = 14061, AS16276",
    "asn_strict = as64500,14061",
    "new_place = off",
    "backend = ipset",
    "action = drop",
    "verify = 30s",
    "metrics = [::1]:9738",
    "page = 192.0.2.1:9739",
    "page_name = PBX.example.org, pbx.example.net.",
    "page_token_file = /var/lib/ampere/page.token",
    "page_cert = /etc/ampere/page.crt",
    "page_key = /etc/ampere/page.key",
    "webhook = https://hooks.example.org/a?b=c#d",
    "webhook_ca = /etc/ampere/hooks-ca.pem",
    "sip_ports = 5060, 5080",
    "soft_rate = 5/minute",
    "fleet = rediss://pbx@[2001:db8::5]:6380/3",
    "fleet_name = pbx1",
    "fleet_pass_file = /etc/ampere/fleet.pass",
    "fleet_ca = /etc/ampere/fleet-ca.pem",
    "fleet_prefix = pbx:",
    "fleet_max = 500/hour",
  ].map((line) => line.replace("90s", "90d"));
  const expected: Config = {
    logs: ["/var/log/asterisk/messages", "/var/log/asterisk/security"],
    logFormat: "json",
    host: "pbx.example.org",
    port: 5040,
    tls: true,
    tlsCa: "/etc/ampere/asterisk-ca.pem",
    tlsName: "pbx.example.net",
    user: "filter",
    pass: "a#b;c",
    loyalty: 5,
    chain: "ampere-firewall",
    jump: ["INPUT", "DOCKER-USER"],
    trust: ["192.168.0.0/16", "2001:db8::/32"],
    trustNames: ["office.example.org"],
    trustFile: "/etc/ampere/trusted",
    database: "/srv/ampere.db",
    patience: 10,
    credit: 2_592_000,
    forget: 21_600,
    bantime: 900,
    bantimeFactor: 1.5,
    bantimeMax: 7_776_000,
    doubt: 120,
    guardHosts: 20,
    guardWindow: 7_200,
    neighbours: 5,
    insider: "block",
    learn: 0,
    ipv6Prefix: 56,
    nat64: ["2001:db8:64::/96", "2001:db8:65::/96"],
    geo: "/var/lib/GeoIP/GeoLite2-Country.mmdb",
    asn: "/var/lib/GeoIP/GeoLite2-ASN.mmdb",
    home: ["DE", "AT", "CH"],
    away: "block",
    asnStrict: [14_061, 16_276, 64_500],
    newPlace: false,
    backend: "ipset",
    action: "drop",
    trustLookup: 300,
    verify: 30,
    metrics: { hostname: "::1", port: 9738 },
    page: { hostname: "192.0.2.1", port: 9739 },
    pageNames: ["pbx.example.org", "pbx.example.net"],
    pageTokenFile: "/var/lib/ampere/page.token",
    pageCert: "/etc/ampere/page.crt",
    pageKey: "/etc/ampere/page.key",
    webhook: "https://hooks.example.org/a?b=c#d",
    webhookCa: "/etc/ampere/hooks-ca.pem",
    feeds: [],
    messengers: [],
    softRate: 5,
    sipPorts: [5060, 5080],
    fleet: { host: "2001:db8::5", port: 6380, tls: true, user: "pbx", database: 3 },
    fleetName: "pbx1",
    fleetPassFile: "/etc/ampere/fleet.pass",
    fleetCa: "/etc/ampere/fleet-ca.pem",
    fleetPrefix: "pbx:",
    fleetMax: 500,
  };
  for (const end of ["\n", "\r\n", "\r", " \r\n\r\n"]) {
    deepStrictEqual(right(lines.join(end)), expected);
    deepStrictEqual(right("\uFEFF" + lines.join(end) + end), expected);
  }
});

Deno.test("parse: with tls the port is that of TLS, unless one is written", () => {
  strictEqual(right("").port, 5038);
  strictEqual(right("tls = no").port, 5038);
  strictEqual(right("tls = yes").port, 5039);
  strictEqual(right("port = 5038\ntls = yes").port, 5038);
  strictEqual(right("tls = yes\ntls_name = [2001:db8::5]").tlsName, "2001:db8::5");
});

Deno.test("parse: what has no effect without TLS is told, in the order of the lines", () => {
  deepStrictEqual(
    warned("tls_name = a.example\nloyality = 3\ntls_ca = /a.pem\nwebhook_ca = /b.pem"),
    [
      "ampere.cfg:1: tls_name: has no effect without tls = yes: AMI is spoken to in plain text",
      'ampere.cfg:2: loyality: unknown key, ignored; did you mean "loyalty"?',
      "ampere.cfg:3: tls_ca: has no effect without tls = yes: AMI is spoken to in plain text",
      "ampere.cfg:4: webhook_ca: has no effect without a webhook by https://",
    ],
  );
  deepStrictEqual(warned("webhook = http://192.0.2.5/\nwebhook_ca = /b.pem").length, 1);
  deepStrictEqual(warned("tls_ca = off\ntls_name =\nwebhook_ca = off"), []);
});

Deno.test("parse: comments, quotes and white space", () => {
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
  for (const [line, pass] of table) strictEqual(parseConfig(line, FILE).config?.pass, pass, line);
});

Deno.test("parse: lines that are not key = value, and quotes that do not fit", () => {
  const table: [text: string, problem: string][] = [
    ["nonsense", '1: not a line "key = value"; a comment begins with # or ;'],
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

Deno.test("parse: a key that stands twice names both lines; a 17th trust holds, with a warning", () => {
  deepStrictEqual(wrong("bantime = 1\n\nBANTIME = 2\nbantime = 3"), [
    "3: bantime: stands twice, in line 1 and line 3; remove one of them",
    "4: bantime: stands twice, in line 1 and line 4; remove one of them",
  ]);
  const lines = Array.from({ length: TRUST_MAX + 2 }, (_, i) => `trust=10.0.${i >> 8}.${i & 255}`);
  strictEqual(right(lines.slice(0, 16).join("\n")).trust.length, 16);
  const many = parseConfig(lines.slice(0, 18).join("\n"), FILE);
  strictEqual(many.config?.trust.length, 18);
  deepStrictEqual(many.warnings.map(formatProblem), [
    `${FILE}:17: trust: this is line 17 with trust: all are in force, but Ampere 0.2.3 reads only 16`,
  ]);
  const full = lines.map((line) => `${line}  # who is behind this address`);
  ok(full.join("\n").length < CONFIG_BYTES_MAX);
  strictEqual(
    parseConfig(full.slice(0, TRUST_MAX).join("\n"), FILE).config?.trust.length,
    TRUST_MAX,
  );
  deepStrictEqual(wrong(full.join("\n")), [
    `${TRUST_MAX + 1}: trust: more than ${TRUST_MAX} lines; join addresses to networks`,
    `${TRUST_MAX + 2}: trust: more than ${TRUST_MAX} lines; join addresses to networks`,
  ]);
});

Deno.test("parse: all problems of a file are reported at once, in the order of its lines", () => {
  const text =
    "port = x\nuser = 'a\n[s]\nloyality = 1\nbantime_max = 1h\nbantime = 2h\ntrust = 1.2\n";
  const { problems, warnings } = parseConfig(text, "/etc/x.cfg");
  deepStrictEqual(problems.map(formatProblem), [
    '/etc/x.cfg:1: port: "x" is not a whole number from 1 to 65535',
    "/etc/x.cfg:2: user: the closing ' is missing",
    "/etc/x.cfg:5: bantime_max: 1h is less than bantime (2h)",
    '/etc/x.cfg:7: trust: "1.2" is not an address or network',
  ]);
  deepStrictEqual(warnings.map(formatProblem), [
    "/etc/x.cfg:3: keys stand without sections, so this line has no effect; remove it",
    '/etc/x.cfg:4: loyality: unknown key, ignored; did you mean "loyalty"?',
  ]);
});

Deno.test("parse: an unknown key is a warning that names the nearest known key", () => {
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
        // Another program may call it so.
        if (KEYS.includes(changed) || adviceForForeign(changed, "x") !== undefined) return;
        const [, named = ""] = /did you mean "(\w+)"\?$/.exec(warned(`${changed} = x`)[0]!) ?? [];
        ok(named === key || isOneEditAway(named, changed), `${changed}: ${named}`);
      },
    ),
  );
});

/** Whether two words are the same but for one character that is another one, or is missing. */
function isOneEditAway(one: string, other: string): boolean {
  const [short, long] = one.length <= other.length ? [one, other] : [other, one];
  const rest = long.length - short.length;
  return rest <= 1 &&
    Array.from(long).some((_, i) =>
      long.slice(i + 1) === short.slice(i + 1 - rest) && long.slice(0, i) === short.slice(0, i)
    );
}

Deno.test("parse: no value holds a control character, so no line of AMI can be added", () => {
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
  ok(wrong(injected).includes('2: action: there is no "=" right after the key'));
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

Deno.test("parse: bytes that are not UTF-8 in a value are a problem, in a comment they are not", async () => {
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

Deno.test("parse: any text gives a configuration or problems, and never throws", () => {
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
        KEYS.length - 1 + Math.max(1, config.trust.length + config.trustNames.length),
      );
    }),
    { numRuns: 5_000 },
  );

  ok(read > 100, `only ${read} of the texts were right`);
});

Deno.test("parse: the secret never appears in a message, however its line is written", () => {
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

Deno.test("parse: a file that is missing, a directory, not allowed, too long, a pipe", async () => {
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
    const tooLong = "longer than 1048576 bytes, so this is not a configuration file";
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
    // The daemon, which reads it again, waits for nobody.
    deepStrictEqual(readConfig(fifo, false).problems.map(formatProblem), [
      `${fifo}: this is no file, but a pipe or a device`,
    ]);
  });
});

Deno.test("parse: the default file may be missing, which is a warning", async () => {
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

Deno.test("parse: a file with a thousand mistakes is told in bounded length", () => {
  const { problems, warnings } = parseConfig("port = x\ns\nfoo = 1\n".repeat(500), FILE);
  strictEqual(problems.length, PROBLEMS_MAX + 1);
  strictEqual(
    formatProblem(problems.at(-1)!),
    `${FILE}: ${1000 - PROBLEMS_MAX} more problems; is this a configuration file of Ampere?`,
  );
  strictEqual(warnings.length, PROBLEMS_MAX + 1);
});
