/** Which lines of the log count beside AMI: none is lost, none counts twice. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { EventReader } from "../../src/ami/event_reader.ts";
import { SecurityLogReader } from "../../src/ami/security_log.ts";
import { Handover, SETTLE_MS } from "../../src/logs/handover.ts";
import {
  BANNER,
  bytesOf,
  challengeSent,
  successfulAuth,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { fileLine, LINE_KINDS } from "../support/log_text.ts";
import { toLog } from "../support/replays.ts";

const HOST = "203.0.113.5";

/** How often files are looked at, in milliseconds. */
const LOOK_MS = 100;

/** Steps of random stories, in milliseconds. */
const STEP_MS = 90;

const kind = (name: string) => LINE_KINDS.find((one) => one.name === name)!;

/** AMI and a log, or several, that are told of by texts. */
class Bench {
  now = 10_000;
  /** What counted: from AMI or from a line. */
  readonly counted: string[] = [];
  readonly handover = new Handover((event) => this.#count("line", event));
  readonly #ami: EventReader;
  readonly #logs: SecurityLogReader[];

  constructor(files = 1) {
    this.handover.setFiles(files, Array.from({ length: files }, (_, file) => file));
    this.#ami = new EventReader({
      event: (event) => {
        if (this.handover.amiEvent(event, this.now)) this.#count("ami", event);
      },
      response: () => {},
      tampered: (what) => this.counted.push(what),
      banner: () => {},
    });
    this.#ami.push(bytesOf(BANNER));
    this.#logs = Array.from({ length: files }, (_, file) =>
      new SecurityLogReader({
        event: (event, verdict) => {
          const text = `${event.time} ${event.type} ${event.session} ${event.answer}`;
          this.handover.line(event, verdict, { file, thread: "", text }, this.now);
        },
        notice: (event, told, { thread, message }) => {
          const text = `${thread} ${message}`;
          this.handover.line(event, told, { file, thread, text }, this.now);
        },
        unissued: (name, thread) => {
          const text = `${thread} ${name}`;
          this.handover.unissued(name, { file, thread, text }, this.now);
        },
        tampered: (what) => this.counted.push(what),
      }));
  }

  #count(
    by: string,
    { kind, service, address }: { kind: string; service: string; address: string },
  ) {
    this.counted.push(`${by} ${kind} ${service} ${address}`);
  }

  /** AMI has been there for so long that every line is of its time; it has told of our login. */
  connected(): this {
    this.handover.amiUp(this.now);
    this.ami(successfulAuth("127.0.0.1"));
    this.after(2 * SETTLE_MS);
    this.counted.length = 0;
    return this;
  }

  /** Time passes, and the files are read to their ends. */
  after(ms: number, heard = false): this {
    const end = this.now + ms;
    while (this.now < end) this.look(Math.min(LOOK_MS, end - this.now), heard);
    return this;
  }

  /** One look, with nothing in between. */
  look(ms: number, heard = false): this {
    this.now += ms;
    if (heard) this.handover.amiHeard(this.now);
    this.#logs.forEach((_, file) => this.handover.atEnd(file, this.now));
    this.handover.advance(this.now);
    return this;
  }

  ami(text: string): this {
    this.handover.amiHeard(this.now);
    this.#ami.push(bytesOf(text));
    this.#ami.flushWithheld();
    return this;
  }

  log(text: string, file = 0): this {
    this.#logs[file]!.push(bytesOf(text));
    this.#logs[file]!.flush();
    return this;
  }

  /** What counted since the last call, after everything has settled. */
  settled(): string[] {
    this.after(SETTLE_MS, true).after(SETTLE_MS, true);
    return this.counted.splice(0);
  }
}

/** One guess, as AMI, the security log and messages tell of it. */
function guess(session: string, host = HOST) {
  const event = wrongAnswer(host, { session });
  const notice = fileLine(kind("Request - Failed to authenticate").print(host, { session }));
  return { event, security: toLog(event), notice };
}

const BY_AMI = `ami ChallengeResponseFailed PJSIP ${HOST}`;
const BY_LINE = `line ChallengeResponseFailed PJSIP ${HOST}`;

Deno.test("handover: while AMI is there only what it never tells counts", () => {
  const bench = new Bench().connected();
  for (const session of ["a", "b"]) {
    const { event, security, notice } = guess(session);
    bench.log(security).log(notice).ami(event);
  }
  assert.deepEqual(bench.settled(), [BY_AMI, BY_AMI]);
  for (const { name, tells, print } of LINE_KINDS) {
    const alone = tells.endsWith("log only");
    bench.log(fileLine(print(HOST)));
    const [what, service] = tells.split(" ");
    assert.deepEqual(bench.settled(), alone ? [`line ${what} ${service} ${HOST}`] : [], name);
    // No two of these are of one request.
    bench.after(60_000, true);
  }
});

Deno.test("handover: a line of which AMI tells does not count, though an eventfilter hides its event", () => {
  const bench = new Bench().connected();
  bench.log(guess("a").notice);
  assert.deepEqual(bench.settled(), []);
  assert.equal(bench.handover.dropped, 1);
});

Deno.test("handover: an AMI that has told of nobody since its login is not believed to tell of all", () => {
  const bench = new Bench();
  bench.handover.amiUp(bench.now);
  bench.after(2 * SETTLE_MS, true);
  // As a user without `read = security`: it answers, and tells nothing.
  const { security, notice } = guess("a");
  assert.deepEqual(bench.log(security + notice).settled(), [BY_LINE]);
  assert.deepEqual(bench.log(guess("b").notice).settled(), [BY_LINE]);
  assert.equal(bench.handover.unheard, 2);
  // What was held up counts once all the same.
  const late = guess("late");
  bench.log(late.security);
  bench.after(2 * SETTLE_MS, true).ami(late.event);
  assert.deepEqual(bench.settled(), [BY_LINE]);
  // Then it does tell.
  assert.deepEqual(bench.log(guess("c").security).settled(), []);
  assert.equal(bench.handover.unheard, 3);
});

Deno.test("handover: the next login's word does not count for a line of the one before", () => {
  const bench = new Bench().connected();
  bench.log(guess("a").notice);
  bench.handover.amiDown(bench.now);
  // AMI is back before the line has waited long enough, and the process stands still meanwhile.
  bench.now += 500;
  bench.handover.amiUp(bench.now);
  bench.ami(guess("b").event);
  assert.deepEqual(bench.settled(), [BY_AMI, BY_LINE]);
});

Deno.test("handover: without AMI all lines count, each request once", () => {
  for (const unused of [true, false]) {
    const bench = new Bench();
    if (unused) bench.handover.amiUnused(bench.now);
    const { security, notice } = guess("a");
    // In whatever order they come.
    assert.deepEqual(bench.log(security).log(notice).settled(), [BY_LINE]);
    const second = guess("b");
    assert.deepEqual(bench.log(second.notice).log(second.security).settled(), [BY_LINE]);
    assert.deepEqual(bench.log(guess("c").notice).settled(), [BY_LINE]);
    // A security event counts at once: nothing is waited for.
    bench.log(guess("d").security);
    assert.deepEqual(bench.counted.splice(0), [BY_LINE]);
    const login = successfulAuth(HOST);
    assert.deepEqual(bench.log(toLog(login)).settled(), [`line SuccessfulAuth PJSIP ${HOST}`]);
  }
});

Deno.test("handover: when AMI goes, what it had not told counts, and what it had told does not", () => {
  for (const order of ["lines first", "events first"]) {
    const bench = new Bench().connected();
    const told = guess("told");
    const untold = guess("untold");
    if (order === "events first") bench.ami(told.event);
    bench.log(told.security + told.notice);
    if (order === "lines first") bench.ami(told.event);
    bench.log(untold.security + untold.notice);
    bench.handover.amiDown(bench.now);
    // Lines of events that came before it went may still be read.
    assert.deepEqual(bench.settled().sort(), [BY_AMI, BY_LINE], order);
  }
  const late = new Bench().connected();
  const { event, security, notice } = guess("late");
  late.ami(event);
  late.handover.amiDown(late.now);
  late.after(300).log(notice + security);
  assert.deepEqual(late.settled(), [BY_AMI]);
});

Deno.test("handover: an AMI that has been dead for a while is noticed late, and nothing is lost", () => {
  const bench = new Bench().connected();
  for (let second = 0; second < 25; second++) {
    bench.log(guess(`${second}`).notice).after(1_000);
  }
  assert.deepEqual(bench.counted, []);
  bench.handover.amiDown(bench.now);
  assert.equal(bench.settled().length, 25);
});

Deno.test("handover: when AMI comes, a request around its login counts once", () => {
  for (const [first, second] of [["security", "event"], ["event", "security"]] as const) {
    const bench = new Bench();
    const before = guess("before");
    bench.log(before.security + before.notice);
    bench.handover.amiUp(bench.now);
    const around = guess("around");
    const give = (what: "security" | "event") =>
      what === "event" ? bench.ami(around.event) : bench.log(around.security + around.notice);
    give(first).after(50);
    give(second);
    // Its line was read a moment before AMI's answer to the login.
    const early = guess("early");
    bench.log(early.security);
    assert.deepEqual(bench.settled().sort(), [BY_AMI, BY_LINE, BY_LINE], `${first} first`);
    // Both lines of a request from before the login, in whatever order, and apart by a moment.
    const both = guess("both");
    for (
      const text of first === "event" ? [both.security, both.notice] : [both.notice, both.security]
    ) {
      bench.handover.amiUp(bench.now);
      bench.log(text).now += 30;
    }
    for (let i = 0; i < 20; i++) bench.after(100, true);
    assert.deepEqual(bench.counted.splice(0), [BY_LINE], `${first} first`);
  }
  // A security event that was charged before the login was read.
  const bench = new Bench();
  const { event, security } = guess("a");
  bench.log(security);
  bench.handover.amiUp(bench.now);
  bench.ami(event);
  assert.deepEqual(bench.settled(), [BY_LINE]);
  // The same wrong answer again is an event of its own.
  assert.deepEqual(bench.ami(event).settled(), [BY_AMI]);
});

Deno.test("handover: an event that the network holds up when AMI has come counts once", () => {
  for (const late of [2 * SETTLE_MS, 20 * SETTLE_MS]) {
    const { event, security, notice } = guess(`held up ${late}`);
    const bench = new Bench();
    bench.handover.amiUp(bench.now);
    bench.log(security).after(late).ami(event);
    assert.deepEqual(bench.settled(), [BY_LINE], `${late} ms`);
    if (late > 10 * SETTLE_MS) continue;
    // The same where the log has no class security.
    const other = new Bench();
    other.handover.amiUp(other.now);
    other.log(notice).after(late).ami(event);
    assert.deepEqual(other.settled(), [BY_LINE], `${late} ms, without security`);
  }
});

Deno.test("handover: what was charged when AMI had been there for long counts once, too", () => {
  for (const stands of [0, 40 * SETTLE_MS]) {
    const bench = new Bench();
    bench.handover.amiUp(bench.now);
    // The file was not read to its end before: nobody knows when its lines were written.
    bench.now += 60 * SETTLE_MS;
    bench.handover.amiHeard(bench.now);
    const { event, security } = guess(`${stands}`);
    bench.log(security);
    bench.after(2 * SETTLE_MS, true);
    assert.deepEqual(bench.counted.splice(0), [BY_LINE], `${stands} ms`);
    // Whoever has stood still hears what was sent meanwhile, the oldest first.
    bench.look(stands, true).look(LOOK_MS, true).ami(event);
    assert.deepEqual(bench.settled(), [], `${stands} ms`);
  }
});

Deno.test("handover: who stood still has not heard that AMI tells nothing more", () => {
  const bench = new Bench().connected();
  bench.log(guess("a").security);
  // What was under way is read at once, and then that the connection has ended.
  bench.now += 30 * SETTLE_MS;
  bench.handover.amiHeard(bench.now);
  bench.look(0).handover.amiDown(bench.now);
  assert.deepEqual(bench.counted, [BY_LINE]);
});

Deno.test("handover: both lines of a request are decided on together", () => {
  const bench = new Bench().connected();
  const { security, notice } = guess("a");
  bench.log(security).look(50).log(notice);
  // AMI is heard a second after the one, and not after the other, and ends.
  bench.after(SETTLE_MS - 100).look(55, true).handover.amiDown(bench.now);
  bench.after(2 * SETTLE_MS);
  assert.deepEqual(bench.counted, []);
});

Deno.test("handover: a request differs from its repetition by its time", () => {
  const first = wrongAnswer(HOST, { session: "a" });
  const second = first.replace("08:09:09.918", "08:09:10.418");
  const bench = new Bench();
  bench.log(toLog(first));
  bench.handover.amiUp(bench.now);
  bench.ami(second).log(toLog(second));
  assert.deepEqual(bench.settled(), [BY_LINE, BY_AMI]);
});

Deno.test("handover: a message that is not believed counts once, wherever in its stream it stands", () => {
  const event = wrongAnswer(HOST, { service: "SIP", kind: "InvalidPassword" });
  const onAmi = event.replace("AccountID: ", "AccountID: x\r\n");
  const inLog = toLog(event).replace('AccountID="', 'AccountID="x\r\n');
  for (const order of ["event first", "line first"]) {
    const bench = new Bench();
    bench.log(toLog(wrongAnswer("203.0.113.6")));
    bench.handover.amiUp(bench.now);
    if (order === "event first") bench.ami(onAmi);
    bench.log(inLog);
    if (order === "line first") bench.after(2 * SETTLE_MS, true).ami(onAmi);
    const counted = bench.settled().filter((one) => one.endsWith(HOST));
    assert.equal(counted.length, 1, `${order}: ${counted}`);
    assert.match(counted[0]!, /RefusedMessage SIP/);
  }
});

Deno.test("handover: what waits at the end counts, unless AMI has told it", () => {
  const bench = new Bench().connected();
  const [told, untold] = [guess("told"), guess("untold")];
  bench.log(told.notice + untold.notice).ami(told.event);
  bench.handover.amiDown(bench.now);
  assert.deepEqual(bench.counted.splice(0), [BY_AMI]);
  bench.handover.finish(bench.now);
  assert.deepEqual(bench.counted, [BY_LINE]);
  assert.equal(bench.handover.waiting, 0);
});

Deno.test("handover: a log that is read late was written before AMI came", () => {
  const bench = new Bench();
  bench.handover.amiUp(bench.now);
  bench.now += 5_000;
  // It has not been read to its end since.
  bench.log(guess("a").notice).log(guess("b").security);
  bench.now += SETTLE_MS;
  bench.handover.amiHeard(bench.now);
  bench.handover.advance(bench.now);
  assert.deepEqual(bench.counted, [BY_LINE, BY_LINE]);
});

Deno.test("handover: an event that Asterisk could not issue counts by its line, once", () => {
  const failure = (thread = "1234", name = "ChallengeResponseFailed") =>
    fileLine({
      level: "ERROR",
      thread,
      file: "security_events.c",
      message: `Failed to issue security event of type ${name}.`,
    });
  const { notice } = guess("a");
  const bench = new Bench().connected();
  assert.deepEqual(bench.log(notice + failure()).settled(), [BY_LINE]);
  assert.deepEqual(bench.log(failure() + guess("b").notice).settled(), [BY_LINE]);
  // Of another thread, another kind, or a while ago: it is about something else.
  assert.deepEqual(bench.log(guess("c").notice + failure("99")).settled(), []);
  assert.deepEqual(bench.log(guess("d").notice + failure("1234", "FailedACL")).settled(), []);
  bench.log(failure());
  bench.after(2 * SETTLE_MS, true);
  assert.deepEqual(bench.log(guess("e").notice).settled(), []);
  // In two files it stands for one request.
  const two = new Bench(2).connected();
  two.log(notice + failure(), 0).log(notice + failure(), 1).log(guess("f").notice, 0);
  assert.deepEqual(two.settled(), [BY_LINE]);
});

Deno.test("handover: what stands in several files counts once", () => {
  const call = fileLine(kind("PJSIP call").print(HOST));
  const bench = new Bench(3).connected();
  bench.log(call, 0).log(call, 2).log(call, 1).log(call, 2).log(call, 0);
  assert.equal(bench.settled().length, 2);
  bench.handover.amiDown(bench.now);
  const { security, notice } = guess("a");
  bench.log(notice + security, 0).log(security, 1).log(notice, 2);
  assert.deepEqual(bench.settled(), [BY_LINE]);
});

Deno.test("handover: the same line again in one file of several is another request", () => {
  const call = fileLine(kind("PJSIP call").print(HOST));
  for (const file of [0, 1, 2]) {
    const bench = new Bench(3).connected();
    for (let i = 0; i < 3; i++) bench.log(call, file);
    assert.equal(bench.settled().length, 3, `file ${file}`);
  }
  // Another file takes the place of one, in which it stood.
  const bench = new Bench(2).connected();
  bench.log(call, 1);
  bench.handover.setFiles(2, [1]);
  bench.log(call, 1);
  assert.equal(bench.settled().length, 2);
});

Deno.test("handover: a call that the dialplan reports and logs counts once", () => {
  const report = "Event: UserEvent\r\nPrivilege: user,all\r\nUserEvent: Ampere\r\n" +
    `Address: ${HOST}\r\nReason: anonymous call\r\n\r\n`;
  const line = fileLine(kind("dialplan").print(HOST));
  const bench = new Bench().connected();
  assert.deepEqual(bench.ami(report).log(line).settled(), [`ami Reported Dialplan ${HOST}`]);
  assert.deepEqual(bench.log(line).ami(report).settled(), [`line FailedACL SIP ${HOST}`]);
  assert.equal(bench.ami(report).settled().length, 1);
  assert.equal(bench.log(line).settled().length, 1);
});

Deno.test("handover: an access list that another line tells of too counts once", () => {
  const bench = new Bench();
  const aside = fileLine(kind("acl.c").print(HOST));
  const refusal = fileLine(kind("Registration - Device does not match ACL").print(HOST));
  assert.equal(bench.log(aside + refusal).settled().length, 1);
  bench.after(60_000);
  // chan_sip has no other line for a call.
  assert.equal(bench.log(aside).settled().length, 1);
});

Deno.test("handover: a registration by IAX2 and the answer to its challenge are one attempt", () => {
  const bench = new Bench().connected();
  const line = fileLine(kind("IAX2, no such peer").print(HOST));
  assert.equal(bench.log(line + line).settled().length, 1);
  bench.after(60_000);
  assert.equal(bench.log(line + line + line).settled().length, 2);
});

Deno.test("handover: of a flood around the login of AMI nothing is lost, and nothing counts twice", () => {
  const bench = new Bench();
  bench.handover.amiUp(bench.now);
  const some = Array.from({ length: 10_000 }, (_, i) => guess(`${i}`));
  for (const { security } of some) bench.log(security);
  for (const { event } of some.slice(0, 100)) bench.ami(event);
  bench.after(2 * SETTLE_MS, true);
  for (const { event } of some.slice(-100)) bench.ami(event);
  assert.equal(bench.settled().length, some.length);
});

Deno.test("handover: a flood keeps its memory bounded", () => {
  const bench = new Bench().connected();
  for (let i = 0; i < 20_000; i++) bench.log(guess(`${i}`).notice);
  assert.ok(bench.handover.waiting <= 8_192);
  for (let i = 0; i < 100_000; i++) bench.ami(challengeSent(HOST));
  bench.handover.amiDown(bench.now);
  bench.settled();
  assert.equal(bench.handover.waiting, 0);
});

/** Something that a random story does next. */
type Deed =
  | { readonly event: number; readonly line: number; readonly other: number }
  | "up"
  | "down"
  | "still"
  | "wait";

for (const has of ["security", "notice", "both", "both, in two files"] as const) {
  Deno.test(`handover: whenever AMI goes and comes, each request counts once (a log of ${has})`, () => {
    const deed = fc.oneof(
      // When its event arrives, and when its line is read, in steps: the network may be slow.
      { weight: 6, arbitrary: fc.record({ event: fc.nat(25), line: fc.nat(8), other: fc.nat(8) }) },
      { weight: 3, arbitrary: fc.constantFrom<Deed>("up", "down") },
      { weight: 1, arbitrary: fc.constant<Deed>("still") },
      { weight: 4, arbitrary: fc.constant<Deed>("wait") },
    );
    fc.assert(
      fc.property(fc.array(deed, { minLength: 5, maxLength: 40 }), (deeds) => {
        const bench = new Bench(has.startsWith("both,") ? 2 : 1);
        /** Which connection there is; 0: none. */
        let connection = 0;
        let connections = 0;
        let count = 0;
        const lines: { at: number; text: string; file: number }[] = [];
        /** Under way to the connection that there is, one after the other. */
        let events: { at: number; text: string; isSlow: boolean }[] = [];
        const arrive = <T extends { at: number }>(things: T[], take: (one: T) => void) => {
          while (things.length > 0 && things[0]!.at <= bench.now) take(things.shift()!);
        };
        const pass = (ms: number) => {
          for (const end = bench.now + ms; bench.now < end;) {
            bench.now += STEP_MS;
            lines.sort((a, b) => a.at - b.at);
            arrive(lines, ({ text, file }) => bench.log(text, file));
            arrive(events, ({ text }) => bench.ami(text));
            // Nothing overtakes what is under way.
            bench.look(0, connection > 0 && events.length === 0);
          }
        };
        const up = () => {
          if (connection > 0) return;
          connection = ++connections;
          bench.handover.amiUp(bench.now);
          bench.ami(successfulAuth("127.0.0.1", { session: `own ${connection}` }));
        };
        const down = () => {
          // What AMI says of before a line is not told from its word on that: a limit.
          if (events.some(({ isSlow }) => isSlow)) return;
          if (connection > 0) bench.handover.amiDown(bench.now);
          connection = 0;
          events = [];
        };
        for (const one of deeds) {
          if (one === "up") up();
          else if (one === "down") down();
          else if (one === "wait") pass(6 * STEP_MS);
          // All that is due is done at once afterwards.
          else if (one === "still") bench.now += 20 * STEP_MS;
          else {
            const { event, security, notice } = guess(`${count++}`);
            const at = Math.max(bench.now + one.event * STEP_MS, events.at(-1)?.at ?? 0);
            const isSlow = at - bench.now >= SETTLE_MS;
            if (connection > 0) events.push({ at, text: event, isSlow });
            const write = (text: string, steps: number, file = 0) =>
              lines.push({ at: bench.now + steps * STEP_MS, text, file });
            if (has === "security") write(security, one.line);
            else if (has === "notice") write(notice, one.line);
            else if (has === "both") write(security + notice, one.line);
            else {
              write(security, one.line);
              write(notice, one.other, 1);
            }
          }
          pass(STEP_MS);
        }
        pass(40 * STEP_MS);
        up();
        pass(40 * STEP_MS);
        const seen = bench.counted.filter((one) => one.endsWith(HOST));
        assert.equal(seen.length, count, bench.counted.join("\n"));
      }),
      { numRuns: 3_000 },
    );
  });
}
