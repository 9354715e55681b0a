/**
 * A process of its own for the tests of the database: it does what the lines on its standard input
 * say and answers each with one line of JSON.
 *
 *     open PATH            the daemon's list           { blocks, salvaged }
 *                                                      or { error, advice, fault }
 *     later PATH           the same, and changes reach the disk later
 *     rest                 reads the rest              { size, bare }: blocks, and those without
 *                                                      their details
 *     add TARGET...        at clock value `clock`      durable?
 *     remove TARGET...                                 durable?
 *     clock MS             sets the clock
 *     retry                                            durable?
 *     state                                            { size, pending, trouble,
 *                                                        troubles: [message], mends: [message] }
 *     targets                                          [target]
 *     reload                                           the change
 *     close                                            what is still pending
 *     stored PATH          targets in a database, by a connection of its own
 *     list PATH            the same, read only
 *     hold PATH            begins a transaction and keeps it; `release` ends it
 *     lock PATH            takes the daemon's lock
 *     fill PATH            fills a file until the disk is full
 *     sh COMMAND           runs a shell command        its exit code
 *     burst PATH           adds blocks one by one for ever; a line with the target after each
 */

import { DatabaseSync } from "node:sqlite";
import { BlockDatabase, BlockDatabaseError } from "../../src/blocks/database.ts";
import { lockDatabase } from "../../src/blocks/lock.ts";
import { BARE_REASON } from "../../src/blocks/recovery/salvage.ts";
import { WrittenBlockList, type WrittenOptions } from "../../src/blocks/written_block_list.ts";

let list: WrittenBlockList | undefined;
let holder: DatabaseSync | undefined;
let clock = 1_700_000_000_000;
const troubles: string[] = [];
const mends: string[] = [];
const held: Disposable[] = [];

function opened(): WrittenBlockList {
  if (list === undefined) throw new Error("open first");
  return list;
}

function block(target: string) {
  return {
    target,
    since: clock,
    until: undefined,
    reason: "test",
    service: "PJSIP",
    transport: "UDP",
    account: "100",
  };
}

function open(path: string, options: WrittenOptions = {}) {
  list = WrittenBlockList.open(path, {
    ...options,
    now: clock,
    onTrouble: (message) => troubles.push(message),
    onRecovered: (message) => mends.push(message),
  });
  return list.start;
}

const verbs: Record<string, (rest: string, words: string[]) => unknown> = {
  open: (path) => open(path),
  later: (path) => open(path, { syncLater: true }),
  rest() {
    opened().readRest(clock);
    const bare = opened().all().filter(({ reason }) => reason === BARE_REASON);
    return { size: opened().size, bare: bare.length };
  },
  add: (_, targets) => opened().add(targets.map(block), clock),
  remove: (_, targets) => opened().remove(targets, clock),
  clock: (ms) => clock = Number(ms),
  retry: () => opened().retry(clock),
  state: () => ({
    size: opened().size,
    pending: opened().pending,
    trouble: opened().trouble ?? null,
    troubles,
    mends,
  }),
  targets: () => Array.from(opened().entries(), ({ target }) => target),
  reload: () => opened().reload(clock),
  close: () => opened().close(clock),
  stored(path) {
    using stored = BlockDatabase.open(path);
    return stored.entries().map(({ target }) => target);
  },
  list(path) {
    using stored = BlockDatabase.open(path, { readOnly: true });
    return { targets: stored.entries().map(({ target }) => target), isSnapshot: stored.isSnapshot };
  },
  hold(path) {
    holder = new DatabaseSync(path, { timeout: 5_000 });
    holder.exec("BEGIN IMMEDIATE");
    return true;
  },
  release() {
    holder?.exec("ROLLBACK");
    holder?.close();
    return true;
  },
  lock(path) {
    held.push(lockDatabase(path));
    return true;
  },
  fill(path) {
    const bytes = new Uint8Array(1024);
    using file = Deno.openSync(path, { create: true, append: true });
    try {
      for (;;) file.writeSync(bytes);
    } catch (error) {
      return String(error);
    }
  },
  sh: (command) => new Deno.Command("sh", { args: ["-c", command] }).outputSync().code,
  burst(path) {
    using burst = BlockDatabase.open(path);
    for (let count = 0;; count++) {
      const target = `20.${count >> 16 & 255}.${count >> 8 & 255}.${count & 255}`;
      burst.add([block(target)], clock);
      print(target);
    }
  },
};

function print(answer: unknown): void {
  const bytes = new TextEncoder().encode(JSON.stringify(answer ?? null) + "\n");
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function answer(line: string): unknown {
  const [verb = "", ...words] = line.split(" ");
  try {
    const run = verbs[verb];
    if (run === undefined) throw new Error(`no verb ${verb}`);
    return run(words.join(" "), words);
  } catch (error) {
    if (!(error instanceof BlockDatabaseError)) return { error: String(error) };
    return { error: error.message, advice: error.advice, fault: error.fault };
  }
}

let rest = "";
for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) print(answer(line));
}
