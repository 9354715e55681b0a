/** One log that is followed: what its file tells beside AMI. */

import assert from "node:assert/strict";
import { FollowedLog } from "../../src/logs/followed_log.ts";
import { Handover, SETTLE_MS } from "../../src/logs/handover.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { MemoryFiles } from "../support/memory_files.ts";
import { toLog } from "../support/replays.ts";

const PATH = "/var/log/asterisk/full";

/** How often it is looked at, in milliseconds. */
const LOOK_MS = 100;

Deno.test("followed log: what is put back was written at any time, and counts unless AMI tells it", () => {
  const files = new MemoryFiles();
  let now = 10_000;
  const counted: string[] = [];
  const handover = new Handover(({ address }) => counted.push(address));
  handover.setFiles(1);
  const lines: string[] = [];
  const say = (text: string) => void lines.push(text);
  const log = { info: say, warn: say, limited: (_: string, __: string, text: string) => say(text) };
  const followed = new FollowedLog(PATH, 0, { files, handover, log, now: () => now });
  const pass = (ms: number, heard: boolean) => {
    for (const end = now + ms; now < end;) {
      files.now = now += LOOK_MS;
      if (heard) handover.amiHeard(now);
      while (followed.step() === "more");
      handover.advance(now);
    }
  };
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
  handover.amiUp(now);
  pass(5 * SETTLE_MS, true);
  assert.deepEqual(counted, []);
  files.rename(`${PATH}.away`, PATH);
  pass(5 * SETTLE_MS, true);
  assert.deepEqual(counted, ["203.0.113.5"], lines.join("\n"));
  followed.close();
});
