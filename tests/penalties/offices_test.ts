/**
 * Whoever belongs here and knows their password is never out for longer than two minutes, whatever
 * a neighbour does.
 */

import assert from "node:assert/strict";
import { type Habit, Office, phones } from "../support/office.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const OUT_MAX = 2 * MINUTE;

/**
 * Fifteen answers to one challenge within some milliseconds, then half a minute and more of rest,
 * always one Call-ID.
 */
const BURSTING = {
  account: "bad",
  retry: 45 * SECOND,
  refresh: HOUR,
  wrong: 15,
  keepsSession: true,
};
/** One answer, and again with another Call-ID each minute. */
const DESK = { account: "bad", retry: MINUTE, refresh: HOUR, wrong: 1 };

for (const [name, bad] of [["bursting", BURSTING], ["desk", DESK]] as const) {
  for (const [when, start] of [["first", 0], ["last", 3 * SECOND]] as const) {
    Deno.test(`offices: 40 phones at the very first start, the bad one (${name}) ${when}, for a day`, () => {
      const office = new Office().add({ ...bad, start });
      for (const habit of phones(39, 2 * SECOND, 100)) office.add(habit);
      office.run(DAY);
      assert.equal(office.fates.filter((fate) => fate.logins > 0).length, 39);
      assert.ok(office.longestOut <= OUT_MAX, `${office.longestOut / SECOND} s`);
    });
  }
}

/**
 * One or two phones with wrong passwords begin behind an address that nobody knows, at the very
 * first start or years later, and answer a challenge once or fifteen times.
 */
for (const connects of [false, true]) {
  for (const bad of [1, 2]) {
    for (const wrong of [1, 15]) {
      Deno.test(`offices: 40 phones behind a new address, ${bad} of them wrong and first, ${wrong} times (${connects ? "TLS" : "UDP"})`, () => {
        for (const badRetry of [30, 45, 60]) {
          // Over UDP a phone repeats its request for 32 s: then it need not even try again.
          for (const retry of [30, 32, 45, 60, ...(connects ? [] : [3_600])]) {
            const office = new Office();
            for (let i = 0; i < bad; i++) {
              const habit = { ...BURSTING, account: `bad${i}`, retry: badRetry * SECOND, wrong };
              office.add({ ...habit, connects, start: i * 5 });
            }
            for (const habit of phones(40 - bad, 2 * SECOND, 100)) {
              office.add({ ...habit, connects, retry: retry * SECOND, refresh: HOUR });
            }
            office.run(70 * MINUTE);
            const told = `bad each ${badRetry} s, others ${retry} s: out ${
              office.longestOut / SECOND
            } s`;
            assert.equal(office.fates.filter((fate) => fate.logins > 1).length, 40 - bad, told);
            assert.ok(office.longestOut <= OUT_MAX, told);
          }
        }
      });
    }
  }
}

for (const [badRetry, retry] of [[30, 90], [45, 110], [90, 90], [120, 110], [300, 110]] as const) {
  for (const within of [1, 60]) {
    Deno.test(`offices: phones over TLS that rest for ${retry} s, the bursting one first and again after ${badRetry} s (${within})`, () => {
      for (const first of [0, 2, 20]) {
        const bad = { ...BURSTING, start: 0, retry: badRetry * SECOND, connects: true };
        const office = new Office().add(bad);
        for (const habit of phones(20, within * SECOND, first * SECOND + 50)) {
          office.add({ ...habit, connects: true, retry: retry * SECOND, refresh: HOUR });
        }
        office.run(70 * MINUTE);
        assert.equal(office.fates.filter(({ logins }) => logins > 1).length, 20);
        // A challenge is answered a moment later.
        assert.ok(office.longestOut <= OUT_MAX + SECOND, `${office.longestOut / SECOND} s`);
      }
    });
  }
}

for (const retry of [45, 60, 61]) {
  Deno.test(`offices: 40 phones at the first start, a bursting one first, the others rest for half a minute and more (${retry})`, () => {
    const office = new Office().add({ ...BURSTING, start: 0, retry: retry * SECOND });
    // They give up after 32 s, and begin anew 30 to 60 s later: when the first block ends all of
    // them rest.
    for (const [i, habit] of phones(39, 2 * SECOND, 100).entries()) {
      office.add({ ...habit, retry: (62 + (i * 7) % 30) * SECOND, refresh: HOUR });
    }
    office.run(2 * HOUR);
    assert.equal(office.fates.filter((fate) => fate.logins > 0).length, 39);
    assert.ok(office.longestOut <= OUT_MAX, `${office.longestOut / SECOND} s`);
  });
}

Deno.test("offices: a phone alone that answers wrongly is back half a minute after it was mended", () => {
  const office = new Office().add({ ...BURSTING, start: 0 }).run(10 * SECOND);
  assert.equal(office.simulation.blocks.length, 1);
  const { at, until } = office.simulation.blocks[0]!;
  assert.equal(until! - at, 25 * SECOND);
});

Deno.test("offices: a call centre of 200 phones after a power cut, at the very first start", () => {
  const office = new Office();
  for (const habit of phones(200, 50)) office.add(habit);
  office.run(HOUR);
  assert.deepEqual(office.simulation.blocks, []);
  assert.ok(office.longestOut <= SECOND);
});

Deno.test("offices: a call centre of 200 with ten wrong passwords", () => {
  const office = new Office();
  for (const habit of phones(190, 5 * SECOND)) office.add(habit);
  for (let i = 0; i < 10; i++) {
    office.add({ ...DESK, account: `bad${i}`, start: i * 7 * SECOND + 500 });
  }
  office.run(8 * HOUR);
  assert.ok(office.longestOut <= OUT_MAX, `${office.longestOut / SECOND} s`);
  assert.deepEqual(office.simulation.table.takeProxies(), [], "an office is no proxy");
});

/**
 * Phones that all start when the power comes back, and register again each hour, as most do: nobody
 * logs in between.
 */
function hourly(count: number): Habit[] {
  return phones(count, 50).map((habit) => ({ ...habit, refresh: HOUR }));
}

Deno.test("offices: a call centre of 200 that registers each hour, with five wrong passwords that are tried each minute", () => {
  const office = new Office();
  for (const habit of hourly(195)) office.add(habit);
  for (let i = 0; i < 5; i++) {
    office.add({ ...DESK, account: `bad${i}`, start: 15 * MINUTE + i * 7 * SECOND });
  }
  office.run(8 * HOUR);
  assert.ok(office.longestOut <= OUT_MAX, `${office.longestOut / SECOND} s`);
  assert.ok(office.simulation.blocks.length > 8, "and the address is blocked again and again");
});

for (const every of [10, 20, 30]) {
  Deno.test(`offices: 39 phones that register each hour, and one that fails each ${every} s`, () => {
    const office = new Office().add({ ...DESK, start: 0, retry: every * SECOND });
    for (const habit of hourly(39)) office.add(habit);
    office.run(8 * HOUR);
    assert.ok(office.longestOut <= OUT_MAX, `${office.longestOut / SECOND} s`);
  });
}

for (const oneSession of [true, false]) {
  Deno.test(`offices: a hotel of hourly phones with a guesser inside (${oneSession})`, () => {
    const hotel = new Office();
    for (const habit of hourly(20)) hotel.add(habit);
    hotel.addGuesser(SECOND, oneSession).run(8 * HOUR);
    assert.ok(hotel.longestOut <= OUT_MAX, `${hotel.longestOut / SECOND} s`);
    assert.ok(hotel.judged < 8 * HOUR / SECOND * 0.52, `${hotel.judged} guesses judged`);
  });

  Deno.test(`offices: a hotel with a guesser inside (${oneSession ? "one session" : "many sessions"})`, () => {
    const hotel = new Office();
    for (const habit of phones(20, MINUTE)) hotel.add(habit);
    hotel.addGuesser(SECOND, oneSession).run(8 * HOUR);
    assert.ok(hotel.longestOut <= OUT_MAX, `${hotel.longestOut / SECOND} s`);
    assert.ok(
      hotel.judged < 8 * HOUR / SECOND * 0.52,
      `${hotel.judged} of ${8 * HOUR / SECOND} guesses judged`,
    );
  });
}

/** How many of 36,600 guesses are answered at most: those of 11 s of 41 s, or 127 s of 157 s. */
const ANSWERED = { UDP: 10_000, TLS: 30_000 };

for (const transport of ["UDP", "TLS"] as const) {
  for (const retry of transport === "UDP" ? [30, 60, 3_600] : [30, 32, 60]) {
    Deno.test(`offices: a hotel with a guesser inside, ten times a second, phones over ${transport} that try again after ${retry} s`, () => {
      for (const refresh of [7 * MINUTE, HOUR]) {
        const hotel = new Office();
        for (const habit of phones(20, MINUTE)) {
          const connects = transport === "TLS";
          hotel.add({ ...habit, refresh, connects, retry: retry * SECOND });
        }
        // In one session and in many at a time: their limit is the same.
        hotel.addGuesser(200, true).addGuesser(200, false).run(61 * MINUTE);
        assert.ok(hotel.longestOut <= OUT_MAX, `${hotel.longestOut / SECOND} s`);
        assert.ok(hotel.judged <= ANSWERED[transport], `${hotel.judged} guesses judged`);
      }
    });
  }
}

Deno.test("offices: a hotel with a guesser inside, hundred times a second", () => {
  const hotel = new Office();
  for (const habit of phones(10, MINUTE)) hotel.add({ ...habit, retry: HOUR });
  hotel.addGuesser(10, true).run(15 * MINUTE);
  assert.ok(hotel.longestOut <= OUT_MAX, `${hotel.longestOut / SECOND} s`);
});

Deno.test("offices: phones that were switched off over the weekend come back in spite of a forger", () => {
  const office = new Office();
  const off = 62 * HOUR;
  for (const habit of phones(20, MINUTE)) office.add({ ...habit, refresh: off, retry: HOUR });
  office.addGuesser(2 * SECOND, false).run(off + 2 * MINUTE);
  assert.ok(office.fates.every(({ logins }) => logins === 2));
  assert.ok(office.longestOut <= OUT_MAX, `${office.longestOut / SECOND} s`);
});

Deno.test("offices: a carrier's unknown second address is out for ten minutes at a time, and never for longer", () => {
  const carrier = new Office("198.51.100.20").addPinger(30 * SECOND).run(DAY);
  assert.ok(carrier.simulation.blocks.length > 0);
  for (const { at, until } of carrier.simulation.blocks) assert.equal(until! - at, 10 * MINUTE);
});

for (const config of [{}, { bantime: 3_600, bantimeFactor: 4 }]) {
  Deno.test(`offices: the short blocks of a carrier make no later block longer: ${JSON.stringify(config)}`, () => {
    const carrier = new Office("198.51.100.20", config).addPinger(30 * SECOND).run(12 * HOUR);
    const short = carrier.simulation.blocks.length;
    assert.ok(short > 20);
    carrier.addGuesser(SECOND, false).run(13 * HOUR);
    const first = carrier.simulation.blocks.find(({ grounds }) => grounds === "attempts")!;
    const factor = config.bantimeFactor ?? 2;
    assert.equal(first.until! - first.at, factor * HOUR, "they count as one");
  });
}

Deno.test("offices: a guesser who stays in one session, or in one for each account, has at most 20 answers in the first hour", () => {
  for (const every of [500, SECOND, 10 * SECOND]) {
    for (const accounts of [1, 2, 3, 30]) {
      const guesser = new Office("203.0.113.5").addGuesser(every, true, accounts).run(HOUR);
      assert.ok(guesser.judged <= 20, `${guesser.judged}, one each ${every} ms`);
    }
  }
  const spread = new Office("203.0.113.5").addGuesser(100, false).run(59 * MINUTE);
  assert.equal(spread.judged, 3);
});

/** Phones that fail each so many milliseconds, from a quarter of an hour after the beginning on. */
function forgotten(count: number, retry: number, unknown = false): Habit[] {
  return Array.from({ length: count }, (_, i) => ({
    account: unknown ? "<unknown>" : `forgotten${i}`,
    start: 15 * MINUTE + i * 3 * SECOND,
    retry,
    refresh: HOUR,
    wrong: 1,
  }));
}

for (const staggered of [true, false]) {
  for (
    const [name, good, bad] of [
      ["40 phones, ten with an old password", 30, forgotten(10, MINUTE)],
      ["72 phones, twelve with an old password", 60, forgotten(12, MINUTE)],
      [
        "20 phones, and three forgotten ones that try twice a minute",
        20,
        forgotten(3, 30_000, true),
      ],
      ["30 phones, and eight forgotten ones", 30, forgotten(8, MINUTE, true)],
    ] as const
  ) {
    Deno.test(`offices: no proxy: ${name}${staggered ? "" : ", after a power cut"}`, () => {
      const office = new Office();
      for (const habit of phones(good, staggered ? HOUR : 50)) {
        office.add({ ...habit, refresh: HOUR });
      }
      for (const habit of bad) office.add(habit);
      office.run(8 * HOUR);
      assert.deepEqual(office.simulation.table.takeProxies(), []);
    });
  }
}

for (const account of ["<unknown>", "named"]) {
  Deno.test(`offices: a proxy before twenty strangers (${account}) is told within twenty minutes`, () => {
    const proxy = new Office("172.17.0.1");
    for (const habit of phones(3, SECOND)) proxy.add({ ...habit, refresh: MINUTE });
    for (let i = 0; i < 20; i++) {
      const habit = { start: i * 3 * SECOND, retry: MINUTE, refresh: HOUR, wrong: 1 };
      proxy.add({ ...habit, account: account === "named" ? `stranger${i}` : account });
    }
    proxy.run(20 * MINUTE);
    assert.equal(proxy.simulation.table.takeProxies().length, 1);
  });
}

Deno.test("offices: a proxy before phones that register each hour is told in the second", () => {
  const proxy = new Office("172.17.0.1");
  for (const habit of phones(8, HOUR)) proxy.add({ ...habit, refresh: HOUR });
  for (const habit of forgotten(20, MINUTE)) proxy.add(habit);
  proxy.run(HOUR);
  assert.deepEqual(proxy.simulation.table.takeProxies(), [], "not known yet");
  proxy.run(2 * HOUR);
  assert.equal(proxy.simulation.table.takeProxies().length, 1);
});

Deno.test("offices: a proxy is told once, with what failed behind it", () => {
  const proxy = new Office("172.17.0.1");
  for (const habit of phones(3, SECOND)) proxy.add({ ...habit, refresh: MINUTE });
  for (let i = 0; i < 20; i++) {
    proxy.add({
      account: `unknown${i}`,
      start: i * 3 * SECOND,
      retry: MINUTE,
      refresh: HOUR,
      wrong: 1,
    });
  }
  proxy.run(HOUR);
  const found = proxy.simulation.table.takeProxies();
  assert.deepEqual(found.map(({ address }) => address), ["172.17.0.1"]);
  assert.ok(found[0]!.own >= 2 && found[0]!.strange >= 10);
  proxy.run(5 * HOUR);
  assert.deepEqual(proxy.simulation.table.takeProxies(), [], "once");
});

Deno.test("offices: a proxy before accounts that Asterisk does not know is told too", () => {
  const proxy = new Office("172.17.0.1");
  for (const habit of phones(3, SECOND)) proxy.add({ ...habit, refresh: MINUTE });
  for (let i = 0; i < 20; i++) {
    proxy.add({
      account: "<unknown>",
      start: i * 3 * SECOND,
      retry: MINUTE,
      refresh: HOUR,
      wrong: 1,
    });
  }
  proxy.run(3 * HOUR);
  assert.equal(proxy.simulation.table.takeProxies().length, 1);
});

for (const every of [20, 1_000, 7_000]) {
  Deno.test(`offices: phones over TLS come back whatever their rest is, while somebody guesses each ${every} ms`, () => {
    for (const rest of every < 100 ? [82, 90, 180] : [45, 60, 70, 82, 90, 100, 120, 180, 300]) {
      const office = new Office();
      for (const habit of phones(6, 40 * SECOND)) {
        office.add({ ...habit, connects: true, retry: rest * SECOND, refresh: 317 * SECOND });
      }
      office.addGuesser(every, true);
      const lived = every < 100 ? 20 * MINUTE : 90 * MINUTE;
      office.run(lived);
      // A challenge is answered a moment later.
      const most = rest <= 120 ? OUT_MAX + SECOND : 3 * rest * SECOND;
      assert.ok(office.longestOut <= most, `${rest} s: ${office.longestOut / SECOND} s`);
      // One that is refused for ever logs in no more, and is not in the time above.
      const least = Math.floor(lived / (317 * SECOND + most)) - 1;
      for (const { logins } of office.fates) assert.ok(logins >= least, `${rest} s: ${logins}`);
    }
  });
}
