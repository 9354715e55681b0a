/**
 * Reads Asterisk's log into the same security events as AMI.
 *
 * `res_security_log.c` of Asterisk 12 to 22 prints the elements of an event in the same order as
 * AMI does, first the required, then the optional ones, as `SecurityEvent="NAME"` and then
 * `,NAME="VALUE"` for each, and escapes nothing. So a line is rewritten as the AMI message of the
 * same event, and {@linkcode EventReader} judges it: its exact grammar and its rules against forged
 * ends hold here as they do on AMI.
 *
 * Other lines that tell of a refused request (`notice_lines.ts`) become events by themselves. A
 * stranger's line end in one of them makes lines of its own, which may look as Asterisk's: where
 * one could be, nothing is believed.
 *
 * @module
 */

import { hashLine, lineHash, viewOf } from "./bytes.ts";
import { SecurityEvent } from "./event.ts";
import { EventReader, type Tampered } from "./event_reader.ts";
import { latin1, MESSAGE_BYTES_MAX } from "./framer.ts";
import { type HeldLine, HeldLines, mayGoOn, ROOM } from "./held_lines.ts";
import { lastRepeated, type LogLine, parseLogLine } from "./log_line.ts";
import { LogClock } from "./log_time.ts";
import {
  looksRefused,
  type Notice,
  type NoticeReading,
  readNotice,
  refusedContact,
  tornRegistration,
} from "./notice_lines.ts";
import { TornLine } from "./torn_line.ts";

/**
 * Longest line that is looked at, in bytes: also of an event that is too long the sender is read.
 */
const LINE_BYTES_MAX = 4 * MESSAGE_BYTES_MAX;

/**
 * How far behind the beginning of a line a stranger's line end in it can reach, in bytes: at most
 * 255 of a dialled number or an account name (`chan_sip.c`, `tmp[256]`; `AST_MAX_EXTENSION` is 80),
 * and what Asterisk prints before it, with the same of a caller's name.
 */
const SHADOW_BYTES = 1024;

/** Longest message of Asterisk's log (`main/logger.c`, LOGMSG_SIZE), in bytes. */
const DUMP_BYTES_MAX = 8192;

/** Threads of the manager interface, and of PJSIP, that are remembered. */
const THREADS_MAX = 256;

const LF = 0x0a;

/** What stands before most security events: the form of a file. Others have their own way. */
const FILE_PREFIX =
  /^\[[^\]"]{1,64}\] SECURITY\[\d{1,10}\](?:\[C-[0-9a-f]{8}\])? res_security_log\.c: (?=SecurityEvent=")/;

/**
 * A line that is not the beginning of an event, but may be the end of one that a line end in an
 * account name has cut.
 */
const REMAINDER = /",(?:SessionID|LocalAddress|RemoteAddress|EventTV|Severity|Challenge)="/;

/** What Asterisk's lines hold, behind whatever stands before it. */
const LOOKS_LIKE_ASTERISK = /SecurityEvent="[A-Z]|(?:NOTICE|WARNING|ERROR|SECURITY) ?\[\d{1,10}\]/;

/** Where one element ends and the next begins. */
const BORDER = /",([A-Za-z]{1,20})="/g;

/** The time of Asterisk 11 and older: seconds and microseconds. */
const OLD_TIME = /",EventTV="(\d{1,10})-(\d{1,6})"/;

/** What the console shows of level verbose, `  == …`, `    -- …`, `       > …`, and packets. */
const CONSOLE = /^(?:(?:\[[^\]"]{8,64}\])? {1,10}(?:==|--|>) |<--- )/;

/**
 * What stands between lines and is no end of a message: what `tail`, `grep` and `journalctl` print,
 * and what Asterisk begins a file with.
 */
const BETWEEN =
  /^(?:==> .{0,4096} <==|-- .{0,200} --|--|\[[^\]"]{8,64}\] Asterisk \S{1,80} built by .{0,400} UTC)$/;

/** `main/security_events.c`, ast_security_event_report. */
const UNISSUED = /^Failed to issue security event of type ([A-Za-z]{1,40})\.$/;

/** Whose line it is in `docker compose logs`: no stranger's line end changes that. */
// deno-lint-ignore no-control-regex
const SERVICE = /^(?:\x1b\[[\d;]{0,16}m)?([\w.@-]{1,160}) {0,64}\| /;

/** A SIP packet that Asterisk shows, with its length or without. */
const DUMP =
  /^<--- (?:(?:Received|Transmitting) SIP (?:request|response) \((\d{1,6}) bytes\)|SIP read from|(?:Re)?[Tt]ransmitting|Reliably Transmitting)/;

/** A message that syslog says came again counts so often at most: nobody has so many attempts. */
const REPETITIONS_MAX = 10_000;

/** A line that told of something: what tells it from others, in whatever form it stands. */
type Said = Pick<LogLine, "thread" | "message">;

/** How often a line was said, and whether nobody else can have ended it. */
type Spoken = Pick<LogLine, "times" | "framed">;

const ONCE: Spoken = { times: 1, framed: false };

/** What the {@linkcode SecurityLogReader} calls. Events are valid only during the call. */
interface SecurityLogHandlers {
  /** A security event; see {@linkcode EventReader}. */
  event(event: SecurityEvent, verdict: "security" | "doubled"): void;
  /** Something that Asterisk did not print so, or that a stranger could have written. */
  tampered(what: Tampered): void;
  /** A refused request that another line tells of; see {@linkcode Notice}. */
  notice?(event: SecurityEvent, told: Notice["told"], said: Said): void;
  /**
   * Asterisk could not issue a security event, neither on AMI nor in its log; a line of the same
   * thread, before this one or behind it, tells of the request.
   *
   * @param kind Its name.
   * @param thread Number of Asterisk's thread.
   */
  unissued?(kind: string, thread: string): void;
}

/** Lines of one sort. */
export interface Lines {
  readonly count: number;
  /** Number of the first of them, from 1. */
  readonly first: number;
  /** The first of them: a stranger's text. */
  readonly text: string;
}

/** What was found in a log, besides events. */
export interface LogFindings {
  /** Lines that begin as Asterisk's. */
  readonly asterisk: number;
  /** Lines that hold what Asterisk says, behind a beginning that is not known. */
  readonly foreign: Lines | undefined;
  /** Lines that look as if somebody was refused, and are not known. */
  readonly unknown: Lines | undefined;
  /** Lines of failures that name no address of Asterisk's. */
  readonly nobody: Lines | undefined;
  /** Security events of Asterisk 11 or older. */
  readonly old: Lines | undefined;
  /** Lines that were not believed. */
  readonly tampered: Lines | undefined;
}

/** Lines of one of several readers, until they might be taken for those of the next one. */
const LINES_OF_SERIES = 2 ** 26;

/**
 * Cuts a log into lines, and hands on the security events.
 *
 * @example
 * ```ts
 * import { SecurityLogReader } from "./security_log.ts";
 *
 * const reader = new SecurityLogReader({
 *   event: (event) => console.log(event.kind, event.address),
 *   tampered: (what) => console.warn(what),
 * });
 * reader.push(Deno.readFileSync("/var/log/asterisk/security"));
 * reader.end();
 * ```
 */
export class SecurityLogReader {
  readonly #reader: EventReader;
  readonly #oldReader: EventReader;
  readonly #handlers: SecurityLogHandlers;
  readonly #clock: LogClock;
  readonly #line = new Uint8Array(LINE_BYTES_MAX);
  readonly #message = new Uint8Array(2 * LINE_BYTES_MAX);
  readonly #told = new SecurityEvent();
  /** Says again what the line of this number said. */
  #again: { readonly number: number; readonly say: (times: number) => void } | undefined;
  /** Number of lines so far, the present one included. */
  #number = 0;
  /** What is added to it to tell attempts apart. */
  readonly #seriesAt: number;
  /** Where in the input the present line begins. */
  #at = 0;
  #length = 0;
  /** Bytes of a line that is too long to be kept. */
  #skipped = 0;
  #lines = 0;
  /** Time of the last security event, until a line needs it. */
  #eventTime: string | undefined;
  /** Lines that begin before may be a stranger's. */
  #doubtUntil = 0;
  /** The same, but {@linkcode EventReader} itself knows whether a security event is. */
  #noticeDoubtUntil = 0;
  /** Refusals, until what follows shows that they are lines of their own. */
  readonly #held = new HeldLines(
    (held) => this.#notice(held),
    ({ number, text }) => this.#refuse("forged end", number, text),
  );
  /** The last refusal of each thread of the manager interface. */
  readonly #managers = new Map<string, string>();
  /** The Contact that an access list has refused, by thread. */
  readonly #contacts = new Map<string, string>();
  /** Messages that were cut, and whose end names the sender. */
  #torn: (Pick<HeldLine, "line" | "number" | "text"> & { readonly ends: TornLine })[] = [];
  /** Lines that begin before are in doubt for nothing but these. */
  #tornUntil = 0;
  /** The first line is a comment: others are no ends of messages. */
  #annotated = false;
  #asterisk = 0;
  #foreignLines: Lines | undefined;
  #unknown: Lines | undefined;
  #nobody: Lines | undefined;
  #old: Lines | undefined;
  #tampered: Lines | undefined;
  #text = "";

  /**
   * @param handlers What is called.
   * @param clock Tells the times of lines that are no security events.
   * @param series Which of several readers, whose lines are different attempts: from 0 on.
   */
  constructor(
    handlers: SecurityLogHandlers,
    clock: LogClock = new LogClock(Date.now()),
    series = 0,
  ) {
    this.#handlers = handlers;
    this.#clock = clock;
    this.#seriesAt = series * LINES_OF_SERIES;
    const common = {
      tampered: (what: Tampered) => this.#refuse(what),
      response: () => {},
      banner: () => {},
    };
    this.#reader = new EventReader({
      ...common,
      event: (event, verdict) => {
        this.#eventTime = event.time;
        handlers.event(event, verdict);
      },
    });
    this.#oldReader = new EventReader({
      ...common,
      event: (event) => handlers.notice?.(event, "log only", { thread: "", message: this.#text }),
    });
    for (const reader of [this.#reader, this.#oldReader]) {
      reader.push(bytesOf("Asterisk Call Manager\r\n", new Uint8Array(64)));
    }
  }

  /** Lines of security events so far, the tampered ones included. */
  get lines(): number {
    return this.#lines;
  }

  /** What was found so far, besides events. */
  get findings(): LogFindings {
    return {
      asterisk: this.#asterisk + this.#lines,
      foreign: this.#foreignLines,
      unknown: this.#unknown,
      nobody: this.#nobody,
      old: this.#old,
      tampered: this.#tampered,
    };
  }

  /** Takes a chunk of any size. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const end = chunk.indexOf(LF, at);
      this.#append(chunk.subarray(at, end < 0 ? chunk.length : end));
      if (end < 0) return;
      this.#endLine();
      at = end + 1;
    }
  }

  /**
   * Nothing more has come for a moment: what waits to see what follows is handed on, unless a line
   * is under way. Asterisk writes a message with all its line ends at once.
   */
  flush(): void {
    if (this.#length > 0 || this.#skipped > 0) return;
    this.#held.releaseAll();
    this.#settleTorn(Infinity);
    for (const reader of [this.#reader, this.#oldReader]) reader.flushWithheld();
    // Whatever was cut has ended.
    this.#doubtUntil = this.#noticeDoubtUntil = 0;
  }

  /** The input has ended: the last line counts without a line end too. */
  end(): void {
    if (this.#length > 0 || this.#skipped > 0) this.#endLine();
    this.#held.releaseAll();
    this.#settleTorn(Infinity);
    for (const reader of [this.#reader, this.#oldReader]) {
      reader.flushWithheld();
      reader.end();
    }
  }

  #append(part: Uint8Array): void {
    if (this.#skipped > 0 || this.#length + part.length > LINE_BYTES_MAX) {
      this.#skipped += part.length;
      return;
    }
    this.#line.set(part, this.#length);
    this.#length += part.length;
  }

  #endLine(): void {
    const at = this.#at;
    const length = this.#length;
    this.#at += length + this.#skipped + 1;
    this.#number++;
    this.#length = 0;
    const end = length > 0 && this.#line[length - 1] === 0x0d ? length - 1 : length;
    this.#text = textOf(this.#line, end);
    // The mark of UTF-8 that editors write.
    if (this.#number === 1 && this.#text.startsWith("\xef\xbb\xbf")) {
      this.#text = this.#text.slice(3);
    }
    if (this.#skipped > 0) {
      this.#skipped = 0;
      this.#refuse("oversized");
      return;
    }
    this.#settleTorn(at);
    const prefix = FILE_PREFIX.exec(this.#text);
    if (prefix !== null) {
      this.#meetTorn(true);
      return this.#security(this.#text.slice(prefix[0].length), at);
    }
    const line = parseLogLine(this.#text);
    this.#meetTorn(line !== undefined);
    if (line === undefined) return this.#foreign(this.#text, at);
    if (line.message.startsWith('SecurityEvent="') && line.level === "SECURITY") {
      return this.#security(line.message, at, line);
    }
    this.#asterisk++;
    this.#other(line, at, at + length);
  }

  /** A line that does not begin as one of Asterisk's. */
  #foreign(text: string, at: number): void {
    if (this.#number === 1) this.#annotated = text.startsWith("#");
    const times = this.#again?.number === this.#number - 1 ? lastRepeated(text) : undefined;
    if (times !== undefined) return this.#again!.say(times);
    if (LOOKS_LIKE_ASTERISK.test(text)) {
      this.#foreignLines = counted(this.#foreignLines, this.#number, text);
    }
    const stands = text === "" || BETWEEN.test(text) || (this.#annotated && text.startsWith("#")) ||
      (this.#held.isConsole && CONSOLE.test(text)) || isOfAnotherService(text, this.#held.last);
    if (!stands) {
      const torn = this.#held.meetRest();
      if (torn?.number === this.#number - 1) this.#tearAgain(torn, at);
    }
    // The reader must see it, because it may betray that the line before was cut.
    if (REMAINDER.test(text)) {
      const message = `${text.replace(/"$/, "").replace(BORDER, "\r\n$1: ")}\r\n\r\n`;
      this.#reader.push(bytesOf(message, this.#message));
    } else this.#passDump(text, at);
  }

  #security(fields: string, at: number, by: Spoken = ONCE): void {
    this.#lines++;
    const whole = fields.endsWith('"');
    if (whole && fields.length > ROOM) {
      this.#held.releaseAll();
    } else {
      const line = parseLogLine(this.#text);
      if (line === undefined || !this.#held.meet(line, at, this.#at - 1)) {
        return this.#refuse("forged end");
      }
    }
    if (at < this.#doubtUntil) return this.#refuse("forged end");
    // A line that does not end in a quote was cut by a stranger's line end.
    if (!whole) this.#noticeDoubtUntil = at + SHADOW_BYTES;
    const old = oldTime(fields);
    if (old !== undefined) {
      this.#old = counted(this.#old, this.#number, this.#text);
      this.#oldReader.push(bytesOf(rewrite(old), this.#message));
      return;
    }
    this.#say((said) => {
      for (let i = 0; i < said; i++) this.#reader.push(bytesOf(rewrite(fields), this.#message));
    }, by);
  }

  /** Says what a line says, as often as it was said. */
  #say(say: (times: number) => void, { times, framed }: Spoken, number = this.#number): void {
    const bounded = (said: number) => say(Math.min(said, REPETITIONS_MAX));
    bounded(times);
    // Behind a line that a stranger could have ended its repetition could be theirs, too.
    if (framed) this.#again = { number, say: bounded };
  }

  #other(line: LogLine, at: number, end: number): void {
    const read = readNotice(line);
    const reading = this.#isContact(line, read) ? "nobody" : read;
    const address = typeof reading === "object" ? reading.address : undefined;
    const believed = this.#held.meet(line, at, end, address);
    if (reading === undefined) {
      if (this.#passDump(line.message, at)) return;
      const unissued = line.file === "security_events.c" ? UNISSUED.exec(line.message) : null;
      if (unissued !== null && believed && at >= this.#doubtUntil && at >= this.#noticeDoubtUntil) {
        this.#handlers.unissued?.(unissued[1]!, line.thread);
      }
      if (looksRefused(line)) {
        this.#unknown = counted(this.#unknown, this.#number, this.#text);
      }
      return;
    }
    if (!believed) return this.#refuse("forged end");
    if (at < this.#doubtUntil || at < this.#noticeDoubtUntil) {
      // If it is Asterisk's all the same, it may have been cut as well.
      if (this.#tear(line, at, end)) return;
      if (reading === "cut" || mayGoOn(line)) this.#doubtUntil = at + SHADOW_BYTES;
      return this.#refuse("forged end");
    }
    if (reading === "harmless") return;
    if (this.#tear(line, at, end)) return;
    this.#held.open(line, this.#number, end, address);
    if (reading === "nobody") {
      this.#nobody = counted(this.#nobody, this.#number, this.#text);
    } else if (typeof reading === "string") {
      if (reading === "cut") this.#doubtUntil = at + SHADOW_BYTES;
      this.#refuse("malformed");
    } else if (reading.isCut) {
      this.#doubtUntil = at + SHADOW_BYTES;
      this.#refuse("malformed");
      const held = { line, notice: reading, number: this.#number, text: this.#text };
      if (!this.#held.isOpen) this.#notice(held);
    } else if (!this.#isManagerEcho(line, reading)) {
      this.#held.hold({ line, notice: reading, number: this.#number, text: this.#text });
    }
  }

  /** Whether the end of a message names its sender, and nothing but such lines puts it in doubt. */
  #tear(line: LogLine, at: number, end: number): boolean {
    if (!TornLine.is(line.file, line.message) || line.framed || this.#held.isOpen) return false;
    if (at < this.#doubtUntil && this.#tornUntil !== this.#doubtUntil) return false;
    if (at < this.#noticeDoubtUntil) return false;
    this.#tornUntil = this.#doubtUntil = at + SHADOW_BYTES;
    this.#refuse("malformed");
    const ends = new TornLine(end - line.message.length);
    this.#torn.push({ line, number: this.#number, text: this.#text, ends });
    return true;
  }

  /** What looked whole has a rest: its end is not the true one. */
  #tearAgain({ line, number, text }: HeldLine, at: number): void {
    const ends = new TornLine(at - 1 - line.message.length);
    ends.meet(text, false);
    ends.meet(this.#text, false);
    this.#torn.push({ line, number, text, ends });
  }

  #meetTorn(isBeginning: boolean): void {
    for (const { ends } of this.#torn) ends.meet(this.#text, isBeginning);
  }

  /** Whoever has sent what is over is charged. */
  #settleTorn(at: number): void {
    while (this.#torn[0]?.ends.isOver(at)) {
      const { ends, ...said } = this.#torn.shift()!;
      const notice = ends.sender === undefined ? undefined : tornRegistration(ends.sender);
      if (notice !== undefined) this.#notice({ ...said, notice });
    }
  }

  /**
   * Whether the manager interface has told already that it refused this request: after "nonexistent
   * user" and "IP ACL" it always says "failed to authenticate" too (`manager.c`, authenticate).
   */
  #isManagerEcho({ thread }: LogLine, notice: Notice): boolean {
    const { service, told, kind, address, account } = notice;
    if (service !== "AMI" || told === "aside") return false;
    const request = `${address} ${account}`;
    if (kind === "InvalidPassword") {
      if (this.#managers.get(thread) !== request) return false;
      return this.#managers.delete(thread);
    }
    this.#managers.delete(thread);
    this.#managers.set(thread, request);
    forgetOldest(this.#managers);
    return false;
  }

  /** Whether the address in it is that of a Contact: a stranger wrote it. */
  #isContact(line: LogLine, reading: NoticeReading): boolean {
    const contact = refusedContact(line);
    if (contact !== undefined) {
      this.#contacts.delete(line.thread);
      this.#contacts.set(line.thread, contact);
      forgetOldest(this.#contacts);
      return false;
    }
    if (typeof reading !== "object" || line.file !== "res_pjsip_acl.c") return false;
    const refused = this.#contacts.get(line.thread);
    this.#contacts.delete(line.thread);
    return refused === reading.address;
  }

  #notice({ line, notice, number }: HeldLine): void {
    if (this.#eventTime !== undefined) this.#clock.learn(this.#eventTime);
    this.#eventTime = undefined;
    const time = new Date(this.#clock.read(line));
    if (Number.isNaN(time.getTime())) return this.#refuse("malformed");
    const { session, ...facts } = notice;
    const own = number + this.#seriesAt;
    let said = 0;
    this.#say(
      (times) => {
        for (let i = 0; i < times; i++, said++) {
          // The number of the line, and how often it was said, tell apart what Asterisk does not.
          const anew = Math.imul(own, 0x9e3779b1) + Math.imul(said, 0xc2b2ae35) | 0;
          this.#told.state({
            ...facts,
            session: session === undefined ? anew : hashOf(session, this.#message),
            answer: Math.imul(own, 0x85ebca6b) + Math.imul(said, 0x27d4eb2f) | 0,
            time: time.toISOString().replace("Z", "+0000"),
          });
          this.#handlers.notice?.(this.#told, notice.told, line);
        }
      },
      line,
      number,
    );
  }

  /** Whether a stranger's packet follows, in which lines may look as Asterisk's. */
  #passDump(text: string, at: number): boolean {
    const dump = DUMP.exec(text);
    if (dump === null) return false;
    const bytes = dump[1] === undefined ? undefined : Number(dump[1]);
    const until = bytes === undefined ? at + DUMP_BYTES_MAX : this.#at + bytes;
    this.#doubtUntil = Math.max(this.#doubtUntil, Math.min(until, at + DUMP_BYTES_MAX));
    return true;
  }

  #refuse(what: Tampered, number = this.#number, text = this.#text): void {
    this.#tampered = counted(this.#tampered, number, text);
    this.#handlers.tampered(what);
  }
}

function forgetOldest(map: Map<string, string>): void {
  if (map.size <= THREADS_MAX) return;
  for (const oldest of map.keys()) return void map.delete(oldest);
}

function isOfAnotherService(text: string, last: string | undefined): boolean {
  const service = SERVICE.exec(text)?.[1];
  if (service === undefined || last === undefined) return false;
  const own = SERVICE.exec(last)?.[1];
  return own !== undefined && own !== service;
}

function counted(lines: Lines | undefined, number: number, text: string): Lines {
  return lines === undefined
    ? { count: 1, first: number, text }
    : { ...lines, count: lines.count + 1 };
}

/** The same elements with a time as Asterisk 12 prints it; `undefined` when it is such a time. */
function oldTime(fields: string): string | undefined {
  const at = fields.indexOf('",EventTV="');
  // The fifth character of a date is a minus, that of a number is a digit.
  if (at < 0 || fields[at + 15] === "-" || fields.indexOf("-", at) < 0) return undefined;
  const old = OLD_TIME.exec(fields);
  if (old === null || old.index !== at) return undefined;
  const time = new Date(Number(old[1]) * 1000 + Math.floor(Number(old[2]) / 1000));
  const written = `",EventTV="${time.toISOString().replace("Z", "+0000")}"`;
  return fields.slice(0, at) + written + fields.slice(at + old[0].length);
}

/** The AMI message of an event. */
function rewrite(line: string): string {
  const cut = !line.endsWith('"');
  const fields = withoutForgery(cut ? line : line.slice(0, -1));
  const message = fields.slice('SecurityEvent="'.length).replace(BORDER, "\r\n$1: ");
  const first = message.indexOf("\r\n");
  if (first < 0) return `Event: ${message}\r\n\r\n`;
  return `Event: ${message.slice(0, first)}\r\nPrivilege: security,all${message.slice(first)}` +
    (cut ? "\r\n(cut)\r\n\r\n" : "\r\n\r\n");
}

const REMOTE = '",RemoteAddress="';

const PJSIP_HEAD =
  /^SecurityEvent="(?:InvalidAccountID|ChallengeSent|FailedACL)",EventTV="[^"]{28}",Severity="\w{5,13}",Service="PJSIP",/;

/** The end of such an event: nothing in it is a stranger's. */
const PJSIP_END =
  /",LocalAddress="[^"]{1,80}",RemoteAddress="[^"]{1,80}(?:",Challenge="|",ACLName="\w{1,80})?$/;

/** Longest end of such an event, in characters. */
const PJSIP_END_MAX = 320;

/**
 * A Call-ID may hold quotes, and whole elements. On AMI it is one line; here its end is where the
 * last elements begin, of which no stranger writes any.
 */
function withoutForgery(fields: string): string {
  const first = fields.indexOf(REMOTE);
  if (first < 0 || fields.indexOf(REMOTE, first + REMOTE.length) < 0) return fields;
  const end = PJSIP_END.exec(fields.slice(-PJSIP_END_MAX));
  const session = fields.indexOf('",SessionID="');
  if (end === null || session < 0 || !PJSIP_HEAD.test(fields)) return fields;
  const from = session + '",SessionID="'.length;
  const to = fields.length - end[0].length;
  return to < from
    ? fields
    : fields.slice(0, from) + fields.slice(from, to).replaceAll('"', "'") + fields.slice(to);
}

/** The bytes of a text with one character a byte, written into a buffer that is used again. */
function bytesOf(text: string, into: Uint8Array): Uint8Array {
  for (let i = 0; i < text.length; i++) into[i] = text.charCodeAt(i);
  return into.subarray(0, text.length);
}

/** The hash that the same Call-ID has in a security event. */
function hashOf(text: string, buffer: Uint8Array): number {
  const bytes = bytesOf(`${text}\r\n`, buffer);
  hashLine(viewOf(buffer), 0, bytes.length, 0);
  return lineHash;
}

/** Bytes that are made into a text at once. */
const AT_ONCE_BYTES_MAX = 4096;

/** The same as {@linkcode latin1}, from the beginning; faster for a line of usual length. */
function textOf(bytes: Uint8Array, length: number): string {
  return length <= AT_ONCE_BYTES_MAX
    ? String.fromCharCode.apply(null, bytes.subarray(0, length) as unknown as number[])
    : latin1(bytes, 0, length);
}
