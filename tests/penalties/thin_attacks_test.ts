/**
 * Attacks of many hosts that each stay below every limit, and those who look like them and belong
 * here: made-up streams of which it is known who is who.
 */

import assert from "node:assert/strict";
import { Stream } from "../support/stream.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The n-th address of the attackers, each of another network. */
function attacker(n: number): string {
  return `203.0.${n}.7`;
}

/** Forty hosts with two guesses each on one account. */
function fortyHosts(stream: Stream, every: number, pause: number, transport = "UDP"): Stream {
  for (let n = 0; n < 40; n++) {
    stream.wrong(n * every, attacker(n), "100", transport);
    stream.wrong(n * every + pause, attacker(n), "100", transport);
  }
  return stream;
}

for (const transport of ["UDP", "TLS"]) {
  Deno.test(`thin attacks: 40 hosts with two guesses each on one account, over ${transport}`, () => {
    const off = fortyHosts(new Stream({ guardHosts: 0 }), 10 * SECOND, 20 * SECOND, transport)
      .run();
    assert.deepEqual([off.blocked.length, off.judgedTotal], [0, 80], "nobody saw it before");
    const on = fortyHosts(new Stream(), 10 * SECOND, 20 * SECOND, transport).run();
    // Of the first nine those are blocked too whose second guess comes behind the tenth's first.
    for (let n = 9; n < 40; n++) {
      assert.ok(on.blocked.includes(attacker(n)), attacker(n));
      assert.equal(on.judged.get(attacker(n)), 1, attacker(n));
    }
    assert.ok(on.judgedTotal <= 49, `${on.judgedTotal}`);
    for (const { at, until } of on.simulation.blocks) assert.equal(until! - at, 25 * SECOND);
  });
}

Deno.test("thin attacks: those who come back each day, on an account that is guarded, are longer out each time", () => {
  const stream = new Stream();
  for (let day = 0; day < 14; day++) {
    for (let n = 0; n < 40; n++) {
      for (const hour of [0, 6, 12, 18]) {
        stream.wrong(day * DAY + hour * HOUR + n * MINUTE, attacker(n), "100");
      }
    }
  }
  stream.run();
  const [all, judged] = [14 * 40 * 4, stream.judgedTotal];
  assert.ok(judged < all / 3, `${judged} of ${all}`);
  assert.ok(
    stream.simulation.blocks.every(({ until }) => until !== undefined),
    "UDP can be forged",
  );
});

Deno.test("thin attacks: the own phones of the account that is attacked never notice", () => {
  const stream = new Stream();
  const office = "198.51.100.10";
  for (let at = 0; at < 3 * HOUR; at += 5 * MINUTE) stream.login(at, office, "100");
  // One of them has a wrong password, and tries it again and again.
  for (let at = MINUTE; at < 3 * HOUR; at += 10 * MINUTE) stream.wrong(at, office, "100");
  fortyHosts(stream, MINUTE, 20 * MINUTE).run();
  assert.deepEqual(stream.hindered, new Map());
  assert.ok(!stream.blocked.includes(office));
  assert.ok(stream.blocked.length >= 31);
});

Deno.test("thin attacks: a phone that moved, and knows its password, is let in while its account is attacked", () => {
  const stream = fortyHosts(new Stream(), 10 * SECOND, 20 * SECOND);
  for (let n = 0; n < 20; n++) stream.login(5 * MINUTE + n, `198.51.100.${n}`, "100");
  stream.run();
  assert.deepEqual(stream.hindered, new Map());
});

Deno.test("thin attacks: an office that nobody has logged in from yet is out for 25 s, not more", () => {
  const stream = fortyHosts(new Stream(), 10 * SECOND, 20 * SECOND);
  const office = "198.51.100.10";
  // The first phone there has a mistyped password for the account that is attacked.
  const first = 5 * MINUTE;
  for (let at = first; at < first + 30 * MINUTE; at += 45 * SECOND) {
    stream.wrong(at, office, "100");
  }
  for (let n = 0; n < 39; n++) {
    for (let at = first + n * 100; at < first + 30 * MINUTE; at += 40 * SECOND) {
      stream.login(at, office, `${200 + n}`);
    }
  }
  stream.run();
  const own = stream.simulation.blocks.filter(({ target }) => target === office);
  assert.deepEqual(own.map(({ at, until, grounds }) => [grounds, until! - at]), [
    ["guarded account", 25 * SECOND],
  ]);
});

Deno.test("thin attacks: 200 phones with mistyped passwords over a day", () => {
  const stream = new Stream({ neighbours: 3 });
  for (let n = 0; n < 200; n++) {
    const at = n * DAY / 200;
    const address = `198.51.${n}.${n}`;
    for (const wrong of [0, 40, 80]) {
      if (wrong < 80 || n % 3 > 0) stream.wrong(at + wrong * SECOND, address, `${1_000 + n}`);
    }
    stream.login(at + 10 * MINUTE, address, `${1_000 + n}`);
  }
  stream.run();
  const on = stream.simulation.blocks.filter(({ grounds }) =>
    grounds === "guarded account" || grounds === "neighbours"
  );
  assert.deepEqual(on, [], "each is an account of its own, in a network of its own");
  // The same in one office, and in one data centre: nobody else is out for them.
  const office = new Stream({ neighbours: 3 });
  for (let n = 0; n < 200; n++) {
    for (const address of ["198.51.100.10", `203.0.113.${n}`]) {
      const at = n * DAY / 200;
      office.wrong(at, address, `${1_000 + n}`, "TLS");
      office.wrong(at + 40 * SECOND, address, `${1_000 + n}`, "TLS");
      office.login(at + 80 * SECOND, address, `${1_000 + n}`, "TLS");
    }
  }
  office.run();
  assert.deepEqual(office.simulation.blocks, []);
  assert.deepEqual(office.hindered, new Map());
});

Deno.test("thin attacks: a mobile network behind one address counts as one, and is let in", () => {
  const stream = new Stream({ neighbours: 3 });
  const gateway = "198.51.100.99";
  for (let n = 0; n < 200; n++) {
    stream.wrong(n * MINUTE, gateway, `${1_000 + n}`);
    stream.login(n * MINUTE + 5 * SECOND, gateway, `${1_000 + n}`);
  }
  stream.run();
  assert.deepEqual(stream.blocked, []);
  assert.deepEqual(stream.hindered, new Map());
});

/** A scanner that takes another address of its network for each three guesses. */
function walk(stream: Stream, hosts: number, transport: string, begin = 0): Stream {
  for (let n = 0; n < hosts; n++) {
    for (let guess = 0; guess < 3; guess++) {
      const at = begin + n * MINUTE + guess * SECOND;
      stream.wrong(at, `203.0.113.${100 + n}`, `${100 + n}`, transport);
    }
  }
  return stream;
}

Deno.test("thin attacks: a /24 that is walked is blocked with its third host", () => {
  const off = walk(new Stream({ backend: "iptables" }), 30, "TLS").run();
  assert.equal(off.judgedTotal, 90, "with iptables only who asks for it has networks blocked");
  for (
    const config of [
      { backend: "iptables", neighbours: 3 },
      { backend: "ipset" },
      { backend: "nftables" },
      {},
    ] as const
  ) {
    const on = walk(new Stream(config), 30, "TLS").run();
    assert.deepEqual(on.blocked, [
      "203.0.113.100",
      "203.0.113.101",
      "203.0.113.102",
      "203.0.113.0/24",
    ]);
    assert.equal(on.judgedTotal, 9);
    const network = on.simulation.blocks.at(-1)!;
    assert.equal(network.until! - network.at, HOUR);
    assert.equal(
      network.reason,
      "3 blocked hosts within a day: 203.0.113.100, 203.0.113.101, 203.0.113.102",
    );
  }
});

Deno.test("thin attacks: a network is blocked for twice as long each time", () => {
  const stream = new Stream({ neighbours: 3 });
  for (let hour = 0; hour < 400; hour++) {
    for (const guess of [0, 1, 2]) {
      stream.wrong(hour * HOUR + guess * SECOND, `203.0.113.${hour % 250}`, "100", "TLS");
    }
  }
  stream.run();
  const lengths = stream.simulation.blocks.filter(({ grounds }) => grounds === "neighbours")
    .map(({ at, until }) => (until! - at) / HOUR);
  // After so long a time only new blocks make it a crowd again.
  assert.deepEqual(lengths.slice(0, 6), [1, 2, 4, 8, 16, 32]);
});

Deno.test("thin attacks: a forger of addresses does not shut out a /24", () => {
  const stream = walk(new Stream({ neighbours: 3 }), 60, "UDP").run();
  assert.ok(stream.blocked.length >= 60);
  assert.ok(stream.blocked.every((target) => !target.includes("/")), stream.blocked.join());
});

Deno.test("thin attacks: two carriers in one /24 with a guesser beside them", () => {
  const carriers = ["203.0.113.10", "203.0.113.20"];
  // They log in to no account: they are trusted, or one of them has registered a trunk.
  const trusted = new Stream({ neighbours: 3 }, [carriers[0]!]);
  const known = new Stream({ neighbours: 3 });
  for (const [stream, one] of [[trusted, 1], [known, 0]] as const) {
    for (let at = 0; at < 5 * HOUR; at += 10 * MINUTE) {
      if (stream === known || one === 1) stream.login(at, carriers[one]!, "trunk");
    }
    walk(stream, 30, "TLS", HOUR).run();
    assert.ok(stream.blocked.length === 30, "each guesser is out");
    assert.ok(!stream.blocked.includes("203.0.113.0/24"));
    assert.deepEqual(stream.hindered, new Map());
  }
  // Two of them that are shut out by mistake are no crowd.
  const two = new Stream({ neighbours: 3 });
  for (const address of carriers) {
    for (let i = 0; i < 3; i++) two.wrong(i * MINUTE, address, "trunk", "TCP");
  }
  assert.deepEqual(two.run().blocked, carriers);
});

Deno.test("thin attacks: a mobile network of many addresses in one /24 that phones log in from", () => {
  const stream = new Stream({ neighbours: 3 });
  for (let n = 0; n < 40; n++) stream.login(n * MINUTE, `203.0.113.${n}`, `${1_000 + n}`);
  // Of its other addresses guessers have some.
  walk(stream, 30, "TLS", HOUR);
  for (let n = 0; n < 40; n++) {
    stream.login(2 * HOUR + n * MINUTE, `203.0.113.${n}`, `${1_000 + n}`);
  }
  stream.run();
  assert.deepEqual(stream.hindered, new Map());
  assert.equal(stream.blocked.length, 30);
});

Deno.test("thin attacks: an IPv6 network that is walked, /64 by /64", () => {
  for (const ipv6Prefix of [64, 128]) {
    const stream = new Stream({ neighbours: 3, ipv6Prefix });
    for (let n = 1; n <= 30; n++) {
      for (let guess = 0; guess < 3; guess++) {
        stream.wrong(n * MINUTE + guess * SECOND, `2001:db8:1:${n}::7`, "100", "TLS");
      }
    }
    stream.run();
    assert.equal(stream.blocked.at(-1), "2001:db8:1::/48");
    assert.equal(stream.judgedTotal, 9);
  }
  // One /64, by addresses of their own.
  const one = new Stream({ neighbours: 3, ipv6Prefix: 128 });
  for (let n = 1; n <= 30; n++) {
    for (let guess = 0; guess < 3; guess++) {
      one.wrong(n * MINUTE + guess * SECOND, `2001:db8:1:2::${n}`, "100", "TLS");
    }
  }
  assert.deepEqual(one.run().blocked.at(-1), "2001:db8:1:2::/64");
});

Deno.test("thin attacks: behind NAT64 and Teredo each address is somebody else", () => {
  for (const prefix of ["64:ff9b::203.0.113.", "2001:0:c000:201::"]) {
    const stream = new Stream({ neighbours: 3 });
    for (let n = 1; n <= 30; n++) {
      const address = prefix.includes("ff9b")
        ? `64:ff9b::cb00:71${(n + 15).toString(16)}`
        : `${prefix}${n}`;
      for (let guess = 0; guess < 3; guess++) {
        stream.wrong(n * MINUTE + guess * SECOND, address, `${n}`, "TLS");
      }
    }
    stream.run();
    assert.equal(stream.blocked.length, 30);
    assert.ok(stream.blocked.every((target) => !target.includes("/")), stream.blocked.join());
  }
});
