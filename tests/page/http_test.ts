/** Requests are read strictly, and in a bounded time and size: over real connections. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { type Answer, type Request, serveConnection } from "../../src/page/http.ts";
import { BoundedServer } from "../../src/telemetry/bounded_server.ts";

/** Sends something, perhaps in pieces, and gives all that comes back. */
function say(port: number, ...pieces: readonly (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    let text = "";
    socket.on("connect", async () => {
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((done) => setTimeout(done, 2));
      }
    });
    socket.on("data", (chunk: Uint8Array) => text += new TextDecoder().decode(chunk));
    socket.on("error", reject);
    socket.on("close", () => resolve(text));
  });
}

async function serving(
  answer: (request: Request) => Promise<Answer>,
  run: (port: number) => Promise<void>,
): Promise<void> {
  const server = await BoundedServer.listen({ host: "127.0.0.1", port: 0 }, {
    connectionsMax: 64,
    connectionMs: 10_000,
    serve: (connection) => void serveConnection(connection, answer),
  });
  try {
    await run(server.port);
  } finally {
    await server.stop();
  }
}

Deno.test("http: what is not exactly a request gets a status and nothing more", async () => {
  let reached = 0;
  const answer = () => Promise.resolve({ status: 200, body: `${++reached}` });
  await serving(answer, async (port) => {
    const table: [request: string, status: number][] = [
      ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200],
      ["GET / HTTP/1.0\r\n\r\n", 200],
      ["HEAD /x?y=1 HTTP/1.1\r\n\r\n", 200],
      ["GET / HTTP/2.0\r\n\r\n", 400],
      ["GET http://evil.example/ HTTP/1.1\r\n\r\n", 400],
      ["GET  / HTTP/1.1\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 400],
      // Who would look for the blanks again and again would be at it for minutes, or for days.
      [`GET / HTTP/1.1\r\nA:${" ".repeat(8_000)}\x01\r\n\r\n`, 400],
      [`GET / HTTP/1.1\r\nA:${" \t".repeat(4_000)}b\r\n\r\n`, 200],
      ["DELETE / HTTP/1.1\r\n\r\n", 405],
      ["POST / HTTP/1.1\r\n\r\n", 411],
      ["POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", 200],
      ["POST / HTTP/1.1\r\nContent-Length: +2\r\n\r\nok", 400],
      ["POST / HTTP/1.1\r\nContent-Length: 4097\r\n\r\n", 413],
      ["POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 400],
      ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501],
      [`GET / HTTP/1.1\r\nA: ${"b".repeat(9_000)}\r\n\r\n`, 431],
      ["\x16\x03\x01\x02\x00\x01\r\n\r\n", 400],
    ];
    for (const [request, status] of table) {
      const said = await say(port, request);
      assert.match(
        said,
        new RegExp(`^HTTP/1\\.1 ${status} `),
        JSON.stringify(request.slice(0, 60)),
      );
      assert.match(said, /\r\nConnection: close\r\n/);
    }
    assert.equal(reached, table.filter(([, status]) => status === 200).length);
  });
});

Deno.test("http: a request in pieces is one, and its parts are where they belong", async () => {
  const seen: Request[] = [];
  const answer = (request: Request) => {
    seen.push(request);
    return Promise.resolve({ status: 200, body: "größe" });
  };
  await serving(answer, async (port) => {
    const body = "target=203.0.113.5&x=%C3%B6";
    const text =
      `POST /a/b?q=1%2F2 HTTP/1.1\r\nHost: h:1\r\nCookie:  a=b \r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const said = await say(port, ...text.match(/[\s\S]{1,20}/g)!);
    const [{ method, path, query, headers, body: got, from }] = seen as [Request];
    assert.deepEqual([method, path, query.get("q"), got, from], [
      "POST",
      "/a/b",
      "1/2",
      body,
      "127.0.0.1",
    ]);
    assert.deepEqual([headers.get("host"), headers.get("cookie")], ["h:1", "a=b"]);
    assert.ok(said.includes("Content-Length: 7\r\n") && said.endsWith("größe"), said);
  });
});

Deno.test("http: HEAD has no body, and an answer in pieces comes whole", async () => {
  const long = async function* () {
    for (let n = 0; n < 200; n++) {
      yield await Promise.resolve(`${"x".repeat(10_000)}${n}\n`);
    }
  };
  await serving(() => Promise.resolve({ status: 200, body: long() }), async (port) => {
    const head = await say(port, "HEAD / HTTP/1.1\r\n\r\n");
    assert.ok(head.endsWith("\r\n\r\n") && !head.includes("xxx"), head.slice(0, 300));
    const whole = await say(port, "GET / HTTP/1.0\r\n\r\n");
    assert.equal(whole.split("\r\n\r\n")[1]!.trim().split("\n").length, 200);
    const inChunks = await say(port, "GET / HTTP/1.1\r\n\r\n");
    assert.match(inChunks, /\r\nTransfer-Encoding: chunked\r\n[\s\S]*\r\n\r\n2712\r\nx/);
    assert.equal(inChunks.match(/\r\n271[234]\r\nx+\d+\n/g)!.length, 200);
    assert.ok(inChunks.endsWith("\n\r\n0\r\n\r\n"));
  });
});

Deno.test("http: who goes away in the middle leaves nothing behind", async () => {
  let pieces = 0;
  const endless = async function* () {
    for (; pieces < 100_000; pieces++) yield await Promise.resolve("x".repeat(65_536));
  };
  const ends: Promise<void>[] = [];
  const server = await BoundedServer.listen({ host: "127.0.0.1", port: 0 }, {
    connectionsMax: 4,
    connectionMs: 10_000,
    serve: (connection) =>
      void ends.push(
        serveConnection(connection, () => Promise.resolve({ status: 200, body: endless() })),
      ),
  });
  try {
    await new Promise<void>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port: server.port });
      socket.on("connect", () => socket.write("GET / HTTP/1.1\r\n\r\n"));
      socket.once("data", () => {
        socket.destroy();
        resolve();
      });
    });
    await Promise.all(ends);
    assert.ok(pieces < 10_000, String(pieces));
  } finally {
    await server.stop();
  }
});

Deno.test("http: an answer that breaks off does not look like a whole one", async () => {
  const broken = async function* () {
    yield await Promise.resolve("198.51.100.71\n198.51.100.7");
    throw new Error("no more of it");
  };
  const server = await BoundedServer.listen({ host: "127.0.0.1", port: 0 }, {
    connectionsMax: 4,
    connectionMs: 10_000,
    serve: (connection) =>
      void serveConnection(
        connection,
        () => Promise.resolve({ status: 200, body: broken() }),
      ).catch(() => connection.destroy()),
  });
  try {
    const said = await say(server.port, "GET / HTTP/1.1\r\n\r\n");
    assert.ok(said.includes("198.51.100.71") && !said.includes("\r\n0\r\n"), said);
    const response = await fetch(`http://127.0.0.1:${server.port}/`);
    await assert.rejects(response.text());
  } finally {
    await server.stop();
  }
});

Deno.test("http: what follows a request, and one a byte at a time, makes no further work", async () => {
  let reached = 0;
  const answer = () => Promise.resolve({ status: 200, body: `${++reached}` });
  await serving(answer, async (port) => {
    const one = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const twice = await say(port, one + one + `POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\na`);
    assert.equal(twice.match(/HTTP\/1\.1 /g)!.length, 1);
    // Whoever stands between may have taken the second one for the body of the first.
    const hidden = await say(port, `GET / HTTP/1.1\r\nContent-Length: ${one.length}\r\n\r\n${one}`);
    assert.equal(hidden.match(/HTTP\/1\.1 /g)!.length, 1);
    assert.equal(reached, 2);
    const slow = await say(port, ..."GET / HTTP/1.1\r\nX: ", ..."y".repeat(400));
    assert.match(slow, /^HTTP\/1\.1 408 /);
    assert.equal(reached, 2);
  });
});
