import assert from "node:assert/strict";
import { createServer } from "node:net";
import {
  AmiClient,
  type AmiClientOptions,
  ANSWER_MS,
  type Connection,
  LoginRefusedError,
  PING_AFTER_MS,
  PORT_RETRY_MAX_MS,
  RETRY_MAX_MS,
} from "../../src/ami/client.ts";
import { CONNECT_MS } from "../../src/ami/dial.ts";
import { TlsError } from "../../src/ami/transport.ts";
import { BANNER, bytesOf, challengeSent, wrongAnswer } from "../support/asterisk_events.ts";
import { FakeClock, settled } from "../support/fake_clock.ts";

/** The server's end of a connection in memory. */
class Line implements Connection {
  sent = "";
  closed = false;
  #queue: Uint8Array[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  /** What the server says. */
  say(text: string): void {
    this.#queue.push(bytesOf(text));
    this.#wake?.();
  }

  /** The server closes the connection. */
  hangUp(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#queue.length === 0) {
      if (this.closed) throw new Deno.errors.BadResource("closed");
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.#queue.shift()!;
    into.set(chunk);
    return chunk.length;
  }

  write(bytes: Uint8Array): Promise<number> {
    this.sent += String.fromCharCode(...bytes);
    return Promise.resolve(bytes.length);
  }

  close(): void {
    this.closed = true;
    this.#wake?.();
  }

  /** The ActionIDs that the client has sent. */
  get ids(): string[] {
    return [...this.sent.matchAll(/^ActionID: (.*)\r$/gm)].map((match) => match[1]!);
  }

  /** Answers the last action. */
  answer(response: string, message: string): void {
    this.say(
      `Response: ${response}\r\nActionID: ${this.ids.at(-1)}\r\nMessage: ${message}\r\n\r\n`,
    );
  }

  acceptLogin(): void {
    this.say(BANNER);
    this.answer("Success", "Authentication accepted");
  }
}

/** A client whose server is the test. */
function setUp(options: AmiClientOptions = {}) {
  const clock = new FakeClock();
  const lines: Line[] = [];
  const said: string[] = [];
  let refuse = false;
  const client = new AmiClient({ host: "127.0.0.1", port: 5038, user: "ampere", pass: "se#cret" }, {
    event: (event) => void said.push(`event ${event.kind} ${event.address}`),
    tampered: (what) => void said.push(`tampered ${what}`),
    connected: (banner) => void said.push(`connected ${banner}`),
    disconnected: (why) => void said.push(`disconnected ${why}`),
  }, {
    clock,
    random: () => 0.5,
    connect: () => {
      if (refuse) {
        return Promise.reject(
          new Deno.errors.ConnectionRefused("Connection refused (os error 111)"),
        );
      }
      const line = new Line();
      lines.push(line);
      return Promise.resolve(line);
    },
    ...options,
  });
  const stop = new AbortController();
  const ended = client.run(stop.signal);
  ended.catch(() => {});
  return {
    client,
    clock,
    lines,
    said,
    stop,
    ended,
    setRefusing: (value: boolean) => refuse = value,
    line: () => lines.at(-1)!,
  };
}

Deno.test("client: logs in with an ActionID, and takes events before, between and after the answers", async () => {
  const { line, said, clock, stop, ended, client } = setUp();
  await settled();
  assert.equal(
    line().sent,
    `Action: Login\r\nActionID: ${
      line().ids[0]
    }\r\nUsername: ampere\r\nSecret: se#cret\r\nEvents: security,system,user\r\n\r\n`,
  );
  line().say(BANNER + wrongAnswer("203.0.113.5"));
  line().answer("Success", "Authentication accepted");
  line().say(wrongAnswer("203.0.113.6"));
  await clock.advance(0);
  assert.deepEqual(said, [
    "event ChallengeResponseFailed 203.0.113.5",
    "connected Asterisk Call Manager/7.0.3",
    "event ChallengeResponseFailed 203.0.113.6",
  ]);
  assert.equal(client.connectedSince, clock.now());
  stop.abort();
  await ended;
  assert.equal(line().closed, true);
  assert.equal(client.connectedSince, undefined);
});

Deno.test("client: the first refusal ends it, a later one is tried again", async () => {
  const first = setUp();
  await settled();
  first.line().say(BANNER);
  first.line().answer("Error", "Authentication failed");
  await assert.rejects(first.ended, (error: Error) => {
    assert.ok(error instanceof LoginRefusedError);
    assert.match(
      error.message,
      /127\.0\.0\.1:5038 refused the login of user "ampere": Authentication failed/,
    );
    assert.doesNotMatch(error.message, /se#cret/);
    return true;
  });

  const later = setUp();
  await settled();
  later.line().acceptLogin();
  await settled();
  later.line().hangUp();
  await later.clock.advance(2_000);
  for (let i = 0; i < 3; i++) {
    later.line().say(BANNER);
    later.line().answer("Error", "Authentication failed");
    later.line().hangUp();
    await later.clock.advance(3_000);
  }
  later.line().acceptLogin();
  await settled();
  assert.equal(later.said.filter((text) => text.startsWith("connected")).length, 2);
  assert.equal(
    later.said.filter((text) => text.includes("refused the login")).length,
    1,
    "each cause is told once",
  );
  later.stop.abort();
  await later.ended;
});

Deno.test("client: a stranger's forged answer is not an answer", async () => {
  const { line, said, clock, stop, ended } = setUp();
  await settled();
  line().say(BANNER + "Response: Error\r\nMessage: Authentication failed\r\n\r\n");
  line().say("Response: Error\r\nActionID: 1\r\nMessage: x\r\n\r\n");
  await clock.advance(100);
  assert.deepEqual(said, []);
  line().answer("Success", "ok");
  await settled();
  assert.equal(said.length, 1);
  line().say(
    "Event: Shutdown\r\nPrivilege: system,all\r\nShutdown: Cleanly\r\nRestart: False\r\n\r\n",
  );
  line().say(wrongAnswer("203.0.113.5"));
  await settled();
  assert.deepEqual(
    said.slice(1),
    ["event ChallengeResponseFailed 203.0.113.5"],
    "Shutdown ends nothing",
  );
  stop.abort();
  await ended;
});

Deno.test("client: reconnects within 2 s of Asterisk's return, however long it was away", async () => {
  for (const away of [1_000, 10_000, 600_000]) {
    const { line, lines, clock, stop, ended, setRefusing } = setUp();
    await settled();
    line().acceptLogin();
    await settled();
    setRefusing(true);
    line().hangUp();
    await clock.advance(away);
    setRefusing(false);
    assert.equal(lines.length, 1);
    await clock.advance(PORT_RETRY_MAX_MS);
    assert.equal(lines.length, 2, `after ${away} ms`);
    // It comes back and goes once more before the login is answered.
    line().hangUp();
    await clock.advance(PORT_RETRY_MAX_MS);
    assert.equal(lines.length, 3, `twice after ${away} ms`);
    stop.abort();
    await ended;
  }
});

Deno.test("client: a login that is refused for a while is tried at growing intervals, never more than a minute", async () => {
  const { lines, line, clock, stop, ended } = setUp({ persistent: true });
  await settled();
  const times: number[] = [];
  while (times.length < 60) {
    times.push(clock.now());
    line().say(BANNER);
    line().answer("Error", "Authentication failed");
    const before = lines.length;
    while (lines.length === before) await clock.advance(100);
  }
  const waits = times.slice(1).map((time, i) => time - times[i]!);
  for (const [i, wait] of waits.entries()) {
    const failing = times[i]! - times[0]!;
    assert.ok(wait <= Math.max(2_000, failing / 2), `after ${failing} ms: ${wait} ms`);
    assert.ok(wait >= 1_000 && wait <= RETRY_MAX_MS + 100);
  }
  assert.ok(waits.at(-1)! >= RETRY_MAX_MS / 2);
  stop.abort();
  await ended;
});

Deno.test("client: a server whose certificate is wrong is told once, and tried at growing intervals", async () => {
  const times: number[] = [];
  let why = "its certificate has expired";
  const clock = new FakeClock();
  const { said, stop, ended } = setUp({
    clock,
    connect: () => {
      times.push(clock.now());
      return Promise.reject(new TlsError(why, "renew it"));
    },
  });
  await clock.advance(60_000);
  const told =
    /^disconnected no TLS with 127\.0\.0\.1:5038: its certificate has expired\. Fix: renew it$/;
  assert.match(said.join("\n"), told);
  while (times.length < 40) await clock.advance(1_000);
  const waits = times.slice(1).map((time, i) => time - times[i]!);
  assert.ok(waits[0]! <= 2_000 && waits.every((wait) => wait <= RETRY_MAX_MS));
  assert.ok(waits.at(-1)! >= RETRY_MAX_MS / 2, "it was reached: that it is there is no news");
  why = "another cause";
  await clock.advance(RETRY_MAX_MS);
  assert.equal(said.length, 2);
  stop.abort();
  await ended;
});

Deno.test("client: a silent server is asked, and left when it does not answer", async () => {
  const { line, lines, said, clock, stop, ended } = setUp();
  await settled();
  line().acceptLogin();
  await clock.advance(PING_AFTER_MS - 1);
  assert.doesNotMatch(line().sent, /Ping/);
  await clock.advance(1);
  assert.match(line().sent, /Action: Ping\r\n/);
  line().say(`Response: Success\r\nActionID: ${line().ids.at(-1)}\r\nPing: Pong\r\n\r\n`);
  await clock.advance(ANSWER_MS);
  assert.equal(lines.length, 1);
  assert.equal(line().closed, false);
  await clock.advance(PING_AFTER_MS + ANSWER_MS);
  assert.equal(lines[0]!.closed, true);
  assert.match(said.at(-1)!, /did not answer Ping within 10 s/);
  await clock.advance(2_000);
  assert.equal(lines.length, 2);
  stop.abort();
  await ended;
});

Deno.test("client: a server that accepts and says nothing, or never accepts, is left", async () => {
  const silent = setUp();
  await silent.clock.advance(ANSWER_MS + 1);
  assert.equal(silent.lines[0]!.closed, true);
  assert.match(silent.said[0]!, /did not answer Login within 10 s/);
  silent.stop.abort();
  await silent.ended;

  let attempts = 0;
  const lost = setUp({
    connect: () => {
      attempts++;
      return new Promise(() => {});
    },
  });
  await lost.clock.advance(CONNECT_MS + PORT_RETRY_MAX_MS);
  assert.equal(attempts, 2);
  assert.match(lost.said[0]!, /no answer from 127\.0\.0\.1:5038/);
  lost.stop.abort();
  await lost.ended;
});

Deno.test("client: something else than AMI is recognised", async () => {
  const { line, said, clock, stop, ended } = setUp();
  await settled();
  line().say("SSH-2.0-OpenSSH_9.2\r\n");
  await clock.advance(0);
  assert.match(
    said[0]!,
    /is not an Asterisk Manager Interface: it begins with "SSH-2\.0-OpenSSH_9\.2"/,
  );
  stop.abort();
  await ended;
});

Deno.test("client: an event that a stranger could have ended is handed on when nothing follows it", async () => {
  const { line, said, clock, stop, ended } = setUp();
  await settled();
  line().acceptLogin();
  line().say(challengeSent("203.0.113.5", { service: "SIP" }));
  await settled();
  assert.equal(said.length, 1);
  await clock.advance(20);
  assert.equal(said.at(-1), "event ChallengeSent 203.0.113.5");
  stop.abort();
  await ended;
});

Deno.test("client: over real TCP, cut off in the middle of an event and connected again", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const said: string[] = [];
  const seen = Promise.withResolvers<void>();
  const client = new AmiClient({
    host: "127.0.0.1",
    port: (listener.addr as Deno.NetAddr).port,
    user: "a",
    pass: "b",
  }, {
    event: (event) => {
      said.push(event.address);
      if (said.length === 2) seen.resolve();
    },
    tampered: () => {},
    connected: () => {},
    disconnected: () => {},
  });
  const stop = new AbortController();
  const ended = client.run(stop.signal);
  for (const [i, address] of ["203.0.113.5", "203.0.113.6"].entries()) {
    const connection = await listener.accept();
    const buffer = new Uint8Array(1_000);
    const request = String.fromCharCode(...buffer.subarray(0, (await connection.read(buffer))!));
    const id = /ActionID: (.*)\r\n/.exec(request)![1];
    await connection.write(
      bytesOf(`${BANNER}Response: Success\r\nActionID: ${id}\r\nMessage: x\r\n\r\n`),
    );
    await connection.write(bytesOf(wrongAnswer(address)));
    await connection.write(bytesOf(wrongAnswer("192.0.2.99").slice(0, 150)));
    if (i === 0) connection.close();
    else {
      await seen.promise;
      stop.abort();
      await ended;
      connection.close();
    }
  }
  listener.close();
  assert.deepEqual(said, ["203.0.113.5", "203.0.113.6"]);
});

Deno.test("client: a port that resets the connection without a word may be the one for TLS", async () => {
  const server = createServer((socket) => socket.once("data", () => socket.resetAndDestroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = new AbortController();
  const why = Promise.withResolvers<string>();
  const client = new AmiClient({
    host: "127.0.0.1",
    port: (server.address() as { port: number }).port,
    user: "a",
    pass: "b",
  }, {
    event: () => {},
    tampered: () => {},
    connected: () => {},
    disconnected: (reason) => why.resolve(String(reason)),
  });
  const ended = client.run(stop.signal);
  assert.match(await why.promise, / broke: .*Fix: if this port is AMI's for TLS .*tls = yes/);
  stop.abort();
  await ended;
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("client: while there is more to read and each read takes long, the end of a process is noticed", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const reads = { all: 0, before: 3, most: 60, untilNoticed: Infinity };
  let process: Promise<void> | undefined;
  const done = Promise.withResolvers<void>();
  const client = new AmiClient({ host: "127.0.0.1", port, user: "a", pass: "b" }, {
    event: () => {},
    tampered: () => {},
    connected: () => {},
    disconnected: () => {},
    batch: () => {
      if (++reads.all > reads.before) {
        process ??= new Deno.Command("true").spawn().status.then(() => {
          reads.untilNoticed = reads.all - reads.before;
        });
      }
      for (const end = performance.now() + 20; performance.now() < end;);
      if (reads.all === reads.most) done.resolve();
    },
  });
  const stop = new AbortController();
  const ended = client.run(stop.signal);
  const connection = await listener.accept();
  const flood = (async () => {
    await connection.write(bytesOf(BANNER));
    const bytes = bytesOf("Event: Reload\r\nPrivilege: system,all\r\n\r\n".repeat(25_000));
    while (reads.all < reads.most) await connection.write(bytes);
  })().catch(() => {});
  await done.promise;
  stop.abort();
  await ended;
  await process;
  connection.close();
  await flood;
  listener.close();
  // A few milliseconds; without the pauses it takes 13 reads of 20 ms each.
  assert(reads.untilNoticed <= 8, `noticed after ${reads.untilNoticed} reads`);
});

Deno.test("client: a list is what comes with the id of its action, and nothing that a stranger can write", async () => {
  const { client, line, said, clock, stop, ended } = setUp();
  assert.deepEqual(await client.list("SIPpeers"), { outcome: "none" }, "not connected");
  await settled();
  line().acceptLogin();
  await clock.advance(0);
  const listed = client.list("PJSIPShowEndpoint", { Endpoint: "100" });
  await settled();
  const id = line().ids.at(-1)!;
  assert.ok(
    line().sent.endsWith(`Action: PJSIPShowEndpoint\r\nActionID: ${id}\r\nEndpoint: 100\r\n\r\n`),
  );
  line().say(
    `Response: Success\r\nActionID: ${id}\r\nEventList: start\r\nMessage: list follows\r\n\r\n` +
      `Event: EndpointDetail\r\nActionID: ${id}\r\nRewriteContact: true\r\nSetVar: \r\n\r\n` +
      wrongAnswer("203.0.113.5") +
      `Event: EndpointDetail\r\nActionID: another\r\nRewriteContact: true\r\n\r\n` +
      `Event: EndpointDetail\r\nRewriteContact: true\r\nActionID: ${id}\r\n\r\n` +
      `Event: AorDetail\r\nActionID: ${id}\r\nContacts: a\r\nContacts: b\r\n\r\n` +
      `Event: EndpointDetailComplete\r\nActionID: ${id}\r\nEventList: Complete\r\nListItems: 1\r\n\r\n` +
      `Event: EndpointDetail\r\nActionID: ${id}\r\nRewriteContact: late\r\n\r\n`,
  );
  await clock.advance(0);
  const answer = await listed;
  assert.ok(answer.outcome === "success");
  assert.deepEqual(answer.entries.map((entry) => [...entry]), [[
    ["Event", "EndpointDetail"],
    ["ActionID", id],
    ["RewriteContact", "true"],
    ["SetVar", ""],
  ]]);
  assert.deepEqual(said.slice(1), [
    "event ChallengeResponseFailed 203.0.113.5",
    "tampered malformed",
    "tampered malformed",
  ], "what comes late is not shown to anybody either");
  stop.abort();
  await ended;
});

Deno.test("client: a single answer is what comes with the id of its action, with its lines", async () => {
  const { client, line, clock, stop, ended } = setUp();
  assert.deepEqual(await client.query("Getvar"), { outcome: "none" }, "not connected");
  await settled();
  line().acceptLogin();
  await clock.advance(0);
  const asked = client.query("Getvar", { Variable: "PJSIP_ENDPOINT(100,aors)" });
  const doubled = client.query("Getvar", { Variable: "PJSIP_AOR(100,contact)" });
  const refused = client.query("Getvar", { Variable: "X" });
  await settled();
  const [first, second, third] = line().ids.slice(-3);
  assert.match(
    line().sent,
    /Action: Getvar\r\nActionID: \S+\r\nVariable: PJSIP_AOR\(100,contact\)\r\n/,
  );
  line().say(
    `Response: Success\r\nActionID: another\r\nValue: 99\r\n\r\n` +
      `Response: Success\r\nActionID: ${first}\r\nVariable: v\r\nValue: 100,a: b\r\n\r\n` +
      `Response: Success\r\nActionID: ${second}\r\nValue: a\r\nValue: b\r\n\r\n` +
      `Response: Error\r\nActionID: ${third}\r\nMessage: Permission denied\r\n\r\n`,
  );
  await clock.advance(0);
  const answer = await asked;
  assert.ok(answer.outcome === "success");
  assert.deepEqual(answer.entries.map((entry) => [...entry]), [[
    ["Response", "Success"],
    ["ActionID", first],
    ["Variable", "v"],
    ["Value", "100,a: b"],
  ]]);
  assert.deepEqual(await doubled, { outcome: "success", entries: [] });
  assert.deepEqual(await refused, { outcome: "refused", message: "Permission denied" });
  const silent = client.query("Getvar");
  await clock.advance(ANSWER_MS);
  assert.deepEqual(await silent, { outcome: "none" });
  stop.abort();
  await ended;
});

Deno.test("client: a list that is refused, never completed or cut off is none, and the connection stays", async () => {
  const { client, line, lines, said, clock, stop, ended } = setUp();
  await settled();
  line().acceptLogin();
  await clock.advance(0);
  const refused = client.list("SIPpeers");
  await settled();
  line().answer("Error", "Permission denied");
  await clock.advance(0);
  assert.deepEqual(await refused, { outcome: "refused", message: "Permission denied" });

  const silent = client.list("SIPpeers");
  await clock.advance(ANSWER_MS);
  assert.deepEqual(await silent, { outcome: "none" });
  assert.equal(lines.length, 1);
  assert.deepEqual(said.slice(1), []);

  const [first, second] = [client.list("SIPpeers"), client.list("PJSIPShowContacts")];
  await settled();
  const [firstId, secondId] = line().ids.slice(-2);
  // In any order: each answer finds its question.
  line().say(
    `Response: Error\r\nActionID: ${secondId}\r\nMessage: No Contacts found\r\n\r\n` +
      `Response: Success\r\nActionID: ${firstId}\r\nEventList: start\r\n\r\n`,
  );
  await clock.advance(0);
  assert.deepEqual(await second, { outcome: "refused", message: "No Contacts found" });
  line().hangUp();
  assert.deepEqual(await first, { outcome: "none" });
  stop.abort();
  await ended;
});
