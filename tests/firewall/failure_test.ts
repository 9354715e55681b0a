/** What programs say, and what it means; that they say so is tested with the real ones. */

import assert from "node:assert/strict";
import type { CommandResult, Program } from "../../src/firewall/command.ts";
import {
  type FailureKind,
  failureOf,
  firstLine,
  isLasting,
  placeOf,
} from "../../src/firewall/failure.ts";

const SAID: CommandResult = {
  ok: false,
  code: 4,
  stdout: new Uint8Array(0),
  stderr: "",
  timedOut: false,
  aborted: false,
  missing: false,
  denied: false,
  incomplete: false,
};

function failure(said: Partial<CommandResult>, program: Program = "iptables", family: 4 | 6 = 4) {
  return failureOf({ ...SAID, ...said }, program, placeOf("ampere", family));
}

const kindOf = (stderr: string) => failure({ stderr }).kind;

Deno.test("failure: what the programs say is understood, of all versions that are supported", () => {
  const meanings: [string, FailureKind][] = [
    ["Another app is currently holding the xtables lock. Perhaps you want to use -w?", "busy"],
    ["Another app is currently holding the xtables lock; waiting (1s) for it to exit...", "busy"],
    ["iptables: Resource temporarily unavailable.", "busy"],
    ["Fatal: can't open lock file /run/xtables.lock: Permission denied", "no-rights"],
    ["Fatal: can't open lock file /run/xtables.lock: Read-only file system", "no-rights"],
    [
      "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)",
      "no-rights",
    ],
    ["Kernel error received: Operation not permitted", "no-rights"],
    ["iptables: No chain/target/match by that name.", "no-chain"],
    [
      "iptables v1.8.9 (nf_tables): chain `ampere' in table `filter' is incompatible, use 'nft' tool.",
      "no-chain",
    ],
    [
      "iptables v1.8.9 (legacy): can't initialize iptables table `filter': Table does not exist (do you need to insmod?)",
      "no-module",
    ],
    ["Cannot open session to kernel.", "no-module"],
    ["ipset v7.17: The set with the given name does not exist", "no-set"],
    ["iptables v1.8.9 (nf_tables): Set ampere4 doesn't exist.", "no-set"],
    ["ipset v7.17: Error in line 1: Hash is full, cannot add more elements", "full"],
    ["Bad argument `x'", "refused"],
    ["", "refused"],
  ];
  for (const [text, kind] of meanings) assert.equal(kindOf(text), kind, text);
});

Deno.test("failure: what Ampere itself knows counts more than what the program said", () => {
  const stderr = "iptables: No chain/target/match by that name.";
  assert.equal(failure({ stderr, aborted: true, timedOut: true }).kind, "aborted");
  assert.equal(failure({ stderr, missing: true }).kind, "missing-program");
  assert.equal(failure({ stderr, denied: true }).kind, "denied");
  assert.equal(failure({ stderr, timedOut: true }).kind, "timed-out");
  assert.equal(failure({ stderr }).kind, "no-chain");
});

Deno.test("failure: the message names family, program and place, and one line of what was said", () => {
  const stderr = "# Warning: iptables-legacy tables present\n\n  Bad rule \nTry `iptables -h'\n";
  const { message, family, advice } = failure({ stderr, code: 2 }, "ip6tables", 6);
  assert.equal(message, "IPv6: ip6tables failed with code 2: Bad rule");
  assert.deepEqual([family, advice], [6, ""]);
  const chain = failure({ stderr: "No chain/target/match by that name." });
  assert.match(chain.message, /^IPv4: there is no chain "ampere" \(iptables: No chain/);
  const set = failure({ stderr: "The set with the given name does not exist" }, "ipset", 6);
  assert.match(set.message, /^IPv6: there is no set "ampere6" \(ipset: /);
  assert.match(failure({ code: undefined }).message, /code \(none\): it gave no reason$/);
  assert.match(failure({ incomplete: true }).message, /output of iptables was not read to its end/);
});

Deno.test("failure: the advice is for the family, the program and the cause", () => {
  const chain = { stderr: "No chain/target/match by that name." };
  assert.match(failure(chain).advice, /^iptables -N ampere && iptables -I INPUT /);
  assert.match(
    failure(chain, "ip6tables", 6).advice,
    /^ip6tables -N ampere && ip6tables -I INPUT /,
  );
  const module = { stderr: "Table does not exist" };
  assert.match(failure(module).advice, /ip_tables/);
  assert.match(failure(module, "ip6tables", 6).advice, /ip6_tables/);
  assert.match(failure(module, "ipset").advice, /ip_set_hash_net/);
  assert.match(failure({ missing: true }).advice, /apt-get install iptables/);
  assert.match(failure({ missing: true }, "ipset").advice, /apt-get install ipset/);
  assert.match(failure({ denied: true }, "ipset").advice, /ipset.*restart/);
  assert.match(
    failure({ stderr: "can't open lock file /run/xtables.lock" }).advice,
    /ReadWritePaths/,
  );
  assert.match(failure({ stderr: "Permission denied" }).advice, /CAP_NET_ADMIN/);
  assert.match(failure({ stderr: "Hash is full, cannot add" }).advice, /ampere -d/);
  // What passes by itself needs nobody.
  assert.equal(failure({ stderr: "holding the xtables lock" }).advice, "");
});

Deno.test("failure: a person is needed where waiting mends nothing", () => {
  const kinds: Record<FailureKind, boolean> = {
    "missing-program": true,
    denied: true,
    "no-rights": true,
    "no-chain": true,
    "no-module": true,
    "no-set": false,
    busy: false,
    "timed-out": false,
    aborted: false,
    full: false,
    refused: false,
  };
  for (const [kind, lasting] of Object.entries(kinds) as [FailureKind, boolean][]) {
    assert.equal(isLasting({ ...failure({}), kind }), lasting, kind);
  }
});

Deno.test("failure: of many lines the first that says something is told", () => {
  assert.equal(firstLine("\n  \n# note\n  that  \nmore"), "that");
  assert.equal(firstLine(""), "it gave no reason");
  assert.equal(firstLine("# note\n"), "it gave no reason");
});
