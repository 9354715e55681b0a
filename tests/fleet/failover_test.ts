/**
 * The primary dies, and a replica takes its place: real servers, with an address between them and
 * the nodes that moves, as a virtual address, a name or a proxy does.
 */

import assert from "node:assert/strict";
import { engineTest, RedisServer, Sentinel } from "../support/redis.ts";
import { TestNode, until } from "./nodes.ts";

/** An address that leads to whatever server it is told to. */
class MovingAddress implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #done: Promise<void>;
  /** The port of the server that new connections come to. */
  target: number;
  readonly port: number;

  constructor(target: number) {
    this.target = target;
    this.port = (this.#listener.addr as Deno.NetAddr).port;
    this.#done = this.#accept();
  }

  async #accept(): Promise<void> {
    const served: Promise<void>[] = [];
    for await (const near of this.#listener) served.push(this.#serve(near).catch(() => {}));
    await Promise.all(served);
  }

  async #serve(near: Deno.Conn): Promise<void> {
    this.#open.add(near);
    try {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: this.target });
      this.#open.add(far);
      await Promise.race([copy(near, far), copy(far, near)]);
      close(far);
    } finally {
      close(near);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) close(connection);
    await this.#done;
  }
}

async function copy(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const chunk = new Uint8Array(65_536);
  for (;;) {
    const count = await from.read(chunk).catch(() => null);
    if (count === null) return;
    for (let sent = 0; sent < count;) {
      const more = await to.write(chunk.subarray(sent, count)).catch(() => 0);
      if (more === 0) return;
      sent += more;
    }
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}

/** Whether a server has a record of a target, of whatever node. */
async function has(server: RedisServer, target: string): Promise<boolean> {
  const names = (await server.cli("HKEYS", "ampere:blocks")).split("\n");
  return names.some((name) => name.endsWith(` ${target}`));
}

async function untilServer(what: string, look: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`never: ${what}`);
}

engineTest(
  "what the old primary took last is given to the new one, and nobody misses what the new one got first",
  async (engine) => {
    await using primary = await RedisServer.start({ engine });
    await using replica = await RedisServer.start({
      engine,
      args: ["--replicaof", "127.0.0.1", String(primary.port)],
    });
    await using address = new MovingAddress(primary.port);
    await using one = new TestNode("pbx1", address).start();
    await using two = new TestNode("pbx2", address).start();
    one.block("192.0.2.1");
    two.release("192.0.2.99");
    await until("it is on pbx2", () => two.list.has("192.0.2.1"));
    await untilServer("it is on the replica", () => has(replica, "192.0.2.1"));

    // From here on the replica is behind: what the primary takes and tells is lost with it.
    assert.equal(await replica.cli("REPLICAOF", "NO", "ONE"), "OK");
    one.block("192.0.2.2");
    two.release("192.0.2.98");
    await until("what will be lost is on pbx2", () => two.list.has("192.0.2.2"));
    await until("it is sent", () => two.fleet.state.outbox + one.fleet.state.outbox === 0);
    assert.equal(await has(replica, "192.0.2.2"), false);
    // Another PBX is quicker, and writes there what is newer than all that the others have read.
    await using three = new TestNode("pbx3", replica).start();
    await until("pbx3 has what there is", () => three.list.has("192.0.2.1"));
    three.block("192.0.2.3");
    await until("it is sent", () => three.fleet.state.outbox === 0);

    address.target = replica.port;
    await primary.kill();
    await until("the quicker one's block is on pbx1", () => one.list.has("192.0.2.3"));
    await until("it is on pbx2", () => two.list.has("192.0.2.3"));
    await until("what was lost is on pbx3", () => three.list.has("192.0.2.2"));
    const gone = async () => (await replica.cli("ZRANGE", "ampere:gone", "0", "-1")).split("\n");
    await untilServer("deletions too", async () => (await gone()).length === 2);
    assert.deepEqual(await gone(), ["192.0.2.99", "192.0.2.98"]);
    await using four = new TestNode("pbx4", replica).start();
    await until("a new one has all", () => four.list.size === 3);
    for (const node of [one, two, three]) assert.equal(node.list.size, 3);
  },
);

engineTest(
  "a primary that becomes a replica while it is connected is left for the new one",
  async (engine) => {
    await using old = await RedisServer.start({ engine });
    await using replica = await RedisServer.start({
      engine,
      args: ["--replicaof", "127.0.0.1", String(old.port)],
    });
    await using address = new MovingAddress(old.port);
    await using one = new TestNode("pbx1", address).start();
    await using two = new TestNode("pbx2", address).start();
    one.block("192.0.2.1");
    await until("it is on pbx2", () => two.list.has("192.0.2.1"));
    await untilServer("it is on the replica", () => has(replica, "192.0.2.1"));

    // Nobody tells them, and their connections stay.
    assert.equal(await replica.cli("REPLICAOF", "NO", "ONE"), "OK");
    address.target = replica.port;
    assert.equal(await old.cli("REPLICAOF", "127.0.0.1", String(replica.port)), "OK");
    one.block("192.0.2.2");
    await until("it is on pbx2", () => two.list.has("192.0.2.2"));
    await untilServer("it is on the new primary", () => has(replica, "192.0.2.2"));
    await until(
      "nothing is wrong",
      () =>
        [one, two].every(({ fleet: { state } }) =>
          state.trouble === undefined && state.connectedSince !== undefined
        ),
    );
  },
);

engineTest(
  "only a replica is reached: blocks wait, and go when it is made the primary",
  async (engine) => {
    await using primary = await RedisServer.start({ engine });
    const args = [
      "--replicaof",
      "127.0.0.1",
      String(primary.port),
      "--replica-serve-stale-data",
      "no",
    ];
    await using replica = await RedisServer.start({ engine, args });
    await using one = new TestNode("pbx1", replica).start();
    await until(
      "it is told",
      () => /READONLY|MASTERDOWN/.test(one.fleet.state.trouble?.message ?? ""),
    );
    one.block("192.0.2.1");
    await primary.kill();
    await until(
      "it has lost its primary",
      () => /MASTERDOWN/.test(one.fleet.state.trouble?.message ?? ""),
    );
    assert.match(one.fleet.state.trouble!.advice, /replicaof no one/);
    assert.equal(one.fleet.state.outbox, 1);
    assert.equal(await replica.cli("REPLICAOF", "NO", "ONE"), "OK");
    await untilServer("it is sent", () => has(replica, "192.0.2.1"));
    await until("nothing is wrong", () => one.fleet.state.trouble === undefined);
  },
);

engineTest("a sentinel promotes the replica, and the address follows it", async (engine) => {
  await using primary = await RedisServer.start({ engine });
  await using replica = await RedisServer.start({
    engine,
    args: ["--replicaof", "127.0.0.1", String(primary.port)],
  });
  await using sentinel = await Sentinel.start(engine, primary.port);
  await untilServer("the sentinel knows both", async () => (await sentinel.look()).replicas === 1);
  await using address = new MovingAddress(primary.port);
  await using one = new TestNode("pbx1", address).start();
  await using two = new TestNode("pbx2", address).start();
  one.block("192.0.2.1");
  await until("it is on pbx2", () => two.list.has("192.0.2.1"));
  await untilServer("it is on the replica", () => has(replica, "192.0.2.1"));

  await primary.kill();
  one.block("192.0.2.2");
  await until("it is told", () => one.fleet.state.trouble !== undefined);
  await untilServer(
    "the sentinel has promoted it",
    async () => (await sentinel.look()).primary === replica.port,
  );
  address.target = replica.port;
  await until("it is on pbx2", () => two.list.has("192.0.2.2"));
  two.release("192.0.2.1");
  await until("a deletion comes too", () => !one.list.has("192.0.2.1"));
});
