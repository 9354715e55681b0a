/** What the hosts of a network did together. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import {
  NETWORK_BLOCKS_MAX,
  NetworkFailures,
  NETWORKS_MAX,
  SHARED_NETWORK_HOSTS_MIN,
} from "../../src/penalties/network_failures.ts";
import { reasonOf } from "../../src/penalties/reason.ts";
import { remoteOf, successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { HOST, SECOND, TableBench } from "../support/table_bench.ts";

Deno.test("network failures: one login in a /64 does not free it", () => {
  const policy = { ipv6Prefix: 64 };
  const neighbour = (i: number) => `2001:db8:0:1::${(i + 1).toString(16)}`;
  const bench = new TableBench(policy).take(successfulAuth("2001:db8:0:1::beef"));
  let guesses = 0;
  const isOut = (address: string) =>
    bench.blocked.includes(address) || bench.blocked.includes("2001:db8:0:1::/64");
  for (let i = 0; i < 10_000; i++) {
    for (let twice = 0; twice < 2; twice++) {
      if (isOut(neighbour(i))) continue;
      bench.take(wrongAnswer(neighbour(i)));
      guesses++;
    }
  }
  assert.ok(bench.blocked.includes("2001:db8:0:1::/64"));
  assert.ok(guesses <= 2 * SHARED_NETWORK_HOSTS_MIN + NETWORK_BLOCKS_MAX + 1, `${guesses}`);
  assert.equal(bench.offences.at(-1)!.grounds, "shared network");
  assert.deepEqual(bench.table.innocentIn("2001:db8:0:1::/64"), ["2001:db8:0:1::beef"]);
});

Deno.test("network failures: an account's owner who takes new addresses is stopped with their network", () => {
  const bench = new TableBench({ ipv6Prefix: 64 });
  const network = "2001:db8:0:1::/64";
  let guesses = 0;
  for (let i = 1; i < 1_000 && !bench.blocked.includes(network); i++) {
    const address = `2001:db8:0:1::${i.toString(16)}`;
    bench.take(successfulAuth(address, { account: "own" }));
    for (let guess = 0; guess < 29 && !bench.blocked.includes(address); guess++) {
      bench.take(wrongAnswer(address, { account: "boss" }));
      guesses++;
    }
  }
  assert.ok(bench.blocked.includes(network), `${guesses} guesses`);
  assert.ok(guesses <= 100, `${guesses} guesses`);
  assert.deepEqual(
    bench.table.innocentIn(network),
    [],
    "whoever failed is not let through the block",
  );
});

Deno.test("network failures: one IPv6 address from which many log in and fail is judged as an IPv4 address", () => {
  const blocksOf = (address: string) => {
    const bench = new TableBench({ ipv6Prefix: 64 });
    for (let minute = 0; minute < 10; minute++) {
      bench.take(successfulAuth(address, { account: "own" }));
      for (let i = 0; i < 20; i++) {
        const account = `guessed-${minute}-${i}`;
        bench.after(3 * SECOND).take(wrongAnswer(address, { account }));
      }
    }
    return bench.offences.map(({ target, grounds, points }) =>
      `${target === address ? "the host" : target}, ${grounds}, ${points}`
    );
  };
  const blocks = blocksOf("2001:db8:0:1::beef");
  assert.ok(blocks.length > 3);
  assert.deepEqual(blocks, blocksOf("203.0.113.5"));
});

Deno.test("network failures: eight hosts of a /64 with a wrong password each are their network", () => {
  const bench = new TableBench({ ipv6Prefix: 64 });
  for (let i = 1; i <= 8; i++) bench.take(wrongAnswer(`2001:db8:0:1::${i}`));
  assert.deepEqual(bench.blocked, ["2001:db8:0:1::/64", "2001:db8:0:1::/64"]);
  assert.equal(bench.offences[0]!.tally.wrongAnswers, 3);
  assert.equal(bench.offences[0]!.grounds, "attempts");
});

Deno.test("network failures: a network is proven guilty by what can't be forged alone", () => {
  const blocks = (transports: string[]) => {
    const bench = new TableBench({ ipv6Prefix: 64 });
    transports.forEach((transport, i) => {
      const address = `2001:db8:0:1::${i + 1}`;
      bench.take(wrongAnswer(address, { remote: remoteOf(address, transport) }));
    });
    return bench.offences.map(({ target, proven }) => [target, proven]);
  };
  const network = "2001:db8:0:1::/64";
  assert.deepEqual(blocks(["UDP", "UDP", "TLS"]), [[network, false]], "one mistyped, two forged");
  assert.deepEqual(blocks(["TLS", "TLS", "TLS"]), [[network, true]]);
});

Deno.test("network failures: who belongs in a network pays for nothing that strangers did there, or in its name", () => {
  const bench = new TableBench({ ipv6Prefix: 64 }).take(successfulAuth("2001:db8:0:1::beef"));
  for (let i = 1; i <= 8 + NETWORK_BLOCKS_MAX / 2; i++) {
    bench.take(wrongAnswer(`2001:db8:0:1::${i}`));
  }
  assert.ok(bench.blocked.length > 0);
  bench.take(wrongAnswer("2001:db8:0:1::beef"));
  assert.ok(!bench.blocked.includes("2001:db8:0:1::beef"));
});

Deno.test("network failures: what the hosts of a network did together began with the first of them", () => {
  for (const [shared, failures] of [[false, 3], [true, SHARED_NETWORK_HOSTS_MIN]] as const) {
    const bench = new TableBench({ ipv6Prefix: 64 });
    if (shared) bench.take(successfulAuth("2001:db8:0:1::beef"));
    for (let i = 1; i <= failures; i++) {
      bench.after(3 * SECOND).take(wrongAnswer(`2001:db8:0:1::${i}`));
    }
    const [offence] = bench.offences;
    assert.equal(offence!.at - offence!.firstAt, (failures - 1) * 3 * SECOND);
    assert.equal(offence!.tally.wrongAnswers, failures);
    assert.match(reasonOf(offence!), / by 2001:db8:0:1::\d and its neighbours, /);
  }
});

Deno.test("network failures: hosts in good standing who go too far together are proven guilty by connections alone", () => {
  for (const transport of ["UDP", "TLS"]) {
    const bench = new TableBench({ ipv6Prefix: 64 });
    const hosts = [1, 2, 3, 4, 5].map((i) => `2001:db8:0:1::${i}`);
    for (const host of hosts) bench.take(successfulAuth(host));
    for (let i = 0; i < 30; i++) {
      const host = hosts[i % 5]!;
      assert.deepEqual(bench.blocked, []);
      bench.take(wrongAnswer(host, { remote: remoteOf(host, transport) }));
    }
    assert.deepEqual(
      bench.offences.map(({ target, grounds, proven }) => [target, grounds, proven]),
      [[hosts[4], "shared network", transport === "TLS"]],
    );
  }
});

Deno.test("network failures: of more networks than the bound the oldest is forgotten", () => {
  const networks = new NetworkFailures();
  const how = { standing: false, proven: true };
  for (const host of ["a", "b"]) networks.add("0", host, 5, how, 0);
  for (const host of ["a", "b"]) networks.add("1", host, 5, how, 0);
  for (let i = 2; i <= NETWORKS_MAX; i++) networks.add(`${i}`, "a", 5, how, 0);
  const verdict = (network: string) => {
    networks.add(network, "c", 5, how, 0);
    return networks.judge(network, { strange: 15, own: 150 }, false, false).verdict;
  };
  assert.deepEqual([verdict("1"), verdict("0")], ["network", "nothing"]);
});

Deno.test("network failures: ipv6_prefix counts and blocks a network, unless somebody in it belongs here", () => {
  const policy = { ipv6Prefix: 64 };
  const spread = (prefix: string) => [1, 2, 3].map((i) => wrongAnswer(`${prefix}::${i}`));
  assert.deepEqual(new TableBench(policy).take(...spread("2001:db8:0:1")).blocked, [
    "2001:db8:0:1::/64",
  ]);
  assert.deepEqual(
    new TableBench(policy).take(...[1, 2, 3].map(() => wrongAnswer("2001:db8:0:1::1"))).blocked,
    ["2001:db8:0:1::1"],
    "a single host of the network",
  );
  const shared = new TableBench(policy).take(
    successfulAuth("2001:db8:0:1::beef"),
    ...spread("2001:db8:0:1"),
  );
  assert.deepEqual(shared.blocked, [], "three hosts with one attempt each");
  const trusted = new TableBench({ ...policy, exempt: new AddressSet(["2001:db8:0:1::7"]) }).take(
    ...spread("2001:db8:0:1"),
  );
  assert.deepEqual(trusted.blocked, []);
  assert.deepEqual(new TableBench(policy).take(...[1, 2, 3].map(() => wrongAnswer(HOST))).blocked, [
    HOST,
  ], "IPv4: the host");
});
