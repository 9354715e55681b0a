/**
 * The parts of Ampere that another program can use: reading Asterisk's Manager Interface so that
 * nobody can forge it, the penalty table, the list of blocks, and the firewall that is kept equal
 * to it.
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

// Reading
export type { Family } from "./src/address/address.ts";
export { AddressSet } from "./src/address/address_set.ts";
export {
  EventReader,
  type EventReaderHandlers,
  type Tampered,
  type Withheld,
} from "./src/ami/event_reader.ts";
export {
  SecurityEvent,
  type SecurityEventKind,
  type Service,
  type Transport,
} from "./src/ami/event.ts";
export type { Verdict } from "./src/ami/parser.ts";

// Penalties
export { type Charge, PenaltyTable } from "./src/penalties/penalty_table.ts";
export type { PenaltyPolicy } from "./src/penalties/policy.ts";
export type { GuardChange, GuardedAccount, GuardState } from "./src/penalties/account_guard.ts";
export type {
  FailedAttempt,
  FailedAttemptKind,
  Grounds,
  KnownProxy,
  Offence,
  Tally,
} from "./src/penalties/offence.ts";
export type { HostInspection, KnownHost, Reckoning } from "./src/penalties/inspection.ts";
export type { HostKeeping, KeptHost } from "./src/penalties/kept_hosts.ts";
export type { Share } from "./src/penalties/failed_accounts.ts";
export type { HostStatus } from "./src/penalties/hosts.ts";
export type { HostKey } from "./src/penalties/host_key.ts";
export type { Insider, InsiderState } from "./src/penalties/insiders.ts";
export type { SlowMemory } from "./src/penalties/slow_judge.ts";
export type { SlowHost } from "./src/penalties/slow_guesses.ts";
export type { StrictHosts } from "./src/penalties/strict.ts";

// The list of blocks
export type { BlockList, ListChange } from "./src/blocks/block_list.ts";
export type { Block, NewBlock } from "./src/blocks/block.ts";
export type { Evidence, KeptAttempt } from "./src/blocks/evidence.ts";
export type { KeptAccount, StoredPoints } from "./src/blocks/kept_points.ts";
export type { SlowChange, SlowRow } from "./src/blocks/slow_rows.ts";
export type { CountRow } from "./src/blocks/kept_counts.ts";
export type { Habit, SeenPlaces } from "./src/blocks/kept_habits.ts";
export type { ComparisonTurns } from "./src/blocks/comparison.ts";
export type { OpeningOptions, SalvageReport, StartReport } from "./src/blocks/opening.ts";
export type { WriterOptions } from "./src/blocks/list_writer.ts";
export { WrittenBlockList, type WrittenOptions } from "./src/blocks/written_block_list.ts";
export { BlockDatabaseError, type DatabaseFault } from "./src/blocks/fault.ts";

// The firewall
export type { OwnInterface } from "./src/address/interfaces.ts";
export { Firewall, type FirewallLog, type FirewallOptions } from "./src/firewall/firewall.ts";
export type { Damage, FamilyStatus, FirewallStatus } from "./src/firewall/status.ts";
export type { Backend, Entry, Listing, ListOutcome, Outcome } from "./src/firewall/backend.ts";
export type { Deletion } from "./src/blocks/deletions.ts";
export type { Gap } from "./src/firewall/nftables/gap.ts";
export type { Failure, FailureKind } from "./src/firewall/failure.ts";
export type { Action } from "./src/config/config.ts";
export type { ChainOptions } from "./src/firewall/chain.ts";
export { IptablesBackend, type IptablesOptions } from "./src/firewall/iptables.ts";
export { IpsetBackend, type IpsetOptions } from "./src/firewall/ipset.ts";
export { Way, type WayOutcome, type WaySettings } from "./src/firewall/way.ts";
export type { Targets } from "./src/firewall/path.ts";
export type { ForceChange } from "./src/firewall/watch.ts";
export type { InForce, Judgement } from "./src/firewall/judgement.ts";
export type { AsteriskPlace } from "./src/firewall/asterisk_place.ts";
export type { CommandResult, Input, Program, Runner, RunOptions } from "./src/firewall/command.ts";
export type { Clock } from "./src/clock.ts";
