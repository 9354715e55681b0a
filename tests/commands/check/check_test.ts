/** `ampere --check` as a whole, against a real firewall and an imitation of Asterisk. */

import assert from "node:assert/strict";
import { check } from "../../../src/commands/check/check.ts";
import { readConfig } from "../../../src/config/parse.ts";
import { FakeAsterisk } from "../../support/fake_asterisk.ts";
import { inNamespace, sh } from "../../support/namespace.ts";

inNamespace(import.meta.url, () => {
  Deno.test("check: all is well, and the exit code says so; with a problem it is 1", async () => {
    for (const iptables of ["iptables", "ip6tables"]) {
      await sh(iptables, "-N", "ampere");
      await sh(iptables, "-I", "INPUT", "-j", "ampere");
    }
    await sh("ip", "link", "set", "lo", "up");
    await using asterisk = new FakeAsterisk({
      users: [{ name: "ampere", secret: "s3cret-of-ami", read: ["security", "system"] }],
    });
    const folder = await Deno.makeTempDir();
    const file = `${folder}/ampere.cfg`;
    await Deno.writeTextFile(
      file,
      `port = ${asterisk.port}\npass = s3cret-of-ami\ndatabase = ${folder}/ampere.db\n`,
      { mode: 0o600 },
    );
    const run = async () => {
      let text = "";
      const request = { config: file, verbose: false };
      const code = await check(request, readConfig(file), (part) => {
        text += part;
        return 0;
      });
      return { code, text };
    };
    try {
      const good = await run();
      assert.equal(good.code, 0, good.text);
      assert.ok(
        good.text.split("\n").slice(0, -1).every((line) => line.startsWith("ok ")),
        good.text,
      );

      let values = "";
      await check({ config: file, verbose: true }, readConfig(file), (part) => {
        values += part;
        return 0;
      });
      assert.match(values, /^ok {7}config {4}loyalty = 3$/m);
      assert.match(values, /^ok {7}config {4}pass = \(set\)$/m);
      assert.ok(!values.includes("s3cret"));

      await sh("iptables", "-D", "INPUT", "-j", "ampere");
      const bad = await run();
      assert.equal(bad.code, 1);
      assert.match(
        bad.text,
        /^problem {2}firewall {2}IPv4: INPUT does not ask ampere.*\n +fix: iptables -I INPUT/m,
      );

      await Deno.chmod(file, 0o644);
      await Deno.writeTextFile(file, "trsut = 10.0.0.1\n", { append: true });
      const doubtful = await run();
      assert.match(doubtful.text, new RegExp(`fix: chmod 600 ${file}`));
      assert.match(doubtful.text, /^warning {2}config .*trsut: unknown key/m);
      assert.ok(!doubtful.text.includes("s3cret"));

      await Deno.writeTextFile(file, "loyalty = none\n");
      const wrong = await run();
      assert.equal(wrong.code, 1);
      assert.deepEqual(wrong.text.match(/^\w+/gm), ["problem"]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});
