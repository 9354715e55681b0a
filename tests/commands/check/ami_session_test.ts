/** A short connection to AMI; what it finds out is tested in `asterisk_test.ts`. */

import assert from "node:assert/strict";
import { AmiSession, SessionError } from "../../../src/commands/check/ami_session.ts";
import { printEvent, remoteOf, wrongAnswer } from "../../support/asterisk_events.ts";
import { FakeAsterisk } from "../../support/fake_asterisk.ts";
import { until } from "../../support/namespace.ts";

const USER = { name: "ampere", secret: "s3cret", read: ["security"] };
const LOGIN = { Username: USER.name, Secret: USER.secret };

/** Longer than any test. */
const LONG_MS = 600_000;

const open = (port: number, host = "127.0.0.1") => AmiSession.open({ host, port });

async function withAsterisk(
  test: (session: AmiSession, asterisk: FakeAsterisk) => Promise<void>,
): Promise<void> {
  await using asterisk = new FakeAsterisk({ users: [USER] });
  using session = await open(asterisk.port);
  await test(session, asterisk);
}

/** Answers the first action with what it is given, for what no Asterisk says. */
async function answered(
  answer: (id: string) => string | undefined,
  test: (session: AmiSession) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async () => {
    using connection = await listener.accept();
    const chunk = new Uint8Array(4_096);
    const count = await connection.read(chunk);
    const asked = new TextDecoder().decode(chunk.subarray(0, count ?? 0));
    const text = answer(/^ActionID: (.*)\r$/m.exec(asked)?.[1] ?? "");
    if (text === undefined) return;
    await connection.write(new TextEncoder().encode(text));
    // Until the other side ends it.
    while (await connection.read(chunk) !== null);
  };
  const served = serve();
  {
    using session = await open(listener.addr.port);
    await test(session);
  }
  await served;
}

Deno.test("AMI session: Asterisk's first line, its address and its answers come through", async () => {
  await withAsterisk(async (session, asterisk) => {
    const challenge = await session.ask("Challenge", { AuthType: "MD5" });
    assert.deepEqual([challenge.success, challenge.challenge], [true, "129575309"]);
    const login = await session.ask("Login", LOGIN);
    assert.deepEqual(login, {
      success: true,
      message: "Authentication accepted",
      challenge: undefined,
    });
    assert.match(session.banner!, /^Asterisk Call Manager\/\d/);
    assert.equal(session.remoteAddress, "127.0.0.1");
    assert.deepEqual(asterisk.actions, ["Challenge", "Login ampere"]);
  });
});

Deno.test("AMI session: a refusal is an answer with a reason", async () => {
  await withAsterisk(async (session) => {
    const { success, message } = await session.ask("Login", { ...LOGIN, Secret: "guess" });
    assert.deepEqual([success, message], [false, "Authentication failed"]);
  });
});

Deno.test("AMI session: events are seen as they come, and can be waited for", async () => {
  await withAsterisk(async (session, asterisk) => {
    await session.ask("Login", LOGIN);
    const hasCome = () => session.events.some(({ address }) => address === "203.0.113.9");
    assert.equal(await session.waitFor(hasCome, 10), false);
    const waiting = session.waitFor(hasCome, LONG_MS);
    await asterisk.send(wrongAnswer("203.0.113.9", { account: "100" }));
    assert.equal(await waiting, true);
    assert.deepEqual(session.events.at(-1), {
      kind: "ChallengeResponseFailed",
      service: "PJSIP",
      account: "100",
      address: "203.0.113.9",
    });
    // What holds already is not waited for.
    assert.equal(await session.waitFor(hasCome, LONG_MS), true);
  });
});

Deno.test("AMI session: an event that a stranger could have ended is seen too, when nothing follows", async () => {
  await withAsterisk(async (session, asterisk) => {
    await session.ask("Login", LOGIN);
    const remote = remoteOf("203.0.113.9");
    const fields = { service: "SIP", account: "nobody" } as const;
    await asterisk.send(printEvent({ kind: "InvalidAccountID", remote, ...fields }));
    const hasCome = () => session.events.some(({ kind }) => kind === "InvalidAccountID");
    assert.equal(await session.waitFor(hasCome, 10_000), true);
  });
});

Deno.test("AMI session: only the answer to what was asked counts", async () => {
  const reply = (id: string, ...lines: string[]) =>
    ["Response: Success", `ActionID: ${id}`, ...lines, "", ""].join("\r\n");
  await answered(
    (id) =>
      `Asterisk Call Manager/7.0.3\r\n${reply("other", "Message: not mine")}` +
      `${reply(`${id}0`, "Message: not mine either")}${reply(id, "Ping: Pong")}` +
      reply(id, "Message: late"),
    async (session) => {
      const answer = await session.ask("Ping");
      assert.deepEqual([answer.success, answer.message], [true, "no reason given"]);
    },
  );
});

Deno.test("AMI session: a connection that ends without an answer says so", async () => {
  await answered(() => undefined, async (session) => {
    await assert.rejects(session.ask("Login", LOGIN), (error) => {
      assert.ok(error instanceof SessionError);
      assert.match(error.message, /closed before it was answered/);
      assert.equal(error.aboutName, false);
      return true;
    });
    // And who asks again hears it again.
    await assert.rejects(session.ask("Ping"), SessionError);
  });
});

Deno.test("AMI session: what hinders the connection is told, and whether it is the name", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  for (const [host, aboutName] of [["127.0.0.1", false], ["nobody.invalid", true]] as const) {
    await assert.rejects(open(port, host), (error) => {
      assert.ok(error instanceof SessionError, String(error));
      assert.equal(error.aboutName, aboutName);
      return true;
    });
  }
});

Deno.test("AMI session: its end closes the connection", async () => {
  await using asterisk = new FakeAsterisk({ users: [USER] });
  {
    using session = await open(asterisk.port);
    await session.ask("Login", LOGIN);
    assert.equal(asterisk.loggedIn, 1);
  }
  await until("Asterisk has seen it", () => asterisk.loggedIn === 0);
});
