/** An engine that answers what no engine would. */

import assert from "node:assert/strict";
import { engineAddress } from "../../src/fleet/address.ts";
import { RedisEngine } from "../../src/fleet/redis.ts";
import { ReplyReader, writeCommands } from "../../src/fleet/resp.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { RedisServer } from "../support/redis.ts";
import { TestNode, until } from "./nodes.ts";

/** Listens, and answers each command as it is told to. */
class HostileEngine implements AsyncDisposable {
  readonly #listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  readonly #open = new Set<Deno.Conn>();
  readonly asked = new Map<string, number>();
  readonly #done: Promise<void>;

  constructor(answer: (command: string) => string | undefined) {
    this.#done = this.#accept(answer);
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async #accept(answer: (command: string) => string | undefined): Promise<void> {
    const served: Promise<void>[] = [];
    for await (const connection of this.#listener) {
      this.#open.add(connection);
      served.push(this.#serve(connection, answer).catch(() => {}));
    }
    await Promise.all(served);
  }

  async #serve(connection: Deno.Conn, answer: (command: string) => string | undefined) {
    const reader = new ReplyReader();
    const chunk = new Uint8Array(65_536);
    for (;;) {
      const count = await connection.read(chunk);
      if (count === null) return;
      reader.take(chunk.subarray(0, count));
      for (const command of reader.all()) {
        const name = String((command as string[])[0]);
        this.asked.set(name, (this.asked.get(name) ?? 0) + 1);
        const text = answer(name) ?? usual(name);
        await connection.write(new TextEncoder().encode(text));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) connection.close();
    await this.#done;
  }
}

function usual(command: string): string {
  const now = Math.floor(Date.now() / 1000);
  if (command === "TIME") return new TextDecoder().decode(writeCommands([[String(now), "0"]]));
  if (command === "GET") return "$1\r\ne\r\n";
  if (command.endsWith("SCAN")) return "*2\r\n$1\r\n0\r\n*0\r\n";
  if (command === "EXEC") return "*0\r\n";
  if (/^(?:HGETALL|XRANGE|XREVRANGE|XREAD|ZRANGEBYSCORE)$/.test(command)) return "*0\r\n";
  return "+OK\r\n";
}

Deno.test("hostile engine: a state without an end is given up", async () => {
  const more = "*2\r\n$1\r\n7\r\n*0\r\n";
  await using server = new HostileEngine((name) => name === "HSCAN" ? more : undefined);
  const address = { ...DEFAULT_CONFIG, fleet: fleetAt(server.port) };
  const engine = new RedisEngine(engineAddress(address), "ampere:");
  await assert.rejects(engine.readState(() => {}), /too long/);
  engine.close();
});

Deno.test("hostile engine: changes that never go on are refused", async () => {
  const text = '["192.0.2.1",1,"pbx2"]';
  const entry = `*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nr\r\n$${text.length}\r\n${text}\r\n`;
  const same = `*1\r\n*2\r\n$1\r\ns\r\n*1\r\n${entry}`;
  await using server = new HostileEngine((name) => name === "XREAD" ? same : undefined);
  await using node = new TestNode("pbx1", { port: server.port }).start();
  await until("it is told", () => /another form/.test(node.fleet.state.trouble?.message ?? ""));
});

Deno.test("hostile engine: one that does not wait for changes is not asked without pause", async () => {
  await using server = new HostileEngine(() => undefined);
  await using node = new TestNode("pbx1", { port: server.port }).start();
  await until("it is asked", () => (server.asked.get("XREAD") ?? 0) > 2);
  const before = server.asked.get("XREAD")!;
  // Each turn of this loop is a round trip of its own: without a pause there would be as many.
  const engine = new RedisEngine(
    engineAddress({ ...DEFAULT_CONFIG, fleet: fleetAt(server.port) }),
    "ampere:",
  );
  for (let turn = 0; turn < 500; turn++) await engine.time();
  engine.close();
  assert.ok(server.asked.get("XREAD")! - before < 250);
  assert.equal(node.fleet.state.trouble, undefined);
});

Deno.test(
  { name: "made-up nodes are told of within bounds", ignore: !RedisServer.isInstalled() },
  async () => {
    await using server = await RedisServer.start();
    const info = JSON.stringify([Date.now(), "9", 0, 0, 0]);
    const names = Array.from({ length: 1_000 }, (_, index) => [`n${index}`, info]).flat();
    await server.cli("HSET", "ampere:nodes", ...names);
    await using node = new TestNode("pbx1", { port: server.port }).start();
    await until("it is connected", () => node.fleet.state.connectedSince !== undefined);
    assert.equal(node.fleet.state.nodes.length, 256);
    assert.ok(node.log.every((line) => line.length < 1_000));
  },
);

Deno.test("a secret is read from nothing but a file", async () => {
  const folder = await Deno.makeTempDir({ prefix: "ampere-fleet-" });
  try {
    const pipe = `${folder}/pipe`;
    assert.ok((await new Deno.Command("mkfifo", { args: ["-m", "600", pipe] }).output()).success);
    const config = { ...DEFAULT_CONFIG, fleet: fleetAt(1), fleetPassFile: pipe };
    assert.throws(() => engineAddress(config).secret(), /is no file/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

function fleetAt(port: number) {
  return { host: "127.0.0.1", port, tls: false, user: undefined, database: 0 };
}
