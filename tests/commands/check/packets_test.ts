/** What `--check` says of packets; with real packets in `tests/e2e/backend_test.ts`, too. */

import assert from "node:assert/strict";
import type { Finding } from "../../../src/commands/check/finding.ts";
import { checkPackets } from "../../../src/commands/check/packets.ts";
import { checkFirewall } from "../../../src/commands/check/firewall.ts";
import { type BackendName, DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { IpsetBackend } from "../../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../../src/firewall/iptables.ts";
import { openNftables } from "../../../src/firewall/nftables/open.ts";
import { FarSide } from "../../e2e/far_side.ts";
import { inNamespace, passes, sh } from "../../support/namespace.ts";

const NOW = Date.UTC(2026, 0, 2, 12);

const lines = (findings: readonly Finding[]) =>
  findings.map(({ level, message }) => `${level}: ${message}`);

async function check(
  backend: BackendName,
  others: readonly Finding[] = [],
  passer: { target: string; at: string } | null = null,
): Promise<string[]> {
  const config = { ...DEFAULT_CONFIG, backend };
  return lines(await checkPackets(config, others, { passer }, undefined, NOW));
}

inNamespace(import.meta.url, () => {
  for (const Chosen of [IptablesBackend, IpsetBackend]) {
    for (const world of ["nft", "legacy"]) {
      const name = Chosen === IpsetBackend ? "ipset" : "iptables";
      Deno.test(`--check: packets that ${name} has refused are counted (${world})`, async () => {
        const path = Deno.env.get("PATH")!;
        const folder = await Deno.makeTempDir();
        for (const program of ["iptables", "ip6tables"]) {
          const { out } = await sh("sh", "-c", `command -v ${program}-${world}`);
          await Deno.symlink(out.trim(), `${folder}/${program}`);
        }
        Deno.env.set("PATH", `${folder}:${path}`);
        try {
          await sh("ip", "link", "set", "lo", "up");
          await sh("iptables", "-N", "ampere");
          await sh("iptables", "-I", "INPUT", "-j", "ampere");
          // IPv6 has no chain, and nothing is said of it.
          await using backend = disposable(new Chosen({ family: 4, chain: "ampere" }));
          await backend.replace([{ target: "127.0.0.77", until: undefined }]);
          const [none] = await check(name);
          assert.match(
            none!,
            /^ok: no packet of a blocked host has come since .* and --check again/,
          );
          // Rules of somebody else count too, and an innocent host's packets.
          for (const chain of ["INPUT", "ampere"]) {
            const rule = [chain, "-p", "tcp", "-s", "127.0.0.78", "-j", "REJECT"];
            await sh("iptables", "-A", ...rule);
            assert.equal(await passes("127.0.0.78"), false);
            assert.match((await check(name))[0]!, /^ok: no packet/);
            await sh("iptables", "-D", ...rule);
          }
          assert.equal(await passes("127.0.0.79"), true);
          assert.match((await check(name))[0]!, /^ok: no packet/);
          assert.equal(await passes("127.0.0.77"), false);
          assert.match(
            (await check(name))[0]!,
            /^ok: seen by packets: [1-9]\d* packets? of blocked hosts w\w+ refused since the rules were made \(IPv4: [1-9]\d*\)$/,
          );
        } finally {
          await sh("iptables", "-F");
          await sh("iptables", "-X");
          await sh("ipset", "destroy");
          Deno.env.set("PATH", path);
          await Deno.remove(folder, { recursive: true });
        }
      });
    }
  }

  Deno.test("--check: packets that nftables has refused are counted, of hosts and of networks", async () => {
    await using far = await FarSide.make("near", ["192.0.2.5/24", "192.0.2.6/24"], "192.0.2.1");
    await sh("ip", "address", "add", "192.0.2.1/24", "dev", "near");
    using _listener = Deno.listen({ hostname: "192.0.2.1", port: 5060 });
    const backends = openNftables({ chain: "ampere" });
    try {
      await backends[1]!.replace([]);
      // A rule of somebody else counts, too.
      const rule = ["inet", "ampere", "from4", "ip", "saddr", "192.0.2.6", "counter", "drop"];
      await backends[0]!.replace([]);
      await sh("nft", "insert", "rule", ...rule);
      assert.equal(await far.knock("192.0.2.6", "192.0.2.1", 5060), "silent");
      assert.match((await check("nftables"))[0]!, /^ok: no packet of a blocked host has come/);
      await sh("nft", "flush", "chain", "inet", "ampere", "from4");
      for (const target of ["192.0.2.5", "192.0.2.0/29"]) {
        await backends[0]!.replace([{ target, until: undefined }], undefined, ["192.0.2.6"]);
        assert.equal(await far.knock("192.0.2.6", "192.0.2.1", 5060), "reached");
        assert.match((await check("nftables"))[0]!, /^ok: no packet of a blocked host has come/);
        assert.equal(await far.knock("192.0.2.5", "192.0.2.1", 5060), "refused");
        assert.match((await check("nftables"))[0]!, /^ok: seen by packets: [1-9].*IPv6: 0\)$/);
      }
    } finally {
      for (const backend of backends) backend.close();
      await sh("nft", "flush", "ruleset");
    }
  });

  Deno.test("--check: nobody is told to try while something else is wrong, or nothing is there", async () => {
    assert.deepEqual(await check("nftables"), []);
    assert.deepEqual(await check("iptables"), []);
    const backends = openNftables({ chain: "ampere" });
    for (const backend of backends) await backend.replace([]);
    const fault = { level: "warning", about: "firewall", message: "x", advice: "" } as const;
    assert.deepEqual(await check("nftables", [fault]), []);
    for (const backend of backends) backend.close();
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("--check: a blocked host that came through is told for an hour", async () => {
    const at = (minutes: number) => new Date(NOW - minutes * 60_000).toISOString();
    assert.deepEqual(await check("nftables", [], { target: "203.0.113.5", at: at(3) }), [
      "warning: 203.0.113.5 is blocked, and still reached Asterisk 3 min ago: its packets passed by the rules",
    ]);
    assert.deepEqual(await check("nftables", [], { target: "203.0.113.5", at: at(61) }), []);
    // A daemon that was not started again after an update does not tell it.
    const config = { ...DEFAULT_CONFIG, backend: "nftables" } as const;
    assert.deepEqual(await checkPackets(config, [], {}), []);
  });

  Deno.test("--check: with nftables, too, an Asterisk that is elsewhere is not protected", async () => {
    await sh("ip", "link", "set", "lo", "up");
    const config = { ...DEFAULT_CONFIG, backend: "nftables", host: "198.51.100.7" } as const;
    const found = await checkFirewall(config);
    assert.deepEqual(found.map(({ level }) => level), ["ok", "problem"]);
    assert.match(found[1]!.message, /^Asterisk is at 198\.51\.100\.7, .* protect nothing there$/);
    assert.match(found[1]!.advice, /^run Ampere on the machine of 198\.51\.100\.7/);
    const behind = { kind: "behind", address: "172.17.0.2", interface: "docker0" } as const;
    assert.deepEqual((await checkFirewall(config, undefined, behind)).map(({ level }) => level), [
      "ok",
    ]);
  });
});

function disposable<T extends { close(): void }>(backend: T): T & AsyncDisposable {
  return Object.assign(backend, {
    [Symbol.asyncDispose]: () => Promise.resolve(backend.close()),
  });
}
