/** What other PBXs' blocks are refused for. */

import assert from "node:assert/strict";
import { successfulAuth } from "../support/asterisk_events.ts";
import { withDaemon } from "../support/daemons.ts";
import { until } from "../support/namespace.ts";

Deno.test("elsewhere: no other's word blocks who belongs here, however it is written", async () => {
  const trust = ["192.0.2.7", "2001:db8:5::/64"];
  await withDaemon({ trust }, async (daemon, asterisk) => {
    const refusalOf = (target: string) => daemon.elsewhere.refusalOf(target);
    await asterisk.send(successfulAuth("198.51.100.20"));
    await until("it stands", () => refusalOf("198.51.100.20") !== undefined);
    for (
      const [target, why] of [
        ["192.0.2.7", "trusted"],
        ["192.0.0.0/16", "trusted"],
        ["64:ff9b::c000:207", "trusted"],
        ["64:ff9b::c000:200/120", "trusted"],
        ["2001:db8:5::1", "trusted"],
        ["2001:db8::/32", "trusted"],
        ["0.0.0.0/0", "trusted"],
        ["::/0", "trusted"],
        ["127.0.0.1", "own address"],
        ["127.0.0.0/8", "own address"],
        ["::1", "own address"],
        ["64:ff9b::7f00:1", "own address"],
        ["198.51.100.0/24", "good standing"],
        ["64:ff9b::c633:6414", "good standing"],
        ["128.0.0.0/1", "trusted"],
        ["32.0.0.0/3", "too wide"],
        ["4000::/2", "too wide"],
      ] as const
    ) {
      assert.equal(refusalOf(target), why, target);
    }
    // All users of a translator, or of a Teredo server.
    for (const target of ["64:ff9b::/48", "64:ff9b:1::/64", "2001:0:5::/64"]) {
      assert.notEqual(refusalOf(target), undefined, target);
    }
    for (
      const target of [
        "203.0.113.5",
        "203.0.113.0/24",
        "99.0.0.0/8",
        "2a00::/19",
        "2a00:1:2:3::/64",
        "64:ff9b::cb00:7105",
      ]
    ) {
      assert.equal(refusalOf(target), undefined, target);
    }
  });
});

Deno.test("elsewhere: whoever has logged in just now is in no network that is blocked", async () => {
  await withDaemon({}, async (daemon, asterisk) => {
    const refusalOf = (target: string) => daemon.elsewhere.refusalOf(target);
    assert.equal(refusalOf("198.51.100.0/24"), undefined);
    await asterisk.send(successfulAuth("198.51.100.20"));
    await until("it stands", () => refusalOf("198.51.100.20") !== undefined);
    assert.equal(refusalOf("198.51.100.0/24"), "good standing");
  });
});
