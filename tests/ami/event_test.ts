/** What an event says of its host. */

import assert from "node:assert/strict";
import { TEXT_CHARACTERS_MAX } from "../../src/ami/event.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { parse } from "../support/parsing.ts";

Deno.test("event: a lone CR or LF stays within the account, and long texts are cut", () => {
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

Deno.test("event: hashes tell sessions, challenges and answers apart", () => {
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

Deno.test("event: an address is proven by a connection, but not by chan_sip", () => {
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

Deno.test("event: an empty answer is known", () => {
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
