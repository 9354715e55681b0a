import assert from "node:assert/strict";
import { engineTest, RedisServer } from "../support/redis.ts";
import { TestNode, until } from "./nodes.ts";

engineTest(
  "a block of one node is one of all, and a deletion releases everywhere",
  async (engine) => {
    await using server = await RedisServer.start({ engine });
    await using one = new TestNode("pbx1", server).start();
    await using two = new TestNode("pbx2", server).start();
    one.block("192.0.2.1", Date.now() + 3_600_000);
    await until("the block is on pbx2", () => two.list.has("192.0.2.1"));
    assert.equal(two.list.get("192.0.2.1")!.end, one.list.get("192.0.2.1")!.end);
    assert.equal(two.list.get("192.0.2.1")!.from, "pbx1");
    two.release("192.0.2.1");
    await until("it is released on pbx1", () => !one.list.has("192.0.2.1"));
    one.block("192.0.2.1");
    await until("it is blocked anew", () => two.list.get("192.0.2.1")?.end === Infinity);
  },
);

engineTest("a deleted block does not return with a node that was away", async (engine) => {
  await using server = await RedisServer.start({ engine });
  await using two = new TestNode("pbx2", server).start();
  const one = new TestNode("pbx1", server).start();
  one.block("192.0.2.1");
  await until("it is on pbx2", () => two.list.has("192.0.2.1"));
  await one.fleet.close();
  two.release("192.0.2.1");
  await until("it is sent", () => two.fleet.state.outbox === 0);
  await using again = new TestNode("pbx1", server);
  again.list.set("192.0.2.1", one.list.get("192.0.2.1")!);
  again.block("192.0.2.2");
  again.start();
  await until("pbx1 is back", () => two.list.has("192.0.2.2"));
  assert.equal(again.list.has("192.0.2.1"), false);
  assert.equal(two.list.has("192.0.2.1"), false);
});

engineTest("who is trusted is not blocked, and the other node is told", async (engine) => {
  await using server = await RedisServer.start({ engine });
  await using one = new TestNode("pbx1", server).start();
  await using two = new TestNode("pbx2", server);
  two.trusted.set("192.0.2.7", "trusted");
  two.start();
  one.block("192.0.2.7");
  await until("pbx1 is told", () => one.fleet.state.notApplied.length === 1);
  assert.ok(one.log.includes(
    "fleet: the block of 192.0.2.7 is not applied on pbx2: trusted there",
  ));
  assert.equal(two.list.size, 0);
});

engineTest("fleet_max bounds what one node can do to another", async (engine) => {
  await using server = await RedisServer.start({ engine });
  await using two = new TestNode("pbx2", server, 3).start();
  await using one = new TestNode("pbx1", server).start();
  for (let host = 1; host <= 10; host++) one.block(`192.0.2.${host}`);
  await until("the others are refused", () => two.fleet.state.refusals.fleet_max === 7);
  assert.equal(two.list.size, 3);
});

engineTest("while the engine is away blocks wait, and are sent when it is back", async (engine) => {
  const server = await RedisServer.start({ engine });
  await using one = new TestNode("pbx1", server).start();
  await using two = new TestNode("pbx2", server).start();
  await until("both are there", () => one.fleet.state.nodes.length === 2);
  await server[Symbol.asyncDispose]();
  one.block("192.0.2.1");
  await until("it is told", () => one.fleet.state.trouble !== undefined);
  assert.equal(one.fleet.state.outbox, 1);
  await using _again = await RedisServer.start({ engine, port: server.port });
  await until("it is on pbx2", () => two.list.has("192.0.2.1"));
  assert.equal(one.fleet.state.trouble, undefined);
});

engineTest(
  "an engine that stands still holds nobody up, and goes on when it does",
  async (engine) => {
    await using server = await RedisServer.start({ engine });
    await using one = new TestNode("pbx1", server).start();
    await using two = new TestNode("pbx2", server).start();
    const third = new TestNode("pbx3", server).start();
    await until("all are there", () => one.fleet.state.nodes.length === 3);
    server.signal("SIGSTOP");
    one.block("192.0.2.1");
    await until(
      "it is told",
      () => /no answer within/.test(one.fleet.state.trouble?.message ?? ""),
    );
    assert.match(one.fleet.state.trouble!.advice, /slowlog/);
    // A daemon that ends waits for it no longer.
    await third.fleet.close();
    server.signal("SIGCONT");
    await until("it is on pbx2", () => two.list.has("192.0.2.1"));
    await until(
      "all is well",
      () => [one, two].every(({ fleet }) => fleet.state.trouble === undefined),
    );
  },
);

engineTest("FLUSHALL: the nodes restore all, of nodes that are gone too", async (engine) => {
  await using server = await RedisServer.start({ engine });
  const gone = new TestNode("pbx3", server).start();
  await using one = new TestNode("pbx1", server).start();
  gone.block("192.0.2.3");
  one.block("192.0.2.1");
  await until("both are on pbx1", () => one.list.size === 2);
  one.release("192.0.2.9");
  await gone.fleet.close();
  assert.equal(await server.cli("FLUSHALL"), "OK");
  await until("it is told", () => one.log.some((line) => line.includes("lost its data")));
  await until("all is sent", () => one.fleet.state.outbox === 0);
  await using fresh = new TestNode("pbx4", server).start();
  await until("a new node has all", () => fresh.list.size === 2);
  assert.equal(await server.cli("ZRANGE", "ampere:gone", "0", "-1"), "192.0.2.9");
});

engineTest(
  "an engine that is full or only a replica refuses, and nothing is lost",
  async (engine) => {
    await using server = await RedisServer.start({ engine });
    await using one = new TestNode("pbx1", server).start();
    await using two = new TestNode("pbx2", server).start();
    await until("both are there", () => one.fleet.state.nodes.length === 2);
    for (
      const [[spoil, mend], said] of [
        [[["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]], /OOM.*/],
        [[["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]], /READONLY.*/],
      ] as const
    ) {
      await server.cli(...spoil);
      const target = `192.0.2.${one.list.size + 1}`;
      one.block(target);
      await until(`${said}`, () => said.test(one.fleet.state.trouble?.message ?? ""));
      assert.notEqual(one.fleet.state.trouble!.advice, "");
      await server.cli(...mend);
      await until("it is sent", () => two.list.has(target));
    }
  },
);

engineTest("a clock that is wrong by minutes shares nothing, and says so", async (engine) => {
  await using server = await RedisServer.start({ engine });
  await using one = new TestNode("pbx1", server);
  one.clockAhead = 400_000;
  one.start();
  await until("it is told", () => one.fleet.state.trouble !== undefined);
  assert.match(one.fleet.state.trouble!.message, /6 min 40 s ahead of .* nothing is shared/);
});

engineTest("a name that two nodes have is told by both, and no restart is", async (engine) => {
  await using server = await RedisServer.start({ engine });
  await using one = new TestNode("pbx1", server).start();
  await using two = new TestNode("pbx1", server).start();
  for (const node of [one, two]) {
    await until(
      "it is told",
      () => /name pbx1 too/.test(node.fleet.state.trouble?.message ?? ""),
    );
  }
  await two.fleet.close();
  await until("it is over", () => one.fleet.state.trouble === undefined);
  await one.fleet.close();
  await using again = new TestNode("pbx1", server).start();
  await until("it is connected", () => again.fleet.state.connectedSince !== undefined);
  assert.equal(again.fleet.state.trouble, undefined);
});
