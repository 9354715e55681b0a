/** Where lines go: a file, standard error, and what happens when neither takes them. */

import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { Log } from "../../src/log.ts";
import { LogError, type LogWriter } from "../../src/text/line_sink.ts";
import { decoder, memoryLog } from "../support/memory_log.ts";

async function withDirectory(act: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "ampere-log-" });
  try {
    await act(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("line sink: a file is appended to, is not for everybody, and standard error stays silent", async () => {
  await withDirectory((directory) => {
    const file = join(directory, "ampere.log");
    for (const message of ["first run", "second run"]) {
      const { log, stderr } = memoryLog({ file });
      log.info(message);
      log.close();
      strictEqual(stderr.text, "");
    }
    const lines = Deno.readTextFileSync(file).trimEnd().split("\n");
    strictEqual(lines.length, 2);
    match(lines[0]!, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info: first run$/);
    match(lines[1]!, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info: second run$/);
    strictEqual(Deno.statSync(file).mode! & 0o137, 0);
  });
});

Deno.test("line sink: a file that cannot be opened is an error that says what to do", async () => {
  await withDirectory((directory) => {
    throws(() => new Log({ file: join(directory, "no/such/ampere.log") }), (error: unknown) => {
      ok(error instanceof LogError);
      match(error.message, /no\/such\/ampere\.log cannot be opened: its directory does not exist/);
      return true;
    });
    throws(() => new Log({ file: directory }), /cannot be opened: Is a directory/);
  });
});

Deno.test("line sink: after close, lines go to standard error and closing again does nothing", async () => {
  await withDirectory((directory) => {
    const { log, stderr } = memoryLog({ file: join(directory, "ampere.log") });
    log.close();
    log.info("late");
    log.close();
    strictEqual(log.reopen(), true);
    deepStrictEqual(stderr.lines, ["info: late"]);
  });
});

Deno.test("line sink: reopen goes on in a new file after logrotate moved the old one", async () => {
  await withDirectory((directory) => {
    const file = join(directory, "ampere.log");
    const { log, stderr } = memoryLog({ file });
    log.info("before");
    Deno.renameSync(file, `${file}.1`);
    log.info("between");
    strictEqual(log.reopen(), true);
    log.info("after");
    log.close();
    strictEqual(stderr.text, "");
    const messages = (path: string) => Deno.readTextFileSync(path).match(/(?<=info: ).*/g);
    deepStrictEqual(messages(`${file}.1`), ["before", "between"]);
    deepStrictEqual(messages(file), ["after"]);
  });
});

Deno.test("line sink: reopen that fails keeps the old file and says so in both places", async () => {
  await withDirectory((directory) => {
    const folder = join(directory, "log");
    Deno.mkdirSync(folder);
    const { log, stderr } = memoryLog({ file: join(folder, "ampere.log") });
    Deno.renameSync(folder, join(directory, "moved"));
    strictEqual(log.reopen(), false);
    log.info("goes on");
    log.close();
    const text = Deno.readTextFileSync(join(directory, "moved", "ampere.log"));
    match(
      text,
      /error: the log file .* cannot be opened: .*; the file opened before stays in use\n/,
    );
    match(text, /info: goes on\n$/);
    strictEqual(stderr.lines.length, 1);
    match(stderr.text, /^error: the log file .*; the file opened before stays in use\n$/);
  });
});

Deno.test("line sink: reopen leaks no file descriptors", async () => {
  await withDirectory((directory) => {
    const { log } = memoryLog({ file: join(directory, "ampere.log") });
    const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
    const before = open();
    for (let i = 0; i < 50; i++) log.reopen();
    strictEqual(open(), before);
    log.close();
  });
});

Deno.test("line sink: a full device is said once, lines are counted and the next file tells how many", async () => {
  await withDirectory((directory) => {
    const file = join(directory, "ampere.log");
    Deno.symlinkSync("/dev/full", file); // each write to it fails with ENOSPC
    const { log, stderr } = memoryLog({ file });
    for (let i = 0; i < 1000; i++) log.info(`line ${i}`);
    strictEqual(log.lost, 1000);
    strictEqual(stderr.lines.length, 1);
    match(stderr.text, /^error: the log file .* cannot be written \(No space left on device/);

    Deno.removeSync(file);
    strictEqual(log.reopen(), true);
    log.info("room again");
    log.info("and on");
    strictEqual(log.lost, 0);
    log.close();
    const messages = Deno.readTextFileSync(file).trimEnd().split("\n").map((line) =>
      line.slice(20)
    );
    deepStrictEqual(messages, [
      "warn: 1000 lines were lost here, because the log could not be written",
      "info: room again",
      "info: and on",
    ]);
    strictEqual(stderr.lines.length, 1);
  });
});

Deno.test("line sink: lines that are written at once are one write, and counted one by one when it fails", () => {
  const writes: string[] = [];
  let room = Infinity;
  const stderr: LogWriter = {
    writeSync(bytes) {
      const some = bytes.subarray(0, room);
      if (some.length === 0) throw new Error("no room");
      room -= some.length;
      writes.push(decoder.decode(some));
      return some.length;
    },
  };
  const { log } = memoryLog({ stderr });
  log.infoAll(["a", "b\nc", "d"]);
  deepStrictEqual(writes.splice(0), ["info: a\ninfo: b\\x0ac\ninfo: d\n"]);
  log.infoAll([]);
  deepStrictEqual(writes.splice(0), []);
  // Room for the first line and the beginning of the second.
  room = "info: a\ninf".length;
  log.infoAll(["a", "b", "c"]);
  strictEqual(log.lost, 2);
  // Now not even what says that lines are missing can be written.
  log.infoAll(["d", "e", "f"]);
  strictEqual(log.lost, 5);
  room = Infinity;
  log.info("g");
  strictEqual(
    writes.join(""),
    "info: a\ninf\nwarn: 5 lines were lost here, because the log could not be written\ninfo: g\n",
  );
});

Deno.test({
  name:
    "line sink: a file system that is full and gets room again: whole lines, all lost ones counted",
  // Mounting needs root, and a mount namespace of its own so that nothing is left behind.
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
  async fn() {
    await withDirectory(async (directory) => {
      const source = `
        import { Log } from ${JSON.stringify(import.meta.resolve("../../src/log.ts"))};
        const [directory] = Deno.args;
        const log = new Log({ file: directory + "/ampere.log" });
        Deno.writeFileSync(directory + "/ballast", new Uint8Array(40_000));
        for (let i = 0; i < 2_000; i++) log.info("line " + i + " " + "x".repeat(40));
        const lost = log.lost;
        Deno.removeSync(directory + "/ballast");
        log.info("room again");
        log.close();
        const text = Deno.readTextFileSync(directory + "/ampere.log");
        console.log(JSON.stringify({ lost, text }));`;
      const script = join(directory, "full_disk.ts");
      const disk = join(directory, "disk");
      await Deno.mkdir(disk);
      await Deno.writeTextFile(script, source);
      const { stdout, stderr, success } = await new Deno.Command("unshare", {
        args: [
          "-m",
          "sh",
          "-c",
          'mount -t tmpfs -o size=64k tmpfs "$2" && exec "$0" run -A --no-config "$1" "$2"',
          Deno.execPath(),
          script,
          disk,
        ],
      }).output();
      const errors = decoder.decode(stderr);
      ok(success, errors);
      const { lost, text } = JSON.parse(decoder.decode(stdout)) as { lost: number; text: string };
      const lines = text.trimEnd().split("\n").map((line) => line.slice(20));
      ok(lost > 0 && lost < 2_000, `${lost} lost`);
      strictEqual(errors.match(/cannot be written/g)?.length, 1, errors);
      strictEqual(lines.pop(), "info: room again");
      strictEqual(
        lines.pop(),
        `warn: ${lost} lines were lost here, because the log could not be written`,
      );
      // The line at which the disk became full may be torn; it stands alone and counts as lost.
      const torn = lines.length === 2_000 - lost ? undefined : lines.pop();
      if (torn !== undefined) {
        ok(`info: line ${lines.length} ${"x".repeat(40)}`.startsWith(torn), torn);
      }
      strictEqual(lines.length, 2_000 - lost);
      lines.forEach((line, i) => strictEqual(line, `info: line ${i} ${"x".repeat(40)}`));
    });
  },
});

Deno.test("line sink: a writer that takes a few bytes at a time, fails at times and recovers: no line is mixed", () => {
  const script = fc.array(
    fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constant(-1), fc.constant(0)),
    {
      minLength: 1,
      maxLength: 60,
    },
  );
  fc.assert(fc.property(script, fc.integer({ min: 1, max: 30 }), (script, lines) => {
    let text = "";
    let step = 0;
    const stderr: LogWriter = {
      writeSync(bytes) {
        const take = script[step++] ?? bytes.length;
        if (take < 0) throw new Error("EIO");
        text += decoder.decode(bytes.subarray(0, take));
        return Math.min(take, bytes.length);
      },
    };
    const { log } = memoryLog({ stderr });
    for (let i = 0; i < lines; i++) log.info(`line ${i} end`);
    step = Infinity; // from here on all is well
    log.info("the last line");
    strictEqual(log.lost, 0);
    const written = text.trimEnd().split("\n");
    strictEqual(written.at(-1), "info: the last line");
    let lost = 0;
    let whole = 0;
    for (const line of written.slice(0, -1)) {
      const said = /^warn: (\d+) lines? (?:was|were) lost here/.exec(line);
      if (said) lost += Number(said[1]);
      else if (/^info: line \d+ end$/.test(line)) whole++;
      else ok(isTorn(line), line);
    }
    // A line whose text was complete but for its end of line counts as lost, though it can be read.
    ok(whole + lost >= lines, `${whole} whole, ${lost} lost of ${lines}\n${text}`);
  }));
});

/** Whether a line is the beginning of one that the test above writes. */
function isTorn(line: string): boolean {
  const number = /\d+/.exec(line)?.[0] ?? "1";
  return [`info: line ${number} end`, `warn: ${number} lines were lost`, "warn: 1 line was lost"]
    .some((whole) => whole.startsWith(line) || line.startsWith(whole));
}
