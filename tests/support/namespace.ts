/**
 * Tests against the real firewall programs run in a network namespace of their own, so that the
 * machine's firewall is not touched.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connect } from "node:net";

/** Set in the process that runs inside the namespaces. */
const INSIDE = "AMPERE_TEST_NAMESPACE";

/** What a namespace begins with: a `/run` of its own, because of `/run/xtables.lock`. */
const PREPARE = 'mount -t tmpfs none /run && exec "$@"';

/** Root makes namespaces directly; others become root in a user namespace first. */
function unshareArgs(): string[] | undefined {
  const ways = [["-nm"], ["-Urnm"]];
  return ways.find((args) => {
    try {
      const { success } = new Deno.Command("unshare", {
        args: [...args, "sh", "-c", PREPARE, "sh", "true"],
        stdout: "null",
        stderr: "null",
      }).outputSync();
      return success;
    } catch {
      return false;
    }
  });
}

/**
 * Runs the tests of a file in new network and mount namespaces, by running the file once more
 * there.
 *
 * @param url `import.meta.url` of the test file.
 * @param define Registers the tests.
 */
export function inNamespace(url: string, define: () => void): void {
  if (Deno.env.has(INSIDE)) return define();
  const unshare = unshareArgs();
  const name = url.slice(url.lastIndexOf("/") + 1);
  const why = unshare === undefined ? " (left out: namespaces need root or user namespaces)" : "";
  Deno.test(`${name} in a network namespace${why}`, { ignore: unshare === undefined }, async () => {
    const test = [Deno.execPath(), "test", "-A", "--no-check", url];
    const { code } = await new Deno.Command("unshare", {
      args: [...unshare!, "sh", "-c", PREPARE, "sh", ...test],
      env: { [INSIDE]: "1" },
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).output();
    if (code !== 0) throw new Error(`the tests in the namespace failed (code ${code})`);
  });
}

/** What a program said. */
interface Said {
  /** The exit code. */
  readonly code: number;
  /** Standard output. */
  readonly out: string;
  /** Standard error. */
  readonly err: string;
}

/**
 * Runs any program, as a person at the keyboard would.
 *
 * @param program The program.
 * @param args Its arguments.
 */
export async function sh(program: string, ...args: string[]): Promise<Said> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/**
 * Makes a folder with programs, and puts it in front of PATH until the returned object is disposed.
 *
 * @param programs Name of each program, and its text (a script) or, as `{ link }`, what it links
 *   to.
 */
export async function withPrograms(
  programs: Record<string, string | { link: string }>,
): Promise<AsyncDisposable> {
  const folder = await Deno.makeTempDir();
  for (const [name, content] of Object.entries(programs)) {
    const path = `${folder}/${name}`;
    if (typeof content === "string") await Deno.writeTextFile(path, content, { mode: 0o755 });
    else await Deno.symlink(content.link, path);
  }
  const before = Deno.env.get("PATH") ?? "";
  Deno.env.set("PATH", `${folder}:${before}`);
  return {
    async [Symbol.asyncDispose]() {
      Deno.env.set("PATH", before);
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Runs something with an empty chain of both families, which then are gone again. */
export async function withChains(run: () => Promise<void>): Promise<void> {
  for (const program of ["iptables", "ip6tables"]) {
    assert.equal((await sh(program, "-N", "ampere")).code, 0);
  }
  try {
    await run();
  } finally {
    for (const program of ["iptables", "ip6tables"]) {
      await sh(program, "-F", "ampere");
      await sh(program, "-X", "ampere");
    }
  }
}

/**
 * Waits for a condition.
 *
 * @param what What is waited for, for the message.
 * @param holds The condition.
 * @param deadlineMs How long at most, in milliseconds.
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`after ${deadlineMs} ms still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Different addresses of a family, in no special order. */
export function addresses(count: number, family: 4 | 6 = 4): string[] {
  return Array.from({ length: count }, (_, i) => {
    // An odd factor makes of different numbers different numbers, modulo 2^24.
    const n = (i * 7_368_787 + 1) % (1 << 24);
    return family === 4
      ? `11.${n >> 16}.${(n >> 8) & 255}.${n & 255}`
      : `2001:db8:${((n >> 12) + 1).toString(16)}::${((n & 4095) + 1).toString(16)}`;
  });
}

/** Whether a connection from this address reaches a listener on the same machine. */
export async function passes(address: string): Promise<boolean> {
  using listener = Deno.listen({ hostname: address, port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port, localAddress: address });
    socket.setTimeout(500, () => socket.destroy(new Error("no answer")));
    socket.on("connect", () => {
      resolve(true);
      socket.destroy();
    });
    socket.on("error", () => resolve(false));
  });
}
