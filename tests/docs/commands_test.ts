/**
 * Every command that README and docs/ tell is run: on a copy of this machine with a real systemd,
 * real firewalls and the compiled program, which the commands of docs/by-hand.md have installed
 * there. New commands are run without a word here; `cases.ts` is for those that need something
 * before, that another test runs, or that nobody can run.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { PROJECT } from "../../tools/compile.ts";
import { compiledAmpere, executableFolder } from "../support/executable.ts";
import { FORMS, threeGuesses } from "../support/log_text.ts";
import { doWithSystemd, hasSystemd } from "../support/systemd.ts";
import { allBlocks, type Block, blocksOf, inlineCommands, pages } from "./blocks.ts";
import { type Case, CASES, INLINE_NEVER } from "./cases.ts";

const SHOWN = executableFolder();

const blocks = allBlocks();

function casesOf(block: Block): Case[] {
  return CASES.filter(({ page, has }) => page === block.page && block.text.includes(has));
}

/** What the commands are called in messages. */
const nameOf = ({ page, line, text }: Block) => `${page}:${line} ${text.split("\n")[0]}`;

Deno.test("docs: commands are found in fences of every form, and an open one is an error", () => {
  const found = blocksOf(
    "p",
    "a\n```sh\none\n```\n\n- x\n  ```bash\n  two\n    three\n  ```\n" +
      "```ini\nfour\n```\n````sh\n```\nfive\n````\n",
  );
  assert.deepEqual(found.map(({ line, text }) => [line, text]), [
    [3, "one\n"],
    [8, "two\n  three\n"],
    [15, "```\nfive\n"],
  ]);
  assert.throws(() => blocksOf("p", "```sh\none\n"), /p: a fence is not closed \(line 1\)/);
});

Deno.test("docs: what is said about commands is about commands that are there", () => {
  assert.ok(blocks.length > 30);
  const there = new Set(pages());
  for (const one of CASES) {
    if (!there.has(one.page)) continue;
    const name = `${one.page}, "${one.has}"`;
    assert.equal(blocks.filter((block) => casesOf(block).includes(one)).length, 1, name);
    if (one.elsewhere !== undefined) {
      assert.ok(Deno.statSync(join(PROJECT, one.elsewhere)).isFile, name);
    }
  }
  for (const block of blocks) assert.ok(casesOf(block).length <= 1, nameOf(block));
});

Deno.test("docs: commands in sentences that are not run stand there", () => {
  const there = inlineCommands();
  for (const command of Object.keys(INLINE_NEVER)) assert.ok(there.includes(command), command);
});

/** The script that runs some commands, by bash. */
function scriptOf(block: Block): string {
  const { before = "", after = "" } = casesOf(block)[0] ?? {};
  // It would go on for ever.
  const text = block.text.replace(/^(tail -f .*)$/m, "timeout 1 $1 || [ $? = 124 ]");
  return `set -euo pipefail\n${before}\n${text}\n${after}\n`;
}

/** How long some commands may take, in seconds. */
const LIMIT_S = 60;

/** How long a command in a sentence may take, in seconds; some would go on for ever. */
const INLINE_LIMIT_S = 10;

/** A command that goes on is ended by `timeout` with this. */
const TIMED_OUT = 124;

/**
 * Runs a command that stands in a sentence, of which nobody knows what happened before: the daemon
 * runs, the sets and chains that are spoken of are there.
 */
function inlineScript(command: string): string {
  return `
systemctl is-active -q ampere || systemctl start ampere
nft list table inet ampere > /dev/null 2>&1 || { systemctl restart ampere; ampere --ready; }
for each in iptables ip6tables; do $each -N ampere; $each -I INPUT -j ampere; done 2> /dev/null
ampere -l > blocks.txt
touch /etc/ampere/second.cfg
${GOES_ON.test(command) ? "timeout 1 " : ""}${command}
code=$?
for each in iptables ip6tables; do $each -F INPUT; $each -F ampere; $each -X ampere; done 2> /dev/null
exit $code
`;
}

/** These go on until they are ended. */
const GOES_ON = /^nft .*monitor$/;

/**
 * Without an Asterisk, a fail2ban, or anything on standard input, these tell of a problem, but not
 * of wrong arguments (2).
 */
const HAS_PROBLEM = /^ampere (?:--check|--import-fail2ban.*|--setup.* \| sh|-[ad].*|-v)$/;

/** Whether a command did what the sentence says of it. */
function isWell(command: string, code: number): boolean {
  return code === 0 || code === TIMED_OUT && GOES_ON.test(command) ||
    code === 1 && HAS_PROBLEM.test(command);
}

/** Puts these first, in this order: the program is installed, then it runs. */
const FIRST = ["install -D -m 755 dist/ampere", "systemctl enable --now ampere"];

function rank({ page, text }: Block): number {
  const place = page === "docs/by-hand.md" ? FIRST.findIndex((words) => text.includes(words)) : -1;
  return place < 0 ? FIRST.length : place;
}

Deno.test("docs: every command runs", { ignore: !await hasSystemd(SHOWN) }, async (t) => {
  const runnable = blocks.filter((block) =>
    casesOf(block).every(({ elsewhere, never }) => elsewhere === undefined && never === undefined)
  ).toSorted((a, b) => rank(a) - rank(b));
  assert.ok(runnable.length >= 15);

  const folder = join(SHOWN, "docs");
  await Deno.mkdir(folder);
  await Deno.copyFile(await compiledAmpere(), join(folder, "ampere"));
  await Deno.copyFile(
    join(PROJECT, "tests/testdata/recordings/pjsip-udp-wrong-password.ami"),
    join(folder, "recorded.ami"),
  );
  await Deno.copyFile(join(PROJECT, "ampere.cfg"), join(folder, "ampere.cfg"));
  await Deno.mkdir(join(folder, "packaging"));
  for await (const { name, isFile } of Deno.readDir(join(PROJECT, "packaging"))) {
    const file = `packaging/${name}`;
    if (isFile) await Deno.copyFile(join(PROJECT, file), join(folder, file));
  }
  const guesses = threeGuesses("203.0.113.5", FORMS.default!).join("\n");
  await Deno.writeTextFile(join(folder, "security"), `${guesses}\n`);
  for (const [i, block] of runnable.entries()) {
    await Deno.writeTextFile(join(folder, `${i}.sh`), scriptOf(block));
  }
  const inline = inlineCommands().filter((command) => !(command in INLINE_NEVER));
  assert.ok(inline.length > 30);
  for (const [i, command] of inline.entries()) {
    await Deno.writeTextFile(join(folder, `inline-${i}.sh`), inlineScript(command));
  }
  const said = await doWithSystemd(
    `
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mkdir -p /shown /srv/project/dist /var/log/asterisk
mount --bind ${folder} /shown
cp /shown/ampere /srv/project/dist/
cp -r /shown/ampere.cfg /shown/packaging /srv/project/
touch /var/log/asterisk/messages
rm -f /etc/systemd/system/ampere* /usr/sbin/ampere
cd /srv/project
for i in $(seq 0 ${runnable.length - 1}); do
  code=0
  timeout ${LIMIT_S} bash /shown/$i.sh > /srv/said 2>&1 < /dev/null || code=$?
  echo "=== $i $code"
  cat /srv/said
  # Restarts in a row are no fault here.
  systemctl reset-failed > /dev/null 2>&1 || true
done
for i in $(seq 0 ${inline.length - 1}); do
  code=0
  timeout ${INLINE_LIMIT_S} bash /shown/inline-$i.sh > /srv/said 2>&1 < /dev/null || code=$?
  echo "=== ${runnable.length}$i $code"
  cat /srv/said
  systemctl reset-failed > /dev/null 2>&1 || true
done
`,
    SHOWN,
  );
  const outcomes = new Map(
    said.split(/^=== /m).slice(1).map((part) => {
      const [, i, code, text] = /^(\d+) (\d+)\n(.*)$/s.exec(part)!;
      return [Number(i), { code: Number(code), text: text! }];
    }),
  );
  for (const [i, block] of runnable.entries()) {
    await t.step(nameOf(block), () => {
      const { code, text } = outcomes.get(i) ?? { code: -1, text: "it was not run" };
      const help = "mend it, or say in tests/docs/cases.ts what it needs or why it can't be run";
      assert.equal(code, 0, `${block.text}ended with ${code}: ${text}\n${help}`);
    });
  }
  for (const [i, command] of inline.entries()) {
    await t.step(`in a sentence: ${command}`, () => {
      const { code, text } = outcomes.get(Number(`${runnable.length}${i}`)) ??
        { code: -1, text: "it was not run" };
      assert.ok(isWell(command, code), `${command} ended with ${code}: ${text}`);
    });
  }
});

Deno.test("docs: the index names every page", () => {
  const index = Deno.readTextFileSync(join(PROJECT, "docs/README.md"));
  for (const page of pages().filter((page) => !page.endsWith("README.md"))) {
    assert.ok(index.includes(`](${page.slice("docs/".length)})`), page);
  }
});
