/**
 * How long the model blocks.
 *
 * @module
 */

import type { RuleBook } from "./rules.ts";
import { DAY, HOUR, MINUTE, SECOND } from "./units.ts";

/** Why somebody is blocked. */
export type Grounds =
  | "good standing"
  | "shared network"
  | "guarded account"
  | "insider"
  | "slow guesses"
  | "slow account"
  | "unanswered"
  | "single session"
  | "two phones"
  | "attempts";

/**
 * Says how long a block lasts.
 *
 * @param rules The rules.
 * @param grounds Why it is blocked.
 * @param row How many short blocks of the same row came before.
 * @param before How many blocks of any kind came before.
 * @param proven Whether its failures cannot have been forged.
 * @returns Milliseconds; `undefined`: for ever.
 */
export function banTime(
  rules: RuleBook,
  grounds: Grounds,
  row: number,
  before: number,
  proven: boolean,
): number | undefined {
  const { doubt, bantimeMax } = rules.values;
  const shortest = (some: number, ban: number | undefined) => Math.min(some, ban ?? Infinity);
  switch (grounds) {
    case "good standing":
    case "insider":
    case "shared network": {
      const short = 30 * SECOND * 2 ** row;
      const most = proven ? HOUR : 10 * MINUTE;
      const stranger = configured(rules, row, proven) ?? Infinity;
      const ban = Math.min(short, most, bantimeMax > 0 ? bantimeMax : Infinity, stranger);
      if (ban === short && row === 0) rules.visit("ban: good standing, 30 s");
      if (ban === short && row > 0) rules.visit("ban: good standing, doubled");
      if (ban === short && row >= 3) rules.visit("ban: good standing, doubled three times");
      // That it is an hour if proven takes eight blocks in a row: no world lasts so long, and
      // tests/penalties/ban_time_test.ts sees it.
      if (ban === most && ban < short) rules.visit("ban: good standing, at the longest");
      if (ban === stranger && ban < short) {
        rules.visit("ban: good standing, never longer than a stranger");
      }
      return ban;
    }
    case "guarded account": {
      const short = [25 * SECOND, 250 * SECOND][row] ?? Math.min(HOUR * 2 ** (row - 2), 7 * DAY);
      rules.visit(
        row === 0
          ? "ban: guard, 25 s"
          : row === 1
          ? "ban: guard, 250 s"
          : "ban: guard, an hour and more",
      );
      return shortest(short, configured(rules, row, proven));
    }
    case "unanswered": {
      const stranger = configured(rules, before, proven);
      const shorter = (stranger ?? Infinity) < 10 * MINUTE;
      rules.visit(
        shorter ? "ban: unanswered, shorter by configuration" : "ban: unanswered, 10 min",
      );
      return shortest(10 * MINUTE, stranger);
    }
    case "single session":
    case "two phones":
      if (doubt === 0) return configured(rules, before, proven);
      if (row === 0) {
        rules.visit("ban: doubt, first");
        return shortest(doubt, configured(rules, before, proven));
      }
      if (row === 1) {
        rules.visit("ban: doubt, ten times");
        return shortest(10 * doubt, configured(rules, before, proven));
      }
      rules.visit("ban: doubt, as configured from the third on");
      return configured(rules, Math.max(0, before - 1), proven);
    case "slow account":
    case "slow guesses": {
      const ends = grounds === "slow account" || !proven;
      rules.visit(`ban: ${grounds}`);
      return rules.values.bantime === 0 && ends
        ? Math.min(HOUR * 4 ** before, 7 * DAY)
        : configured(rules, before, !ends);
    }
    case "attempts":
      return configured(rules, before, proven);
  }
}

/**
 * Says how long a network is blocked for its hosts.
 *
 * @param rules The rules.
 * @param before How often it was before.
 */
export function networkBanTime(rules: RuleBook, before: number): number {
  return Math.min(HOUR * 2 ** before, 7 * DAY, configured(rules, before, true) ?? Infinity);
}

/** What the configuration says for a stranger. */
function configured(rules: RuleBook, before: number, proven: boolean): number | undefined {
  const { bantime, bantimeFactor, bantimeMax } = rules.values;
  if (bantime === 0 && proven) {
    rules.visit("ban: for ever");
    return undefined;
  }
  if (bantime === 0) {
    const ban = HOUR * 2 ** before;
    rules.visit(before === 0 ? "ban: unproven, an hour" : "ban: unproven, doubled");
    return Math.min(ban, 7 * DAY);
  }
  rules.visit("ban: configured");
  const most = proven ? Infinity : Math.max(bantime, 7 * DAY);
  const grown = Math.min(bantime * bantimeFactor ** before, most);
  if (grown > bantime) rules.visit("ban: grown");
  if (bantimeMax === 0 || grown <= bantimeMax) return grown;
  rules.visit("ban: bounded");
  return bantimeMax;
}
