/**
 * One daemon for one chain: two with different databases would take each other's blocks out, for
 * ever.
 *
 * @module
 */

import { BlockDatabaseError } from "../blocks/fault.ts";
import { type DatabaseLock, lockDatabase } from "../blocks/lock.ts";
import { tableName } from "../firewall/nftables/open.ts";
import { makeRunFolder } from "../telemetry/status_socket.ts";

/** Another daemon fills the chain; the message says which, and what to do. */
export class ChainTakenError extends Error {
  /** Name of the error. */
  override readonly name = "ChainTakenError";
}

/**
 * Takes the right to be the only daemon of a chain, in the same way as that to be the only one of a
 * database. The kernel gives it back when the process ends, however it ends.
 *
 * The lock is a file and not a socket without one: such a socket anybody on the machine could take
 * first. Machines that share the folder but not the firewall (containers) need chains of different
 * names.
 *
 * @param chain Name of the chain.
 * @param folder Where the lock is, see `RUN_FOLDER`.
 * @param doubt Told when it can't be known whether another daemon fills the chain.
 * @returns The lock; release it at the end.
 * @throws {ChainTakenError} When another process holds it.
 */
export function lockChain(
  chain: string,
  folder: string,
  doubt: (message: string) => void,
): DatabaseLock | undefined {
  try {
    makeRunFolder(folder);
    // With nftables two chains can have the same table.
    return lockDatabase(
      `${folder}/chain-${tableName(chain)}`,
      (pid, _path, lockPath) =>
        new ChainTakenError(
          `another Ampere${
            pid === undefined ? "" : ` (process ${pid})`
          } fills the chain ${chain} and holds ${lockPath}\n` +
            "stop that one first, or give this one a `chain` of its own: two would take each other's blocks out",
        ),
    );
  } catch (error) {
    if (error instanceof ChainTakenError) throw error;
    if (!(error instanceof BlockDatabaseError) && !(error instanceof Error && "code" in error)) {
      throw error;
    }
    doubt(
      `whether another Ampere fills the chain ${chain} is not known: there can be no lock in ${folder} (${
        error.message.split("\n")[0]
      })`,
    );
    return undefined;
  }
}
