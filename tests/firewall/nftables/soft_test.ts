/** Networks of which a few packets pass: in the table, and over the looks at it. */

import assert from "node:assert/strict";
import { SOFT } from "../../../src/firewall/backend.ts";
import { Firewall } from "../../../src/firewall/firewall.ts";
import { openNftables } from "../../../src/firewall/nftables/open.ts";
import { inNamespace, sh, until } from "../../support/namespace.ts";

const GAP = { rate: 10, ports: [5060, 5061] };
const [SHARED, HARD, OTHER] = ["198.51.100.0/24", "203.0.113.0/24", "2001:db8:1::/64"] as const;

function make(gap: typeof GAP | undefined) {
  const lines: string[] = [];
  const say = (message: string) => void lines.push(message);
  const firewall = new Firewall({
    backends: openNftables({ chain: "ampere", gap }),
    log: { debug() {}, info: say, warn: say, error: say },
    verifyMs: 3_600_000,
  });
  return { firewall, lines };
}

const forEver = (...targets: string[]) => targets.map((target) => ({ target, until: undefined }));

async function softSets(): Promise<string[]> {
  const { out } = await sh("nft", "-s", "list", "table", "inet", "ampere");
  return [...out.matchAll(/set soft(\d)b?_(\d+) \{[^}]*?elements = \{ ([^}]*) \}/g)]
    .map(([, , length, elements]) => `${elements}/${length}`).sort();
}

inNamespace(import.meta.url, () => {
  Deno.test("nftables: a soft network is refused but for the gap, and looks find all in order", async () => {
    const { firewall, lines } = make(GAP);
    assert.deepEqual(await firewall.start(forEver(SHARED, HARD)), []);
    firewall.setExceptions(["198.51.100.9"], [SHARED]);
    await firewall.idle();
    assert.deepEqual(await softSets(), [SHARED]);
    firewall.block(forEver(OTHER));
    firewall.setExceptions(["198.51.100.9"], [SHARED, OTHER]);
    await firewall.idle();
    assert.deepEqual(await softSets(), [SHARED, OTHER].sort());
    const { out } = await sh("nft", "list", "chain", "inet", "ampere", "networks4");
    const rules = out.split("\n").map((line) => line.trim());
    const at = (pattern: RegExp) => rules.findIndex((rule) => pattern.test(rule));
    // Who passes comes first, then the gap of what is soft, then all is refused.
    assert(at(/@pass4 accept/) < at(/@soft4_24 udp dport .* update @gap4_udp .* accept/));
    assert(at(/@soft4_24 tcp dport .* update @gap4_tcp /) < at(/@networks4_24 .*reject/));
    lines.length = 0;
    await firewall.verify();
    assert.deepEqual(lines, []);

    // Others take it away: it comes back whole.
    await sh("nft", "flush", "set", "inet", "ampere", "soft4_24");
    await firewall.verify();
    await firewall.idle();
    assert.deepEqual(await softSets(), [SHARED, OTHER].sort());
    await sh("nft", "flush", "ruleset");
    await firewall.verify();
    await until("all is there again", async () => (await softSets()).length === 2);

    // What is blocked no more needs no gap.
    firewall.release([SHARED]);
    await firewall.idle();
    assert.deepEqual(await softSets(), [OTHER]);
    await firewall.stop();
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("nftables: another gap holds at once, as does none, and one where there was none", async () => {
    const { firewall, lines } = make(GAP);
    assert.deepEqual(await firewall.start(forEver(SHARED)), []);
    firewall.setExceptions([], [SHARED]);
    await firewall.idle();
    const rates = async () => {
      const { out } = await sh("nft", "list", "chain", "inet", "ampere", "networks4");
      return [...out.matchAll(/limit rate (\d+)\/minute/g)].map(([, rate]) => rate).join();
    };
    assert.equal(await rates(), "10,10,60");
    lines.length = 0;
    for (const [rate, found] of [[7, "7,7,42"], [undefined, ""], [3, "3,3,18"]] as const) {
      firewall.refuseBy("reject", rate === undefined ? undefined : { ...GAP, rate });
      assert.equal(firewall.softens(SHARED), rate !== undefined);
      firewall.setExceptions([], [SHARED]);
      await until(`${rate} a minute`, async () => await rates() === found);
      await firewall.idle();
      await firewall.verify();
      if (rate === 7) assert.deepEqual(lines, [], "a look finds all in order");
    }
    await firewall.stop();
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("nftables: a soft host is refused but for the gap, as long as it is soft", async () => {
    const { firewall, lines } = make(GAP);
    const [soft, hard, six] = ["198.51.100.7", "203.0.113.7", "2001:db8::7"];
    const elements = async () => {
      const { out } = await sh("nft", "-s", "list", "table", "inet", "ampere");
      return [...out.matchAll(/set soft[46]b? \{[^}]*?elements = \{ ([^}]*) \}/g)]
        .flatMap(([, some]) => some!.split(",").map((one) => one.trim())).sort();
    };
    const firstRules = async () =>
      (await sh("nft", "list", "chain", "inet", "ampere", "from4")).out.split("\n")
        .map((line) => line.trim()).filter((line) => line.includes("saddr"));
    assert.deepEqual(await firewall.start(forEver(hard)), []);
    assert.match(
      (await firstRules())[0]!,
      /@hosts4 .*reject/,
      "nobody waits for what is not there",
    );
    firewall.setExceptions([], [soft, six]);
    firewall.block(forEver(soft, six));
    await firewall.idle();
    assert.deepEqual(await elements(), [soft, six].sort());
    const rules = await firstRules();
    assert.match(rules[0]!, /^ip saddr @soft4b? udp dport .* update @gap4_udp .* accept$/);
    assert.match(rules.at(-1)!, /@hosts4b? .*reject/);
    lines.length = 0;
    await firewall.verify();
    assert.deepEqual(lines, []);

    // Others take it away: it comes back whole.
    await sh("nft", "flush", "ruleset");
    await firewall.verify();
    await until("all is there again", async () => (await elements()).length === 2);

    // It has guessed: it stays blocked, without a gap.
    firewall.setExceptions([], [six]);
    await firewall.idle();
    assert.deepEqual(await elements(), [six]);
    assert.match(
      (await sh("nft", "list", "table", "inet", "ampere")).out,
      /hosts4b? \{[^}]*198\.51\.100\.7/,
    );
    firewall.release([six]);
    await firewall.idle();
    assert.deepEqual(await elements(), []);
    await firewall.stop();

    // The next life finds it in order, and takes out what it does not know of.
    const next = make(GAP);
    assert.deepEqual(await next.firewall.start(forEver(soft, hard)), []);
    await next.firewall.verify();
    assert.deepEqual(await elements(), []);
    await next.firewall.stop();
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("nftables: without a gap nothing is soft, and what an earlier life had is taken out", async () => {
    const before = make(GAP);
    await before.firewall.start(forEver(SHARED));
    before.firewall.setExceptions([], [SHARED]);
    await before.firewall.idle();
    assert.deepEqual(await softSets(), [SHARED]);
    await before.firewall.stop();
    const { firewall } = make(undefined);
    assert.deepEqual(await firewall.start(forEver(SHARED)), []);
    firewall.setExceptions([], [SHARED]);
    await firewall.verify();
    await firewall.idle();
    const { out } = await sh("nft", "list", "chain", "inet", "ampere", "networks4");
    assert.doesNotMatch(out, /@soft|@gap/);
    assert.match(out, /@networks4_24 .*reject/);
    await firewall.stop();
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("nftables: a soft exception that is no network of the family reaches no command", async () => {
    const [backend] = openNftables({ chain: "ampere", gap: GAP });
    for (const bad of [`${SOFT}x`, `${SOFT}${OTHER}`, SOFT, `${SOFT}${SOFT}${SHARED}`]) {
      const outcome = await backend!.replace(forEver(SHARED), undefined, [bad]);
      assert(!outcome.ok && /was not handed to the firewall/.test(outcome.failure.message), bad);
    }
    backend!.close();
  });
});
