/** The way back of hosts that are blocked, and may belong here. */

import assert from "node:assert/strict";
import { SOFT_HOSTS_MAX, SoftHosts } from "../../src/daemon/soft_hosts.ts";
import type { Releases } from "../../src/daemon/releases.ts";
import { isSightReason, reasonOf } from "../../src/penalties/reason.ts";
import { DaemonBench } from "../support/daemon_bench.ts";
import { block } from "../support/database_samples.ts";
import { OFFENCE } from "../support/offence_sample.ts";

const REASON =
  '1 unanswered challenge within 1 s, PJSIP over UDP, last account "100", no attempt: ' +
  "it is in BR, which is not home, 4 of 1 points (in doubt: not without unanswered challenges)";

function make(softens = true) {
  const bench = new DaemonBench();
  const { list } = bench;
  const ended: string[] = [];
  const releases = {
    release: (targets: readonly string[], why: string) => ended.push(`${targets} ${why}`),
  } as unknown as Releases;
  const wallClock = () => bench.clock.now();
  const blocks = new SoftHosts({
    list,
    releases,
    wallClock,
    firewall: { softens: () => softens },
  });
  const add = (target: string, reason = REASON) => {
    const one = block(target, { reason, since: wallClock(), until: wallClock() + 600_000 });
    list.add([one], wallClock());
    return blocks.add([one]);
  };
  return { blocks, add, list, ended, bench };
}

Deno.test("soft hosts: they are known by their reason, which no account name can feign", () => {
  const reasons = (more: Partial<typeof OFFENCE>) => reasonOf({ ...OFFENCE, ...more });
  const sight = { grounds: "unanswered", points: 4, limit: 1, strict: "it is in BR" } as const;
  assert.ok(isSightReason(reasons(sight)));
  assert.ok(!isSightReason(reasons({ ...sight, limit: 5, points: 8 })));
  assert.ok(!isSightReason(reasons({ ...sight, grounds: "single session" })));
  const account = '", no attempt: x, 4 of 1 points (in doubt: not without unanswered challenges)';
  assert.ok(!isSightReason(reasons({ grounds: "attempts", account })));
  assert.ok(!isSightReason(reasons({ grounds: "unanswered", limit: 15, account })));
});

Deno.test("soft hosts: a login ends one, a guess takes its way back, and others have none", () => {
  const { blocks, add, list, ended } = make();
  assert.equal(add("203.0.113.1"), true);
  assert.equal(add("203.0.113.2"), true);
  assert.equal(add("203.0.113.3", "3 wrong passwords"), false);
  assert.deepEqual(blocks.targets, ["203.0.113.1", "203.0.113.2"]);
  assert.equal(blocks.harden("203.0.113.2"), true);
  assert.equal(blocks.harden("203.0.113.2"), false);
  assert.equal(blocks.loggedIn("203.0.113.2"), false);
  assert.equal(blocks.loggedIn("203.0.113.3"), false);
  assert.equal(blocks.loggedIn("203.0.113.1"), true);
  assert.deepEqual(ended, ["203.0.113.1 it logged in with a password"]);
  assert.deepEqual(list.all().map(({ target }) => target).toSorted(), [
    "203.0.113.2",
    "203.0.113.3",
  ]);
  assert.deepEqual(blocks.targets, []);
});

Deno.test("soft hosts: whom somebody blocks by hand meanwhile has no way back", () => {
  const { blocks, add, list, bench } = make();
  assert.ok(add("203.0.113.1") && add("203.0.113.2"));
  const now = bench.clock.now();
  list.add([block("203.0.113.1", { reason: "added by hand", since: now, until: undefined })], now);
  assert.deepEqual(blocks.targets, ["203.0.113.2"]);
  assert.equal(blocks.loggedIn("203.0.113.1"), false);
  assert.equal(list.get("203.0.113.1")?.until, undefined);
  assert.ok(list.get("203.0.113.1") !== undefined);
});

Deno.test("soft hosts: without a firewall that can they are blocks like any other", () => {
  const { blocks, add } = make(false);
  assert.equal(add("203.0.113.1"), false);
  assert.equal(blocks.has("203.0.113.1"), false);
});

Deno.test("soft hosts: they are bounded, and those that have ended make room", async () => {
  const { blocks, add, list, bench } = make();
  for (let i = 0; i < SOFT_HOSTS_MAX; i++) assert.ok(add(`203.0.${i >> 8}.${i & 255}`));
  assert.equal(add("198.51.100.1"), false);
  list.remove(["203.0.0.7"], 0);
  assert.equal(add("198.51.100.2"), false, "they were counted a moment ago");
  await bench.clock.advance(10_000);
  assert.equal(add("198.51.100.3"), true);
  assert.equal(blocks.targets.length, SOFT_HOSTS_MAX);
});

/** A wrong answer as the daemon hears it. */
function wrong(address: string, account: string, service: "PJSIP" | "SIP" = "PJSIP") {
  return { kind: "ChallengeResponseFailed", address, account, service } as const;
}

Deno.test("soft hosts: where accounts failed with a session each these may fail again, and no other", () => {
  const { blocks, list, ended } = make();
  const [office, guesser] = ["198.51.100.1", "203.0.113.1"];
  const apart = ["100", "101", "102"];
  const reason = "3 wrong passwords";
  for (const target of [office, guesser]) {
    const one = block(target, { reason, until: undefined });
    list.add([one], 0);
    assert.equal(blocks.add([{ ...one, apart }]), true);
  }
  for (const account of apart) assert.equal(blocks.failed(wrong(office, account)), false);
  assert.equal(blocks.failed({ ...wrong(office, "103"), kind: "SuccessfulAuth" }), false);
  assert.equal(blocks.failed(wrong("203.0.113.9", "103")), false, "nobody knows them");
  assert.equal(blocks.failed(wrong(guesser, "103")), true);
  assert.equal(blocks.failed(wrong(guesser, "103")), false, "it had one already");
  assert.deepEqual(blocks.targets, [office]);
  assert.equal(blocks.loggedIn(guesser), false);
  assert.equal(blocks.loggedIn(office), true);
  assert.deepEqual(ended, [`${office} it logged in with a password`]);
  assert.deepEqual(list.all().map(({ target }) => target), [guesser]);
});

Deno.test("soft hosts: what chan_sip calls an account is none of PJSIP's, and no second way back is given", () => {
  const { blocks, list } = make();
  const one = block("203.0.113.1", { reason: "3 wrong passwords", until: undefined });
  list.add([one], 0);
  assert.equal(blocks.add([{ ...one, apart: ["100", "101"], renews: true }]), false);
  assert.equal(blocks.add([{ ...one, apart: ["100", "101"] }]), true);
  assert.equal(blocks.failed(wrong("203.0.113.1", "100", "SIP")), true);
});

Deno.test("soft hosts: whom somebody blocks by hand for longer than for accounts apart has no way back", () => {
  const { blocks, list } = make();
  const one = block("203.0.113.1", { reason: "3 wrong passwords", since: 0, until: 3_600_000 });
  list.add([one], 0);
  assert.equal(blocks.add([{ ...one, apart: ["100", "101"] }]), true);
  assert.deepEqual(blocks.targets, ["203.0.113.1"]);
  list.add([{ ...one, until: undefined }], 0);
  assert.deepEqual(blocks.targets, []);
});
