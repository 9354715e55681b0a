import assert from "node:assert/strict";
import { parseAddress } from "../../src/address/address.ts";
import { parseMessage, type Verdict } from "../../src/ami/parser.ts";
import { SecurityEvent, TEXT_CHARACTERS_MAX } from "../../src/ami/event.ts";
import {
  bytesOf,
  challengeSent,
  type EventFields,
  failedAcl,
  printEvent,
  successfulAuth,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { recordings } from "../support/recordings.ts";

function parse(text: string): { verdict: Verdict; event: SecurityEvent } {
  const bytes = bytesOf(text);
  const event = new SecurityEvent();
  // The message as the framer hands it on: without its empty line, somewhere in a buffer.
  const buffer = new Uint8Array(bytes.length + 10);
  buffer.set(bytes, 5);
  return { verdict: parseMessage(buffer, 5, 5 + bytes.length - 2, event), event };
}

const SESSION_TV = ["SessionTV", "1970-01-01T00:00:00.000+0000"] as const;
const remote = "IPV4/UDP/203.0.113.5/37275";

Deno.test("security event: every field of a wrong answer", () => {
  const { verdict, event } = parse(
    wrongAnswer("203.0.113.5", { account: "100", remote: "IPV4/TLS/203.0.113.5/37275" }),
  );
  assert.equal(verdict, "security");
  assert.equal(event.kind, "ChallengeResponseFailed");
  assert.equal(event.service, "PJSIP");
  assert.equal(event.transport, "TLS");
  assert.equal(event.address, "203.0.113.5");
  assert.equal(event.port, 37275);
  assert.equal(event.account, "100");
  assert.equal(event.time, "2026-11-22T08:09:09.918+0000");
});

Deno.test("security event: the time is digits and signs where Asterisk prints them, and nothing else", () => {
  const pattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}$/;
  const text = wrongAnswer("203.0.113.5");
  const time = "2026-11-22T08:09:09.918+0000";
  const at = text.indexOf(time);
  for (let place = 0; place < time.length; place++) {
    for (let byte = 0; byte < 256; byte++) {
      const changed = time.slice(0, place) + String.fromCharCode(byte) + time.slice(place + 1);
      const { verdict } = parse(text.slice(0, at) + changed + text.slice(at + time.length));
      assert.equal(verdict === "security", pattern.test(changed), JSON.stringify(changed));
    }
  }
});

Deno.test("security event: a remote address, byte by byte", () => {
  const pattern = /^IPV4\/(?:(?:UDP|TCP|TLS|WSS?)\/)?(?<address>[\d.]+)\/(?<port>\d{1,5})$/;
  const seen = { good: 0, bad: 0 };
  for (
    const remote of ["IPV4/UDP/203.0.113.5/37275", "IPV4/WS/10.20.30.255/7", "IPV4/9.9.9.9/65535"]
  ) {
    const text = wrongAnswer("203.0.113.5", { remote });
    const at = text.indexOf(remote);
    for (let place = 0; place < remote.length; place++) {
      for (let byte = 0; byte < 256; byte++) {
        const changed = remote.slice(0, place) + String.fromCharCode(byte) +
          remote.slice(place + 1);
        const { verdict, event } = parse(
          text.slice(0, at) + changed + text.slice(at + remote.length),
        );
        const { address = "", port = "" } = pattern.exec(changed)?.groups ?? {};
        const isGood = parseAddress(address) === address && Number(port) <= 65_535;
        assert.equal(verdict === "security", isGood, JSON.stringify(changed));
        if (isGood) assert.deepEqual([event.address, event.port], [address, Number(port)]);
        seen[isGood ? "good" : "bad"]++;
      }
    }
  }
  assert(seen.good > 200 && seen.bad > 10_000);
});

Deno.test("security event: each kind and service that Asterisk sends", () => {
  const kinds: EventFields[] = [
    { kind: "SuccessfulAuth", service: "AMI", remote, tail: [["UsingPassword", "0"], SESSION_TV] },
    { kind: "SuccessfulAuth", service: "SIP", remote, tail: [["UsingPassword", "1"]] },
    { kind: "ChallengeSent", service: "SIP", remote, tail: [["Challenge", "47fd64b4"]] },
    { kind: "ChallengeSent", service: "IAX2", remote, tail: [["Challenge", "1234"]] },
    {
      kind: "ChallengeResponseFailed",
      service: "AMI",
      remote,
      tail: [
        ["Challenge", "129575309"],
        ["Response", "9c"],
        ["ExpectedResponse", "d4"],
        SESSION_TV,
      ],
    },
    { kind: "InvalidPassword", service: "AMI", remote, tail: [SESSION_TV] },
    {
      kind: "InvalidPassword",
      service: "SIP",
      remote,
      tail: [["Challenge", ""], ["ReceivedChallenge", ""], ["ReceivedHash", ""]],
    },
    { kind: "InvalidPassword", service: "IAX2", remote },
    { kind: "InvalidAccountID", service: "PJSIP", remote },
    { kind: "InvalidAccountID", service: "AMI", remote, tail: [SESSION_TV] },
    { kind: "FailedACL", service: "PJSIP", remote, tail: [["ACLName", "not_match_endpoint_acl"]] },
    { kind: "FailedACL", service: "SIP", remote, tail: [["Module", "chan_sip"], ["ACLName", "x"]] },
    { kind: "FailedACL", service: "AMI", remote, tail: [SESSION_TV] },
    { kind: "RequestNotSupported", service: "PJSIP", remote, tail: [["RequestType", "x"]] },
    {
      kind: "RequestNotAllowed",
      service: "AMI",
      remote,
      tail: [["RequestType", "Action: Status"], SESSION_TV],
    },
    { kind: "InvalidTransport", service: "SIP", remote, tail: [["AttemptedTransport", "UDP"]] },
    { kind: "SessionLimit", service: "AMI", remote, tail: [SESSION_TV] },
    { kind: "SessionLimit", service: "SIP", remote },
  ];
  for (const fields of kinds) {
    const { verdict, event } = parse(printEvent(fields));
    assert.equal(verdict, "security", JSON.stringify(fields));
    assert.equal(event.kind, fields.kind);
    assert.equal(event.service, fields.service);
  }
});

Deno.test("security event: RequestBadFormat has its account last", () => {
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

Deno.test("security event: general headers, only where and as Asterisk puts them", () => {
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

Deno.test("security event: addresses", () => {
  const good: Record<string, [string, string]> = {
    "IPV4/203.0.113.5/37275": ["203.0.113.5", ""],
    "IPV4/WSS/203.0.113.5/1": ["203.0.113.5", "WSS"],
    "IPV4/WS/0.0.0.0/0": ["0.0.0.0", "WS"],
    "IPV4/TCP/255.255.255.255/65535": ["255.255.255.255", "TCP"],
    "IPV6/TLS/2001:db8:bad::12/33347": ["2001:db8:bad::12", "TLS"],
    "IPV6/2001:db8:bad::ffff:c000:221/33347": ["2001:db8:bad::ffff:c000:221", ""],
    "IPV6/UDP/::ffff:203.0.113.5/5": ["203.0.113.5", "UDP"],
    "IPV6/UDP/fe80::1%eth0/5": ["fe80::1", "UDP"],
    "IPV6/UDP/FE80::1/5": ["fe80::1", "UDP"],
    "IPV6/WS/::1/5": ["::1", "WS"],
    "IPV6/WSS/::/5": ["::", "WSS"],
    "IPV6/TCP/1::/5": ["1::", "TCP"],
  };
  for (const [text, [address, transport]] of Object.entries(good)) {
    const { verdict, event } = parse(challengeSent("1.1.1.1", { remote: text }));
    assert.equal(verdict, "security", text);
    assert.equal(event.address, address);
    assert.equal(event.transport, transport);
  }
  const bad = [
    "",
    "IPV4",
    "IPV4/",
    "IPV4/UDP/203.0.113.5",
    "IPV4/UDP/203.0.113.5/",
    "IPV4/UDP/203.0.113.5/65536",
    "IPV4/UDP/203.0.113.5/123456",
    "IPV4/UDP/203.0.113.5/5x",
    "IPV4/UDP/203.0.113.256/5",
    "IPV4/UDP/203.0.113/5",
    "IPV4/UDP/203.0.113.5.6/5",
    "IPV4/UDP/203.0.113.05/5",
    "IPV4/UDP/203.0.113.5 /5",
    "IPV4/UDP/2001:db8::1/5",
    "IPV4/SCTP/203.0.113.5/5",
    "IPV4/UDP/TCP/203.0.113.5/5",
    "IPV6/UDP/203.0.113.5/5",
    "IPV6/UDP/2001:db8::1::2/5",
    "IPV6/UDP/[2001:db8::1]/5",
    "IPV6/UDP/2001:db8::1%eth0;reboot/5",
    "IPV5/UDP/203.0.113.5/5",
    "ipv4/UDP/203.0.113.5/5",
    " IPV4/UDP/203.0.113.5/5",
    "IPV4/UDP/$(reboot)/5",
  ];
  for (const text of bad) {
    assert.equal(parse(challengeSent("1.1.1.1", { remote: text })).verdict, "tampered", text);
  }
});

Deno.test("security event: anything added, left out, doubled, moved or changed is tampered", () => {
  const events = [
    challengeSent("203.0.113.5"),
    wrongAnswer("203.0.113.5"),
    wrongAnswer("203.0.113.5", { service: "SIP" }),
    successfulAuth("203.0.113.5"),
    failedAcl("203.0.113.5", "not_match_endpoint_acl"),
  ];
  for (const text of events) {
    assert.equal(parse(text).verdict, "security");
    const lines = text.split("\r\n").slice(0, -2);
    const print = (changed: string[]) => changed.map((line) => line + "\r\n").join("") + "\r\n";
    for (let i = 1; i < lines.length; i++) {
      const without = lines.toSpliced(i, 1);
      assert.equal(parse(print(without)).verdict, "tampered", `without ${lines[i]}`);
      assert.equal(
        parse(print(lines.toSpliced(i, 0, "A: b"))).verdict,
        "tampered",
        `A: b before ${lines[i]}`,
      );
      assert.equal(
        parse(print(lines.toSpliced(i, 1, lines[i]!.toLowerCase()))).verdict,
        "tampered",
        lines[i],
      );
      assert.equal(
        parse(print(lines.toSpliced(i, 1, lines[i]!.replace(": ", ":")))).verdict,
        "tampered",
        lines[i],
      );
      if (i > 1) {
        const moved = lines.toSpliced(i - 1, 2, lines[i]!, lines[i - 1]!);
        assert.equal(parse(print(moved)).verdict, "tampered", `${lines[i]} moved up`);
      }
      const doubled = parse(print(lines.toSpliced(i, 0, lines[i]!))).verdict;
      assert.notEqual(doubled, "security", `${lines[i]} twice`);
    }
    assert.equal(parse(print([...lines, "A: b"])).verdict, "tampered");
    for (const wrong of ["system,all", "security", "security,all ", "security,system,all"]) {
      assert.equal(parse(text.replace("security,all", wrong)).verdict, "tampered", wrong);
    }
    assert.equal(parse(text.replace("EventVersion: ", "EventVersion: 1")).verdict, "tampered");
    assert.equal(parse(text.replace(/Severity: \w+/, "Severity: Warning")).verdict, "tampered");
    assert.equal(parse(text.replace("T08:", " 08:")).verdict, "tampered");
    assert.equal(parse(text.replace(/Service: \w+/, "Service: HTTP")).verdict, "tampered");
  }
  assert.equal(
    parse(successfulAuth("1.1.1.1").replace("UsingPassword: 1", "UsingPassword: 2")).verdict,
    "tampered",
  );
});

Deno.test("security event: a block that only doubles a header is charged to its last RemoteAddress, a success never", () => {
  const injected = "x\r\nRemoteAddress: IPV4/UDP/9.9.9.9/5";
  for (const service of ["PJSIP", "SIP"] as const) {
    const { verdict, event } = parse(wrongAnswer("203.0.113.5", { account: injected, service }));
    assert.equal(verdict, "doubled");
    assert.equal(event.address, "203.0.113.5");
    assert.equal(event.account, "x");
  }
  assert.equal(
    parse(wrongAnswer("203.0.113.5", { account: "x\r\nService: AMI" })).verdict,
    "doubled",
  );
  assert.equal(parse(wrongAnswer("203.0.113.5", { account: "x\r\nA: b" })).verdict, "tampered");
  assert.equal(parse(successfulAuth("203.0.113.5", { account: injected })).verdict, "tampered");
  const cut =
    wrongAnswer("203.0.113.5", { account: injected }).split("\r\n").slice(0, -3).join("\r\n") +
    "\r\n\r\n";
  assert.equal(parse(cut).verdict, "tampered");
});

Deno.test("security event: other messages", () => {
  assert.equal(parse("Response: Success\r\nMessage: x\r\n\r\n").verdict, "response");
  assert.equal(
    parse("Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n").verdict,
    "other",
  );
  for (
    const text of [
      "Event: Shutdown\r\nA: b\r\n\r\n",
      "Event: Shutdown\r\nPrivilege: system,all\r\nRemoteAddress: IPV4/UDP/1.1.1.1/1\r\n\r\n",
      "Event: NewKind\r\nPrivilege: security,all\r\n\r\n",
      "SessionID: 0x1\r\n\r\n",
      "Response: Error\r\nA: b\r\nRemoteAddress: IPV4/UDP/1.1.1.1/1\r\n\r\n",
      "\0\xff\xfe\r\n\r\n",
    ]
  ) assert.equal(parse(text).verdict, "tampered", JSON.stringify(text));
});

Deno.test("security event: a lone CR or LF stays within the account, and long texts are cut", () => {
  const { verdict, event } = parse(
    wrongAnswer("203.0.113.5", { account: "x\rRemoteAddress: \n\ny\r" }),
  );
  assert.equal(verdict, "security");
  assert.equal(event.account, "x\rRemoteAddress: \n\ny\r");
  assert.equal(
    parse(wrongAnswer("203.0.113.5", { account: "A".repeat(3000) })).event.account.length,
    TEXT_CHARACTERS_MAX,
  );
  const detached = parse(wrongAnswer("203.0.113.5", { account: "kept" })).event;
  detached.detach();
  assert.equal(detached.account, "kept");
  assert.equal(detached.time, "2026-11-22T08:09:09.918+0000");
});

Deno.test("security event: hashes tell sessions, challenges and answers apart", () => {
  const tail = (answer: string) =>
    [["Challenge", "c"], ["Response", answer], ["ExpectedResponse", ""]] as const;
  const of = (session: string, answer: string) =>
    parse(wrongAnswer("1.1.1.1", { session, tail: tail(answer) })).event;
  assert.equal(of("a", "1").session, of("a", "2").session);
  assert.notEqual(of("a", "1").session, of("b", "1").session);
  assert.equal(of("a", "1").answer, of("b", "1").answer);
  assert.notEqual(of("a", "1").answer, of("a", "2").answer);
  const many = new Set(Array.from({ length: 1_000 }, (_, i) => of(`call-${i}@host`, "1").session));
  assert.equal(many.size, 1_000);
});

Deno.test("security event: in every recording, only what a stranger wrote into is tampered", () => {
  for (const { name, bytes } of recordings()) {
    const injected = /injection/.test(name);
    let tampered = 0;
    for (const block of new TextDecoder("latin1").decode(bytes).split("\r\n\r\n").slice(0, -1)) {
      const text = block.startsWith("Asterisk Call Manager")
        ? block.slice(block.indexOf("\r\n") + 2)
        : block;
      if (parse(text + "\r\n\r\n").verdict === "tampered") tampered++;
    }
    if (!injected) assert.equal(tampered, 0, name);
    else if (!/^filter-anchored|byname/.test(name) && !name.startsWith("ast22-filter")) {
      assert.ok(tampered > 0, name);
    }
  }
});

Deno.test("security event: whatever the client wrote for its SessionID, the event counts", () => {
  for (
    const session of [
      "",
      "x",
      "RemoteAddress: IPV4/UDP/9.9.9.9/5",
      "\r",
      "\n",
      " ",
      "s".repeat(100_000),
    ]
  ) {
    const { verdict, event } = parse(wrongAnswer("203.0.113.5", { session }));
    assert.equal(verdict, "security", JSON.stringify(session).slice(0, 40));
    assert.equal(event.address, "203.0.113.5");
  }
});

Deno.test("security event: an address is proven by a connection, but not by chan_sip", () => {
  for (const transport of ["UDP", "TCP", "TLS", "WS", "WSS"]) {
    for (const service of ["PJSIP", "SIP"] as const) {
      const remote = `IPV4/${transport}/203.0.113.5/5060`;
      const { event } = parse(wrongAnswer("203.0.113.5", { service, remote }));
      assert.equal(event.provesPath, service === "PJSIP" && transport !== "UDP", remote);
    }
  }
  const { event } = parse(wrongAnswer("203.0.113.5", { remote: "IPV4/203.0.113.5/5060" }));
  assert.equal(event.provesPath, false);
});

Deno.test("security event: an empty answer is known", () => {
  for (const answer of ["", "x"]) {
    const pjsip = wrongAnswer("203.0.113.5", {
      tail: [["Challenge", "1"], ["Response", answer], ["ExpectedResponse", "y"]],
    });
    const sip = wrongAnswer("203.0.113.5", {
      service: "SIP",
      tail: [["Challenge", "1"], ["ReceivedChallenge", "1"], ["ReceivedHash", answer]],
    });
    for (const text of [pjsip, sip]) assert.equal(parse(text).event.hasAnswer, answer !== "");
  }
});
