/**
 * Who belongs here, for weeks and under all rules for those who stay below every limit: slow
 * guesses, insiders with `block`, account guard and neighbours. Beside them those who do not.
 */

import assert from "node:assert/strict";
import { Stream } from "../support/stream.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const GATEWAY = "198.51.100.99";
const STRICT = { insider: "block", neighbours: 3, guardHosts: 10 } as const;

/** Nobody was blocked, nobody was told as an insider who guesses, nobody's login was in the way. */
function assertUntouched(stream: Stream, hosts?: readonly string[]): void {
  const { simulation, hindered } = stream;
  const blocks = simulation.blocks.filter(({ target }) => hosts?.includes(target) ?? true);
  assert.deepEqual(blocks.map(({ reason }) => reason), []);
  assert.deepEqual(hindered, new Map());
  assertNoGuessers(stream);
}

function assertNoGuessers({ simulation }: Stream): void {
  for (const insider of simulation.table.insiders.takeFound()) assert.ok(insider.likePhones);
}

for (const transport of ["UDP", "TLS"]) {
  Deno.test(`both sides: 200 phones with mistyped passwords over a day, over ${transport}`, () => {
    // Behind one address; each at home; and at home in one carrier's network.
    for (const where of ["office", "home", "carrier"]) {
      const stream = new Stream(STRICT);
      for (let n = 0; n < 200; n++) {
        const home = where === "home" ? `203.0.${n}.9` : `203.0.113.${n}`;
        const address = where === "office" ? GATEWAY : home;
        const at = n * DAY / 200;
        const name = `${1_000 + n}`;
        for (let wrong = 0; wrong < 1 + n % 2; wrong++) {
          stream.wrong(at + wrong * 20 * SECOND, address, name, transport);
        }
        for (let later = at + 2 * MINUTE; later < 2 * DAY; later += HOUR) {
          stream.login(later, address, name, transport);
        }
      }
      assertUntouched(stream.run());
    }
  });

  Deno.test(`both sides: a mobile network behind one address, many log in and some fail, over ${transport}`, () => {
    const stream = new Stream(STRICT);
    for (let day = 0; day < 20; day++) {
      // Two hundred others each day; one in eight has lost the password, and gives up after two.
      for (let n = 0; n < 200; n++) {
        const at = day * DAY + n * 7 * MINUTE;
        const name = `${1_000 + (day * 40 + n) % 900}`;
        if (n % 8 === 0) {
          stream.wrong(at, GATEWAY, `lost${day}-${n}`, transport);
          if (n % 16 === 0) stream.wrong(at + MINUTE, GATEWAY, `lost${day}-${n}`, transport);
        } else stream.login(at, GATEWAY, name, transport);
      }
    }
    const { simulation } = stream.run();
    // Its points are another matter: of thirty a day that nobody pays off some are too many, and
    // it is out for half a minute then.
    const others = simulation.blocks.filter(({ grounds }) => grounds !== "good standing");
    assert.deepEqual(others.map(({ reason }) => reason), []);
    for (const { at, until } of simulation.blocks) assert.equal(until! - at, 30 * SECOND);
    assert.ok(simulation.blocks.length < 6, `${simulation.blocks.length} in 20 days`);
    assert.deepEqual(stream.hindered, new Map());
    assertNoGuessers(stream);
  });
}

Deno.test("both sides: a trunk, a call centre and two carriers, beside guessers of their network", () => {
  const [trunk, centre, ...carriers] = ["203.0.113.5", "203.0.113.6", "203.0.113.7", "203.0.113.8"];
  const stream = new Stream(STRICT, [carriers[0]!]);
  for (let day = 0; day < 12; day++) {
    const begin = day * 25 * HOUR;
    for (let hour = 0; hour < 25; hour++) {
      const at = begin + hour * HOUR;
      stream.login(at, trunk!, "trunk").login(at, carriers[1]!, "other", "TCP");
      for (let seat = 0; seat < 12; seat++) {
        stream.login(at + seat * MINUTE, centre!, `${300 + seat}`);
      }
    }
    // A second account of the trunk is wrong; each shift two of the centre mistype.
    stream.wrong(begin + 7 * MINUTE, trunk!, "trunk2");
    stream.wrong(begin + 9 * MINUTE, centre!, `${300 + day}`, "TLS");
    // The first carrier has an old secret, and is trusted.
    stream.wrong(begin + HOUR, carriers[0]!, "old");
    for (let n = 0; n < 5; n++) {
      for (let guess = 0; guess < 3; guess++) {
        const from = `203.0.113.${100 + n}`;
        stream.wrong(begin + n * HOUR + guess * SECOND, from, `${100 + guess}`, "TLS");
      }
    }
  }
  stream.run();
  assertUntouched(stream, [trunk!, centre!, ...carriers, "203.0.113.0/24"]);
  assert.equal(new Set(stream.blocked).size, 5, "each guesser is out, and the network is not");
});

Deno.test("both sides: a stale phone in good standing is never blocked as an insider", () => {
  for (
    const [every, session] of [[30 * SECOND, "one"], [MINUTE, "one"], [2 * MINUTE, "hour"]] as const
  ) {
    // Its account never logged in from there, or only before Ampere was started.
    const stream = new Stream(STRICT);
    for (let at = 0; at < 2 * DAY; at += every) {
      const call = session === "one" ? "stale" : `stale of ${Math.floor(at / (3 * HOUR))}`;
      stream.wrong(at, GATEWAY, "200", "UDP", call);
      if (at % (10 * MINUTE) === 0) stream.login(at + SECOND, GATEWAY, "100");
    }
    stream.run();
    assert.deepEqual(
      stream.simulation.blocks.filter(({ grounds }) => grounds === "insider"),
      [],
      `every ${every / SECOND} s`,
    );
  }
});

Deno.test("both sides: beside all of them one guess every 25 hours, and an insider, are found", () => {
  const stream = new Stream(STRICT);
  for (let n = 0; n < 10; n++) stream.wrong(n * 25 * HOUR, "203.0.113.9", "100");
  for (let at = 0; at < 3 * DAY; at += 10 * MINUTE) {
    stream.login(at, "198.51.100.5", "100", "TLS").login(at, "198.51.100.6", "666", "TLS");
    for (let guess = 0; guess < 3; guess++) {
      stream.wrong(at + MINUTE + guess * SECOND, "198.51.100.6", "100", "TLS");
    }
  }
  stream.run();
  const slow = stream.simulation.blocks.find(({ target }) => target === "203.0.113.9");
  assert.match(slow!.reason, /^9 wrong passwords within 8 d 8 h/);
  const inside = stream.simulation.blocks.filter(({ grounds }) => grounds === "insider");
  assert.ok(inside.length > 400 && inside.every(({ target }) => target === "198.51.100.6"));
  assert.deepEqual(stream.hindered.get("198.51.100.5"), undefined);
});
