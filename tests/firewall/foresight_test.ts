import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address.ts";
import type { Clock } from "../../src/clock.ts";
import type { Backend, Entry } from "../../src/firewall/backend.ts";
import { Foresight } from "../../src/firewall/foresight.ts";

const NOW = 1_800_000_000_000;

/** A backend that only writes down what it is told; the rest of a backend is not used here. */
function listener(family: 4 | 6, told: unknown[]): Backend {
  const foresee = (entries: readonly Entry[], from: number, expected: number) =>
    void told.push([family, entries.slice(from).map(({ target }) => target), expected]);
  return { family, foresee } as unknown as Backend;
}

function make(backends: (told: unknown[]) => Backend[]) {
  const told: unknown[] = [];
  let pauses = 0;
  const clock: Clock = {
    now: () => NOW,
    after: (_, run) => {
      pauses++;
      queueMicrotask(run);
      return () => {};
    },
    soon: queueMicrotask,
  };
  const exempt = new AddressSet(["192.0.2.0/28", "2001:db8::1"]);
  const foresight = new Foresight({ backends: backends(told), exempt, now: NOW, clock });
  return { foresight, told, exempt, pauses: () => pauses };
}

const forEver = (...targets: string[]) => targets.map((target) => ({ target, until: undefined }));
const both = (told: unknown[]) => [listener(4, told), listener(6, told)];

Deno.test("entries are sorted by family; those that ended or are trusted are left out", async () => {
  const { foresight, told, exempt, pauses } = make(both);
  foresight.begin(40);
  const entries = [
    ...forEver("198.51.100.1", "192.0.2.3", "2001:db8::1", "2001:db8::/64", "2001:db8:1::5"),
    { target: "198.51.100.2", until: NOW },
    { target: "198.51.100.3", until: NOW + 1 },
    ...forEver("192.0.0.0/8", "203.0.113.0/24"),
  ];
  await foresight.take(entries.slice(0, 8));
  await foresight.take(entries.slice(8));
  assert.equal(foresight.ended, 1);
  assert.deepEqual(foresight.trusted, ["192.0.2.3", "2001:db8::1", "2001:db8::/64", "192.0.0.0/8"]);
  assert.equal(foresight.exempt, exempt);
  const four = [entries[0], entries[6], entries[8]];
  assert.deepEqual([...foresight.sorted!], [[4, four], [6, [entries[4]]]]);
  assert.deepEqual(told, [
    [4, [], 40],
    [4, ["198.51.100.1", "198.51.100.3"], 10],
    [6, ["2001:db8:1::5"], 5],
    [4, ["203.0.113.0/24"], 40],
  ]);
  assert.equal(pauses(), 2);
  foresight.dismiss();
  assert.equal(foresight.sorted, undefined);
});

Deno.test("nothing is begun for an empty list, nor for a backend that does not want to know", async () => {
  const { foresight, told } = make(both);
  foresight.begin(0);
  assert.deepEqual(told, []);
  const other = make(() => [{ family: 4 } as unknown as Backend]);
  other.foresight.begin(2);
  assert.equal(other.foresight.take(forEver("198.51.100.1", "2001:db8::9")), undefined);
  assert.equal(other.pauses(), 0);
  assert.deepEqual([...other.foresight.sorted!], [[4, forEver("198.51.100.1")]]);
  await other.foresight.pause();
  assert.equal(other.pauses(), 1);
});

Deno.test("what is no address is refused: nothing of that kind leaves the list", () => {
  const { foresight, told } = make(both);
  for (const target of ["198.51.100.1 -j ACCEPT", "198.51.100.001", ""]) {
    assert.throws(() => void foresight.take(forEver(target)), TypeError);
  }
  assert.deepEqual([...foresight.sorted!.values()].flat(), []);
  assert.deepEqual(told, []);
});
