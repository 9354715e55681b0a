/**
 * Asterisk's logs: what the PBX of a world writes into files beside what it says over AMI, and what
 * goes wrong with these.
 *
 * @module
 */

import { NO_AMI } from "../../../src/config/config.ts";
import type { Files } from "../../../src/logs/tail.ts";
import { fileLine, LINE_KINDS } from "../../support/log_text.ts";
import type { Said } from "../asterisk.ts";
import type { Dice } from "../dice.ts";
import type { Happening } from "../model/happening.ts";
import type { SimulatedTime } from "../time.ts";
import { Folder, type Inode, type Line } from "./files.ts";
import { lineKey, type Request, type Requests } from "./requests.ts";

/** In how many worlds there is a log, and in how many of these there is nothing else. */
const LOG_SHARE = 0.35;
const ALONE_SHARE = 0.15;

/**
 * A line that was written into a file that the daemon follows is read within this time, in
 * milliseconds: a file that was not there is looked for each second.
 */
const READ_WITHIN_MS = 1_700;

/** A renamed file is still written for less than this, in milliseconds (`FAREWELL_MS`). */
const RELOAD_WITHIN_MS = 8_000;

/** What is chosen for a world. */
interface LogChoice {
  readonly paths: readonly string[];
  /** There is no AMI. */
  readonly alone: boolean;
}

/**
 * Chooses what logs a world has.
 *
 * @param dice Decides it.
 */
export function chooseLogs(dice: Dice): LogChoice {
  if (!dice.chance(LOG_SHARE)) return { paths: [], alone: false };
  const paths = dice.chance(0.3) ? ["/log/security", "/log/full"] : ["/log/full"];
  return { paths, alone: dice.chance(ALONE_SHARE) };
}

/** The host of a daemon that has no AMI. */
export const WITHOUT_AMI = NO_AMI;

/** What a {@linkcode PbxLog} needs. */
interface PbxLogOptions {
  readonly paths: readonly string[];
  readonly time: SimulatedTime;
  readonly wall: () => number;
  readonly dice: Dice;
  readonly trace: (text: string) => void;
  readonly requests: Requests;
  /** The clock of the machine is set: then birth times tell nothing of who was there before. */
  readonly clockMoves: boolean;
}

/** A line that a file must still be read for. */
interface Owed {
  readonly line: Line;
  readonly inode: Inode;
  readonly emptied: number;
  since: number;
}

/** Writes them. */
export class PbxLog {
  readonly #options: PbxLogOptions;
  readonly #folder: Folder;
  /** Which files Asterisk has open, by path. */
  readonly #open = new Map<string, Inode>();
  readonly #requests = new Map<Line, Request>();
  /** Half lines, whose rest comes before anything else. */
  readonly #rests = new Map<Inode, string>();
  #owed: Owed[] = [];
  /** Of each process: files that it must read from their beginning, or from where it began. */
  #beganAt = 0;
  #serial = 0;
  #isFaulty = true;

  /** @param options See {@linkcode PbxLogOptions}. */
  constructor(options: PbxLogOptions) {
    this.#options = options;
    this.#folder = new Folder(options.wall, options.clockMoves);
    for (const path of options.paths) {
      if (options.dice.chance(0.1)) continue; // It comes with the first line.
      const inode = this.#folder.make(path);
      if (options.dice.chance(0.5)) inode.text = this.#verbose(options.dice.int(1, 6_000));
      this.#open.set(path, inode);
    }
  }

  /** Decides what happens to it. */
  get dice(): Dice {
    return this.#options.dice;
  }

  /** The files as a process sees them from now on. */
  filesFor(): Files {
    const { time, requests, trace } = this.#options;
    this.#owed = [];
    this.#beganAt = time.now;
    return this.#folder.filesFor((line, isVague) => {
      const request = this.#requests.get(line);
      if (request === undefined) return;
      const { what, address, session } = request.happening;
      trace(`read: ${what} ${address} ${session}`);
      requests.read(request, time.now, isVague);
    });
  }

  /** The daemon has stood still: it has time from now on. */
  goesOn(): void {
    for (const owed of this.#owed) owed.since = this.#options.time.now;
  }

  /** Faults strike from now on. */
  begin(): void {
    const { time, dice } = this.#options;
    if (dice.chance(0.3)) return;
    const interval = dice.between(500, 10_000);
    const strike = () => {
      if (!this.#isFaulty) return;
      this.#strike();
      time.after(interval * dice.between(0.05, 2), strike);
    };
    time.after(dice.between(0, interval), strike);
  }

  /** All faults are over. */
  heal(): void {
    this.#isFaulty = false;
    if (this.#folder.unreadable) this.goesOn();
    this.#folder.unreadable = false;
    for (const path of this.#options.paths) {
      this.#putBack(path);
      // `logger reload`
      this.#reload(path);
    }
  }

  /**
   * Asterisk writes what it says over AMI too.
   *
   * @param said One event.
   * @param requests What it tells of.
   */
  say({ text }: Said, requests: readonly Request[]): void {
    const { paths } = this.#options;
    const [request] = requests;
    const message = request === undefined ? undefined : securityLine(text);
    if (message === undefined) return;
    for (const path of paths) {
      this.#write(path, fileLine({ ...SECURITY, message }, this.#date()), request);
      if (path.endsWith("full")) this.#sayAgain(path, request!.happening, text);
    }
  }

  /** What Asterisk tells nowhere else: somebody tries numbers, or accounts of IAX2. */
  untold(address: string): void {
    const { dice, paths, requests } = this.#options;
    const session = `line-${++this.#serial}`;
    const kinds = dice.chance(0.5)
      ? { name: "PJSIP call", kind: "FailedACL", service: "PJSIP" } as const
      : { name: "IAX2, wrong password", kind: "InvalidPassword", service: "IAX2" } as const;
    const happening: Happening = {
      what: kinds.service === "PJSIP" ? "not now" : "wrong",
      service: kinds.service,
      address,
      session,
      transport: "UDP",
      account: kinds.service === "PJSIP" ? NUMBER : "trunk",
      answer: session,
    };
    const kind = LINE_KINDS.find(({ name }) => name === kinds.name)!;
    const said = { ...kind.print(address, { extension: NUMBER }), thread: `${this.#serial}` };
    const request = requests.add(lineKey(kinds.kind, kinds.service, address), happening);
    // A file of the level security alone has no such line.
    const isInAll = this.#serial % 2 === 0;
    const of = isInAll ? paths : paths.slice(-1);
    for (const path of of) this.#write(path, fileLine(said, this.#date()), request);
  }

  /** What a daemon that runs has not read, though it could. */
  unread(): string | undefined {
    const { time } = this.#options;
    this.#owed = this.#owed.filter(({ line, inode, emptied }) =>
      !line.read && inode.emptied === emptied
    );
    if (this.#folder.unreadable) return undefined;
    const late = this.#owed.find(({ since }) => time.now > since + READ_WITHIN_MS);
    return late && `never read: a line of ${late.inode.identity} at ${late.line.start}`;
  }

  /** PJSIP and the manager interface say it in another line too. */
  #sayAgain(path: string, happening: Happening, text: string): void {
    const { what, service, address, session, account = "" } = happening;
    const name = what === "wrong" && service === "PJSIP"
      ? "Request - Failed to authenticate"
      : what === "unknown" && service === "PJSIP"
      ? "Request - No matching endpoint found"
      : /^Event: InvalidPassword\r\n[^]*Service: AMI\r\n/.test(text)
      ? "manager failed to authenticate as"
      : undefined;
    if (name === undefined) return;
    const kind = LINE_KINDS.find((one) => one.name === name)!;
    this.#write(path, fileLine(kind.print(address, { account, session }), this.#date()));
  }

  #write(path: string, text: string, request?: Request): void {
    const { dice, time } = this.#options;
    let inode = this.#open.get(path);
    if (inode === undefined) {
      inode = this.#folder.make(path);
      this.#open.set(path, inode);
    }
    this.#finish(inode);
    if (this.#isFaulty && dice.chance(0.01)) {
      inode.text += this.#verbose(dice.pick([2_000, 70_000, 200_000]));
    }
    const line: Line = {
      start: inode.text.length,
      end: inode.text.length + text.length,
      read: false,
    };
    inode.lines.push(line);
    if (request !== undefined) {
      this.#requests.set(line, request);
      this.#owe(line, inode);
    }
    const half = this.#isFaulty && dice.chance(0.05) ? dice.int(1, text.length - 1) : text.length;
    inode.text += text.slice(0, half);
    if (half === text.length) return;
    const rest = text.slice(half);
    this.#rests.set(inode, rest);
    time.after(dice.between(1, 400), () => {
      if (this.#rests.get(inode) === rest) this.#finish(inode);
    });
  }

  /** Of a file that was renamed, or is there no more, a daemon that begins now knows nothing. */
  #owe(line: Line, inode: Inode): void {
    const { time, paths } = this.#options;
    const isNamed = paths.some((path) => this.#folder.at(path) === inode);
    const owed = { line, inode, emptied: inode.emptied, since: time.now };
    if (isNamed && !this.#folder.unreadable && time.now > this.#beganAt + READ_WITHIN_MS) {
      this.#owed.push(owed);
    }
  }

  /** The rest of a half line comes. */
  #finish(inode: Inode): void {
    const rest = this.#rests.get(inode);
    if (rest === undefined) return;
    this.#rests.delete(inode);
    inode.text += rest;
  }

  #strike(): void {
    const { dice, paths, trace, time } = this.#options;
    const path = dice.pick(paths);
    const inode = this.#open.get(path);
    const named = this.#folder.at(path);
    const fault = dice.pick(["rename", "rename", "truncate", "away", "unreadable", "old"]);
    trace(`log: ${fault} ${path}`);
    switch (fault) {
      case "rename":
        this.#leave(named);
        this.#folder.rename(path, `${path}.${++this.#serial}`);
        // `logger reload`: until then Asterisk writes into the renamed file.
        time.after(dice.between(0, RELOAD_WITHIN_MS), () => {
          if (this.#open.get(path) === inode) this.#reload(path);
        });
        return;
      case "truncate":
        if (inode === undefined) return;
        // What is under way is torn, and its rest is no line.
        this.#owed = this.#owed.filter((owed) => owed.inode !== inode);
        this.#rests.delete(inode);
        this.#folder.truncate(inode);
        return;
      case "away":
        if (this.#options.clockMoves || this.#folder.at(`${path}.away`) !== undefined) return;
        this.#leave(named);
        this.#folder.rename(path, `${path}.away`);
        time.after(dice.between(50, 5_000), () => this.#putBack(path));
        return;
      case "unreadable":
        this.#folder.unreadable = true;
        time.after(dice.between(100, 8_000), () => {
          this.#folder.unreadable = false;
          this.goesOn();
        });
        return;
      case "old":
        if (inode === undefined) return;
        this.#finish(inode);
        inode.text += this.#verbose(dice.int(1, 500));
    }
  }

  /** Whoever has not opened it yet does not find it. */
  #leave(inode: Inode | undefined): void {
    if (inode !== undefined && this.#folder.open.has(inode)) return;
    this.#owed = this.#owed.filter((owed) => owed.inode !== inode);
  }

  /** Asterisk opens its file anew. */
  #reload(path: string): void {
    const inode = this.#open.get(path);
    if (inode !== undefined) this.#finish(inode);
    this.#open.set(path, this.#folder.make(path));
  }

  #putBack(path: string): void {
    if (this.#folder.at(path) === undefined) this.#folder.rename(`${path}.away`, path);
  }

  /** What others say in the same file. */
  #verbose(bytes: number): string {
    const line = fileLine({
      level: "VERBOSE",
      file: "pbx.c",
      message: "-- Executing [s@out:1] NoOp",
    }, this.#date());
    return line.repeat(Math.ceil(bytes / line.length));
  }

  #date(): string {
    return new Date(this.#options.wall()).toISOString().slice(0, 19).replace("T", " ");
  }

  /** The same event at another time: nothing else tells one from its repetition. */
  dated(text: string): string {
    const time = new Date(this.#options.wall()).toISOString().replace("Z", "+0000");
    return text.replace(/^EventTV: [^\r]{28}\r$/m, `EventTV: ${time}\r`);
  }
}

const NUMBER = "00972595550100";

const SECURITY = { level: "SECURITY", file: "res_security_log.c" };

/** What `res_security_log.c` writes of an event; of what has line ends in it, nothing. */
function securityLine(text: string): string | undefined {
  if (!text.includes("\r\nPrivilege: security,all\r\n")) return undefined;
  if (text.indexOf("\r\n\r\n") !== text.length - 4) return undefined;
  const lines = text.slice(0, -4).split("\r\n");
  const fields = lines.map((line) => /^(\w+): (.*)$/.exec(line));
  if (fields.some((field) => field === null)) return undefined;
  if (new Set(fields.map((field) => field![1])).size < fields.length) return undefined;
  const [event, ...others] = fields.filter((field) => field![1] !== "Privilege");
  return `SecurityEvent="${event![2]}",` +
    others.map((field) => `${field![1]}="${field![2]}"`).join(",");
}
