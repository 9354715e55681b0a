/**
 * A guesser beside a phone in one IPv6 network: the daemon, the real firewall, and real packets.
 */

import assert from "node:assert/strict";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Daemon } from "../../src/daemon/daemon.ts";
import { AddressSet } from "../../src/address/address_set.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import { Log } from "../../src/log.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import {
  NETWORK_BLOCKS_MAX,
  SHARED_NETWORK_HOSTS_MIN,
} from "../../src/penalties/network_failures.ts";
import { successfulAuth, wrongAnswer } from "../support/asterisk_events.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { inNamespace, passes, sh, until } from "../support/namespace.ts";

const NETWORK = "2001:db8:0:1::/64";
const PHONE = "2001:db8:0:1::7";
const NEIGHBOUR = "2001:db8:0:1::ffff";

inNamespace(import.meta.url, () => {
  Deno.test("shared network: it is blocked, and the phone in it that logged in passes", async () => {
    await sh("ip", "link", "set", "lo", "up");
    for (const address of [PHONE, NEIGHBOUR]) {
      await sh("ip", "address", "add", address, "dev", "lo");
    }
    for (const args of [["-N", "ampere"], ["-A", "INPUT", "-j", "ampere"]]) {
      assert.equal((await sh("ip6tables", ...args)).code, 0);
    }
    await using asterisk = new FakeAsterisk({
      users: [{ name: "ampere", secret: "ampere", read: ["security", "system"] }],
    });
    const daemon = new Daemon({
      config: { ...DEFAULT_CONFIG, port: asterisk.port },
      list: new DryRunBlockList("(memory)"),
      backends: [new IptablesBackend({ family: 6, chain: "ampere" })],
      log: new Log({ stderr: { writeSync: (bytes) => bytes.length }, stamps: false }),
      // The addresses of this test are this machine's own.
      exempt: () => new AddressSet(["127.0.0.0/8", "::1"]),
    });
    const stop = new AbortController();
    const running = daemon.run(stop.signal);
    try {
      await until("it is logged in", () => daemon.connectedSince !== undefined);
      await asterisk.send(successfulAuth(PHONE));
      for (let i = 1; i <= SHARED_NETWORK_HOSTS_MIN + NETWORK_BLOCKS_MAX; i++) {
        await asterisk.send(wrongAnswer(`2001:db8:0:1:1::${i.toString(16)}`));
      }
      await until("the network is blocked", () => daemon.list.get(NETWORK) !== undefined);
      const { reason } = daemon.list.get(NETWORK)!;
      assert.match(reason, /somebody else in this network belongs here/);
      await until("the kernel has it", () => daemon.firewall.status().queued === 0);
      await until("the neighbour is out", async () => !await passes(NEIGHBOUR));
      assert.equal(await passes(PHONE), true);
    } finally {
      stop.abort();
      assert.equal(await running, 0);
    }
  });
});
