/**
 * What visitors change: by the same doors as `ampere -d`, `ampere -a` and `trust`.
 *
 * @module
 */

import { parseTarget } from "../address/address.ts";
import { ExemptSet, protectedBy } from "../address/exempt.ts";
import { BlockDatabase, BlockDatabaseError } from "../blocks/database.ts";
import { removeTargets } from "../commands/blocks.ts";
import { trustedNow } from "../commands/trusted.ts";
import { type Clock, sleep } from "../clock.ts";
import type { Log } from "../log.ts";
import { describeDuration } from "../penalties/reason.ts";
import { statusOf } from "../telemetry/status.ts";
import { DONE, LENGTHS } from "./block_pages.ts";
import type { PageSource } from "./source.ts";

/** How long the database is waited for, in milliseconds. */
const BUSY_MS = 100;

/** How long it is waited until the daemon has taken a change over, in milliseconds. */
const TAKEN_OVER_MS = 2_000;

/** How often it is looked whether it has, in milliseconds. */
const LOOK_MS = 20;

/** What can be done. */
type ActionName = keyof typeof DONE;

/** Something that a visitor wants to have done. */
interface Action {
  readonly name: ActionName;
  /** Canonical address or network. */
  readonly target: string;
  /** How long, in seconds; for what has a length. */
  readonly length: number;
}

/**
 * Reads the form of an action.
 *
 * @param form Its fields.
 * @returns `undefined` if it is none that our pages send.
 */
export function readAction(form: URLSearchParams): Action | undefined {
  const name = form.get("action") ?? "";
  const target = parseTarget(form.get("target") ?? "");
  if (!Object.hasOwn(DONE, name) || target === undefined) return undefined;
  const length = form.get("length") ?? "";
  const needsLength = name === "block" || name === "trust";
  if (needsLength && !Object.hasOwn(LENGTHS, length)) return undefined;
  return { name: name as ActionName, target, length: needsLength ? LENGTHS[length]! : 0 };
}

/** What an action needs. */
interface ActionParts {
  readonly source: PageSource;
  readonly log: Pick<Log, "info" | "warn">;
  readonly clock: Clock;
  /** Who wants it. */
  readonly who: string;
}

/**
 * Does something, and writes into the log who wanted it.
 *
 * @param action What.
 * @param parts What it needs.
 * @returns Why it was not done; `undefined` if it was.
 */
export async function act(action: Action, parts: ActionParts): Promise<string | undefined> {
  const { log, who, source } = parts;
  const end = action.length === 0 ? "" : ` for ${describeDuration(action.length)}`;
  const what = `${WORDS[action.name]} ${action.target}${end}`;
  const problem = source.dryRun
    ? "this is a dry run, in which nothing is changed"
    : await perform(action, parts);
  if (problem === undefined) log.info(`status page: ${who} ${what}`);
  else log.warn(`status page: ${who} would have ${what}, but it was not done: ${problem}`);
  return problem;
}

const WORDS: Readonly<Record<ActionName, string>> = {
  release: "released",
  block: "blocked",
  trust: "trusted",
  distrust: "stopped trusting",
};

async function perform(action: Action, parts: ActionParts): Promise<string | undefined> {
  const { name, target, length } = action;
  const { source, who } = parts;
  const until = Date.now() + 1000 * length;
  try {
    switch (name) {
      case "release":
        return await release(target, parts);
      case "block":
        return await block(target, until, parts);
      case "trust":
        return source.trustFor(target, until, `by ${who} on the status page`);
      case "distrust":
        return source.trustFor(target, undefined, "");
    }
  } catch (error) {
    if (!(error instanceof BlockDatabaseError)) throw error;
    return `${error.message}. ${error.advice}`;
  }
}

async function release(target: string, { source, clock }: ActionParts) {
  const { list } = source;
  const removal = withDatabase(
    list.path,
    (database) =>
      removeTargets(database, [target], () => [...list.entries()].map(({ target }) => target)),
  );
  if (!removal.removed.has(target)) return "it is not blocked";
  await untilTaken(clock, () => list.get(target) === undefined);
  const [held] = removal.around;
  if (held === undefined) return undefined;
  return `it is released, but ${held[1]} around it is blocked too: release that`;
}

async function block(target: string, until: number, { source, clock }: ActionParts) {
  const { config, list, neverBlocked } = source;
  const status = statusOf(source, Date.now(), { blocks: 0, hosts: 0 });
  const { origins } = await trustedNow(config, status.trust);
  const whyNot = protectedBy(new ExemptSet(neverBlocked), origins)(target);
  if (whyNot !== undefined) return `${target} ${whyNot}`;
  const known = list.get(target);
  if (known !== undefined && (known.until ?? Infinity) >= until) {
    return "it is blocked already, for as long or longer";
  }
  withDatabase(list.path, (database) =>
    database.add([{
      target,
      since: Date.now(),
      until,
      // As ampere -a writes it: who asks why is told that a person did it.
      reason: "added by hand",
      service: "",
      transport: "",
      account: "",
    }]));
  await untilTaken(clock, () => {
    const taken = list.get(target);
    return taken !== undefined && (taken.until ?? Infinity) >= until;
  });
  return undefined;
}

function withDatabase<T>(path: string, use: (database: BlockDatabase) => T): T {
  using database = BlockDatabase.open(path, { busyTimeout: BUSY_MS, syncLater: true });
  return use(database);
}

/** The daemon looks a few times a second what others have changed. */
async function untilTaken(clock: Clock, isTaken: () => boolean): Promise<void> {
  const limit = clock.now() + TAKEN_OVER_MS;
  while (!isTaken() && clock.now() < limit) await sleep(clock, LOOK_MS);
}
