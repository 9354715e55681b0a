/** Who must pass although a network around them is blocked. */

import assert from "node:assert/strict";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { ADDRESS, withDaemon } from "../support/daemons.ts";
import { until } from "../support/namespace.ts";

Deno.test("exceptions: a trusted host's block ends, and that is reported", async () => {
  await withDaemon({}, async (daemon, asterisk, notices) => {
    for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS));
    await until("the host is blocked", () => daemon.list.size === 1);
    daemon.reconfigure({ ...daemon.config, trust: ["203.0.113.0/24"] });
    assert.deepEqual(notices.at(-1), {
      event: "unblock",
      time: notices.at(-1)!.time,
      target: ADDRESS,
      reason: "trusted now",
    });
  });
});

Deno.test("exceptions: a blocked network around a host that is trusted now stays, which is told once", async () => {
  await withDaemon({}, (daemon, _asterisk, notices, lines) => {
    daemon.list.add([{
      target: "203.0.113.0/24",
      since: Date.now(),
      until: undefined,
      reason: "by hand",
      service: "",
      transport: "",
      account: "",
    }], Date.now());
    for (let i = 0; i < 2; i++) {
      daemon.reconfigure({ ...daemon.config, trust: ["203.0.113.7", "198.51.100.0/24"] });
    }
    assert.equal(daemon.list.size, 1);
    assert.deepEqual(notices.filter(({ event }) => event === "unblock"), []);
    const told = lines.filter((line) => line.includes("stays blocked"));
    assert.equal(told.length, 1, lines.join());
    assert.match(told[0]!, /203\.0\.113\.0\/24 stays blocked, but lets through 203\.0\.113\.7,/);
    daemon.reconfigure({ ...daemon.config, trust: ["203.0.112.0/23"] });
    assert.equal(daemon.list.size, 0);
    return Promise.resolve();
  });
});
