/** A file that is written while it is followed. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  FAREWELL_MS,
  NotAFileError,
  realFiles,
  REFUSED_MAX_MS,
  STEP_BYTES,
  Tail,
} from "../../src/logs/tail.ts";
import { latin1 } from "../../src/ami/framer.ts";
import { MemoryFiles } from "../support/memory_files.ts";

const PATH = "/var/log/asterisk/messages";

function follow(files = new MemoryFiles()) {
  const seen: string[] = [];
  const tail = new Tail(PATH, files, (lines) => {
    const text = latin1(lines, 0, lines.length);
    assert.ok(text.endsWith("\n"), "only whole lines");
    seen.push(...text.split("\n").slice(0, -1));
  });
  const read = (now = 0) => {
    for (let step = tail.step(now); step === "read"; step = tail.step(now));
    return seen.splice(0);
  };
  return { files, tail, read };
}

Deno.test("tail: what stands in the file at the start is not read, also not the rest of its last line", () => {
  const { files, read } = follow();
  const write = files.writer(PATH);
  write("old 1\nold 2");
  assert.deepEqual(read(), []);
  write(" goes on\nnew 1\nnew");
  assert.deepEqual(read(), ["new 1"]);
  write(" 2\n");
  assert.deepEqual(read(), ["new 2"]);
});

Deno.test("tail: a file that comes later is read from its beginning", () => {
  const { files, read, tail } = follow();
  assert.equal(tail.step(0), "absent");
  files.writer(PATH)("first\n");
  assert.deepEqual(read(), ["first"]);
});

Deno.test("tail: renamed and made anew, the writer may go on in the old one for a while", () => {
  const { files, read, tail } = follow();
  const old = files.writer(PATH);
  read();
  old("1\n");
  files.rename(PATH, `${PATH}.1`);
  old("2\n");
  assert.equal(tail.step(0), "read");
  assert.equal(tail.step(0), "absent");
  const fresh = files.writer(PATH);
  old("3\n");
  assert.deepEqual(read(100), ["1", "2", "3"]);
  fresh("4\n");
  old("5\n");
  assert.deepEqual(read(200), ["5", "4"]);
  assert.deepEqual(read(100 + FAREWELL_MS), []);
  old("nobody hears\n");
  assert.deepEqual(read(200 + FAREWELL_MS), []);
  assert.equal(files.opened, 1);
  tail.close();
  assert.equal(files.opened, 0);
});

Deno.test("tail: copied and truncated, it is read from its new beginning, however fast it grows", () => {
  const { files, read } = follow();
  const write = files.writer(PATH);
  read();
  write("1\n2\n");
  assert.deepEqual(read(), ["1", "2"]);
  files.truncate(PATH);
  assert.deepEqual(read(), []);
  write("3\n");
  assert.deepEqual(read(), ["3"]);
  // As long as before, and longer, within one look.
  files.truncate(PATH);
  write("4\n");
  assert.deepEqual(read(), ["4"]);
  files.truncate(PATH);
  write("5\n6\n7\n");
  assert.deepEqual(read(), ["5", "6", "7"]);
});

Deno.test("tail: removed and made anew, and half a line at the end of what is gone", () => {
  const { files, read } = follow();
  const old = files.writer(PATH);
  read();
  old("1\nEmpty registration from 203.0.113.5");
  assert.deepEqual(read(), ["1"]);
  files.remove(PATH);
  files.writer(PATH)("2\n");
  assert.deepEqual(read(), ["2"]);
  old("5\n");
  assert.deepEqual(read(), ["Empty registration from 203.0.113.55"]);
});

/** A line with its time, as Asterisk's have it. */
function timed(second: number, text = "NOTICE[7] x.c: refused"): string {
  return `[2026-11-22 08:00:${String(second).padStart(2, "0")}] ${text}`;
}

for (const way of ["replaced", "rewritten", "truncated first"] as const) {
  Deno.test(`tail: written anew with its old lines (${way}), each of them arrives once`, () => {
    const { files, read } = follow();
    const write = files.writer(PATH);
    // More than a step, before it is followed.
    const old = `${timed(0)}\n`.repeat(2 * STEP_BYTES / 40);
    write(old);
    read();
    const lines = [timed(1), "a line without its time", timed(2), timed(3), timed(4)];
    write(`${lines.join("\n")}\n`);
    assert.deepEqual(read(), lines);
    if (way === "replaced") files.remove(PATH);
    else files.truncate(PATH);
    if (way === "truncated first") assert.deepEqual(read(), []);
    const fresh = files.writer(PATH);
    // The last line was removed, and one has come meanwhile.
    fresh(`${old}${lines.slice(0, -1).join("\n")}\n${timed(5)}\n${timed(6).slice(0, 30)}`);
    assert.deepEqual(read(), [timed(5)]);
    fresh(`${timed(6).slice(30)}\n`);
    assert.deepEqual(read(), [timed(6)]);
    files.truncate(PATH);
    fresh("a line without its time\n");
    assert.deepEqual(read(), ["a line without its time"]);
  });
}

Deno.test("tail: who does the same again in the second of a rotation is read again", () => {
  const line = (second: number, what: string) => `[2026-12-01 08:00:0${second}] ${what}`;
  for (const how of ["rename", "truncate"] as const) {
    const { files, read } = follow();
    const old = files.writer(PATH);
    read();
    const before = [line(1, "other"), line(2, "guess"), line(2, "guess")];
    old(before.map((one) => `${one}\n`).join(""));
    assert.deepEqual(read(), before);
    if (how === "rename") files.rename(PATH, `${PATH}.1`);
    else files.truncate(PATH);
    const fresh = files.writer(PATH);
    const after = [line(2, "another's"), line(2, "guess"), line(3, "guess")];
    // The first one may have been there before: that cannot be known.
    fresh([line(2, "guess"), ...after].map((one) => `${one}\n`).join(""));
    assert.deepEqual(read(), after, how);
  }
});

Deno.test("tail: a file that is older than the one before it is followed from its end on", () => {
  const { files, read, tail } = follow();
  const old = files.writer(PATH);
  old(`${timed(1)}\n`);
  files.rename(PATH, `${PATH}.1`);
  files.now = 60_000;
  assert.equal(tail.step(0), "absent");
  files.rename(`${PATH}.1`, PATH);
  assert.deepEqual(read(), [], "a disk that came later");
  old(`${timed(2)}\n`);
  assert.deepEqual(read(), [timed(2)]);
  files.rename(PATH, `${PATH}.1`);
  const fresh = files.writer(PATH);
  fresh(`${timed(3)}\n`.repeat(200));
  assert.equal(read().length, 200);
  files.rename(PATH, `${PATH}.2`);
  files.rename(`${PATH}.1`, PATH);
  assert.deepEqual(read(60_000), [], "put back");
  old(`${timed(4)}\n`);
  assert.deepEqual(read(60_000), [timed(4)]);
});

Deno.test("tail: a file that was read before two rotations is gone on with when it is put back", () => {
  const { files, read } = follow();
  files.writer(PATH);
  read();
  // All within a second: birth times do not tell which was there before.
  files.rename(PATH, `${PATH}.0`);
  const old = files.writer(PATH);
  old("1\n2\n");
  assert.deepEqual(read(), ["1", "2"]);
  files.rename(PATH, `${PATH}.1`);
  const second = files.writer(PATH);
  second("3\n");
  assert.deepEqual(read(100), ["3"]);
  files.rename(PATH, `${PATH}.2`);
  files.writer(PATH)("4\n");
  assert.deepEqual(read(200), ["4"]);
  old("5\n");
  files.remove(PATH);
  files.rename(`${PATH}.1`, PATH);
  assert.deepEqual(read(300), ["5"]);
  old("6\n");
  assert.deepEqual(read(400), ["6"]);
  // Emptied meanwhile, it begins anew.
  files.rename(PATH, `${PATH}.1`);
  files.rename(`${PATH}.2`, PATH);
  assert.deepEqual(read(500), []);
  files.rename(PATH, `${PATH}.2`);
  files.rename(`${PATH}.1`, PATH);
  files.truncate(PATH);
  old("7\n");
  assert.deepEqual(read(600 + FAREWELL_MS), ["7"]);
});

Deno.test("tail: a file that is as old as one before is known as such when that was left long ago", () => {
  const { files, read, tail } = follow();
  files.now = 10_000;
  files.writer("/elsewhere")(`${timed(1)}\n`);
  files.now = 60_000;
  files.writer(PATH);
  read();
  files.rename(PATH, `${PATH}.1`);
  files.writer(PATH)("");
  files.openTrouble = new Deno.errors.PermissionDenied("no");
  for (const now of [0, FAREWELL_MS, FAREWELL_MS + 100]) assert.throws(() => tail.step(now));
  files.openTrouble = undefined;
  files.remove(PATH);
  files.rename("/elsewhere", PATH);
  assert.deepEqual(read(FAREWELL_MS + 200), []);
});

Deno.test("tail: what stands in a file that could not be opened for long is of the past", () => {
  for (const ms of [REFUSED_MAX_MS, REFUSED_MAX_MS + 100]) {
    const { files, read, tail } = follow();
    files.writer(PATH);
    read();
    files.rename(PATH, `${PATH}.1`);
    const write = files.writer(PATH);
    write("1\n");
    files.openTrouble = new Deno.errors.PermissionDenied("no");
    assert.throws(() => tail.step(1_000));
    assert.throws(() => tail.step(2_000));
    files.openTrouble = undefined;
    assert.deepEqual(read(1_000 + ms), ms > REFUSED_MAX_MS ? [] : ["1"]);
    write("2\n");
    assert.deepEqual(read(1_100 + ms), ["2"]);
    // The next one is new again.
    files.rename(PATH, `${PATH}.2`);
    files.writer(PATH)("3\n");
    assert.deepEqual(read(1_200 + ms), ["3"]);
  }
});

Deno.test("tail: a file of before is not read again because the clock was set back meanwhile", () => {
  const { files, read, tail } = follow();
  files.now = 7_200_000;
  files.writer("/elsewhere")("old\n");
  files.now = 3_600_000;
  assert.equal(tail.step(0), "absent");
  files.rename("/elsewhere", PATH);
  assert.deepEqual(read(), []);
  files.writer(PATH)("new\n");
  assert.deepEqual(read(), ["new"]);
});

Deno.test("tail: what is made after the clock was set back is new, though it seems older", () => {
  const { files, read } = follow();
  files.now = 7_200_000;
  files.writer(PATH);
  read();
  files.now = 3_600_000;
  files.rename(PATH, `${PATH}.1`);
  files.writer(PATH)("1\n");
  assert.deepEqual(read(), ["1"]);
  files.writer("/elsewhere")("old\n");
  files.now += 60_000;
  files.rename("/elsewhere", PATH);
  assert.deepEqual(read(), ["old"], "younger than the one before");
  files.now = 1_800_000;
  files.writer("/elsewhere")("older\n");
  files.now += 60_000;
  files.rename("/elsewhere", PATH);
  assert.deepEqual(read(), []);
});

Deno.test("tail: a line without end is skipped in bounded memory, and what follows it is read", () => {
  const { files, read, tail } = follow();
  const write = files.writer(PATH);
  read();
  write(`1\n${"x".repeat(3 * STEP_BYTES)}\n2\n`);
  assert.deepEqual(read(), ["1", "2"]);
  assert.equal(tail.behind, 0);
  write("x".repeat(STEP_BYTES + 100));
  assert.deepEqual(read(), []);
  write("\n3\n");
  assert.deepEqual(read(), ["3"]);
});

Deno.test("tail: one step reads no more than its share, and knows how much is left", () => {
  const { files, tail } = follow();
  const write = files.writer(PATH);
  tail.step(0);
  write("123456789\n".repeat(STEP_BYTES / 4));
  assert.equal(tail.step(0), "read");
  assert.ok(tail.bytes <= STEP_BYTES && tail.bytes > STEP_BYTES - 10, `${tail.bytes}`);
  assert.equal(tail.behind, STEP_BYTES / 4 * 10 - tail.bytes);
});

Deno.test("tail: what hinders is thrown, and tried again; what was there by then stays unread", () => {
  const { files, read, tail } = follow();
  const write = files.writer(PATH);
  write("old\n");
  files.trouble = new Deno.errors.PermissionDenied("no");
  assert.throws(() => tail.step(0), Deno.errors.PermissionDenied);
  files.trouble = undefined;
  assert.deepEqual(read(), []);
  write("new\n");
  assert.deepEqual(read(), ["new"]);
  const folder = new Tail("/", realFiles, () => {});
  assert.throws(() => folder.step(0), NotAFileError);
});

Deno.test("tail: a real file, renamed, truncated and removed", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/messages`;
    const seen: string[] = [];
    const tail = new Tail(path, realFiles, (lines) => seen.push(latin1(lines, 0, lines.length)));
    const add = (text: string) => Deno.writeTextFileSync(path, text, { append: true });
    const read = () => {
      while (tail.step(0) === "read");
      return seen.splice(0).join("");
    };
    add("old\n");
    assert.equal(read(), "");
    add("1\n");
    assert.equal(read(), "1\n");
    Deno.renameSync(path, `${path}.1`);
    add("2\n");
    assert.equal(read(), "2\n");
    Deno.truncateSync(path);
    add("3\n");
    assert.equal(read(), "3\n");
    Deno.removeSync(path);
    add("4\n");
    assert.equal(read(), "4\n");
    tail.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tail: rotated at any byte, every line arrives once and whole, or not at all if its file went", () => {
  const act = fc.oneof(
    { weight: 6, arbitrary: fc.nat(12).map((count) => ({ write: count })) },
    { weight: 1, arbitrary: fc.constantFrom("rename", "truncate", "remove", "reopen") },
    { weight: 3, arbitrary: fc.constant("look") },
  );
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const { files, read } = follow();
      let write = files.writer(PATH);
      read();
      let sent = "";
      let next = 0;
      let now = 0;
      const seen: string[] = [];
      const lost = new Set<number>();
      // Lines that are not read yet when their file is truncated are gone, as for `tail -F`.
      let unread = 0;
      /** The file has come since the last look. */
      let fresh = false;
      /** The writer goes on in a file that was never seen. */
      let unseen = false;
      for (const one of acts) {
        if (one === "look") {
          seen.push(...read(now += 100));
          unread = sent === "" ? next : next - 1;
          fresh = false;
        } else if (one === "rename") {
          if (!files.has(PATH)) continue;
          files.rename(PATH, `${PATH}.1`);
          // Of several between two looks those between are never seen.
          if (fresh) { for (let i = unread; i <= next; i++) lost.add(i); }
          unseen ||= fresh;
        } else if (one === "truncate" || one === "remove") {
          if (!files.has(PATH)) continue;
          for (let i = unread; i <= next; i++) lost.add(i);
          if (one === "remove") {
            files.remove(PATH);
            unseen ||= fresh;
          } else {
            files.truncate(PATH);
            sent = "";
          }
        } else if (one === "reopen") {
          // A writer ends its line before it opens another file.
          if (sent !== "") write(sent);
          sent = "";
          unseen = false;
          fresh ||= !files.has(PATH);
          write = files.writer(PATH);
        } else {
          if (sent === "") sent = `line ${next++}\n`;
          write(sent.slice(0, one.write));
          if (unseen) lost.add(next - 1);
          sent = sent.slice(one.write);
        }
      }
      seen.push(...read(now += 100));
      const numbers = seen.map((line) => Number(/^line (\d+)$/.exec(line)?.[1] ?? NaN));
      assert.ok(numbers.every((number) => !Number.isNaN(number)), seen.join("|"));
      assert.equal(new Set(numbers).size, numbers.length, "a line came twice");
      const whole = sent === "" ? next : next - 1;
      for (let i = 0; i < whole; i++) assert.ok(numbers.includes(i) || lost.has(i), `no line ${i}`);
    }),
    { numRuns: 30_000 },
  );
});

Deno.test("tail: a file that is put back before its successor could be opened is read once", () => {
  const files = new MemoryFiles();
  const write = files.writer("/log");
  write("old\n");
  const lines: string[] = [];
  const tail = new Tail("/log", files, (text) => lines.push(new TextDecoder().decode(text)));
  tail.step(0);
  files.rename("/log", "/log.1");
  files.writer("/log")("");
  files.openTrouble = new Deno.errors.PermissionDenied("(os error 13)");
  assert.throws(() => tail.step(100), Deno.errors.PermissionDenied);
  files.openTrouble = undefined;
  files.remove("/log");
  files.rename("/log.1", "/log");
  tail.step(200);
  write("news\n");
  for (let now = 300; now < 1_000; now += 100) tail.step(now);
  assert.deepEqual(lines, ["news\n"]);
  tail.close();
});
