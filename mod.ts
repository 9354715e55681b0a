/**
 * The parts of Ampere that another program can use: reading Asterisk's Manager Interface so that nobody can forge it, the
 * penalty table, the block list, and the firewall that keeps a firewall equal to it.
 *
 * @example Print who guesses passwords, from a recorded AMI stream
 * ```ts
 * import { AddressSet, EventReader, PenaltyTable } from "./mod.ts";
 *
 * const table = new PenaltyTable({
 *   loyalty: 3,
 *   patienceMs: 5_000,
 *   creditMs: 7 * 86_400_000,
 *   forgetMs: 86_400_000,
 *   ipv6Prefix: 128,
 *   exempt: new AddressSet(["192.0.2.0/24"]),
 * });
 * const reader = new EventReader({
 *   banner: () => {},
 *   response: () => {},
 *   tampered: (what) => console.warn(what),
 *   event: (event, verdict) => table.record(event, performance.now(), verdict === "security"),
 * });
 * reader.push(new TextEncoder().encode("Asterisk Call Manager/7.0.3\r\n"));
 * for (const { target, tally } of table.takeOffences()) console.log(target, tally);
 * ```
 *
 * @module
 */

export * from "./src/address/address.ts";
export * from "./src/clock.ts";
export { Framer, type FramerHandlers, MESSAGE_BYTES_MAX, type Skipped } from "./src/ami/framer.ts";
export { parseMessage, type Verdict } from "./src/ami/parser.ts";
export {
  SecurityEvent,
  type SecurityEventKind,
  type Service,
  type Transport,
} from "./src/ami/event.ts";
export {
  EventReader,
  type EventReaderHandlers,
  type Held,
  type Tampered,
} from "./src/ami/event_reader.ts";
export {
  AmiClient,
  type AmiClientHandlers,
  type AmiClientOptions,
  type Connection,
  type ListEntry,
  type Login,
  LoginRefusedError,
  type Opening,
} from "./src/ami/client.ts";
export { type Charge, PenaltyTable } from "./src/penalties/penalty_table.ts";
export {
  type Grounds,
  type KnownProxy,
  type Offence,
  type Tally,
} from "./src/penalties/offence.ts";
export { type HostStatus } from "./src/penalties/hosts.ts";
export { type PenaltyPolicy } from "./src/penalties/policy.ts";
export { type BanGrounds, banTime, type BanTimes } from "./src/penalties/ban_time.ts";
export {
  type Block,
  BlockDatabase,
  BlockDatabaseError,
  type Changes,
  type DatabaseFault,
  hasEnded,
  type NewBlock,
  type OpenOptions,
  type PastBlock,
  type RowPage,
} from "./src/blocks/database.ts";
export type { BlockList, ListChange } from "./src/blocks/block_list.ts";
export type { ComparisonTurns } from "./src/blocks/comparison.ts";
export type { OpeningOptions, SalvageReport, StartReport } from "./src/blocks/opening.ts";
export type { WriterOptions } from "./src/blocks/list_writer.ts";
export { WrittenBlockList, type WrittenOptions } from "./src/blocks/written_block_list.ts";
export {
  type Backend,
  type Entry,
  type Failure,
  type FailureKind,
  isLasting,
  isSafeTarget,
  type Listing,
  type ListOutcome,
  type Outcome,
} from "./src/firewall/backend.ts";
export {
  type CommandResult,
  type Input,
  type Program,
  PROGRAMS,
  run,
  type Runner,
  type RunOptions,
} from "./src/firewall/command.ts";
export { IptablesBackend, type IptablesOptions } from "./src/firewall/iptables.ts";
export { IpsetBackend, type IpsetOptions } from "./src/firewall/ipset.ts";
export {
  type FamilyStatus,
  Firewall,
  type FirewallLog,
  type FirewallOptions,
  type FirewallStatus,
} from "./src/firewall/firewall.ts";
