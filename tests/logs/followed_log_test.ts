/** One log that is followed: what its file tells beside AMI. */

import assert from "node:assert/strict";
import { SecurityEvent } from "../../src/ami/event.ts";
import { FollowedLog } from "../../src/logs/followed_log.ts";
import { Handover, SETTLE_MS } from "../../src/logs/handover.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { MemoryFiles } from "../support/memory_files.ts";
import { toLog } from "../support/replays.ts";

const PATH = "/var/log/asterisk/full";

/** How often it is looked at, in milliseconds. */
const LOOK_MS = 100;

/** A log, and AMI beside it. */
function follow() {
  const files = new MemoryFiles();
  const clock = { now: 10_000 };
  const counted: string[] = [];
  const handover = new Handover(({ address }) => counted.push(address));
  handover.setFiles(1, [0]);
  const lines: string[] = [];
  const say = (text: string) => void lines.push(text);
  const log = { info: say, warn: say, limited: (_: string, __: string, text: string) => say(text) };
  const followed = new FollowedLog(PATH, 0, {
    files,
    handover,
    log,
    now: () => clock.now,
    series: 0,
  });
  const pass = (ms: number, heard: boolean) => {
    for (const end = clock.now + ms; clock.now < end;) {
      files.now = clock.now += LOOK_MS;
      if (heard) handover.amiHeard(clock.now);
      while (followed.step() === "more");
      handover.advance(clock.now);
    }
  };
  /** AMI comes, and tells of our login. */
  const connect = () => {
    handover.amiUp(clock.now);
    handover.amiEvent(loginOf("127.0.0.1"), clock.now);
  };
  return { files, counted, lines, followed, pass, connect };
}

function loginOf(address: string): SecurityEvent {
  const event = new SecurityEvent();
  event.state({
    ...{ kind: "SuccessfulAuth", service: "AMI", transport: "TCP", address, account: "ampere" },
    ...{ detail: "", session: 1, answer: 0, time: "2026-12-01T08:00:00.000+0000" },
  });
  return event;
}

Deno.test("followed log: what is put back was written at any time, and counts unless AMI tells it", () => {
  const { files, counted, lines, followed, pass, connect } = follow();
  files.writer(PATH)("");
  pass(1_000, false);
  // It is renamed; the new one may not be read until somebody has taken it away, too.
  files.rename(PATH, `${PATH}.1`);
  const write = files.writer(PATH);
  files.trouble = new Deno.errors.PermissionDenied("(os error 13)");
  pass(1_000, false);
  write(toLog(wrongAnswer("203.0.113.5")));
  files.rename(PATH, `${PATH}.away`);
  files.trouble = undefined;
  connect();
  pass(5 * SETTLE_MS, true);
  assert.deepEqual(counted, []);
  files.rename(`${PATH}.away`, PATH);
  pass(5 * SETTLE_MS, true);
  assert.deepEqual(counted, ["203.0.113.5"], lines.join("\n"));
  followed.close();
});

Deno.test("followed log: a line that has begun before AMI came, and ends behind that, counts", () => {
  for (const isRenamed of [false, true]) {
    const { files, counted, followed, pass, connect } = follow();
    const write = files.writer(PATH);
    pass(1_000, false);
    const line = toLog(wrongAnswer("203.0.113.5"));
    write(line.slice(0, 50));
    pass(100, false);
    if (isRenamed) {
      files.rename(PATH, `${PATH}.1`);
      files.writer(PATH)("");
    }
    connect();
    pass(5 * SETTLE_MS, true);
    write(line.slice(50));
    pass(5 * SETTLE_MS, true);
    assert.deepEqual(counted, ["203.0.113.5"]);
    // From then on AMI's word counts.
    write(toLog(wrongAnswer("203.0.113.6")));
    pass(5 * SETTLE_MS, true);
    assert.equal(counted.length, 1);
    followed.close();
  }
});
