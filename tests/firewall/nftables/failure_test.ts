/** What people are told of a failure of nft, by what the real one says. */

import assert from "node:assert/strict";
import { run } from "../../../src/firewall/command.ts";
import { nftFailure } from "../../../src/firewall/nftables/failure.ts";
import { inNamespace } from "../../support/namespace.ts";

inNamespace(import.meta.url, () => {
  Deno.test("nftables: one that lacks an option is told to be too old", async () => {
    // Each version lacks this one, as versions before 0.9 lack others.
    const { kind, message, advice } = nftFailure(await run("nft", ["-Z", "list"]), 4, "ampere");
    assert.equal(kind, "refused");
    assert.match(message, /^IPv4: nft failed with code 1: .*invalid option -- 'Z'/);
    assert.match(advice, /too old.*0\.9\.8/);
  });

  Deno.test("nftables: a table that is not there, and a name that is a word of nft", async () => {
    const gone = nftFailure(await run("nft", ["list", "table", "inet", "none"]), 6, "none");
    assert.equal(gone.kind, "no-set");
    assert.match(gone.message, /^IPv6: the table "inet none", or something in it, is gone/);
    const word = nftFailure(await run("nft", ["add", "table", "inet", "list"]), 4, "list");
    assert.equal(word.kind, "refused");
    assert.match(word.advice, /choose another name for "chain".*"list" is a word of nft/);
  });
});
