/**
 * Each command in README.md and docs/ is run on a machine of its own, with a real systemd, as a
 * person would type it, page by page; or there is a reason why not.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";
import { compiledAmpere, executableFolder } from "../support/executable.ts";
import { doWithSystemd, hasSystemd } from "../support/systemd.ts";
import { commandsIn, type DocumentedCommand, pages } from "./blocks.ts";
import { PAGE_WORLDS, worldScript } from "./world.ts";

const SHOWN = executableFolder();
const SYSTEMD = { ignore: !await hasSystemd(SHOWN) };

/** Commands that are not run, and why: what a person sees to, and what others tests do. */
const NOT_RUN: readonly [RegExp, string][] = [
  [
    /\bdeno(@[\d.]+)? task \w/,
    "builds or tests the project: .ci/run does. That there is such a task is looked at",
  ],
  [
    /^apt install /,
    "wants the network; tests/tools/package_test.ts installs the package with dpkg",
  ],
  [/^less |^tail -f /, "waits for a person"],
  [
    /^sh setup\.sh$|--setup --undo \| sh$/,
    "tests/live/setting_up.ts runs the script beside a real Asterisk",
  ],
  [/^\(umask 077; exec 3<>\/dev\/tcp/, "listens to an Asterisk for a day"],
  [
    /^netfilter-persistent save$|\/etc\/iptables\/rules/,
    "of a package that would load rules at each boot",
  ],
  [/^docker logs/, "there is no Docker"],
  [/^journalctl -u asterisk/, "there is no journal of an Asterisk"],
  [/--import-fail2ban/, "tests/e2e/fail2ban_test.ts reads a real fail2ban"],
  [
    /^iptables -S APIBAN \|/,
    "instead of what stands before it; tests/e2e/migrating_test.ts does it",
  ],
  [/^cd dist && sha256sum -c/, "after a build; tests/tools/package_test.ts compares the sums"],
];

/** Commands that end with another code than 0 on this machine, and why. */
const OTHER_CODES: readonly [RegExp, number, string][] = [
  [/^ampere --check$/, 1, "there is no Asterisk to log in to"],
];

/** Pages whose commands this file knows. Of one that is not here yet each command is run, too, and
 * must be understood; but it may find the machine other than it needs it. */
const KNOWN_PAGES = new Set([
  "README.md",
  "docs/configuration.md",
  "docs/freepbx.md",
  "docs/install.md",
  "docs/migrating.md",
  "docs/security.md",
  "docs/setup.md",
  "docs/threat-model.md",
  "docs/troubleshooting.md",
  "docs/tuning.md",
]);

/** What `timeout` ends with. */
const TIMED_OUT = 124;

/** What Ampere ends with when it does not understand its arguments. */
const USAGE = 2;

/** The longest that one command may take, in seconds. */
const LIMIT_S = 60;

interface Outcome {
  readonly code: number;
  readonly said: string;
}

/** Runs the commands of a page one after the other. */
async function runAll(page: string, commands: readonly DocumentedCommand[]): Promise<Outcome[]> {
  const folder = await Deno.makeTempDir({ dir: SHOWN });
  const world = worldScript(await compiledAmpere(), PROJECT) + (PAGE_WORLDS[page] ?? "");
  let script = `${world}\ncd /srv/ampere\n`;
  for (const [i, { text }] of commands.entries()) {
    await Deno.writeTextFile(join(folder, `${i}.sh`), `set -o pipefail\n${text}\n`);
    script += `code=0
timeout --kill-after=5 ${LIMIT_S} bash ${folder}/${i}.sh > ${folder}/${i}.out 2>&1 < /dev/null || code=$?
echo $code > ${folder}/${i}.code\n`;
  }
  await doWithSystemd(script, SHOWN);
  return await Promise.all(commands.map(async (_, i) => ({
    code: Number(await Deno.readTextFile(join(folder, `${i}.code`))),
    said: await Deno.readTextFile(join(folder, `${i}.out`)),
  })));
}

/** Why an outcome is no good; `undefined` if it is. */
function fault(command: DocumentedCommand, { code, said }: Outcome): string | undefined {
  const expected = OTHER_CODES.find(([pattern]) => pattern.test(command.text))?.[1] ?? 0;
  if (code === expected) return undefined;
  // In a pipeline another program has the last word.
  if (/^\S*: line \d+: \S+: command not found$/m.test(said)) return undefined;
  const isUsage = code === USAGE && /^ampere: /m.test(said);
  if (!KNOWN_PAGES.has(command.page) && !isUsage && code !== TIMED_OUT) return undefined;
  return `${command.page}:${command.line}: exit code ${code} instead of ${expected}\n` +
    `$ ${command.text}\n${said}`;
}

for (const page of await pages()) {
  const commands = commandsIn(page, await Deno.readTextFile(join(PROJECT, page)));
  const run = commands.filter(({ text, reason }) =>
    reason === undefined && !NOT_RUN.some(([pattern]) => pattern.test(text))
  );
  if (run.length === 0) continue;
  Deno.test(
    `docs: the commands of ${page} do what they say (${run.length} of ${commands.length})`,
    SYSTEMD,
    async () => {
      const outcomes = await runAll(page, run);
      const faults = run.map((command, i) => fault(command, outcomes[i]!)).filter(Boolean);
      assert.equal(faults.join("\n"), "");
    },
  );
}

Deno.test("docs: each task that a page names exists", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(PROJECT, "deno.json")));
  let count = 0;
  for (const page of await pages()) {
    const text = await Deno.readTextFile(join(PROJECT, page));
    for (const [, task] of text.matchAll(/\bdeno(?:@[\d.]+)? task ([a-z-]+)/g)) {
      assert.ok(task! in tasks, `${page}: deno task ${task}`);
      count++;
    }
  }
  assert.ok(count > 10);
});

Deno.test("docs: each reason is for a command that there is", async () => {
  const all: string[] = [];
  for (const page of await pages()) {
    const text = await Deno.readTextFile(join(PROJECT, page));
    all.push(...commandsIn(page, text).map((command) => command.text));
  }
  for (const [pattern] of [...NOT_RUN, ...OTHER_CODES]) {
    assert.ok(all.some((text) => pattern.test(text)), String(pattern));
  }
});

Deno.test("docs: commands over several lines, comments, indented blocks and reasons are understood", () => {
  const text = [
    "- a list:",
    "",
    "  ```sh",
    "  # a comment",
    "  printf '%s' a \\",
    "    > b",
    "  (cd x",
    "   ls)",
    "  ```",
    "",
    "<!-- not run: no such host -->",
    "",
    "```sh",
    "a |",
    "  b",
    "```",
    "```ini",
    "no = command",
    "```",
  ].join("\n");
  assert.deepEqual(commandsIn("x.md", text), [
    { page: "x.md", line: 5, text: "printf '%s' a \\\n  > b", reason: undefined },
    { page: "x.md", line: 7, text: "(cd x\n ls)", reason: undefined },
    { page: "x.md", line: 14, text: "a |\n  b", reason: "no such host" },
  ]);
  assert.throws(() => commandsIn("x.md", "```sh\nif true\n```\n"), /x\.md:2: the shell does not/);
});
