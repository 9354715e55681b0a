/** Lists from real servers, right and wrong ones, and from files. */

import assert from "node:assert/strict";
import type { FeedConfig } from "../../src/config/feeds.ts";
import { FeedError } from "../../src/feeds/entries.ts";
import { fetchList, type ListOptions } from "../../src/feeds/fetch.ts";
import { Authority } from "../support/certificates.ts";
import { FEED, gzipped, listServer, rawServer } from "../support/list_server.ts";

const OPTIONS: ListOptions = { own: [], silenceMs: 500, totalMs: 5_000 };

async function fetched(url: string, feed: Partial<FeedConfig> = {}, options = {}) {
  return await fetchList({ ...FEED, url, ...feed }, { ...OPTIONS, ...options });
}

/** The targets of a list. */
async function targets(url: string, feed: Partial<FeedConfig> = {}): Promise<string[]> {
  return [...(await fetched(url, feed))!.entries.set.targets()];
}

/** Why a list is refused. */
async function refusal(url: string, feed: Partial<FeedConfig> = {}, options = {}): Promise<string> {
  try {
    await fetched(url, feed, options);
  } catch (error) {
    assert(error instanceof FeedError, String(error));
    return error.message;
  }
  throw new Error(`${url} was not refused`);
}

const head = (...headers: string[]) => ["HTTP/1.1 200 OK", ...headers, "", ""].join("\r\n");

Deno.test("fetch: plain text as VoIPBL and blocklist.de write it, with comments", async () => {
  const text = "# VoIPBL\r\n203.0.113.9/32\r\n\r\n198.51.100.7\n2001:db8::5 ; since May\n" +
    "192.0.2.128/25 # a network\n192.0.2.1-192.0.2.2\n203.0.113.9\n";
  await using server = listServer(() => new Response(text));
  assert.deepEqual(await targets(server.url), [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.128/25",
    "198.51.100.7",
    "203.0.113.9",
    "2001:db8::5",
  ]);
});

Deno.test("fetch: Spamhaus DROP's lines of JSON, and one that was cut off", async () => {
  const lines = [
    '{"cidr":"198.51.100.0/24","sblid":"SBL1","rir":"ripencc"}',
    '{"cidr":"2001:db8:1::/48","sblid":"SBL2","rir":"arin"}',
  ];
  const last = '{"type":"metadata","timestamp":1764500000,"size":2,"records":2}';
  await using server = listServer((_, { pathname }) =>
    new Response([...(pathname === "/short" ? lines.slice(1) : lines), last].join("\n"))
  );
  assert.deepEqual(await targets(server.url), ["198.51.100.0/24", "2001:db8:1::/48"]);
  assert.match(
    await refusal(`${server.url}short`),
    /it says that it has 2 entries, but 1 are there/,
  );
});

Deno.test('fetch: APIBAN\'s batches up to its "none"; its key is in no message', async () => {
  const folder = await Deno.makeTempDir();
  const keyFile = `${folder}/key`;
  await Deno.writeTextFile(keyFile, "k3y-s3cret\n");
  const pages: Record<string, unknown> = {
    "/api/k3y-s3cret/banned": { ipaddress: ["203.0.113.1", "203.0.113.2"], ID: "17" },
    "/api/k3y-s3cret/banned/17": { ipaddress: ["2001:db8::9"], ID: "18" },
    "/api/k3y-s3cret/banned/18": { ipaddress: ["no new bans"], ID: "none" },
    "/loop/k3y-s3cret/banned": { ipaddress: ["203.0.113.1"], ID: "17" },
    "/loop/k3y-s3cret/banned/17": { ipaddress: ["203.0.113.1"], ID: "17" },
    "/wrong/k3y-s3cret/banned": { ipaddress: ["bad key k3y-s3cret"], ID: "unauthorized" },
    "/odd/k3y-s3cret/banned": { ipaddress: ["203.0.113.1"], ID: "../17" },
  };
  await using server = listServer((_, { pathname }) =>
    pathname in pages ? Response.json(pages[pathname]) : new Response("?", { status: 404 })
  );
  const apiban = { format: "apiban", keyFile } as const;
  assert.deepEqual(await targets(`${server.url}api`, apiban), [
    "203.0.113.1",
    "203.0.113.2",
    "2001:db8::9",
  ]);
  assert.equal(server.requests.length, 3);
  assert.match(await refusal(`${server.url}loop`, apiban), /the ID of an earlier one/);
  assert.equal(
    await refusal(`${server.url}wrong`, apiban),
    'APIBAN says "bad key KEY" (ID "unauthorized")',
  );
  assert.match(await refusal(`${server.url}odd`, apiban), /the ID of batch 1 is "..\/17"/);
  assert.match(await refusal(`${server.url}none`, apiban), /answers 404/);
  await Deno.writeTextFile(keyFile, "two words\n");
  assert.match(await refusal(`${server.url}api`, apiban), /does not hold a key/);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("fetch: with gzip, in pieces, and by ETag not at all", async () => {
  const text = Array.from({ length: 3_000 }, (_, i) => `203.0.${i >> 8}.${i & 255}`).join("\n");
  const bytes = await gzipped(text);
  const headers = { "content-encoding": "gzip", etag: '"v1"' };
  await using server = listServer((request) =>
    request.headers.get("if-none-match") === '"v1"'
      ? new Response(null, { status: 304 })
      : new Response(bytes, { headers })
  );
  const first = (await fetched(server.url))!;
  assert.equal(first.entries.set.size, 3_000);
  assert.equal(first.etag, '"v1"');
  assert.equal(await fetched(server.url, {}, { validators: first }), undefined);
  await using chunked = rawServer(() =>
    head("Transfer-Encoding: chunked") + "b;x=y\r\n203.0.113.1\r\n1\r\n\n\r\n0\r\n\r\n"
  );
  assert.deepEqual(await targets(`http://127.0.0.1:${chunked.port}/`), ["203.0.113.1"]);
});

Deno.test("fetch: what was cut off, damaged or told with a wrong length is refused", async () => {
  const whole = await gzipped("203.0.113.1\n".repeat(500));
  const join = (text: string, bytes: Uint8Array) => {
    const start = new TextEncoder().encode(text);
    const all = new Uint8Array(start.length + bytes.length);
    all.set(start);
    all.set(bytes, start.length);
    return all;
  };
  const table: [answer: string | Uint8Array, why: RegExp][] = [
    [head("Content-Length: 100") + "203.0.113.1\n", /cut off: 88 bytes of 100 bytes are missing/],
    [head("Content-Length: 5", "Content-Length: 6") + "abc", /tells two lengths/],
    [head("Content-Length: -5") + "abc", /tells no length/],
    [head("Content-Length: 99999999999") + "abc", /longer than 33554432 bytes/],
    [head("Transfer-Encoding: chunked") + "b\r\n203.0.113.1\r\n", /cut off/],
    [head("Transfer-Encoding: chunked") + "zz\r\n203.0.113.1\r\n", /pieces are not right/],
    [head("Transfer-Encoding: gzip") + "x", /unknown transfer coding/],
    [join(head("Content-Encoding: gzip"), whole.subarray(0, 30)), /damaged, or it was cut off/],
    [head("Content-Encoding: gzip") + "203.0.113.1\n", /damaged/],
    [head("Content-Encoding: br") + "x", /was not asked for/],
    ["SSH-2.0-OpenSSH_9.2\r\n\r\n", /no web server/],
    // Who would look for the blanks again and again would be at it for hours.
    [`HTTP/1.1 200 OK\r\nA:${" ".repeat(16_000)}\n\r\n\r\n`, /headers are not right/],
    ["HTTP/1.1 200 OK\r\nno header\r\n\r\n", /headers are not right/],
    ["HTTP/1.1 200 OK\r\n", /ends in its headers/],
    ["", /closed the connection/],
    [head() + "<html>\n<body>log in\n</body>\n", /no list of addresses.*line 1: "<html>"/],
    [head() + "203.0.113.1 " + "x".repeat(5_000), /line 1 is longer than|line 1 does not end/],
    ["HTTP/1.1 503 Busy\r\n\r\n", /answers 503 \(its own fault/],
    ["HTTP/1.1 304 Not Modified\r\n\r\n", /nothing has changed, but there is no copy/],
  ];
  for (const [answer, why] of table) {
    await using server = rawServer(() => answer);
    assert.match(await refusal(`http://127.0.0.1:${server.port}/`), why);
  }
});

Deno.test("fetch: a server that is silent, endless or not there holds nobody up", async () => {
  await using silent = rawServer(() => undefined);
  assert.match(await refusal(`http://127.0.0.1:${silent.port}/`), /silent for 0.5 s/);
  const comments = `# ${"x".repeat(1_000)}\n`.repeat(40_000);
  await using endless = rawServer(() => head() + comments);
  assert.match(await refusal(`http://127.0.0.1:${endless.port}/`), /longer than 33554432 bytes/);
  const bomb = await gzipped("\n".repeat(40_000_000));
  await using packed = listServer(() =>
    new Response(bomb, { headers: { "content-encoding": "gzip" } })
  );
  assert.match(await refusal(packed.url), /longer than 33554432 bytes without compression/);
  const stop = new AbortController();
  const given = refusal(`http://127.0.0.1:${silent.port}/`, {}, {
    signal: stop.signal,
    silenceMs: 60_000,
  });
  stop.abort();
  assert.match(await given, /given up/);
  const slow = await refusal(`http://127.0.0.1:${silent.port}/`, {}, {
    totalMs: 300,
    silenceMs: 60_000,
  });
  assert.match(slow, /not there within 0.3 s/);
});

Deno.test("fetch: redirects lead into the Internet alone, as it was looked up", async () => {
  await using target = listServer(() => new Response("203.0.113.1\n"));
  const to = (location: string) => `HTTP/1.1 302 Found\r\nLocation: ${location}\r\n\r\n`;
  const table: [location: string, why: RegExp][] = [
    [target.url, /redirects to 127.0.0.1 \(127.0.0.1\), which is not in the Internet: refused/],
    [`http://[::1]:${target.port}/`, /redirects to ::1 .*refused/],
    ["http://[::ffff:127.0.0.1]/", /redirects to .*refused/],
    ["http://169.254.169.254/latest", /redirects to 169.254.169.254 .*refused/],
    ["http://10.1.2.3/", /refused/],
    ["http://0.0.0.0/", /refused/],
    ["http://2130706433/", /redirects to 127.0.0.1 .*refused/],
    ["http://inner.example/", /redirects to inner.example \(192.168.5.5\).*refused/],
    ["file:///etc/passwd", /which is no web page/],
    ["gopher://example.org/", /which is no web page/],
    ["", /more than 5 redirects/],
  ];
  const resolve = (host: string) =>
    Promise.resolve(host === "inner.example" ? ["192.168.5.5"] : [host]);
  for (const [location, why] of table) {
    await using server = rawServer(() => to(location));
    const message = await refusal(`http://127.0.0.1:${server.port}/`, {}, { resolve });
    assert.match(message, why, location);
  }
  assert.deepEqual(target.requests, []);
  // A name that leads to this machine is not what somebody has meant.
  for (const address of ["127.0.0.1", "::1", "169.254.169.254", "fe80::1%eth0"]) {
    const to = () => Promise.resolve(["192.0.2.1", address]);
    const message = await refusal(`http://lists.example:${target.port}/`, {}, { resolve: to });
    assert.match(message, /lists.example is said to be .*, which is on this machine or its link/);
  }
  assert.deepEqual(target.requests, []);
  // What the URL names itself may be anywhere, and may move there.
  await using mover = listServer((_, { pathname }) =>
    pathname === "/"
      ? new Response(null, { status: 301, headers: { location: "/list" } })
      : new Response("203.0.113.1\n")
  );
  assert.deepEqual(await targets(mover.url), ["203.0.113.1"]);
});

Deno.test("fetch: over TLS nobody is believed whose certificate is not right", async () => {
  const authority = await Authority.make();
  const { certificate: cert, key } = await authority.issue();
  const serve = (handler: (request: Request) => Response) =>
    Deno.serve({ hostname: "127.0.0.1", port: 0, cert, key, onListen() {} }, handler);
  await using plain = listServer(() => new Response("203.0.113.1\n"));
  await using server = serve((request) =>
    new URL(request.url).pathname === "/moved"
      ? new Response(null, { status: 302, headers: { location: plain.url } })
      : new Response("203.0.113.7\n")
  );
  const url = `https://127.0.0.1:${server.addr.port}/`;
  await assert.rejects(fetched(url), (error) => {
    assert(error instanceof FeedError);
    assert.match(error.message, /from an authority that this machine does not know/);
    assert.match(error.advice, /update-ca-certificates/);
    return true;
  });
  const believed = { authorities: () => [authority.certificate] };
  const list = await fetched(url, {}, believed);
  assert.deepEqual([...list!.entries.set.targets()], ["203.0.113.7"]);
  assert.match(await refusal(`${url}moved`, {}, believed), /redirects from https to .*refused/);
  const elsewhere = url.replace("127.0.0.1", "localhost");
  assert.match(await refusal(elsewhere, {}, believed), /its certificate is not for "localhost"/);
  assert.match(
    await refusal(`https://127.0.0.1:${plain.port}/`),
    /answers in plain text|closed the connection/,
  );
  assert.deepEqual(plain.requests, []);
});

Deno.test("fetch: entries that would hit too much are left out, and told with their lines", async () => {
  const text = [
    "10.0.0.0/8",
    "192.168.1.1",
    "127.0.0.1",
    "0.0.0.0/0",
    "96.0.0.0/7",
    "96.0.0.0/8",
    "2001::/18",
    "2001::/19",
    "fe80::1",
    "fc00::/7",
    "224.0.0.1",
    "203.0.113.0/24",
    "not an address",
    "198.51.100.7",
    "60.0.0.0-90.255.255.255",
    "203.0.113.70-203.0.113.80",
    "198.51.100.8-198.51.100.9",
    "198.51.100.15-198.51.100.16",
  ].join("\n");
  await using server = listServer(() => new Response(text));
  const { entries } = (await fetched(server.url, {}, { own: ["203.0.113.77"] }))!;
  assert.deepEqual([...entries.set.targets()], [
    "96.0.0.0/8",
    "198.51.100.7",
    "198.51.100.8/31",
    "198.51.100.15",
    "198.51.100.16",
    "2001::/19",
  ]);
  assert.equal(entries.leftOut, 13);
  assert.deepEqual(entries.told, [
    "line 1: 10.0.0.0/8 is no address of the Internet",
    "line 2: 192.168.1.1 is no address of the Internet",
    "line 3: 127.0.0.1 holds the server that the list comes from",
    "line 4: 0.0.0.0/0 is wider than /8",
    "line 5: 96.0.0.0/7 is wider than /8",
  ]);
});

Deno.test("fetch: a file, which is read again when it has changed", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/my list`;
  await Deno.writeTextFile(path, "\uFEFF# mine\n203.0.113.1\n");
  const url = new URL(`file://${path}`).href;
  const first = (await fetched(url))!;
  assert.deepEqual([...first.entries.set.targets()], ["203.0.113.1"]);
  assert.equal(first.hasComments, true);
  assert.equal(await fetched(url, {}, { validators: first }), undefined);
  await Deno.writeTextFile(path, "203.0.113.1\n203.0.113.2\n");
  assert.equal((await fetched(url, {}, { validators: first }))!.entries.set.size, 2);
  await Deno.remove(path);
  assert.match(await refusal(url), /there is no such file/);
  // Whoever opens a pipe waits until somebody writes into it.
  assert.equal((await new Deno.Command("mkfifo", { args: [path] }).output()).code, 0);
  assert.match(await refusal(url), /this is no file, but a pipe or a device/);
  await Deno.remove(path);
  await Deno.remove(folder, { recursive: true });
});
