/**
 * How long an offender is blocked.
 *
 * @module
 */

import { isDoubt, type Offence } from "./offence.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/**
 * A host in good standing is blocked for this long, in milliseconds; when it is long ago that
 * somebody logged in from it, each further time twice as long. An office behind one address is out
 * with whoever guessed there: a phone repeats its request over UDP for 32 s (RFC 3261, section
 * 17.1.2.2, Timer F), and so does not even notice.
 */
export const STANDING_BAN_MS = 30_000;

/** The longest block of a host in good standing, in milliseconds. */
export const STANDING_BAN_MS_MAX = HOUR_MS;

/**
 * The same when its attempts may have been forged: anybody can send a packet over UDP in its name.
 */
export const STANDING_UNPROVEN_BAN_MS_MAX = 10 * MINUTE_MS;

/**
 * The longest block that rests on unanswered challenges, which test no password, in milliseconds.
 */
export const UNANSWERED_BAN_MS_MAX = 10 * MINUTE_MS;

/**
 * The first blocks in a row of a stranger who fails on a guarded account, in milliseconds. One
 * wrong password is no proof: it may be the phone of an office that nobody has logged in from yet.
 * The first is shorter than a phone repeats its request over UDP (32 s), so that the others of that
 * office come through behind it, and whoever logs in ends the row. Who fails each time that they
 * are back is out for an hour, and then twice as long each time.
 */
export const GUARD_BANS_MS = [25_000, 250_000, HOUR_MS] as const;

/** The longest such block, and the longest of a network for its hosts, in milliseconds. */
const GROWN_BAN_MS_MAX = 7 * DAY_MS;

/** The first block of a network for its hosts, in milliseconds; each further one is double. */
const NEIGHBOURS_BAN_MS = HOUR_MS;

/** The second block in a row that was in doubt is this many times as long as the first. */
const DOUBT_FACTOR = 10;

/** So many blocks in a row that were in doubt are short. */
const DOUBTS_MAX = 2;

/**
 * The first block for attempts that may have been forged where blocks are for ever, in
 * milliseconds. It doubles each time that the host comes back: who guesses has three attempts in an
 * hour, in two, in four; who was named by a forger is back by themselves.
 */
export const UNPROVEN_BAN_MS = HOUR_MS;

/** The longest such block, in milliseconds. */
export const UNPROVEN_BAN_MS_MAX = 7 * DAY_MS;

/**
 * A slow guesser's block that ends by itself grows by so many steps at a time: an hour, four, 16,
 * 64, a week. Who tries once in 25 hours does not even notice a block of a few hours.
 */
const SLOW_STEPS = 2;

/** Longest ban that is computed, in milliseconds: ten years. More is written as for ever. */
const BAN_MS_MAX = 10 * 365 * DAY_MS;

/** The ban times of the configuration, in seconds. */
interface BanTimes {
  /** The first ban; 0: for ever. */
  readonly bantime: number;
  /** Each further ban is this many times as long. */
  readonly bantimeFactor: number;
  /** No ban is longer; 0: no bound. */
  readonly bantimeMax: number;
  /** The first ban in doubt ({@linkcode isDoubt}); 0: as any other. */
  readonly doubt: number;
}

/** What the length of a ban depends on. */
export type BanGrounds = Pick<Offence, "grounds" | "row" | "proven">;

/**
 * How long a target is to be blocked. Nothing makes a block longer than the configuration says.
 *
 * @param times The configured ban times.
 * @param before How often the target has been blocked before; all blocks that were
 *   {@linkcode isShort} count as one.
 * @param offence What the offence rests on.
 * @returns Milliseconds, or `undefined` for ever.
 *
 * @example
 * ```ts
 * import { banTime } from "./ban_time.ts";
 *
 * const times = { bantime: 600, bantimeFactor: 2, bantimeMax: 0, doubt: 60 };
 * console.log(banTime(times, 1, { grounds: "attempts", row: 0, proven: true })); // 1200000
 * console.log(banTime(times, 0, { grounds: "single session", row: 0, proven: true })); // 60000
 * ```
 */
export function banTime(
  times: BanTimes,
  before: number,
  { grounds, row, proven }: BanGrounds,
): number | undefined {
  switch (grounds) {
    case "good standing":
    case "insider":
    case "shared network": {
      const most = proven ? STANDING_BAN_MS_MAX : STANDING_UNPROVEN_BAN_MS_MAX;
      const short = Math.min(STANDING_BAN_MS * 2 ** row, most);
      // What a stranger would get for so many blocks since the last login.
      const bounded = times.bantimeMax > 0 ? Math.min(short, times.bantimeMax * 1000) : short;
      return atMost(bounded, configured(times, row, proven));
    }
    case "guarded account": {
      const last = GUARD_BANS_MS.length - 1;
      const short = GUARD_BANS_MS[Math.min(row, last)]! * 2 ** Math.max(0, row - last);
      return atMost(Math.min(short, GROWN_BAN_MS_MAX), configured(times, row, proven));
    }
    case "unanswered":
      return atMost(UNANSWERED_BAN_MS_MAX, configured(times, before, proven));
    case "single session":
    case "two phones":
      if (times.doubt > 0 && row < DOUBTS_MAX) {
        return atMost(times.doubt * DOUBT_FACTOR ** row * 1000, configured(times, before, proven));
      }
      // The short blocks of this row don't make the next one longer.
      return configured(times, Math.max(0, before - (times.doubt > 0 ? 1 : 0)), proven);
    case "slow account":
      // It may be a phone: the block ends by itself, as if it were forged.
      return configured(times, times.bantime === 0 ? SLOW_STEPS * before : before, false);
    case "slow guesses": {
      const isDefault = times.bantime === 0 && !proven;
      return configured(times, isDefault ? SLOW_STEPS * before : before, proven);
    }
    case "attempts":
      return configured(times, before, proven);
  }
}

/**
 * How long a network is to be blocked for its hosts; the configuration may say that nothing is
 * blocked for so long.
 *
 * @param times The configured ban times.
 * @param before How often the network has been blocked before.
 * @returns Milliseconds.
 */
export function neighboursBanTime(times: BanTimes, before: number): number {
  const grown = Math.min(NEIGHBOURS_BAN_MS * 2 ** before, GROWN_BAN_MS_MAX);
  return atMost(grown, configured(times, before, true));
}

/**
 * Whether a block is short because nobody can know who was behind the address. It makes no later
 * block longer: a stranger could bring somebody else many of them.
 *
 * @param times The configured ban times.
 * @param offence What it rests on.
 */
export function isShort(
  { doubt }: Pick<BanTimes, "doubt">,
  { grounds, row }: Pick<Offence, "grounds" | "row">,
): boolean {
  if (isDoubt(grounds)) return doubt > 0 && row < DOUBTS_MAX;
  return grounds !== "attempts" && grounds !== "slow guesses" && grounds !== "slow account";
}

function configured(times: BanTimes, before: number, proven: boolean): number | undefined {
  if (times.bantime === 0) {
    return proven ? undefined : Math.min(UNPROVEN_BAN_MS * 2 ** before, UNPROVEN_BAN_MS_MAX);
  }
  // What a forger can bring about grows no longer than it would by default.
  const most = proven ? Infinity : Math.max(times.bantime * 1000, UNPROVEN_BAN_MS_MAX);
  const grown = Math.min(times.bantime * times.bantimeFactor ** before * 1000, most);
  const bounded = times.bantimeMax > 0 ? Math.min(grown, times.bantimeMax * 1000) : grown;
  return bounded > BAN_MS_MAX ? undefined : Math.round(bounded);
}

function atMost(short: number, ms: number | undefined): number {
  return ms === undefined ? short : Math.min(short, ms);
}
