/**
 * `ampere -l`, `-a` and `-d`: lists what is blocked, and changes it by hand.
 *
 * @module
 */

import { contains, familyOf, networksAround, overlaps } from "../address/address.ts";
import { AddressSet } from "../address/address_set.ts";
import { exemptAddresses, ExemptSet, protectedBy } from "../address/exempt.ts";
import { literalPeers } from "../ami/dial.ts";
import { readBlockInput } from "../blocks/block_input.ts";
import { type ForceMark, formatBlock, formatBlockJson } from "../blocks/block_lines.ts";
import {
  type Block,
  BlockDatabase,
  BlockDatabaseError,
  hasEnded,
  type NewBlock,
} from "../blocks/database.ts";
import { boundedNew, mergeBlock } from "../blocks/block.ts";
import { originOf } from "../blocks/origin.ts";
import { OwedChanges } from "../blocks/owed_changes.ts";
import type { Config } from "../config/config.ts";
import { isNeighboursBlock, neighbourhoodsOf } from "../penalties/neighbours.ts";
import { IN_FORCE_WORDS } from "../firewall/judgement.ts";
import type { Status } from "../telemetry/status.ts";
import { owedChangesPath, StatusError } from "../telemetry/status_socket.ts";
import { formatDuration } from "../config/duration.ts";
import { escapeControls } from "../text/escape.ts";
import { counted } from "../text/table.ts";
import { askDaemon } from "./ask_daemon.ts";
import { doubtsAbout } from "./doubts.ts";
import { openPlaces } from "./opened_places.ts";
import { complain, EXIT, print } from "./output.ts";
import { tellStillRefused } from "./still_refused.ts";
import { trustedNow } from "./trusted.ts";

/** Largest input of -a and -d, in bytes: about a million lines of -l. */
const INPUT_BYTES_MAX = 128 * 1024 * 1024;

/** The list is printed in pieces of about so many characters, which is faster than in one. */
const OUTPUT_CHARACTERS = 65_536;

/** Most lines that are complained of one by one. */
const COMPLAINTS_MAX = 100;

/** Longest remark on blocks that are not in force, in characters. */
const REMARK_CHARACTERS_MAX = 900;

/** Most deleted targets of which the networks around them are looked up one by one. */
const LOOKED_UP_MAX = 100;
/** Longest name of a PBX that is repeated, in characters. */
const ORIGIN_CHARACTERS_MAX = 40;

/** Most hosts that are named for a line of -d which is a network around them. */
const RELATED_MAX = 10;

export async function listBlocks(config: Config, json: boolean): Promise<number> {
  let list: BlockDatabase;
  try {
    list = BlockDatabase.open(config.database, { readOnly: true });
  } catch (error) {
    if (!(error instanceof BlockDatabaseError) || error.fault !== "missing") throw error;
    complain(`There is no database at ${config.database} yet: nothing has been blocked.`);
    return EXIT.ok;
  }
  const now = Date.now();
  const all = list.all().filter((block) => !hasEnded(block, now));
  list.close();
  const { markOf, remarks, doubt } = await forceOf(config, all);
  let text = "";
  const add = (line: string) => {
    text += line + "\n";
    if (text.length < OUTPUT_CHARACTERS) return;
    print(text);
    text = "";
  };
  const format = json ? formatBlockJson : formatBlock;
  const places = await openPlaces(config);
  for (const note of places.notes) complain(`warning: ${note}`);
  // A comment for -a and -d, which take these lines.
  if (!json) { for (const remark of remarks) add(`# ${remark}`); }
  for (const block of all) {
    add(format(block, markOf(block.target), places.of(block.target)));
  }
  // Not among the lines: who takes them may not know comments.
  if (!json && doubt !== undefined && all.length > 0) {
    complain(`whether these blocks are in force is not known: ${doubt}`);
  }
  return print(text);
}

/** What the daemon, if it runs, knows of whether blocks are in force. */
async function forceOf(config: Config, blocks: readonly Block[]): Promise<{
  markOf: (target: string) => ForceMark | undefined;
  remarks: string[];
  /** Why nobody knows it. */
  doubt: string | undefined;
}> {
  const answer = await askDaemon(config);
  const status = answer instanceof StatusError ? undefined : answer;
  // A daemon that was not started again after an update does not tell it yet.
  const families = status?.firewall.inForce ?? [];
  const byFamily = new Map(families.map((one) => [one.family, one]));
  const waiting = new Set(families.flatMap((one) => one.inForce === null ? [] : one.waiting));
  const remarks = families.flatMap(({ family, inForce, message, advice }) => {
    if (inForce === null || inForce === "yes") return [];
    const count = blocks.filter(({ target }) => familyOf(target) === family).length;
    if (count === 0) return [];
    const fix = advice === "" ? "" : `. Fix: ${advice}`;
    return [
      `IPv${family}: ${counted(count, "block")} ${count === 1 ? "is" : "are"} ${
        IN_FORCE_WORDS[inForce]
      }: ${escapeControls(message + fix, REMARK_CHARACTERS_MAX)}`,
    ];
  });
  const markOf = (target: string) =>
    waiting.has(target) ? "no" : byFamily.get(familyOf(target))?.inForce ?? undefined;
  const doubt = answer instanceof StatusError
    ? [answer.message, answer.advice].filter((text) => text !== "").join(". ")
    : answer.dryRun
    ? "the daemon makes a dry run, and blocks nobody"
    : undefined;
  return { markOf, remarks, doubt };
}

/** What the daemon knows; `undefined` if none answers this user. */
async function statusOf(config: Config): Promise<Status | undefined> {
  const answer = await askDaemon(config);
  return answer instanceof StatusError ? undefined : answer;
}

/** A block with the line that asks for it. */
type AskedBlock = NewBlock & { readonly line: number };

/**
 * `ampere -a` and `ampere -d`.
 *
 * @param config Names the database, and who must not be blocked.
 * @param command Whether to add or to delete.
 * @param length How long blocks last whose line does not say it, in seconds; 0 and `undefined`: for
 *   ever.
 * @param isDry Whether to say only what would be added.
 * @returns The exit code: 1 when a line was wrong or refused.
 */
export async function changeBlocks(
  config: Config,
  command: "add" | "del",
  length?: number,
  isDry = false,
): Promise<number> {
  if (Deno.stdin.isTerminal()) {
    complain(
      `Not in a pipeline. Give the addresses on standard input: echo 203.0.113.5 | ampere --${command}`,
    );
    return EXIT.problem;
  }
  const now = Date.now();
  const until = length ? now + 1000 * length : undefined;
  const blocks: AskedBlock[] = [];
  let bad = 0;
  const refuse = (line: number, message: string) => {
    if (++bad <= COMPLAINTS_MAX) complain(`line ${line}: ${message}`);
  };
  for (const { line, input } of readBlockInput(await readInput(), { now, until })) {
    if (input.kind === "bad") refuse(line, input.message);
    if (input.kind !== "blocks") continue;
    for (const block of input.blocks) blocks.push({ ...block, line });
    for (const message of input.bad) refuse(line, message);
  }
  let idle = 0;
  if (command === "add") bad += await addBlocks(config, blocks, now, length, isDry);
  else {
    const owed = new OwedChanges(await owedChangesPath(config.database));
    const removal = removeBlocks(config, blocks, owed);
    idle = removal.idle;
    await tellStillRefused(config, removal.removed);
  }
  if (bad > COMPLAINTS_MAX) complain(`${bad - COMPLAINTS_MAX} more lines are wrong`);
  return bad + idle > 0 ? EXIT.problem : EXIT.ok;
}

/**
 * `ampere -d --origin NAME`: deletes all that another PBX has brought.
 *
 * @param config Names the database.
 * @param origin The name of that PBX.
 * @returns The exit code: 1 when there was nothing.
 */
export async function deleteOrigin(config: Config, origin: string): Promise<number> {
  const list = BlockDatabase.open(config.database);
  const brought = list.unsorted().filter(({ reason }) => originOf(reason) === origin);
  const removed = list.remove(brought.map(({ target }) => target));
  keepDeletions(config, list, removed);
  list.close();
  if (removed.length === 0) {
    complain(`no block is from ${escapeControls(origin, ORIGIN_CHARACTERS_MAX)} (ampere -l)`);
    return EXIT.problem;
  }
  const code = print(`${removed.length} deleted\n`);
  await tellStillRefused(config, removed);
  return code;
}

/** Adds what may be added, in one transaction; the number of lines that were refused. */
async function addBlocks(
  config: Config,
  blocks: readonly AskedBlock[],
  now: number,
  length: number | undefined,
  isDry: boolean,
): Promise<number> {
  const status = await statusOf(config);
  const whyNot = await protectedNow(config, status);
  let refused = 0;
  let ended = 0;
  const accepted = blocks.filter((block) => {
    const why = whyNot(block.target);
    if (why !== undefined && ++refused <= COMPLAINTS_MAX) {
      complain(`line ${block.line}: ${block.target} ${why}`);
    }
    if (why === undefined && hasEnded(block, now)) {
      ended++;
      return false;
    }
    return why === undefined;
  });
  const list = isDry ? openStored(config) : BlockDatabase.open(config.database);
  const added = isDry ? wouldAdd(list, accepted, now) : list!.add(accepted, now);
  const standing = list?.standing() ?? new Map();
  list?.close();
  warnAbout(config, accepted, standing, now, isDry);
  if (isDry) print(added.map((block) => `${formatBlock(block)}\n`).join(""));
  const there = accepted.length - added.length;
  const pending = status?.database.owed ?? 0;
  if (there > 0 && pending > 0) {
    complain(
      `warning: ${counted(pending, "change")} of the daemon ${pending === 1 ? "is" : "are"} not ` +
        "in the database yet, and may end or shorten what is blocked already. Say it again when " +
        "ampere --status says that the database is in order",
    );
  }
  const isForEver = length === undefined && config.bantime > 0 &&
    added.some(({ until }) => until === undefined);
  print(
    `${added.length} ${isDry ? "would be added" : "added"}` +
      (there > 0 ? `, ${there} blocked already` : "") +
      (ended > 0 ? `, ${ended} left out because their time is over` : "") +
      (isForEver
        ? `; what names no end is blocked for ever (--for ${
          formatDuration(config.bantime)
        } gives it one, as bantime does for Ampere's own blocks)`
        : "") +
      "\n",
  );
  return refused;
}

/** The list as it is stored, to look at; `undefined` if there is none yet. */
function openStored(config: Config): BlockDatabase | undefined {
  try {
    return BlockDatabase.open(config.database, { readOnly: true });
  } catch (error) {
    if (error instanceof BlockDatabaseError && error.fault === "missing") return undefined;
    throw error;
  }
}

/** What adding these would change, without changing it. */
function wouldAdd(
  list: BlockDatabase | undefined,
  blocks: readonly NewBlock[],
  now: number,
): Block[] {
  const changed = new Map<string, Block>();
  for (const fresh of blocks) {
    const known = changed.get(fresh.target) ?? list?.get(fresh.target);
    const { block, change } = mergeBlock(known, 0, boundedNew(fresh), now);
    if (change === "new") changed.set(block.target, block);
  }
  return [...changed.values()];
}

/** Says of what was added that people may not have meant it so. */
function warnAbout(
  config: Config,
  blocks: readonly AskedBlock[],
  standing: ReadonlyMap<string, number>,
  now: number,
  isDry: boolean,
): void {
  const since = now - 1000 * config.credit;
  const known = [...standing].filter(([, at]) => at >= since).map(([host]) => host);
  let warnings = 0;
  const doubtOf = doubtsAbout(known);
  for (const { line, target } of blocks) {
    const doubt = doubtOf(target);
    if (doubt === undefined || ++warnings > COMPLAINTS_MAX) continue;
    complain(
      `warning: line ${line}: ${target} ${doubt}. It ` +
        (isDry ? "would be blocked" : `is blocked; to take it back: echo ${target} | ampere -d`),
    );
  }
  if (warnings > COMPLAINTS_MAX) {
    complain(`warning: ${counted(warnings - COMPLAINTS_MAX, "more such line")}`);
  }
}

/**
 * Why a target must not be blocked: by what this process sees, and what the daemon, if it runs,
 * knows besides (the gateways, and the addresses of an AMI server that has a name).
 */
async function protectedNow(
  config: Config,
  status: Status | undefined,
): Promise<(target: string) => string | undefined> {
  const trusted = await trustedNow(config, status?.trust);
  for (const note of trusted.notes) complain(`warning: ${note}`);
  const seen = exemptAddresses(trusted.targets, literalPeers(config.host));
  // A daemon that was not started again after an update may not tell it yet.
  const known = (status?.neverBlocked ?? []).filter(({ cause }) => cause !== "trusted");
  return protectedBy(new ExemptSet([...seen.entries, ...known]), trusted.origins);
}

/** What became of targets that were to be removed. */
interface Removal {
  /** Those that were blocked, and are not any more. */
  readonly removed: ReadonlySet<string>;
  /** Networks that were blocked for hosts of which none is left, and are not any more. */
  readonly emptied: readonly string[];
  /** Those of the removed that a network around them blocks still, with that. */
  readonly around: readonly (readonly [target: string, network: string])[];
}

/**
 * Removes blocks, in one transaction, and what is blocked for nothing else.
 *
 * @param list The list.
 * @param targets Canonical targets.
 * @param all Gives the targets of all blocks, should they be needed; by default from the file.
 * @throws {BlockDatabaseError} If it could not be written.
 */
export function removeTargets(
  list: BlockDatabase,
  targets: readonly string[],
  all: () => readonly string[] = () => targetsOf(list),
): Removal {
  const removed = new Set(list.remove(targets));
  return {
    removed,
    emptied: removeEmptied(list, removed, all),
    around: heldStill(list, targets.filter((target) => removed.has(target))),
  };
}

/**
 * Removes what is there, in one transaction, and says what is not; what was removed, and the number
 * of lines that let nobody in.
 */
function removeBlocks(
  config: Config,
  blocks: readonly AskedBlock[],
  owed: OwedChanges,
): { readonly removed: string[]; readonly idle: number } {
  const list = BlockDatabase.open(config.database);
  const targets = blocks.map((block) => block.target);
  const { removed: stored, emptied, around: heldBy } = removeTargets(list, targets);
  // What a daemon that ended could not write must not come back with the next one.
  const removed = new Set([...stored, ...owed.forget(new Set(targets))]);
  const networkOf = new Map(heldBy);
  const around = blocks.flatMap((block): [AskedBlock, string][] => {
    const network = networkOf.get(block.target);
    return network === undefined ? [] : [[block, network]];
  });
  keepDeletions(config, list, [...removed]);
  const absent = blocks.filter((block) => !removed.has(block.target));
  const shown = absent.slice(0, COMPLAINTS_MAX);
  const related = relatedTargets(
    shown.map(({ target }) => target),
    shown.length > 0 ? targetsOf(list) : [],
  );
  list.close();
  for (const { line, target } of shown) {
    const others = related.get(target) ?? [];
    const names = others.slice(0, RELATED_MAX).join(", ");
    const more = others.length > RELATED_MAX ? ` and ${others.length - RELATED_MAX} more` : "";
    complain(
      `line ${line}: ${target} is not blocked` +
        (others.length === 0
          ? ""
          : others.length === 1
          ? `, but ${names} is: delete that`
          : `, but ${names}${more} are: delete those`),
    );
  }
  if (absent.length > COMPLAINTS_MAX) {
    complain(`${absent.length - COMPLAINTS_MAX} more were not blocked`);
  }
  for (const [{ line, target }, network] of around.slice(0, COMPLAINTS_MAX)) {
    complain(
      `line ${line}: ${target} is deleted, but ${network} around it is blocked too: ` +
        `echo ${network} | ampere -d`,
    );
  }
  if (around.length > COMPLAINTS_MAX) {
    complain(`${counted(around.length - COMPLAINTS_MAX, "more such line")}`);
  }
  print(
    `${removed.size} deleted` +
      (emptied.length > 0
        ? `, and ${emptied.slice(0, RELATED_MAX).join(", ")}${
          emptied.length > RELATED_MAX ? ` and ${emptied.length - RELATED_MAX} more` : ""
        }, blocked for hosts of which none is left`
        : "") +
      "\n",
  );
  return { removed: [...removed, ...emptied], idle: absent.length + around.length };
}

/** Other PBXs must hear of it also when no daemon runs here. */
function keepDeletions(config: Config, list: BlockDatabase, targets: readonly string[]): void {
  if (config.fleet === undefined || targets.length === 0) return;
  const now = Date.now();
  // A daemon that hears of it writes the fleet's time instead.
  list.deletions.save(targets.map((target) => [target, now, true]), now);
}

/** Removes the networks that were blocked for their hosts when none of these is blocked now. */
function removeEmptied(
  list: BlockDatabase,
  removed: ReadonlySet<string>,
  all: () => readonly string[],
): string[] {
  const networks = new Set<string>();
  for (const target of removed) {
    for (const [network] of neighbourhoodsOf(target)) networks.add(network);
  }
  const blocked = [...networks].filter((network) => {
    const block = list.get(network);
    return block !== undefined && isNeighboursBlock(block);
  });
  if (blocked.length === 0) return [];
  const within = new AddressSet(blocked);
  const others = all().filter((target) => !removed.has(target) && within.overlaps(target));
  return list.remove(
    blocked.filter((network) =>
      !others.some((other) => other !== network && contains(network, other.split("/")[0]!))
    ),
  );
}

/** Which deleted hosts are blocked all the same, as a network around them is. */
function heldStill(
  list: BlockDatabase,
  deleted: readonly string[],
): [target: string, network: string][] {
  if (deleted.length <= LOOKED_UP_MAX) {
    return deleted.flatMap((target): [string, string][] => {
      const network = networksAround(target).find((one) => list.get(one) !== undefined);
      return network === undefined ? [] : [[target, network]];
    });
  }
  const networks = targetsOf(list).filter((target) => target.includes("/"));
  if (networks.length === 0) return [];
  const any = new AddressSet(networks);
  return deleted.filter((target) => any.covers(target)).map((target) => [
    target,
    networks.find((network) => overlaps(network, target))!,
  ]);
}

/** What is blocked that contains one of some targets, or is in one of them; by target. */
function relatedTargets(
  targets: readonly string[],
  blocked: readonly string[],
): Map<string, string[]> {
  const any = new AddressSet(targets);
  const related = blocked.filter((candidate) => any.overlaps(candidate)).sort();
  return new Map(targets.map((target) => [
    target,
    related.filter((candidate) => overlaps(candidate, target)),
  ]));
}

/** All of standard input, as text. */
async function readInput(): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of Deno.stdin.readable) {
    bytes += chunk.length;
    if (bytes > INPUT_BYTES_MAX) {
      throw new Error(
        `the input is larger than ${
          INPUT_BYTES_MAX / 1024 / 1024
        } MB; give it in parts. Nothing was changed`,
      );
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** The targets of all blocks, in no order. */
function targetsOf(list: BlockDatabase): string[] {
  return list.entries().map(({ target }) => target);
}
