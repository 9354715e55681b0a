/**
 * The engine: Redis 6.2 or Valkey 7.2, or later. One connection reads changes and waits for them,
 * the other does all else.
 *
 * Under the prefix: `blocks` (hash, `NODE TARGET` → the record), `ends` (sorted set of the same
 * names by their ends), `gone` (sorted set, target → when it was deleted), `changes` (the stream),
 * `nodes` (hash), `epoch` (a random name of these data).
 *
 * @module
 */

import { DELETION_AGE_MAX_MS } from "../blocks/deletions.ts";
import {
  type Beat,
  type Engine,
  EngineError,
  type NodeInfo,
  type ReadChanges,
  type SharedBlock,
  type SharedChange,
} from "./engine.ts";
import {
  entryOf,
  infoText,
  isOthers,
  readDeletion,
  readEntry,
  readInfo,
  readRecord,
  recordName,
  valueOf,
} from "./fields.ts";
import {
  ANSWER_MS,
  type EngineAddress,
  EngineConnection,
  expect,
  type Reply,
  ReplyError,
} from "./resp.ts";

/** Changes that the stream keeps, about. */
const STREAM_LENGTH = 100_000;

/** Records that are read at a time. */
const SCAN_COUNT = 1_000;

/** Changes that are read at a time. */
const READ_COUNT = 1_000;

/** Ended records that are taken away at a time. */
const TIDY_COUNT = 1_000;

/** How long a record stays after its end, and a node after it was last heard, in milliseconds. */
const STAYS_MS = 86_400_000;

const END_OF_SCAN = "0";

/** Most facts of a state, and most parts in which it is read: an engine may answer for ever. */
const STATE_MAX = 1_200_000;
const PARTS_MAX = 20_000;

/** Most nodes that are told of, those that were heard of last. */
const NODES_MAX = 256;

/** Longest name of the engine's data, in characters. */
const EPOCH_MAX = 64;

/** Of a stream without entries. */
const NO_ID = "0-0";

/** An id of the stream: milliseconds since 1970, and a number. */
const ID = /^\d{1,15}-\d{1,15}$/;

/** A real engine. */
export class RedisEngine implements Engine {
  readonly #address: EngineAddress;
  readonly #prefix: string;
  #work: Promise<EngineConnection> | undefined;
  #reading: Promise<EngineConnection> | undefined;
  /** Whether it is known that nothing is missing behind the id that is read from. */
  #isChecked = false;
  /**
   * The newest change that was seen there, or written: a server that has it has all before it. One
   * that took another's place may lack what that one took last.
   */
  #newestSeen = NO_ID;
  #isClosed = false;
  /** A random name of this process, and when it has told of itself last, by the engine's clock. */
  readonly #process = crypto.randomUUID().slice(0, 8);
  #toldAt = Infinity;
  readonly #ending = new AbortController();

  /**
   * Connects when it is first asked.
   *
   * @param address Where it is.
   * @param prefix What its keys begin with.
   */
  constructor(address: EngineAddress, prefix: string) {
    this.#address = address;
    this.#prefix = prefix;
  }

  /** See {@linkcode Engine.readState}. */
  async readState(take: (part: readonly SharedChange[]) => void): Promise<void> {
    for (
      const [command, key, read] of [
        ["ZSCAN", "gone", readDeletion],
        ["HSCAN", "blocks", readBlock],
      ] as const
    ) {
      let cursor = END_OF_SCAN;
      let facts = 0;
      let parts = 0;
      do {
        const count = String(SCAN_COUNT);
        const [reply] = await this.#ask([[command, this.#key(key), cursor, "COUNT", count]]);
        const [next, items] = listIn(expect(reply));
        if (typeof next !== "string") throw otherForm();
        const part = pairsIn(items).flatMap(([name, value]) => read(name, value) ?? []);
        facts += part.length;
        if (facts > STATE_MAX || ++parts > PARTS_MAX) {
          throw new EngineError("its answer is too long", "see what else writes to its keys");
        }
        take(part);
        cursor = next;
      } while (cursor !== END_OF_SCAN);
    }
  }

  /** See {@linkcode Engine.last}. */
  async last(): Promise<string> {
    const [reply] = await this.#ask([this.#newest()]);
    return idIn(expect(reply));
  }

  /** See {@linkcode Engine.write}. */
  async write(changes: readonly SharedChange[]): Promise<void> {
    const commands: string[][] = [["MULTI"]];
    // One command for all of a kind: each would be answered twice.
    const blocks: string[] = [];
    const ends: string[] = [];
    const gone: string[] = [];
    for (const change of changes) {
      if (change.kind === "release") gone.push(String(change.at), change.target);
      if (change.kind !== "block") continue;
      const { block, restores } = change;
      const name = recordName(block.node, block.target);
      const end = block.end === Infinity ? "+inf" : String(block.end);
      if (restores) {
        commands.push(["HSETNX", this.#key("blocks"), name, valueOf(block)]);
        commands.push(["ZADD", this.#key("ends"), "NX", end, name]);
      } else {
        blocks.push(name, valueOf(block));
        ends.push(end, name);
      }
    }
    if (blocks.length > 0) {
      commands.push(["HSET", this.#key("blocks"), ...blocks], ["ZADD", this.#key("ends"), ...ends]);
    }
    if (gone.length > 0) commands.push(["ZADD", this.#key("gone"), "GT", ...gone]);
    const add = ["XADD", this.#key("changes"), "MAXLEN", "~", String(STREAM_LENGTH), "*"];
    for (const change of changes) commands.push([...add, ...entryOf(change)]);
    commands.push(["EXEC"]);
    const written = (await this.#transact(commands)).at(-1);
    if (typeof written === "string") this.#saw(written);
  }

  /** See {@linkcode Engine.readChanges}. */
  async readChanges(since: string, waitMs: number): Promise<ReadChanges> {
    const connection = await this.#readingConnection();
    try {
      if (!this.#isChecked) {
        const stream = this.#key("changes");
        const seen = isLater(since, this.#newestSeen) ? since : this.#newestSeen;
        const replies = await connection.ask([
          ["XRANGE", stream, "-", "+", "COUNT", "1"],
          this.#newest(),
          ["XRANGE", stream, seen, seen, "COUNT", "1"],
        ]);
        const [first, last, there] = replies.map((reply) => idIn(expect(reply)));
        this.#isChecked = true;
        if (isLater(first!, since) && since !== NO_ID || there !== seen) {
          this.#newestSeen = last!;
          return { changes: [], last: last!, gap: true };
        }
      }
      const [reply] = await connection.ask([[
        "XREAD",
        "COUNT",
        String(READ_COUNT),
        "BLOCK",
        String(waitMs),
        "STREAMS",
        this.#key("changes"),
        since,
      ]], waitMs + ANSWER_MS);
      const entries = listIn(listIn(listIn(expect(reply))[0] ?? [])[1] ?? []);
      // Who reads in such portions may be overtaken by the end of the stream.
      this.#isChecked = entries.length < READ_COUNT;
      const changes = entries.flatMap((entry) => readEntry(listIn(entry)[1]) ?? []);
      const newest = listIn(entries.at(-1) ?? [])[0];
      if (entries.length === 0) return { changes, last: since, gap: false };
      // Whoever goes on from there would read the same for ever.
      if (typeof newest !== "string" || !isLater(newest, since)) throw otherForm();
      this.#saw(newest);
      return { changes, last: newest, gap: false };
    } catch (error) {
      this.#reading = undefined;
      this.#isChecked = false;
      connection.close();
      throw error;
    }
  }

  /** See {@linkcode Engine.beat}. */
  async beat(info: Omit<NodeInfo, "at">): Promise<Beat> {
    const time = await this.time();
    const nodes = this.#key("nodes");
    const epoch = this.#key("epoch");
    const replies = await this.#ask([
      ["SET", epoch, crypto.randomUUID(), "NX"],
      ["GET", epoch],
      // Before this one: who has written there since?
      ["HGETALL", nodes],
      ["HSET", nodes, info.node, infoText({ ...info, at: time }, this.#process)],
    ]);
    const [, name, all] = replies.map((reply) => expect(reply));
    const pairs = pairsIn(all ?? []);
    const [, before] = pairs.find(([node]) => node === info.node) ?? [];
    const hasTwin = isOthers(before, this.#process, this.#toldAt);
    this.#toldAt = time;
    const infos = pairs.filter(([node]) => node !== info.node)
      .flatMap(([node, value]) => readInfo(node, value) ?? []);
    infos.push({ ...info, at: time });
    return {
      time,
      hasTwin,
      epoch: String(name).slice(0, EPOCH_MAX),
      nodes: infos.filter(({ at }) => at > time - STAYS_MS)
        .sort((a, b) => b.at - a.at).slice(0, NODES_MAX)
        .sort((a, b) => a.node < b.node ? -1 : 1),
    };
  }

  /** The engine's clock, in milliseconds since 1970. */
  async time(): Promise<number> {
    const [clock] = await this.#ask([["TIME"]]);
    const [seconds, micros] = listIn(expect(clock)).map(Number);
    const time = Math.floor(seconds! * 1000 + micros! / 1000);
    if (!Number.isSafeInteger(time)) throw new EngineError("the engine does not tell the time");
    return time;
  }

  /** See {@linkcode Engine.tidy}. */
  async tidy(now: number, dead: readonly Pick<SharedBlock, "node" | "target">[]): Promise<void> {
    const ends = this.#key("ends");
    const until = String(now - STAYS_MS);
    const count = String(TIDY_COUNT);
    const [reply] = await this.#ask([["ZRANGEBYSCORE", ends, "-inf", until, "LIMIT", "0", count]]);
    const names = listIn(expect(reply)).filter((one) => typeof one === "string");
    names.push(...dead.slice(0, TIDY_COUNT).map(({ node, target }) => recordName(node, target)));
    const commands = [
      ["MULTI"],
      ["ZREMRANGEBYSCORE", this.#key("gone"), "-inf", String(now - DELETION_AGE_MAX_MS)],
    ];
    if (names.length > 0) {
      commands.push(["ZREM", ends, ...names], ["HDEL", this.#key("blocks"), ...names]);
    }
    await this.#transact([...commands, ["EXEC"]]);
  }

  /** See {@linkcode Engine.close}. */
  close(): void {
    this.#isClosed = true;
    this.#ending.abort();
    for (const opening of [this.#work, this.#reading]) {
      void opening?.then((connection) => connection.close(), () => {});
    }
  }

  /**
   * Tries whether each command that is needed is allowed; nothing is changed.
   *
   * @returns The refusals, each once.
   */
  async refusals(): Promise<string[]> {
    const name = "check 192.0.2.1";
    const commands = [
      ["MULTI"],
      ["SET", this.#key("epoch"), "check", "NX"],
      ["GET", this.#key("epoch")],
      ["HSET", this.#key("blocks"), name, ""],
      ["HSETNX", this.#key("blocks"), name, ""],
      ["HDEL", this.#key("blocks"), name],
      ["HSCAN", this.#key("blocks"), "0"],
      ["HGETALL", this.#key("nodes")],
      ["ZADD", this.#key("ends"), "GT", "0", name],
      ["ZREM", this.#key("ends"), name],
      ["ZSCAN", this.#key("gone"), "0"],
      ["ZRANGEBYSCORE", this.#key("ends"), "0", "0", "LIMIT", "0", "1"],
      ["ZREMRANGEBYSCORE", this.#key("gone"), "0", "0"],
      ["XADD", this.#key("changes"), "MAXLEN", "~", String(STREAM_LENGTH), "*", "c", ""],
      ["XREAD", "COUNT", "1", "STREAMS", this.#key("changes"), "$"],
      ["XRANGE", this.#key("changes"), "-", "+", "COUNT", "1"],
      ["XREVRANGE", this.#key("changes"), "+", "-", "COUNT", "1"],
      ["DISCARD"],
    ];
    const replies = await this.#ask(commands);
    return [
      ...new Set(replies.flatMap((one) => one instanceof ReplyError ? [one.message] : [])),
    ];
  }

  #newest(): string[] {
    return ["XREVRANGE", this.#key("changes"), "+", "-", "COUNT", "1"];
  }

  /** @returns What each command of the transaction was answered. */
  async #transact(commands: readonly (readonly string[])[]): Promise<readonly Reply[]> {
    const replies = await this.#ask(commands);
    // The first refusal tells more than that of EXEC.
    for (const reply of replies) expect(reply);
    const answers = listIn(expect(replies.at(-1)));
    for (const answer of answers) expect(answer);
    return answers;
  }

  #saw(id: string): void {
    if (ID.test(id) && isLater(id, this.#newestSeen)) this.#newestSeen = id;
  }

  async #ask(commands: readonly (readonly string[])[]): Promise<Reply[]> {
    const work = this.#work ??= this.#open();
    try {
      const replies = await (await work).ask(commands);
      if (replies.some(isOfReplica)) this.#reconnect();
      return replies;
    } catch (error) {
      // Somebody may have opened another one meanwhile.
      if (this.#work === work) this.#work = undefined;
      throw error;
    }
  }

  async #readingConnection(): Promise<EngineConnection> {
    try {
      return await (this.#reading ??= this.#open());
    } catch (error) {
      this.#reading = undefined;
      throw error;
    }
  }

  async #open(): Promise<EngineConnection> {
    if (this.#isClosed) throw new EngineError("closed");
    const connection = await EngineConnection.open(this.#address, this.#ending.signal);
    if (!this.#isClosed) return connection;
    connection.close();
    throw new EngineError("closed");
  }

  /** The name may lead to another server now. */
  #reconnect(): void {
    for (const opening of [this.#work, this.#reading]) {
      void opening?.then((connection) => connection.close(), () => {});
    }
    this.#work = this.#reading = undefined;
  }

  #key(name: string): string {
    return this.#prefix + name;
  }
}

/** A server that was the primary before, or waits for its own: it may not be asked again. */
function isOfReplica(reply: Reply): boolean {
  return reply instanceof ReplyError && /^(?:READONLY|MASTERDOWN) /.test(reply.message);
}

function otherForm(): EngineError {
  return new EngineError("the engine's answer has another form");
}

function readBlock(name: unknown, value: unknown): SharedChange | undefined {
  const block = readRecord(name, value);
  return block && { kind: "block", block };
}

function listIn(reply: Reply): readonly Reply[] {
  return Array.isArray(reply) ? reply : [];
}

function pairsIn(reply: Reply | undefined): [Reply, Reply][] {
  const items = listIn(reply ?? []);
  const pairs: [Reply, Reply][] = [];
  for (let at = 0; at + 1 < items.length; at += 2) pairs.push([items[at]!, items[at + 1]!]);
  return pairs;
}

/** The id of the only entry of an answer. */
function idIn(reply: Reply): string {
  const id = listIn(listIn(reply)[0] ?? [])[0];
  return typeof id === "string" ? id : NO_ID;
}

function isLater(a: string, b: string): boolean {
  const [aTime = 0, aCount = 0] = a.split("-").map(Number);
  const [bTime = 0, bCount = 0] = b.split("-").map(Number);
  return aTime > bTime || aTime === bTime && aCount > bCount;
}
