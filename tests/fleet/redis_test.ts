/** The real engine: rights, TLS, and what `--check` says of it. */

import assert from "node:assert/strict";
import { checkFleet } from "../../src/commands/check/fleet.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Authority } from "../support/certificates.ts";
import { engineTest, RedisServer } from "../support/redis.ts";
import { TestNode, until } from "./nodes.ts";

/** The command of docs/fleet.md, as a shell would take it apart. */
function documentedLine(): string[] {
  const text = Deno.readTextFileSync(new URL("../../docs/fleet.md", import.meta.url));
  const [, line] = /redis-cli (ACL SETUSER .*)/.exec(text)!;
  return line!.split(" ").map((word) => word.replaceAll("'", ""));
}

function configFor(port: number, parts: { user?: string; tls?: boolean; host?: string } = {}) {
  const { user, tls = false, host = "127.0.0.1" } = parts;
  const fleet = { host, port, tls, user, database: 0 };
  return { ...DEFAULT_CONFIG, fleet, fleetName: "pbx1" };
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "ampere-fleet-" });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

engineTest(
  "the documented rights are enough, and each of them is needed",
  (engine) =>
    inFolder(async (folder) => {
      await using server = await RedisServer.start({ engine });
      assert.equal(await server.cli(...documentedLine()), "OK");
      await server.cli("ACL", "SETUSER", "default", "off");
      const file = `${folder}/pass`;
      await Deno.writeTextFile(file, "SECRET\n", { mode: 0o600 });
      const config = { ...configFor(server.port, { user: "ampere" }), fleetPassFile: file };
      const [fine] = await checkFleet(config);
      assert.equal(fine!.level, "ok", fine!.message);

      const login = { user: "ampere", secret: () => "SECRET", port: server.port };
      await using one = new TestNode("pbx1", login).start();
      await using two = new TestNode("pbx2", login).start();
      one.block("192.0.2.1");
      await until("the block is on pbx2", () => two.list.has("192.0.2.1"));
      two.release("192.0.2.1");
      await until("it is released", () => !one.list.has("192.0.2.1"));
      assert.deepEqual([one.fleet.state.trouble, two.fleet.state.trouble], [undefined, undefined]);

      // The user may do nothing else.
      const as = (...args: string[]) =>
        server.cli("--no-auth-warning", "--user", "ampere", "-a", "SECRET", ...args);
      for (
        const denied of [["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"], ["GET", "other"]]
      ) {
        assert.match(await as(...denied), /NOPERM/, denied.join(" "));
      }
      await Deno.chmod(file, 0o644);
      const [open] = await checkFleet(config);
      assert.match(
        `${open!.level} ${open!.message} ${open!.advice}`,
        /^problem .*everybody .*chmod 600/,
      );
      await Deno.chmod(file, 0o600);
      await Deno.writeTextFile(file, "WRONG-one\n");
      const [wrong] = await checkFleet(config);
      assert.match(`${wrong!.level} ${wrong!.message}`, /^problem .*WRONGPASS/);
      assert.equal(JSON.stringify(wrong).includes("WRONG-one"), false);
    }),
);

engineTest(
  "--check: a right that is missing is named with the line that gives it",
  async (engine) => {
    await using server = await RedisServer.start({ engine });
    await server.cli("ACL", "SETUSER", "default", "resetkeys", "~ampere:*", "-xadd", "-zadd");
    const [finding] = await checkFleet(configFor(server.port));
    assert.match(finding!.message, /NOPERM .*'?zadd'? .*\(and 1 more\)/);
    // What is advised mends it.
    const [, advised] = /(ACL SETUSER .*)$/.exec(finding!.advice)!;
    await server.cli("ACL", "SETUSER", "default", "allcommands");
    const words = advised!.split(" ").map((word) => word === ">SECRET" ? "nopass" : word);
    assert.equal(await server.cli(...words), "OK");
    const [fine] = await checkFleet(configFor(server.port));
    assert.equal(fine!.level, "ok", fine!.message);
  },
);

engineTest("--check: what is wrong with the engine, each with its advice", async (engine) => {
  await using server = await RedisServer.start({ engine });
  const said = async () => {
    const [finding] = await checkFleet(configFor(server.port));
    return `${finding!.level}: ${finding!.message}; fix: ${finding!.advice}`;
  };
  await server.cli("CONFIG", "SET", "maxmemory", "1");
  assert.match(await said(), /^problem: .*OOM.*; fix: .*maxmemory/);
  await server.cli("CONFIG", "SET", "maxmemory", "0");
  await server.cli("REPLICAOF", "127.0.0.1", "1");
  assert.match(await said(), /^problem: .*READONLY.*; fix: .*primary/);
  await server.cli("REPLICAOF", "NO", "ONE");
  await server.cli("CONFIG", "SET", "requirepass", "s3cret");
  assert.match(await said(), /^problem: .*NOAUTH.*; fix: .*fleet_pass_file/);
  await server.kill();
  assert.match(await said(), /^problem: .*connection refused.*; fix: .*systemctl status/);
});

engineTest(
  "by TLS, with an authority of one's own, and never without",
  (engine) =>
    inFolder(async (folder) => {
      const authority = await Authority.make();
      const issued = await authority.issue({ names: "DNS:localhost" });
      const [ca, cert, key] = ["ca", "crt", "key"].map((name) => `${folder}/${name}`) as [
        string,
        string,
        string,
      ];
      await Deno.writeTextFile(ca, authority.certificate);
      await Deno.writeTextFile(cert, issued.certificate);
      await Deno.writeTextFile(key, issued.key);
      await using server = await RedisServer.start({ engine, tls: { cert, key, ca } });
      const tls = { host: "localhost", port: server.port, tls: true };
      await using one = new TestNode("pbx1", { ...tls, ca }).start();
      await using two = new TestNode("pbx2", { ...tls, ca }).start();
      one.block("192.0.2.1");
      await until("the block is on pbx2", () => two.list.has("192.0.2.1"));

      const config = configFor(server.port, { tls: true, host: "localhost" });
      const [unknown] = await checkFleet(config);
      assert.match(`${unknown!.message} ${unknown!.advice}`, /authority .*does not know.*fleet_ca/);
      const [fine] = await checkFleet({ ...config, fleetCa: ca });
      assert.equal(fine!.level, "ok", fine!.message);
      const [plain] = await checkFleet(configFor(server.port));
      assert.equal(plain!.level, "problem");
      await using open = await RedisServer.start({ engine });
      const [none] = await checkFleet(configFor(open.port, { tls: true }));
      assert.equal(none!.level, "problem");
    }),
);
