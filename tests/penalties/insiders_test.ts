import assert from "node:assert/strict";
import {
  INSIDER_FAILURES_A_DAY,
  INSIDER_SESSIONS_MIN,
  Insiders,
  INSIDERS_MAX,
  OWN_ACCOUNTS_MAX,
} from "../../src/penalties/insiders.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const OFFICE = 0x0a000001;
const MOST = INSIDER_FAILURES_A_DAY;

function account(name: string) {
  return { service: "PJSIP", account: name } as const;
}

/** Fails on an account so often, each time in a session of its own; what came of the last. */
function fail(insiders: Insiders, count: number, name: string, from = 0, every = 1): boolean {
  let found = false;
  for (let n = 0; n < count; n++) {
    const at = from + n * every;
    found = insiders.fails(OFFICE, account(name), at + 1, at);
  }
  return found;
}

Deno.test("insiders: from the 31st failure within a day on, and told once a day", () => {
  const insiders = new Insiders();
  insiders.logsIn(OFFICE, account("666"), 0);
  assert.equal(fail(insiders, MOST, "100"), false);
  assert.deepEqual(insiders.takeFound(), []);
  assert.equal(fail(insiders, 1, "100", 100), true);
  assert.deepEqual(insiders.takeFound(), [{
    host: "10.0.0.1",
    login: "666",
    service: "PJSIP",
    account: "100",
    accounts: 1,
    likePhones: false,
    at: 100,
  }]);
  assert.equal(fail(insiders, 500, "100", 200), true);
  assert.deepEqual(insiders.takeFound(), []);
  fail(insiders, MOST + 1, "100", DAY + 101);
  assert.equal(insiders.takeFound().length, 1, "a day later it is told again");
  assert.equal(insiders.count, 2);
});

Deno.test("insiders: thirty a day are not too many", () => {
  const insiders = new Insiders();
  assert.equal(fail(insiders, 300, "100", 0, DAY / 29), false);
  assert.equal(fail(new Insiders(), MOST + 1, "100", 0, DAY / 31), true);
});

Deno.test("insiders: what logs in from there, before or after, is its own", () => {
  const insiders = new Insiders();
  insiders.logsIn(OFFICE, account("100"), 0);
  assert.equal(fail(insiders, 100, "100", 1), false);
  assert.equal(fail(insiders, MOST, "101", 200), false);
  insiders.logsIn(OFFICE, account("101"), 300);
  assert.equal(fail(insiders, MOST, "102", 400), false, "those of 101 are its owner's");
  assert.equal(fail(insiders, 1, "103", 500), true);
  // An account of the same name elsewhere, or of another service, is somebody else's.
  insiders.logsIn(7, account("103"), 600);
  insiders.logsIn(OFFICE, { service: "AMI", account: "103" }, 600);
  assert.equal(fail(insiders, 1, "103", 700), true);
});

Deno.test("insiders: a phone with an old password asks in one session, and is only told", () => {
  const insiders = new Insiders();
  for (let n = 0; n < 200; n++) {
    assert.equal(insiders.fails(OFFICE, account("100"), 7, n), false);
    // A second one begins a new session now and then.
    assert.equal(insiders.fails(OFFICE, account("101"), 8 + (n >> 4), n), false);
  }
  assert.deepEqual(insiders.takeFound().map(({ likePhones, accounts }) => [likePhones, accounts]), [
    [true, 2],
  ]);
  assert.ok(INSIDER_SESSIONS_MIN > MOST / 2, "half of them are not enough");
});

Deno.test("insiders: the same wrong answer again and again is a phone's, whatever its session", () => {
  const insiders = new Insiders();
  const fails = (n: number, answer: number) =>
    insiders.fails(OFFICE, { ...account("100"), answer, hasAnswer: true }, n, n);
  for (let n = 1; n < 100; n++) assert.equal(fails(n, 7), false);
  for (let n = 100; n < 114; n++) assert.equal(fails(n, n), false);
  assert.equal(fails(114, 114), true);
});

Deno.test("insiders: as many people as log in may mistype their accounts, three times each", () => {
  for (
    const [own, times, isFound] of [[31, 1, false], [30, 1, true], [11, 3, false], [8, 4, true]]
  ) {
    const insiders = new Insiders();
    for (let n = 0; n < Number(own); n++) insiders.logsIn(OFFICE, account(`own${n}`), 0);
    let found = false;
    for (let n = 0; n < 31; n++) {
      found = insiders.fails(OFFICE, account(`x${Math.floor(n / Number(times))}`), n + 1, n);
    }
    assert.equal(found, isFound, `${own} log in, ${times} failures of each other`);
    assert.equal(insiders.takeFound().length, 1, "told in any case");
  }
});

Deno.test("insiders: names that nobody has are nobody's", () => {
  const insiders = new Insiders();
  for (const name of ["", "<unknown>"]) assert.equal(fail(insiders, 99, name), false);
  assert.equal(insiders.size, 0);
});

Deno.test("insiders: bounded, whoever makes hosts and names up", () => {
  const insiders = new Insiders();
  insiders.logsIn(OFFICE, account("100"), 0);
  for (let n = 0; n < INSIDERS_MAX + 9; n++) insiders.fails(n, account(`x${n}`), n, n);
  assert.equal(insiders.size, INSIDERS_MAX);
  insiders.advance(DAY + INSIDERS_MAX + 10);
  assert.equal(insiders.size, 0);
  // The account that was not seen for longest goes first; a few names may have the same hash.
  for (let n = 0; n < OWN_ACCOUNTS_MAX + 100; n++) insiders.logsIn(1 + n % 99, account(`n${n}`), 1);
  assert.equal(fail(insiders, MOST + 1, "100", 2), true);
  insiders.logsIn(OFFICE, account("last"), 3);
  insiders.takeFound();
  for (let n = 0; n < 99; n++) insiders.fails(OFFICE, account("last"), n, 4);
  assert.deepEqual(insiders.takeFound(), []);
});
