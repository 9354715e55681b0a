/** What comes between the reading of the list and the first command of the firewall. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Daemon } from "../../src/daemon/daemon.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { Firewall } from "../../src/firewall/firewall.ts";
import { IpsetBackend } from "../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import { Log } from "../../src/log.ts";
import {
  address,
  block,
  removeEnded,
  targetsOf,
  withDatabase,
} from "../support/database_samples.ts";
import { inNamespace, sh, until } from "../support/namespace.ts";

const HOST = "192.0.2.1";
const LATER = "198.51.100.7";
const BACKENDS = { iptables: IptablesBackend, ipset: IpsetBackend };

/** The targets that the kernel blocks. */
async function inKernel(backend: keyof typeof BACKENDS): Promise<string[]> {
  const ipset = backend === "ipset";
  const { out } = await (ipset ? sh("ipset", "save", "ampere4") : sh("iptables", "-S", "ampere"));
  const line = ipset ? /^add ampere4 (\S+) / : /^-A ampere -s (\S+)\/32 /;
  return out.split("\n").flatMap((text) => line.exec(text)?.[1] ?? []).sort();
}

/**
 * Reads a list of 20,001 blocks, lets something happen, and runs the daemon.
 *
 * @param meanwhile what happens when the list has been read
 * @returns the list and the kernel when all is done
 */
async function start(
  backend: keyof typeof BACKENDS,
  ends: number | undefined,
  meanwhile: (other: BlockDatabase, daemon: Daemon, config: Config) => void,
  ahead = 0,
): Promise<{ list: string[]; kernel: string[] }> {
  for (const args of [["-N", "ampere"], ["-F", "ampere"]]) await sh("iptables", ...args);
  let result = { list: [] as string[], kernel: [] as string[] };
  await withDatabase(async (path) => {
    const now = Date.now();
    using other = BlockDatabase.open(path);
    const all = Array.from({ length: 20_000 }, (_, n) => block(address(n), { until: ends }));
    other.add([...all, block(HOST, { until: now + 1 })], now - 1_000);
    const config: Config = { ...DEFAULT_CONFIG, backend, port: 1, database: path };
    const backends = [new BACKENDS[backend]({ family: 4, chain: "ampere" })];
    const exempt = (trust: readonly string[]) => new AddressSet(trust);
    const list = WrittenBlockList.open(path, { now: now + 2 });
    const daemon = new Daemon({
      config,
      list,
      backends,
      exempt,
      log: new Log({ level: "error", stderr: { writeSync: (bytes) => bytes.length } }),
      wallClock: () => Date.now() + 2 + ahead,
    });
    meanwhile(other, daemon, config);
    const stop = new AbortController();
    const running = daemon.run(stop.signal);
    await until("the first command has begun", () => daemon.firewall.status().commands > 0);
    await daemon.firewall.idle();
    result = { list: targetsOf(list).sort(), kernel: await inKernel(backend) };
    stop.abort();
    await running;
  });
  await sh("iptables", "-F", "ampere");
  await sh("ipset", "destroy");
  return result;
}

inNamespace(import.meta.url, () => {
  for (const backend of ["iptables", "ipset"] as const) {
    Deno.test(`${backend}: a block that others renew once the list is read is not lost`, async () => {
      const { list, kernel } = await start(backend, undefined, (other) => {
        removeEnded(other, Date.now() + 10);
        other.add([block(HOST), block(LATER)], Date.now());
        other.remove([address(5)]);
      });
      assert.equal(list.length, 20_001);
      assert.ok(list.includes(HOST) && list.includes(LATER) && !list.includes(address(5)));
      assert.deepEqual(kernel, list);
    });

    Deno.test(`${backend}: who is released before the first command does not stay blocked`, async () => {
      const { list, kernel } = await start(backend, undefined, (_, daemon, config) => {
        daemon.reconfigure({ ...config, trust: [address(7)] });
        daemon.reconfigure(config);
      });
      assert.equal(list.length, 19_999);
      assert.deepEqual(kernel, list);
    });

    Deno.test(`${backend}: when all have ended in the end, nothing stays`, async () => {
      const soon = Date.now() + 3_600_000;
      const { list, kernel } = await start(backend, soon, () => {}, 7_200_000);
      assert.deepEqual([list, kernel], [[], []]);
    });

    Deno.test(`${backend}: a target that is given twice is released by one release`, async () => {
      await sh("iptables", "-N", "ampere");
      const backends = [new BACKENDS[backend]({ family: 4, chain: "ampere" })];
      const log = { debug() {}, info() {}, warn() {}, error() {} };
      const firewall = new Firewall({ backends, log, verifyMs: 3_600_000 });
      const twice = [HOST, LATER, HOST].map((target) => ({ target, until: undefined }));
      await firewall.start(twice);
      await firewall.idle();
      assert.deepEqual(await inKernel(backend), [HOST, LATER]);
      firewall.release([HOST]);
      await firewall.idle();
      assert.deepEqual(await inKernel(backend), [LATER]);
      await firewall.stop();
      await sh("iptables", "-F", "ampere");
      await sh("ipset", "destroy");
    });
  }
});
