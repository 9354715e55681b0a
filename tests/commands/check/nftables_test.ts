import assert from "node:assert/strict";
import { checkFirewall } from "../../../src/commands/check/firewall.ts";
import { DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { openNftables } from "../../../src/firewall/nftables/open.ts";
import { inNamespace, sh, withPrograms } from "../../support/namespace.ts";

const CONFIG = { ...DEFAULT_CONFIG, backend: "nftables" } as const;

async function findings(): Promise<string[]> {
  return (await checkFirewall(CONFIG)).map(({ level, message, advice }) =>
    `${level}: ${message}${advice === "" ? "" : ` | ${advice}`}`
  );
}

inNamespace(import.meta.url, () => {
  Deno.test("--check with nftables: nothing has to be made", async () => {
    assert.deepEqual(await findings(), [
      "ok: nftables works; Ampere makes the table inet ampere at its start",
    ]);
    assert.equal((await sh("nft", "list", "ruleset")).out, "");
  });

  Deno.test("--check with nftables: a jump is not needed", async () => {
    const found = await checkFirewall({ ...CONFIG, jump: ["INPUT"] });
    assert.deepEqual(found.map(({ level }) => level), ["ok", "warning"]);
    assert.match(found[1]!.message, /^jump = INPUT makes nothing with backend = nftables/);
  });

  Deno.test("--check with nftables: the table is looked at", async () => {
    const backends = openNftables({ chain: "ampere" });
    await backends[0]!.replace([{ target: "192.0.2.1", until: undefined }]);
    await backends[1]!.replace([]);
    assert.deepEqual(await findings(), [
      "ok: nftables works; the table inet ampere is there, with 1 block",
    ]);
    await sh("nft", "add", "rule", "inet", "ampere", "from4", "counter", "accept");
    assert.match((await findings()).join(), /^warning: .*, but 1 rule in it is not Ampere's/);
    await sh("nft", "flush", "chain", "inet", "ampere", "from4");
    assert.match((await findings()).join(), /^warning: .*, but not all of its sets and rules are/);
    await sh("nft", "delete", "table", "inet", "ampere");
    await sh("nft", "add table inet ampere; add set inet ampere hosts4 { type mark; }");
    assert.match(
      (await findings()).join(),
      /^problem: .*datatype mismatch.* \| nft delete table inet amp/,
    );
    await sh("nft", "delete", "table", "inet", "ampere");
    for (const backend of backends) backend.close();
  });

  Deno.test("--check with nftables: sets of others that make changes slow are named", async () => {
    const intervals = Array.from({ length: 6_000 }, (_, i) => `11.${i >> 8}.${i & 255}.0/31`);
    const set = `set large { type ipv4_addr; flags interval; elements = { ${intervals} } \n}`;
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, `table ip other {\n${set}\n}\n`);
    assert.equal((await sh("nft", "-f", file)).code, 0);
    await Deno.remove(file);
    const [works, slow] = await findings();
    assert.match(works!, /^ok: nftables works/);
    assert.match(slow!, /^warning: .*: ip other large \(6,000 intervals\).*"backend = ipset"/);
    assert.equal((await sh("nft", "delete", "table", "ip", "other")).code, 0);
  });

  Deno.test("--check with nftables: what is missing is told", async () => {
    const path = Deno.env.get("PATH")!;
    try {
      Deno.env.set("PATH", "/nowhere");
      assert.match(
        (await findings()).join(),
        /^problem: nft is not installed.*apt-get install nft/,
      );
    } finally {
      Deno.env.set("PATH", path);
    }
    await using _programs = await withPrograms({
      nft: "#!/bin/sh\necho 'Error: Could not process rule: Operation not permitted' >&2\nexit 1\n",
    });
    assert.match((await findings()).join(), /^problem: nft may not change.*CAP_NET_ADMIN/);
  });
});
