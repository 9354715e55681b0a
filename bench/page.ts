/**
 * The status page: how soon it answers with a long list, what many visitors cost the reader, and
 * what stays of them.
 *
 * @module
 */

import type { LoopedFeed } from "./feed.ts";
import type { Manager, ManagerConnection } from "./manager.ts";
import { Ampere, type AmpereOptions, pause } from "./process.ts";
import { counted, NOBODY_BLOCKED } from "./reader.ts";
import { Visitors, type Visits } from "./visitors.ts";

/** Where the page is: the namespace is the bench's own. */
const PORT = 9739;

/** What is asked of the daemon beside the page, in events a second. */
const EVENTS_A_SECOND = 200_000;

/** Between two pieces that are sent, in milliseconds. */
const PIECE_MS = 10;

/** Events after which tables are full, so that what memory they take does not count. */
const FILLING_EVENTS = 3_000_000;

/** Loads after which all of the page's code is there: it is not what visitors leave behind. */
const FIRST_LOADS = 1_000;

/** How long events flow without visitors before, in milliseconds: that fills memory too. */
const FLOW_ALONE_MS = 60_000;

/** Visitors at a time. */
const TOGETHER = 8;

/** Between what happened and the look at the memory, in milliseconds. */
const REST_MS = 20_000;

/** Starts Ampere with its page. */
function start(manager: Manager, options: AmpereOptions): Promise<Ampere> {
  return Ampere.start(manager, {
    ...options,
    loyalty: NOBODY_BLOCKED,
    backend: "nftables",
    keys: [`page = 127.0.0.1:${PORT}`],
  });
}

/** Events that flow at an even rate until they are stopped. */
class Flow {
  readonly #connection: ManagerConnection;
  readonly #feed: LoopedFeed;
  readonly #began = performance.now();
  readonly #done: Promise<void>;
  #isStopped = false;
  #loops = 0;

  constructor(connection: ManagerConnection, feed: LoopedFeed) {
    this.#connection = connection;
    this.#feed = feed;
    this.#done = this.#send();
  }

  /** Ends it; how many events were sent, and how many a second. */
  async stop(): Promise<{ readonly events: number; readonly rate: number }> {
    this.#isStopped = true;
    await this.#done;
    const events = this.#loops * this.#feed.events;
    return { events, rate: events / (performance.now() - this.#began) * 1000 };
  }

  async #send(): Promise<void> {
    while (!this.#isStopped) {
      const due = (performance.now() - this.#began) / 1000 * EVENTS_A_SECOND;
      while (this.#loops * this.#feed.events < due) {
        await this.#connection.send(this.#feed.next());
        this.#loops++;
      }
      await pause(PIECE_MS);
    }
  }
}

/** How soon a long list is there. */
interface FirstBytes {
  readonly idle: Visits;
  readonly beside: Visits;
  /** Events a second that flowed meanwhile. */
  readonly rate: number;
}

/**
 * One visitor who loads the list of blocks now and then, when nothing happens and while events
 * flow.
 *
 * @param options its folder holds the blocks
 */
export async function measureFirstBytes(
  manager: Manager,
  options: AmpereOptions & { readonly feed: LoopedFeed; readonly loads: number },
): Promise<FirstBytes> {
  const { feed, loads } = options;
  const ampere = await start(manager, options);
  using visitors = new Visitors();
  try {
    const errand = { port: PORT, path: "/blocks", together: 1, pauseMs: 1_000 };
    await visitors.send({ ...errand, loads: 5 });
    const idle = await visitors.send({ ...errand, loads });
    const flow = new Flow(ampere.connection, feed);
    await visitors.send({ ...errand, loads: 5 });
    const beside = await visitors.send({ ...errand, loads });
    return { idle, beside, rate: (await flow.stop()).rate };
  } finally {
    await ampere.stop();
  }
}

/** What visitors cost the reader. */
interface ReaderBeside {
  /** Events a second, each time without visitors and right behind with them. */
  readonly pairs: readonly (readonly [without: number, beside: number])[];
  readonly loads: number;
}

/**
 * A feed as fast as it is read, without visitors and with as many as come in.
 *
 * @param options what is sent each time, and how often
 */
export async function measureReaderBeside(
  manager: Manager,
  options: AmpereOptions & {
    readonly feed: LoopedFeed;
    readonly events: number;
    readonly times: number;
  },
): Promise<ReaderBeside> {
  const { feed } = options;
  const loops = Math.ceil(options.events / feed.events);
  const ampere = await start(manager, options);
  using visitors = new Visitors();
  let sent = 0;
  const send = async () => {
    const began = performance.now();
    for (let loop = 0; loop < loops; loop++) await ampere.connection.send(feed.next());
    sent += loops * feed.events;
    await counted(ampere, sent);
    return loops * feed.events / (performance.now() - began) * 1000;
  };
  try {
    await send();
    const pairs: [number, number][] = [];
    let loads = 0;
    for (let i = 0; i < options.times; i++) {
      const without = await send();
      const errand = { port: PORT, path: "/", loads: Infinity, together: TOGETHER, pauseMs: 0 };
      const back = visitors.send(errand);
      const beside = await send();
      visitors.callBack();
      const visits = await back;
      if (visits.failed > 0) throw new Error(`${visits.failed} loads failed`);
      loads += visits.wholeMs.length;
      pairs.push([without, beside]);
    }
    return { pairs, loads };
  } finally {
    await ampere.stop();
  }
}

/** Resident memory after the first loads, at the end, and some time afterwards, in MiB. */
type Memory = readonly [before: number, atEnd: number, afterwards: number];

/** What stays of many visitors. */
interface AfterLoads {
  readonly memory: Memory;
  /** The same of another daemon that had as many events in that time, and no visitors. */
  readonly alone: Memory;
  readonly seconds: number;
  /** Events a second that flowed meanwhile. */
  readonly rate: number;
  readonly visits: Visits;
}

/**
 * Many loads while events flow, and the same flow without them: it fills memory, too.
 *
 * @param options how many
 */
export async function measureLoads(
  manager: Manager,
  options: AmpereOptions & { readonly feed: LoopedFeed; readonly loads: number },
): Promise<AfterLoads> {
  const errand = { port: PORT, path: "/", loads: options.loads, together: TOGETHER, pauseMs: 0 };
  const visited = await beside(manager, options, (visitors) => visitors.send(errand));
  const { memory: alone } = await beside(manager, options, () => pause(visited.seconds * 1000));
  return { ...visited, alone, visits: visited.result };
}

/** Does something while events flow, after they have flowed for a while. */
async function beside<T>(
  manager: Manager,
  options: AmpereOptions & { readonly feed: LoopedFeed },
  something: (visitors: Visitors) => Promise<T>,
): Promise<{ result: T; memory: Memory; seconds: number; rate: number }> {
  const { feed } = options;
  const ampere = await start(manager, options);
  using visitors = new Visitors();
  try {
    let sent = 0;
    while (sent < FILLING_EVENTS) {
      await ampere.connection.send(feed.next());
      sent += feed.events;
    }
    await counted(ampere, sent);
    const first = { port: PORT, path: "/", loads: FIRST_LOADS, together: TOGETHER, pauseMs: 0 };
    await visitors.send(first);
    const alone = new Flow(ampere.connection, feed);
    await pause(FLOW_ALONE_MS);
    sent += (await alone.stop()).events;
    await counted(ampere, sent);
    await pause(REST_MS);
    const before = ampere.residentMiB();
    const began = performance.now();
    const flow = new Flow(ampere.connection, feed);
    const result = await something(visitors);
    const seconds = (performance.now() - began) / 1000;
    const { events, rate } = await flow.stop();
    await counted(ampere, sent + events);
    const atEnd = ampere.residentMiB();
    await pause(REST_MS);
    return { result, memory: [before, atEnd, ampere.residentMiB()], seconds, rate };
  } finally {
    await ampere.stop();
  }
}
