/** The scripts of `ampere --setup`; tests/live/setting_up.ts runs them on real machines. */

import assert from "node:assert/strict";
import { setup } from "../../../src/commands/setup/setup.ts";
import { setupScript, undoScript } from "../../../src/commands/setup/script.ts";
import { type Config, DEFAULT_CONFIG } from "../../../src/config/config.ts";
import type { CommandResult, Runner } from "../../../src/firewall/command.ts";

const DONE: CommandResult = {
  ok: true,
  code: 0,
  stdout: new Uint8Array(0),
  stderr: "",
  timedOut: false,
  aborted: false,
  missing: false,
  denied: false,
  incomplete: false,
};
const MISSING: CommandResult = { ...DONE, ok: false, code: undefined, missing: true };
const NO_CHAIN: CommandResult = {
  ...DONE,
  ok: false,
  code: 1,
  stderr: "iptables: No chain/target/match by that name.",
};

/** A machine with these programs, and these chains of iptables. */
function machine(programs: readonly string[], chains: readonly string[] = []): Runner {
  return (program, args) => {
    if (!programs.includes(program)) return Promise.resolve(MISSING);
    if (program === "nft") {
      const isTable = args.includes("firewalld");
      return Promise.resolve(!isTable || chains.includes("firewalld") ? DONE : NO_CHAIN);
    }
    const there = ["INPUT", ...chains].some((chain) => args.includes(chain));
    return Promise.resolve(there ? DONE : NO_CHAIN);
  };
}

const BOTH = ["iptables", "ip6tables"];

/** What is printed. */
async function printed(config: Partial<Config>, runner: Runner, file?: string, undo = false) {
  let out = "";
  let err = "";
  const code = await setup(
    { ...DEFAULT_CONFIG, ...config },
    { config: file, undo },
    (text) => (out += text, 0),
    (line) => err += `${line}\n`,
    runner,
  );
  return { code, out, err };
}

/** Whether shells take a script. */
function syntax(text: string): string {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(path, text);
    return ["sh", "bash"].map((shell) => {
      const { stderr } = new Deno.Command(shell, { args: ["-n", path] }).outputSync();
      return new TextDecoder().decode(stderr);
    }).join("");
  } finally {
    Deno.removeSync(path);
  }
}

Deno.test("setup: a script has only the steps that its machine needs", async () => {
  const jump = async (runner: Runner, config: Partial<Config> = {}) => {
    const { code, out } = await printed(config, runner);
    assert.deepEqual([code, syntax(out)], [0, ""]);
    return /^jump='(.*)'$/m.exec(out)?.[1];
  };
  assert.equal(await jump(machine(["nft", ...BOTH])), "");
  assert.equal(await jump(machine(BOTH)), "INPUT");
  assert.equal(await jump(machine(BOTH, ["ampere"])), "", "the chain of 0.2.3");
  assert.equal(await jump(machine(BOTH, ["fpbxfirewall"])), "fpbxfirewall");
  assert.equal(await jump(machine(BOTH), { jump: ["INPUT"] }), "", "it is said already");
  const managed = ["ufw-before-input", "DOCKER-USER", "firewalld"];
  const { out } = await printed({}, machine(["nft", ...BOTH], managed));
  const remarks = [...out.matchAll(/^# - rules of (.*), which stay as they are$/gm)];
  assert.deepEqual(remarks.map(([, name]) => name), ["ufw", "Docker", "firewalld"]);
  const bare = await printed({}, machine([]));
  assert.match(bare.out, /^# - there is no firewall to block in: .*: nftables is installed$/m);
  assert.match(bare.out, /apt-get install -y -qq --no-install-recommends nftables/);
  const full = await printed({}, machine(["nft", ...BOTH]));
  assert.doesNotMatch(full.out, /apt-get|dnf/);
  const log = await printed({ host: "none", logs: ["/var/log/x"] }, machine(["nft"]));
  assert.doesNotMatch(log.out, /manager show user/);
  assert.match(log.out, /^# - host = none: /m);
});

Deno.test("setup: what cannot be set up is refused, and a shell behind the pipe ends with 1", async () => {
  const nft = machine(["nft"]);
  const refused: [Partial<Config>, string | undefined, RegExp][] = [
    [{ host: "192.0.2.1" }, undefined, /says that Asterisk is at 192\.0\.2\.1: --setup is for/],
    [{ host: "pbx.example" }, undefined, /is at pbx\.example/],
    [{ tls: true }, undefined, /is at 127\.0\.0\.1 \(by TLS\)/],
    [{ user: "a'b; id" }, undefined, /user = "a'b; id": --setup makes users of letters/],
    [{}, "my.cfg", /-c my\.cfg: --setup needs the whole path/],
  ];
  for (const [config, file, message] of refused) {
    const { code, out, err } = await printed(config, nft, file);
    assert.equal(code, 1);
    assert.match(err, message);
    assert.match(out, /^# .*\nexit 1\n$/);
  }
  for (const host of ["127.0.0.1", "::1", "localhost"]) {
    assert.equal((await printed({ host }, nft)).code, 0);
  }
});

Deno.test("setup: who may not look at the firewall is told so, and gets no script", async () => {
  const stderr = "iptables: Permission denied (you must be root).";
  const denied: Runner = () => Promise.resolve({ ...NO_CHAIN, code: 4, stderr });
  const { code, out, err } = await printed({}, denied);
  assert.equal(code, 1);
  assert.match(err, /cannot be used either: iptables: Permission denied .*\nFix: run it as root; /);
  assert.match(out, /^# .*\nexit 1\n$/);
});

Deno.test("setup: a path of the configuration is one word, whatever is in it", async () => {
  const path = "/etc/ampere/a'b $(touch /tmp/x) `id`\n;.cfg";
  const { out } = await printed({}, machine(["nft"]), path);
  const line = out.slice(out.indexOf("\nconfig=") + 1, out.indexOf("\nuser="));
  const { stdout } = new Deno.Command("sh", { args: ["-c", `${line}\nprintf %s "$config"`] })
    .outputSync();
  assert.equal(new TextDecoder().decode(stdout), path);
  assert.doesNotMatch(out, /systemctl enable/, "the service reads another file");
});

Deno.test("setup: the way back is about the firewall that is used", async () => {
  const nft = (await printed({}, machine(["nft"]), undefined, true)).out;
  assert.match(nft, /^table='inet ampere'$/m);
  const chains = (await printed({ jump: ["INPUT"] }, machine(BOTH), undefined, true)).out;
  assert.match(chains, /^jump='INPUT'$/m);
  assert.doesNotMatch(chains, /nft delete/);
  assert.equal(syntax(nft) + syntax(chains), "");
  const plan = { config: "/c", table: undefined, chain: "voip:block", jump: [] };
  assert.match(undoScript(plan), /^chain='voip:block'$/m);
});

Deno.test("setup: a script that was cut off does nothing", () => {
  const plan = {
    config: "/etc/ampere/ampere.cfg",
    isDefault: true,
    user: "ampere",
    needsNft: false,
    jump: "",
    seen: ["a\nrm -rf /"],
  };
  const whole = setupScript(plan);
  assert.match(whole, /^# a\?rm -rf \/$/m, "a remark stays in its line");
  const path = Deno.makeTempFileSync();
  for (const share of [0.5, 0.9, 0.99]) {
    Deno.writeTextFileSync(path, whole.slice(0, whole.length * share));
    const { code } = new Deno.Command("sh", { args: [path], stdout: "null", stderr: "null" })
      .outputSync();
    assert.notEqual(code, 0);
  }
  Deno.removeSync(path);
});

Deno.test("setup: no line is longer than 100 columns", () => {
  const plan = { config: "/c", isDefault: true, user: "a", needsNft: true, jump: "", seen: [] };
  const texts = [
    setupScript(plan),
    undoScript({ config: "/c", table: "inet a", chain: "a", jump: [] }),
  ];
  for (const line of texts.join("\n").split("\n")) assert.ok(line.length <= 100, line);
});
