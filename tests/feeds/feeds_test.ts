/** A list over time: copies on disk, what is refused, and when it is looked at again. */

import assert from "node:assert/strict";
import { keyOf } from "../../src/penalties/host_key.ts";
import { Feeds } from "../../src/feeds/feeds.ts";
import { FEED, listServer, rawServer } from "../support/list_server.ts";

const HOUR = 3_600_000;

class Bench implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync();
  readonly lines: string[] = [];
  now = 1_000_000;
  changes = 0;
  feeds = this.#make();

  #make(): Feeds {
    const say = (message: string) => void this.lines.push(message);
    return new Feeds({
      folder: `${this.folder}/feeds`,
      log: { info: say, warn: say },
      now: () => this.now,
      wallClock: () => 1_796_000_000_000 + this.now,
      random: () => 0.5,
      own: () => [],
      changed: () => void this.changes++,
      fetch: { silenceMs: 500 },
    });
  }

  /** Another life with the same folder. */
  restart(): Feeds {
    this.feeds.close();
    return this.feeds = this.#make();
  }

  get state() {
    return this.feeds.states[0]!;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.feeds.close();
    return Deno.remove(this.folder, { recursive: true });
  }
}

const hosts = (count: number, third = 113) =>
  Array.from({ length: count }, (_, i) => `203.${third + (i >> 8)}.0.${i & 255}`).join("\n");

Deno.test("feeds: fetched when due, kept on disk, and there again without the server", async () => {
  await using bench = new Bench();
  const server = listServer(() => new Response(hosts(300), { headers: { etag: '"v1"' } }));
  const config = { ...FEED, url: server.url };
  bench.feeds.configure([config]);
  await bench.feeds.restore();
  assert.equal(bench.state.fetchedAt, undefined);
  await bench.feeds.look();
  assert.deepEqual([bench.state.entries, bench.state.trouble, bench.changes], [300, undefined, 1]);
  assert.equal(bench.feeds.whyStrict(keyOf("203.114.0.5")), "listed by feed test");
  assert.equal(bench.feeds.whyStrict(keyOf("203.0.113.5")), undefined);
  assert.equal(bench.feeds.whyStrict("2001:db8::1"), undefined);
  // It is not due yet.
  bench.now += HOUR / 2;
  await bench.feeds.look();
  assert.equal(server.requests.length, 1);
  await server[Symbol.asyncDispose]();

  const again = bench.restart();
  again.configure([config]);
  await again.restore();
  assert.deepEqual([bench.state.entries, bench.changes], [300, 2]);
  const { mode } = Deno.statSync(`${bench.folder}/feeds/test`);
  assert.equal(mode! & 0o777, 0o600);
  // Another list is not that one's copy.
  const other = bench.restart();
  other.configure([{ ...config, url: `${server.url}other` }]);
  await other.restore();
  assert.equal(bench.state.entries, 0);
  // With the feed its copy leaves, and who was on it is not listed any more.
  other.configure([]);
  assert.deepEqual([...Deno.readDirSync(`${bench.folder}/feeds`)], []);
  assert.equal(other.whyStrict(keyOf("203.114.0.5")), undefined);
});

Deno.test("feeds: a list that has not changed is asked for with what the server said", async () => {
  await using bench = new Bench();
  await using server = listServer((request) =>
    request.headers.get("if-none-match") === '"v1"' &&
      request.headers.get("if-modified-since") === "Mon, 30 Nov 2026 08:00:00 GMT"
      ? new Response(null, { status: 304 })
      : new Response(hosts(3), {
        headers: { etag: '"v1"', "last-modified": "Mon, 30 Nov 2026 08:00:00 GMT" },
      })
  );
  bench.feeds.configure([{ ...FEED, url: server.url }]);
  await bench.feeds.look();
  // Also after a restart.
  bench.restart().configure([{ ...FEED, url: server.url }]);
  await bench.feeds.restore();
  bench.now += 3 * HOUR;
  await bench.feeds.look();
  assert.deepEqual([bench.state.entries, bench.state.trouble], [3, undefined]);
  assert.equal(bench.state.fetchedAt, 1_796_000_000_000 + bench.now);
  assert.equal(bench.changes, 2);
});

Deno.test("feeds: suddenly empty, ten times as long, or gone: the one before stays, with the reason", async () => {
  await using bench = new Bench();
  let text = hosts(20);
  let status = 200;
  await using server = listServer(() => new Response(text, { status }));
  bench.feeds.configure([{ ...FEED, url: server.url }]);
  await bench.feeds.look();
  const refusedFor = async (why: RegExp) => {
    bench.now += 3 * HOUR;
    await bench.feeds.look();
    assert.match(bench.state.trouble ?? "", why);
    assert.equal(bench.state.entries, 20);
    assert.match(bench.lines.at(-1)!, /was refused: .*; the 20 entries of before stay in force/);
  };
  text = "";
  await refusedFor(/it is empty, and had 20 entries before/);
  text = "# nobody\n";
  await refusedFor(/it is empty/);
  text = hosts(201);
  await refusedFor(/it has 201 entries, more than ten times as many as before \(20\)/);
  text = "96.0.0.0/8\n97.0.0.0/8\n";
  await refusedFor(
    /it holds 1 % of all addresses of IPv4, more than ten times as much as before \(less/,
  );
  status = 500;
  await refusedFor(/answers 500/);
  // Told once, however often it goes on.
  const said = bench.lines.length;
  bench.now += 3 * HOUR;
  await bench.feeds.look();
  assert.equal(bench.lines.length, said);
  status = 200;
  text = hosts(200);
  bench.now += 3 * HOUR;
  await bench.feeds.look();
  assert.deepEqual([bench.state.entries, bench.state.trouble], [200, undefined]);
  assert(bench.lines.includes("feed test: it can be had again"));
});

Deno.test("feeds: a file of one's own is read soon after it has changed, and may be empty on purpose", async () => {
  await using bench = new Bench();
  const path = `${bench.folder}/own`;
  Deno.writeTextFileSync(path, "203.0.113.1\n");
  bench.feeds.configure([{ ...FEED, url: `file://${path}` }]);
  const entriesAre = async (count: number) => {
    bench.now += 10_000;
    await bench.feeds.look();
    assert.equal(bench.state.entries, count);
  };
  await entriesAre(1);
  Deno.writeTextFileSync(path, "203.0.113.1\n203.0.113.2\n");
  await entriesAre(2);
  Deno.writeTextFileSync(path, "");
  bench.now += 10_000;
  await bench.feeds.look();
  assert.match(bench.state.trouble!, /it is empty/);
  assert.equal(bench.state.entries, 2);
  Deno.writeTextFileSync(path, "# nobody\n");
  await entriesAre(0);
  assert.equal(bench.state.trouble, undefined);
  // What has changed while Ampere was not there, too.
  Deno.writeTextFileSync(path, "203.0.113.1\n203.0.113.2\n");
  await entriesAre(2);
  bench.restart().configure([{ ...FEED, url: `file://${path}` }]);
  Deno.writeTextFileSync(path, "203.0.113.2\n");
  await bench.feeds.restore();
  assert.equal(bench.state.entries, 2);
  await bench.feeds.look();
  assert.equal(bench.state.entries, 1);
});

Deno.test("feeds: files of somebody else beside the copies are left alone", async () => {
  await using bench = new Bench();
  await using server = listServer(() => new Response(hosts(30)));
  const folder = `${bench.folder}/feeds`;
  Deno.mkdirSync(folder);
  Deno.writeTextFileSync(`${folder}/mine.txt`, "203.0.113.1\n");
  Deno.writeTextFileSync(`${folder}/test`, "203.0.113.2\n");
  bench.feeds.configure([{ ...FEED, url: server.url }]);
  await bench.feeds.restore();
  await bench.feeds.look();
  assert.equal(bench.state.entries, 30);
  assert.match(
    bench.lines.at(-1)!,
    /no copy is kept .*feeds\/test: this file is none of Ampere's: move it to another folder/,
  );
  bench.feeds.configure([]);
  assert.equal(Deno.readTextFileSync(`${folder}/mine.txt`), "203.0.113.1\n");
  assert.equal(Deno.readTextFileSync(`${folder}/test`), "203.0.113.2\n");
});

Deno.test("feeds: two URLs that differ in their query alone have no copy in common", async () => {
  await using bench = new Bench();
  await using server = listServer((_, { search }) => new Response(hosts(search.length)));
  bench.feeds.configure([{ ...FEED, url: `${server.url}?a` }]);
  await bench.feeds.look();
  assert.equal(bench.state.entries, 2);
  bench.feeds.configure([{ ...FEED, url: `${server.url}?bcd` }]);
  await bench.feeds.restore();
  assert.equal(bench.state.entries, 0);
  await bench.feeds.look();
  assert.equal(bench.state.entries, 4);
});

Deno.test("feeds: after a change of its section a list is the one of before, and trouble is looked at again", async () => {
  await using bench = new Bench();
  let status = 200;
  await using server = listServer(() => new Response(hosts(30), { status }));
  const config = { ...FEED, url: server.url };
  bench.feeds.configure([config]);
  await bench.feeds.look();
  // Also where no copy could be kept.
  Deno.removeSync(`${bench.folder}/feeds`, { recursive: true });
  bench.feeds.configure([{ ...config, action: "block" }]);
  assert.deepEqual([bench.state.entries, bench.state.action], [30, "block"]);
  await bench.feeds.restore();
  assert.equal(bench.state.entries, 30);
  status = 404;
  bench.now += 3 * HOUR;
  await bench.feeds.look();
  assert.match(bench.state.trouble!, /404/);
  await bench.feeds.look();
  assert.equal(server.requests.length, 2);
  status = 200;
  bench.feeds.configure([{ ...config, action: "block" }]);
  await bench.feeds.look();
  assert.deepEqual([bench.state.trouble, server.requests.length], [undefined, 3]);
});

Deno.test("feeds: a list that has left while it was being fetched leaves nothing, and nobody waits for it", async () => {
  await using bench = new Bench();
  const asked = Promise.withResolvers<void>();
  // It goes on for longer than the test.
  await using slow = rawServer(() => (asked.resolve(), undefined));
  await using server = listServer(() => new Response(hosts(30)));
  const url = `http://127.0.0.1:${slow.port}/`;
  const gone = { ...FEED, name: "gone", url };
  bench.feeds.configure([gone, { ...FEED, url: server.url }]);
  const looking = bench.feeds.look();
  await asked.promise;
  bench.feeds.configure([{ ...FEED, url: server.url }]);
  await looking;
  await bench.feeds.look();
  assert.deepEqual([bench.state.name, bench.state.entries], ["test", 30]);
  assert.deepEqual([...Deno.readDirSync(`${bench.folder}/feeds`)].map(({ name }) => name), [
    "test",
  ]);
  assert.equal(bench.lines.filter((line) => line.includes("gone")).length, 0);
});

Deno.test("feeds: a copy that is damaged is not used, and says so", async () => {
  await using bench = new Bench();
  await using server = listServer(() => new Response(hosts(30)));
  bench.feeds.configure([{ ...FEED, url: server.url }]);
  await bench.feeds.look();
  const path = `${bench.folder}/feeds/test`;
  const whole = Deno.readTextFileSync(path);
  for (const damaged of ["", "203.0.113.1\n", whole.slice(0, whole.length / 2), `${whole}x y\n`]) {
    Deno.writeTextFileSync(path, damaged);
    bench.restart().configure([{ ...FEED, url: server.url }]);
    await bench.feeds.restore();
    assert.equal(bench.state.entries, 0, damaged);
    assert.match(bench.lines.at(-1)!, /feeds\/test is not used: /);
  }
});
