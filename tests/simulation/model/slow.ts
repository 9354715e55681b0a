/**
 * What hosts without a login have failed before their points were forgotten.
 *
 * @module
 */

import type { SlowRow } from "../../../src/blocks/slow_rows.ts";
import type { RuleBook } from "./rules.ts";
import { DAY, SECOND } from "./units.ts";

/** What is remembered of a host. */
interface Slow {
  readonly count: number;
  readonly proven: boolean;
  /** Names; `undefined`: it is not known which. */
  readonly accounts: ReadonlySet<string> | "several" | undefined;
}

/** A host of which it is remembered. */
interface Failed {
  readonly wrong: number;
  readonly proven: number;
  readonly lastAt: number;
  readonly accounts: ReadonlyMap<string, number>;
}

/** The same, and since when nobody has failed. */
interface Remembered extends Slow {
  readonly last: number;
  readonly excused: boolean;
}

/** Remembers. */
export class SlowCounts {
  readonly #byHost = new Map<string, Remembered>();
  /** Of whom nothing is remembered any more. */
  readonly #forgiven = new Set<string>();
  readonly #rules: RuleBook;

  /** @param rules The rules. */
  constructor(rules: RuleBook) {
    this.#rules = rules;
  }

  /** A process begins. */
  begin(): void {
    this.#byHost.clear();
    this.#forgiven.clear();
  }

  /** It reads what the database holds, perhaps late. */
  restore(rows: readonly SlowRow[], now: number, wall: number): void {
    const clockOf = (at: number) => now + Math.min(7 * DAY, at - wall);
    for (const row of rows) {
      if (this.#byHost.has(row.host) || this.#forgiven.has(row.host)) continue;
      this.#byHost.set(row.host, {
        count: row.failures,
        last: clockOf(row.last),
        proven: row.kind === 1,
        excused: row.kind === 2,
        accounts: row.several ? "several" : undefined,
      });
    }
  }

  /** What is remembered of an address or network now. */
  of(name: string, now: number): Slow | undefined {
    const known = this.#byHost.get(name);
    if (known === undefined) return undefined;
    const count = this.#halved(known.count, now - known.last);
    if (count < known.count) this.#rules.visit("slow: halved");
    return count === 0 ? undefined : { ...known, count };
  }

  /** The points of a host are forgotten. */
  keep(name: string, host: Failed): void {
    if (host.wrong === 0) return;
    const known = this.#byHost.get(name);
    const last = Math.max(host.lastAt, known?.last ?? -Infinity);
    if (known?.excused) {
      this.#byHost.set(name, { ...known, last });
      return;
    }
    const sum = together(this.of(name, host.lastAt), host);
    this.#rules.visit("slow: remembered");
    this.#byHost.set(name, { ...sum, last, excused: false });
  }

  /** The points of a host would be forgotten by now, had a process looked. */
  keepLate(name: string, host: Failed): void {
    const known = this.#byHost.get(name);
    if (known === undefined || known.last <= host.lastAt - SECOND) this.keep(name, host);
  }

  /** A host is blocked: with the next failure it is again, for a week. */
  blocked(name: string, sum: Slow, now: number): void {
    const count = 3 * this.#rules.values.loyalty - 1;
    this.#byHost.set(name, { ...sum, count, last: now + 7 * DAY, excused: false });
  }

  /** Somebody logs in, or deletes the block. */
  forgive(name: string): void {
    if (!this.#byHost.delete(name)) return;
    this.#forgiven.add(name);
    this.#rules.visit("slow: forgiven");
  }

  /** Somebody deletes the block of a network. */
  forgiveIf(isInside: (name: string) => boolean): void {
    for (const name of [...this.#byHost.keys()]) if (isInside(name)) this.forgive(name);
  }

  #halved(count: number, quiet: number): number {
    const { forget } = this.#rules.values;
    let left = count;
    for (let until = 2 * forget; until <= quiet && left > 0; until += forget) {
      left = Math.floor(left / 2);
    }
    return left;
  }
}

/** What a host has failed in all. */
export function together(past: Slow | undefined, host: Failed): Slow {
  const [[name, points] = ["", 0]] = host.accounts;
  const own = host.accounts.size === 1 && points > 0 ? name : undefined;
  const accounts = past?.accounts === "several" || own === undefined
    ? "several"
    : new Set([...past?.accounts ?? [], own]);
  return {
    count: (past?.count ?? 0) + host.wrong,
    proven: (past?.proven ?? true) && host.proven >= 5 * host.wrong,
    accounts: accounts !== "several" && accounts.size > 1 ? "several" : accounts,
  };
}
