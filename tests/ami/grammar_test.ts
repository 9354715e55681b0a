/** Which headers each event has, in Asterisk's order. */

import assert from "node:assert/strict";
import { challengeSent, type EventFields, printEvent } from "../support/asterisk_events.ts";
import { parse } from "../support/parsing.ts";

const REMOTE = "IPV4/UDP/203.0.113.5/37275";
const SESSION_TV = ["SessionTV", "1970-01-01T00:00:00.000+0000"] as const;

Deno.test("grammar: each kind and service that Asterisk sends", () => {
  const kinds: EventFields[] = [
    {
      kind: "SuccessfulAuth",
      service: "AMI",
      remote: REMOTE,
      tail: [["UsingPassword", "0"], SESSION_TV],
    },
    { kind: "SuccessfulAuth", service: "SIP", remote: REMOTE, tail: [["UsingPassword", "1"]] },
    { kind: "ChallengeSent", service: "SIP", remote: REMOTE, tail: [["Challenge", "47fd64b4"]] },
    { kind: "ChallengeSent", service: "IAX2", remote: REMOTE, tail: [["Challenge", "1234"]] },
    {
      kind: "ChallengeResponseFailed",
      service: "AMI",
      remote: REMOTE,
      tail: [
        ["Challenge", "129575309"],
        ["Response", "9c"],
        ["ExpectedResponse", "d4"],
        SESSION_TV,
      ],
    },
    { kind: "InvalidPassword", service: "AMI", remote: REMOTE, tail: [SESSION_TV] },
    {
      kind: "InvalidPassword",
      service: "SIP",
      remote: REMOTE,
      tail: [["Challenge", ""], ["ReceivedChallenge", ""], ["ReceivedHash", ""]],
    },
    { kind: "InvalidPassword", service: "IAX2", remote: REMOTE },
    { kind: "InvalidAccountID", service: "PJSIP", remote: REMOTE },
    { kind: "InvalidAccountID", service: "AMI", remote: REMOTE, tail: [SESSION_TV] },
    {
      kind: "FailedACL",
      service: "PJSIP",
      remote: REMOTE,
      tail: [["ACLName", "not_match_endpoint_acl"]],
    },
    {
      kind: "FailedACL",
      service: "SIP",
      remote: REMOTE,
      tail: [["Module", "chan_sip"], ["ACLName", "x"]],
    },
    { kind: "FailedACL", service: "AMI", remote: REMOTE, tail: [SESSION_TV] },
    { kind: "RequestNotSupported", service: "PJSIP", remote: REMOTE, tail: [["RequestType", "x"]] },
    {
      kind: "RequestNotAllowed",
      service: "AMI",
      remote: REMOTE,
      tail: [["RequestType", "Action: Status"], SESSION_TV],
    },
    {
      kind: "InvalidTransport",
      service: "SIP",
      remote: REMOTE,
      tail: [["AttemptedTransport", "UDP"]],
    },
    { kind: "SessionLimit", service: "AMI", remote: REMOTE, tail: [SESSION_TV] },
    { kind: "SessionLimit", service: "SIP", remote: REMOTE },
  ];
  for (const fields of kinds) {
    const { verdict, event } = parse(printEvent(fields));
    assert.equal(verdict, "security", JSON.stringify(fields));
    assert.equal(event.kind, fields.kind);
    assert.equal(event.service, fields.service);
  }
});

Deno.test("grammar: RequestBadFormat has its account last", () => {
  const text = printEvent({
    kind: "RequestBadFormat",
    service: "AMI",
    remote: "IPV4/TCP/203.0.113.5/5",
    tail: [["RequestType", "Action: NONE"], SESSION_TV, ["AccountID", ""]],
  }).replace("AccountID: 100\r\n", "");
  const { verdict, event } = parse(text);
  assert.equal(verdict, "security");
  assert.equal(event.anonymous, true);
  assert.equal(event.detail, "Action: NONE");
});

Deno.test("grammar: general headers, only where and as Asterisk puts them", () => {
  const all = [
    ["Timestamp", "1795336477.393035"],
    ["SequenceNumber", "12"],
    ["File", "manager.c"],
    ["Line", "1"],
    ["Func", "f"],
    ["SystemName", "pbx1"],
  ] as const;
  for (const general of [all, all.slice(0, 1), all.slice(5), all.slice(1)]) {
    assert.equal(parse(challengeSent("203.0.113.5", { general })).verdict, "security");
  }
  for (const general of [[all[5], all[0]], [all[0], all[0]], [["Other", "x"]]] as const) {
    assert.equal(parse(challengeSent("203.0.113.5", { general })).verdict, "tampered");
  }
});
