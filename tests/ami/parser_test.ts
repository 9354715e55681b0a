import assert from "node:assert/strict";
import {
  challengeSent,
  failedAcl,
  successfulAuth,
  wrongAnswer,
} from "../support/asterisk_events.ts";
import { parse } from "../support/parsing.ts";
import { recordings } from "../support/recordings.ts";

Deno.test("parser: every field of a wrong answer", () => {
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

Deno.test("parser: the time is digits and signs where Asterisk prints them, and nothing else", () => {
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

Deno.test("parser: anything added, left out, doubled, moved or changed is tampered", () => {
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

Deno.test("parser: a block that only doubles a header is charged to its last RemoteAddress, a success never", () => {
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

Deno.test("parser: other messages", () => {
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

Deno.test("parser: in every recording, only what a stranger wrote into is tampered", () => {
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

Deno.test("parser: whatever the client wrote for its SessionID, the event counts", () => {
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
