/**
 * A stranger's text in account names, by Asterisk's own rules: PJSIP prints up to 36 decoded bytes
 * of it in InvalidAccountID, chan_sip up to 236 percent-encoded characters in ChallengeSent and
 * InvalidPassword (InvalidAccountID with alwaysauthreject=no). Whatever they write, they alone are
 * charged, nobody is forgiven, and everybody else's events arrive.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { MESSAGE_BYTES_MAX } from "../../src/ami/framer.ts";
import { EVENT_TYPES } from "../../src/ami/event.ts";
import {
  ACCOUNT_BYTES_MAX,
  ACCOUNT_ENCODED_MAX,
  EventReader,
  type Tampered,
} from "../../src/ami/event_reader.ts";
import {
  BANNER,
  bytesOf,
  challengeSent,
  type EventFields,
  printEvent,
  successfulAuth,
  unique,
  wrongAnswer,
} from "../support/asterisk_events.ts";

const ATTACKER = "203.0.113.66";
const VICTIM = "198.51.100.10";
const OTHER = "192.0.2.77";
const SIP_ENCODED_MAX = 236;
const PJSIP_DECODED_MAX = 36;

interface Read {
  events: string[];
  tampered: Tampered[];
}

/**
 * Reads a stream in pieces; `flushWithheld` after every piece is the worst case of slow pieces only
 * where it is asked for.
 */
function read(text: string, sizes: readonly number[] = [text.length]): Read {
  const result: Read = { events: [], tampered: [] };
  const reader = new EventReader({
    banner: () => {},
    // A stranger can forge an answer; the client asks for the id of its action.
    response: () => {},
    event: (event, verdict) =>
      void result.events.push(`${verdict} ${event.kind} ${event.address} ${event.account}`),
    tampered: (what) => void result.tampered.push(what),
  });
  const bytes = bytesOf(BANNER + text);
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length]!);
    reader.push(bytes.subarray(at, at + size));
    at += size;
  }
  reader.flushWithheld();
  return result;
}

function encodedLength(text: string): number {
  let length = 0;
  for (const character of text) length += /[A-Za-z0-9\-_.!~*'()&=+$,;?/]/.test(character) ? 1 : 3;
  return length;
}

/** The shortest texts with which a stranger could end an event of theirs and name somebody else. */
const ENDS: Record<string, string> = {
  ChallengeSent:
    `x\r\nSessionID: 0x1\r\nLocalAddress: IPV4/UDP/1.1.1.1/1\r\nRemoteAddress: IPV4/UDP/${VICTIM}/1\r\nChallenge: \r\n\r\n`,
  InvalidPassword:
    `x\r\nSessionID: 0x1\r\nLocalAddress: IPV4/UDP/1.1.1.1/1\r\nRemoteAddress: IPV4/UDP/${VICTIM}/1\r\nChallenge: \r\nReceivedChallenge: \r\nReceivedHash: \r\n\r\n`,
  InvalidAccountID:
    `x\r\nSessionID: 0x1\r\nLocalAddress: IPV4/UDP/1.1.1.1/1\r\nRemoteAddress: IPV4/UDP/${VICTIM}/1\r\n\r\n`,
};

function sipEvent(kind: string, account: string): string {
  const challenge = unique();
  const tails: Record<string, EventFields["tail"]> = {
    ChallengeSent: [["Challenge", challenge]],
    InvalidPassword: [["Challenge", challenge], ["ReceivedChallenge", challenge], [
      "ReceivedHash",
      unique().repeat(4),
    ]],
    InvalidAccountID: [],
  };
  return printEvent({
    kind,
    service: "SIP",
    account,
    session: `0x7f19${unique()}`,
    remote: `IPV4/UDP/${ATTACKER}/5060`,
    tail: tails[kind]!,
  });
}

Deno.test("event reader: an event whose end a stranger wrote is charged to its true sender, in any pieces, whatever comes before and behind", () => {
  for (const [kind, end] of Object.entries(ENDS)) {
    assert.ok(
      encodedLength(end) <= SIP_ENCODED_MAX,
      `${kind}: it fits into a SIP header (${encodedLength(end)})`,
    );
    for (
      const rest of [
        "",
        "A: ",
        "Event: X\r\nPrivilege: ",
        "Event: X\r\nPrivilege: a\r\n\r\n",
        "\r\n",
      ]
    ) {
      if (encodedLength(end + rest) > SIP_ENCODED_MAX) continue;
      const stream = wrongAnswer(OTHER, { service: "SIP", account: "before" }) +
        sipEvent(kind, end + rest) +
        wrongAnswer(OTHER, { service: "SIP", account: "behind" });
      for (const sizes of [[stream.length], [1], [7], [60], [300], [1400]]) {
        const { events, tampered } = read(stream, sizes);
        assert.deepEqual(
          events,
          [
            `security InvalidPassword ${OTHER} before`,
            `doubled RefusedMessage ${ATTACKER} `,
            `security InvalidPassword ${OTHER} behind`,
          ],
          `${kind} + ${JSON.stringify(rest)}`,
        );
        assert.ok(tampered.includes("forged end"));
      }
    }
  }
});

Deno.test("event reader: whatever part of an event a stranger writes, only its true sender is charged", () => {
  const end = (host: string) =>
    `x\r\nSessionID: 1\r\nLocalAddress: IPV4/UDP/1.1.1.1/1\r\nRemoteAddress: IPV4/UDP/${host}/1\r\n`;
  const pjsip = [
    "x\r\nX-Unknown: 1",
    "x\r\nRemoteAddress: IPV4/UDP/9.9.9.9/5",
    "x\r\n\r\nEvent: Shutdown\r\nPrivilege: a",
    "x\r\n\r\nEvent: SuccessfulAuth\r\nA: b",
    "x\r\n\r\nResponse: Error\r\nA: b",
  ].map((account) => {
    assert.ok(account.length <= PJSIP_DECODED_MAX, account);
    const remote = `IPV4/UDP/${ATTACKER}/5`;
    return printEvent({ kind: "InvalidAccountID", service: "PJSIP", account, remote });
  });
  const sip = [
    "x\r\nX-Unknown: 1",
    `${end(ATTACKER)}UsingPassword: 1\r\n\r\n`,
    `x\r\n\r\nEvent: SuccessfulAuth\r\nPrivilege: security,all\r\nRemoteAddress: IPV4/UDP/${ATTACKER}/1`,
    "x\r\n\r\nEvent: Shutdown\r\nPrivilege: system,all\r\nShutdown: Cleanly\r\nRestart: False\r\n\r\n",
    `x\r\nRemoteAddress: IPV4/UDP/${VICTIM}/1`,
  ].map((account) => {
    assert.ok(encodedLength(account) <= SIP_ENCODED_MAX, account);
    return sipEvent("InvalidPassword", account);
  });
  for (const forged of [...pjsip, ...sip]) {
    const stream = forged + wrongAnswer(OTHER, { service: "SIP", account: "behind" });
    for (const sizes of [[stream.length], [1], [60]]) {
      const { events } = read(stream, sizes);
      assert.deepEqual(events.at(-1), `security InvalidPassword ${OTHER} behind`, forged);
      assert.equal(events.length, 2, forged);
      assert.match(events[0]!, new RegExp(`^doubled \\w+ ${ATTACKER} `), forged);
    }
  }
});

Deno.test("event reader: a forged end at the end of a piece waits for what follows", () => {
  const forged = sipEvent("ChallengeSent", ENDS.ChallengeSent!);
  const events: string[] = [];
  const reader = new EventReader({
    banner: () => {},
    response: () => {},
    event: (event) => void events.push(event.address),
    tampered: () => {},
  });
  const cut = forged.indexOf("\r\n\r\n") + 4;
  reader.push(bytesOf(BANNER + forged.slice(0, cut)));
  assert.equal(reader.withheld, "until quiet");
  assert.deepEqual(events, []);
  reader.push(bytesOf(forged.slice(cut, cut + 5)));
  reader.flushWithheld();
  assert.deepEqual(events, [], "a message is under way: it may be the true end");
  reader.push(bytesOf(forged.slice(cut + 5)));
  reader.flushWithheld();
  assert.deepEqual(events, [ATTACKER]);
});

Deno.test("event reader: an honest event waits at most until it is quiet, and one too long to be forged in a header only briefly", () => {
  const seen: string[] = [];
  const reader = new EventReader({
    banner: () => {},
    response: () => {},
    event: (event) => void seen.push(event.kind),
    tampered: () => assert.fail(),
  });
  reader.push(bytesOf(BANNER + challengeSent(OTHER, { service: "SIP" })));
  assert.equal(reader.withheld, "until quiet");
  reader.flushWithheld();
  assert.deepEqual(seen.splice(0), ["ChallengeSent"]);
  reader.push(
    bytesOf(wrongAnswer(OTHER, { service: "SIP", remote: "IPV4/UDP/198.51.100.10/39025" })),
  );
  assert.equal(reader.withheld, "until next turn");
  reader.flushWithheld();
  assert.deepEqual(seen.splice(0), ["InvalidPassword"]);
  for (
    const text of [
      wrongAnswer(OTHER),
      challengeSent(OTHER),
      successfulAuth(OTHER),
      successfulAuth(OTHER, { service: "SIP" }),
    ]
  ) {
    reader.push(bytesOf(text));
    assert.equal(seen.splice(0).length, 1, "PJSIP and logins are not withheld");
  }
  assert.equal(reader.withheld, "nothing");
});

Deno.test("event reader: what could not be checked when the connection ends is dropped", () => {
  const { tampered, events } = ((): Read => {
    const result: Read = { events: [], tampered: [] };
    const reader = new EventReader({
      banner: () => {},
      response: () => {},
      event: (event) => void result.events.push(event.address),
      tampered: (what) => void result.tampered.push(what),
    });
    reader.push(bytesOf(BANNER + challengeSent(OTHER, { service: "SIP" })));
    reader.end();
    reader.push(bytesOf(BANNER + wrongAnswer(OTHER)));
    return result;
  })();
  assert.deepEqual(tampered, ["cut off"]);
  assert.deepEqual(events, [OTHER], "the next connection begins anew");
});

/** Pieces of the texts that forgers use, and honest ones. */
const fragment = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("\r\n", "\r\n\r\n", "\r", "\n", ": ", "x", "A: b", "") },
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "SessionID: 0x1",
      "LocalAddress: IPV4/UDP/1.1.1.1/1",
      `RemoteAddress: IPV4/UDP/${VICTIM}/1`,
      `RemoteAddress: IPV4/${VICTIM}/1`,
      "Challenge: ",
      "ReceivedChallenge: ",
      "ReceivedHash: ",
      "UsingPassword: 1",
      "ACLName: x",
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      "Event: SuccessfulAuth",
      "Event: ChallengeSent",
      "Event: InvalidPassword",
      "Event: Shutdown",
      "Event: X\r\nPrivilege: system,all",
      "Response: Error",
      "Privilege: security,all",
      "EventTV: 2026-11-22T08:09:09.918+0000",
      "Severity: Error",
      "Severity: Informational",
      "Service: SIP",
      "EventVersion: 1",
      "EventVersion: 2",
      "AccountID: 1",
    ),
  },
  { weight: 2, arbitrary: fc.constantFrom(...Object.values(ENDS)) },
);

/** Joins fragments as long as they fit. */
function fit(fragments: string[], fits: (text: string) => boolean): string {
  let text = "";
  for (const next of fragments) if (fits(text + next)) text += next;
  return text;
}

const account = fc.array(fragment, { maxLength: 14 });
const lines = fc.array(fragment, { maxLength: 10 }).map((fragments) =>
  fragments.flatMap((f) => [f, "\r\n"])
);
const sizes = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 6 });

Deno.test("event reader: no text in an account name charges or clears anybody else, or hides anybody else's events", () => {
  const kinds = fc.constantFrom("ChallengeSent", "InvalidPassword", "InvalidAccountID", "PJSIP");
  fc.assert(
    fc.property(
      fc.array(fc.tuple(kinds, fc.oneof(account, lines)), { minLength: 1, maxLength: 4 }),
      sizes,
      (attacks, pieces) => {
        let stream = "";
        const honest: string[] = [];
        for (const [i, [kind, fragments]] of attacks.entries()) {
          stream += wrongAnswer(OTHER, {
            service: i % 2 === 0 ? "SIP" : "PJSIP",
            account: `honest${i}`,
          });
          honest.push(`honest${i}`);
          stream += kind === "PJSIP"
            ? printEvent({
              kind: "InvalidAccountID",
              service: "PJSIP",
              account: fit(fragments, (text) => text.length <= PJSIP_DECODED_MAX),
              remote: `IPV4/UDP/${ATTACKER}/5`,
            })
            : sipEvent(kind, fit(fragments, (text) => encodedLength(text) <= SIP_ENCODED_MAX));
        }
        stream += challengeSent(OTHER, { service: "SIP", account: "last" });
        honest.push("last");
        const { events } = read(stream, pieces);
        for (const event of events) {
          const [verdict, kind, address] = event.split(" ");
          assert.ok(address === ATTACKER || address === OTHER, event);
          assert.notEqual(kind, "SuccessfulAuth", event);
          if (address === OTHER) assert.equal(verdict, "security");
        }
        assert.deepEqual(
          events.filter((e) => e.includes(OTHER)).map((e) => e.split(" ")[3]),
          honest,
        );
      },
    ),
    { numRuns: 5_000 },
  );
});

Deno.test("event reader: the window covers every remainder that Asterisk can print", () => {
  // The remainder begins behind at most the stranger's decoded text, which is never longer than its
  // encoded form.
  assert.ok(SIP_ENCODED_MAX <= ACCOUNT_BYTES_MAX);
  // And an honest event is over before the next but one begins, so that no honest event is dropped
  // for another's sake.
  const honest = sipEvent("ChallengeSent", "");
  const behindAccount = honest.length - honest.indexOf("SessionID");
  const head = sipEvent("ChallengeSent", "").indexOf("SessionID");
  assert.ok(behindAccount + head > ACCOUNT_BYTES_MAX - 8, `${behindAccount} + ${head}`);
});

Deno.test("event reader: behind an event that is too long nothing is taken for one that was read", () => {
  const seen: string[] = [];
  const reader = new EventReader({
    event: (event) => void seen.push(event.address),
    response: () => {},
    tampered: (what) => void seen.push(what),
    banner: () => {},
  });
  const long = wrongAnswer("203.0.113.5", { session: "x".repeat(MESSAGE_BYTES_MAX) });
  // An empty line more, so that the next message is searched for its end at once.
  reader.push(bytesOf(`x\r\n${long}\r\nEvent: junk\r\n\r\n${wrongAnswer("203.0.113.6")}`));
  assert.deepEqual(seen, ["oversized", "203.0.113.5", "malformed", "203.0.113.6"]);
});

/** The beginnings of events, as short as they can be. */
const HEADS = [
  "MemoryLimit SIP",
  "SessionLimit SIP",
  "InvalidAccountID SIP",
  "InvalidAccountID PJSIP",
  "FailedACL AMI",
  "ChallengeSent SIP",
  "SuccessfulAuth SIP",
].map((name) => {
  const [kind, service] = name.split(" ");
  const severity = kind === "ChallengeSent" || kind === "SuccessfulAuth"
    ? "Informational"
    : "Error";
  return `Event: ${kind}\r\nPrivilege: security,all\r\nEventTV: 2026-11-22T08:09:09.918+0000\r\n` +
    `Severity: ${severity}\r\nService: ${service}\r\nEventVersion: 1\r\nAccountID: `;
});

/** The shortest ends that name somebody, with texts that cost as little as the barrier assumes. */
const SHORT_END = `\r\nSessionID: \r\nLocalAddress: IPV4/\r\nRemoteAddress: IPV4/${VICTIM}/1\r\n`;

/** What a stranger needs at least to write a text: what else must be encoded is not relied on. */
function leastLength(text: string): number {
  return text.length + 2 * (text.match(/[\r\n:]/g)?.length ?? 0);
}

Deno.test("event reader: there is no room for both an end that names somebody and the head of another event", () => {
  const head = Math.min(...HEADS.map(leastLength));
  assert.ok(leastLength(SHORT_END.replace(VICTIM, "1.1.1.1")) + head > ACCOUNT_ENCODED_MAX);
});

Deno.test("event reader: whatever a stranger writes, nobody but the true sender is charged, and they always are", () => {
  const text = fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fragment },
      { weight: 2, arbitrary: fc.constantFrom(...HEADS) },
      {
        weight: 3,
        arbitrary: fc.constantFrom(SHORT_END, `${SHORT_END}\r\n`, `${SHORT_END}Z: \r\n\r\n`),
      },
    ),
    { maxLength: 12 },
  );
  const kinds = fc.constantFrom("ChallengeSent", "InvalidPassword", "InvalidAccountID", "PJSIP");
  const between = fc.constantFrom(
    "",
    "Response: Success\r\nActionID: 1\r\nPing: Pong\r\n\r\n",
    "Event: PeerStatus\r\nPrivilege: system,all\r\nChannelType: SIP\r\n\r\n",
    wrongAnswer(OTHER, { service: "SIP", session: "honest" }),
    challengeSent(OTHER, { session: "honest" }),
    successfulAuth(OTHER, { session: "honest" }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(kinds, fc.oneof(text, lines), between), { minLength: 1, maxLength: 5 }),
      sizes,
      (attacks, pieces) => {
        let stream = "";
        let honest = 0;
        for (const [i, [kind, fragments, behind]] of attacks.entries()) {
          const printed = kind === "PJSIP"
            ? printEvent({
              kind: "InvalidAccountID",
              service: "PJSIP",
              account: fit(fragments, (text) => text.length <= PJSIP_DECODED_MAX),
              remote: `IPV4/UDP/${ATTACKER}/5`,
            })
            : sipEvent(kind, fit(fragments, (text) => leastLength(text) <= ACCOUNT_ENCODED_MAX));
          stream += printed.replaceAll(ATTACKER, `203.0.113.${i}`) + behind;
          if (behind.includes(OTHER)) honest++;
        }
        const { events } = read(stream, pieces);
        const charged = new Set<string>();
        for (const event of events) {
          const [verdict, kind, address] = event.split(" ");
          if (address === OTHER) {
            honest--;
            assert.equal(verdict, "security", event);
            continue;
          }
          assert.match(address!, /^203\.0\.113\./, event);
          assert.match(kind!, /^(ChallengeSent|Invalid.*|RefusedMessage)$/);
          charged.add(address!);
        }
        assert.equal(charged.size, attacks.length, "somebody was not charged");
        assert.equal(honest, 0, "an honest event was lost");
      },
    ),
    { numRuns: 20_000 },
  );
});

Deno.test("event reader: an event too long to be kept is charged to its true sender, in any pieces", () => {
  for (const length of [65_200, 131_000, 200_000, 700_000]) {
    for (const victim of ["", `RemoteAddress: IPV4/UDP/${VICTIM}/1`]) {
      const session = victim + "s".repeat(length - victim.length);
      const stream = wrongAnswer(OTHER) +
        wrongAnswer(ATTACKER, { session }) +
        wrongAnswer(ATTACKER, {
          tail: [["Challenge", `1/${session}`], ["Response", session], ["ExpectedResponse", ""]],
        }) + successfulAuth(ATTACKER, { session: session.repeat(3) }) + wrongAnswer(OTHER);
      for (
        const pieces of [[stream.length], [1, 70_000], [64, 65_536], [1_460], [17, 333, 4_096]]
      ) {
        const { events } = read(stream, pieces);
        assert.deepEqual(
          events.map((event) => event.split(" ")[2]),
          [OTHER, ATTACKER, ATTACKER, OTHER],
          `${length} in pieces of ${pieces}`,
        );
        const kinds = new Set(events.map((event) => event.split(" ")[1]));
        assert.equal(kinds.has("RefusedMessage"), length > 65_200);
      }
    }
  }
});

Deno.test("event reader: a message of a form that is not known charges nobody", () => {
  // A later Asterisk may print a header more: no phone may pay for that.
  for (const print of [challengeSent, wrongAnswer, successfulAuth]) {
    for (const service of ["PJSIP", "SIP"] as const) {
      const text = print(OTHER, { service });
      const lines = text.slice(0, -4).split("\r\n");
      for (let i = 2; i <= lines.length; i++) {
        // Between AccountID and SessionID only a stranger can write.
        if (lines[i]?.startsWith("SessionID")) continue;
        const changed = lines.toSpliced(i, 0, "New: header").join("\r\n") + "\r\n\r\n";
        for (const times of [1, 2]) {
          const { events } = read(changed.repeat(times) + successfulAuth(OTHER));
          assert.deepEqual(events.map((event) => event.split(" ")[1]), ["SuccessfulAuth"], changed);
        }
      }
    }
  }
});

Deno.test("event reader: a refused message is a wrong answer, and each one an attempt of its own", () => {
  const sessions = new Set<number>();
  const reader = new EventReader({
    banner: () => {},
    response: () => {},
    event: (event, verdict) => {
      assert.deepEqual(
        [verdict, event.kind, event.service, event.transport, event.account, event.detail],
        ["doubled", "RefusedMessage", "PJSIP", "TLS", "", ""],
      );
      assert.deepEqual(EVENT_TYPES[event.type], { kind: "RefusedMessage", service: "PJSIP" });
      assert.equal(event.time, "2026-11-22T08:09:09.918+0000");
      assert.equal(event.provesPath, false);
      assert.equal(event.hasAnswer, false);
      sessions.add(event.session);
    },
    tampered: () => {},
  });
  reader.push(bytesOf(BANNER));
  for (let i = 0; i < 3; i++) {
    reader.push(bytesOf(printEvent({
      kind: "InvalidAccountID",
      service: "PJSIP",
      account: "x\r\nA: b",
      remote: `IPV4/TLS/${ATTACKER}/5061`,
    })));
  }
  assert.equal(sessions.size, 3);
});
