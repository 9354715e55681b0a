import { ok, strictEqual, throws } from "node:assert/strict";
import { BlockList, isIP, isIPv4 } from "node:net";
import fc from "fast-check";
import {
  contains,
  familyOf,
  isLoopback,
  networkOf,
  overlaps,
  ownAddresses,
  parseAddress,
  parseTarget,
} from "../../src/address/address.ts";
import {
  groups,
  ipv4Spelling,
  ipv6Spelling,
  nearAddress,
  nearTarget,
} from "../support/spellings.ts";

/** What a target may look like, written independently of the module: nothing else may pass. */
const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const QUAD = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);
const QUAD_NETWORK = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}/(?:[12]?[0-9]|3[01])$`);
const HEX = "(?:0|[1-9a-f][0-9a-f]{0,3})";
const COLONS = new RegExp(
  `^(?:${HEX}(?::${HEX}){7}|(?:${HEX}(?::${HEX}){0,5})?::(?:${HEX}(?::${HEX}){0,5})?)$`,
);
const COLONS_PREFIX = /^(?:[1-9]?[0-9]|1[01][0-9]|12[0-7])$/;

function looksLikeAddress(text: string): boolean {
  return QUAD.test(text) || COLONS.test(text);
}

function looksLikeTarget(text: string): boolean {
  if (looksLikeAddress(text) || QUAD_NETWORK.test(text)) return true;
  const [address = "", prefix = "", ...more] = text.split("/");
  return COLONS.test(address) && COLONS_PREFIX.test(prefix) && more.length === 0;
}

/** A valid spelling with a few characters changed, put in or taken out. */
const damaged = fc.tuple(
  fc.oneof(ipv4Spelling, ipv6Spelling),
  fc.array(
    fc.tuple(fc.nat(46), fc.nat(2), fc.constantFrom(..."0123456789abcdefgxX:./%-+ \t\n\0é")),
    { minLength: 1, maxLength: 4 },
  ),
).map(([text, edits]) => {
  for (const [at, remove, character] of edits) {
    text = text.slice(0, at) + character + text.slice(at + remove);
  }
  return text;
});

const anyText = fc.oneof(
  damaged,
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef:./%") }),
);

/**
 * The canonical text of an IPv6 address by the URL parser, which shares no code with the module.
 */
function urlCanonical(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

/** The value of a canonical address as a number, by the plainest way there is. */
function valueOf(address: string): bigint {
  if (isIPv4(address)) {
    return address.split(".").reduce((value, part) => value * 256n + BigInt(part), 0n);
  }
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...zeros, ...right]
    .reduce((value, part) => value * 65536n + BigInt(`0x${part}`), 0n);
}

/** Whether an address is in a target, by arithmetic with big integers. */
function containsByValue(target: string, address: string): boolean {
  const [network = "", prefixText] = target.split("/");
  const width = isIPv4(network) ? 32 : 128;
  if ((isIPv4(address) ? 32 : 128) !== width) return false;
  const hostBits = BigInt(width - (prefixText === undefined ? width : Number(prefixText)));
  return valueOf(network) >> hostBits === valueOf(address) >> hostBits;
}

Deno.test("address: parseAddress reads what people and Asterisk write", () => {
  const table: [text: string, canonical: string][] = [
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["203.0.113.5", "203.0.113.5"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:db8:bad::12", "2001:db8:bad::12"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["2001:db8:bad::ffff:c000:221", "2001:db8:bad::ffff:c000:221"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["::FFFF:102:304", "1.2.3.4"],
    ["0:0:0:0:0:ffff:255.255.255.255", "255.255.255.255"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["::1.2.3.4", "::102:304"],
    ["fe80::1%eth0", "fe80::1"],
    ["fe80::1%2", "fe80::1"],
    ["febf:ffff::1%br-0.12:1", "febf:ffff::1"],
    ["fe80::1%abcdefghijklmno", "fe80::1"],
  ];
  for (const [text, canonical] of table) strictEqual(parseAddress(text), canonical, text);
});

Deno.test("address: parseAddress refuses everything that is not strictly an address", () => {
  const table = [
    "",
    " ",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.",
    ".1.2.3",
    "1..2.3",
    "1.2.3.256",
    "1.2.3.04",
    "01.2.3.4",
    "00.0.0.0",
    "0x7f.0.0.1",
    "0x7f000001",
    "017700000001",
    "2130706433",
    "127.1",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1.2.3.4\n",
    "1.2.3.4\0",
    "1.2.3.4,5.6.7.8",
    "1.2.3.4/32",
    "1.2.3.-4",
    "+1.2.3.4",
    "1e1.2.3.4",
    "１.2.3.4", // a full-width digit
    "١.2.3.4", // an Arabic digit
    ":",
    ":::",
    "1:::2",
    "1::2::3",
    ":1::2",
    "1::2:",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4::5:6:7:8",
    "::1:2:3:4:5:6:7:8",
    "12345::",
    "g::",
    "0x1::",
    "::-1",
    "1.2.3.4::",
    "1.2.3.4::1",
    "::1.2.3.4:5",
    "::1.2.3",
    "::1.2.3.04",
    "::ffff:1.2.3.256",
    "1:2:3:4:5:6:7:1.2.3.4",
    "[::1]",
    "::1/128",
    "::1%eth0", // only link-local addresses have a zone
    "2001:db8::1%eth0",
    "fec0::1%eth0",
    "::ffff:1.2.3.4%eth0",
    "1.2.3.4%eth0",
    "fe80::1%",
    "fe80::1%eth0%eth1",
    "fe80::1%abcdefghijklmnop", // 16 characters
    "fe80::1%eth 0",
    "fe80::1%eth0\n",
    "fe80::1%$(id)",
    "fe80::1%eth0;id",
    "fe80::1%../x",
  ];
  for (const text of table) strictEqual(parseAddress(text), undefined, JSON.stringify(text));
});

Deno.test("address: parseTarget masks host bits and unfolds mapped networks", () => {
  const table: [text: string, canonical: string | undefined][] = [
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["10.1.2.3/32", "10.1.2.3"],
    ["0.0.0.0/32", "0.0.0.0"],
    ["255.255.255.255/0", "0.0.0.0/0"],
    ["255.255.255.255/1", "128.0.0.0/1"],
    ["192.0.2.255/31", "192.0.2.254/31"],
    ["2001:db8::ffff/128", "2001:db8::ffff"],
    ["2001:db8:ffff:ffff:ffff::/33", "2001:db8:8000::/33"],
    ["2001:db8::1/64", "2001:db8::/64"],
    ["2001:db8::1/32", "2001:db8::/32"],
    ["::/0", "::/0"],
    ["ffff::1/0", "::/0"],
    ["fe80::1%eth0", "fe80::1"],
    ["::ffff:192.0.2.7/120", "192.0.2.0/24"],
    ["::ffff:192.0.2.7/128", "192.0.2.7"],
    ["::ffff:192.0.2.7/96", "0.0.0.0/0"],
    ["::ffff:192.0.2.7/95", "::fffe:0:0/95"],
    ["10.0.0.0/33", undefined],
    ["10.0.0.0/-1", undefined],
    ["10.0.0.0/+8", undefined],
    ["10.0.0.0/08", undefined],
    ["10.0.0.0/8.0", undefined],
    ["10.0.0.0/", undefined],
    ["10.0.0.0/8/8", undefined],
    ["10.0.0.0/ 8", undefined],
    ["10.0.0.0 /8", undefined],
    ["10.0.0.0/8\n", undefined],
    ["10.0.0.0/255.0.0.0", undefined],
    ["10.0.0.0/1e1", undefined],
    ["10/8", undefined],
    ["/8", undefined],
    ["::/129", undefined],
    ["::/999", undefined],
    ["::/0000", undefined],
    ["fe80::1%eth0/64", undefined],
    ["!10.0.0.0/8", undefined],
    ["-j", undefined],
  ];
  for (const [text, canonical] of table) strictEqual(parseTarget(text), canonical, text);
});

Deno.test("address: parseAddress agrees with isIP of Node about any text without a zone", () => {
  fc.assert(
    fc.property(anyText.map((text) => text.replaceAll("%", "")), (text) => {
      strictEqual(parseAddress(text) !== undefined, isIP(text) !== 0);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("address: valid spellings of IPv4 are their own canonical text", () => {
  fc.assert(fc.property(ipv4Spelling, (text) => {
    strictEqual(isIP(text), 4);
    strictEqual(parseAddress(text), text);
  }));
});

Deno.test("address: the canonical text of IPv6 is the one that the URL parser makes", () => {
  fc.assert(
    fc.property(ipv6Spelling, (text) => {
      const canonical = urlCanonical(text);
      const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical);
      if (mapped === null) {
        strictEqual(parseAddress(text), canonical);
      } else {
        const [high, low] = [parseInt(mapped[1]!, 16), parseInt(mapped[2]!, 16)];
        strictEqual(
          parseAddress(text),
          `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`,
        );
      }
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("address: an IPv4 address and its mapped spellings are one address", () => {
  fc.assert(fc.property(ipv4Spelling, fc.nat(32), (text, prefix) => {
    const mapped = urlCanonical(`::ffff:${text}`);
    strictEqual(parseAddress(`::ffff:${text}`), text);
    strictEqual(parseAddress(`0:0:0:0:0:FFFF:${text}`), text);
    strictEqual(parseAddress(mapped), text);
    strictEqual(parseTarget(`${mapped}/${96 + prefix}`), parseTarget(`${text}/${prefix}`));
  }));
});

Deno.test("address: nothing but a clean target ever passes, and it is its own canonical text", () => {
  const withPrefix = fc.tuple(anyText, fc.oneof(fc.constant(""), fc.string(), fc.nat(140)))
    .map(([text, prefix]) => prefix === "" ? text : `${text}/${prefix}`);
  fc.assert(
    fc.property(withPrefix, (text) => {
      const address = parseAddress(text);
      if (address !== undefined) {
        ok(looksLikeAddress(address), address);
        strictEqual(parseAddress(address), address);
        strictEqual(isIP(address), familyOf(address));
      }
      const target = parseTarget(text);
      if (target !== undefined) {
        ok(looksLikeTarget(target), target);
        strictEqual(parseTarget(target), target);
      }
      if (address !== undefined) strictEqual(target, address);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("address: a zone passes on link-local addresses only, and is gone afterwards", () => {
  fc.assert(
    fc.property(ipv6Spelling, fc.string({ maxLength: 20 }), (text, zone) => {
      const parsed = parseAddress(`${text}%${zone}`);
      const linkLocal = containsByValue("fe80::/10", urlCanonical(text));
      const expected = linkLocal && /^[A-Za-z0-9_.:@-]{1,15}$/.test(zone);
      strictEqual(parsed, expected ? parseAddress(text) : undefined);
    }),
  );
  fc.assert(fc.property(groups, fc.stringMatching(/^[a-z0-9_.:@-]{1,15}$/), (values, zone) => {
    const head = (0xfe80 | (values[0]! & 0x3f)).toString(16);
    const text = [head, ...values.slice(1).map((value) => value.toString(16))].join(":");
    strictEqual(parseAddress(`${text}%${zone}`), urlCanonical(text));
  }));
});

Deno.test("address: a target is the masked network, by the arithmetic of big integers", () => {
  fc.assert(
    fc.property(nearAddress, fc.nat(128), (address, bits) => {
      const width = familyOf(address) === 4 ? 32 : 128;
      const prefix = bits % (width + 1);
      const target = parseTarget(`${address}/${prefix}`)!;
      strictEqual(networkOf(address, prefix), target);
      const [network = "", written] = target.split("/");
      strictEqual(written ?? String(width), String(prefix));
      const hostBits = BigInt(width - prefix);
      strictEqual(valueOf(network), (valueOf(address) >> hostBits) << hostBits);
      ok(contains(target, address));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("address: contains agrees with BlockList of Node and with big integers", () => {
  fc.assert(
    fc.property(nearTarget, nearAddress, (target, address) => {
      const [network = "", prefix] = target.split("/");
      const oracle = new BlockList();
      const family = familyOf(target) === 4 ? "ipv4" : "ipv6";
      if (prefix === undefined) oracle.addAddress(network, family);
      else oracle.addSubnet(network, Number(prefix), family);
      const result = contains(target, address);
      strictEqual(result, containsByValue(target, address));
      // Node looks up IPv4 addresses in IPv6 networks too, as mapped ones; targets never do.
      if (familyOf(target) === familyOf(address)) {
        strictEqual(result, oracle.check(address, family));
      } else {
        strictEqual(result, false);
      }
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("address: overlaps is symmetric and means that one contains the other's first address", () => {
  fc.assert(
    fc.property(nearTarget, nearTarget, (a, b) => {
      const first = (target: string) => target.split("/")[0]!;
      const expected = containsByValue(a, first(b)) || containsByValue(b, first(a));
      strictEqual(overlaps(a, b), expected);
      strictEqual(overlaps(b, a), expected);
    }),
    { numRuns: 3_000 },
  );
  strictEqual(overlaps("0.0.0.0/0", "::/0"), false);
});

Deno.test("address: isLoopback knows 127.0.0.0/8 and ::1 only", () => {
  for (const address of ["127.0.0.1", "127.255.255.255", "127.0.0.0", "::1"]) {
    strictEqual(isLoopback(address), true, address);
  }
  for (
    const address of ["126.255.255.255", "128.0.0.0", "0.0.0.0", "::", "::2", "1::1", "::1:0:1"]
  ) {
    strictEqual(isLoopback(address), false, address);
  }
  fc.assert(fc.property(nearAddress, (address) => {
    const expected = containsByValue("127.0.0.0/8", address) || address === "::1";
    strictEqual(isLoopback(address), expected);
  }));
});

Deno.test("address: mistakes of the caller are thrown, never answered", () => {
  throws(() => contains("10.0.0.0/33", "10.0.0.1"), TypeError);
  throws(() => contains("10.0.0.0/8", "10.0.0.0/8"), TypeError);
  throws(() => overlaps("10.0.0.0/8", "x"), TypeError);
  throws(() => isLoopback("127.evil"), TypeError);
  throws(() => networkOf("10.0.0.1", 33), RangeError);
  throws(() => networkOf("10.0.0.1", -1), RangeError);
  throws(() => networkOf("::1", 12.5), RangeError);
  throws(() => networkOf("x", 8), TypeError);
});

Deno.test("address: ownAddresses names the loopback address of this machine, all canonical", () => {
  const addresses = ownAddresses();
  ok(addresses.includes("127.0.0.1"), addresses.join(" "));
  for (const address of addresses) strictEqual(parseAddress(address), address);
  strictEqual(new Set(addresses).size, addresses.length);
});

Deno.test("address: ownAddresses without the permission says which one is missing", async () => {
  const source = `
    import { ownAddresses } from ${
    JSON.stringify(import.meta.resolve("../../src/address/address.ts"))
  };
    try { ownAddresses(); } catch (error) { console.log(error.message); }`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--ext=ts", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(source));
  await writer.close();
  const output = await child.output();
  const message = new TextDecoder().decode(output.stdout).trim();
  strictEqual(
    message,
    "the addresses of this machine cannot be read: " +
      "this build lacks the permission --allow-sys=networkInterfaces",
    new TextDecoder().decode(output.stderr),
  );
});
