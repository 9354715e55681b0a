/** Logs into what somebody reads, or does not. */

import assert from "node:assert/strict";
import { Log } from "../../src/log.ts";
import { LogQueue, QUEUE_BYTES_MAX, STALLED_MS } from "../../src/text/log_queue.ts";
import { Program } from "../e2e/program.ts";
import { sh, until } from "../support/namespace.ts";

async function withFifo(run: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/log`;
    assert.equal((await sh("mkfifo", path)).code, 0);
    await run(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A log whose standard error is kept. */
function logTo(file: string) {
  const errors: string[] = [];
  const stderr = {
    writeSync(bytes: Uint8Array) {
      errors.push(new TextDecoder().decode(bytes));
      return bytes.length;
    },
  };
  return { log: new Log({ file, stderr, stamps: false }), errors };
}

Deno.test("log queue: a FIFO that nobody reads yet holds up nothing; who comes gets all", async () => {
  await withFifo(async (path) => {
    const { log, errors } = logTo(path);
    const began = performance.now();
    for (let i = 0; i < 1_000; i++) log.info(`line ${i}`);
    assert.ok(performance.now() - began < 1_000);
    assert.equal(log.reopen(), true);
    log.info("after the rotation");
    await using reader = new Program(["cat", path]);
    await reader.said(/after the rotation/);
    await log.drain();
    log.close();
    await reader.end();
    assert.equal(reader.lines.length, 1_001);
    reader.lines.forEach((line, i) =>
      assert.equal(line.slice(20), i < 1_000 ? `info: line ${i}` : "info: after the rotation")
    );
    assert.deepEqual([errors, log.lost], [[], 0]);
  });
});

Deno.test("log queue: when the reader stands still, so much is kept; the rest is counted and told when it goes on", async () => {
  await withFifo(async (path) => {
    const { log, errors } = logTo(path);
    await using reader = new Program([
      "sh",
      "-c",
      'exec < "$0"; read first; read wait < "$0.go"; cat',
      path,
    ]);
    assert.equal((await sh("mkfifo", `${path}.go`)).code, 0);
    const text = "x".repeat(1_000);
    const count = Math.round(QUEUE_BYTES_MAX / 1_000 * 2);
    for (let i = 0; i < count; i++) {
      log.info(`${i} ${text}`);
      if (i % 1_000 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const lost = log.lost;
    assert.ok(lost > 0 && lost < count, `${lost} lost`);
    assert.equal(errors.length, 1);
    assert.match(
      errors[0]!,
      /error: the log file .* cannot be written \(nobody reads it\): lines are dropped/,
    );
    await Deno.writeTextFile(`${path}.go`, "\n");
    await until("all that was kept is read", () => reader.lines.length >= count - lost - 2);
    log.info("and on");
    await log.drain();
    log.close();
    await reader.end();
    const [told, last] = reader.lines.slice(-2).map((line) => line.slice(20));
    assert.equal(told, `warn: ${lost} lines were lost here, because the log could not be written`);
    assert.equal(last, "info: and on");
    // The first line was for `read`.
    const kept = reader.lines.slice(0, -2).map((line) => Number(line.slice(26).split(" ")[0]));
    assert.equal(kept.length + 1 + lost, count);
    kept.slice(-1_000).forEach((number, i, all) => assert.equal(number, all[0]! + i));
    assert.equal(log.lost, 0);
  });
});

Deno.test("log queue: the reader goes away, and another one comes", async () => {
  await withFifo(async (path) => {
    const { log, errors } = logTo(path);
    log.info("first");
    await using reader = new Program(["head", "-n", "1", path]);
    await reader.end();
    for (let i = 0; i < 3; i++) log.info(`nobody hears ${i}`);
    await log.drain();
    await using next = new Program(["cat", path]);
    await next.said(/nobody hears 2$/);
    log.close();
    await next.end();
    assert.deepEqual(next.lines.map((line) => line.slice(20)), [
      "info: nobody hears 0",
      "info: nobody hears 1",
      "info: nobody hears 2",
    ]);
    assert.deepEqual([errors, log.lost], [[], 0]);
  });
});

Deno.test("log queue: a reader that is silent for long is told once, though nothing is lost", async () => {
  const troubles: string[] = [];
  const open = Promise.withResolvers<{ write(bytes: Uint8Array): Promise<number> }>();
  const written: string[] = [];
  const queue = new LogQueue({
    open: () => open.promise,
    onTrouble: (why) => void troubles.push(why),
  });
  queue.push(["a\n"], () => "");
  await new Promise((resolve) => setTimeout(resolve, STALLED_MS + 500));
  assert.deepEqual([troubles, queue.lost], [["nobody reads it"], 0]);
  // Takes one byte at a time, and fails in between.
  let calls = 0;
  open.resolve({
    write(bytes) {
      if (++calls === 5) return Promise.reject(new Error("broken"));
      written.push(String.fromCharCode(bytes[0]!));
      return Promise.resolve(1);
    },
  });
  queue.push(["bc\n"], () => "");
  await queue.drain(1_000);
  assert.deepEqual([written.join(""), queue.lost], ["a\nbc", 1]);
  queue.push(["d\n"], (lost) => `${lost} lost\n`);
  assert.equal(await queue.drain(1_000), true);
  assert.deepEqual([written.join(""), queue.lost, troubles.length], ["a\nbc\n1 lost\nd\n", 0, 1]);
  queue.close();
});

Deno.test("log queue: standard error that nobody reads does not stop the program", async () => {
  const source = `
    import { Log } from ${JSON.stringify(import.meta.resolve("../../src/log.ts"))};
    const log = new Log();
    for (let i = 0; i < 5_000; i++) log.info("x".repeat(100));
    await new Promise((resolve) => setTimeout(resolve, 100));
    Deno.writeTextFileSync(Deno.args[0], "alive");
    await log.drain(100);
    Deno.exit(0);`;
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/main.ts`, source);
  const { code } = await sh(
    "sh",
    "-c",
    `{ "$0" run -A --no-check --no-config "$1/main.ts" "$1/alive" 2>&1 > /dev/null; echo $? > "$1/code"; } | ` +
      `{ for i in $(seq 100); do test -s "$1/code" && exit 0; sleep 0.1; done; exit 1; }`,
    Deno.execPath(),
    folder,
  );
  assert.equal(code, 0, "it ends while nobody reads");
  assert.equal(await Deno.readTextFile(`${folder}/alive`), "alive");
  assert.equal(await Deno.readTextFile(`${folder}/code`), "0\n");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("log queue: a line that comes at the very end of a write is written too", async () => {
  // How many promises lie between the end of a write and the end of the pump is an affair of the
  // engine.
  for (let depth = 0; depth < 16; depth++) {
    const written: string[] = [];
    let first = true;
    const queue: LogQueue = new LogQueue({
      open: () =>
        Promise.resolve({
          write: (bytes: Uint8Array) => {
            written.push(new TextDecoder().decode(bytes));
            if (first) {
              first = false;
              let soon = Promise.resolve();
              for (let i = 0; i < depth; i++) soon = soon.then(() => {});
              soon.then(() => queue.push(["second\n"], () => ""));
            }
            return Promise.resolve(bytes.length);
          },
        }),
      onTrouble: (why) => assert.fail(why),
    });
    queue.push(["first\n"], () => "");
    // All that is to be done without a further line is done after some turns of the event loop.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    assert.deepEqual(written.join(""), "first\nsecond\n", `after ${depth} promises`);
    assert.equal(await queue.drain(1_000), true);
  }
});
