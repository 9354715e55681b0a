/** The socket over which a daemon tells its status. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { Services } from "../../src/telemetry/services.ts";
import { printStatus } from "../../src/commands/status.ts";
import type { Status, StatusSource } from "../../src/telemetry/status.ts";
import {
  askStatus,
  StatusError,
  StatusServer,
  statusSocketPath,
} from "../../src/telemetry/status_socket.ts";
import { until } from "../support/namespace.ts";
import { source } from "../support/status_source.ts";

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

Deno.test("status socket: what the daemon says comes through the socket, for programs and for people", async () => {
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

Deno.test("status socket: it is for its own user only, in a folder for its own user only", async () => {
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

Deno.test("status socket: daemons with different databases do not meet; a second one with the same is refused", async () => {
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

Deno.test("status socket: that of a daemon that was killed is told from a living one, and replaced", async () => {
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

Deno.test("status socket: without a daemon it says so and what to do, with exit code 1", async () => {
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

Deno.test("status socket: a folder that cannot be made is told once, and the daemon goes on", async () => {
  const lines: string[] = [];
  const services = new Services(source(), logOf(lines), "/proc/ampere");
  await services.apply();
  await services.stop();
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^warn ampere --status will not work: .*RuntimeDirectory=ampere/);
});

Deno.test("status socket: those who ask and do not read, or only connect, hold nothing for long", async () => {
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
