/** Why a log cannot be read, and the command that mends it. */

import assert from "node:assert/strict";
import { NotAFileError, realFiles, Tail } from "../../src/logs/tail.ts";
import { isReadableByUnit, type Rights, whyUnreadable } from "../../src/logs/unreadable.ts";

const PATH = "/var/log/asterisk/messages";

const denied = new Deno.errors.PermissionDenied("no");

function rights(of: Readonly<Record<string, readonly [mode: number, uid: number, gid: number]>>) {
  return (path: string): Rights => {
    const found = of[path];
    if (found === undefined) throw denied;
    return { mode: found[0], uid: found[1], gid: found[2] };
  };
}

Deno.test("unreadable: the group of the file, or of its folder, becomes one of the unit's", () => {
  const file = whyUnreadable(PATH, denied, rights({ [PATH]: [0o100640, 110, 4] }));
  assert.equal(file.message, `${PATH} may not be read`);
  assert.match(file.advice, /SupplementaryGroups=%s/);
  assert.match(file.advice, /stat -Lc %G \/var\/log\/asterisk\/messages/);
  assert.doesNotMatch(file.advice, /chmod/);
  const folder = whyUnreadable(PATH, denied, rights({}));
  assert.match(folder.advice, /stat -Lc %G \/var\/log\/asterisk\)/);
  const own = whyUnreadable(PATH, denied, rights({ [PATH]: [0o100600, 110, 110] }));
  assert.match(own.advice, /^chmod g\+r \/var\/log\/asterisk\/messages && mkdir -p/);
});

Deno.test("unreadable: what is no file, and what this build may not read", () => {
  assert.match(whyUnreadable(PATH, new NotAFileError()).advice, /logger\.conf/);
  const elsewhere = whyUnreadable("/srv/a b/log", new Deno.errors.NotCapable("no"));
  assert.match(elsewhere.message, /this build of Ampere may not read \/srv\/a b\/log/);
  assert.match(elsewhere.advice, /deno task compile -- --allow-path='\/srv\/a b'$/);
  const { message, advice } = whyUnreadable(PATH, new Error("input/output error"));
  assert.equal(message, `${PATH}: input/output error`);
  assert.match(advice, /tail -n 1 \/var\/log\/asterisk\/messages;/);
});

Deno.test("unreadable: each way in which a path leads nowhere has words, and a cure", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.symlink("loop", `${folder}/loop`);
    await Deno.writeTextFile(`${folder}/file`, "");
    for (const name of ["loop", "file/messages", "x".repeat(300), ""]) {
      const path = `${folder}/${name}`;
      const tail = new Tail(path, realFiles, () => {});
      let thrown: unknown;
      try {
        tail.step(0);
      } catch (error) {
        thrown = error;
      }
      const { message, advice } = whyUnreadable(path, thrown);
      assert.ok(message.startsWith(folder) && message !== `${path}: undefined`, message);
      assert.notEqual(advice, "");
      if (name !== "" && name.length < 100) assert.doesNotMatch(message, /os error/);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("unreadable: root without its powers reads what is its own, its group's, or everybody's", () => {
  const folders = {
    "/var": [0o40755, 0, 0],
    "/var/log": [0o40755, 0, 0],
    "/var/log/asterisk": [0o42750, 110, 4],
  } as const;
  const may = (
    file: readonly [number, number, number],
    folder = folders["/var/log/asterisk"] as readonly [number, number, number],
  ) => isReadableByUnit(PATH, rights({ ...folders, "/var/log/asterisk": folder, [PATH]: file }));
  const open = [0o40755, 110, 110] as const;
  assert.equal(may([0o100640, 110, 4]), false);
  assert.equal(may([0o100644, 110, 110], open), true);
  assert.equal(may([0o100644, 110, 110]), false);
  assert.equal(may([0o100640, 110, 110], open), false);
  assert.equal(may([0o100640, 110, 0], open), true);
  assert.equal(may([0o100600, 0, 0], open), true);
  const shut = (path: string) => {
    if (path === "/var") throw new Deno.errors.NotCapable(path);
    return { mode: 0o755, uid: 0, gid: 0 };
  };
  assert.equal(isReadableByUnit(PATH, shut), true);
});
