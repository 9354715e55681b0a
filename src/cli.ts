/**
 * The command line: flags, and one function for each command. Only this module prints for people.
 *
 * Modules that only one command needs are imported when it runs, so that `ampere -h` does not wait
 * for them.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { BlockDatabase, NewBlock } from "./blocks/database.ts";
import type { Config } from "./config/config.ts";
import type { ExemptSet } from "./address/exempt.ts";
import type { Status } from "./telemetry/status.ts";
import { VERSION } from "./version.ts";

/** Exit codes. */
const EXIT = { ok: 0, problem: 1, usage: 2 } as const;

const HELP = `Usage: ampere [OPTION]...
Blocks hosts that guess passwords on an Asterisk PBX, by its Manager Interface.
Without a command: runs as a daemon in the foreground.

Commands:
  -a, --add           add addresses or networks from standard input, one a line
  -d, --del           delete addresses or networks, the same way
  -l, --list          list what is blocked; the output is input for -a and -d
      --check         check the configuration, the firewall, the database, Asterisk
      --replay FILE...  tell who would have been blocked, from recorded AMI
                      streams or Asterisk's security log
      --status        tell what the running daemon knows
  -h, --help          this text
  -V, --version       the version

Options:
  -c, --config FILE   configuration (/etc/ampere/ampere.cfg)
  -o, --output FILE   append the log to FILE instead of writing it to stderr
  -v, --verbose       log each message of Asterisk and what became of it
      --dry-run       daemon: change nothing in the firewall, say what would be done
      --json          --list, --status, --replay: JSON, one object a line

Signals: HUP re-reads the configuration and reopens the log, USR1 logs the state.
`;

const OPTIONS = {
  add: { type: "boolean", short: "a" },
  del: { type: "boolean", short: "d" },
  list: { type: "boolean", short: "l" },
  check: { type: "boolean" },
  replay: { type: "boolean" },
  status: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "V" },
  config: { type: "string", short: "c" },
  output: { type: "string", short: "o" },
  verbose: { type: "boolean", short: "v" },
  "dry-run": { type: "boolean" },
  json: { type: "boolean" },
} as const;

const COMMANDS = ["help", "version", "add", "del", "list", "check", "replay", "status"] as const;
type Command = typeof COMMANDS[number] | "daemon";

/** Which commands take an option besides --config. */
const TAKES: Record<"json" | "dry-run" | "verbose" | "output", readonly Command[]> = {
  json: ["list", "status", "replay"],
  "dry-run": ["daemon"],
  verbose: ["daemon", "replay", "check"],
  output: ["daemon", "add", "del", "list"],
};

/** Largest input of -a and -d, in bytes: about a million lines of -l. */
const INPUT_BYTES_MAX = 128 * 1024 * 1024;

/** The list is printed in pieces of about so many characters, which is faster than in one. */
const OUTPUT_CHARACTERS = 65_536;

/** Most lines that are complained of one by one. */
const COMPLAINTS_MAX = 100;

/** Most hosts that are named for a line of -d which is a network around them. */
const RELATED_MAX = 10;

/** What the command line asks for. */
interface Invocation {
  readonly command: Command;
  readonly config: string | undefined;
  readonly output: string | undefined;
  readonly verbose: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly files: readonly string[];
}

/** Something is wrong with the arguments. */
class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Reads the command line.
 *
 * @param args the arguments, without the program's name
 * @throws {UsageError} saying which argument is wrong
 */
function parseArguments(args: readonly string[]): Invocation {
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message.split(". ")[0]! : String(error));
  }
  const { values, positionals } = parsed;
  // As in the original, help and version win over everything else.
  const asked = COMMANDS.filter((name) => values[name]);
  const command: Command = values.help ? "help" : values.version ? "version" : asked[0] ?? "daemon";
  if (asked.length > 1 && command !== "help" && command !== "version") {
    throw new UsageError(`--${asked[0]} and --${asked[1]} cannot be used together`);
  }
  if (
    positionals.length > 0 && command !== "replay" && command !== "help" && command !== "version"
  ) {
    throw new UsageError(`unexpected argument "${positionals[0]}"`);
  }
  if (command === "replay" && positionals.length === 0) {
    throw new UsageError("--replay needs at least one file");
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
    json: values.json ?? false,
    files: positionals,
  };
}

/**
 * Runs the program.
 *
 * @param args the arguments, without the program's name
 * @returns the exit code: 0 all is well, 1 something went wrong (it is said on stderr), 2 wrong
 *   arguments
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const invocation = parseArguments(args);
    switch (invocation.command) {
      case "help":
        return print(HELP);
      case "version":
        return print(`ampere ${VERSION}\n`);
      default:
        return await runWithConfig(invocation);
    }
  } catch (error) {
    if (error instanceof UsageError) {
      complain(`ampere: ${error.message}`);
      complain("Usage: ampere [-h] [-V] [-a | -d | -l | --check | --status | --replay FILE...]");
      complain("              [-c FILE] [-o FILE] [-v] [--dry-run] [--json]");
      complain("Try 'ampere --help' for more.");
      return EXIT.usage;
    }
    if (error instanceof Deno.errors.BrokenPipe) return EXIT.ok;
    complain(await describeFailure(error));
    return EXIT.problem;
  }
}

async function runWithConfig(invocation: Invocation): Promise<number> {
  const { formatProblem, readConfig } = await import("./config/parse.ts");
  const { config, problems, warnings } = readConfig(invocation.config);
  if (invocation.command === "check") {
    const { check } = await import("./commands/check/check.ts");
    return await check(invocation, { config, problems, warnings }, print);
  }
  for (
    const problem of [
      ...warnings.map((w) => `warning: ${formatProblem(w)}`),
      ...problems.map(formatProblem),
    ]
  ) {
    complain(problem);
  }
  if (config === undefined || problems.length > 0) return EXIT.problem;
  switch (invocation.command) {
    case "list":
      return await listBlocks(config, invocation.json);
    case "add":
    case "del":
      return await changeBlocks(config, invocation.command);
    case "status": {
      const { printStatus } = await import("./telemetry/status.ts");
      return await printStatus(config, invocation.json, print, complain);
    }
    case "replay": {
      const { replay } = await import("./commands/replay/replay.ts");
      return await replay(config, invocation, print, complain);
    }
    default: {
      const { runDaemon } = await import("./daemon/run.ts");
      return await runDaemon(config, invocation);
    }
  }
}

async function listBlocks(config: Config, json: boolean): Promise<number> {
  const [blockList, { formatBlock, formatBlockJson }] = await Promise.all([
    import("./blocks/database.ts"),
    import("./blocks/block_lines.ts"),
  ]);
  const { BlockDatabase, BlockDatabaseError, hasEnded } = blockList;
  let list: BlockDatabase;
  try {
    list = BlockDatabase.open(config.database, { readOnly: true });
  } catch (error) {
    if (!(error instanceof BlockDatabaseError) || error.fault !== "missing") throw error;
    complain(`There is no database at ${config.database} yet: nothing has been blocked.`);
    return EXIT.ok;
  }
  const now = Date.now();
  let text = "";
  const add = (line: string) => {
    text += line + "\n";
    if (text.length < OUTPUT_CHARACTERS) return;
    print(text);
    text = "";
  };
  const format = json ? formatBlockJson : formatBlock;
  for (const block of list.all()) if (!hasEnded(block, now)) add(format(block));
  list.close();
  return print(text);
}

async function changeBlocks(config: Config, command: "add" | "del"): Promise<number> {
  if (Deno.stdin.isTerminal()) {
    complain(
      `Not in a pipeline. Give the addresses on standard input: echo 203.0.113.5 | ampere --${command}`,
    );
    return EXIT.problem;
  }
  const { parseBlockLine } = await import("./blocks/block_lines.ts");
  const now = Date.now();
  const blocks: (NewBlock & { line: number })[] = [];
  let bad = 0;
  for (const [index, line] of (await readInput()).split("\n").entries()) {
    const parsed = parseBlockLine(line.replace(/\r$/, ""), now);
    if (parsed.kind === "block") blocks.push({ ...parsed.block, line: index + 1 });
    if (parsed.kind === "bad" && ++bad <= COMPLAINTS_MAX) {
      complain(`line ${index + 1}: ${parsed.message}`);
    }
  }
  let idle = 0;
  if (command === "add") bad += await addBlocks(config, blocks, now);
  else idle = await removeBlocks(config, blocks);
  if (bad > COMPLAINTS_MAX) complain(`${bad - COMPLAINTS_MAX} more lines are wrong`);
  return bad + idle > 0 ? EXIT.problem : EXIT.ok;
}

/** Adds what may be added, in one transaction; the number of lines that were refused. */
async function addBlocks(
  config: Config,
  blocks: readonly (NewBlock & { line: number })[],
  now: number,
): Promise<number> {
  const [{ BlockDatabase, hasEnded }, { protectedBy }] = await Promise.all([
    import("./blocks/database.ts"),
    import("./address/exempt.ts"),
  ]);
  const whyNot = protectedBy(await exemptNow(config));
  let refused = 0;
  let ended = 0;
  const accepted = blocks.filter((block) => {
    const why = whyNot(block.target);
    if (why !== undefined && ++refused <= COMPLAINTS_MAX) {
      complain(`line ${block.line}: ${block.target} ${why}`);
    }
    if (why === undefined && hasEnded(block, now)) {
      ended++;
      return false;
    }
    return why === undefined;
  });
  const list = BlockDatabase.open(config.database);
  const added = list.add(accepted, now);
  list.close();
  const there = accepted.length - added.length;
  print(
    `${added.length} added` + (there > 0 ? `, ${there} blocked already` : "") +
      (ended > 0 ? `, ${ended} left out because their time is over` : "") + "\n",
  );
  return refused;
}

/**
 * Who must not be blocked: what this process sees, and what the daemon, if it runs, knows besides
 * (the gateways, and the addresses of an AMI server that has a name).
 */
async function exemptNow(config: Config): Promise<ExemptSet> {
  const [{ exemptAddresses, ExemptSet }, { literalPeers }, socket] = await Promise.all([
    import("./address/exempt.ts"),
    import("./ami/dial.ts"),
    import("./telemetry/status_socket.ts"),
  ]);
  const seen = exemptAddresses(config.trust, literalPeers(config.host));
  try {
    const path = await socket.statusSocketPath(config.database, socket.RUN_FOLDER);
    const status: Status = JSON.parse(await socket.askStatus(path));
    // A daemon that was not started again after an update may not tell it yet.
    const known = (status.neverBlocked ?? []).filter(({ cause }) => cause !== "trusted");
    return new ExemptSet([...seen.entries, ...known]);
  } catch (error) {
    if (!(error instanceof socket.StatusError)) throw error;
    return seen;
  }
}

/**
 * Removes what is there, in one transaction, and says what is not; the number of lines that let
 * nobody in.
 */
async function removeBlocks(
  config: Config,
  blocks: readonly (NewBlock & { line: number })[],
): Promise<number> {
  const { BlockDatabase } = await import("./blocks/database.ts");
  const list = BlockDatabase.open(config.database);
  const removed = new Set(list.remove(blocks.map((block) => block.target)));
  const absent = blocks.filter((block) => !removed.has(block.target));
  const shown = absent.slice(0, COMPLAINTS_MAX);
  const related = await relatedTargets(
    shown.map(({ target }) => target),
    shown.length > 0 ? list.targets() : [],
  );
  list.close();
  for (const { line, target } of shown) {
    const others = related.get(target) ?? [];
    const names = others.slice(0, RELATED_MAX).join(", ");
    const more = others.length > RELATED_MAX ? ` and ${others.length - RELATED_MAX} more` : "";
    complain(
      `line ${line}: ${target} is not blocked` +
        (others.length === 0
          ? ""
          : others.length === 1
          ? `, but ${names} is: delete that`
          : `, but ${names}${more} are: delete those`),
    );
  }
  if (absent.length > COMPLAINTS_MAX) {
    complain(`${absent.length - COMPLAINTS_MAX} more were not blocked`);
  }
  print(`${removed.size} deleted\n`);
  return absent.length;
}

/** What is blocked that contains one of some targets, or is in one of them; by target. */
async function relatedTargets(
  targets: readonly string[],
  blocked: readonly string[],
): Promise<Map<string, string[]>> {
  const [{ overlaps }, { AddressSet }] = await Promise.all([
    import("./address/address.ts"),
    import("./address/address_set.ts"),
  ]);
  const any = new AddressSet(targets);
  const related = blocked.filter((candidate) => any.overlaps(candidate)).sort();
  return new Map(targets.map((target) => [
    target,
    related.filter((candidate) => overlaps(candidate, target)),
  ]));
}

/** All of standard input, as text. */
async function readInput(): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of Deno.stdin.readable) {
    bytes += chunk.length;
    if (bytes > INPUT_BYTES_MAX) {
      throw new Error(
        `the input is larger than ${
          INPUT_BYTES_MAX / 1024 / 1024
        } MB; give it in parts. Nothing was changed`,
      );
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Writes to standard output, all of it. */
function print(text: string): typeof EXIT.ok {
  writeAll(Deno.stdout, text);
  return EXIT.ok;
}

/** Writes a line to standard error. */
function complain(line: string): void {
  writeAll(Deno.stderr, line + "\n");
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

/** An error in words for an administrator. */
async function describeFailure(error: unknown): Promise<string> {
  const { BlockDatabaseError } = await import("./blocks/database.ts");
  if (error instanceof BlockDatabaseError) return `ampere: ${error.message}\n${error.advice}`;
  if (error instanceof Error) return `ampere: ${error.message}`;
  return `ampere: ${String(error)}`;
}
