/**
 * The daemon as a program, in a dry run: its parts are opened as it was told, and signals obeyed.
 * What it does with a firewall is tested in tests/e2e.
 */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { Program } from "../e2e/program.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { block } from "../support/database_samples.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { canMount } from "../support/faulty_database.ts";
import { until } from "../support/namespace.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const USER = { name: "ampere", secret: "s3cret-word", read: ["security", "system"] };
const GUESSER = "203.0.113.9";
const DAY = 86_400_000;

interface Site {
  readonly folder: string;
  readonly asterisk: FakeAsterisk;
  /** Starts a dry run with these arguments, and gives the lines that it logs to standard error. */
  start(...args: string[]): Program;
  /** Adds lines to the configuration. */
  configure(...lines: string[]): void;
}

/** A test with an Asterisk and files of its own, and a /run that nobody else sees. */
function test(name: string, body: (site: Site) => Promise<void>): void {
  Deno.test({
    name: `run: ${name} (root only)`,
    ignore: !canMount,
    async fn() {
      const folder = await Deno.makeTempDir({ prefix: "ampere-" });
      await using asterisk = new FakeAsterisk({ users: [USER] });
      const started: Program[] = [];
      const config = `${folder}/ampere.cfg`;
      const site: Site = {
        folder,
        asterisk,
        configure(...lines) {
          Deno.writeTextFileSync(config, lines.join("\n") + "\n", { append: true });
        },
        start(...args) {
          const mount = 'mount -t tmpfs tmpfs /run && exec "$@"';
          const deno = [Deno.execPath(), "run", "-A", "--no-check", MAIN];
          const program = new Program(
            ["unshare", "-m", "sh", "-c", mount, "sh", ...deno, "--dry-run", "-c", config, ...args],
          );
          started.push(program);
          return program;
        },
      };
      site.configure(
        `port = ${asterisk.port}`,
        `user = ${USER.name}`,
        `pass = ${USER.secret}`,
        `database = ${folder}/ampere.db`,
      );
      try {
        await body(site);
      } finally {
        for (const program of started) await program[Symbol.asyncDispose]();
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

async function attack(asterisk: FakeAsterisk, address = GUESSER): Promise<void> {
  await until("it is logged in", () => asterisk.loggedIn === 1);
  for (let n = 0; n < 4; n++) await asterisk.send(wrongAnswer(address));
}

async function endsWell(program: Program, signal: Deno.Signal = "SIGTERM"): Promise<void> {
  program.signal(signal);
  assert.equal((await program.end()).code, 0, program.text);
}

test("a dry run says what it would do, and neither makes nor changes a list", async (site) => {
  site.configure("backend = iptables");
  const program = site.start();
  await program.said(/dry run: neither the firewall nor the database is changed/);
  await attack(site.asterisk);
  await program.said(new RegExp(`dry run: would block ${GUESSER} `));
  await program.said(new RegExp(`dry run: would run iptables .*-s ${GUESSER} `));
  await endsWell(program);
  const left = [...Deno.readDirSync(site.folder)].map(({ name }) => name);
  assert.deepEqual(left, ["ampere.cfg"]);

  {
    using list = BlockDatabase.open(`${site.folder}/ampere.db`);
    list.add([block("192.0.2.1", { since: Date.now() })]);
  }
  const stored = Deno.readFileSync(`${site.folder}/ampere.db`);
  const again = site.start();
  await again.said(/1 block from .*ampere\.db/);
  await again.said(/dry run: would run iptables .*-s 192\.0\.2\.1 /);
  await attack(site.asterisk);
  await again.said(new RegExp(`dry run: would block ${GUESSER} `));
  await endsWell(again, "SIGINT");
  assert.deepEqual(Deno.readFileSync(`${site.folder}/ampere.db`), stored);
});

test("the firewall is the one that was chosen", async (site) => {
  site.configure("backend = ipset", "chain = shield");
  const program = site.start();
  await program.said(/dry run: would run ipset restore/);
  await program.said(/in the chain shield \(ipset\)/);
  await endsWell(program);
  assert.doesNotMatch(program.text, /would run iptables .* -s /);
});

test("verbose tells the configuration, but no secret", async (site) => {
  const program = site.start("--verbose");
  await program.said(/debug: user = ampere/);
  await program.said(/logged in/);
  await endsWell(program);
  assert.ok(!program.text.includes(USER.secret));

  const quiet = site.start();
  await until("it is logged in", () => site.asterisk.loggedIn === 1);
  await endsWell(quiet);
  assert.doesNotMatch(quiet.text, /debug: /);
});

test("HUP takes a right configuration over, and keeps the old one for a wrong one", async (site) => {
  const program = site.start();
  await until("it is logged in", () => site.asterisk.loggedIn === 1);
  site.configure(`trust = ${GUESSER}`);
  program.signal("SIGHUP");
  await program.said(/config.* again/);
  await attack(site.asterisk);
  await attack(site.asterisk, "203.0.113.10");
  await program.said(/dry run: would block 203\.0\.113\.10 /);
  const before = program.lines.length;
  site.configure("trust = 203.0.113.11", "loyalty = many");
  program.signal("SIGHUP");
  await program.said(/error: .*ampere\.cfg:7: loyalty: "many"/, before);
  await program.said(/error: .*the old one stays in force/, before);
  await attack(site.asterisk, "203.0.113.11");
  await program.said(/dry run: would block 203\.0\.113\.11 /);
  await endsWell(program);
  assert.doesNotMatch(program.text, new RegExp(`would block ${GUESSER} `));
});

test("HUP opens the log anew, and USR1 tells the state", async (site) => {
  const log = `${site.folder}/ampere.log`;
  const program = site.start("-o", log);
  const says = (what: RegExp) =>
    until(String(what), () => {
      try {
        return what.test(Deno.readTextFileSync(log));
      } catch {
        return false; // It is not there yet.
      }
    });
  await says(/logged in/);
  program.signal("SIGUSR1");
  await says(/, 0 blocks, .* database in order/);
  Deno.renameSync(log, `${log}.1`);
  program.signal("SIGHUP");
  await until(
    "the new log is there",
    () => [...Deno.readDirSync(site.folder)].some(({ name }) => name === "ampere.log"),
  );
  program.signal("SIGUSR1");
  await says(/, 0 blocks, .* database in order/);
  await endsWell(program);
  await says(/ended/);
  assert.doesNotMatch(Deno.readTextFileSync(`${log}.1`), /ended/);
  assert.equal(program.text, "");
});

test("a clock that is far from the list is doubted aloud, one that is near is not", async (site) => {
  for (const [ago, doubts] of [[30 * DAY, true], [DAY / 2, false]] as const) {
    {
      using list = BlockDatabase.open(`${site.folder}/ampere.db`);
      const since = Date.now() - ago;
      list.add([block("192.0.2.1", { since })], since);
    }
    const program = site.start();
    await until("it is logged in", () => site.asterisk.loggedIn === 1);
    await endsWell(program);
    assert.equal(/warn: the clock of this machine says/.test(program.text), doubts, program.text);
    await until("it is gone", () => site.asterisk.loggedIn === 0);
    for (const end of ["", "-wal", "-shm"]) {
      await Deno.remove(`${site.folder}/ampere.db${end}`).catch(() => {});
    }
  }
});

test("what a person must mend first ends it with 1, before anything is followed", async (site) => {
  const database = `${site.folder}/ampere.db`;
  Deno.writeTextFileSync(database, "This is somebody's letter, and no database.\n".repeat(100));
  const foreign = site.start();
  assert.equal((await foreign.end()).code, 1);
  assert.match(foreign.text, /ampere\.db/);
  Deno.removeSync(database);
  const unwritable = site.start("-o", `${site.folder}/missing/ampere.log`);
  assert.equal((await unwritable.end()).code, 1);
  assert.match(unwritable.text, /missing\/ampere\.log/);
  assert.deepEqual(site.asterisk.actions, []);
});

test("log_format = json: each line is an object, and HUP changes the form", async (site) => {
  site.configure("log_format = json", "guard_hosts = 1", "bantim = 3");
  const program = site.start("--verbose");
  await attack(site.asterisk);
  await program.said(/"message":"dry run: would block 203\.0\.113\.9 /);
  // What a stranger writes breaks no line.
  const account = '\u2028\u202e\u0085\u001b\\"}{\ud800\ud83d\ude00';
  await site.asterisk.send(wrongAnswer("203.0.113.10", { account }));
  await program.said(/"event":"account-guarded"/);
  const lines = program.lines.map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.filter(({ time, level, message }) =>
      Number.isNaN(Date.parse(time)) || !/^(?:debug|info|warn|error)$/.test(level) ||
      typeof message !== "string"
    ),
    [],
  );
  assert.doesNotMatch(
    program.text.replaceAll("\n", ""),
    // deno-lint-ignore no-control-regex -- these are not to be there
    /[\u0000-\u001f\u0080-\u009f\u2028-\u202e]/,
  );
  assert.ok(!program.text.includes(USER.secret));
  assert.match(lines.find(({ message }) => message.includes("bantim:")).level, /^warn$/);
  const { time: _, message: __, ...block } = lines.find(({ event }) => event === "block");
  assert.deepEqual(
    [block.target, block.until, block.service, block.transport, block.account],
    [GUESSER, block.until, "PJSIP", "UDP", "100"],
  );
  assert.match(block.reason, /wrong password/);

  const text = Deno.readTextFileSync(`${site.folder}/ampere.cfg`);
  Deno.writeTextFileSync(`${site.folder}/ampere.cfg`, text.replace("= json", "= text"));
  const before = program.lines.length;
  program.signal("SIGHUP");
  await program.said(/^\S+ \S+ info: .*again/, before);
  await endsWell(program);
  assert.match(program.lines.at(-1)!, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+: /);
});
