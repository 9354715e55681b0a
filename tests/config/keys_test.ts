/** What each key takes. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { describeConfig } from "../../src/config/config.ts";
import { MAY_BE_EMPTY } from "../../src/config/keys.ts";
import { TRUST_NAMES_MAX } from "../../src/config/trust_file.ts";
import { FILE, KEYS, right, warned, wrong } from "../support/config_texts.ts";

Deno.test("keys: a value that is missing is a problem where the key needs one", () => {
  for (const key of KEYS) {
    for (
      const text of [`${key} =`, `${key} = # comment`, `${key} = ""`, `${key} = ''  ; comment`]
    ) {
      if (MAY_BE_EMPTY.has(key)) {
        strictEqual(new Map(describeConfig(right(text))).get(key), "off");
      } else {
        const [problem, ...more] = wrong(text);
        deepStrictEqual(more, []);
        ok(problem!.startsWith(`1: ${key}: has no value; `), problem);
      }
    }
  }
});

Deno.test("keys: wrong values are told with the value and what would be right", () => {
  const table: [line: string, problem: string][] = [
    [
      "nat64 = 2001:db8::/64",
      'nat64: "2001:db8::/64" is not an IPv6 network of 96 bits, such as 2001:db8:64::/96',
    ],
    [
      "doubt = 1.5m",
      'doubt: "1.5m" is not a duration from 0s to 3650d: a number of seconds, or a number with s, m, h or d, such as 90s, 15m, 6h or 7d',
    ],
    ["home = UK", 'home: "UK" is no code of ISO 3166-1; write GB'],
    [
      "home = DE, Austria",
      'home: "Austria" is not a country: two letters of ISO 3166-1, such as DE, with commas between them, or off',
    ],
    [
      "home = DE,,AT",
      'home: "" is not a country: two letters of ISO 3166-1, such as DE, with commas between them, or off',
    ],
    [
      "home = ZZ",
      'home: "ZZ" is not a country: two letters of ISO 3166-1, such as DE, with commas between them, or off',
    ],
    ["away = drop", 'away: "drop" is not watch, strict or block'],
    [
      "asn_strict = 014061",
      'asn_strict: "014061" is not the number of a network: 1 to 4294967295, such as 14061 or AS14061, with commas between them, or off',
    ],
    [
      "asn_strict = 14061, 4294967296",
      'asn_strict: "4294967296" is not the number of a network: 1 to 4294967295, such as 14061 or AS14061, with commas between them, or off',
    ],
    [
      "asn_strict = AS 14061",
      'asn_strict: "AS 14061" is not the number of a network: 1 to 4294967295, such as 14061 or AS14061, with commas between them, or off',
    ],
    ["new_place = block", 'new_place: "block" is not tell or off'],
    ["geo = country.mmdb", 'geo: "country.mmdb" is not a path that begins with /'],
    ["asn = /var/lib/GeoIP/", 'asn: "/var/lib/GeoIP/" is a directory; name a file in it'],
    ["guard_hosts = 65", 'guard_hosts: "65" is not a whole number from 0 to 64'],
    ["guard_hosts = ten", 'guard_hosts: "ten" is not a whole number from 0 to 64'],
    ["guard_window = 59", 'guard_window: "59" is not from 1m to 7d'],
    ["guard_window = 8d", 'guard_window: "8d" is not from 1m to 7d'],
    ["neighbours = 1", 'neighbours: "1" is not a whole number from 2 to 64, nor 0 or auto'],
    ["neighbours = 65", 'neighbours: "65" is not a whole number from 2 to 64, nor 0 or auto'],
    ["neighbours = on", 'neighbours: "on" is not a whole number from 2 to 64, nor 0 or auto'],
    ["insider = ban", 'insider: "ban" is not tell or block'],
    ["trust = 10.0.0.0/33", 'trust: "10.0.0.0/33" is not an address or network'],
    ["trust = 10.0.0.256", 'trust: "10.0.0.256" is not an address or network'],
    ["trust = 10.0.0.1x", 'trust: "10.0.0.1x" is not an address or network'],
    ["trust = 10.0.0", 'trust: "10.0.0" is not an address or network'],
    ["trust = 2001:db8:::1", 'trust: "2001:db8:::1" is not an address or network'],
    ["trust = office.example:5060", 'trust: "office.example:5060" is not an address or network'],
    ["trust = *.example.org", 'trust: "*.example.org" is not an address, network or name'],
    ["trust = -office.example", 'trust: "-office.example" is not an address, network or name'],
    ["trust = office..example", 'trust: "office..example" is not an address, network or name'],
    ["trust = office.1", 'trust: "office.1" is not an address, network or name'],
    [
      `trust = ${"a.".repeat(127)}a`,
      `trust: "${"a.".repeat(29)}a…" is not an address, network or name`,
    ],
    [
      "trust = büro.example",
      'trust: "büro.example" is not an address, network or name (of a name with such letters: its ' +
      "xn-- form)",
    ],
    [
      "trust = 10.0.0.1, office.example",
      'trust: "10.0.0.1, office.example" is not an address, network or name: write one line for each',
    ],
    [
      "trust = office.example home.example",
      'trust: "office.example home.example" is not an address, network or name: write one line for each',
    ],
    ["trust_file = trusted", 'trust_file: "trusted" is not a path that begins with /'],
    ["trust_file = /etc/ampere/", 'trust_file: "/etc/ampere/" is a directory; name a file in it'],
    ["tls = on", 'tls: "on" is not yes or no'],
    ["tls = YES", 'tls: "YES" is not yes or no'],
    ["tls_ca = ca.pem", 'tls_ca: "ca.pem" is not a path that begins with /'],
    ["tls_ca = /etc/ampere/", 'tls_ca: "/etc/ampere/" is a directory; name a file in it'],
    ["webhook_ca = ~/ca.pem", 'webhook_ca: "~/ca.pem" is not a path that begins with /'],
    ["tls_name = a b", 'tls_name: "a b" is not a host name or address, nor off'],
    ["tls_name = 192.0.2.256", 'tls_name: "192.0.2.256" is not a host name or address, nor off'],
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
    ["bantime = -1", 'bantime: "-1" is not a duration; for ever is 0'],
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
    ["backend = nft", 'backend: "nft" is not auto, iptables, ipset or nftables'],
    ["backend = Auto", 'backend: "Auto" is not auto, iptables, ipset or nftables'],
    ["action = REJECT", 'action: "REJECT" is not reject or drop'],
    ["action = accept", 'action: "accept" is not reject or drop'],
    ["trust_lookup = 9s", 'trust_lookup: "9s" is not from 10s to 6h'],
    ["trust_lookup = 7h", 'trust_lookup: "7h" is not from 10s to 6h'],
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

Deno.test("keys: metrics is an address with a port, or off", () => {
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

Deno.test("keys: hosts that are right", () => {
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

Deno.test("keys: a chain that Ampere must not flush, or that cannot exist, is refused", () => {
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

Deno.test("keys: jump takes names of chains, and says what is wrong with others", () => {
  for (
    const [value, jump] of [
      ["none", []],
      ["None", []],
      ["off", []],
      ["INPUT", ["INPUT"]],
      ["INPUT,FORWARD", ["INPUT", "FORWARD"]],
      ["DOCKER-USER , FORWARD", ["DOCKER-USER", "FORWARD"]],
      ["ufw-before-input", ["ufw-before-input"]],
    ] as const
  ) {
    deepStrictEqual(right(`jump = ${value}`).jump, jump);
  }
  for (
    const [value, says] of [
      ["OUTPUT", /OUTPUT is a chain that packets of strangers do not come through/],
      ["PREROUTING", /do not come through/],
      ["DROP", /DROP is a target of iptables/],
      ["input", /input: write it as the chain is called: INPUT/],
      ["docker-user", /DOCKER-USER/],
      ["INPUT,none", /none stands alone/],
      ["INPUT,INPUT", /INPUT stands there twice/],
      ["INPUT,", /"" is not a name of a chain/],
      ["INPUT FORWARD", /"INPUT FORWARD" is not a name/],
      ["-j", /is not a name/],
      ["INPUT,$(x)", /is not a name/],
      ["x".repeat(29), /longer than 28/],
      ["a,b,c,d,e,f,g,h,i", /more than 8 chains/],
      ["ampere", /ampere is Ampere's own chain/],
    ] as const
  ) {
    const [problem, ...more] = wrong(`jump = "${value}"`);
    deepStrictEqual(more, [], value);
    match(problem!, /^1: jump: /);
    match(problem!, says);
  }
});

Deno.test("keys: the longest name of a chain is the same for each backend", () => {
  for (const backend of ["iptables", "ipset", "nftables"]) {
    const name = (length: number) => `chain = ${"c".repeat(length)}\nbackend = ${backend}`;
    for (const length of [26, 27, 28]) strictEqual(right(name(length)).chain.length, length);
    deepStrictEqual(wrong(name(29)), ["1: chain: longer than 28 characters"]);
  }
});

Deno.test("keys: bantime and bantime_max fit together", () => {
  right("bantime = 1h\nbantime_max = 1h");
  right("bantime = 1h\nbantime_max = 0");
  right("bantime = 0\nbantime_max = 1h");
  deepStrictEqual(wrong("bantime = 61\nbantime_max = 1m"), [
    "2: bantime_max: 1m is less than bantime (61s)",
  ]);
  // A wrong value is told alone, without what would follow from its default.
  strictEqual(wrong("bantime = x\nbantime_max = 1m").length, 1);
});

Deno.test("keys: trusting everybody, or more than was written, is a warning", () => {
  deepStrictEqual(warned("trust = 0.0.0.0/0\ntrust = ::/0\ntrust = 10.1.2.3/8"), [
    ...["0.0.0.0/0", "::/0"].map((all, index) =>
      `${FILE}:${
        index + 1
      }: trust: "${all}" would be everybody, and nobody would ever be blocked: ` +
      "it is left out, as Ampere 0.2.3 does; write the networks of those who belong here"
    ),
    `${FILE}:3: trust: "10.1.2.3/8" is taken as the whole network 10.0.0.0/8`,
  ]);
  for (const value of ["0.0.0.0/32", "10.0.0.0/8", "10.1.2.3", "10.1.2.3/32", "2001:DB8:0::/32"]) {
    right(`trust = ${value}`);
  }
  deepStrictEqual(right("trust = 0.0.0.0/32").trust, ["0.0.0.0"]);
  deepStrictEqual(right("trust = ::ffff:10.0.0.0/104\ntrust=10.0.0.0/8").trust, ["10.0.0.0/8"]);
});

Deno.test("keys: trust takes names, in any spelling once, up to a bound", () => {
  const { trust, trustNames } = right(
    "trust = Office.Dyndns.Example.\ntrust = office.dyndns.example\ntrust = 10.0.0.1\n" +
      "trust = pbx\ntrust = my_host.example\ntrust = 3com.example",
  );
  deepStrictEqual(trust, ["10.0.0.1"]);
  deepStrictEqual(trustNames, ["office.dyndns.example", "pbx", "my_host.example", "3com.example"]);
  const lines = Array.from({ length: TRUST_NAMES_MAX + 1 }, (_, i) => `trust = h${i}.example`);
  deepStrictEqual(wrong(lines.join("\n")), [
    `${TRUST_NAMES_MAX + 1}: trust: more than ${TRUST_NAMES_MAX} names; of the others write the ` +
    "addresses or networks",
  ]);
});

Deno.test("keys: log takes up to four files, each once; host = none needs one", () => {
  deepStrictEqual(
    right("log = /var/log/asterisk/messages\nlog = /var/log/asterisk/messages").logs,
    [
      "/var/log/asterisk/messages",
    ],
  );
  deepStrictEqual(right("log = off\nlog =").logs, []);
  deepStrictEqual(right("host = NONE\nlog = /a").host, "none");
  deepStrictEqual(wrong("log = messages"), ['1: log: "messages" is not a path that begins with /']);
  deepStrictEqual(wrong("log = /var/log/"), [
    '1: log: "/var/log/" is a directory; name a file in it',
  ]);
  deepStrictEqual(wrong("log = /a\nlog = /b\nlog = /c\nlog = /d\nlog = /e"), [
    "5: log: more than 4 lines; the files messages and security hold all that is read",
  ]);
  deepStrictEqual(wrong("loyalty = 3\nhost = none"), [
    "2: host: none means that Asterisk's manager interface is not used, and without a log nothing " +
    "is left to follow; add: log = /var/log/asterisk/messages",
  ]);
});

Deno.test("keys: rules about places are told as without effect where no file knows places", () => {
  deepStrictEqual(warned("home = DE\naway = watch\nasn_strict = 14061"), [
    "ampere.cfg:1: home: has no effect without geo = FILE.mmdb: nobody knows which country a host is in",
    "ampere.cfg:3: asn_strict: has no effect without asn = FILE.mmdb: nobody knows whose network a host is in",
  ]);
  deepStrictEqual(warned("geo = /a.mmdb\naway = block"), [
    "ampere.cfg:2: away: has no effect without home = COUNTRY, …: nobody is away",
  ]);
});

Deno.test("keys: a thousand networks may be named, and no more", () => {
  const numbers = Array.from({ length: 1_000 }, (_, i) => i + 1);
  const text = `asn = /a.mmdb\nasn_strict = ${numbers.join(", ")}`;
  strictEqual(right(text).asnStrict.length, 1_000);
  deepStrictEqual(wrong(`${text}\nasn_strict = 5, 5000`), [
    "3: asn_strict: more than 1000 networks",
  ]);
});

Deno.test("keys: the page where others reach it needs a token, and what belongs together is told", () => {
  const token = "page_token_file = /a";
  const tls = "page_cert = /b\npage_key = /c";
  const needs = "others can reach the page, so it needs a token: run ampere --page-token";
  const problems: [text: string, problem: string][] = [
    ["page = 0.0.0.0:9739", `1: page: at 0.0.0.0 ${needs}`],
    [`page = [2001:db8::1]:9739\n${tls}`, `1: page: at 2001:db8::1 ${needs}`],
    ["page = [::1]:9739\npage_name = a.example", `2: page_name: with page_name ${needs}`],
    ["page = [::1]:9739\npage_cert = /b", "2: page_cert: needs page_key too"],
    ["page_key = /b", "1: page_key: needs page_cert too"],
    ["page_name = https://a.example", '1: page_name: "https://a.example" is not a host name'],
    ["page_name = a.example:1", '1: page_name: "a.example:1" is not a host name'],
    ["page_name = 192.0.2.1", '1: page_name: "192.0.2.1" is not a host name'],
    ["page_name = a,,b", '1: page_name: "" is not a host name'],
    ["page = :9739", '1: page: ":9739" is not ADDRESS:PORT, such as 127.0.0.1:9739'],
    ["page_token_file = token", '1: page_token_file: "token" is not a path'],
    ["page_cert = /etc/ampere/", '1: page_cert: "/etc/ampere/" is a directory'],
  ];
  for (const [text, problem] of problems) {
    const [found, ...more] = wrong(text);
    ok(found!.startsWith(problem), found);
    deepStrictEqual(more, [], text);
  }
  const doubts: [text: string, doubt: string][] = [
    [`page = 192.0.2.1:9739\n${token}`, "ampere.cfg:1: page: at 192.0.2.1 the token and what"],
    [token, "ampere.cfg:1: page_token_file: has no effect without page"],
    ["page_name = a.example", "ampere.cfg:1: page_name: has no effect without page"],
    [tls, "ampere.cfg:1: page_cert: has no effect without page"],
  ];
  for (const [text, doubt] of doubts) {
    const [found, ...more] = warned(text);
    ok(found!.startsWith(doubt), found);
    deepStrictEqual(more, [], text);
  }
  right(`page = 192.0.2.1:9739\n${token}\n${tls}`);
  right(`page = 127.0.0.9:9739\n${token}\npage_name = PBX.example.org.`);
});
