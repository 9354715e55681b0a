/**
 * Tests of `deno task compile`: what the executable may do, and that it may do nothing else.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import {
  compile,
  CompileError,
  parseOptions,
  permissionFlags,
  PROJECT,
  releaseDate,
  writeSums,
} from "../../tools/compile.ts";
import { DenortError, denortFromNpm, elfLength } from "../../tools/denort.ts";
import { compiledAmpere, compileTo, executableFolder } from "../support/executable.ts";
import { sh } from "../support/namespace.ts";
import { doInSandbox, HAS_SANDBOX, runInSandbox } from "../support/sandbox.ts";

const NO_SANDBOX = { ignore: !HAS_SANDBOX };

/** What `deno compile` wrote behind the runtime: these bytes, the length (8 bytes), then JSON. */
const MAGIC = "d3n0l4nd";

interface Metadata {
  readonly permissions: Record<string, unknown>;
  readonly code_cache_key: unknown;
  readonly node_modules: unknown;
  readonly argv: string[];
}

/** The settings in an executable, and what stands behind them (the modules) as text. */
async function metadataOf(path: string): Promise<{ metadata: Metadata; modules: string }> {
  const file = await Deno.readFile(path);
  const data = file.subarray(elfLength(file));
  assert.equal(new TextDecoder().decode(data.subarray(0, MAGIC.length)), MAGIC);
  const view = new DataView(data.buffer, data.byteOffset);
  const length = Number(view.getBigUint64(MAGIC.length, true));
  const json = data.subarray(MAGIC.length + 8, MAGIC.length + 8 + length);
  const modules = new TextDecoder("latin1").decode(data.subarray(MAGIC.length + 8 + length));
  return { metadata: JSON.parse(new TextDecoder().decode(json)), modules };
}

async function sourceFolder(files: Record<string, string>): Promise<string> {
  const folder = await Deno.makeTempDir({ dir: executableFolder() });
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(join(folder, name), text);
  }
  return folder;
}

async function sha256(path: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(path))).toHex();
}

// --- what is in the executable -------------------------------------------------------------------

Deno.test("the executable has exactly these permissions", async () => {
  const { metadata } = await metadataOf(await compiledAmpere());
  assert.deepEqual(metadata.permissions, {
    allow_run: ["iptables", "ip6tables", "ipset", "nft"],
    allow_net: [],
    allow_sys: ["networkInterfaces"],
    allow_read: [
      "/etc/ampere",
      "/etc/resolv.conf",
      "/run/systemd/resolve/resolv.conf",
      "/etc/ssl/certs/ca-certificates.crt",
      "/etc/pki/tls/certs/ca-bundle.crt",
      "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
      "/etc/ssl/ca-bundle.pem",
      "/var/lib/GeoIP",
      "/usr/share/GeoIP",
      "/etc/fail2ban/jail.conf",
      "/etc/fail2ban/jail.d",
      "/etc/fail2ban/jail.local",
      "/var/lib/fail2ban/fail2ban.sqlite3",
      "/var/lib/ampere",
      "/var/log",
      "/run/ampere",
    ],
    allow_write: ["/var/lib/ampere", "/var/log", "/run/ampere"],
    allow_env: null,
    allow_ffi: null,
    allow_import: [],
    deny_run: null,
    deny_net: null,
    deny_sys: null,
    deny_read: null,
    deny_write: null,
    deny_env: null,
    deny_ffi: null,
    deny_import: null,
    ignore_env: null,
    ignore_read: null,
    prompt: false,
  });
});

Deno.test("--allow-path adds folders to read and write, also ones with a comma, and nothing else", async () => {
  const { allowPaths } = parseOptions(["--", "--allow-path=/srv/a", "--allow-path=/srv/b,c"]);
  const { metadata } = await metadataOf(await compileTo("more-paths", { allowPaths }));
  const { metadata: usual } = await metadataOf(await compiledAmpere());
  const read = usual.permissions.allow_read as string[];
  const write = usual.permissions.allow_write as string[];
  assert.deepEqual(metadata.permissions, {
    ...usual.permissions,
    allow_read: [...read, "/srv/a", "/srv/b,c"],
    allow_write: [...write, "/srv/a", "/srv/b,c"],
  });
});

Deno.test(
  "the executable learns the gateway from its standard input, always anew",
  NO_SANDBOX,
  async () => {
    const program = await compileTo("neighbours", {
      entry: join(PROJECT, "tests/address/neighbours_program.ts"),
    });
    const script = `
echo nameserver 192.0.2.53 > /run/resolv.conf && mount --bind /run/resolv.conf /etc/resolv.conf
ip link set lo up && ip link add v0 type veth peer name v1 && ip addr add 192.0.2.2/24 dev v0
ip link set v0 up && ip link set v1 up && ip route add default via 192.0.2.1
${program} 2 < /proc/net/route & sleep 0.5; ip route replace default via 192.0.2.9; wait
echo 192.0.2.1 | ${program} 1
`;
    const { out, err } = await sh(
      "unshare",
      "-nm",
      "sh",
      "-c",
      `mount -t tmpfs none /run && ${script}`,
    );
    const resolvers = ["192.0.2.53"];
    assert.deepEqual(out.trim().split("\n").map((line) => JSON.parse(line)), [
      { gateways: ["192.0.2.1"], resolvers },
      { gateways: ["192.0.2.9"], resolvers },
      { gateways: [], resolvers },
    ], err);
  },
);

Deno.test("the executable holds no data, and no npm package but what is joined with it", async () => {
  const { metadata, modules } = await metadataOf(await compiledAmpere());
  assert.equal(metadata.node_modules, null);
  assert.equal(metadata.code_cache_key, null);
  assert.deepEqual(metadata.argv, []);
  const embedded = [...modules.matchAll(/"n":"([^"]*)"/g)].map(([, name]) => name!);
  assert.ok(embedded.includes("main.js") && embedded.includes("events.js"), embedded.join(" "));
  assert.deepEqual(
    embedded.filter((name) => /node_modules|fast-check|rollup|typescript|registry|json/.test(name)),
    [],
  );
  assert.ok(embedded.includes("mmdb.js"), embedded.join(" "));
  // A file of places has this before its facts, and millions of bytes before that.
  assert.ok(!modules.includes("\xab\xcd\xefMaxMind.com"));
  assert.ok(modules.length < 4_000_000, String(modules.length));
});

Deno.test("the same sources give the same bytes, wherever and whenever they are compiled", async () => {
  const files = { "main.ts": 'import "./part.ts";\n', "part.ts": "console.log(1);\n" };
  const hashes = [];
  for (const name of ["first", "second"]) {
    const root = await sourceFolder(files);
    await Deno.utime(join(root, "part.ts"), hashes.length, hashes.length);
    hashes.push(await sha256(await compileTo(name, { root, entry: join(root, "main.ts") })));
  }
  assert.equal(hashes[0], hashes[1]);
});

Deno.test("the program has no way to run text as code", async () => {
  // The runtime does not ask for permission when a program imports a local file by a computed name.
  const folders = [PROJECT, join(PROJECT, "src")];
  const sources: string[] = [];
  for (const folder of folders) {
    for await (const { name, isFile, isDirectory } of Deno.readDir(folder)) {
      if (isDirectory && folder !== PROJECT) folders.push(join(folder, name));
      if (isFile && name.endsWith(".ts")) sources.push(join(folder, name));
    }
  }
  assert.ok(sources.length > 10);
  for (const path of sources) {
    const text = await Deno.readTextFile(path);
    const found = /\bimport\(\s*[^"\s]|\beval\(|\bnew Function\b|\bnew Worker\b/.exec(text);
    assert.equal(found?.[0], undefined, path);
  }
});

// --- what the executable can do ------------------------------------------------------------------

/** Tries what an intruder would; prints a line with the outcome of each. */
const PROBE = `
import { DatabaseSync } from "node:sqlite";
import process from "node:process";

async function attempt(name: string, action: () => unknown) {
  try {
    await action();
    console.log(name, "done");
  } catch (error) {
    console.log(name, error instanceof Deno.errors.NotCapable ? "denied" : String(error));
  }
}
const run = (program: string, options: Deno.CommandOptions = {}) =>
  new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null", ...options }).output();

await attempt("run-sh", () => run("sh"));
await attempt("run-bin-sh", () => run("/bin/sh"));
await attempt("run-env", () => run("/usr/bin/env"));
await attempt("run-same-name", () => run("/tmp/iptables"));
await attempt("run-preload", () => run("iptables", { env: { LD_PRELOAD: "/tmp/x.so" } }));
await attempt("signal-others", () => Deno.kill(Deno.ppid, "SIGCONT"));
await attempt("write-tmp", () => Deno.writeTextFileSync("/tmp/x", "x"));
await attempt("write-root", () => Deno.writeTextFileSync("/root/x", "x"));
await attempt("write-config", () => Deno.writeTextFileSync("/etc/ampere/ampere.cfg", "x"));
await attempt("write-cron", () => Deno.writeTextFileSync("/var/log/../../etc/cron.d/x", "x"));
await attempt("read-passwd", () => Deno.readTextFileSync("/etc/passwd"));
await attempt("read-dots", () => Deno.readTextFileSync("/etc/ampere/../shadow"));
await attempt("read-proc", () => Deno.readTextFileSync("/proc/self/environ"));
await attempt("link", () => Deno.symlinkSync("/etc", "/var/lib/ampere/etc"));
await attempt("hard-link", () => Deno.linkSync("/etc/shadow", "/var/lib/ampere/shadow"));
await attempt("environment", () => Deno.env.get("HOME"));
await attempt("environment-all", () => Deno.env.toObject());
await attempt("environment-node", () => process.env.HOME);
await attempt("ffi", () => Deno.dlopen("libc.so.6", {}));
await attempt("sqlite-extension", () => new DatabaseSync("/var/lib/ampere/x.db", { allowExtension: true }));
await attempt("sqlite-elsewhere", () => new DatabaseSync("/tmp/x.db"));
await attempt("sqlite-attach", () => new DatabaseSync("/var/lib/ampere/x.db").exec("ATTACH '/tmp/x.db' AS x"));
await attempt("host-name", () => Deno.hostname());

await attempt("own-run", () => run("iptables"));
await attempt("read-routes", () => Deno.readTextFileSync("/proc/net/route"));
await attempt("own-resolvers", () => Deno.readTextFileSync("/etc/resolv.conf"));
await attempt("own-read", () => Deno.readTextFileSync("/etc/ampere/ampere.cfg"));
await attempt("own-database", () => new DatabaseSync("/var/lib/ampere/x.db").exec("CREATE TABLE x (y)"));
await attempt("own-log", () => Deno.writeTextFileSync("/var/log/ampere.log", "x"));
await attempt("own-socket", () => Deno.listen({ transport: "unix", path: "/run/ampere/x" }).close());
await attempt("own-addresses", () => Deno.networkInterfaces());
await attempt("own-listen", () => Deno.listen({ port: 0 }).close());
`;

const SHOWN = executableFolder();
await Deno.copyFile(join(PROJECT, "ampere.cfg"), join(SHOWN, "ampere.cfg"));

const PREPARE_FOLDERS = `
mkdir -p /etc/ampere /var/lib/ampere /run/ampere
cp ${SHOWN}/ampere.cfg /etc/ampere/ampere.cfg
cp "$(command -v iptables)" /tmp/iptables
`;

Deno.test(
  "with these permissions a program can do Ampere's work and nothing else",
  NO_SANDBOX,
  async () => {
    const root = await sourceFolder({ "main.ts": PROBE });
    const probe = await compileTo("probe", { root, entry: join(root, "main.ts") });
    const trace = join(SHOWN, "probe-trace");
    const said = await doInSandbox(
      `${PREPARE_FOLDERS}\nstrace -f -e trace=execve -e signal=none -o ${trace} ${probe}`,
      SHOWN,
    );
    const outcomes = said.trim().split("\n").map((line) => line.split(/ (.*)/s));
    assert.equal(outcomes.length, 32);
    for (const [name, outcome] of outcomes) {
      const expected = name!.startsWith("own-")
        ? "done"
        : name === "sqlite-attach"
        ? "Error: too many attached databases - max 0"
        : "denied";
      assert.equal(outcome, expected, name);
    }
    assert.deepEqual(await startedPrograms(trace), ["probe", "iptables"]);
  },
);

/** The programs that were started, by name. */
async function startedPrograms(trace: string): Promise<string[]> {
  const started = (await Deno.readTextFile(trace)).matchAll(
    /execve\("([^"]*)".*(?:= 0|<unfinished \.\.\.>)$/gm,
  );
  return [...started].map(([, path]) => path!.slice(path!.lastIndexOf("/") + 1));
}

Deno.test(
  "Ampere starts the firewall commands and no other program, in its own folders",
  NO_SANDBOX,
  async () => {
    const ampere = await compiledAmpere();
    const trace = join(SHOWN, "ampere-trace");
    // There is no chain and no Asterisk: the daemon looks for both, and what else there is. SIGTERM
    // comes when nft has been asked, which is the last.
    await doInSandbox(
      `${PREPARE_FOLDERS}
    echo 203.0.113.5 | strace -f -e trace=execve,openat -o ${trace}-add ${ampere} -a
    strace -f -e trace=execve,openat,unlink,rename -o ${trace} ${ampere} -o /var/log/ampere.log &
    for i in $(seq 100); do
      grep -q 'execve.*nft.*\\(= 0\\|unfinished ...>\\)$' ${trace} 2>/dev/null && break
      kill -0 $! 2>/dev/null || break
      sleep 0.1
    done
    pkill -x -P $! ampere || true
    wait $! || true`,
      SHOWN,
    );
    assert.deepEqual(await startedPrograms(`${trace}-add`), ["ampere"]);
    const [self, ...others] = await startedPrograms(trace);
    assert.equal(self, "ampere");
    assert.deepEqual([...new Set(others)].sort(), ["ip6tables", "iptables", "nft"]);

    const text = await Deno.readTextFile(`${trace}-add`) + await Deno.readTextFile(trace);
    const written = text.matchAll(
      // Lines of two processes may be mixed up: what is unfinished goes on in another line.
      /openat\(AT_FDCWD, "([^"]*)", [A-Z_|]*O_(?:WRONLY|RDWR|CREAT)[^)\n]*\) = \d/g,
    );
    for (const [, path] of written) {
      assert.match(path!, /^(\/var\/lib\/ampere|\/var\/log|\/run)\/|^\/dev\/(null|tty)$/);
    }
    // The code cache of deno compile would be there, for everybody to write before Ampere reads it.
    assert.doesNotMatch(text, /openat\([^"]*"\/tmp\/(?!ampere-executable-)/);
  },
);

Deno.test(
  "a path outside its folders is an error that says how to compile for it",
  NO_SANDBOX,
  async () => {
    const ampere = await compiledAmpere();
    const cases = [
      ["/root/x.cfg", `${ampere} -l -c /root/x.cfg`],
      ["/root/ampere.log", `${ampere} -o /root/ampere.log`],
      ["/root/ampere.db", `echo database = /root/ampere.db > /etc/ampere/ampere.cfg; ${ampere} -l`],
      ["/root/ampere.db", `echo database = /root/ampere.db > /etc/ampere/ampere.cfg; ${ampere}`],
    ] as const;
    for (const [path, command] of cases) {
      const { code, err } = await runInSandbox(
        `${PREPARE_FOLDERS}\ncp ${SHOWN}/ampere.cfg /root/x.cfg\n${command}`,
        SHOWN,
      );
      assert.equal(code, 1, err);
      assert.match(err, /deno task compile -- --allow-path=/, command);
      assert.ok(err.includes(path), err);
      assert.doesNotMatch(err, /NotCapable|at file:/);
    }
  },
);

// --- the tool ------------------------------------------------------------------------------------

Deno.test("options: a leading --, defaults, and what is wrong", () => {
  const usual = parseOptions(["--"]);
  assert.equal(usual.output, join(PROJECT, "dist/ampere"));
  assert.ok(usual.isDefaultOutput);
  assert.equal(usual.denort, "auto");
  assert.deepEqual(permissionFlags(usual.allowPaths), permissionFlags());
  const other = parseOptions(["--output=/tmp/x", "--denort=npm"]);
  assert.deepEqual([other.output, other.isDefaultOutput, other.denort], ["/tmp/x", false, "npm"]);
  assert.throws(() => parseOptions(["--alow-path=/srv"]), TypeError);
  assert.throws(() => parseOptions(["/srv"]), TypeError);
  assert.throws(() => parseOptions(["--denort=home"]), /--denort=home: auto, deno or npm/);
  assert.throws(() => parseOptions(["--allow-path="]), CompileError);
});

Deno.test("an error in the sources is told with file and line, and nothing is left behind", async () => {
  const cases = {
    "main.ts:2": { "main.ts": "// types\nexport const n: number = 'text';\n" },
    "absent.ts": { "main.ts": 'await import("./absent.ts");\n' },
    "is not part of": { "main.ts": `import "${join(PROJECT, "src/version.ts")}";\n` },
  };
  for (const [expected, files] of Object.entries(cases)) {
    const root = await sourceFolder(files);
    const output = join(root, "out/program");
    const made = compile({ ...parseOptions([]), root, entry: join(root, "main.ts"), output });
    await assert.rejects(made, (error: Error) => {
      assert.ok(error instanceof CompileError);
      assert.ok(error.message.includes(expected), error.message);
      assert.doesNotMatch(error.message, /Stack backtrace/);
      return true;
    });
    await assert.rejects(Deno.stat(output), Deno.errors.NotFound);
  }
});

Deno.test("SHA256SUMS is what sha256sum --check reads, and notices a change", async () => {
  const folder = await sourceFolder({ "a": "one", "b": "two" });
  await writeSums(folder, ["a", "b"]);
  const check = async () => {
    const args = ["--check", "SHA256SUMS"];
    return (await new Deno.Command("sha256sum", { args, cwd: folder, stderr: "null" }).output())
      .code;
  };
  assert.equal(await check(), 0);
  await Deno.writeTextFile(join(folder, "b"), "twp");
  assert.equal(await check(), 1);
});

Deno.test("the date of the release comes from the changelog", async () => {
  const changelog = await Deno.readTextFile(join(PROJECT, "packaging/debian/changelog"));
  const date = await releaseDate();
  assert.ok(
    changelog.includes(date.toUTCString().slice(5, 16).replace(/^0/, "")),
    date.toUTCString(),
  );
});

Deno.test("elfLength finds the end of an ELF file and refuses what is none", async () => {
  const file = await Deno.readFile(await compiledAmpere());
  const length = elfLength(file);
  assert.ok(length < file.length);
  assert.equal(elfLength(file.subarray(0, 64)), length);
  assert.throws(() => elfLength(file.subarray(0, 63)), DenortError);
  assert.throws(() => elfLength(new TextEncoder().encode("#!/bin/sh\n".repeat(10))), DenortError);
});

const NPM_DENORT = {
  ignore: Deno.build.target !== "x86_64-unknown-linux-gnu" || Deno.version.deno !== "2.8.3",
};

Deno.test(
  "denort from npm: a spoilt file in the cache is replaced, not used",
  NPM_DENORT,
  async () => {
    const good = await denortFromNpm();
    const folder = await Deno.makeTempDir({ dir: SHOWN });
    const spoilt = join(folder, good.slice(good.lastIndexOf("/") + 1));
    await Deno.writeTextFile(spoilt, "#!/bin/sh\n");
    const path = await denortFromNpm(folder);
    assert.equal(path, spoilt);
    assert.equal(await sha256(path), await sha256(good));
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), [
      path.slice(folder.length + 1),
    ]);
  },
);
