/** From where accounts log in, and when that is new. */

import assert from "node:assert/strict";
import { ACCOUNTS_MAX, PLACES_MAX } from "../../src/blocks/kept_habits.ts";
import { FORGET_MS, Habits, LEARN_MS } from "../../src/places/habits.ts";
import type { Place } from "../../src/places/place.ts";

const DAY = 86_400_000;
const START = Date.UTC(2026, 8, 1);
const LEARNED = START + LEARN_MS;

function at(country?: string, asn?: number): Place {
  return { country, asn, organisation: undefined };
}

Deno.test("habits: a country is new after two weeks, is told once, and names what was before", () => {
  const habits = new Habits();
  assert.equal(habits.login("PJSIP 100", at("DE"), START), undefined);
  // It is still learned from where.
  assert.equal(habits.login("PJSIP 100", at("AT"), LEARNED - 1), undefined);
  assert.deepEqual(habits.login("PJSIP 100", at("BR"), LEARNED), {
    places: ["DE", "AT"],
    since: START,
  });
  for (let day = 0; day < 3; day++) {
    for (const country of ["BR", "DE", "AT"]) {
      assert.equal(habits.login("PJSIP 100", at(country), LEARNED + day * DAY), undefined);
    }
  }
});

Deno.test("habits: a network is new if it always was a single one, and the country is told first", () => {
  const habits = new Habits();
  habits.login("desk", at("DE", 1), START);
  habits.login("mobile", at("DE", 1), START);
  habits.login("mobile", at("DE", 2), START + DAY);
  assert.deepEqual(habits.login("desk", at("DE", 3), LEARNED), { places: ["AS1"], since: START });
  assert.equal(habits.login("mobile", at("DE", 3), LEARNED), undefined);
  // It has moved once: from now on it is one that moves.
  assert.equal(habits.login("desk", at("DE", 4), LEARNED), undefined);
  assert.deepEqual(habits.login("desk", at("BR", 5), LEARNED)?.places, ["DE"]);
  assert.deepEqual(habits.login("mobile", at("BR", 5), LEARNED)?.places, ["DE"]);
});

Deno.test("habits: each account learns by itself, and what is not known teaches nothing", () => {
  const habits = new Habits();
  habits.login("a", at("DE"), START);
  assert.equal(habits.login("b", at("BR"), LEARNED), undefined);
  assert.equal(habits.login("a", at(), LEARNED), undefined);
  assert.equal(habits.login("c", at(), START), undefined);
  assert.equal(habits.login("c", at("DE"), LEARNED), undefined);
  // The file of networks came two weeks later: these begin anew.
  assert.equal(habits.login("a", at("DE", 1), LEARNED), undefined);
  assert.equal(habits.login("a", at("DE", 2), LEARNED + DAY), undefined);
  assert.equal(habits.size, 3);
});

Deno.test("habits: a clock that is set back tells of nothing and loses nothing", () => {
  const habits = new Habits();
  habits.login("a", at("DE"), START);
  habits.login("a", at("DE"), START - 400 * DAY);
  assert.equal(habits.login("a", at("BR"), START - 400 * DAY), undefined);
  assert.deepEqual(habits.login("a", at("FR"), LEARNED)?.places.toSorted(), ["BR", "DE"]);
});

Deno.test("habits: places of an account are bounded, and old ones are forgotten", () => {
  const habits = new Habits();
  for (let i = 0; i < 3 * PLACES_MAX; i++) {
    habits.login("a", at(`A${String.fromCharCode(65 + i)}`, i + 1), START + i);
  }
  const [habit] = habits.takeChanged();
  assert.equal(habit!.countries.seen.size, PLACES_MAX);
  assert.equal(habit!.networks.seen.size, PLACES_MAX);
  assert.ok(habit!.countries.seen.has("AX"));
  habits.login("b", at("DE"), START);
  habits.login("b", at("AT"), START);
  assert.deepEqual(habits.login("b", at("BR"), START + FORGET_MS)?.places, ["DE", "AT"]);
  assert.equal(habits.login("b", at("BR"), START + FORGET_MS + DAY), undefined);
  assert.deepEqual(habits.login("b", at("DE"), START + FORGET_MS + DAY)?.places, ["BR"]);
});

Deno.test("habits: accounts are bounded; who logged in longest ago goes", () => {
  const habits = new Habits();
  for (let i = 0; i < ACCOUNTS_MAX; i++) habits.login(`${i}`, at("DE"), START);
  habits.login("0", at("DE"), LEARNED);
  habits.login("one more", at("DE"), LEARNED);
  assert.equal(habits.size, ACCOUNTS_MAX);
  assert.deepEqual(habits.login("0", at("BR"), LEARNED)?.places, ["DE"]);
  assert.equal(habits.login("1", at("BR"), LEARNED), undefined, "it was forgotten");
  assert.ok(habits.takeChanged().length <= ACCOUNTS_MAX);
});

Deno.test("habits: what has changed is given once, once a day, and again if it was not written", () => {
  const habits = new Habits();
  for (const account of ["a", "b", "c"]) habits.login(account, at("DE"), START);
  assert.deepEqual(habits.takeChanged(2).map(({ account }) => account), ["a", "b"]);
  const rest = habits.takeChanged();
  assert.deepEqual(rest.map(({ account }) => account), ["c"]);
  assert.deepEqual(habits.takeChanged(), []);
  habits.putBack(rest);
  assert.equal(habits.takeChanged().length, 1);
  habits.login("a", at("DE"), START + DAY - 1);
  assert.deepEqual(habits.takeChanged(), []);
  habits.login("a", at("DE"), START + DAY);
  assert.equal(habits.takeChanged().length, 1);
});

Deno.test("habits: a restart goes on where it was, with what was seen before the file was read", () => {
  const before = new Habits();
  before.login("a", at("DE", 1), START);
  before.login("old", at("DE"), LEARNED - FORGET_MS);
  const after = new Habits();
  after.login("a", at("AT", 2), LEARNED);
  after.login("b", at("DE"), LEARNED);
  after.restore(before.takeChanged(), LEARNED);
  assert.equal(after.size, 2);
  assert.deepEqual(after.login("a", at("BR", 3), LEARNED), { places: ["DE", "AT"], since: START });
  assert.deepEqual(after.takeChanged().map(({ account }) => account).toSorted(), ["a", "b"]);
});
