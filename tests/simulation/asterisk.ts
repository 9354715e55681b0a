/**
 * Asterisk and the network before it: a server for AMI that goes away, comes back, refuses logins,
 * stops answering, and a network that cuts the stream anywhere.
 *
 * @module
 */

import type { Connection } from "../../src/ami/client.ts";
import type { Dice } from "./dice.ts";
import type { Happening } from "./model/happening.ts";
import type { Request } from "./pbx/requests.ts";
import type { ProcessClock, SimulatedTime } from "./time.ts";

/** Something that Asterisk says in one go, and what it stands for. */
export interface Said {
  /** One character a byte. */
  readonly text: string;
  /** What Ampere is to make of it, once its last byte has arrived. */
  readonly happenings: readonly Happening[];
  /**
   * An event that Ampere holds back until it has been quiet for a moment: it comes in one piece,
   * and nothing comes close behind it.
   */
  readonly alone?: boolean;
  /** Where the text must not be cut into pieces, in bytes from its beginning. */
  readonly whole?: number;
  /** The same as the happenings, where the PBX writes a log. */
  readonly requests?: readonly Request[];
}

/** How long nothing comes behind an event that is alone, in milliseconds. */
const ALONE_MS = 60;

/** How long Ampere holds such an event, in milliseconds (`SETTLE_MS` of the client). */
const HELD_MS = 10;

/**
 * The network does not stall when what was said so long ago is still under way, in milliseconds.
 */
const BACKLOG_MAX_MS = 1_000;

/** Most bytes of one piece; the client's buffer always has room for it. */
const PIECE_MAX = 16_384;

const BANNER = "Asterisk Call Manager/7.0.3\r\n";

/** How Asterisk is at present. */
export type AsteriskState =
  /** It answers. */
  | "up"
  /** The port is closed. */
  | "down"
  /** Nothing arrives in either direction. */
  | "dark";

/** What {@linkcode Asterisk} needs. */
interface AsteriskOptions {
  readonly time: SimulatedTime;
  readonly dice: Dice;
  readonly trace: (text: string) => void;
  /** Something has reached Ampere. */
  readonly onArrived: (happening: Happening) => void;
  /** The same, in a world in which a log may have told of it. */
  readonly onRequest: (request: Request) => void;
  /** Asterisk writes what it says into its log as well. */
  readonly log?: ((said: Said) => Said) | undefined;
}

/** The server. */
export class Asterisk {
  readonly #options: AsteriskOptions;
  #state: AsteriskState = "up";
  /** What was read from a connection last: world time of that, and when it was said, in ms. */
  heard = { at: -Infinity, saidAt: -Infinity };
  /** Logins fail. */
  refuses = false;
  /** The network stalls now and then. */
  stalls = true;
  readonly #lines = new Set<Line>();

  constructor(options: AsteriskOptions) {
    this.#options = options;
  }

  get state(): AsteriskState {
    return this.#state;
  }

  /** Whether a client is logged in and connected. */
  get isHeard(): boolean {
    return [...this.#lines].some((line) => line.loggedIn && line.isOpen && !line.isForgotten);
  }

  /** World time at which all that was said will have arrived, in milliseconds. */
  get arrivedAt(): number {
    return Math.max(0, ...[...this.#lines].map((line) => line.arrivedAt));
  }

  /** Changes the state; going down ends all connections. */
  setState(state: AsteriskState): void {
    this.#state = state;
    for (const line of [...this.#lines]) {
      line.setDark(state === "dark", this.#options.dice.chance(0.5));
      if (state === "down") line.drop(this.#options.dice.chance(0.5));
    }
  }

  /** The connection ends, perhaps in the middle of an event. */
  drop(): void {
    for (const line of [...this.#lines]) line.drop(this.#options.dice.chance(0.7));
  }

  /** Says something to everybody who is logged in. */
  say(some: readonly Said[]): void {
    const { log } = this.#options;
    const said = log === undefined ? some : some.map(log);
    if (this.#state === "down") return;
    for (const line of this.#lines) {
      if (line.loggedIn && !line.isForgotten) line.say(said);
    }
  }

  /**
   * What a process uses to connect.
   *
   * @param clock The process.
   */
  connectFor(clock: ProcessClock): () => Promise<Connection> {
    const { time, dice, trace } = this.#options;
    return () =>
      new Promise((resolve, reject) => {
        trace(`connects; Asterisk is ${this.#state}`);
        if (this.#state === "dark") return; // Nobody answers.
        const refused = this.#state === "down";
        time.after(dice.between(0.1, 30), () =>
          clock.tell(() => {
            if (refused || this.#state !== "up") {
              return reject(new Deno.errors.ConnectionRefused("Connection refused (os error 111)"));
            }
            const line = new Line(this.#options, this, clock, () => this.#lines.delete(line));
            this.#lines.add(line);
            resolve(line);
          }));
      });
  }
}

interface Piece {
  readonly bytes: Uint8Array;
  /** World time at which it was said, in milliseconds. */
  readonly saidAt: number;
  /** What is complete within it, and behind which of its bytes. */
  readonly said: readonly { readonly said: Said; readonly end: number }[];
  delivered: boolean;
}

/** One connection. */
class Line implements Connection {
  loggedIn = false;
  readonly #options: AsteriskOptions;
  readonly #clock: ProcessClock;
  readonly #server: Asterisk;
  readonly #onGone: () => void;
  /** Sent and not yet there. */
  #underWay: Piece[] = [];
  /** There and not yet read. */
  readonly #arrived: Piece[] = [];
  /** World time at which the last piece will be there. */
  #lastAt = 0;
  #ended: "no" | "end" | "reset" = "no";
  #closed = false;
  /** The client has read that it ended. */
  #endRead = false;
  /** An event that is alone was read a moment ago: nothing is read behind it yet. */
  #quiet = false;
  #dark = false;
  #forgotten = false;
  #action = "";
  /** Actions that have not reached Asterisk yet. */
  readonly #unheard: string[] = [];
  #wake: (() => void) | undefined;

  constructor(
    options: AsteriskOptions,
    server: Asterisk,
    clock: ProcessClock,
    onGone: () => void,
  ) {
    this.#server = server;
    this.#options = options;
    this.#clock = clock;
    this.#onGone = onGone;
    this.say([{ text: BANNER, happenings: [] }]);
  }

  /** The server knows nothing of it any more. */
  get isForgotten(): boolean {
    return this.#forgotten;
  }

  /** World time at which the last piece will be there, in milliseconds. */
  get arrivedAt(): number {
    if (this.#forgotten) return 0;
    return this.#lastAt + ALONE_MS * this.#arrived.length;
  }

  /** Neither side has ended it. */
  get isOpen(): boolean {
    return !this.#closed && this.#ended === "no";
  }

  // The client's side

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#arrived.length === 0 || this.#quiet) {
      if (this.#closed) throw new Deno.errors.BadResource("Bad resource ID");
      if (this.#arrived.length === 0 && this.#ended !== "no") {
        this.#endRead = true;
        if (this.#ended === "end") return null;
        throw new Deno.errors.ConnectionReset("Connection reset by peer (os error 104)");
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    let count = 0;
    const { saidAt } = this.#arrived[0]!;
    this.#server.heard = { at: this.#options.time.now, saidAt };
    while (!this.#quiet && count + (this.#arrived[0]?.bytes.length ?? Infinity) <= into.length) {
      const piece = this.#arrived.shift()!;
      into.set(piece.bytes, count);
      count += piece.bytes.length;
      this.#server.heard.saidAt = piece.saidAt;
      for (const { said } of piece.said) this.#arrives(said);
    }
    return count;
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#ended === "reset") {
      return Promise.reject(new Deno.errors.BrokenPipe("Broken pipe (os error 32)"));
    }
    if (this.#forgotten) {
      this.#options.time.after(1, () => this.#end("reset"));
      return Promise.resolve(bytes.length);
    }
    this.#action += new TextDecoder().decode(bytes);
    for (let end = this.#action.indexOf("\r\n\r\n"); end >= 0;) {
      const action = this.#action.slice(0, end);
      this.#action = this.#action.slice(end + 4);
      if (this.#dark) this.#unheard.push(action);
      else if (this.isOpen) this.#answer(action);
      end = this.#action.indexOf("\r\n\r\n");
    }
    return Promise.resolve(bytes.length);
  }

  close(): void {
    this.#closed = true;
    this.#arrived.length = 0;
    this.#underWay = [];
    this.#onGone();
    this.#wakeUp();
  }

  // The server's side

  /** Asterisk writes; the network cuts it into pieces as it likes. */
  say(all: readonly Said[]): void {
    if (!this.isOpen) return;
    for (let i = 0; i < all.length;) {
      const group = [all[i++]!];
      if (!group[0]!.alone) { while (i < all.length && !all[i]!.alone) group.push(all[i++]!); }
      this.#send(group);
    }
  }

  /**
   * The connection ends.
   *
   * @param inTheMiddle What is under way arrives in part; otherwise nothing of it does.
   */
  drop(inTheMiddle: boolean): void {
    // Of a connection that is forgotten the server knows nothing that it could end.
    if (!this.isOpen || this.#forgotten) return;
    const { dice, trace } = this.#options;
    const left = this.#underWay;
    this.#underWay = [];
    if (inTheMiddle && left.length > 0 && !this.#dark) {
      const complete = dice.int(0, left.length - 1);
      this.#arrived.push(...left.slice(0, complete));
      const torn = left[complete]!;
      const kept = dice.int(0, torn.bytes.length - 1);
      this.#arrived.push({
        ...torn,
        bytes: torn.bytes.subarray(0, kept),
        said: torn.said.filter(({ end }) => end <= kept),
        delivered: true,
      });
    }
    trace(`the connection ends, ${left.length} pieces under way`);
    this.#end(dice.pick(["end", "reset"]));
  }

  /**
   * Nothing arrives, or all does again.
   *
   * @param forgotten The server was started anew meanwhile: it knows nothing of this connection,
   *   and says so only to who sends something.
   */
  setDark(dark: boolean, forgotten: boolean): void {
    if (this.#dark && !dark && forgotten) this.#forgotten = true;
    this.#dark = dark || this.#forgotten;
    if (this.#dark) return;
    for (const piece of this.#underWay.filter((piece) => piece.delivered)) this.#deliver(piece);
    for (const action of this.#unheard.splice(0)) this.#answer(action);
  }

  #end(how: "end" | "reset"): void {
    if (!this.isOpen) return;
    this.#ended = how;
    this.#onGone();
    this.#clock.tell(() => this.#wakeUp());
  }

  #answer(action: string): void {
    const { time, dice } = this.#options;
    const id = /^ActionID: (.*)$/m.exec(action)?.[1]?.trim();
    const head = (response: string) => `Response: ${response}\r\nActionID: ${id}\r\n`;
    time.after(dice.between(0.2, 40), () => {
      if (!this.isOpen) return;
      if (action.startsWith("Action: Ping")) {
        return this.say([{ text: `${head("Success")}Ping: Pong\r\n\r\n`, happenings: [] }]);
      }
      if (!action.startsWith("Action: Login")) {
        const text = `${head("Error")}Message: Permission denied\r\n\r\n`;
        return this.say([{ text, happenings: [] }]);
      }
      if (this.#server.refuses) {
        this.say([{
          text: `${head("Error")}Message: Authentication failed\r\n\r\n`,
          happenings: [],
        }]);
        time.after(this.#lastAt - time.now + 1, () => this.drop(false));
        return;
      }
      this.loggedIn = true;
      const booted = "Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n";
      this.say([{
        text: `${head("Success")}Message: Authentication accepted\r\n\r\n${booted}`,
        happenings: [],
      }]);
    });
  }

  #send(group: readonly Said[]): void {
    const { time, dice } = this.#options;
    const text = group.map((said) => said.text).join("");
    const alone = group[0]!.alone ?? false;
    const ends: number[] = [];
    const whole = new Set<number>();
    let length = 0;
    for (const said of group) {
      if (said.whole !== undefined) whole.add(length + said.whole);
      length += said.text.length;
      ends.push(length);
    }
    const most = alone ? PIECE_MAX : dice.pick([40, 300, 1_448, PIECE_MAX, PIECE_MAX, PIECE_MAX]);
    const bytes = latin1Bytes(text);
    let next = 0;
    for (let at = 0; at < length;) {
      let end = Math.min(length, at + dice.int(Math.min(most, length - at, 8), most));
      if (whole.has(end)) end--;
      if (end === at) end += 2;
      const said = [];
      for (; next < ends.length && ends[next]! <= end; next++) {
        said.push({ said: group[next]!, end: ends[next]! - at });
      }
      const behind = Math.max(0, this.#lastAt - time.now);
      const stalls = this.#server.stalls && behind < BACKLOG_MAX_MS && dice.chance(0.01);
      const pause = stalls ? dice.between(20, 3_000) : dice.between(0.01, 2);
      this.#lastAt = time.now + behind + pause;
      const piece: Piece = {
        bytes: bytes.subarray(at, end),
        saidAt: time.now,
        said,
        delivered: false,
      };
      this.#underWay.push(piece);
      time.after(this.#lastAt - time.now, () => this.#deliver(piece));
      at = end;
    }
    if (alone) this.#lastAt += ALONE_MS;
  }

  #deliver(piece: Piece): void {
    piece.delivered = true;
    if (this.#dark) return;
    const at = this.#underWay.indexOf(piece);
    if (at < 0) return; // The connection has ended before.
    this.#underWay.splice(at, 1);
    this.#arrived.push(piece);
    this.#clock.tell(() => this.#wakeUp());
  }

  #arrives(said: Said): void {
    const { requests = [], happenings } = said;
    const arrived = () => {
      if (requests.length > 0) requests.forEach(this.#options.onRequest);
      else happenings.forEach(this.#options.onArrived);
    };
    if (!said.alone) return arrived();
    // Ampere waits for what may follow; if the connection ends meanwhile, the event does not count.
    this.#clock.after(HELD_MS, () => {
      if (!this.#closed && !this.#endRead) arrived();
    });
    this.#quiet = true;
    this.#clock.after(ALONE_MS, () => {
      this.#quiet = false;
      this.#wakeUp();
    });
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** One byte for each character. */
function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
