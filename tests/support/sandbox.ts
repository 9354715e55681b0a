/**
 * A copy of this machine that a test may change: the whole file system as an overlay in memory, a
 * network and a firewall of its own, and its own processes. Nothing of it outlives the script.
 *
 * @module
 */

/** What a script said. */
interface Output {
  /** The exit code. */
  readonly code: number;
  /** Standard output. */
  readonly out: string;
  /** Standard error. */
  readonly err: string;
}

/**
 * Run by sh in new namespaces; $1 is an empty folder, $2 one that is shown in the copy, $3 the
 * script.
 */
const ENTER = `
set -eu
mount --make-rprivate /
mount --bind "$2" "$2"
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs none "$1/root/run"
mount -t tmpfs none "$1/root/tmp"
mkdir -p "$1/root$2"
mount --bind "$2" "$1/root$2"
rm -rf "$1/root/etc/ampere" "$1/root/var/lib/ampere" "$1/root/usr/lib/ampere"
ip link set lo up
exec chroot "$1/root" sh -eu -c "$3"
`;

/**
 * Whether this machine can make such copies (needs root and overlayfs); in CI a test fails that
 * cannot.
 */
export const HAS_SANDBOX: boolean = Deno.env.get("CI") === "true" || await canEnter();

async function canEnter(): Promise<boolean> {
  if (Deno.build.os !== "linux") return false;
  const shown = await Deno.makeTempDir();
  try {
    return (await runInSandbox("true", shown)).code === 0;
  } finally {
    await Deno.remove(shown);
  }
}

/**
 * Runs a script in a fresh copy of this machine, in which Ampere is not installed.
 *
 * @param script for sh, with the options -e and -u
 * @param shown a folder of this machine that the copy shares, at the same path; the rest is copied
 *   on write
 */
export async function runInSandbox(script: string, shown: string): Promise<Output> {
  const base = await Deno.makeTempDir({ prefix: "ampere-sandbox-" });
  try {
    const output = await new Deno.Command("unshare", {
      args: ["-nmpf", "--kill-child", "sh", "-c", ENTER, "sh", base, shown, script],
      env: {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        LC_ALL: "C.UTF-8",
      },
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code: output.code, out: text(output.stdout), err: text(output.stderr) };
  } finally {
    await Deno.remove(base);
  }
}

/**
 * Like {@linkcode runInSandbox}, for a script that has to succeed.
 *
 * @returns standard output
 * @throws {Error} with all that was printed, when the exit code is not 0
 */
export async function doInSandbox(script: string, shown: string): Promise<string> {
  const { code, out, err } = await runInSandbox(script, shown);
  if (code === 0) return out;
  throw new Error(`exit code ${code} of\n${script}\n--- output\n${out}\n--- errors\n${err}`);
}
