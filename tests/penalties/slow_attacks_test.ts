/**
 * Guessers whom points never find, because they wait until these are forgotten or log in between,
 * and those who look like them and belong here: made-up streams of which it is known who is who.
 */

import assert from "node:assert/strict";
import { Stream } from "../support/stream.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const GUESSER = "203.0.113.9";
const OFFICE = "198.51.100.10";

/** One wrong password every so often, so many times. */
function guesses(stream: Stream, every: number, count: number, transport = "UDP"): Stream {
  for (let n = 0; n < count; n++) stream.wrong(n * every, GUESSER, "100", transport);
  return stream;
}

for (const transport of ["UDP", "TLS"]) {
  Deno.test(`slow attacks: one guess every 25 hours is blocked at the ninth, over ${transport}`, () => {
    assert.deepEqual(guesses(new Stream(), 25 * HOUR, 8, transport).run().blocked, []);
    const stream = guesses(new Stream(), 25 * HOUR, 40, transport).run();
    const [first] = stream.simulation.blocks;
    assert.equal(first!.grounds, "slow account");
    assert.match(first!.reason, /^9 wrong passwords within 8 d 8 h, .* 45 of 45 points \(in doubt/);
    // One account: it may be a phone, so it ends by itself, and is four times as long each time.
    const hours = stream.simulation.blocks.map(({ at, until }) => (until! - at) / HOUR);
    assert.deepEqual(hours.slice(0, 6), [1, 4, 16, 64, 168, 168]);
    assert.ok(stream.judgedTotal < 18, `${stream.judgedTotal} of 40`);
  });
}

Deno.test("slow attacks: with the figures of the documentation", () => {
  for (
    const [loyalty, every, at] of [
      [3, 25 * HOUR, 9],
      [3, 47 * HOUR, 9],
      [3, 49 * HOUR, undefined],
      [3, 7 * DAY, undefined],
      [2, 30 * HOUR, 6],
      [5, 25 * HOUR, 15],
    ] as const
  ) {
    const stream = guesses(new Stream({ loyalty }), every, 60).run();
    const first = stream.simulation.blocks[0];
    const before = first === undefined ? undefined : Math.round(
      (first.at - Date.parse("2026-11-22T08:00:00Z")) / every,
    ) + 1;
    assert.equal(before, at, `loyalty ${loyalty}, every ${every / HOUR} h`);
  }
});

Deno.test("slow attacks: who tries several accounts by TLS is out for ever, two guesses at a time sooner", () => {
  const stream = new Stream();
  for (let n = 0; n < 20; n++) stream.wrong(n * 25 * HOUR, GUESSER, `${100 + n % 7}`, "TLS");
  const [block] = stream.run().simulation.blocks;
  assert.deepEqual([block!.grounds, block!.until], ["slow guesses", undefined]);
  const pairs = new Stream();
  for (let n = 0; n < 5; n++) {
    pairs.wrong(n * 25 * HOUR, GUESSER, "100").wrong(n * 25 * HOUR + HOUR, GUESSER, "101");
  }
  assert.equal(pairs.run().judgedTotal, 9);
});

Deno.test("slow attacks: a guesser who takes another address of its IPv6 network each day", () => {
  const stream = new Stream();
  for (let n = 1; n <= 12; n++) stream.wrong(n * 25 * HOUR, `2001:db8:5:6::${n}`, "100");
  assert.deepEqual(stream.run().blocked, ["2001:db8:5:6::/64"]);
});

Deno.test("slow attacks: a phone that logs in even once is not affected", () => {
  // In between.
  const stream = new Stream();
  for (let n = 0; n < 40; n++) {
    stream.wrong(n * 25 * HOUR, OFFICE, "100");
    if (n % 8 === 7) stream.login(n * 25 * HOUR + MINUTE, OFFICE, "100");
  }
  assert.deepEqual(stream.run().blocked, []);
  // Once at the beginning, and then with a password that is not right any more.
  const once = new Stream().login(0, OFFICE, "100");
  for (let n = 1; n < 40; n++) once.wrong(n * 25 * HOUR, OFFICE, "100");
  assert.deepEqual(once.run().blocked, []);
  assert.equal(once.judged.get(OFFICE), 39);
});

Deno.test("slow attacks: a phone that was off for weeks, with an old password", () => {
  const stream = new Stream().login(0, OFFICE, "100").login(MINUTE, OFFICE, "101");
  // For four weeks it is off; then it tries once a day, until somebody corrects it.
  for (let n = 0; n < 20; n++) stream.wrong(28 * DAY + n * 25 * HOUR, OFFICE, "100", "UDP", "call");
  stream.login(28 * DAY + 20 * 25 * HOUR, OFFICE, "100");
  stream.run();
  assert.deepEqual([stream.blocked, stream.hindered.size], [[], 0]);
});

Deno.test("slow attacks: an office, a trunk and a mobile network behind one address", () => {
  const stream = new Stream();
  for (let day = 0; day < 30; day++) {
    const at = day * 25 * HOUR;
    // Twelve people of one office, one of whom mistypes each day, and logs in.
    stream.wrong(at, OFFICE, `${100 + day % 12}`).login(at + MINUTE, OFFICE, `${100 + day % 12}`);
    // A trunk that registers each hour, and has a wrong password for its second account.
    for (let n = 0; n < 25; n++) stream.login(at + n * HOUR, "192.0.2.77", "trunk");
    stream.wrong(at + 7 * MINUTE, "192.0.2.77", "trunk2");
    // Of a mobile network each day somebody else fails, and once a week somebody logs in.
    stream.wrong(at + 9 * MINUTE, "198.51.100.77", `m${day}`);
    if (day % 6 === 0) stream.login(at + 10 * MINUTE, "198.51.100.77", "m0");
  }
  stream.run();
  assert.deepEqual([stream.blocked, stream.hindered.size], [[], 0]);
});

Deno.test("insiders: who owns an account and guesses between its logins is told, and blocked if asked for", () => {
  for (const insider of ["tell", "block"] as const) {
    const stream = new Stream({ insider });
    // Six guesses an hour, and a login after each two.
    for (let n = 0; n < 144; n++) {
      stream.wrong(n * 10 * MINUTE, OFFICE, "100");
      if (n % 2 === 0) stream.login(n * 10 * MINUTE + MINUTE, OFFICE, "666");
    }
    stream.run();
    const found = stream.simulation.table.insiders.takeFound();
    assert.deepEqual(
      found.map((
        { host, login, account, accounts, likePhones },
      ) => [host, login, account, accounts, likePhones]),
      [[OFFICE, "666", "100", 1, false]],
      "once a day",
    );
    const blocks = stream.simulation.blocks.filter(({ grounds }) => grounds === "insider");
    assert.equal(blocks.length > 30, insider === "block", `${blocks.length}`);
    for (const { at, until } of blocks) assert.equal(until! - at, 30 * SECOND);
    assert.deepEqual(stream.hindered, new Map(), "who logs in is never in the way of it");
  }
});

Deno.test("insiders: who tries many accounts once each is found too", () => {
  const stream = new Stream({ insider: "block" });
  for (let n = 0; n < 60; n++) {
    stream.login(n * 20 * MINUTE, OFFICE, "666");
    stream.wrong(n * 20 * MINUTE + MINUTE, OFFICE, `${1_000 + n}`);
  }
  stream.run();
  assert.equal(stream.simulation.table.insiders.takeFound()[0]?.accounts, 31);
  assert.ok(stream.simulation.blocks.some(({ grounds }) => grounds === "insider"));
});

Deno.test("insiders: a phone with an old password is told, and blocked for no guess", () => {
  const stream = new Stream({ insider: "block" });
  for (let at = 0; at < DAY; at += 10 * MINUTE) {
    stream.login(at, OFFICE, "101");
    stream.wrong(at + MINUTE, OFFICE, "100", "UDP", "always the same call");
  }
  stream.run();
  assert.deepEqual(stream.simulation.blocks.filter(({ grounds }) => grounds === "insider"), []);
  assert.deepEqual(stream.simulation.table.insiders.takeFound().map((one) => one.likePhones), [
    true,
  ]);
  // If it logged in before, it is one of its own: nothing is told.
  const own = new Stream({ insider: "block" }).login(0, OFFICE, "100");
  for (let at = MINUTE; at < DAY; at += 10 * MINUTE) {
    own.login(at, OFFICE, "101").wrong(at + MINUTE, OFFICE, "100");
  }
  own.run();
  assert.deepEqual(own.simulation.table.insiders.takeFound(), []);
});

Deno.test("insiders: a call centre of 200 phones with mistyped passwords over a day", () => {
  const stream = new Stream({ insider: "block" });
  for (let n = 0; n < 200; n++) {
    const at = n * DAY / 200;
    for (let wrong = 0; wrong < n % 3; wrong++) {
      stream.wrong(at + wrong * 10 * SECOND, OFFICE, `${1_000 + n}`);
    }
    for (let later = at + MINUTE; later < DAY; later += HOUR) {
      stream.login(later, OFFICE, `${1_000 + n}`);
    }
  }
  stream.run();
  assert.deepEqual(stream.simulation.table.insiders.takeFound(), []);
  assert.deepEqual(stream.simulation.blocks, []);
  assert.deepEqual(stream.hindered, new Map());
});
