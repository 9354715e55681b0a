import assert from "node:assert/strict";
import { MESSAGES_MAX_BYTES, run } from "../../src/firewall/command.ts";
import { sh, withPrograms } from "../support/namespace.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("command: it hands over the arguments as they are, and gives back what the program says", async () => {
  await using _ = await withPrograms({
    iptables:
      '#!/bin/sh\nfor a in "$@"; do printf "<%s>" "$a"; done; echo "oh; dear" >&2; exit 3\n',
  });
  const args = ["-A", "a b", "$(id)", "; reboot", "", "*", "ü\n"];
  const result = await run("iptables", args, { output: true });
  assert.deepEqual(
    { ...result, stdout: text(result.stdout) },
    {
      ok: false,
      code: 3,
      stdout: "<-A><a b><$(id)><; reboot><><*><ü\n>",
      stderr: "oh; dear",
      timedOut: false,
      aborted: false,
      missing: false,
      denied: false,
      incomplete: false,
    },
  );
});

Deno.test("command: it gives a program its input", async () => {
  await using _ = await withPrograms({ ipset: "#!/bin/sh\nwc -c\n" });
  const stdin = "add ampere4 192.0.2.1\n".repeat(100_000);
  const result = await run("ipset", ["restore"], { stdin, output: true });
  assert.equal(result.ok, true);
  assert.equal(text(result.stdout).trim(), String(stdin.length));
});

Deno.test("command: it survives a program that does not read its input", async () => {
  await using _ = await withPrograms({ ipset: "#!/bin/sh\nexit 1\n" });
  const result = await run("ipset", ["restore"], { stdin: "x".repeat(1_000_000) });
  assert.deepEqual([result.ok, result.code], [false, 1]);
});

Deno.test("command: it starts the program before it returns", async () => {
  await using _ = await withPrograms({ iptables: "#!/bin/sh\necho $PPID\n" });
  const promise = run("iptables", [], { output: true });
  // The process is there although the event loop has not had a turn yet.
  const children = [...Deno.readDirSync("/proc/self/task")].flatMap(({ name }) =>
    Deno.readTextFileSync(`/proc/self/task/${name}/children`).split(" ").filter((pid) => pid !== "")
  );
  assert.equal(children.length, 1);
  const result = await promise;
  assert.equal(text(result.stdout).trim(), String(Deno.pid));
});

Deno.test("command: it keeps all of a long listing, and only the beginning of long messages", async () => {
  await using _ = await withPrograms({
    iptables: "#!/bin/sh\nseq 1 600000\nseq 1 600000 >&2\n",
  });
  const result = await run("iptables", ["-S"], { output: true });
  assert.equal(result.ok, true);
  assert.equal(text(result.stdout).split("\n").length, 600_001);
  assert.ok(result.stderr.startsWith("1\n2\n3\n"));
  assert.ok(result.stderr.length <= MESSAGES_MAX_BYTES);
});

Deno.test("command: it kills a program that takes too long", async () => {
  await using _ = await withPrograms({ iptables: "#!/bin/sh\nexec sleep 1000\n" });
  const start = performance.now();
  const result = await run("iptables", ["-F", "ampere"], { timeoutMs: 200 });
  const took = performance.now() - start;
  assert.deepEqual([result.ok, result.timedOut, result.code], [false, true, undefined]);
  assert.ok(took >= 195 && took < 2_000, `took ${took} ms`);
});

Deno.test("command: it does not wait for what a killed script has left behind", async () => {
  const marker = `${900_000 + Deno.pid}`;
  await using _ = await withPrograms({ iptables: `#!/bin/sh\nsleep ${marker}\necho never\n` });
  const start = performance.now();
  const result = await run("iptables", [], { timeoutMs: 200, output: true });
  assert.equal(result.timedOut, true);
  assert.ok(performance.now() - start < 2_000);
  const { out } = await sh("pgrep", "-xf", `sleep ${marker}`);
  const pid = Number(out.trim());
  assert.ok(pid > 0, "the script's child holds the pipes open");
  Deno.kill(pid, "SIGKILL");
});

Deno.test("command: it kills the program when it is told to end", async () => {
  await using _ = await withPrograms({ iptables: "#!/bin/sh\nexec sleep 1000\n" });
  const ending = new AbortController();
  const promise = run("iptables", [], { signal: ending.signal });
  ending.abort();
  const result = await promise;
  assert.deepEqual([result.ok, result.aborted, result.timedOut], [false, true, false]);
  const later = await run("iptables", [], { signal: ending.signal });
  assert.equal(later.aborted, true);
});

Deno.test("command: it says so when the program is killed by somebody else", async () => {
  await using _ = await withPrograms({ iptables: "#!/bin/sh\nkill -TERM $$\n" });
  const result = await run("iptables", []);
  assert.deepEqual([result.ok, result.stderr], [false, "ended by SIGTERM"]);
});

Deno.test("command: it refuses programs that are not of the firewall", async () => {
  for (const program of ["sh", "/usr/sbin/iptables", "iptables-restore", ""]) {
    const result = await run(program as "iptables", []);
    assert.deepEqual([result.ok, result.denied], [false, true], program);
  }
});

/** Starts a program in a Deno of its own with limited permissions. */
async function inDeno(permissions: string[], path: string, code: string) {
  const module = new URL("../../src/firewall/command.ts", import.meta.url);
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  const show = `import { run } from ${JSON.stringify(module.href)};
    const show = async () => {
      const r = await run("iptables", []);
      console.log(r.ok, r.missing, r.denied, r.stderr);
    };\n`;
  await Deno.writeTextFile(file, show + code);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...permissions, file],
    env: { PATH: path, NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return {
    /** The next line that it writes. */
    line: async () => (await lines.read()).value?.trim(),
    /** Lets it go on. */
    goOn: async () => {
      const input = child.stdin.getWriter();
      await input.write(new TextEncoder().encode("\n"));
      await input.close();
    },
    end: async () => {
      if (!child.stdin.locked) await child.stdin.close();
      await lines.cancel();
      await child.status;
      await Deno.remove(file);
    },
  };
}

Deno.test("command: it tells a missing program from a forbidden one", async () => {
  const folder = await Deno.makeTempDir();
  const missing = await inDeno(["--allow-run=iptables"], folder, "await show();");
  assert.equal(await missing.line(), 'false true false there is no program "iptables" in PATH');
  await missing.end();
  const denied = await inDeno(["--allow-run=ipset"], Deno.env.get("PATH")!, "await show();");
  assert.match((await denied.line())!, /^false false true Requires run access to "iptables"/);
  await denied.end();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("command: a program that is installed later may not be run before a restart", async () => {
  const folder = await Deno.makeTempDir();
  const code = "await show(); Deno.stdin.readSync(new Uint8Array(1)); await show();";
  const deno = await inDeno(["--allow-run=iptables"], folder, code);
  assert.match((await deno.line())!, /^false true false/);
  await Deno.symlink("/bin/true", `${folder}/iptables`);
  await deno.goOn();
  assert.match((await deno.line())!, /^false false true Requires run access/);
  await deno.end();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("command: the environment reaches the program without permission to read it", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/iptables`, '#!/bin/sh\necho "PATH=$PATH" >&2\nexit 1\n', {
    mode: 0o755,
  });
  const deno = await inDeno(["--allow-run=iptables"], folder, "await show();");
  assert.equal(await deno.line(), `false false false PATH=${folder}`);
  await deno.end();
  await Deno.remove(folder, { recursive: true });
});
