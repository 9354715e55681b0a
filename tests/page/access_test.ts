/** Who may see the page, and who may act on it. */

import assert from "node:assert/strict";
import { pageOf } from "../../src/config/page_keys.ts";
import { Access } from "../../src/page/access.ts";
import { callerOf, type Request } from "../../src/page/http.ts";
import { makeToken, readTokenFile } from "../../src/page/token_file.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { right } from "../support/config_texts.ts";

function request(headers: Record<string, string>, from = "127.0.0.1"): Request {
  const query = new URLSearchParams();
  const all = new Map(Object.entries({ host: "127.0.0.1:9739", ...headers }));
  return { method: "GET", path: "/", query, takesChunks: true, headers: all, body: "", from };
}

async function withTokens(
  text: string,
  run: (
    access: Access,
    tokens: { actions: string; lists: string },
    clock: FakeClock,
    file: string,
  ) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/page.token`;
    const { token: actions } = await makeToken(file, "actions");
    const { token: lists } = await makeToken(file, "lists");
    const config = pageOf(right(`${text}\npage_token_file = ${file}\n`))!;
    const clock = new FakeClock();
    await run(new Access(config, clock), { actions, lists }, clock, file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const HERE = "page = 127.0.0.1:9739";
const TLS = "page_cert = /a\npage_key = /b";

Deno.test("access: asked for by an address or a name of ours, and by no other name", async () => {
  await withTokens(`${HERE}\npage_name = pbx.example.org`, (access) => {
    const ours = [
      "127.0.0.1:9739",
      "127.0.0.1",
      "localhost:8080",
      "LOCALHOST",
      "[::1]:9739",
      "192.0.2.1",
      "PBX.example.org",
      "pbx.example.org:443",
    ];
    for (const host of ours) assert.ok(access.isForUs(request({ host })), host);
    const others = [
      "",
      "rebound.example",
      "pbx.example.org.evil.example",
      "evil.example:9739",
      "127.0.0.1.nip.example",
      "localhost.evil.example",
      "[pbx.example.org]",
      "127.0.0.1:9739:1",
      "user@127.0.0.1",
      "127.0.0.1/x",
    ];
    for (const host of others) assert.ok(!access.isForUs(request({ host })), host);
    return Promise.resolve();
  });
});

Deno.test("access: a form counts only from a page of this server, its port included", async () => {
  await withTokens(HERE, (access) => {
    const table: [headers: Record<string, string>, isOwn: boolean][] = [
      [{ origin: "http://127.0.0.1:9739" }, true],
      [{ origin: "http://127.0.0.1:9739", "sec-fetch-site": "same-origin" }, true],
      [{ origin: "https://127.0.0.1:9739" }, true],
      [{}, false],
      [{ origin: "null" }, false],
      [{ origin: "http://127.0.0.1" }, false],
      [{ origin: "http://127.0.0.1:8080" }, false],
      [{ origin: "http://evil.example" }, false],
      [{ origin: "http://127.0.0.1:9739", "sec-fetch-site": "same-site" }, false],
    ];
    for (const [headers, isOwn] of table) {
      assert.equal(access.isOwnForm(request(headers)), isOwn, JSON.stringify(headers));
    }
    return Promise.resolve();
  });
});

Deno.test("access: the token logs in, for half a day, and no other one does", async () => {
  await withTokens(HERE, async (access, tokens, clock) => {
    assert.equal(await access.login(tokens.lists, "192.0.2.1"), "wrong");
    assert.equal(await access.login("", "192.0.2.1"), "wrong");
    const answer = await access.login(` ${tokens.actions}\n`, "192.0.2.1");
    assert.ok(typeof answer === "object");
    assert.match(
      answer.cookie,
      /^ampere_page=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/,
    );
    const cookie = answer.cookie.split(";")[0]!;
    const session = access.sessionOf(request({ cookie: `a=b; ${cookie}` }));
    assert.equal(session?.from, "192.0.2.1");
    assert.equal(access.sessionOf(request({ cookie: `${cookie}x` })), undefined);
    assert.equal(access.sessionOf(request({})), undefined);
    await clock.advance(12 * 3_600_000 - 1);
    assert.ok(access.sessionOf(request({ cookie })) !== undefined);
    await clock.advance(1);
    assert.equal(access.sessionOf(request({ cookie })), undefined);
  });
});

Deno.test("access: a cookie by TLS never travels in plain text", async () => {
  await withTokens(`${HERE}\n${TLS}`, async (access, tokens) => {
    const answer = await access.login(tokens.actions, "192.0.2.1");
    assert.ok(typeof answer === "object" && answer.cookie.endsWith("; Secure"));
  });
});

Deno.test("access: who sends many wrong tokens waits a minute, others do not", async () => {
  await withTokens(HERE, async (access, tokens, clock) => {
    for (let i = 0; i < 10; i++) assert.equal(await access.login("x", "192.0.2.1"), "wrong");
    assert.equal(await access.login(tokens.actions, "192.0.2.1"), "too often");
    assert.equal(typeof await access.login(tokens.actions, "192.0.2.2"), "object");
    await clock.advance(60_000);
    assert.equal(typeof await access.login(tokens.actions, "192.0.2.1"), "object");
    // And with very many addresses there is one count for the rest.
    for (let i = 0; i < 300; i++) await access.login("x", `2001:db8::${i}`);
    assert.equal(await access.login(tokens.actions, "2001:db8:1::1"), "too often");
  });
});

Deno.test("access: behind a web server each is counted by whom that names, and only from this machine", () => {
  const headers = (value: string) => new Map([["x-forwarded-for", value]]);
  const from = (from: string, value: string) =>
    callerOf({ ...request({}), from, headers: headers(value) });
  assert.equal(from("127.0.0.1", "203.0.113.9, 192.0.2.7"), "192.0.2.7");
  assert.equal(from("::1", "2001:DB8::7"), "2001:db8::7");
  assert.equal(from("192.0.2.1", "192.0.2.7"), "192.0.2.1");
  assert.equal(from("127.0.0.1", "<b>"), "127.0.0.1");
});

Deno.test("access: actions of a login are counted", async () => {
  await withTokens(HERE, async (access, tokens, clock) => {
    const answer = await access.login(tokens.actions, "192.0.2.1");
    assert.ok(typeof answer === "object");
    const session = access.sessionOf(request({ cookie: answer.cookie.split(";")[0]! }))!;
    for (let i = 0; i < 60; i++) assert.ok(access.takeAction(session));
    assert.ok(!access.takeAction(session));
    await clock.advance(60_000);
    assert.ok(access.takeAction(session));
    assert.match(access.logout(session), /^ampere_page=; .*Max-Age=0;/);
    assert.equal(access.sessionOf(request({ cookie: answer.cookie.split(";")[0]! })), undefined);
  });
});

Deno.test("access: where others can come, nobody reads without a login", async () => {
  for (const text of [`page = 0.0.0.0:1\n${TLS}`, `${HERE}\npage_name = a.example\n${TLS}`]) {
    await withTokens(text, async (access, tokens) => {
      assert.ok(!access.mayRead(request({})));
      const answer = await access.login(tokens.actions, "192.0.2.1");
      assert.ok(typeof answer === "object");
      assert.ok(access.mayRead(request({ cookie: answer.cookie.split(";")[0]! })));
      assert.ok(!await access.mayReadLists(request({})));
    });
  }
});

Deno.test("access: lists are for who has a token, by Bearer or as a password", async () => {
  await withTokens(HERE, async (access, { actions, lists }) => {
    const basic = (pair: string) => `Basic ${new TextEncoder().encode(pair).toBase64()}`;
    const table: [header: string, mayRead: boolean][] = [
      ["", false],
      [`Bearer ${lists}`, true],
      [`bearer ${actions}`, true],
      [basic(`pfsense:${lists}`), true],
      [basic(`:${lists}`), true],
      [basic(lists), false],
      ["Basic !!", false],
      [`Bearer x${lists}`, false],
      [`Digest ${lists}`, false],
    ];
    for (const [authorization, mayRead] of table) {
      const asked = authorization === "" ? request({}) : request({ authorization });
      assert.equal(await access.mayReadLists(asked), mayRead, authorization.slice(0, 12));
    }
  });
});

Deno.test("access: a token made anew is taken within a look, and ends what was before", async () => {
  await withTokens(HERE, async (access, tokens, _clock, file) => {
    const answer = await access.login(tokens.actions, "192.0.2.1");
    assert.ok(typeof answer === "object");
    const { token, wasThere } = await makeToken(file, "actions");
    assert.ok(wasThere);
    // The first look sees another file, the second one that it rests.
    for (let i = 0; i < 2; i++) access.look();
    assert.equal(access.sessionOf(request({ cookie: answer.cookie.split(";")[0]! })), undefined);
    assert.equal(await access.login(tokens.actions, "192.0.2.1"), "wrong");
    assert.equal(typeof await access.login(token, "192.0.2.1"), "object");
    assert.ok(await access.mayReadLists(request({ authorization: `Bearer ${tokens.lists}` })));
    await Deno.remove(file);
    for (let i = 0; i < 2; i++) access.look();
    assert.match(access.obstacle ?? "", /page\.token: there is no such file$/);
    assert.equal(await access.login(token, "192.0.2.1"), "wrong");
  });
});

Deno.test("token file: only its user reads it, it holds no token, and others' files are refused", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/page.token`;
    const { token, wasThere } = await makeToken(file, "actions");
    assert.ok(!wasThere);
    assert.match(token, /^[\w-]{43}$/);
    assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    assert.ok(!(await Deno.readTextFile(file)).includes(token));
    assert.ok(!("why" in readTokenFile(file)));
    const wrong = [
      "",
      "# nothing\n",
      token,
      "actions sha256 00\n",
      `boss sha256 ${"0".repeat(64)}`,
    ];
    for (const text of wrong) {
      await Deno.writeTextFile(file, text);
      assert.ok("why" in readTokenFile(file), text);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
