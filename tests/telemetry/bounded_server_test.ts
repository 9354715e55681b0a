/** Real connections over the loopback interface and a Unix socket. */

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { BoundedServer } from "../../src/telemetry/bounded_server.ts";
import type { ServedConnection } from "../../src/telemetry/served_connection.ts";
import { until } from "../support/namespace.ts";

const HOST = "127.0.0.1";

/** Longer than any test. */
const LONG_MS = 600_000;

type Options = Parameters<typeof BoundedServer.listen>[1];

async function withServer(
  options: Partial<Options>,
  test: (server: BoundedServer) => Promise<void>,
  where: Parameters<typeof BoundedServer.listen>[0] = { host: HOST, port: 0 },
): Promise<void> {
  const whole = { connectionsMax: 3, connectionMs: LONG_MS, serve: () => {}, ...options };
  const server = await BoundedServer.listen(where, whole);
  try {
    await test(server);
  } finally {
    await server.stop();
  }
}

/** A client that hears what the server says. */
class Client {
  text = "";
  isClosed = false;
  readonly socket: Socket;

  constructor(where: { port: number; host: string } | { path: string }) {
    this.socket = connect({ ...where, allowHalfOpen: true });
    this.socket.on("data", (bytes) => this.text += bytes);
    this.socket.on("error", () => {});
    for (const end of ["close", "end"]) this.socket.on(end, () => this.isClosed = true);
  }
}

Deno.test("bounded server: each connection is served, by TCP and over a Unix socket", {
  // No timer of a connection outlives it.
  sanitizeOps: true,
}, async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const path of [undefined, `${folder}/socket`]) {
      const serve = (connection: ServedConnection) => {
        void connection.write("hello\n");
        void connection.end();
      };
      await withServer(
        { serve },
        async (server) => {
          assert.equal(server.port > 0, path === undefined);
          for (let n = 0; n < 5; n++) {
            const client = new Client(
              path === undefined ? { host: HOST, port: server.port } : { path },
            );
            await until("it has answered", () => client.isClosed);
            assert.equal(client.text, "hello\n");
            client.socket.destroy();
          }
          await until("none is left", () => server.connections === 0);
        },
        path === undefined ? undefined : { path },
      );
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("bounded server: one connection too many is closed unserved, until there is room", async () => {
  const served: ServedConnection[] = [];
  const serve = (connection: ServedConnection) => {
    served.push(connection);
    // Who serves it notices that the other side goes.
    void connection.discard().then(() => connection.destroy());
  };
  await withServer({ serve }, async (server) => {
    const where = { host: HOST, port: server.port };
    const clients = [1, 2, 3].map(() => new Client(where));
    await until("all are served", () => served.length === 3);
    const further = new Client(where);
    await until("the further one is closed", () => further.isClosed);
    assert.deepEqual([served.length, server.connections], [3, 3]);
    assert.ok(clients.every(({ isClosed }) => !isClosed));
    clients[0]!.socket.destroy();
    await until("there is room", () => server.connections === 2);
    const later = new Client(where);
    await until("the later one is served", () => served.length === 4);
    assert.equal(later.isClosed, false);
    for (const { socket } of [...clients, further, later]) socket.destroy();
  });
});

Deno.test("bounded server: a connection lasts no longer than it may, whatever it does", async () => {
  const serve = (connection: ServedConnection) => void connection.write("wait\n");
  await withServer({ serve, connectionMs: 50 }, async (server) => {
    const client = new Client({ host: HOST, port: server.port });
    const talk = setInterval(() => client.socket.write("x"), 5);
    await until("it is closed", () => client.isClosed);
    clearInterval(talk);
    assert.equal(client.text, "wait\n");
    await until("none is left", () => server.connections === 0);
    client.socket.destroy();
  });
});

Deno.test("bounded server: the end closes every connection and gives the port back", async () => {
  let port = 0;
  let client: Client | undefined;
  await withServer({}, async (server) => {
    port = server.port;
    client = new Client({ host: HOST, port });
    await until("it is connected", () => server.connections === 1);
    await assert.rejects(
      BoundedServer.listen({ host: HOST, port }, {
        connectionsMax: 1,
        connectionMs: LONG_MS,
        serve: () => {},
      }),
      /EADDRINUSE|in use/,
    );
  });
  await until("the client hears of it", () => client!.isClosed);
  client!.socket.destroy();
  Deno.listen({ hostname: HOST, port }).close();
});

Deno.test("bounded server: clients that break off in the middle harm nobody", async () => {
  const big = "x".repeat(1_000_000);
  const serve = (connection: ServedConnection) => {
    void connection.write(big);
    void connection.end();
  };
  await withServer({ serve }, async (server) => {
    const where = { host: HOST, port: server.port };
    for (let n = 0; n < 20; n++) {
      const client = new Client(where);
      await until("something came, or it was refused", () => client.text !== "" || client.isClosed);
      client.socket.resetAndDestroy();
    }
    await until("none is left", () => server.connections === 0);
    const last = new Client(where);
    await until("it has answered", () => last.isClosed);
    assert.equal(last.text, big);
    last.socket.destroy();
  });
});

Deno.test("bounded server: who neither reads nor goes holds no place of others", async () => {
  const big = new Uint8Array(16_000_000);
  const serve = async (connection: ServedConnection) => {
    if (await connection.write(big)) await connection.end();
  };
  await withServer({ serve, connectionMs: 100 }, async (server) => {
    const where = { host: HOST, port: server.port };
    const stuck: Deno.Conn[] = [];
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 3; n++) stuck.push(await Deno.connect({ port: server.port }));
      await until("they are served", () => server.connections === 3);
      await until("they are left", () => server.connections === 0);
    }
    const last = new Client(where);
    await until("it is served", () => last.text.length > 0);
    last.socket.destroy();
    for (const conn of stuck) conn.close();
  });
});

Deno.test("bounded server: it takes the next one when that is admitted", async () => {
  let admitted = () => {};
  const served: ServedConnection[] = [];
  const admit = () => new Promise<void>((resolve) => admitted = resolve);
  await withServer({ serve: (one) => void served.push(one), admit }, async (server) => {
    const clients = [1, 2].map(() => new Client({ host: HOST, port: server.port }));
    await until("both are connected", () => clients.every(({ socket }) => !socket.connecting));
    for (const count of [1, 2]) {
      assert.equal(served.length, count - 1);
      admitted();
      await until("one more is served", () => served.length === count);
    }
    admitted();
    for (const { socket } of clients) socket.destroy();
  });
});
