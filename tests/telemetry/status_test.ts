import assert from "node:assert/strict";
import { connect } from "node:net";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Counters } from "../../src/telemetry/counters.ts";
import { Services } from "../../src/telemetry/services.ts";
import { formatStatus, printStatus } from "../../src/commands/status.ts";
import { type Status, statusOf, type StatusSource } from "../../src/telemetry/status.ts";
import {
  askStatus,
  StatusError,
  StatusServer,
  statusSocketPath,
} from "../../src/telemetry/status_socket.ts";
import {
  COLOURED,
  counted,
  formatBytes,
  formatCount,
  formatTable,
  PLAIN,
  ProgressBar,
  styleFor,
} from "../../src/text/table.ts";
import { until } from "../support/namespace.ts";
import { eventType, NOW, source } from "../support/status_source.ts";

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function logOf(lines: string[]) {
  return {
    info: (message: string) => void lines.push(`info ${message}`),
    warn: (message: string) => void lines.push(`warn ${message}`),
    limited: (_cause: string, level: string, message: string) =>
      void lines.push(`${level} ${message}`),
  };
}

async function printed(daemon: StatusSource, folder: string, json: boolean) {
  let out = "";
  let err = "";
  const code = await printStatus(
    daemon.config,
    json,
    (text) => {
      out += text;
      return 0;
    },
    (line) => err += `${line}\n`,
    folder,
  );
  return { code, out, err };
}

Deno.test("status: what the daemon says comes through the socket, for programs and for people", async () => {
  await withFolder(async (folder) => {
    const daemon = source();
    const services = new Services(daemon, logOf([]), folder);
    await services.apply();
    const json = await printed(daemon, folder, true);
    assert.equal(json.code, 0);
    const status: Status = JSON.parse(json.out);
    assert.equal(status.events.byKind["ChallengeSent PJSIP"], 3);
    assert.equal(status.blocks.last[0]!.target, "2001:db8:bad::/64");
    assert.equal(status.blocks.last[0]!.until, null);
    const people = await printed(daemon, folder, false);
    assert.equal(people.code, 0);
    assert.match(people.out, /^Blocks +2 blocks; since the start 2 added, 0 ended$/m);
    await services.stop();
    assert.deepEqual([...Deno.readDirSync(folder)], [], "nothing is left behind");
  });
});

Deno.test("status: the socket is for its own user only, in a folder for its own user only", async () => {
  await withFolder(async (parent) => {
    const folder = `${parent}/ampere`;
    const path = await statusSocketPath("/var/lib/ampere/ampere.db", folder);
    const server = await StatusServer.open(path, () => "{}\n");
    assert.equal(Deno.lstatSync(path).mode! & 0o7777, 0o600);
    assert.equal(Deno.lstatSync(folder).mode! & 0o7777, 0o700);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`), [path]);
    await server.stop();
  });
});

Deno.test("status: daemons with different databases do not meet; a second one with the same is refused", async () => {
  await withFolder(async (folder) => {
    assert.notEqual(
      await statusSocketPath("/a.db", folder),
      await statusSocketPath("/b.db", folder),
    );
    const path = await statusSocketPath("/a.db", folder);
    const first = await StatusServer.open(path, () => "first\n");
    await assert.rejects(StatusServer.open(path, () => "second\n"), StatusError);
    assert.equal(await askStatus(path), "first\n");
    await first.stop();

    const lines: string[] = [];
    const services = new Services(source(), logOf(lines), folder);
    const other = await StatusServer.open(
      await statusSocketPath(source().list.path, folder),
      () => "other\n",
    );
    await services.apply();
    assert.match(
      lines.join("\n"),
      /^warn ampere --status will not work: another Ampere answers at /,
    );
    await services.stop();
    assert.equal(await askStatus(other.path), "other\n", "the other one goes on");
    await other.stop();
  });
});

Deno.test("status: the socket of a daemon that was killed is told from a living one, and replaced", async () => {
  await withFolder(async (folder) => {
    const path = await statusSocketPath("/a.db", folder);
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `import { StatusServer } from ${
          JSON.stringify(new URL("../../src/telemetry/status_socket.ts", import.meta.url).href)
        };
         await StatusServer.open(${JSON.stringify(path)}, () => "killed\\n");`,
      ],
    }).spawn();
    await until("the other process answers", async () => {
      try {
        return await askStatus(path) === "killed\n";
      } catch {
        return false;
      }
    });
    child.kill("SIGKILL");
    await child.status;
    assert.ok(Deno.lstatSync(path).isSocket, "it left its socket behind");
    await assert.rejects(askStatus(path), (error) => error instanceof StatusError && error.absent);
    const server = await StatusServer.open(path, () => "alive\n");
    assert.equal(await askStatus(path), "alive\n");
    await server.stop();
  });
});

Deno.test("status: without a daemon it says so and what to do, with exit code 1", async () => {
  await withFolder(async (folder) => {
    const { code, out, err } = await printed(source(), folder, false);
    assert.equal(code, 1);
    assert.equal(out, "");
    assert.match(
      err,
      /^ampere: no daemon answers at .*\.sock \(database \/var\/lib\/ampere\/ampere\.db\)$/m,
    );
    assert.match(err, /systemctl start ampere/);
  });
});

Deno.test("status: a folder that cannot be made is told once, and the daemon goes on", async () => {
  const lines: string[] = [];
  const services = new Services(source(), logOf(lines), "/proc/ampere");
  await services.apply();
  await services.stop();
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^warn ampere --status will not work: .*RuntimeDirectory=ampere/);
});

Deno.test("status: those who ask and do not read, or only connect, hold nothing for long", async () => {
  await withFolder(async (folder) => {
    const path = await statusSocketPath("/a.db", folder);
    const server = await StatusServer.open(path, () => "x".repeat(3_000_000) + "\n");
    const idle = Array.from({ length: 20 }, () => connect({ path }).on("error", () => {}));
    await Promise.all(
      idle.map((socket) =>
        new Promise((resolve) => socket.pause().on("close", resolve).on("connect", resolve))
      ),
    );
    // All places may be taken by those who do not read; after their time one is free again.
    await until("it answers again", async () => {
      try {
        return (await askStatus(path)).length === 3_000_001;
      } catch {
        return false;
      }
    });
    for (const socket of idle) socket.destroy();
    await server.stop();
  });
});

Deno.test("status: troubles are told in words", () => {
  const daemon = source({ connected: false, trouble: "full", failing: true });
  const text = formatStatus(statusOf(daemon, NOW), NOW, PLAIN);
  assert.match(
    text,
    /^Asterisk +not connected to 127\.0\.0\.1:5038 as "ampere", lost 2 times; see the log, or ampere --check$/m,
  );
  assert.match(
    text,
    /^Firewall +failing: iptables, chain ampere, 1 block in the kernel, 1 change waiting, 3 of 7 commands failed$/m,
  );
  assert.match(text, /^ +IPv4: there is no chain "ampere".*Fix: iptables -N ampere/m);
  assert.match(text, /^Database +full: \/var\/lib\/ampere\/ampere\.db, 4 changes kept in memory/m);
});

Deno.test("status: the tables, exactly", () => {
  const text = formatStatus(statusOf(source(), NOW), NOW, PLAIN);
  const tables = text.slice(text.indexOf("\nMost"));
  const local = (ms: number) => {
    const at = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
    return at.toISOString().slice(0, 19).replace("T", " ");
  };
  assert.equal(
    tables,
    `
Most penalised, not blocked yet
host           points  last seen  attempts
198.51.100.7  9 of 15    5 s ago  1 wrong password and 1 unanswered challenge, 2 under way

Last blocks
host               since                until                reason
2001:db8:bad::/64  ${
      local(NOW - 60_000)
    }  for ever             3 wrong passwords, last account "\\x1b[2J"
203.0.113.5        ${local(NOW - 120_000)}  ${local(NOW + 600_000)}  added by hand
`,
  );
});

Deno.test("status: a hostile account name cannot reach the terminal", () => {
  const text = formatStatus(statusOf(source(), NOW), NOW, PLAIN);
  // deno-lint-ignore no-control-regex -- this is what must not be there
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f]/);
});

Deno.test("terminal: colours on a terminal only, and never with NO_COLOR", () => {
  const terminal = { isTerminal: () => true };
  assert.equal(styleFor(terminal, false), COLOURED);
  assert.equal(styleFor(terminal, true), PLAIN);
  assert.equal(styleFor({ isTerminal: () => false }, false), PLAIN);
});

Deno.test("terminal: NO_COLOR is obeyed without a permission", async () => {
  const module = new URL("../../src/text/table.ts", import.meta.url).href;
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(
    `${folder}/main.ts`,
    `import { styleFor } from ${JSON.stringify(module)};
     console.log(styleFor({ isTerminal: () => true }).bad("x"));`,
  );
  const said = async (env: Record<string, string>) => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", `${folder}/main.ts`],
      env,
      clearEnv: true,
    }).output();
    return new TextDecoder().decode(stdout);
  };
  try {
    assert.equal(await said({ NO_COLOR: "1" }), "x\n");
    assert.equal(await said({}), "\x1b[31mx\x1b[39m\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("terminal: tables, counts and sizes", () => {
  assert.equal(formatTable([["a", "1"], ["bbb", "22"]], ["left", "right"]), "a     1\nbbb  22\n");
  assert.equal(formatTable([["a", "b"], ["x", ""]]), "a  b\nx\n");
  assert.equal(formatCount(1_234_567), "1,234,567");
  assert.equal(counted(1, "host"), "1 host");
  assert.equal(counted(2_000, "entry", "entries"), "2,000 entries");
  const sizes: [number, string][] = [[0, "0 B"], [999, "999 B"], [1_000, "1.0 kB"], [
    123_456,
    "123 kB",
  ], [
    1_440_000,
    "1.4 MB",
  ]];
  for (const [size, text] of sizes) assert.equal(formatBytes(size), text);
});

Deno.test("terminal: a progress bar is drawn for long input on a terminal, and removed", () => {
  const draw = (isTerminal: boolean, total: number | undefined, parts: number[]) => {
    let text = "";
    let now = 0;
    const bar = new ProgressBar(
      {
        isTerminal: () => isTerminal,
        writeSync: (bytes) => (text += new TextDecoder().decode(bytes), bytes.length),
      },
      total,
      () => now,
    );
    for (const done of parts) {
      now += 200;
      bar.show(done);
    }
    bar.clear();
    return text;
  };
  assert.equal(draw(false, 10_000_000, [5_000_000]), "");
  assert.equal(draw(true, 1_000, [500]), "");
  assert.equal(
    draw(true, 10_000_000, [5_000_000]),
    "\r[###############---------------] 50%  5.0 MB of 10.0 MB  25.0 MB/s\x1b[K\r\x1b[K",
  );
  assert.equal(draw(true, undefined, [5_000_000]), "\r5.0 MB  25.0 MB/s\x1b[K\r\x1b[K");
  assert.equal(draw(true, undefined, [1_000]), "");
});

Deno.test("services: a wrong counter would show: the status sums what the counters hold", () => {
  const counters = new Counters();
  counters.event(eventType("ChallengeSent", "SIP"));
  counters.event(eventType("ChallengeSent", "SIP"));
  const status = statusOf({ ...source(), counters, config: DEFAULT_CONFIG }, NOW);
  assert.deepEqual(status.events.byKind, { "ChallengeSent SIP": 2 });
  assert.equal(status.events.total, 2);
});
