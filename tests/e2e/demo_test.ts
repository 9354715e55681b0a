/**
 * The first command of the README: it tells the truth, it ends, and it says so when something is
 * wrong.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";
import { runToEnd } from "./program.ts";

/** The demonstration ends within this time, in milliseconds. */
const ENDED_MS = 30_000;

function demo(args: readonly string[], env: Record<string, string> = {}) {
  const command = [Deno.execPath(), "run", "-A", join(PROJECT, "tools/demo.ts"), ...args];
  return runToEnd(command, { env, deadlineMs: ENDED_MS });
}

Deno.test("the demonstration blocks the attackers of a mixed recording, and ends in time", async () => {
  const { code, out, err } = await demo([]);
  assert.equal(code, 0, out + err);
  assert.match(out, /^ {2}203\.0\.113\.141 +attacker +8 failed attempts +blocked +\d+ ms$/m);
  assert.match(out, /^ {2}203\.0\.113\.177 +phone +10 logins +-$/m);
  assert.match(out, /As it should be\./);
  assert.ok(!out.includes("\x1b"), "no colours in a pipe");
});

Deno.test("without namespaces the demonstration touches nothing and shows the commands", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, "unshare"), "#!/bin/sh\necho not today >&2\nexit 1\n", {
      mode: 0o755,
    });
    const path = `${folder}:${Deno.env.get("PATH")}`;
    const { code, out, err } = await demo(["pjsip-udp-nonce-reuse-guessing"], { PATH: path });
    assert.equal(code, 0, out + err);
    assert.match(out, /--dry-run and says what it would do\. The reason: not today/);
    assert.match(out, /^ {2}iptables -w 4 -A ampere -s 203\.0\.113\.\d+ -j REJECT/m);
    assert.match(out, /As it should be\./);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the demonstration knows its recordings", async () => {
  const { code, err } = await demo(["no-such-recording"]);
  assert.equal(code, 2);
  assert.match(
    err,
    /There is no recording "no-such-recording"\. There are:\n {2}ami-wrong-login\n/,
  );
});
