/** Where Asterisk is, by what its events say, and what strangers cannot make of it. */

import assert from "node:assert/strict";
import { EventReader } from "../../src/ami/event_reader.ts";
import { WhereaboutsFinder } from "../../src/daemon/whereabouts.ts";
import { ADDRESS } from "../support/daemons.ts";
import { BANNER, bytesOf, wrongAnswer } from "../support/asterisk_events.ts";

const LO = { name: "lo", address: "127.0.0.1", network: "127.0.0.0/8" };
const ETH0 = { name: "eth0", address: "203.0.113.1", network: "203.0.113.0/24" };
const DOCKER0 = { name: "docker0", address: "172.17.0.1", network: "172.17.0.0/16" };
const INTERFACES = [LO, ETH0, DOCKER0];

/** Events that arrive as they do from Asterisk, and what is found. */
function heard(
  locals: readonly string[],
  service: "PJSIP" | "SIP" = "PJSIP",
  peers = ["127.0.0.1"],
) {
  const finder = new WhereaboutsFinder(() => ({
    interfaces: INTERFACES,
    gateways: ["203.0.113.254"],
  }));
  const reader = new EventReader({
    banner: () => {},
    response: () => {},
    event: (event, verdict) => void (verdict === "security" && finder.take(event)),
    tampered: () => {},
  });
  reader.push(bytesOf(BANNER));
  for (const local of locals) reader.push(bytesOf(wrongAnswer(ADDRESS, { local, service })));
  reader.flushWithheld();
  const { place, doubt } = finder.find(peers);
  return { place, doubt };
}

const times = (count: number, local: string) => Array<string>(count).fill(local);

Deno.test("whereabouts: events name a container, a few do not", () => {
  const container = "IPV4/UDP/172.17.0.2/5060";
  assert.equal(heard([]).place.kind, "here");
  assert.equal(heard(times(2, container)).place.kind, "here", "two may be a mistake");
  assert.deepEqual(heard(times(3, container)).place, {
    kind: "behind",
    address: "172.17.0.2",
    interface: "docker0",
  });
  // Three parts, and another transport.
  assert.equal(heard(times(3, "IPV4/172.17.0.2/5060")).place.kind, "behind");
  assert.equal(heard(times(3, "IPV4/WSS/172.17.0.2/443")).place.kind, "behind");
});

Deno.test("whereabouts: loopback, wildcards and what is no address say nothing", () => {
  for (
    const local of [
      "IPV4/UDP/127.0.0.1/5060",
      "IPV4/UDP/0.0.0.0/5060",
      "IPV6/TCP/::/5038",
      "IPV4/UDP/nonsense/5060",
      "IPV4/1/2/3/172.17.0.2/5060",
      "IPV6/UDP/fe80::1%eth0/5060",
    ]
  ) {
    assert.deepEqual(heard(times(9, local)), {
      place: { kind: "here" },
      doubt: undefined,
    }, local);
  }
});

Deno.test("whereabouts: an odd event does not outvote the others, either way", () => {
  const container = "IPV4/UDP/172.17.0.2/5060";
  const own = "IPV4/UDP/203.0.113.1/5060";
  assert.equal(heard([...times(20, container), own, own]).place.kind, "behind");
  assert.equal(heard([...times(20, own), ...times(5, container)]).place.kind, "here");
  // What goes on is believed at last: a container may move in.
  assert.equal(heard([...times(100, own), ...times(200, container)]).place.kind, "behind");
  // Many addresses take no memory and no majority.
  const many = Array.from({ length: 500 }, (_, i) => `IPV4/UDP/198.51.${i >> 8}.${i & 255}/5060`);
  assert.equal(heard([...times(40, own), ...many]).place.kind, "here");
});

Deno.test("whereabouts: an address that is nowhere here is a doubt, externip of chan_sip is none", () => {
  const away = "IPV4/UDP/198.51.100.7/5060";
  assert.deepEqual(heard(times(5, away)), { place: { kind: "here" }, doubt: "198.51.100.7" });
  assert.deepEqual(heard(times(5, away), "SIP"), { place: { kind: "here" }, doubt: undefined });
  // With the manager interface there too, it is certain.
  assert.equal(heard(times(5, away), "PJSIP", ["198.51.100.7"]).place.kind, "elsewhere");
  assert.equal(heard([], "PJSIP", ["198.51.100.7"]).place.kind, "elsewhere");
  assert.equal(heard([], "PJSIP", ["172.17.0.2"]).place.kind, "behind");
  // The name of this machine may lead to its router's address: events know better.
  assert.equal(heard(["IPV4/UDP/203.0.113.1/5060"], "PJSIP", ["198.51.100.7"]).place.kind, "here");
});
