/**
 * Lists of attackers, fuzzed: what a server may send in place of one.
 *
 * @module
 */

import assert from "node:assert/strict";
import { expectNetwork, familyOf, readAddress } from "../../src/address/address.ts";
import { EntryReader, FeedError, isInner } from "../../src/feeds/entries.ts";
import { readBatch } from "../../src/feeds/formats/apiban.ts";
import { JsonLinesReader } from "../../src/feeds/formats/json_lines.ts";
import { TextReader } from "../../src/feeds/formats/text.ts";
import { BodyReader } from "../../src/feeds/http_body.ts";
import { isSafeTarget } from "../../src/firewall/backend.ts";
import type { Dice } from "../simulation/dice.ts";
import { mutate } from "./mutate.ts";

/** Lines of lists. */
const LINES: readonly string[] = [
  "# a list\n",
  "203.0.113.9\n",
  "198.51.100.0/24 ; since May\n",
  "203.0.113.64-203.0.113.90\n",
  "2001:db8:1::/48\r\n",
  "::ffff:192.0.2.1/128\n",
  "10.0.0.0/8\n",
  '{"cidr":"192.0.2.0/25","sblid":"SBL1"}\n',
  '{"ip":"2001:db8::5"}\n',
  '{"type":"metadata","records":2}\n',
  '{"ipaddress":["203.0.113.1","2001:db8::1"],"ID":"17"}\n',
  '{"ipaddress":["no new bans"],"ID":"none"}\n',
];

/** Bodies by HTTP. */
const BODIES: readonly string[] = [
  "5;x=y\r\n203.0\r\n",
  "6\r\n.113.9\r\n",
  "0\r\n\r\n",
  "ffffffff\r\n",
  "203.0.113.9\n",
];

/** No character of a stranger moves a cursor, or ends a line. */
// deno-lint-ignore no-control-regex -- that is what must not be there
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;

/**
 * Reads a list that is made of known lines.
 *
 * @param dice Decides what it is.
 */
export async function tryList(dice: Dice): Promise<void> {
  const text = mutate(LINES, dice);
  for (const kind of ["text", "json-lines", "apiban"] as const) {
    const entries = new EntryReader(["203.0.113.77"]);
    try {
      if (kind === "apiban") readBatch(text, entries, 1);
      else {
        const reader = new (kind === "text" ? TextReader : JsonLinesReader)(entries);
        text.split("\n").forEach((line, i) => reader.take(line, i + 1));
        reader.finish();
      }
      const { set, told } = await entries.finish();
      for (const line of told) assert.doesNotMatch(line, CONTROL);
      for (const target of set.targets()) {
        assert(isSafeTarget(target, familyOf(target)), target);
        const network = readAddress(target) ?? expectNetwork(target);
        assert(!isInner(network) && network.prefix >= (network.family === 4 ? 8 : 19), target);
        assert.equal(set.find(network), target);
      }
    } catch (error) {
      if (!(error instanceof FeedError)) throw error;
      assert.doesNotMatch(error.message, CONTROL);
    }
  }
  await tryBody(dice);
}

/** Reads a body in pieces, as they may arrive. */
async function tryBody(dice: Dice): Promise<void> {
  const bytes = new TextEncoder().encode(mutate(BODIES, dice));
  let at = 0;
  let length = 0;
  const headers = new Map<string, string>([
    dice.pick([
      ["transfer-encoding", "chunked"],
      ["content-length", String(dice.int(0, 40))],
      ["x", "y"],
    ]) as [string, string],
  ]);
  const body = new BodyReader({
    headers,
    rest: bytes.subarray(0, at = dice.int(0, 5)),
    read: () => {
      const piece = bytes.subarray(at, at += dice.int(1, 9));
      return Promise.resolve(piece.length === 0 ? null : piece);
    },
    most: 60,
    isEmpty: false,
  });
  try {
    for await (const piece of body) length += piece.length;
  } catch (error) {
    if (!(error instanceof FeedError)) throw error;
    assert.doesNotMatch(error.message, CONTROL);
  }
  assert(length <= 60 && length <= bytes.length);
}
