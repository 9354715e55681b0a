/** Which sets of others make changes slow: each kind as nft lists it, whichever version runs. */

import assert from "node:assert/strict";
import { type CommandResult, run } from "../../../src/firewall/command.ts";
import { findForeignSets } from "../../../src/firewall/nftables/foreign_sets.ts";
import { inNamespace, sh } from "../../support/namespace.ts";

const find = () => findForeignSets((args, options) => run("nft", args, options));

const networks = (count: number, first = 11) =>
  Array.from({ length: count }, (_, i) => `${first}.${i >> 8}.${i & 255}.0/25`);

const elements = (list: readonly string[], behind = "") =>
  `elements = { ${list.map((element) => element + behind).join(", ")} }`;

async function load(text: string): Promise<void> {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, text.replaceAll(/; (?=[a-z}])/g, "\n"));
  const { code, err } = await sh("nft", "-f", path);
  assert.equal(code, 0, err.slice(0, 300));
  await Deno.remove(path);
}

/** What there is, and what is said of it. */
const CASES: Readonly<Record<string, readonly [text: string, ...said: string[]]>> = {
  "a set": [
    `table ip geo { set nl { type ipv4_addr; flags interval; ${elements(networks(6_000))}; }; }`,
    "ip geo nl (6,000 intervals)",
  ],
  "a set with an end for each, as block lists are": [
    `table ip6 crowdsec6 { set crowdsec6-blacklists { type ipv6_addr; flags interval,timeout; ${
      elements(Array.from({ length: 6_000 }, (_, i) => `2001:db8:${i}::/48`), " timeout 1h")
    }; }; }`,
    "ip6 crowdsec6 crowdsec6-blacklists (6,000 intervals)",
  ],
  "a set that is made after a key": [
    `table inet a { set b.c-d/e { typeof ip saddr; flags interval; auto-merge; ${
      elements(networks(6_000))
    }; }; }`,
    "inet a b.c-d/e (6,000 intervals)",
  ],
  "a map": [
    `table inet a { map m { type ipv4_addr : verdict; flags interval; ${
      elements(networks(6_000), " : drop")
    }; }; }`,
    "inet a m (6,000 intervals)",
  ],
  "a set without a name": [
    `table inet a { chain c { ip saddr { ${networks(6_000).join(", ")} } drop; }; }`,
    "a rule in inet a c (6,000 intervals)",
  ],
  "a map without a name": [
    `table inet a { chain c { ip saddr vmap { ${
      networks(6_000).map((network) => `${network} : drop`).join(", ")
    } }; }; }`,
    "a rule in inet a c (6,000 intervals)",
  ],
  "many that are small": [
    `table inet a { ${
      Array.from({ length: 20 }, (_, i) =>
        `set s${i} { type ipv4_addr; flags interval; ${elements(networks(300 + i, 11 + i))}; }; `)
        .join("")
    }}`,
    ...[19, 18, 17, 16].map((i) => `inet a s${i} (${300 + i} intervals)`),
    "16 more",
  ],
  "one in the table that is Ampere's": [
    `table inet ampere { set mine { type ipv4_addr; flags interval; ${
      elements(networks(6_000))
    }; }; set hosts4 { type ipv4_addr; flags timeout; ${
      elements(networks(6_000).map((network) => network.split("/")[0]!))
    }; }; }`,
    "inet ampere mine (6,000 intervals)",
  ],
  "few": [
    `table inet a { set s { type ipv4_addr; flags interval; ${elements(networks(4_000))}; }; }`,
  ],
  "none yet": ["table inet a { set s { type ipv4_addr; flags interval; }; }"],
  "single hosts": [
    `table inet a { set s { type ipv4_addr; ${
      elements(networks(8_000).map((network) => network.split("/")[0]!))
    }; }; chain c { ip saddr { ${
      networks(8_000).map((network) => network.split("/")[0]).join(", ")
    } } drop; }; }`,
  ],
  "several fields": [
    `table inet a { set s { type ipv4_addr . inet_service; flags interval; ${
      elements(networks(6_000), " . 80")
    }; }; set t { typeof ip saddr . tcp dport; flags interval; ${
      elements(networks(6_000), " . 80")
    }; }; }`,
  ],
};

inNamespace(import.meta.url, () => {
  for (const [name, [text, ...said]] of Object.entries(CASES)) {
    Deno.test(`foreign sets: ${name}`, async () => {
      try {
        await load(text);
        assert.deepEqual(await find(), said);
      } finally {
        await sh("nft", "flush", "ruleset");
      }
    });
  }
});

Deno.test("foreign sets: what was listed until the limit is enough", async () => {
  const answers = [
    "table inet a {\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t}\n}\n",
    `table inet a {\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { ${
      networks(6_000).join(",\n\t\t\t     ")
    },\n`,
  ];
  const listed = (text: string): CommandResult => ({
    ok: false,
    code: undefined,
    stdout: new TextEncoder().encode(text),
    stderr: "",
    timedOut: true,
    aborted: false,
    missing: false,
    denied: false,
    incomplete: true,
  });
  const asked: string[] = [];
  const said = await findForeignSets((args) => {
    asked.push(args.join(" "));
    return Promise.resolve(listed(answers.shift()!));
  });
  assert.deepEqual(said, ["inet a s (6,000 intervals)"]);
  assert.deepEqual(asked, ["-t list ruleset", "list table inet a"]);
});

Deno.test("foreign sets: a name that nft would read as a command is not handed to it", async () => {
  const text =
    "table inet a; flush ruleset {\n\tset s {\n\t\ttype mark\n\t\tflags interval\n\t}\n}\n";
  const asked: string[] = [];
  const run = (args: readonly string[]) => {
    asked.push(args.join(" "));
    const stdout = new TextEncoder().encode(text);
    return Promise.resolve({ stdout } as CommandResult);
  };
  assert.deepEqual(await findForeignSets(run), []);
  assert.deepEqual(asked, ["-t list ruleset"]);
});
