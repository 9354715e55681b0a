import assert from "node:assert/strict";
import { dryRunner } from "../../src/firewall/dry_run.ts";
import { Firewall } from "../../src/firewall/firewall.ts";
import { IpsetBackend } from "../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import { NftablesBackend } from "../../src/firewall/nftables/nftables.ts";
import { NftTable } from "../../src/firewall/nftables/table.ts";
import { FakeClock } from "../support/fake_clock.ts";

const QUIET = { debug() {}, info() {}, warn: assert.fail, error: assert.fail };
const entry = (target: string) => ({ target, until: undefined });

Deno.test("dry run: says each command, and finds the firewall as it should be", async () => {
  const said: string[] = [];
  const runner = dryRunner((command) => void said.push(command));
  const clock = new FakeClock();
  const backends = ([4, 6] as const).map((family) =>
    new IptablesBackend({ family, chain: "ampere", run: runner })
  );
  const firewall = new Firewall({ backends, log: QUIET, verifyMs: 1_000, clock });
  assert.deepEqual(await firewall.start([entry("192.0.2.1"), entry("198.51.100.0/24")]), []);
  firewall.block([entry("203.0.113.5"), entry("2001:db8::1")]);
  await firewall.idle();
  firewall.release(["192.0.2.1"]);
  await firewall.idle();
  await clock.advance(10_000);
  await firewall.verify();
  assert.equal(said.length, 4, said.join("\n"));
  assert.match(said[0]!, /^iptables -w 4 -A ampere -s 192\.0\.2\.1,198\.51\.100\.0\/24 -j REJECT/);
  assert.ok(said.some((command) => /^ip6tables .* -s 2001:db8::1 /.test(command)));
  assert.match(said[3]!, /^iptables -w 4 -D ampere -s 192\.0\.2\.1 /);
  assert.equal(firewall.status().applied, 3);
  await firewall.stop();
});

Deno.test("dry run: of what nft would be told it is said whom it is about", async () => {
  const said: string[] = [];
  const run = dryRunner((command) => void said.push(command));
  const table = new NftTable({ name: "ampere", run });
  const backend = new NftablesBackend({ family: 4, table });
  await backend.replace([entry("192.0.2.1"), entry("198.51.100.0/24")]);
  await backend.block([entry("192.0.2.2")]);
  await backend.release(["192.0.2.1"]);
  backend.close();
  assert.match(
    said[0]!,
    /\(its table, sets and rules\); add element inet ampere hosts4 \{192\.0\.2\.1 \}/,
  );
  assert.match(said[0]!, /; add element inet ampere networks4_24 \{ 198\.51\.100\.0 \}/);
  assert.match(
    said[1]!,
    /^nft -f - with the input: add element inet ampere hosts4 \{ 192\.0\.2\.2 \}/,
  );
  assert.match(said[2]!, /; delete element inet ampere hosts4 \{ 192\.0\.2\.1 \}$/);
});

Deno.test("dry run: ipset's input is said too", async () => {
  const said: string[] = [];
  const backend = new IpsetBackend({
    family: 4,
    chain: "ampere",
    run: dryRunner((command) => void said.push(command)),
  });
  const outcome = await backend.block([entry("203.0.113.5")]);
  assert.equal(outcome.ok, true);
  assert.match(said.join("\n"), /ipset .*restore.* with the input: add .*203\.0\.113\.5/);
});
