/** Connecting by name: the daemon and the check get to the address that answers. */

import assert from "node:assert/strict";
import { AmiClient } from "../../src/ami/client.ts";
import {
  ADDRESSES_MAX,
  dial,
  DialError,
  NEXT_ADDRESS_MS,
  resolveHost,
} from "../../src/ami/dial.ts";
import { checkAsterisk } from "../../src/commands/check/asterisk.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { inNamespace, sh, until } from "../support/namespace.ts";

const USERS = [{ name: "ampere", secret: "ampere", read: ["security", "system"] }];

async function refusal(dialled: Promise<Deno.TcpConn>): Promise<DialError> {
  try {
    (await dialled).close();
  } catch (error) {
    if (error instanceof DialError) return error;
    throw error;
  }
  throw new Error("connected");
}

inNamespace(import.meta.url, () => {
  Deno.test("dial: the namespace has two families, and a network where nobody is", async () => {
    await Deno.writeTextFile("/run/hosts", "::1 localhost\n127.0.0.1 localhost\n");
    for (
      const command of [
        ["mount", "--bind", "/run/hosts", "/etc/hosts"],
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"],
        ["ip", "addr", "add", "192.0.2.1/24", "dev", "v0"],
        ["ip", "link", "set", "v0", "up"],
        ["ip", "link", "set", "v1", "up"],
      ]
    ) {
      const said = await sh(command[0]!, ...command.slice(1));
      assert.equal(said.code, 0, said.err);
    }
    assert.deepEqual(await resolveHost("localhost"), ["::1", "127.0.0.1"]);
    assert.deepEqual(await resolveHost("192.0.2.9"), ["192.0.2.9"]);
  });

  Deno.test("dial: localhost is both loopback addresses for the daemon, and for the check", async () => {
    await using asterisk = new FakeAsterisk({ users: USERS, refusalMs: 1 });
    const said: string[] = [];
    const peers: string[][] = [];
    const client = new AmiClient(
      { host: "localhost", port: asterisk.port, user: "ampere", pass: "ampere" },
      {
        event: () => {},
        tampered: () => {},
        connected: () => void said.push("connected"),
        disconnected: (why) => void said.push(why),
        peers: (addresses) => void peers.push([...addresses]),
      },
    );
    const stop = new AbortController();
    const running = client.run(stop.signal);
    await until("the daemon is connected or has failed", () => said.length > 0);
    stop.abort();
    await running;
    assert.deepEqual([said, peers], [["connected"], [["::1", "127.0.0.1"]]]);
    const config = { ...DEFAULT_CONFIG, host: "localhost", port: asterisk.port };
    const findings = await checkAsterisk(config);
    assert.match(findings[0]!.message, /^logged in at localhost:/);
  });

  Deno.test("dial: an address that is silent does not hold up the next one", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const began = performance.now();
    const connection = await dial("pbx", port, {
      resolve: () => Promise.resolve(["192.0.2.2", "192.0.2.3", "127.0.0.1"]),
    });
    const took = performance.now() - began;
    assert.equal(connection.remoteAddr.hostname, "127.0.0.1");
    assert.ok(took >= 2 * NEXT_ADDRESS_MS - 50 && took < 2 * NEXT_ADDRESS_MS + 1_000, `${took} ms`);
    connection.close();
    listener.close();
  });

  Deno.test("dial: what hinders is told of each address", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    assert.equal((await refusal(dial("127.0.0.1", port))).message, "connection refused");
    assert.equal(
      (await refusal(dial("localhost", port))).message,
      "connection refused (::1, 127.0.0.1)",
    );
    const unreachable = { resolve: () => Promise.resolve(["127.0.0.1", "198.51.100.1"]) };
    assert.equal(
      (await refusal(dial("pbx", port, unreachable))).message,
      "connection refused (127.0.0.1); no route to it (198.51.100.1)",
    );
    const nowhere = await refusal(dial("no-such-host.invalid", port));
    assert.equal(nowhere.aboutName, true);
    assert.match(nowhere.message, /^its name /);
  });

  Deno.test("dial: it can be given up, and a name has no more addresses than are looked at", async () => {
    const stop = new AbortController();
    const silent = { resolve: () => Promise.resolve(["192.0.2.4"]), signal: stop.signal };
    const dialled = refusal(dial("pbx", 5038, silent));
    stop.abort();
    assert.equal((await dialled).message, "given up");
    const lines = Array.from({ length: ADDRESSES_MAX + 4 }, (_, i) => `192.0.2.${i + 1} many\n`);
    await Deno.writeTextFile("/run/hosts", lines.join(""));
    assert.equal((await resolveHost("many")).length, ADDRESSES_MAX);
  });

  Deno.test("dial: a connection that is made just when it is given up is closed", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const stop = new AbortController();
    const { connect } = Deno;
    // It connects as ever, but the order of the two is chosen.
    const giveUpThen = async (options: Deno.ConnectOptions) => {
      const connection = await connect(options);
      stop.abort();
      return connection;
    };
    Object.assign(Deno, { connect: giveUpThen });
    try {
      const dialled = refusal(dial("127.0.0.1", listener.addr.port, { signal: stop.signal }));
      const peer = await listener.accept();
      assert.equal((await dialled).message, "given up");
      let ended: number | null | undefined;
      peer.read(new Uint8Array(1)).then((count) => ended = count, () => {});
      await until("the server is told of the end", () => ended === null);
      peer.close();
    } finally {
      Object.assign(Deno, { connect });
      listener.close();
    }
  });
});
