/**
 * APIBAN's batches: `{"ipaddress":["192.0.2.1",…],"ID":"1700000000"}`. The next batch is asked for
 * with the ID of the last; when there is none it is `{"ipaddress":["no new bans"],"ID":"none"}`.
 *
 * @module
 */

import { type EntryReader, FeedError } from "../entries.ts";
import { escapeText } from "../../text/escape.ts";

/** What APIBAN says for an address when there is none. */
const NO_MORE = "no new bans";

/** The ID of the last batch. */
const LAST = "none";

/** Most addresses of a batch: it has 250 at present. */
const BATCH_MAX = 10_000;

const ID = /^[0-9]{1,20}$/;

/** Longest text of APIBAN that is repeated, in characters. */
const SHOWN_MAX = 60;

/**
 * Reads a batch.
 *
 * @param text The whole answer.
 * @param entries Takes the addresses.
 * @param batch The number of the batch, which stands for a line in messages.
 * @returns The ID with which the next one is asked for; `undefined` when this was the last.
 * @throws {FeedError} When it is not such a batch.
 */
export function readBatch(text: string, entries: EntryReader, batch: number): string | undefined {
  const value = read(text);
  const { ipaddress, ID: id } = value;
  const isList = Array.isArray(ipaddress) && ipaddress.length <= BATCH_MAX &&
    ipaddress.every((one) => typeof one === "string");
  if (!isList || typeof id !== "string") {
    throw new FeedError(`batch ${batch} is not as APIBAN writes it`);
  }
  const addresses = ipaddress as string[];
  if (addresses.length === 1 && !/^[0-9a-fA-F.:]+$/.test(addresses[0]!)) {
    if (addresses[0] === NO_MORE && id === LAST) return undefined;
    const said = escapeText(addresses[0]!, SHOWN_MAX);
    throw new FeedError(
      `APIBAN says "${said}" (ID "${escapeText(id, SHOWN_MAX)}")`,
      "see that the key in key_file is right, and that no other program asks with it all the time",
    );
  }
  if (id !== LAST && !ID.test(id)) {
    throw new FeedError(`the ID of batch ${batch} is "${escapeText(id, SHOWN_MAX)}"`);
  }
  for (const address of addresses) entries.take(address, batch);
  return id === LAST ? undefined : id;
}

function read(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // It is told below.
  }
  throw new FeedError(`the answer is no JSON: "${escapeText(text.trim(), SHOWN_MAX)}"`);
}
