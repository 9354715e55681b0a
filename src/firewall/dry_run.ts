/**
 * A firewall that only says what would be done.
 *
 * @module
 */

import type { CommandResult, Input, Runner } from "./command.ts";

/** Most characters of a command that are shown. */
const COMMAND_CHARACTERS_MAX = 400;

/**
 * Makes a runner that runs nothing. It begins with empty chains and remembers what it was told,
 * so that looking at the firewall finds it as it should be.
 *
 * @param say Takes each command that would change something.
 *
 * @example
 * ```ts
 * import { dryRunner } from "./dry_run.ts";
 * import { IptablesBackend } from "./iptables.ts";
 *
 * const backend = new IptablesBackend({ family: 4, chain: "ampere", run: dryRunner(console.log) });
 * ```
 */
export function dryRunner(say: (command: string) => void): Runner {
  const chains = new Map<string, DryChain>();
  return (program, args, options) => {
    const at = args.findIndex((arg) => /^-[SADFIN]$/.test(arg));
    const verb = args[at];
    const name = args[at + 1] ?? "";
    const key = program === "ipset" ? program : `${program} ${name}`;
    const chain = chains.get(key) ?? new DryChain(program === "iptables" ? "/32" : "/128");
    if (name !== "" || program === "ipset") chains.set(key, chain);
    if (verb === "-S") {
      const listed = name === ""
        ? [...chains].filter(([other]) => other.startsWith(`${program} `))
          .map(([other, one]) => one.print(other.slice(program.length + 1)))
        : [chain.print(name)];
      return Promise.resolve(answer(listed.join("")));
    }
    if (verb !== undefined) chain.change(verb, args.slice(at + 2));
    else if (args.includes("list")) return Promise.resolve(answer(""));
    const input = options?.stdin === undefined
      ? ""
      : ` with the input: ${lines(options.stdin, program === "nft")}`;
    say(`${program} ${args.join(" ")}${input}`.slice(0, COMMAND_CHARACTERS_MAX));
    return Promise.resolve(answer(""));
  };
}

/** The rules of one family, as `iptables -S` prints them. */
class DryChain {
  readonly #fullPrefix: string;
  #rules = new Set<string>();

  constructor(fullPrefix: string) {
    this.#fullPrefix = fullPrefix;
  }

  change(verb: string, rule: readonly string[]): void {
    if (verb === "-N") return;
    if (verb === "-F") return this.#rules.clear();
    const source = rule.indexOf("-s") + 1;
    const targets = source === 0 ? [""] : rule[source]!.split(",");
    for (const target of targets) {
      const full = target === "" || target.includes("/") ? target : target + this.#fullPrefix;
      const text = rule.map((word, i) => i === source && source > 0 ? full : word).join(" ");
      if (verb === "-A") this.#rules.add(text);
      else if (verb === "-I") this.#rules = new Set([text, ...this.#rules]);
      else this.#rules.delete(text);
    }
  }

  print(chain: string): string {
    return [`-N ${chain}`, ...[...this.#rules].map((rule) => `-A ${chain} ${rule}`)].join("\n") +
      "\n";
  }
}

/** What nft is told of tables, sets and rules hides whom it is about. */
function lines(input: Input, isNft: boolean): string {
  const all = [...input].join("").trim().split("\n");
  if (!isNft) return all.join("; ");
  const elements = all.filter((line) => /^(?:add|delete) element \S+ \S+ (?!farewell)/.test(line));
  if (elements.length < all.length) elements.unshift("(its table, sets and rules)");
  return elements.join("; ");
}

function answer(stdout: string): CommandResult {
  return {
    ok: true,
    code: 0,
    stdout: new TextEncoder().encode(stdout),
    stderr: "",
    timedOut: false,
    aborted: false,
    missing: false,
    denied: false,
    incomplete: false,
  };
}
