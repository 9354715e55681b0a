/**
 * Ampere on 64-bit ARM: from source, by the whole Deno for that machine, in qemu's user emulation.
 * Where the registry or qemu is missing the tests are left out, but not in CI.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { CompileError, parseOptions, PROJECT } from "../../tools/compile.ts";
import { arm64Deno } from "../../tools/arm64.ts";
import { makePackages } from "../../tools/package.ts";
import { projectVersion } from "../../tools/staging.ts";

/** The libraries of Debian's libgcc-s1-arm64-cross, and the loader among them. */
const LIBRARIES = "/usr/aarch64-linux-gnu";
const LOADER = `${LIBRARIES}/lib/ld-linux-aarch64.so.1`;

async function obstacle(): Promise<string | undefined> {
  try {
    new Deno.Command("qemu-aarch64-static", { args: ["--version"], stdout: "null" }).outputSync();
    Deno.statSync(LOADER);
    await arm64Deno();
    return undefined;
  } catch (error) {
    return String(error);
  }
}

const MISSING = Deno.env.get("CI") === "true" ? undefined : await obstacle();
const QEMU = { ignore: MISSING !== undefined };

/** Runs a command of Ampere as an ARM machine would. */
async function ampere(args: string[], stdin = ""): Promise<string> {
  const child = new Deno.Command("qemu-aarch64-static", {
    // What is compiled on the way is kept apart from what this machine's Deno keeps.
    args: ["-L", LIBRARIES, await arm64Deno(), "run", "--no-check", "--no-remote"].concat(
      ["-A", "--quiet", join(PROJECT, "main.ts"), ...args],
    ),
    cwd: PROJECT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

async function helps(): Promise<void> {
  assert.match(await ampere(["-h"]), /^Usage: ampere/);
}

async function changesBlocks(config: string): Promise<void> {
  assert.match(await ampere(["-c", config, "-a"], "203.0.113.5\n2001:db8::/32\n"), /2 added/);
  assert.match(await ampere(["-c", config, "-d"], "203.0.113.5\n"), /1 deleted/);
  const listed = await ampere(["-c", config, "-l"]);
  assert.match(listed, /2001:db8::\/32 \| since /);
  assert.doesNotMatch(listed, /203\.0\.113\.5/);
}

async function replays(config: string): Promise<void> {
  const recording = join(PROJECT, "tests/testdata/recordings/mixed-medium.ami");
  const replayed = ["-c", config, "--replay", "--json", recording];
  const here = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--quiet", join(PROJECT, "main.ts"), ...replayed],
  }).output();
  const told = new TextDecoder().decode(here.stdout);
  assert.ok(told.includes('"'), told);
  assert.equal(await ampere(replayed), told);
}

Deno.test(
  `arm64: the commands do what they do elsewhere${
    MISSING === undefined ? "" : ` (left out: ${MISSING})`
  }`,
  QEMU,
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const config = join(folder, "ampere.cfg");
      await Deno.writeTextFile(config, `pass = s3cret\ndatabase = ${folder}/ampere.db\n`);
      // The first one compiles all modules, which the others find done; they run side by side.
      assert.equal(await ampere(["-V"]), `ampere/${await projectVersion()}\n`);
      await Promise.all([helps(), changesBlocks(config), replays(config)]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("arm64: the packages say that they are for it", QEMU, async () => {
  const folder = await Deno.makeTempDir();
  try {
    // Any program for that machine.
    const made = await makePackages({
      program: LOADER,
      machine: "aarch64",
      folder,
      compression: "quick",
    });
    const version = await projectVersion();
    assert.deepEqual(Object.values<string>({ ...made }).map((path) => path.slice(folder.length)), [
      `/ampere_${version}_arm64.deb`,
      `/ampere-${version}-1.aarch64.rpm`,
      `/ampere-${version}-linux-aarch64.tar.gz`,
      `/ampere-${version}-linux-aarch64.cdx.json`,
    ]);
    const say = async (program: string, ...args: string[]) =>
      new TextDecoder().decode((await new Deno.Command(program, { args }).output()).stdout).trim();
    assert.equal(await say("dpkg-deb", "-f", made.debian, "Architecture"), "arm64");
    assert.equal(await say("rpm", "-qp", "--qf", "%{ARCH} %{OS}", made.rpm), "aarch64 linux");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("arm64: a target that there is not is refused, and each has a place of its own", () => {
  assert.throws(() => parseOptions(["--target=riscv64gc-unknown-linux-gnu"]), (error: unknown) => {
    assert.ok(error instanceof CompileError);
    assert.match(error.message, /x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu/);
    return true;
  });
  assert.ok(
    parseOptions(["--target=aarch64-unknown-linux-gnu"]).output.endsWith("dist/aarch64/ampere"),
  );
  assert.ok(parseOptions([]).output.endsWith("dist/ampere"));
});
