import assert from "node:assert/strict";
import type { Notice } from "../../src/telemetry/notice.ts";
import { BATCH_MAX, QUEUE_MAX, Webhook } from "../../src/telemetry/webhook.ts";
import { REQUEST_MS, type WebhookBody } from "../../src/telemetry/webhook_server.ts";
import type { Clock } from "../../src/clock.ts";
import { until } from "../support/namespace.ts";

const SECRET = "s3cret-part";

function notice(i: number): Notice {
  return {
    event: "unblock",
    time: new Date(1_795_336_477_000 + i).toISOString(),
    target: `11.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
    reason: "the time is over",
  };
}

/** Real time, a hundred times faster; but a server on a busy machine has two seconds to answer. */
const FAST: Clock = {
  now: () => performance.now() * 100,
  after(ms, run) {
    const timer = setTimeout(run, ms < REQUEST_MS ? ms / 100 : ms / 5);
    return () => clearTimeout(timer);
  },
  soon: (run) => void setTimeout(run, 0),
};

interface Received {
  path: string;
  headers: Headers;
  body: WebhookBody;
}

/** A server that takes what is posted, and answers as told. */
function listen(answer: (request: Received, count: number) => Response | Promise<Response>) {
  const received: Received[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const one = {
        path: new URL(request.url).pathname,
        headers: request.headers,
        body: await request.json() as WebhookBody,
      };
      received.push(one);
      return await answer(one, received.length);
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/hook/${SECRET}`,
    received,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function logged() {
  const lines: string[] = [];
  const log = {
    limited: (_cause: string, level: string, message: string) =>
      void lines.push(`${level} ${message}`),
  };
  return { lines, log };
}

const OK = () => new Response("ok");

Deno.test("webhook: a notice arrives as JSON, with those that happened in the same second", async () => {
  await using server = listen(OK);
  const { lines, log } = logged();
  const webhook = new Webhook({ url: server.url, log, clock: FAST });
  const block: Notice = {
    event: "block",
    time: "2026-11-22T08:09:09.918Z",
    target: "203.0.113.5",
    until: null,
    reason: '3 wrong passwords within 2 s, last account "\u00e9\u001b"',
    service: "PJSIP",
    transport: "UDP",
    account: "\u00e9\u001b\r\n",
  };
  webhook.send(block);
  webhook.send({
    event: "ami-lost",
    time: "2026-11-22T08:09:10.000Z",
    reason: "Asterisk closed the connection",
  });
  await until("it arrives", () => webhook.delivered === 2);
  await webhook.stop();
  const [request, ...rest] = server.received;
  assert.deepEqual(rest, []);
  assert.equal(request!.path, `/hook/${SECRET}`);
  assert.equal(request!.headers.get("content-type"), "application/json");
  assert.equal(request!.body.source, "ampere");
  assert.equal(request!.body.dropped, 0);
  assert.deepEqual(request!.body.events[0], block);
  assert.equal(request!.body.events.length, 2);
  assert.deepEqual(lines, []);
});

Deno.test("webhook: many notices come in few requests, in order, each once", async () => {
  await using server = listen(OK);
  const { log } = logged();
  const webhook = new Webhook({ url: server.url, log, clock: FAST });
  const count = 3 * BATCH_MAX + 7;
  for (let i = 0; i < count; i++) webhook.send(notice(i));
  await until("all arrive", () => webhook.delivered === count);
  await webhook.stop();
  assert.equal(server.received.length, 4);
  assert.deepEqual(
    server.received.flatMap(({ body }) => body.events),
    Array.from({ length: count }, (_, i) => notice(i)),
  );
});

Deno.test("webhook: a server in trouble gets the same again, until it takes it", async () => {
  await using server = listen((_, count) => count < 4 ? new Response("no", { status: 503 }) : OK());
  const { lines, log } = logged();
  const webhook = new Webhook({ url: server.url, log, clock: FAST });
  webhook.send(notice(1));
  await until("it is delivered", () => webhook.delivered === 1);
  assert.equal(server.received.length, 4);
  for (const { body } of server.received) assert.deepEqual(body.events, [notice(1)]);
  assert.match(
    lines[0]!,
    /^warn the webhook http:\/\/127\.0\.0\.1:\d+ did not take a report: HTTP 503\. It will be tried again/,
  );
  assert.match(lines.at(-1)!, /^info the webhook http:\/\/127\.0\.0\.1:\d+ works again$/);
  await webhook.stop();
});

Deno.test("webhook: what is given up is counted, and told with the next that arrives", async () => {
  let broken = true;
  await using server = listen(() => broken ? new Response("no", { status: 500 }) : OK());
  const { lines, log } = logged();
  const webhook = new Webhook({ url: server.url, log, clock: FAST });
  webhook.send(notice(1));
  webhook.send(notice(2));
  await until("they are given up", () => webhook.dropped === 2);
  assert.equal(server.received.length, 5);
  assert.match(lines.at(-1)!, /2 reports given up/);
  broken = false;
  webhook.send(notice(3));
  await until("the next is delivered", () => webhook.delivered === 1);
  assert.deepEqual(server.received.at(-1)!.body.dropped, 2);
  webhook.send(notice(4));
  await until("and the next", () => webhook.delivered === 2);
  assert.deepEqual(server.received.at(-1)!.body.dropped, 0);
  await webhook.stop();
});

Deno.test("webhook: what waiting does not mend is not tried again", async () => {
  for (const status of [400, 401, 404, 410]) {
    await using server = listen(() => new Response("no", { status }));
    const { lines, log } = logged();
    const webhook = new Webhook({ url: server.url, log, clock: FAST });
    webhook.send(notice(1));
    await until("it is given up", () => webhook.dropped === 1);
    assert.equal(server.received.length, 1);
    assert.match(lines[0]!, new RegExp(`HTTP ${status}`));
    await webhook.stop();
  }
});

Deno.test("webhook: a redirection is not followed", async () => {
  await using other = listen(OK);
  await using server = listen(() =>
    new Response(null, { status: 307, headers: { location: other.url } })
  );
  const { lines, log } = logged();
  const webhook = new Webhook({ url: server.url, log, clock: FAST });
  webhook.send(notice(1));
  await until("it is given up", () => webhook.dropped === 1);
  assert.deepEqual(other.received, []);
  assert.match(lines[0]!, /sends to another address \(HTTP 307\)/);
  await webhook.stop();
});

Deno.test("webhook: a dead server costs a bounded queue, and never the caller's time", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const { lines, log } = logged();
  const webhook = new Webhook({ url: `http://127.0.0.1:${port}/hook/${SECRET}`, log });
  const count = QUEUE_MAX + 5_000;
  const begin = performance.now();
  for (let i = 0; i < count; i++) webhook.send(notice(i));
  assert.ok(performance.now() - begin < 2_000);
  assert.equal(webhook.queued, QUEUE_MAX);
  assert.equal(webhook.dropped, 5_000);
  const stopping = performance.now();
  await webhook.stop();
  assert.ok(performance.now() - stopping < 1_000, "the end does not wait for it");
  assert.equal(webhook.queued, 0);
  assert.equal(webhook.dropped, count);
  assert.match(lines.join("\n"), /connection refused/);
});

Deno.test("webhook: a server that never answers is left after its time, and does not delay the end", async () => {
  const hanging = Promise.withResolvers<void>();
  await using server = listen(() => hanging.promise.then(OK));
  const { lines, log } = logged();
  const webhook = new Webhook({ url: server.url, log, clock: FAST });
  webhook.send(notice(1));
  await until("it is tried again", () => server.received.length === 2);
  assert.match(lines[0]!, /no answer within 10 s/);
  const stopping = performance.now();
  await webhook.stop();
  assert.ok(performance.now() - stopping < 1_000);
  hanging.resolve();
});

Deno.test("webhook: what is waiting at the end is sent at the end", async () => {
  await using server = listen(OK);
  const { log } = logged();
  const webhook = new Webhook({ url: server.url, log });
  webhook.send(notice(1));
  const stopping = performance.now();
  await webhook.stop();
  assert.ok(performance.now() - stopping < 900, "it does not wait for more to collect");
  assert.equal(webhook.delivered, 1);
  webhook.send(notice(2));
  assert.equal(webhook.queued, 0, "after the end nothing is taken");
});

Deno.test("webhook: notices that come while a full queue is under way are not lost twice", async () => {
  const gate = Promise.withResolvers<void>();
  await using server = listen(async (_, count) => {
    if (count === 1) await gate.promise;
    return OK();
  });
  const { log } = logged();
  const webhook = new Webhook({ url: server.url, log, clock: FAST });
  webhook.send(notice(0));
  await until("the first is under way", () => server.received.length === 1);
  // The first one falls out of the queue, and so do some more.
  for (let i = 1; i <= QUEUE_MAX + 3; i++) webhook.send(notice(i));
  gate.resolve();
  await until("the queue is empty", () => webhook.queued === 0);
  await webhook.stop();
  const arrived = server.received.flatMap(({ body }) => body.events);
  assert.equal(new Set(arrived.map(({ time }) => time)).size, arrived.length, "none arrives twice");
  const last = arrived.slice(-QUEUE_MAX);
  assert.deepEqual(last, Array.from({ length: QUEUE_MAX }, (_, i) => notice(i + 4)));
});

Deno.test("webhook: user and password of the address go into a header; no part of it into the log", async () => {
  await using server = listen(() => new Response("no", { status: 403 }));
  const { lines, log } = logged();
  const url = server.url.replace("http://", "http://us%40er:p%25w@");
  const webhook = new Webhook({ url: `${url}?key=${SECRET}`, log, clock: FAST });
  webhook.send(notice(1));
  await until("it is given up", () => webhook.dropped === 1);
  await webhook.stop();
  assert.equal(server.received[0]!.headers.get("authorization"), `Basic ${btoa("us@er:p%w")}`);
  for (
    const target of [
      `https://127.0.0.1:1/${SECRET}`,
      `http://${SECRET}.invalid./${SECRET}`,
      `https://127.0.0.1:${new URL(server.url).port}/${SECRET}`,
    ]
  ) {
    const dead = new Webhook({ url: target, log, clock: FAST });
    dead.send(notice(1));
    await until("it is given up", () => dead.dropped === 1, 30_000);
    await dead.stop();
  }
  const text = lines.join("\n").replaceAll(`http://${SECRET}.invalid.`, "");
  assert.ok(lines.length >= 4);
  assert.ok(!text.includes(SECRET), text);
  assert.ok(!text.includes("p%25w") && !text.includes("us%40er"), text);
});
