/** The page as other programs find it: by TLS, with hostile visitors, and for other firewalls. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { BlockDatabase } from "../../src/blocks/database.ts";
import type { NewBlock } from "../../src/blocks/block.ts";
import { makeToken } from "../../src/page/token_file.ts";
import { selfSigned } from "../support/certificates.ts";
import { until } from "../support/namespace.ts";
import { withPage } from "../support/page.ts";

function blocks(count: number, account = ""): NewBlock[] {
  const now = Date.now();
  return Array.from({ length: count }, (_, n) => ({
    target: `198.51.${n >> 8}.${n & 255}`,
    since: now - 1_000_000 + n,
    until: n % 3 === 0 ? undefined : now + 86_400_000,
    reason: `3 wrong passwords, last account "${account}"`,
    service: "PJSIP",
    transport: "UDP",
    account,
  }));
}

const filled = (count: number, account?: string) => (path: string) => {
  using list = BlockDatabase.open(path);
  list.add(blocks(count, account));
};

/** A request by hand, with headers that fetch does not let one choose. */
async function ask(
  url: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<{ status: number; head: string; body: string }> {
  const { hostname, port, host } = new URL(url);
  const lines = Object.entries({
    Host: host,
    ...(body === undefined ? {} : { "Content-Length": String(body.length) }),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    const decoder = new TextDecoder();
    let text = "";
    socket.on("connect", () => {
      const method = body === undefined ? "GET" : "POST";
      socket.write(`${method} ${path} HTTP/1.1\r\n${lines}\r\n${body ?? ""}`);
    });
    socket.on("data", (chunk: Uint8Array) => text += decoder.decode(chunk, { stream: true }));
    socket.on("error", reject);
    socket.on("close", () => resolve(text));
  });
  const end = text.indexOf("\r\n\r\n");
  const [head, rest] = [text.slice(0, end), text.slice(end + 4)];
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]),
    head,
    body: /^Transfer-Encoding: chunked\r?$/m.test(head) ? unchunked(rest) : rest,
  };
}

/** The pieces of an answer, put together; the last one must be there. */
function unchunked(text: string): string {
  let bytes = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  let body = "";
  for (;;) {
    const [, hex] = /^([0-9a-f]+)\r\n/.exec(decoder.decode(bytes.subarray(0, 20))) ?? [];
    assert.ok(hex !== undefined, "the answer was broken off");
    const length = parseInt(hex, 16);
    if (length === 0) return body;
    const begin = hex.length + 2;
    body += decoder.decode(bytes.subarray(begin, begin + length));
    bytes = bytes.subarray(begin + length + 2);
  }
}

Deno.test("page: every answer forbids frames, scripts in it, guesses at its type, and copies", async () => {
  await withPage({}, async ({ url, list }) => {
    list.add(blocks(3), Date.now());
    const paths = [
      "/",
      "/blocks",
      "/host/198.51.0.1",
      "/login",
      "/nothing",
      "/page.js",
      "/blocks.txt",
    ];
    for (const path of paths) {
      const { head, status } = await ask(url, path);
      assert.ok(status === 200 || path === "/nothing", `${path} ${status}`);
      assert.match(head, /Content-Security-Policy: default-src 'none'; script-src 'self';/, path);
      assert.match(head, /frame-ancestors 'none'/, path);
      assert.match(head, /X-Content-Type-Options: nosniff/, path);
      assert.ok(!/unsafe|\*/.test(head), head);
    }
    for (const path of ["/", "/blocks", "/host/198.51.0.1", "/login"]) {
      const { body } = await ask(url, path);
      assert.ok(!/<script(?! src="\/page\.js" defer>)|<style| style=| on\w+=/.test(body), path);
    }
  });
});

Deno.test("page: another name is not answered, and a foreign form is not obeyed", async () => {
  await withPage({}, async ({ url, list, token, lines }) => {
    const { host } = new URL(url);
    for (const path of ["/", "/page.js", "/blocks.txt", "/events"]) {
      assert.equal((await ask(url, path, { Host: "rebound.example" })).status, 421);
    }
    const login = `token=${token}`;
    const own = { Origin: `http://${host}` };
    assert.equal((await ask(url, "/login", {}, login)).status, 403);
    assert.equal(
      (await ask(url, "/login", { Origin: "http://rebound.example" }, login)).status,
      403,
    );
    const { head, status } = await ask(url, "/login", own, login);
    assert.equal(status, 303);
    const cookie = /Set-Cookie: ([^;]+);/.exec(head)![1]!;
    const release = "action=release&target=198.51.0.1";
    const table: [headers: Record<string, string>, status: number][] = [
      [{ ...own }, 303],
      [{ Cookie: cookie }, 403],
      [{ Cookie: cookie, Origin: "null" }, 403],
      [{ Cookie: cookie, ...own, "Sec-Fetch-Site": "cross-site" }, 403],
      [{ Cookie: `${cookie}0`, ...own }, 303],
    ];
    for (const [headers, status] of table) {
      const answer = await ask(url, "/actions", headers, release);
      assert.equal(answer.status, status, JSON.stringify(headers));
      if (status === 303) assert.match(answer.head, /Location: \/login\r?$/m);
    }
    assert.ok(list.get("198.51.0.1") !== undefined);
    const wrong = [
      "action=boom&target=198.51.0.1",
      "action=constructor&target=198.51.0.1",
      "action=release&target=198.51.0.999",
      "action=block&target=198.51.0.1",
      "action=block&target=198.51.0.1&length=1000y",
      "action=trust&target=198.51.0.1&length=toString",
    ];
    for (const body of wrong) {
      assert.equal(
        (await ask(url, "/actions", { Cookie: cookie, ...own }, body)).status,
        400,
        body,
      );
    }
    const done = await ask(url, "/actions", { Cookie: cookie, ...own }, release);
    assert.match(done.head, /^HTTP\/1\.1 303 [\s\S]*Location: \/host\/198\.51\.0\.1\?done=release/);
    assert.equal(list.get("198.51.0.1"), undefined);
    const everybody = "action=trust&target=0.0.0.0/0&length=1h";
    assert.equal((await ask(url, "/actions", { Cookie: cookie, ...own }, everybody)).status, 409);
    const lockOut = "action=block&target=127.0.0.0/8&length=1h";
    const refused = await ask(url, "/actions", { Cookie: cookie, ...own }, lockOut);
    assert.equal(refused.status, 409);
    assert.match(refused.body, /Not done: 127\.0\.0\.0\/8 contains this machine itself/);
    assert.match(lines.join(""), /came from another page, and was not obeyed/);
  }, filled(5));
});

Deno.test("page: a login leads back only into these pages", async () => {
  await withPage({}, async ({ url, token }) => {
    const own = { Origin: url };
    const table: [next: string, to: string][] = [
      ["/blocks", "/blocks"],
      ["/host/2001:db8::/64", "/host/2001:db8::/64"],
      ["//evil.example", "/"],
      ["https://evil.example/", "/"],
      ["/\\evil.example", "/"],
      ["/host//evil.example", "/"],
    ];
    for (const [next, to] of table) {
      const body = `token=${token}&next=${encodeURIComponent(next)}`;
      const { head } = await ask(url, "/login", own, body);
      assert.equal(/Location: (.*)/.exec(head)![1]!.trim(), to, next);
    }
  });
});

Deno.test("page: lists for other firewalls tell addresses and ends, and when nothing is new", async () => {
  await withPage({}, async ({ url, list, folder, daemon }) => {
    const text = await ask(url, "/blocks.txt");
    const lines = text.body.trim().split("\n");
    assert.deepEqual(lines.toSorted(), blocks(300).map(({ target }) => target).toSorted());
    const etag = /ETag: (\S+)/.exec(text.head)![1]!;
    const again = await ask(url, "/blocks.txt", { "If-None-Match": `"x", W/${etag}` });
    assert.deepEqual([again.status, again.body], [304, ""]);
    const json = JSON.parse((await ask(url, "/blocks.json")).body);
    assert.equal(json.blocks.length, 300);
    assert.deepEqual(Object.keys(json.blocks[0]), ["address", "until"]);
    const ends = json.blocks.filter(({ until }: { until: string | null }) => until !== null);
    assert.ok(
      ends.length === 200 && ends.every(({ until }: { until: string }) => Date.parse(until) > 0),
    );

    using database = BlockDatabase.open(list.path);
    database.add([{ ...blocks(1)[0]!, target: "2001:db8:7::/64" }]);
    await until("the daemon has it", () => list.get("2001:db8:7::/64") !== undefined);
    const fresh = await ask(url, "/blocks.txt", { "If-None-Match": etag });
    assert.equal(fresh.status, 200);
    assert.equal((await ask(url, "/blocks.txt?family=6")).body, "2001:db8:7::/64\n");
    assert.equal((await ask(url, "/blocks.txt?family=4")).body.trim().split("\n").length, 300);

    // From the first token for lists on nobody reads them without one.
    const { token } = await makeToken(`${folder}/page.token`, "lists");
    await until("it is known", async () => (await ask(url, "/blocks.txt")).status === 401, 30_000);
    const authorization = { Authorization: `Bearer ${token}` };
    assert.equal((await ask(url, "/blocks.txt", authorization)).status, 200);
    assert.equal((await ask(url, "/", authorization)).status, 200);
    assert.equal(daemon.list.size, 301);
  }, filled(300));
});

Deno.test("page: an empty list is empty", async () => {
  await withPage({}, async ({ url }) => {
    assert.equal((await ask(url, "/blocks.txt")).body, "");
    assert.deepEqual(JSON.parse((await ask(url, "/blocks.json")).body), { blocks: [] });
  });
});

Deno.test("page: strange texts make a page of the list shorter, and nothing is lost between pages", async () => {
  await withPage({}, async ({ url }) => {
    const seen: string[] = [];
    let path = "/blocks";
    for (;;) {
      const { body } = await ask(url, path);
      assert.ok(body.length < 100_000, String(body.length));
      seen.push(...[...body.matchAll(/data-target="([^"]+)"/g)].map(([, target]) => target!));
      const next = /rel="next" href="([^"]+)"/.exec(body)?.[1];
      if (next === undefined) break;
      path = next.replaceAll("&amp;", "&");
    }
    assert.equal(seen.length, 300);
    assert.equal(new Set(seen).size, 300);
  }, filled(300, '"'.repeat(200)));
});

Deno.test("page: by TLS, which silent and broken visitors cannot hinder", async () => {
  const { certificate, key } = await selfSigned();
  const folder = await Deno.makeTempDir();
  try {
    const [pageCert, pageKey] = [`${folder}/page.crt`, `${folder}/page.key`];
    await Deno.writeTextFile(pageCert, certificate);
    await Deno.writeTextFile(pageKey, key);
    await withPage({ pageCert, pageKey }, async ({ url, page }) => {
      const curl = async (...args: string[]) => {
        const { code, stdout } = await new Deno.Command("curl", {
          args: ["-sk", "-m", "10", "-w", "%{http_code}", ...args],
        }).output();
        return { code, text: new TextDecoder().decode(stdout) };
      };
      const silent = Array.from(
        { length: 20 },
        () => connect({ host: "127.0.0.1", port: page.port }),
      );
      for (const socket of silent) socket.on("error", () => {});
      const { text } = await curl(`${url}/blocks`);
      assert.match(text, /<h1>Blocks<\/h1>[\s\S]*200$/);
      assert.notEqual((await curl(url.replace("https:", "http:"))).code, 0);
      // Who says nothing is left after a while.
      const gone = Promise.all(
        silent.map((socket) => new Promise<void>((resolve) => socket.on("close", () => resolve()))),
      );
      await gone;
      const many = await Promise.all(Array.from({ length: 20 }, () => curl(`${url}/page.css`)));
      assert.ok(many.every(({ text }) => text.endsWith("200")));
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("page: as long as the kernel is being filled no visitor has the list read", async () => {
  await withPage({}, async ({ url, list }) => {
    let isRead = false;
    let looks = 0;
    const each = list.each.bind(list);
    Object.defineProperty(list, "isRead", { get: () => isRead });
    list.each = () => {
      looks++;
      return each();
    };
    const answers = ["/", "/blocks", "/blocks?q=198.51", "/host/198.51.0.0/16", "/blocks.txt"]
      .map((path) => ask(url, path));
    const [first] = await Promise.all([fetch(`${url}/blocks`)]);
    const reader = first!.body!.getReader();
    const { value } = await reader.read();
    assert.match(new TextDecoder().decode(value), /<main id="main">$/);
    // All of them have had their turn when the last one waits.
    for (let n = 0; n < 5; n++) await ask(url, "/page.css");
    assert.equal(looks, 0);
    isRead = true;
    for (const { status, body } of await Promise.all(answers)) {
      assert.equal(status, 200);
      assert.ok(body.includes("198.51.0.1"), body);
    }
    assert.ok(looks >= 4, String(looks));
    await reader.cancel();
  }, filled(3));
});
