/** Which firewall `backend = auto` means, with the real programs. */

import assert from "node:assert/strict";
import { checkFirewall } from "../../src/commands/check/firewall.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import { chooseBackend, describeChoice, holderOf } from "../../src/firewall/choice.ts";
import { type CommandResult, run, type Runner } from "../../src/firewall/command.ts";
import { inNamespace, sh, withPrograms } from "../support/namespace.ts";

const WANTED = { backend: "auto", chain: "ampere", jump: [] } as const;

async function chosen(changes: Partial<Config> = {}, runner?: Runner): Promise<string> {
  return describeChoice(await chooseBackend({ ...WANTED, ...changes }, runner));
}

Deno.test("choice: what holds the blocks is named as the firewall's own program knows it", () => {
  assert.equal(holderOf("iptables", "voip:block"), "chain voip:block");
  assert.equal(holderOf("ipset", "4th"), "chain 4th");
  for (const [chain, table] of [["ampere", "ampere"], ["voip:block", "voip_block"], ["4", "_4"]]) {
    assert.equal(holderOf("nftables", chain!), `table inet ${table}`);
  }
});

/** A machine with these programs alone. */
async function onlyWith(programs: readonly string[], body: () => Promise<void>): Promise<void> {
  const links: Record<string, { link: string }> = {};
  for (const name of programs) {
    links[name] = { link: (await sh("sh", "-c", `command -v ${name}`)).out.trim() };
  }
  await using _folder = await withPrograms(links);
  const before = Deno.env.get("PATH")!;
  Deno.env.set("PATH", before.split(":")[0]!);
  try {
    await body();
  } finally {
    Deno.env.set("PATH", before);
  }
}

async function must(command: string): Promise<void> {
  const { code, err } = await sh("sh", "-c", command);
  assert.equal(code, 0, `${command}: ${err}`);
}

/** Runs a test without rules, and leaves none. */
function test(name: string, body: () => Promise<void>): void {
  Deno.test(`choice: ${name}`, async () => {
    const clean = "nft flush ruleset; ipset destroy; true";
    await must(clean);
    try {
      await body();
    } finally {
      await must(clean);
    }
  });
}

inNamespace(import.meta.url, () => {
  test("what the configuration names is taken, and nothing is run for it", async () => {
    const never: Runner = () => Promise.reject(new Error("a program was run"));
    for (const backend of ["iptables", "ipset", "nftables"] as const) {
      const choice = await chooseBackend({ ...WANTED, backend, jump: ["INPUT"] }, never);
      assert.deepEqual(choice, { name: backend, isAuto: false, why: "" });
    }
  });

  test("nftables where it works, and nothing is made by the look", async () => {
    assert.match(
      await chosen(),
      /^backend = auto: nftables, because nft works, and iptables has no/,
    );
    assert.doesNotMatch((await sh("nft", "list", "ruleset")).out, /ampere/);
  });

  for (const program of ["iptables", "ip6tables"]) {
    test(`iptables where its chain is there (${program})`, async () => {
      await must(`${program} -N ampere`);
      assert.match(await chosen(), /^backend = auto: iptables, because its chain ampere is there/);
      assert.match(await chosen({ chain: "other" }), /^backend = auto: nftables, /);
      await must(`${program} -A ampere -s ${program === "iptables" ? "192.0.2.1" : "::2"} -j DROP`);
      assert.match(await chosen(), /^backend = auto: iptables, /);
    });
  }

  test("iptables with a chain in a table that iptables cannot list", async () => {
    await must("iptables -N ampere; iptables -A INPUT -j ACCEPT");
    await must("nft add set ip filter x '{ type ipv4_addr; }'");
    await must("nft add rule ip filter INPUT ip saddr @x ct state vmap '{ established : accept }'");
    assert.notEqual((await sh("iptables", "-S")).code, 0);
    assert.match(await chosen(), /^backend = auto: iptables, because its chain ampere is there/);
    assert.match(await chosen({ chain: "other" }), /^backend = auto: nftables, /);
  });

  test("ipset where the chain asks its set", async () => {
    await must("ipset create ampere4 hash:net timeout 0; iptables -N ampere");
    await must("iptables -A ampere -m set --match-set ampere4 src -j REJECT");
    const set = /^backend = auto: ipset, because the chain ampere asks the set ampere4$/;
    assert.match(await chosen(), set);
    assert.match(await chosen({ jump: ["INPUT"] }), set);
  });

  test("jump is for iptables, unless that is not there", async () => {
    const jump = ["INPUT", "DOCKER-USER"];
    assert.match(await chosen({ jump }), /: iptables, because jump = INPUT,DOCKER-USER is for ipt/);
    await onlyWith(["nft"], async () => {
      assert.match(
        await chosen({ jump }),
        /: nftables, because nft works, and iptables, which jump = INPUT,DOCKER-USER is for, is not installed$/,
      );
    });
  });

  test("without iptables, without nft, and without both", async () => {
    await onlyWith(["nft"], async () => {
      assert.match(await chosen(), /: nftables, because nft works, and iptables is not installed$/);
    });
    await onlyWith(["iptables", "ip6tables"], async () => {
      assert.match(await chosen(), /: iptables, because nftables cannot be used: nft is not inst/);
    });
    await onlyWith([], async () => {
      const { failure } = await chooseBackend(WANTED);
      assert.match(failure!.message, /neither nft nor iptables is installed/);
      assert.match(failure!.advice, /^apt-get install nftables/);
    });
  });

  test("a kernel that does not take the table", async () => {
    await using _programs = await withPrograms({
      nft: '#!/bin/sh\necho "Error: Could not process rule: Operation not supported" >&2; exit 1\n',
    });
    assert.match(await chosen(), /: iptables, because nftables cannot be used: the kernel lacks/);
    await onlyWith(["nft"], async () => {
      const { failure } = await chooseBackend(WANTED);
      assert.match(failure!.message, /the kernel lacks .*; and iptables is not installed$/);
      assert.equal(failure!.advice, "modprobe -a nf_tables nft_reject_inet");
    });
  });

  test("a table of somebody else is no reason against nftables, which tells of it", async () => {
    await must(
      "nft add table inet ampere; nft add set inet ampere hosts4 '{ type inet_service; }'",
    );
    assert.match(await chosen(), /: nftables, because nft works, /);
    const config = { ...DEFAULT_CONFIG, backend: "nftables" } as const;
    const [found] = await checkFirewall(config);
    assert.equal(found!.level, "problem");
    assert.match(found!.advice, /^nft delete table inet ampere \(somebody else made a table/);
    await must(found!.advice.replace(/ \(.*/, ""));
    assert.equal((await checkFirewall(config))[0]!.level, "ok");
  });

  test("what another program hinders is tried again, and is no reason against nftables", async () => {
    const hindered = (times: number, how: Partial<CommandResult>): Runner => {
      let tries = 0;
      return async (program, args, options) => {
        const result = await run(program, args, options);
        return program === "nft" && tries++ < times ? { ...result, ok: false, ...how } : result;
      };
    };
    const busy = { stderr: "Error: Could not process rule: Device or resource busy" };
    assert.match(await chosen({}, hindered(2, busy)), /: nftables, because nft works, /);
    assert.match(
      await chosen({}, hindered(100, busy)),
      /: nftables, because nft is there \(another program was changing .*\), and iptables has no/,
    );
    assert.match(
      await chosen({}, hindered(1, { code: undefined, timedOut: true })),
      /: nftables, because nft is there \(nft did not end in time and was killed\), and iptables/,
    );
  });
});
