/** The backend's tests once more, with the oldest nft that works and with a newer one. */

import assert from "node:assert/strict";
import { MACHINES, rootOf } from "../../../tools/firewalls.ts";
import { copyOnWrite } from "../../e2e/debian.ts";
import { must } from "../../e2e/machine.ts";
import { inNamespace, sh, withPrograms } from "../../support/namespace.ts";

const TESTS = ["nftables_test.ts", "foreign_sets_test.ts"].map((name) =>
  new URL(name, import.meta.url).href
);

inNamespace(import.meta.url, () => {
  for (const machine of [MACHINES.old, MACHINES.current]) {
    const root = rootOf(machine);
    const why = root === undefined
      ? ` (left out: no Debian ${machine.suite}; "deno task firewalls" gets it)`
      : Deno.uid() !== 0
      ? " (left out: needs root)"
      : "";
    Deno.test(`nftables with nft ${machine.nft}${why}`, { ignore: why !== "" }, async () => {
      const copy = await copyOnWrite(root!);
      await must("mount", "--bind", "/tmp", `${copy}/tmp`);
      const nft = `#!/bin/sh\nexec chroot ${copy} /usr/sbin/nft "$@"\n`;
      await using _ = await withPrograms({ nft });
      assert.match(await must("nft", "--version"), new RegExp(` v${machine.nft} `));
      const { code, out, err } = await sh(Deno.execPath(), "test", "-A", "--no-check", ...TESTS);
      assert.equal(code, 0, `${out}\n${err}`);
      assert.doesNotMatch(out, / 0 passed/);
    });
  }
});
