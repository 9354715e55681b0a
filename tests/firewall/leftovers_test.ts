/** What the firewall of before still holds is taken away, with the real programs. */

import assert from "node:assert/strict";
import { run, type Runner } from "../../src/firewall/command.ts";
import { IpsetBackend } from "../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import { Leftovers } from "../../src/firewall/leftovers.ts";
import { TargetSetBuilder } from "../../src/address/target_set.ts";
import { NftLists } from "../../src/firewall/lists/nftables.ts";
import { openNftables } from "../../src/firewall/nftables/open.ts";
import { inNamespace, sh, withChains, withPrograms } from "../support/namespace.ts";

const ENTRIES = [{ target: "192.0.2.1", until: undefined }];

async function rules(): Promise<string[]> {
  return (await sh("iptables", "-S", "ampere")).out.trim().split("\n").slice(1);
}

async function makeTable(chain = "ampere"): Promise<void> {
  const backends = openNftables({ chain });
  for (const backend of backends) {
    assert.ok((await backend.replace(backend.family === 4 ? ENTRIES : [])).ok);
    backend.close();
  }
}

async function hasTable(): Promise<boolean> {
  return (await sh("nft", "list", "table", "inet", "ampere")).code === 0;
}

function leftoversFor(backend: "iptables" | "ipset" | "nftables", runner: Runner = run) {
  const lines: string[] = [];
  const log = {
    info: (line: string) => void lines.push(`info ${line}`),
    warn: (line: string) => void lines.push(`warn ${line}`),
  };
  return { leftovers: new Leftovers({ backend, chain: "ampere", run: runner, log }), lines };
}

inNamespace(import.meta.url, () => {
  Deno.test("leftovers: nothing is there, and nothing is said", async () => {
    for (const backend of ["iptables", "ipset", "nftables"] as const) {
      const { leftovers, lines } = leftoversFor(backend);
      assert.ok(await leftovers.clear());
      assert.deepEqual(lines, []);
    }
    await using _none = await withPrograms({});
    const path = Deno.env.get("PATH")!;
    Deno.env.set("PATH", path.split(":")[0]!);
    try {
      for (const backend of ["iptables", "nftables"] as const) {
        const { leftovers, lines } = leftoversFor(backend);
        assert.ok(await leftovers.clear());
        assert.deepEqual(lines, []);
      }
    } finally {
      Deno.env.set("PATH", path);
    }
  });

  Deno.test("leftovers: the table with the lists of nftables goes, and one of others stays", async () => {
    const builder = new TargetSetBuilder();
    builder.addIpv4(0xcb007101, 32);
    const lists = new NftLists({ table: "ampere" });
    const list = { name: "own", ports: undefined, set: builder.build() };
    assert.equal(await lists.replace([list], []), undefined);
    const inUse = leftoversFor("nftables");
    assert.ok(await inUse.leftovers.clear());
    const has = async () => (await sh("nft", "list", "table", "inet", "ampere_lists")).code === 0;
    assert.ok(await has());
    const { leftovers, lines } = leftoversFor("ipset");
    assert.ok(await leftovers.clear());
    assert.ok(!await has());
    assert.deepEqual(lines, [
      "info the table inet ampere_lists with the lists of before was taken out of nftables",
    ]);
    await sh("nft", "add table inet ampere_lists; add chain inet ampere_lists incoming");
    assert.ok(await leftovers.clear());
    assert.ok(await has());
    await sh("nft", "flush", "ruleset");
  });

  Deno.test("leftovers: blocks, exceptions and rules of the other action go out of the chain", async () => {
    await withChains(async () => {
      const { leftovers, lines } = leftoversFor("nftables");
      assert.ok(await leftovers.clear());
      const backend = new IptablesBackend({ family: 4, chain: "ampere" });
      await backend.replace(ENTRIES, undefined, ["198.51.100.7"]);
      await sh("iptables", "-A", "ampere", "-s", "192.0.2.2", "-j", "DROP");
      await sh("iptables", "-I", "INPUT", "-j", "ampere");
      assert.ok(await leftovers.clear());
      assert.deepEqual(await rules(), []);
      assert.deepEqual(lines, [
        "info IPv4: the chain ampere of iptables was emptied of 3 rules of before: nftables holds the blocks now",
      ]);
      // A chain of that name without a block of Ampere's is another's.
      await sh("iptables", "-A", "ampere", "-p", "udp", "--dport", "53", "-j", "ACCEPT");
      assert.ok(await leftovers.clear());
      assert.equal((await rules()).length, 1);
      assert.equal(lines.length, 1);
      await sh("iptables", "-F", "INPUT");
    });
  });

  Deno.test("leftovers: the set of ipset goes with the rule that asks it", async () => {
    await withChains(async () => {
      await new IpsetBackend({ family: 4, chain: "ampere" }).replace(ENTRIES);
      const { leftovers, lines } = leftoversFor("nftables");
      assert.ok(await leftovers.clear());
      assert.deepEqual(await rules(), []);
      assert.equal((await sh("ipset", "list", "-n")).out, "");
      assert.match(lines[0]!, /emptied of the look at the set ampere4 of before/);
    });
  });

  for (const backend of ["iptables", "ipset"] as const) {
    Deno.test(`leftovers: the table of nftables goes, for ${backend}; another's stays`, async () => {
      const { leftovers, lines } = leftoversFor(backend);
      await makeTable();
      await sh("nft", "add", "table", "inet", "other");
      assert.ok(await leftovers.clear());
      assert.equal(await hasTable(), false);
      assert.equal((await sh("nft", "list", "table", "inet", "other")).code, 0);
      assert.deepEqual(lines, [
        `info the table inet ampere of before was taken out of nftables: ${backend} holds the blocks now`,
      ]);
      await sh("nft", "delete", "table", "inet", "other");
      await sh("nft", "add", "table", "inet", "ampere");
      await sh("nft", "add", "chain", "inet", "ampere", "mine");
      assert.ok(await leftovers.clear());
      assert.ok(await hasTable());
      await sh("nft", "delete", "table", "inet", "ampere");
    });
  }

  for (const backend of ["iptables", "nftables"] as const) {
    Deno.test(`leftovers: of a chain of before nothing stays, whatever it was in, for ${backend}`, async () => {
      const lines: string[] = [];
      const log = { info: (line: string) => void lines.push(line), warn: assert.fail };
      const leftovers = new Leftovers({ backend, chain: "now:a", former: "ampere", log });
      assert.ok(await leftovers.clear());
      assert.equal(lines.length, 0);
      await makeTable();
      await withChains(async () => {
        await new IptablesBackend({ family: 4, chain: "ampere" }).replace(ENTRIES);
        assert.ok(await leftovers.clear());
        assert.deepEqual(await rules(), []);
      });
      assert.equal(await hasTable(), false);
      const holder = backend === "nftables" ? "the table inet now_a" : "the chain now:a";
      assert.equal(lines.length, 2);
      for (const line of lines) assert.ok(line.endsWith(`${holder} holds the blocks now`), line);
    });
  }

  Deno.test("leftovers: a chain of before with the table of now takes nothing out of it", async () => {
    await makeTable("voip_block");
    const log = { info: assert.fail, warn: assert.fail };
    const options = { backend: "nftables", chain: "voip_block", log } as const;
    assert.ok(await new Leftovers({ ...options, former: "voip:block" }).clear());
    assert.equal((await sh("nft", "delete", "table", "inet", "voip_block")).code, 0);
  });

  Deno.test("leftovers: what cannot be taken away is told once, and goes later", async () => {
    await makeTable();
    let isHindered = true;
    const hindered: Runner = async (program, args, options) => {
      if (!isHindered || args[0] !== "delete") return await run(program, args, options);
      const result = await run("nft", ["delete", "table", "inet", "nowhere"], options);
      return { ...result, stderr: "Error: Could not process rule: Device or resource busy" };
    };
    const { leftovers, lines } = leftoversFor("iptables", hindered);
    assert.equal(await leftovers.clear(), false);
    assert.equal(await leftovers.clear(), false);
    assert.equal(lines.length, 1);
    assert.match(
      lines[0]!,
      /^warn the table inet ampere of nftables may still hold .* may stay refused by it: .* busy\)\. It is tried again$/,
    );
    isHindered = false;
    assert.ok(await leftovers.clear());
    assert.equal(await hasTable(), false);
  });
});
