/**
 * The points that a process writes of hosts, and the next one reads.
 *
 * @module
 */

import type { Belonging } from "./belonging.ts";
import type { Blocks } from "./blocks.ts";
import type { Host, Hosts } from "./hosts.ts";
import type { Points } from "./points.ts";
import type { RuleBook } from "./rules.ts";
import type { SlowCounts } from "./slow.ts";

/** What is read at once counts from one moment, which lies so long back at most. */
const BATCH_MAX = 100;

/** What is kept of a host. */
type KeptHost = Omit<Host, "burstAt" | "attempts">;

/** A host of which only the points are known. */
const UNKNOWN = { sessions: new Set(["unknown"]), accounts: new Map(), sessionsOf: new Map() };

/** What the daemon writes of a host, as far as it is compared. */
export interface Written {
  readonly host: string;
  readonly points: number;
  readonly soft: number;
  readonly proven: number;
  /** Wall times. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** How many passwords were wrong, and others. */
  readonly tally: readonly number[];
}

/** Hosts as they stood when the daemon wrote their points. */
export class KeptPoints {
  readonly #rules: RuleBook;
  readonly #belonging: Belonging;
  readonly #blocks: Blocks;
  readonly #kept = new Map<string, KeptHost>();

  /** Nothing is written yet. */
  constructor(rules: RuleBook, belonging: Belonging, blocks: Blocks) {
    this.#rules = rules;
    this.#belonging = belonging;
    this.#blocks = blocks;
  }

  /**
   * The daemon has written the points of hosts.
   *
   * @param known The hosts of which it knows.
   * @param put What it wrote.
   * @param gone Who has none any more.
   */
  keep(
    known: Hosts,
    put: readonly Written[],
    gone: readonly string[],
    now: number,
    wall: number,
  ): void {
    for (const address of gone) {
      const host = known.get(address);
      const { points = 0, lastAt = 0 } = host ?? {};
      // After a stall the daemon has not forgotten anybody yet, and keeps none of those.
      const isOld = now - lastAt > this.#rules.values.forget - BATCH_MAX;
      // What of a blocked host was under way may have been too much again, or not. One without
      // points is none in the file, but may still be waited for.
      if (host !== undefined && points > 0 && this.#blocks.has(address)) {
        if (isOld) known.forget(host);
        else known.drop(host);
      } else if (points > 0 && !isOld) {
        throw new Error(`the points of ${address} were taken for none`);
      }
      this.#kept.delete(address);
    }
    for (const { host: address, points, soft, proven, firstAt, lastAt: at, tally } of put) {
      const host = known.get(address);
      const heardAt = host === undefined ? 0 : wall - (now - host.lastAt);
      const isRight = host?.points === points && host.soft === soft && host.proven === proven &&
        Math.abs(heardAt - at) < BATCH_MAX;
      // The file holds whole milliseconds, of failures as of logins.
      const stored = { firstAt: Math.floor(firstAt), lastAt: Math.floor(at) };
      // Of a blocked host some may be under way; and of one that was deleted by hand and blocked
      // anew before the daemon looked, the model knows too little.
      if (!isRight && (host === undefined || this.#blocks.has(address))) {
        const [wrong = 0] = tally;
        const known = { address, points, soft, proven, wrong };
        this.#kept.set(address, { ...UNKNOWN, ...known, ...stored });
        continue;
      }
      if (!isRight) {
        throw new Error(
          `${address} was written with ${points} points (${soft} soft, ${proven} proven, ${at}), has ` +
            `${host?.points} (${host?.soft}, ${host?.proven}, ${heardAt})`,
        );
      }
      this.#rules.visit("points: written");
      this.#kept.set(address, keptOf(host, stored.firstAt, stored.lastAt));
    }
  }

  /**
   * A new process reads what is written: a login since then, and time, have made some void. Which
   * came first within one millisecond the file does not tell: then the login did away with all, so
   * that nobody who belongs there pays for what was forgiven.
   *
   * @param parts Who learns of it.
   * @param addresses Whose points stand in the file.
   * @param logins When hosts logged in last, wall times.
   */
  restore(
    parts: { readonly hosts: Hosts; readonly points: Points; readonly slow: SlowCounts },
    addresses: readonly string[],
    logins: ReadonlyMap<string, number>,
    now: number,
    wall: number,
  ): void {
    const found = addresses.map((address) => {
      const kept = this.#kept.get(address);
      if (kept === undefined) throw new Error(`points of ${address} that were not written`);
      return kept;
    }).sort((a, b) => a.lastAt - b.lastAt);
    for (const address of this.#kept.keys()) {
      if (!addresses.includes(address)) this.#kept.delete(address);
    }
    for (const kept of found) {
      const { address } = kept;
      const clockOf = (at: number) => now - Math.max(0, wall - at);
      const lastAt = clockOf(kept.lastAt);
      if (this.#belonging.isTrusted(address)) continue;
      if ((logins.get(address) ?? 0) >= kept.lastAt) {
        this.#rules.visit("points: void by a login");
        continue;
      }
      const again = keptOf(kept, clockOf(kept.firstAt), lastAt);
      if (now - lastAt > this.#rules.values.forget) {
        this.#rules.visit("points: forgotten over a restart");
        if (!this.#belonging.isStanding(address, lastAt)) {
          parts.slow.keepLate(this.#belonging.network(address), again);
        }
        continue;
      }
      // It was heard before the file could be read.
      if (parts.hosts.get(address) !== undefined) continue;
      this.#rules.visit("points: outlive a restart");
      const host = parts.hosts.put({ ...again, burstAt: undefined, attempts: [] });
      parts.points.restore(host);
    }
  }
}

function keptOf(host: KeptHost, firstAt: number, lastAt: number): KeptHost {
  const { address, points, soft, proven, wrong, sessions, accounts, sessionsOf } = host;
  return {
    address,
    points,
    soft,
    proven,
    wrong,
    firstAt,
    lastAt,
    sessions: new Set(sessions),
    accounts: new Map(accounts),
    sessionsOf: new Map([...sessionsOf].map(([account, some]) => [account, new Set(some)])),
  };
}
