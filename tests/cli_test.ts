/** Arguments, and which command they mean; what the commands do is tested in theirs. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../src/blocks/database.ts";
import { main } from "../src/cli.ts";
import { VERSION } from "../src/version.ts";
import { block, meddle, NOW } from "./support/database_samples.ts";
import { printed } from "./support/printing.ts";

const run = (...args: string[]) => printed(() => main(args));

/** Runs with a configuration of its own, whose database is in the same folder. */
async function configured(
  lines: readonly string[],
  test: (config: string, database: string) => unknown,
): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "ampere-" });
  try {
    const [config, database] = [`${folder}/ampere.cfg`, `${folder}/ampere.db`];
    const text = ["user = ampere", "pass = secret", `database = ${database}`, ...lines];
    Deno.writeTextFileSync(config, text.join("\n") + "\n");
    await test(config, database);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("cli: help and version win over every other command, and need no configuration", async () => {
  for (const args of [["-h"], ["--help", "-V", "-a"], ["-l", "-d", "-h"], ["-h", "word"]]) {
    const { code, out, err } = await run(...args);
    assert.deepEqual([code, err], [0, ""]);
    assert.match(out, /^Usage: ampere /);
  }
  for (
    const args of [["-V"], ["--version", "-l", "-c", "/nowhere"], ["-V", "--dry-run", "--json"]]
  ) {
    const { code, out, err } = await run(...args);
    assert.deepEqual([code, err], [0, ""]);
    assert.match(out, new RegExp(`^ampere.${RegExp.escape(VERSION)}\n$`));
  }
});

Deno.test("cli: the help names every option, with its short form", async () => {
  const { out } = await run("-h");
  const options = ["add", "del", "list", "check", "replay", "status", "help", "version"];
  options.push("setup", "import-fail2ban");
  for (const option of [...options, "config", "output", "verbose", "dry-run", "json"]) {
    assert.match(out, new RegExp(`^ +(-[adlhVcov], )?--${option}\\b`, "m"));
  }
});

Deno.test("cli: wrong arguments are named, with the usage, and nothing is done", async () => {
  const wrong: [string[], RegExp][] = [
    [["--bogus"], /Unknown option '--bogus'/],
    [["-x"], /Unknown option '-x'/],
    [["-c"], /config/],
    [["--json=yes", "-l"], /json/],
    [["192.0.2.1"], /unexpected argument "192.0.2.1"/],
    [["-l", "192.0.2.1"], /unexpected argument "192.0.2.1"$/],
    [["-d", "192.0.2.1"], /"192.0.2.1"; .* standard input: echo ADDRESS \| ampere --del$/],
    [["-a", "-d"], /--add and --del cannot be used together/],
    [["-l", "--status"], /--list and --status cannot be used together/],
    [["--replay"], /--replay needs at least one file/],
    [["--json"], /--json means nothing without a command that prints/],
    [["--json", "--check"], /--json means nothing with --check/],
    [["--json", "-a"], /--json means nothing with --add/],
    [["--dry-run", "-d"], /--dry-run means nothing with --del/],
    [["--undo"], /--undo means nothing without a command that prints/],
    [["--setup", "--import-fail2ban"], /--setup and --import-fail2ban cannot be used together/],
    [["--dry-run", "--replay", "x"], /--dry-run means nothing with --replay/],
    [["-v", "-l"], /--verbose means nothing with --list/],
    [["-o", "x", "--status"], /--output means nothing with --status/],
    [["-o", "x", "--check"], /--output means nothing with --check/],
  ];
  for (const [args, complaint] of wrong) {
    const { code, out, err } = await run(...args);
    assert.deepEqual([code, out], [2, ""], args.join(" "));
    const [first, ...usage] = err.split("\n");
    assert.match(first!, complaint);
    assert.match(first!, /^ampere: /);
    assert.match(usage.join("\n"), /^Usage: ampere (?:.*\n)+Try 'ampere --help' for more\.\n$/);
  }
});

Deno.test("cli: options that 0.2.3 took beside a command are taken, before and behind it", async () => {
  await configured([], async (config, database) => {
    {
      using list = BlockDatabase.open(database);
      list.add([block("192.0.2.1", { until: undefined })], NOW);
    }
    for (
      const args of [["-l", "-c", config], ["-c", config, "-l", "-o", "x"], [`-lc${config}`]]
    ) {
      const { code, out, err } = await run(...args);
      assert.equal(code, 0, args.join(" "));
      assert.match(err, /^whether these blocks are in force is not known: no daemon [^\n]*\n$/);
      assert.match(out, /^ *192\.0\.2\.1 \| since /);
    }
    const { out } = await run("-l", "--json", "-c", config);
    assert.equal(JSON.parse(out).target, "192.0.2.1");
  });
});

Deno.test("cli: a configuration with a mistake ends each command that works with it, a warning does not", async () => {
  await configured(["loyalty = many", "bogus = 1"], async (config) => {
    for (const command of [["-l"], ["-a"], ["-d"], ["--status"], ["--replay", config], []]) {
      const { code, out, err } = await run(...command, "-c", config);
      assert.deepEqual([code, out], [1, ""], command.join());
      assert.match(err, /ampere\.cfg.*:4: .*loyalty/);
    }
  });
  await configured(["trust = 192.0.2.7/24"], async (config) => {
    const { code, out, err } = await run("-l", "-c", config);
    assert.deepEqual([code, out], [0, ""]);
    assert.match(err, /^warning: .*ampere\.cfg:4: /);
  });
  const { code, err } = await run("-l", "-c", "/nowhere/ampere.cfg");
  assert.equal(code, 1);
  assert.match(err, /\/nowhere\/ampere\.cfg/);
});

Deno.test("cli: a database that cannot be used is told with what to do about it", async () => {
  await configured([], async (config, database) => {
    Deno.writeTextFileSync(database, "This is somebody's letter, and no database.\n".repeat(100));
    const { code, out, err } = await run("-l", "-c", config);
    assert.deepEqual([code, out], [1, ""]);
    assert.match(err, /^ampere: .*ampere\.db.*\n.+\n$/);
  });
  await configured([], async (config, database) => {
    BlockDatabase.open(database).close();
    meddle(database, "PRAGMA user_version = 1000000");
    const { code, err } = await run("-l", "-c", config);
    assert.equal(code, 1);
    assert.match(err, /^ampere: .*later version.*\n.+\n$/);
  });
});

Deno.test("cli: a reader that has enough is no problem", async () => {
  const gone = () => {
    throw new Deno.errors.BrokenPipe("gone");
  };
  assert.equal((await printed(() => main(["-h"]), gone)).code, 0);
});
