/**
 * The command line: flags, and which command they mean.
 *
 * What only one command needs is imported when it runs, so that `ampere -h` does not wait for it.
 *
 * @module
 */

import { complain, complainToJournal, EXIT, print } from "./commands/output.ts";
import { DURATION_MAX, formatDuration, parseDuration } from "./config/duration.ts";
import { escapeText } from "./text/escape.ts";
import { VERSION } from "./version.ts";
import { parseArgs } from "node:util";

const HELP = `Usage: ampere [OPTION]...
Blocks hosts that guess passwords on an Asterisk PBX, by its Manager Interface.
Without a command: runs as a daemon in the foreground.

Commands:
  -a, --add           add addresses, networks or ranges from standard input
  -d, --del           delete addresses or networks, the same way
  -l, --list          list what is blocked; the output is input for -a and -d
      --check         check the configuration, the firewall, the database, Asterisk
      --replay FILE...  tell who would have been blocked, from recorded AMI
                      streams or Asterisk's log, in any form
      --page-token [lists]  make the token of the status page, or the one for its
                      lists of blocks, and show it once
      --status        tell what the running daemon knows
      --ready         wait until the daemon has put its blocks into the firewall,
                      20 seconds at most; exit code 0 when it has
      --trusted       list who is trusted, and where that stands
      --why ADDRESS   tell whether an address or network is blocked, why, and what
                      to type to change it
      --setup         print a script that sets Ampere up on this machine; --setup
                      --undo prints the one that takes it back
      --import-fail2ban [JAIL]...  print what fail2ban's jails of Asterisk say and
                      whom they have banned, as input for -a
  -h, --help          this text
  -V, --version       the version

Options:
  -c, --config FILE   configuration (/etc/ampere/ampere.cfg)
  -o, --output FILE   append the log to FILE instead of writing it to stderr
      --journal       daemon: begin each line on stderr with its level as systemd's
                      journal reads it (<3> error, <4> warn), without the time
  -v, --verbose       log each message of Asterisk and what became of it
      --dry-run       daemon: change nothing in the firewall, say what would be done;
                      --add: change nothing, say what would be added
      --for LENGTH    --add: how long a block lasts whose line does not say it, such
                      as 90s, 15m, 2h or 7d; for ever without it
      --origin NAME   --del: all that another PBX has brought (fleet), and not
                      what standard input says
      --json          --list, --status, --trusted, --why, --replay: JSON, one
                      object a line
      --notify        --check: send a test message to all who are told ([notify NAME])

Signals: HUP re-reads the configuration and reopens the log, USR1 logs the state.
`;

/** What is said when the command line is wrong. */
const SHORT_USAGE: readonly string[] = [
  "Usage: ampere [-h] [-V] [-a | -d | -l | --check | --status | --ready | --trusted]",
  "              [--why ADDRESS | --replay FILE... | --page-token [lists]]",
  "              [--setup [--undo] | --import-fail2ban [JAIL]...]",
  "              [-c FILE] [-o FILE] [-v] [--dry-run] [--journal] [--json] [--notify]",
  "              [--for LENGTH] [--origin NAME]",
];

const OPTIONS = {
  add: { type: "boolean", short: "a" },
  del: { type: "boolean", short: "d" },
  list: { type: "boolean", short: "l" },
  check: { type: "boolean" },
  replay: { type: "boolean" },
  status: { type: "boolean" },
  ready: { type: "boolean" },
  trusted: { type: "boolean" },
  why: { type: "boolean" },
  setup: { type: "boolean" },
  undo: { type: "boolean" },
  "import-fail2ban": { type: "boolean" },
  "page-token": { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "V" },
  config: { type: "string", short: "c" },
  output: { type: "string", short: "o" },
  verbose: { type: "boolean", short: "v" },
  "dry-run": { type: "boolean" },
  journal: { type: "boolean" },
  json: { type: "boolean" },
  for: { type: "string" },
  notify: { type: "boolean" },
  origin: { type: "string" },
} as const;

/** As in the original, help and version win over everything else. */
const COMMANDS = [
  "help",
  "version",
  "add",
  "del",
  "list",
  "check",
  "replay",
  "status",
  "ready",
  "trusted",
  "why",
  "setup",
  "import-fail2ban",
  "page-token",
] as const;

type Command = typeof COMMANDS[number] | "daemon";

/** Which commands take an option besides --config. */
const TAKES: Record<
  "json" | "dry-run" | "journal" | "verbose" | "output" | "for" | "origin" | "undo" | "notify",
  readonly Command[]
> = {
  json: ["list", "status", "trusted", "why", "replay"],
  "dry-run": ["daemon", "add"],
  journal: ["daemon"],
  verbose: ["daemon", "replay", "check"],
  output: ["daemon", "add", "del", "list"],
  for: ["add"],
  undo: ["setup"],
  notify: ["check"],
  origin: ["del"],
};

/** Which commands take words that belong to no option. */
const TAKES_WORDS: readonly Command[] = [
  "replay",
  "why",
  "page-token",
  "import-fail2ban",
  "help",
  "version",
];

/** What the command line asks for. */
interface Invocation {
  readonly command: Command;
  readonly config: string | undefined;
  readonly output: string | undefined;
  readonly verbose: boolean;
  readonly dryRun: boolean;
  readonly journal: boolean;
  readonly json: boolean;
  readonly undo: boolean;
  readonly notify: boolean;
  /** How long blocks last that are added, in seconds; `undefined` if it was not said. */
  readonly length: number | undefined;
  /** The PBX whose blocks are to be deleted. */
  readonly origin: string | undefined;
  readonly files: readonly string[];
}

/** Something is wrong with the arguments. */
class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Reads the command line.
 *
 * @param args The arguments, without the program's name.
 * @throws {UsageError} Saying which argument is wrong.
 */
function parseArguments(args: readonly string[]): Invocation {
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message.split(". ")[0]! : String(error));
  }
  const { values, positionals } = parsed;
  const asked = COMMANDS.filter((name) => values[name]);
  const command: Command = asked[0] ?? "daemon";
  if (asked.length > 1 && command !== "help" && command !== "version") {
    throw new UsageError(`--${asked[0]} and --${asked[1]} cannot be used together`);
  }
  if (
    positionals.length > 0 && !TAKES_WORDS.includes(command)
  ) {
    const how = command === "add" || command === "del"
      ? `; addresses are read from standard input: echo ADDRESS | ampere --${command}`
      : "";
    throw new UsageError(`unexpected argument "${positionals[0]}"${how}`);
  }
  if (command === "replay" && positionals.length === 0) {
    throw new UsageError("--replay needs at least one file");
  }
  if (command === "why" && positionals.length === 0) {
    throw new UsageError("--why needs an address or network: ampere --why 203.0.113.5");
  }
  if (command !== "help" && command !== "version") {
    for (const [option, commands] of Object.entries(TAKES)) {
      if (values[option as keyof typeof TAKES] !== undefined && !commands.includes(command)) {
        throw new UsageError(
          `--${option} means nothing ${
            command === "daemon" ? "without a command that prints" : `with --${command}`
          }`,
        );
      }
    }
  }
  return {
    command,
    config: values.config,
    output: values.output,
    verbose: values.verbose ?? false,
    dryRun: values["dry-run"] ?? false,
    journal: values.journal ?? false,
    json: values.json ?? false,
    undo: values.undo ?? false,
    notify: values.notify ?? false,
    length: values.for === undefined ? undefined : readLength(values.for),
    origin: values.origin,
    files: positionals,
  };
}

/** The value of `--for`, in seconds. */
function readLength(text: string): number {
  const length = parseDuration(text);
  if (length === undefined || length > DURATION_MAX) {
    throw new UsageError(
      `--for "${escapeText(text, 40)}" is not a length of time up to ${
        formatDuration(DURATION_MAX)
      }, such as 90s, 15m, 2h or 7d (0: for ever)`,
    );
  }
  return length;
}

/**
 * Runs the program.
 *
 * @param args The arguments, without the program's name.
 * @returns The exit code: 0 all is well, 1 something went wrong (it is said on stderr), 2 wrong
 *   arguments.
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const invocation = parseArguments(args);
    if (invocation.journal) complainToJournal();
    switch (invocation.command) {
      case "help":
        return print(HELP);
      case "version":
        return print(`ampere/${VERSION}\n`);
      default:
        return await runWithConfig(invocation);
    }
  } catch (error) {
    if (error instanceof UsageError) {
      complain(`ampere: ${error.message}`);
      for (const line of SHORT_USAGE) complain(line);
      complain("Try 'ampere --help' for more.");
      return EXIT.usage;
    }
    if (error instanceof Deno.errors.BrokenPipe) return EXIT.ok;
    complain(await describeFailure(error));
    return EXIT.problem;
  }
}

async function runWithConfig(invocation: Invocation): Promise<number> {
  if (invocation.command === "import-fail2ban") {
    const { importFail2ban } = await import("./commands/fail2ban/import.ts");
    return importFail2ban(invocation.files, print, complain);
  }
  const asked = invocation.command === "why" ? await readTargets(invocation.files) : [];
  const { formatProblem, readConfig } = await import("./config/parse.ts");
  const { config, problems, warnings } = readConfig(invocation.config);
  if (invocation.command === "check") {
    const { check } = await import("./commands/check/check.ts");
    return await check(
      invocation,
      { config, problems, warnings },
      print,
      async (config, status) => {
        if (config.page === undefined) return [];
        const { checkPage } = await import("./page/check.ts");
        return await checkPage(config, status);
      },
    );
  }
  if (invocation.command === "page-token") {
    // What is wrong may be that there is no token yet.
    const { makePageToken } = await import("./page/token_command.ts");
    return await makePageToken(config?.pageTokenFile, invocation.files);
  }
  const doubts = warnings.map(formatProblem);
  // Who reads objects of JSON is to find nothing else in between.
  const isForMachines = invocation.command === "daemon" && config?.logFormat === "json";
  if (!isForMachines) { for (const doubt of doubts) complain(`warning: ${doubt}`); }
  for (const problem of problems) complain(formatProblem(problem));
  if (config === undefined || problems.length > 0) {
    // At the other end of a pipe there is a shell, which shall not end well.
    if (invocation.command === "setup") print("exit 1\n");
    return EXIT.problem;
  }
  switch (invocation.command) {
    case "list": {
      const { listBlocks } = await import("./commands/blocks.ts");
      return await listBlocks(config, invocation.json);
    }
    case "add":
    case "del": {
      const { changeBlocks, deleteOrigin } = await import("./commands/blocks.ts");
      if (invocation.origin !== undefined) return deleteOrigin(config, invocation.origin);
      return await changeBlocks(config, invocation.command, invocation.length, invocation.dryRun);
    }
    case "setup": {
      const { setup } = await import("./commands/setup/setup.ts");
      return await setup(config, invocation, print, complain);
    }
    case "status": {
      const { printStatus } = await import("./commands/status.ts");
      return await printStatus(config, invocation.json, print, complain);
    }
    case "ready": {
      const { waitUntilReady } = await import("./commands/ready.ts");
      return await waitUntilReady(config, complain);
    }
    case "trusted": {
      const { listTrusted } = await import("./commands/trusted_list.ts");
      return await listTrusted(config, invocation.json);
    }
    case "why": {
      const { why } = await import("./commands/why/why.ts");
      return await why(config, invocation.config, asked, invocation.json);
    }
    case "replay": {
      const { replay } = await import("./commands/replay/replay.ts");
      const { trustedNow } = await import("./commands/trusted.ts");
      const trusted = await trustedNow(config);
      for (const note of trusted.notes) complain(`warning: ${note}`);
      return await replay({ ...config, trust: trusted.targets }, invocation, print, complain);
    }
    default: {
      const { runDaemon } = await import("./daemon/run.ts");
      return await runDaemon(
        config,
        invocation,
        isForMachines ? doubts : [],
        async (daemon, log) => {
          // Most do without: modules that are not there need no memory.
          const { openPage } = await import("./page/page.ts");
          return await openPage(daemon, log);
        },
      );
    }
  }
}

/** The addresses and networks of `--why`. */
async function readTargets(words: readonly string[]): Promise<string[]> {
  const { readAsked } = await import("./commands/why/why.ts");
  const asked = readAsked(words);
  if ("wrong" in asked) throw new UsageError(`--why: ${asked.wrong}`);
  return asked;
}

/** An error in words for an administrator. */
async function describeFailure(error: unknown): Promise<string> {
  const { BlockDatabaseError } = await import("./blocks/database.ts");
  if (error instanceof BlockDatabaseError) return `ampere: ${error.message}\n${error.advice}`;
  if (error instanceof Error) return `ampere: ${error.message}`;
  return `ampere: ${String(error)}`;
}
