/** Asterisk's log beside its manager interface, in the daemon as a whole. */

import assert from "node:assert/strict";
import { DEFAULT_CONFIG, NO_AMI } from "../../src/config/config.ts";
import { statusOf } from "../../src/telemetry/status.ts";
import { bytesOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { ADDRESS, daemonWith, withDaemon } from "../support/daemons.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { fileLine, LINE_KINDS } from "../support/log_text.ts";
import { MemoryFiles } from "../support/memory_files.ts";
import { until } from "../support/namespace.ts";
import { toLog } from "../support/replays.ts";

const kind = (name: string) => LINE_KINDS.find((one) => one.name === name)!;

/** A folder with a log that can be written. */
async function withLog(
  run: (path: string, write: (text: string) => void) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/messages`;
    Deno.writeTextFileSync(path, "");
    await run(path, (text) => Deno.writeFileSync(path, bytesOf(text), { append: true }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const call = (number: number, host = ADDRESS) =>
  fileLine(kind("PJSIP call").print(host, { extension: `00972${number}` }));

Deno.test("logs: callers without an account are blocked by what the log tells, and all of it is shown", async () => {
  await withLog(async (path, write) => {
    write(call(0) + call(1) + call(2));
    await withDaemon({ logs: [path] }, async (daemon, asterisk, notices, lines) => {
      await until("it follows", () => lines.some((line) => line.includes(`following ${path}`)));
      await asterisk.send(wrongAnswer("203.0.113.77"));
      write(call(3) + call(4));
      await until("two are read", () => daemon.logs?.charged.get("FailedACL PJSIP") === 2);
      assert.equal(daemon.list.size, 0, "what stood there before does not count");
      write(call(5));
      const told = () => notices.find((notice) => notice.event === "block");
      await until("the host is blocked, and told of", () => told() !== undefined);
      assert.match(told()!.reason, /^3 calls without an account within .* last number "009725"/);
      // AMI's events are counted alone.
      const { events, logs } = statusOf(daemon, Date.now());
      assert.equal(events.byKind["ChallengeResponseFailed PJSIP"], 1);
      assert.equal(events.byKind["FailedACL PJSIP"], undefined);
      assert.deepEqual(logs!.charged, { "FailedACL PJSIP": 3 });
      assert.deepEqual(logs!.files.map(({ lines, trouble }) => [lines, trouble]), [[3, null]]);
    });
  });
});

Deno.test("logs: a host in good standing may dial what it likes", async () => {
  await withLog(async (path, write) => {
    await withDaemon({ logs: [path] }, async (daemon, asterisk, _notices, lines) => {
      await until("it follows", () => lines.some((line) => line.includes(`following ${path}`)));
      await asterisk.send(successfulAuth(ADDRESS));
      await until("it has logged in", () => daemon.table.standingSize === 1);
      write(Array.from({ length: 50 }, (_, i) => call(i)).join("") + call(0, "203.0.113.77"));
      await until("all is read", () => daemon.logs?.charged.get("FailedACL PJSIP") === 51);
      assert.deepEqual(daemon.inquiry.worst(9).map(({ host }) => host), ["203.0.113.77"]);
    });
  });
});

Deno.test("logs: while AMI is away the log stands for it, and nothing counts twice", async () => {
  await withLog(async (path, write) => {
    await withDaemon(
      { logs: [path], loyalty: 1_000 },
      async (daemon, asterisk, _notices, lines) => {
        await until("it follows", () => lines.some((line) => line.includes(`following ${path}`)));
        let guesses = 0;
        const guess = async () => {
          const event = wrongAnswer(ADDRESS, { session: `${guesses++}` });
          // As Asterisk does: the log is another thread's.
          if (guesses % 2 === 0) write(toLog(event));
          await asterisk.send(event);
          if (guesses % 2 === 1) write(toLog(event));
        };
        for (let round = 0; round < 3; round++) {
          for (let i = 0; i < 20; i++) await guess();
          asterisk.dropAll();
          await until(
            "it is away",
            () => daemon.connectedSince === undefined && asterisk.loggedIn === 0,
          );
          for (let i = 0; i < 20; i++) await guess();
          await until("it is back", async () => {
            await guess();
            return daemon.connectedSince !== undefined;
          });
        }
        const points = () => daemon.inquiry.worst(1)[0]?.points;
        await until("all is judged", () => daemon.logs!.waiting === 0 && points() === 5 * guesses);
        assert.ok(daemon.logs!.dropped > 0);
      },
    );
  });
});

Deno.test("logs: without AMI the log alone is followed, and a new configuration may change that", async () => {
  await withLog(async (path, write) => {
    const config = { ...DEFAULT_CONFIG, host: NO_AMI, logs: [path] };
    const { daemon, lines } = daemonWith({ config });
    const stop = new AbortController();
    const running = daemon.run(stop.signal);
    await until("it follows", () => lines.some((line) => line.includes("following")));
    assert.match(daemon.statusLine(), /^following Asterisk's log alone, /);
    const guesses = (host: string) =>
      [1, 2, 3].map((i) => toLog(wrongAnswer(host, { session: `${i}` }))).join("");
    write(guesses(ADDRESS));
    await until("the host is blocked", () => daemon.list.get(ADDRESS) !== undefined);
    const other = `${path}.other`;
    daemon.reconfigure({ ...config, logs: [other] });
    await until("it waits for the other", () => daemon.logs!.files[0]!.trouble !== undefined);
    assert.match(daemon.logs!.files[0]!.trouble!, /other is not there; it is waited for$/);
    Deno.writeFileSync(other, bytesOf(guesses("203.0.113.10")));
    await until("another one is blocked", () => daemon.list.get("203.0.113.10") !== undefined);
    assert.ok(lines.some((line) => line.endsWith("messages.other")), lines.join("\n"));
    daemon.reconfigure({ ...config, logs: [] });
    assert.equal(daemon.logs, undefined);
    stop.abort();
    assert.equal(await running, 0);
  });
});

Deno.test("logs: a new configuration misses nothing of a file that stays", async () => {
  const files = new MemoryFiles();
  const [first, second, third] = ["/var/log/1", "/var/log/2", "/var/log/3"] as const;
  const writers = new Map([first, second, third].map((path) => [path, files.writer(path)]));
  const config = { ...DEFAULT_CONFIG, host: NO_AMI, logs: [first, second], loyalty: 100 };
  const { daemon, lines } = daemonWith({ config, files });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  const follows = (path: string) => () => lines.some((line) => line.endsWith(`following ${path}`));
  await until("it follows", follows(second));
  writers.get(second)!(call(1));
  daemon.reconfigure({ ...config, logs: [second, third] });
  await until("it follows the new one", follows(third));
  const charged = () => daemon.logs!.charged.get("FailedACL PJSIP");
  await until("the line has counted", () => charged() === 1);
  // The same line counts once in both, and again when it comes again.
  for (const path of [third, second]) writers.get(path)!(call(2));
  writers.get(third)!(call(2));
  await until("both have counted", () => charged() === 3);
  assert.deepEqual(daemon.logs!.files.map(({ path }) => path), [second, third]);
  stop.abort();
  await running;
});

Deno.test("logs: attempts of several files are told apart, and what is not believed counts once", async () => {
  const files = new MemoryFiles();
  const paths = ["/var/log/1", "/var/log/2"];
  const [first, second] = paths.map((path) => files.writer(path));
  const config = { ...DEFAULT_CONFIG, host: NO_AMI, logs: paths, loyalty: 2 };
  const { daemon, lines } = daemonWith({ config, files });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  await until("it follows", () => lines.some((line) => line.endsWith(`following ${paths[1]}`)));
  // Both stand in the first line of their file.
  second!(fileLine(kind("IAX2, wrong password").print(ADDRESS)));
  await until("one has counted", () => daemon.logs!.charged.get("InvalidPassword IAX2") === 1);
  first!(call(1));
  await until("it is blocked", () => daemon.list.get(ADDRESS) !== undefined);
  // An account name with a line end; it stands elsewhere in the other file.
  const event = wrongAnswer("203.0.113.77", { service: "SIP", kind: "InvalidPassword" });
  const torn = toLog(event).replace(/AccountID="/, 'AccountID="x\n');
  second!(toLog(wrongAnswer("203.0.113.79")));
  for (const write of [first!, second!]) write(torn);
  for (const write of [first!, second!]) write(toLog(wrongAnswer("203.0.113.78")));
  await until("both files are read", () => daemon.list.get("203.0.113.78") !== undefined);
  assert.deepEqual(
    Object.fromEntries(daemon.logs!.charged),
    {
      "InvalidPassword IAX2": 1,
      "FailedACL PJSIP": 1,
      "RefusedMessage SIP": 1,
      "ChallengeResponseFailed PJSIP": 3,
    },
  );
  stop.abort();
  await running;
});

Deno.test("logs: a line that waits when the daemon is told to end counts, and is blocked for", async () => {
  const files = new MemoryFiles();
  const path = "/var/log/asterisk/messages";
  const write = files.writer(path);
  const config = { ...DEFAULT_CONFIG, host: NO_AMI, logs: [path], loyalty: 1 };
  const { daemon, lines } = daemonWith({ config, files });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  await until("it follows", () => lines.some((line) => line.includes("following")));
  // A security event of the same request may follow it within a second.
  write(fileLine(kind("Request - Failed to authenticate").print(ADDRESS)));
  await until("it waits", () => daemon.logs!.waiting === 1);
  stop.abort();
  await running;
  assert.ok(daemon.list.get(ADDRESS) !== undefined);
});

Deno.test("logs: what an AMI user may not hear counts by the log, and that is told once", async () => {
  await using asterisk = new FakeAsterisk({
    users: [{ name: "ampere", secret: "ampere", read: ["system"] }],
  });
  await withLog(async (path, write) => {
    const config = { ...DEFAULT_CONFIG, port: asterisk.port, logs: [path], loyalty: 100 };
    const { daemon, lines } = daemonWith({ config });
    const stop = new AbortController();
    const running = daemon.run(stop.signal);
    await until("it is logged in", () => daemon.connectedSince !== undefined);
    let guesses = 0;
    const told = () => lines.filter((line) => line.includes("AMI has told of nobody"));
    await until("it is told, and the host is blocked", async () => {
      write(toLog(wrongAnswer(ADDRESS, { session: `${guesses++}` })));
      // Asterisk answers, so it is there.
      await asterisk.send("Event: Alarm\r\nPrivilege: system,all\r\n\r\n");
      return told().length > 0 && daemon.list.get(ADDRESS) !== undefined;
    });
    assert.match(told()[0]!, /The log counts meanwhile\. Fix: .*read = security,system,user/);
    assert.equal(told().length, 1);
    stop.abort();
    assert.equal(await running, 0);
  });
});

Deno.test("logs: the last line of a file that cannot be read any more counts, and at once", async () => {
  const files = new MemoryFiles();
  const path = "/var/log/asterisk/messages";
  const write = files.writer(path);
  const config = { ...DEFAULT_CONFIG, host: NO_AMI, logs: [path], loyalty: 1 };
  const { daemon, lines } = daemonWith({ config, files });
  const stop = new AbortController();
  const running = daemon.run(stop.signal);
  await until("it follows", () => lines.some((line) => line.includes("following")));
  // Its sender's line end could stand behind it: it waits for what follows.
  write(call(1));
  files.trouble = new Deno.errors.PermissionDenied("(os error 13)");
  await until("it is blocked", () => daemon.list.get(ADDRESS) !== undefined);
  stop.abort();
  await running;
});

Deno.test("logs: a burst is read in pieces, and AMI's events are not kept waiting", async () => {
  await withLog(async (path, write) => {
    await withDaemon({ logs: [path] }, async (daemon, asterisk, _notices, lines) => {
      await until("it follows", () => lines.some((line) => line.includes(`following ${path}`)));
      const noise = fileLine({ file: "pbx.c", message: `Nothing of concern ${"x".repeat(100)}` });
      const chunk = noise.repeat(8 * 1024 * 1024 / noise.length);
      write(chunk);
      await until("it has begun to read", () => daemon.logs!.files[0]!.behind > 0);
      for (let i = 0; i < 3; i++) await asterisk.send(wrongAnswer(ADDRESS, { session: `${i}` }));
      await until("the host is blocked", () => daemon.list.size === 1);
      assert.ok(daemon.logs!.files[0]!.behind > 0, "all was read before AMI had its turn");
      await until("all is read", () => daemon.logs!.files[0]!.behind === 0);
      assert.equal(daemon.logs!.files[0]!.lines, chunk.length / noise.length);
    });
  });
});
