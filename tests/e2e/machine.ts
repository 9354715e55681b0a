/**
 * A machine of its own for tests of the whole: network, mount and process namespaces, with real
 * iptables and with the folders of an installed Ampere, so that nothing outside is touched.
 *
 * @module
 */

import { sh } from "../support/namespace.ts";
import { compiledAmpere } from "./executable.ts";

/** Names the executable, in the process that runs inside. */
const INSIDE = "AMPERE_TEST_EXECUTABLE";

/**
 * What the machine begins with: a copy of /etc, but for the resolver, which no test must block; and
 * no other state. The last command is not `exec`: the shell is the first process, and has to take
 * care of orphans.
 */
const PREPARE = `
  mount -t tmpfs none /run
  mkdir /run/etc && cp -a /etc/. /run/etc && mount --bind /run/etc /etc
  mount -t tmpfs none /var/lib
  mount -t tmpfs none /var/log
  rm -f /etc/resolv.conf && echo nameserver 127.0.0.53 > /etc/resolv.conf
  rm -rf /etc/ampere && mkdir /etc/ampere /var/lib/ampere
  ip link set lo up
  "$@"`;

/** Everything that runs inside ends with the first process. */
const UNSHARE = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];

/** The arguments of `unshare` that make the machine and run a command on it. */
function machineArgs(...command: string[]): string[] {
  return [...UNSHARE, "sh", "-ec", PREPARE, "sh", ...command];
}

/** Why no machine can be made here, if so. */
function obstacleHere(): string | undefined {
  if (Deno.uid() !== 0) return "needs root";
  try {
    const { success, stderr } = new Deno.Command("unshare", {
      args: machineArgs("sh", "-c", "iptables -S && ip6tables -S"),
      stdin: "null",
    }).outputSync();
    if (success) return undefined;
    return `no namespaces here: ${new TextDecoder().decode(stderr).trim().split("\n")[0]}`;
  } catch (error) {
    return `unshare cannot be run: ${error instanceof Error ? error.message : error}`;
  }
}

/**
 * Runs the tests of a file on a machine of its own, by running the file once more there. The
 * executable is compiled before, because there is no network inside.
 *
 * @param url `import.meta.url` of the test file
 * @param define registers the tests, given the path of the executable
 * @param obstacle why the tests cannot run here, if there is a reason that only they know
 */
export function onOwnMachine(
  url: string,
  define: (executable: string) => void,
  obstacle?: string,
): void {
  const executable = Deno.env.get(INSIDE);
  if (executable !== undefined) return define(executable);
  const why = obstacleHere() ?? obstacle;
  const name = url.split("/").slice(-2).join("/");
  const left = why === undefined ? "" : ` (left out: ${why})`;
  Deno.test(
    `${name} on a machine of its own${left}`,
    { ignore: why !== undefined },
    async () => {
      const path = await compiledAmpere();
      const { code } = await new Deno.Command("unshare", {
        args: machineArgs(Deno.execPath(), "test", "-A", "--no-check", url),
        env: { [INSIDE]: path },
        stdin: "null",
        stdout: "inherit",
        stderr: "inherit",
      }).output();
      if (code !== 0) throw new Error(`the tests on the machine failed (code ${code})`);
    },
  );
}

/** The programs for both families. */
export const FAMILIES = ["iptables", "ip6tables"] as const;

/** Makes an empty chain with its jump, for the given families. */
export async function makeChain(
  chain = "ampere",
  families: readonly typeof FAMILIES[number][] = FAMILIES,
): Promise<void> {
  for (const program of families) {
    await must(program, "-w", "-N", chain);
    await must(program, "-w", "-I", "INPUT", "-j", chain);
  }
}

/** Removes all rules and chains. */
export async function emptyFirewall(): Promise<void> {
  for (const program of FAMILIES) {
    await must(program, "-w", "-F");
    await must(program, "-w", "-X");
  }
}

/**
 * What the kernel blocks by a chain, in both families, as iptables lists it. A rule that is not
 * Ampere's is an error.
 *
 * @param chain the chain; it must exist for IPv4
 */
export async function blockedIn(chain = "ampere"): Promise<Set<string>> {
  const blocked = new Set<string>();
  for (const [program, icmp] of [["iptables", "icmp"], ["ip6tables", "icmp6"]] as const) {
    const { code, out, err } = await sh(program, "-w", "-S", chain);
    if (code !== 0 && program === "ip6tables") continue;
    if (code !== 0) throw new Error(`${program} -S ${chain}: ${err}`);
    const rule = new RegExp(
      `^-A \\S+ -s (\\S+?)(?:/32|/128)? -j REJECT --reject-with ${icmp}-port-unreachable$`,
    );
    for (const line of out.trim().split("\n").slice(1)) {
      const target = rule.exec(line)?.[1];
      if (target === undefined) throw new Error(`a strange rule: ${line}`);
      if (blocked.has(target)) throw new Error(`${target} has two rules`);
      blocked.add(target);
    }
  }
  return blocked;
}

/** Runs a program that must succeed; gives its output. */
export async function must(program: string, ...args: string[]): Promise<string> {
  const { code, out, err } = await sh(program, ...args);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${err}`);
  return out;
}
