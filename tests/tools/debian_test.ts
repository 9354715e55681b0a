/** Tests of how file systems are made, but for debootstrap itself, which is run for tests/live. */

import assert from "node:assert/strict";
import { DebianError, provide, rootOf, type System } from "../../tools/debian.ts";

const SYSTEM: System = {
  suite: "bullseye",
  packages: ["asterisk", "nftables"],
  proof: "usr/sbin/asterisk",
};

/** Makes what debootstrap makes, as far as it matters. */
const WORKS = `#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
mkdir -p "$4/usr/sbin" "$4/usr/share/doc/asterisk"
touch "$4/usr/sbin/asterisk"
`;

/** Leaves half a file system, and says why. */
const FAILS = `#!/bin/sh
mkdir -p "$4/usr/sbin"
touch "$4/usr/sbin/asterisk"
for i in 1 2 3 4 5 6 7 8 9; do echo "line $i"; done
echo "E: Couldn't download packages: asterisk" >&2
exit 1
`;

const ROOT = Deno.uid() === 0;

function test(name: string, script: string, body: (folder: string, tool: string) => Promise<void>) {
  Deno.test({
    name: `debian: ${name}${ROOT ? "" : " (left out: needs root)"}`,
    ignore: !ROOT,
    fn: async () => {
      const folder = await Deno.makeTempDir();
      try {
        const tool = `${folder}/debootstrap`;
        await Deno.writeTextFile(tool, script, { mode: 0o755 });
        await body(`${folder}/servers`, tool);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

test("it makes what is missing, and only that", WORKS, async (folder, tool) => {
  assert.equal(rootOf(SYSTEM, folder), undefined);
  assert.equal(await provide(SYSTEM, folder, tool), true);
  assert.equal(rootOf(SYSTEM, folder), `${folder}/bullseye`);
  assert.deepEqual(namesIn(`${folder}/bullseye/usr/share`), [], "documentation only takes room");
  assert.equal(await provide(SYSTEM, folder, tool), false);
  const calls = (await Deno.readTextFile(`${folder}/../calls`)).trim().split("\n");
  assert.equal(calls.length, 1);
  assert.match(calls[0]!, /^--variant=minbase --include=asterisk,nftables bullseye \//);
  assert.deepEqual(namesIn(folder), ["bullseye"]);
});

test("half a file system never has the name of a whole one", FAILS, async (folder, tool) => {
  await assert.rejects(
    provide(SYSTEM, folder, tool),
    (error) =>
      error instanceof DebianError && /ended with 1:\n/.test(error.message) &&
      error.message.endsWith("line 9\nE: Couldn't download packages: asterisk") &&
      !error.message.includes("line 1\n"),
  );
  assert.equal(rootOf(SYSTEM, folder), undefined);
  assert.deepEqual(namesIn(folder), []);
});

test(
  "what one that was killed has left is removed, not what another works on",
  WORKS,
  async (folder, tool) => {
    // Larger than any process id of Linux (PID_MAX_LIMIT).
    const dead = 4_194_305;
    await Deno.mkdir(`${folder}/.bullseye.${dead}`, { recursive: true });
    await Deno.writeTextFile(`${folder}/.bullseye.${dead}.log`, "");
    await Deno.mkdir(`${folder}/.bullseye.1`);
    await Deno.mkdir(`${folder}/bullseye`);
    await provide(SYSTEM, folder, tool);
    assert.deepEqual(namesIn(folder), [".bullseye.1", "bullseye"]);
  },
);

test("without debootstrap it says what to install", WORKS, async (folder) => {
  await assert.rejects(
    provide(SYSTEM, folder, "debootstrap-that-is-not-there"),
    /is missing: apt-get install debootstrap/,
  );
  assert.deepEqual(namesIn(folder), []);
});
