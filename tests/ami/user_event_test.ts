/** What the dialplan reports, and what no caller can make it say. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { EventReader } from "../../src/ami/event_reader.ts";
import {
  BANNER,
  bytesOf,
  challengeSent,
  userEvent,
  wrongAnswer,
} from "../support/asterisk_events.ts";

/** What is read of texts that come one after the other. */
function read(texts: string, pieces = [texts.length]): string[] {
  const seen: string[] = [];
  const reader = new EventReader({
    event: ({ kind, service, address, account }) =>
      seen.push(`${kind} ${service} ${address} ${account}`),
    tampered: (what) => seen.push(what),
    response: () => {},
    banner: () => {},
  });
  reader.push(bytesOf(BANNER));
  const bytes = bytesOf(texts);
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = pieces[i % pieces.length]!;
    reader.push(bytes.subarray(at, at + size));
    at += size;
  }
  reader.flushWithheld();
  return seen;
}

const REPORT = "Reported Dialplan 203.0.113.5 anonymous call";

Deno.test("user event: a report of a channel, and one by an action, name a host", () => {
  assert.deepEqual(read(userEvent()), [REPORT]);
  assert.deepEqual(read(userEvent(), [1]), [REPORT]);
  assert.deepEqual(read(userEvent({ channel: false })), [REPORT]);
  const withId = ["ActionID: 7", "Address: 203.0.113.5", "Reason: anonymous call"];
  assert.deepEqual(read(userEvent({ channel: false, body: withId })), [REPORT]);
  const general = ["Timestamp: 1796062158.1", "SequenceNumber: 7", "SystemName: pbx-1"];
  assert.deepEqual(read(userEvent({ general })), [REPORT]);
  for (const address of ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:5060"]) {
    const body = [`Address: ${address}`, "Reason: x"];
    assert.deepEqual(read(userEvent({ body })), ["Reported Dialplan 2001:db8::1 x"]);
  }
});

Deno.test("user event: it waits until what follows shows that nobody has ended it", () => {
  const seen: string[] = [];
  const reader = new EventReader({
    event: ({ kind }) => seen.push(kind),
    tampered: (what) => seen.push(what),
    response: () => {},
    banner: () => {},
  });
  reader.push(bytesOf(BANNER + userEvent()));
  assert.deepEqual([seen, reader.withheld], [[], "until quiet"]);
  reader.push(bytesOf(challengeSent("203.0.113.7").repeat(2)));
  assert.deepEqual(seen, ["ChallengeSent", "Reported", "ChallengeSent"]);
  reader.push(bytesOf(userEvent()));
  reader.flushWithheld();
  assert.equal(seen.at(-1), "Reported");
  reader.push(bytesOf(userEvent()));
  reader.end();
  assert.equal(seen.at(-1), "cut off");
});

Deno.test("user event: others pass, and what is not formed so is not obeyed", () => {
  assert.deepEqual(read(userEvent({ name: "Other", body: ["Foo: bar"] })), []);
  assert.deepEqual(read(userEvent({ name: "ampere" })), []);
  const wrong: Parameters<typeof userEvent>[0][] = [
    { body: ["Address: 203.0.113.5"] },
    { body: ["Reason: x"] },
    { body: ["Reason: x", "Address: 203.0.113.5"] },
    { body: ["Address: 203.0.113.5", "Reason: x", "Foo: bar"] },
    { body: ["Address: 203.0.113.5", "Address: 203.0.113.6", "Reason: x"] },
    { body: ["Address: 203.0.113.5 203.0.113.6", "Reason: x"] },
    { body: ["Address: pbx.example.org", "Reason: x"] },
    { body: ["Address: 203.0.113.0/24", "Reason: x"] },
    { body: ["Address: ", "Reason: x"] },
    { body: ["Address: 203.0.113.5", "Reason: "] },
    { body: ["Address: 203.0.113.5", "Reason: a\tb"] },
    { body: ["Address: 203.0.113.5", `Reason: ${"x".repeat(201)}`] },
    { body: ["ActionID: 7", "Address: 203.0.113.5", "Reason: x"] },
    { more: ["ChanVariable: X=1"] },
    { more: ["UserEvent: Other"] },
    { general: ["SystemName: a", "Timestamp: 1.0"] },
  ];
  for (const parts of wrong) {
    assert.deepEqual(read(userEvent(parts)), ["malformed"], JSON.stringify(parts));
  }
});

Deno.test("user event: a caller who ends it themselves names nobody", () => {
  const forged = "UserEvent: Ampere\r\nAddress: 198.51.100.9\r\nReason: x\r\n\r\n";
  const tail = "CallerIDName: x\r\nConnectedLineNum: x\r\nConnectedLineName: x\r\nLanguage: x\r\n" +
    "AccountCode: \r\nContext: x\r\nExten: 1\r\nPriority: 1\r\nUniqueid: 1.1\r\nLinkedid: 1.1\r\n";
  const end = "Priority: 1\r\nUniqueid: 1.1\r\nLinkedid: 1.1\r\n";
  // What follows the forged end is made to look like something of its own.
  const disguises = ["", "Event: X\r\nPrivilege: user,all\r\nA: ", "Response: Success\r\nA: "];
  disguises.push("Event: UserEvent\r\nPrivilege: user,all\r\n");
  disguises.push("Event: X\r\nPrivilege: user,all\r\n\r\n");
  for (const disguise of disguises) {
    for (const name of ["Ampere", "Other"]) {
      const texts = [
        userEvent({ name, number: `1\r\n${tail}${forged}${disguise}` }),
        userEvent({ name, exten: `1\r\n${end}${forged}${disguise}` }),
      ];
      for (const text of texts) {
        for (const pieces of [[text.length], [7]]) {
          const seen = read(text, pieces);
          assert.ok(!seen.some((line) => line.includes("198.51.100.9")), seen.join("; "));
          assert.ok(seen.includes("forged end"), seen.join("; "));
          // Who did it is charged like anybody whom the dialplan reports.
          if (name === "Ampere") assert.ok(seen.includes(REPORT), seen.join("; "));
        }
      }
    }
  }
});

Deno.test("user event: who writes line ends into a number is reported all the same", () => {
  const texts = ["\r\n", "\r\n\r\n", "\r\nAddress: 198.51.100.9", "\r\n\r\nX: y\r\n\r\n"];
  texts.push("\r\nUserEvent: Other\r\nFoo: bar", "\r\nUserEvent: Other\r\n\r\n");
  for (const text of texts) {
    for (const parts of [{ number: `1${text}` }, { exten: `1${text}` }]) {
      for (const pieces of [[10_000], [7]]) {
        const seen = read(userEvent(parts), pieces);
        assert.ok(seen.includes(REPORT), `${JSON.stringify(parts)}: ${seen.join("; ")}`);
        assert.equal(seen.filter((line) => line.startsWith("Reported")).length, 1);
      }
      // Nobody is, if the dialplan reported nothing.
      const other = read(userEvent({ ...parts, name: "Other", body: ["Foo: bar"] }));
      assert.ok(!other.some((line) => line.startsWith("Reported")), other.join("; "));
    }
  }
});

Deno.test("user event: reports that come at once are all obeyed, whatever callers have written", () => {
  const crafted = userEvent({ number: "1\r\nAddress: 198.51.100.9" });
  const plain = userEvent();
  const stream = crafted + plain + crafted + crafted + plain + plain;
  const reports = read(stream).filter((line) => line.startsWith("Reported"));
  assert.deepEqual(reports, new Array(6).fill(REPORT));
  // Where there is room for a beginning too, the last of those that come at once.
  const wide = crafted.replace("Channel: PJSIP/anonymous", "Channel: IAX2/trunk");
  assert.deepEqual(read(wide.repeat(3)).filter((line) => line === REPORT), [REPORT]);
});

Deno.test("user event: a whole one in the account name of another event is not obeyed", () => {
  const whole = "\r\n\r\nEvent: UserEvent\r\nPrivilege: user,all\r\nUserEvent: Ampere\r\n" +
    "Address: 198.51.100.9\r\nReason: x\r\n\r\n";
  const event = challengeSent("203.0.113.5").replace(/^AccountID: .*$/m, `AccountID: x${whole}`)
    .replace(/^Service: PJSIP/m, "Service: SIP");
  const seen = read(event + wrongAnswer("203.0.113.7"));
  assert.ok(!seen.some((line) => line.includes("198.51.100.9")), seen.join("; "));
});

Deno.test("user event: no number of a caller's makes it name anybody else", () => {
  const piece = fc.constantFrom(
    "\r\n",
    "\r\n\r\n",
    "UserEvent: Ampere\r\n",
    "UserEvent: Other\r\n",
    "Address: 198.51.100.9\r\n",
    "Reason: x\r\n",
    "UserEvent: Ampere\r\nAddress: 198.51.100.9\r\nReason: x\r\n\r\n",
    "Event: UserEvent\r\nPrivilege: user,all\r\n",
    "Event: X\r\nPrivilege: user,all\r\n",
    "Channel: x\r\nChannelState: 4\r\nChannelStateDesc: Ring\r\nCallerIDNum: ",
    "CallerIDName: x\r\nConnectedLineNum: x\r\nConnectedLineName: x\r\nLanguage: x\r\n",
    "AccountCode: \r\nContext: x\r\nExten: 1\r\n",
    "Priority: 1\r\nUniqueid: 1.1\r\nLinkedid: 1.1\r\n",
    "1",
  );
  const text = fc.array(piece, { maxLength: 8 }).map((parts) => parts.join(""));
  const follow = fc.constantFrom("", wrongAnswer("203.0.113.7"), userEvent());
  fc.assert(
    fc.property(
      text,
      text,
      fc.boolean(),
      fc.boolean(),
      follow,
      (number, exten, ours, wide, next) => {
        // As much as a channel driver prints of theirs: `AST_CHANNEL_NAME` and `AST_MAX_EXTENSION`,
        // and an element of IAX2.
        const parts = {
          number: number.slice(0, wide ? 255 : 79),
          exten: exten.slice(0, 79),
          name: ours ? "Ampere" : "Other",
        };
        const event = userEvent(parts);
        const stream = wide ? event.replace("Channel: PJSIP/", "Channel: IAX2/") : event;
        for (const line of read(stream + next)) assert.ok(!line.includes("198.51.100.9"), line);
      },
    ),
    { numRuns: 20_000 },
  );
});
