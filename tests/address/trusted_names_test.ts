/** Names whose addresses are never blocked, with a resolver and a clock that the test moves. */

import assert from "node:assert/strict";
import {
  FIRST_LOOKUPS_EVERY_MS,
  FIRST_LOOKUPS_MAX,
  HOLD_MS,
  KEEP_MS,
  LOOKUPS_AT_ONCE_MAX,
  NAME_ADDRESSES_MAX,
  TrustedNames,
} from "../../src/address/trusted_names.ts";

const NAME = "office.example";

/** How often names are looked up, if nothing else is said. */
const LOOKUP_EVERY_MS = 60_000;

/** Names, what the resolver answers, and all that was told. */
class Bench {
  now = 1_800_000_000_000;
  /** By name: addresses, or why there are none. */
  readonly answers = new Map<string, readonly string[] | Error>();
  readonly asked: string[] = [];
  readonly told: string[] = [];
  changes = 0;
  everyMs = LOOKUP_EVERY_MS;
  readonly names: TrustedNames;

  constructor(names: readonly string[] = [NAME], lookup?: (name: string) => Promise<string[]>) {
    this.names = new TrustedNames({
      lookup: (name) => {
        this.asked.push(name);
        if (lookup !== undefined) return lookup(name);
        const answer = this.answers.get(name) ?? new Error("its name is not known");
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
      everyMs: () => this.everyMs,
      now: () => this.now,
      changed: () => void this.changes++,
      info: (message) => void this.told.push(`info ${message}`),
      warn: (message) => void this.told.push(`warn ${message}`),
    });
    this.names.set(names);
  }

  /** Time passes, as the daemon looks. */
  async pass(ms: number): Promise<void> {
    for (const end = this.now + ms; this.now < end;) {
      this.now = Math.min(this.now + 1_000, end);
      this.names.look();
      await this.names.idle();
    }
  }

  async answer(...addresses: string[]): Promise<void> {
    this.answers.set(NAME, addresses);
    await this.pass(LOOKUP_EVERY_MS);
  }

  takeTold(): string[] {
    return this.told.splice(0);
  }
}

Deno.test("trusted names: an answer is trusted at once, both families, in canonical text", async () => {
  const bench = new Bench();
  bench.answers.set(NAME, ["203.0.113.5", "2001:DB8:0::5", "::ffff:203.0.113.6", "203.0.113.5"]);
  bench.names.look();
  assert.deepEqual(bench.names.addresses(), [], "nothing waits for the answer");
  await bench.names.idle();
  const addresses = ["203.0.113.5", "2001:db8::5", "203.0.113.6"];
  assert.deepEqual(bench.names.addresses(), addresses);
  assert.equal(bench.changes, 1);
  assert.deepEqual(bench.told, [`info trust: ${NAME} is ${addresses.join(", ")}: trusted`]);
  assert.deepEqual(bench.names.states(), [{
    name: NAME,
    addresses,
    answeredAt: bench.now,
    failing: undefined,
  }]);
  await bench.pass(10 * LOOKUP_EVERY_MS);
  assert.equal(bench.asked.length, 11, "once a minute");
  assert.equal(bench.changes, 1);
});

Deno.test("trusted names: a new address is trusted at once, the old one for five minutes more", async () => {
  const bench = new Bench();
  await bench.answer("203.0.113.5");
  bench.takeTold();
  await bench.answer("203.0.113.9");
  assert.deepEqual(bench.names.addresses(), ["203.0.113.9", "203.0.113.5"]);
  assert.match(
    bench.takeTold()[0]!,
    /office\.example is 203\.0\.113\.9: trusted; 203\.0\.113\.5, which/,
  );
  await bench.pass(HOLD_MS);
  assert.deepEqual(bench.names.addresses(), ["203.0.113.9"]);
  assert.deepEqual(bench.takeTold(), [
    `info trust: 203.0.113.5 is no longer trusted: ${NAME} was not answered so`,
  ]);
  assert.equal(bench.changes, 3);
});

Deno.test("trusted names: answers in turns keep all addresses, up to a bound", async () => {
  const bench = new Bench();
  const pool = Array.from({ length: 12 }, (_, i) => `203.0.113.${i}`);
  for (let turn = 0; turn < 12; turn++) {
    await bench.answer(...pool.slice((turn * 3) % 12, (turn * 3) % 12 + 3));
  }
  assert.deepEqual(bench.names.addresses().sort(), pool.sort());
  assert.equal(bench.changes, 4, "none of them was let go in between");
  await bench.answer(...Array.from({ length: 40 }, (_, i) => `198.51.100.${i}`));
  assert.equal(bench.names.addresses().length, NAME_ADDRESSES_MAX);
  assert.ok(bench.names.addresses().every((address) => address.startsWith("198.51.100.")));
});

Deno.test("trusted names: the last answer is kept for a day while there is none", async () => {
  const bench = new Bench();
  await bench.answer("203.0.113.5");
  bench.takeTold();
  bench.answers.set(NAME, new Error("its name cannot be looked up at present"));
  await bench.pass(2 * LOOKUP_EVERY_MS);
  assert.deepEqual(bench.takeTold(), [], "two lookups in vain are no matter");
  await bench.pass(KEEP_MS - 4 * LOOKUP_EVERY_MS);
  assert.deepEqual(bench.names.addresses(), ["203.0.113.5"]);
  assert.match(bench.names.states()[0]!.failing!, /cannot be looked up/);
  const [told, ...more] = bench.takeTold();
  assert.match(
    told!,
    /^warn trust: office\.example: its name cannot .* stays trusted\. Fix: .*getent/,
  );
  assert.deepEqual(more, [], "told once");
  await bench.pass(3 * LOOKUP_EVERY_MS);
  assert.deepEqual(bench.names.addresses(), []);
  assert.match(
    bench.takeTold()[0]!,
    /has not been answered for a day: 203\.0\.113\.5 is no longer/,
  );
  await bench.answer("203.0.113.7");
  assert.deepEqual(bench.names.addresses(), ["203.0.113.7"]);
  assert.match(bench.takeTold().join(), /is answered again/);
});

Deno.test("trusted names: what can be nobody's address is refused, which is told once", async () => {
  const refused = ["0.0.0.0", "127.0.0.1", "::1", "::", "224.0.0.1", "ff02::1", "255.255.255.255"];
  const bench = new Bench();
  await bench.answer(...refused, "203.0.113.5");
  await bench.answer(...refused, "203.0.113.5");
  assert.deepEqual(bench.names.addresses(), ["203.0.113.5"]);
  assert.equal(bench.takeTold().filter((line) => line.includes("is left out")).length, 1);
  // A provider answers so for who is off line: as if there were no answer.
  await bench.answer("0.0.0.0");
  await bench.pass(2 * HOLD_MS);
  assert.deepEqual(bench.names.addresses(), ["203.0.113.5"]);
  assert.match(bench.takeTold().join(), /answered with 0\.0\.0\.0, which can be nobody's/);
});

Deno.test("trusted names: a name that is never answered is told once, and asked for more often", async () => {
  const bench = new Bench();
  await bench.pass(FIRST_LOOKUPS_MAX * FIRST_LOOKUPS_EVERY_MS);
  assert.equal(bench.asked.length, FIRST_LOOKUPS_MAX);
  await bench.pass(10 * LOOKUP_EVERY_MS);
  assert.equal(bench.asked.length, FIRST_LOOKUPS_MAX + 10);
  const [told, ...more] = bench.takeTold();
  assert.match(
    told!,
    /office\.example: its name is not known\. Nobody is trusted .*Fix: .*getent ahosts office\.example/,
  );
  assert.deepEqual(more, []);
  assert.equal(bench.changes, 0);
});

Deno.test("trusted names: lookups that never end hold up nothing, and are not begun twice", async () => {
  const names = Array.from({ length: 20 }, (_, i) => `h${i}.example`);
  const open: (() => void)[] = [];
  const bench = new Bench(
    names,
    () => new Promise((resolve) => open.push(() => resolve(["203.0.113.5"]))),
  );
  for (let i = 0; i < 600; i++) {
    bench.now += 1_000;
    bench.names.look();
  }
  assert.deepEqual(bench.asked, names.slice(0, LOOKUPS_AT_ONCE_MAX), "so many at a time");
  const idle = bench.names.idle();
  open.splice(0).forEach((end) => end());
  await idle;
  assert.deepEqual(bench.asked.slice(LOOKUPS_AT_ONCE_MAX), names.slice(LOOKUPS_AT_ONCE_MAX, 16));
});

Deno.test("trusted names: names that fail slowly keep no other from its turn", async () => {
  const names = Array.from({ length: 40 }, (_, i) => `h${i}.example`);
  const ends: { at: number; end: () => void }[] = [];
  const bench: Bench = new Bench(
    names,
    () =>
      new Promise((_, reject) =>
        ends.push({ at: bench.now + 10_000, end: () => reject(new Error("no answer")) })
      ),
  );
  for (let i = 0; i < 120; i++) {
    bench.now += 1_000;
    for (const { end } of ends.filter(({ at }) => at <= bench.now)) end();
    ends.splice(0, ends.length, ...ends.filter(({ at }) => at > bench.now));
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    bench.names.look();
  }
  assert.deepEqual(new Set(bench.asked), new Set(names));
});

Deno.test("trusted names: names that are not wanted any more are let go, late answers are not heard", async () => {
  let end = (_: string[]) => {};
  const bench = new Bench([NAME], () => new Promise((resolve) => end = resolve));
  bench.names.look();
  bench.names.set(["other.example"]);
  end(["203.0.113.5"]);
  await bench.names.idle();
  assert.deepEqual([bench.names.addresses(), bench.changes], [[], 0]);
});

Deno.test("trusted names: answers outlive a restart, wrong and old ones do not", async () => {
  const bench = new Bench();
  await bench.answer("203.0.113.5", "2001:db8::5");
  const later = new Bench([NAME, "b.example", "c.example", "d.example"]);
  later.now = bench.now + KEEP_MS / 2;
  later.names.restore([
    ...bench.names.saved(),
    { name: "b.example", addresses: ["203.0.113.6"], answeredAt: later.now - KEEP_MS },
    { name: "c.example", addresses: ["127.0.0.1", "x", "203.0.113.07"], answeredAt: later.now },
    { name: "d.example", addresses: ["203.0.113.8"], answeredAt: later.now + 1e9 },
    { name: "z.example", addresses: ["203.0.113.9"], answeredAt: later.now },
  ]);
  assert.deepEqual(later.names.addresses(), ["203.0.113.5", "2001:db8::5", "203.0.113.8"]);
  await later.pass(KEEP_MS / 2 - LOOKUP_EVERY_MS);
  assert.deepEqual(later.names.addresses(), ["203.0.113.5", "2001:db8::5", "203.0.113.8"]);
  await later.pass(2 * LOOKUP_EVERY_MS);
  assert.deepEqual(later.names.addresses(), ["203.0.113.8"], "a day after the answer");
});

Deno.test("trusted names: a name that changes all the time is told twenty times a day", async () => {
  const bench = new Bench();
  for (let i = 0; i < 100; i++) await bench.answer(`203.0.113.${i}`);
  assert.equal(bench.told.length, 20);
  assert.match(bench.told.at(-1)!, /further changes of this name are not told today/);
});

Deno.test("trusted names: are looked up as often as the configuration says, also when it changes", async () => {
  const bench = new Bench();
  bench.answers.set(NAME, ["203.0.113.5"]);
  bench.everyMs = 300_000;
  await bench.pass(1_000);
  assert.equal(bench.asked.length, 1);
  await bench.pass(299_000);
  assert.equal(bench.asked.length, 1);
  await bench.pass(1_000);
  assert.equal(bench.asked.length, 2);
  bench.everyMs = 10_000;
  await bench.pass(300_000);
  assert.equal(bench.asked.length, 3, "what was planned before stays");
  await bench.pass(30_000);
  assert.equal(bench.asked.length, 6);
});

Deno.test("trusted names: who has no answer yet is asked for no less often than every 10 s", async () => {
  const bench = new Bench();
  bench.everyMs = 3_600_000;
  await bench.pass(60_000);
  assert.equal(bench.asked.length, 6);
});
