/**
 * What has happened since the last digest, counted in bounded memory.
 *
 * @module
 */

import { counted, formatCount } from "../../text/table.ts";
import type { Notice } from "../notice.ts";
import { blockLine, localTime, quotedAccount } from "./wording.ts";

/** Most blocks that are listed by themselves, the last ones. */
const BLOCKS_LISTED_MAX = 50;

/** Most accounts that are counted apart; in a flood of made-up names the rest counts together. */
const ACCOUNTS_COUNTED_MAX = 1_000;

/** Most countries that are counted apart; there are about 250 codes. */
const COUNTRIES_COUNTED_MAX = 300;

/** Most accounts and countries that are shown. */
const SHOWN_MAX = 10;

/** What else is counted, in words; that something is over is not worth a message. */
const OTHERS: ReadonlyMap<string, readonly [one: string, many: string]> = new Map([
  ["ami-lost", ["loss of Asterisk's events", "losses of Asterisk's events"]],
  ["firewall-lost", ["loss of the firewall", "losses of the firewall"]],
  ["firewall-flushed", ["change of the firewall by others", "changes of the firewall by others"]],
  ["account-guarded", ["account under guard", "accounts under guard"]],
  ["insider", ["host that fails on others' accounts", "hosts that fail on others' accounts"]],
  ["new-place", ["login from a new place", "logins from new places"]],
]);

/** A digest as programs read it. */
export interface ShownDigest {
  readonly since: string;
  readonly blocks: number;
  /** Those that ended, or were taken out by hand. */
  readonly released: number;
  /** Other things that happened, by the name of their notice. */
  readonly others: Readonly<Record<string, number>>;
  /** The accounts that most blocked hosts tried last, as strangers wrote them. */
  readonly accounts: readonly (readonly [account: string, blocks: number])[];
  /** Where most blocked hosts are. */
  readonly countries: readonly (readonly [country: string, blocks: number])[];
  /** The last blocks. */
  readonly last: readonly (Notice & { readonly event: "block" })[];
}

/** Counts what happens. */
export class Digest {
  #since = "";
  #blocks = 0;
  #released = 0;
  readonly #others = new Map<string, number>();
  readonly #accounts = new Map<string, number>();
  readonly #countries = new Map<string, number>();
  readonly #last: (Notice & { readonly event: "block" })[] = [];

  /** Whether nothing has happened that is worth a message. */
  get isEmpty(): boolean {
    return this.#blocks + this.#others.size === 0;
  }

  /**
   * Counts something.
   *
   * @param notice What happened.
   */
  add(notice: Notice): void {
    const isCounted = notice.event === "block" || notice.event === "unblock" ||
      OTHERS.has(notice.event);
    if (!isCounted) return;
    if (this.#since === "") this.#since = notice.time;
    if (notice.event === "unblock") this.#released++;
    else if (notice.event !== "block") count(this.#others, notice.event, Infinity);
    else {
      this.#blocks++;
      if (notice.account !== "") {
        count(this.#accounts, notice.account.slice(0, 200), ACCOUNTS_COUNTED_MAX);
      }
      const country = notice.place?.country ?? null;
      if (country !== null) count(this.#countries, country, COUNTRIES_COUNTED_MAX);
      this.#last.push(notice);
      if (this.#last.length > BLOCKS_LISTED_MAX) this.#last.shift();
    }
  }

  /** What has happened, of which this one then knows nothing more. */
  take(): ShownDigest {
    const taken: ShownDigest = {
      since: this.#since,
      blocks: this.#blocks,
      released: this.#released,
      others: Object.fromEntries(this.#others),
      accounts: most(this.#accounts),
      countries: most(this.#countries),
      last: this.#last.splice(0),
    };
    this.#since = "";
    this.#blocks = this.#released = 0;
    for (const map of [this.#others, this.#accounts, this.#countries]) map.clear();
    return taken;
  }
}

function count(counts: Map<string, number>, key: string, most: number): void {
  const known = counts.get(key);
  if (known !== undefined) counts.set(key, known + 1);
  else if (counts.size < most) counts.set(key, 1);
}

function most(counts: ReadonlyMap<string, number>): (readonly [string, number])[] {
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, SHOWN_MAX);
}

/**
 * A digest in words: counts first, then the blocks, so that what does not fit can be cut at the
 * end.
 *
 * @param digest What has happened.
 */
export function digestLines(digest: ShownDigest): string[] {
  const { blocks, released, others, accounts, countries, last } = digest;
  const lines = [
    `Since ${localTime(digest.since)}: ${counted(blocks, "new block")}, ${
      formatCount(released)
    } ended`,
  ];
  const rest = Object.entries(others).flatMap(([event, times]) => {
    const names = OTHERS.get(event);
    return names === undefined ? [] : [counted(times, ...names)];
  });
  if (rest.length > 0) lines.push(`Also: ${rest.join(", ")}`);
  if (accounts.length > 0) {
    const parts = accounts.map(([account, times]) => `${quotedAccount(account)} ${times}`);
    lines.push(`Accounts: ${parts.join(", ")}`);
  }
  if (countries.length > 0) {
    lines.push(`Countries: ${countries.map(([code, times]) => `${code} ${times}`).join(", ")}`);
  }
  if (last.length > 0) {
    lines.push(blocks > last.length ? `The last ${last.length} blocks:` : "Blocks:");
    // The newest first: they are most likely to fit.
    lines.push(...last.toReversed().map((block) => `- ${blockLine(block)}`));
    if (blocks > last.length) {
      lines.push(`and ${counted(blocks - last.length, "block")} before: ampere -l lists them all`);
    }
  }
  return lines;
}
