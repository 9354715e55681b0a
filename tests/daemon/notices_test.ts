import assert from "node:assert/strict";
import { Notices } from "../../src/daemon/notices.ts";
import type { Notice } from "../../src/telemetry/notice.ts";
import { block } from "../support/database_samples.ts";

const WALL = Date.UTC(2026, 10, 22, 8, 9, 9, 5);

function heard(wall: () => number = () => WALL): { notices: Notices; all: Notice[] } {
  const all: Notice[] = [];
  return { notices: new Notices((notice) => all.push(notice), wall), all };
}

Deno.test("notices: a block is told with its own time and its end in UTC, and none for ever", () => {
  const { notices, all } = heard();
  notices.blocked(block("192.0.2.1", { until: WALL + 60_000, account: "\u202e100" }), WALL + 1);
  notices.blocked(block("2001:db8::/64", { until: undefined }), WALL - 1_000);
  const rest = { reason: "3 attempts", service: "PJSIP", transport: "UDP" };
  assert.deepEqual(all, [
    {
      event: "block",
      time: "2026-11-22T08:09:09.006Z",
      target: "192.0.2.1",
      until: "2026-11-22T08:10:09.005Z",
      ...rest,
      account: "\u202e100",
    },
    {
      event: "block",
      time: "2026-11-22T08:09:08.005Z",
      target: "2001:db8::/64",
      until: null,
      ...rest,
      account: "100",
    },
  ]);
});

Deno.test("notices: each end of a block is told by itself, at one time", () => {
  let wall = WALL;
  const { notices, all } = heard(() => wall++);
  notices.released([], "the time is over");
  assert.deepEqual(all, []);
  wall = WALL;
  notices.released(["192.0.2.1", "192.0.2.2"], "the time is over");
  const time = "2026-11-22T08:09:09.005Z";
  assert.deepEqual(all, [
    { event: "unblock", time, target: "192.0.2.1", reason: "the time is over" },
    { event: "unblock", time, target: "192.0.2.2", reason: "the time is over" },
  ]);
});

Deno.test("notices: the connection is told when it comes and goes, by the clock of the moment", () => {
  let wall = WALL;
  const { notices, all } = heard(() => wall);
  notices.connected();
  wall += 1_000;
  notices.lost("Asterisk closed it");
  assert.deepEqual(all, [
    { event: "ami-connected", time: "2026-11-22T08:09:09.005Z" },
    { event: "ami-lost", time: "2026-11-22T08:09:10.005Z", reason: "Asterisk closed it" },
  ]);
});

Deno.test("notices: nothing is worked out when nobody wants to hear", () => {
  const notices = new Notices(undefined, () => WALL);
  notices.connected();
  notices.lost("gone");
  // No Date can hold this.
  notices.blocked(block("192.0.2.1", { until: Infinity }), Infinity);
  notices.released(["192.0.2.1"], "the time is over");
});
