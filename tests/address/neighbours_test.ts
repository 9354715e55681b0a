/** Who is never blocked on a machine with an address, a gateway and a resolver. */

import assert from "node:assert/strict";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Daemon } from "../../src/daemon/daemon.ts";
import { exemptAddresses } from "../../src/address/exempt.ts";
import { Log } from "../../src/log.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import { defaultGateways } from "../../src/address/neighbours.ts";
import { StatusServer, statusSocketPath } from "../../src/telemetry/status_socket.ts";
import { block } from "../support/database_samples.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { inNamespace, sh } from "../support/namespace.ts";

const QUIET = new Log({ level: "error", stderr: { writeSync: (bytes) => bytes.length } });

inNamespace(import.meta.url, () => {
  Deno.test("neighbours: this machine has an address, a gateway and a resolver", async () => {
    await Deno.writeTextFile("/run/resolv.conf", "nameserver 192.0.2.53\n");
    for (
      const command of [
        "mount --bind /run/resolv.conf /etc/resolv.conf",
        "ip link set lo up",
        "ip link add v0 type veth peer name v1",
        "ip addr add 192.0.2.2/24 dev v0",
        "ip link set v0 up",
        "ip link set v1 up",
        "ip route add default via 192.0.2.1",
      ]
    ) {
      const said = await sh("sh", "-c", command);
      assert.equal(said.code, 0, said.err);
    }
    const exempt = exemptAddresses(["198.51.100.1"], ["192.0.2.5"], ["192.0.2.1"]);
    const causes = [
      "198.51.100.1",
      "127.0.0.1",
      "192.0.2.2",
      "192.0.2.5",
      "192.0.2.1",
      "192.0.2.53",
    ];
    assert.deepEqual(causes.map((target) => exempt.causeOf(target)), [
      "trusted",
      "loopback",
      "own address",
      "AMI server",
      "default gateway",
      "resolver",
    ]);
    assert.equal(exempt.causeOf("192.0.2.77"), undefined);
    assert.deepEqual(defaultGateways(), [], "standard input is something else");
  });

  Deno.test("neighbours: an address, a gateway or a resolver that the machine gets while the daemon runs is let in", async () => {
    const clock = new FakeClock();
    const list = new DryRunBlockList("(memory)");
    const daemon = new Daemon({
      config: DEFAULT_CONFIG,
      list,
      backends: [],
      log: QUIET,
      clock,
      ami: { connect: () => Promise.reject(new Deno.errors.ConnectionRefused("refused")) },
    });
    list.add(["192.0.2.3", "192.0.2.54", "192.0.2.4"].map((target) => block(target)), Date.now());
    const stop = new AbortController();
    const running = daemon.run(stop.signal);
    await clock.advance(11_000);
    assert.equal(list.size, 3);
    await sh("ip", "addr", "add", "192.0.2.3/24", "dev", "v0");
    await Deno.writeTextFile("/run/resolv.conf", "nameserver 192.0.2.54\n");
    await clock.advance(11_000);
    assert.deepEqual(list.all().map(({ target }) => target), ["192.0.2.4"]);
    stop.abort();
    await clock.advance(1_000);
    await running;
  });

  Deno.test("neighbours: ampere -a refuses them, and asks the daemon for those that it can't see", async () => {
    const folder = await Deno.makeTempDir();
    const database = `${folder}/ampere.db`;
    await Deno.writeTextFile(`${folder}/a.cfg`, `database = ${database}\nhost = 192.0.2.5\n`);
    const add = (text: string) =>
      sh(
        "sh",
        "-c",
        `printf '${text}' | "$0" run -A --no-check main.ts -c ${folder}/a.cfg -a`,
        Deno.execPath(),
      );
    const alone = await add("192.0.2.5\\n192.0.2.54\\n192.0.2.2\\n203.0.113.0/24\\n");
    assert.deepEqual([alone.code, alone.out], [1, "1 added\n"]);
    assert.deepEqual(alone.err.match(/^line \d: \S+ (?:is|contains) .*$/gm)?.length, 3, alone.err);
    const server = await StatusServer.open(
      await statusSocketPath(database),
      () =>
        JSON.stringify({
          neverBlocked: [{ target: "192.0.2.1", cause: "default gateway" }],
          database: { owed: 0 },
        }) + "\n",
    );
    const asked = await add("192.0.2.1\\n203.0.113.0/24\\n");
    await server.stop();
    assert.deepEqual([asked.code, asked.out], [1, "0 added, 1 blocked already\n"]);
    assert.equal(asked.err, "line 1: 192.0.2.1 is the default gateway of this machine\n");
    await Deno.remove(folder, { recursive: true });
  });
});
