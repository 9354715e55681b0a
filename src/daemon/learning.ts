/**
 * The first hour with a new list: who belongs here is not known yet.
 *
 * @module
 */

import { isLoopback } from "../address/address.ts";
import type { AmiClient } from "../ami/client.ts";
import { registeredAddresses } from "../ami/contacts.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { PenaltyTable } from "../penalties/penalty_table.ts";
import { counted } from "../text/table.ts";
import { formatLocalTime } from "../text/time.ts";

/** What {@linkcode Learning} is made of. */
interface LearningParts {
  readonly table: PenaltyTable;
  readonly log: Log;
  readonly clock: Clock;
  /** When the list was made, in milliseconds since 1970; `undefined` if that is long ago. */
  readonly bornAt: number | undefined;
  /** How long is learned, in milliseconds. */
  readonly lengthMs: number;
  /** Called when others are in good standing who have not logged in. */
  readonly onKnown: () => void;
}

/** What is asked of the client. */
type AskedClient = Pick<AmiClient, "list" | "query" | "connectedSince">;

/** Lets phones become known to a new list. */
export class Learning {
  readonly #parts: LearningParts;
  /** It was asked who is registered. */
  #hasAsked = false;

  /**
   * Nothing is learned before {@linkcode Learning.begin}.
   *
   * @param parts What it is made of.
   */
  constructor(parts: LearningParts) {
    this.#parts = parts;
  }

  /**
   * Nobody is known to a new list: phones that registered before may ping, which costs others
   * something.
   *
   * @param wall Time of day, in milliseconds since 1970.
   */
  begin(wall: number): void {
    const { table, log, clock, bornAt, lengthMs } = this.#parts;
    if (bornAt === undefined) return;
    // A clock that was set back would make the rest longer than all of it.
    const left = Math.min(lengthMs, bornAt + lengthMs - wall);
    if (left <= 0) return;
    table.learnUntil(clock.now() + left);
    log.info(
      `the list of blocks is new: until ${
        formatLocalTime(wall + left)
      } unanswered challenges cost nothing, so that phones that ` +
        "registered before now become known; wrong passwords count from the first moment",
    );
  }

  /**
   * Asks Asterisk who is registered, once, for as long as it is learned.
   *
   * @param client Is logged in.
   * @param peers Canonical addresses of the AMI server.
   */
  async ask(client: AskedClient, peers: readonly string[]): Promise<void> {
    const { table, log, clock, onKnown } = this.#parts;
    if (this.#hasAsked || !table.isLearning(clock.now())) return;
    const { addresses, unknown } = await registeredAddresses(
      {
        list: (action, headers) => client.list(action, headers),
        query: (action, headers) => client.query(action, headers),
      },
      peers.length > 0 && peers.every(isLoopback),
    );
    // Lost meanwhile: it is asked again after the next login.
    if (client.connectedSince === undefined) return;
    this.#hasAsked = true;
    if (addresses.size > 0 || unknown.length === 0) {
      const known = table.assumeStanding(addresses, clock.now());
      if (known > 0) onKnown();
      log.info(
        `Asterisk names ${
          counted(addresses.size, "address", "addresses")
        } of registered phones; in good standing from now on: ${known}`,
      );
    }
    if (unknown.length > 0) {
      log.info(
        `who is registered is not known for certain: ${
          unknown.join("; ")
        }. Other phones become known when they register again`,
      );
    }
  }
}
