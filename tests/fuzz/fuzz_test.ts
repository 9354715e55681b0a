import assert from "node:assert/strict";
import fc from "fast-check";
import { AddressSet } from "../../src/address/address_set.ts";
import { overlaps, parseAddress, parseTarget } from "../../src/address/address.ts";
import { parseMessage } from "../../src/ami/parser.ts";
import { SecurityEvent } from "../../src/ami/event.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { bytesOf, printEvent } from "../support/asterisk_events.ts";
import { describeFinding, tryMany } from "./fuzz.ts";
import { Dice } from "../simulation/dice.ts";
import { tryList } from "./lists.ts";
import { tryListing } from "./nftables.ts";
import { TARGETS } from "./targets.ts";

/** Inputs in the normal tests; `deno task fuzz` tries a million. */
const INPUTS = 20_000;

Deno.test(`fuzz: ${INPUTS} inputs, and what must hold does`, () => {
  const { findings, targets } = tryMany(1, INPUTS);
  assert.equal(findings.length, 0, findings.map(describeFinding).join("\n\n"));
  assert.deepEqual([...targets.keys()].sort(), TARGETS.map(({ name }) => name).sort());
});

Deno.test("fuzz: whatever nft lists, nothing but targets and words come of it", async () => {
  for (let seed = 1; seed <= 5_000; seed++) {
    try {
      await tryListing(new Dice(seed));
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});

Deno.test("fuzz: whatever a list is, nothing but addresses of the Internet and words come of it", async () => {
  for (let seed = 1; seed <= 5_000; seed++) {
    try {
      await tryList(new Dice(seed));
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});

const ipv4 = fc.ipV4();
const ipv6 = fc.ipV6();
const address = fc.oneof(ipv4, ipv6);
const target = fc.tuple(address, fc.nat(128)).map(([address, bits]) =>
  `${address}/${Math.min(bits, address.includes(":") ? 128 : 32)}`
);

Deno.test("fuzz: every address has one canonical text, and is in its networks", () => {
  fc.assert(
    fc.property(address, fc.nat(128), (text, bits) => {
      const canonical = parseAddress(text);
      assert(canonical !== undefined);
      assert.equal(parseAddress(canonical), canonical);
      const network = parseTarget(`${text}/${Math.min(bits, text.includes(":") ? 128 : 32)}`);
      assert(network !== undefined);
      assert(overlaps(network, canonical));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("fuzz: a set of targets agrees with a comparison one by one", () => {
  fc.assert(
    fc.property(fc.array(target, { maxLength: 20 }), address, target, (texts, one, two) => {
      const targets = texts.map((text) => parseTarget(text)!);
      const set = new AddressSet(targets);
      const [a, b] = [parseAddress(one)!, parseTarget(two)!];
      assert.equal(set.has(a), targets.some((target) => overlaps(target, a)));
      assert.equal(set.overlaps(b), targets.some((target) => overlaps(target, b)));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("fuzz: whatever the account name is, the address is the one that Asterisk printed", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "\r\n",
      "\r",
      "\n",
      "RemoteAddress: IPV4/UDP/9.9.9.9/5060",
      "SessionID: x",
      "LocalAddress: IPV4/UDP/192.0.2.1/5060",
      "Challenge: ",
      "Event: SuccessfulAuth",
      "Privilege: security,all",
    ),
    fc.string({ unit: "binary-ascii", maxLength: 12 }),
  );
  const account = fc.array(piece, { maxLength: 14 }).map((pieces) =>
    pieces.join("").replaceAll("\r\n\r\n", "\r\n")
  );
  const event = new SecurityEvent();
  fc.assert(
    fc.property(account, (account) => {
      const text = printEvent({
        kind: "InvalidPassword",
        service: "SIP",
        account,
        remote: "IPV4/UDP/203.0.113.5/5060",
        tail: [["Challenge", "1"], ["ReceivedChallenge", "1"], ["ReceivedHash", "2"]],
      });
      // What the framer hands on of it.
      const bytes = bytesOf(text.slice(0, text.indexOf("\r\n\r\n") + 2));
      const verdict = parseMessage(bytes, 0, bytes.length, event);
      if (verdict === "tampered") return;
      assert(verdict === "security" || verdict === "doubled");
      assert.equal(event.address, "203.0.113.5");
      assert.equal(event.kind, "InvalidPassword");
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("fuzz: any lines of keys and values are a configuration or a list of problems", () => {
  const key = fc.constantFrom(
    ..."host port user pass loyalty chain trust database patience credit forget bantime".split(" "),
    ..."bantime_factor bantime_max ipv6_prefix backend verify metrics webhook x __proto__".split(
      " ",
    ),
  );
  const value = fc.oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.integer().map(String),
    fc.double().map(String),
    address,
    target,
    fc.constantFrom("off", "iptables", "ipset", "7d", "0", '"', "'x'", "127.0.0.1:1", "https://x/"),
  );
  const line = fc.tuple(key, fc.constantFrom("=", " = ", " ", "=="), value).map((parts) =>
    parts.join("")
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
      const { config, problems } = parseConfig(lines.join("\n"), "fuzz.cfg");
      assert.equal(config === undefined, problems.length > 0);
      for (const { line: number } of problems) assert(number >= 0);
    }),
    { numRuns: 3_000 },
  );
});
