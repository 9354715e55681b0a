/**
 * `ampere --check` against a real Asterisk: every mistake in manager.conf is named, and what
 * `--check` prints mends it.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Server } from "../../tools/asterisk.ts";
import { runToEnd } from "../e2e/program.ts";
import { Ampere, check, CONFIGURATION, install } from "./ampere.ts";
import { AMI_PORT, Asterisk } from "./asterisk.ts";
import { pbx } from "./pbx.ts";
import { MANAGER_CONF } from "./readme.ts";

/**
 * Checks at a time: Asterisk admits 50 sessions that are not logged in (`authlimit`), and each
 * check makes up to five.
 */
const AT_A_TIME = 8;

/** How long a check may take, in milliseconds. */
const CHECK_MS = 60_000;

const [, GENERAL = "", SECTION = ""] = /^(\[general\]\n.*?)(?=^\[)\[ampere\]\n(.*)$/ms
  .exec(MANAGER_CONF) ?? [];

/** What has a place in the section of a user; `undefined`: no line. */
interface User {
  readonly secret: string;
  /** Lines `deny`, `permit`, `acl`. */
  readonly access: readonly string[];
  readonly read: string | undefined;
  readonly filters: readonly string[];
}

const line = (key: string) => new RegExp(`^${key} = (.*)$`, "m").exec(SECTION)![1]!;

/** The user of README.md. */
const GOOD: User = {
  secret: line("secret"),
  access: SECTION.split("\n").filter((text) => /^(?:deny|permit) = /.test(text)),
  read: line("read"),
  filters: [`eventfilter = ${line("eventfilter")}`],
};

/** A line that lets this machine in. */
const PERMIT = "permit = 127.0.0.1/255.255.255.255";

/** The access list of a user who has one. */
const ACL_CONF = "[office]\ndeny = 0.0.0.0/0.0.0.0\npermit = 192.0.2.0/24\n";

/** A mistake, and what is said of it. */
interface Mistake {
  readonly user: User | undefined;
  readonly level: "warning" | "problem";
  readonly says: RegExp;
}

const KINDS = [
  "SuccessfulAuth",
  "ChallengeSent",
  "ChallengeResponseFailed",
  "InvalidPassword",
  "FailedACL",
  "InvalidAccountID",
];

/** The filter that README.md of 1.0.0 told to write. */
const FILTER_OF_1_0 =
  "eventfilter = ^Event: (ChallengeResponseFailed|ChallengeSent|FailedACL|InvalidPassword|Shutdown|SuccessfulAuth)";

/** Those without which a filter that is not anchored is found out. */
const COSTLY = KINDS.filter((kind) => kind !== "InvalidAccountID");

const UNANCHORED = /an eventfilter in manager\.conf is not anchored/;
const NOTHING = /no security event arrives/;
const REFUSED = /the login of "\w+" was refused: Authentication failed/;

const MISTAKES: Readonly<Record<string, Mistake>> = {
  secret: { user: { ...GOOD, secret: "another" }, level: "problem", says: REFUSED },
  missing: { user: undefined, level: "problem", says: REFUSED },
  denied: { user: { ...GOOD, access: [GOOD.access[0]!] }, level: "problem", says: REFUSED },
  elsewhere: {
    user: { ...GOOD, access: [GOOD.access[0]!, "permit = 192.0.2.0/24"] },
    level: "problem",
    says: REFUSED,
  },
  acl: { user: { ...GOOD, access: ["acl = office"] }, level: "problem", says: REFUSED },
  system: { user: { ...GOOD, read: "system,call" }, level: "problem", says: NOTHING },
  noread: { user: { ...GOOD, read: undefined }, level: "problem", says: NOTHING },
  old: {
    user: { ...GOOD, filters: [FILTER_OF_1_0] },
    level: "warning",
    says: /an eventfilter in manager\.conf hides InvalidAccountID: /,
  },
  unanchored: {
    user: { ...GOOD, filters: COSTLY.map((kind) => `eventfilter = Event: ${kind}`) },
    level: "warning",
    says: UNANCHORED,
  },
  oneline: {
    user: { ...GOOD, filters: [`eventfilter = Event: (${COSTLY.join("|")})`] },
    level: "warning",
    says: UNANCHORED,
  },
  nothing: {
    user: { ...GOOD, filters: ["eventfilter = ^Event: Newchannel"] },
    level: "problem",
    says: NOTHING,
  },
  ...Object.fromEntries(
    ["SuccessfulAuth", "ChallengeResponseFailed", "InvalidPassword"].flatMap((hidden) => [
      [`without${hidden}`, {
        user: {
          ...GOOD,
          filters: [`eventfilter = ^Event: (${KINDS.filter((kind) => kind !== hidden).join("|")})`],
        },
        level: "problem",
        says: new RegExp(`an eventfilter in manager\\.conf hides ${hidden} \\([^)]*\\)$`, "m"),
      }],
      [`not${hidden}`, {
        user: { ...GOOD, filters: [`eventfilter = !Event: ${hidden}`] },
        level: "problem",
        says: new RegExp(`an eventfilter in manager\\.conf hides ${hidden} \\([^)]*\\)$`, "m"),
      }],
    ]),
  ),
};

/** What is well as it is. */
const WELL: Readonly<Record<string, User>> = {
  readme: GOOD,
  nofilter: { ...GOOD, filters: [] },
  all: { ...GOOD, read: "all", filters: [] },
  securityonly: { ...GOOD, read: "security" },
  lines: { ...GOOD, filters: KINDS.map((kind) => `eventfilter = ^Event: ${kind}`) },
  blacklist: { ...GOOD, filters: ["eventfilter = !^Event: (?:Newchannel|PeerStatus)"] },
};

/** Filters that Asterisk 16 does not know. */
const WELL_SINCE_22: Readonly<Record<string, User>> = {
  byname: { ...GOOD, filters: KINDS.map((kind) => `eventfilter(name(${kind})) =`) },
};

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param executable Ampere
 * @param root Asterisk's file system
 */
export function testChecking(server: Server, executable: string, root: string): void {
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`Asterisk ${server.version}: --check ${name}`, body);

  test("names each mistake in the section of the user, and its mend mends it", async () => {
    await using asterisk = await Asterisk.start(root, {
      ...pbx(managerConf({ ...WELL, ...usersOf(MISTAKES) })),
      "acl.conf": ACL_CONF,
    });
    await install();
    const before = await checkAll(executable, Object.keys(MISTAKES));
    const mended: Record<string, User> = {};
    const commands = new Set<string>();
    const wrong: string[] = [];
    for (const [name, { user, level, says }] of Object.entries(MISTAKES)) {
      const { code, out } = before[name]!;
      const found = findingOf(out, level);
      const fits = says.test(found.message) && code === (level === "problem" ? 1 : 0);
      if (!fits) wrong.push(`${name}: code ${code}\n${out}`);
      mended[name] = mend(user, found.mend);
      for (const command of commandsOf(found.mend)) commands.add(command);
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual(mended.unanchored!.filters, GOOD.filters, "there is one filter to know");
    await asterisk.configure({
      "manager.conf": managerConf(mended),
      "acl.conf": `${ACL_CONF}${PERMIT}\n`,
    });
    for (const command of commands) await asterisk.command(command);
    assertWell(await checkAll(executable, Object.keys(mended)));
  });

  test("has nothing to say against what is right", async () => {
    const users = { ...WELL, ...(server.version < 22 ? {} : WELL_SINCE_22) };
    await using _asterisk = await Asterisk.start(root, pbx(managerConf(users)));
    await install();
    assertWell(await checkAll(executable, Object.keys(users)));
  });

  test("says when AMI is off, at another port, or gone, and what to do", async () => {
    const off = MANAGER_CONF.replace("enabled = yes", "enabled = no");
    const elsewhere = MANAGER_CONF.replace(
      "enabled = yes",
      `enabled = yes\nport = ${AMI_PORT + 1}`,
    );
    await using asterisk = await Asterisk.start(root, pbx(off));
    await install();
    for (const conf of [off, elsewhere]) {
      await asterisk.configure({ "manager.conf": conf });
      await asterisk.command("manager reload");
      const { code, out } = await check(executable);
      assert.equal(code, 1, out);
      const { message, mend } = findingOf(out, "problem");
      assert.match(message, /AMI at 127\.0\.0\.1:5038 cannot be reached: connection refused/);
      assert.match(mend, /enabled = yes.*same port/);
      await asterisk.configure({ "manager.conf": MANAGER_CONF });
      for (const command of commandsOf(mend)) await asterisk.command(command);
      assertWell({ mended: await check(executable) });
    }
    await asterisk.stop();
    const { code, out } = await check(executable);
    assert.equal(code, 1);
    assert.match(findingOf(out, "problem").mend, /^start Asterisk/);
  });

  test("says beside the daemon what allowmultiplelogin = no hinders", async () => {
    const conf = MANAGER_CONF.replace("[general]\n", "[general]\nallowmultiplelogin = no\n");
    await using _asterisk = await Asterisk.start(root, pbx(conf));
    {
      await using ampere = await Ampere.start(executable);
      const { code, out } = await check(executable);
      assert.equal(code, 0, out);
      assert.match(findingOf(out, "warning").message, /"ampere" is logged in already/);
      assert.match(out, /^ok +daemon +the daemon has been running .* and is connected/m);
      await ampere.ends();
    }
    const { code, out } = await check(executable);
    assert.equal(code, 0, out);
    assert.match(
      findingOf(out, "warning").message,
      /could not be tried: .*allowmultiplelogin = no/,
    );
  });
}

function usersOf(mistakes: Readonly<Record<string, Mistake>>): Record<string, User> {
  return Object.fromEntries(
    Object.entries(mistakes).flatMap(([name, { user }]) =>
      user === undefined ? [] : [[name, user]]
    ),
  );
}

/** manager.conf with the `[general]` of README.md and a section for each user. */
function managerConf(users: Readonly<Record<string, User>>): string {
  const sections = Object.entries(users).map(([name, { secret, access, read, filters }]) =>
    [
      `[${name}]`,
      `secret = ${secret}`,
      ...access,
      ...(read === undefined ? [] : [`read = ${read}`]),
      ...filters,
      "",
    ].join("\n")
  );
  return [GENERAL, ...sections].join("\n");
}

/** Does to a section what a mend says, as an administrator would who knows no more than that. */
function mend(user: User | undefined, text: string): User {
  const read = /\bread = (\S+?)[,;]?(?: |$)/.exec(text)?.[1];
  const filter = /\beventfilter = [^;]*/.exec(text)?.[0];
  const mended = user ?? { ...GOOD, secret: "", access: [], read: undefined, filters: [] };
  return {
    ...mended,
    ...(text.includes('same secret as "pass"') ? { secret: GOOD.secret } : {}),
    ...(text.includes("permit for this machine")
      ? { access: [...mended.access, ...(mended.access.some(isAcl) ? [] : [PERMIT])] }
      : {}),
    ...(read === undefined ? {} : { read }),
    ...(filter === undefined ? {} : { filters: [filter.trim()] }),
  };
}

function isAcl(text: string): boolean {
  return text.startsWith("acl = ");
}

/** The commands of Asterisk's console in a mend. */
function commandsOf(text: string): string[] {
  return [...text.matchAll(/asterisk -rx '([^']*)'/g)].map(([, command]) => command!);
}

interface Checked {
  readonly code: number;
  readonly out: string;
}

/** Checks as each of these users. */
async function checkAll(
  executable: string,
  names: readonly string[],
): Promise<Record<string, Checked>> {
  const checked: Record<string, Checked> = {};
  const waiting = [...names];
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const file = `/etc/ampere/${name}.cfg`;
      await Deno.writeTextFile(file, `${CONFIGURATION}user = ${name}\n`, { mode: 0o640 });
      checked[name] = await runToEnd([executable, "--check", "-c", file], { deadlineMs: CHECK_MS });
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return checked;
}

function assertWell(checked: Readonly<Record<string, Checked>>): void {
  const bad = Object.entries(checked)
    .filter(([, { code, out }]) =>
      code !== 0 || /^(?:warning|problem)/m.test(out) ||
      !/^ok +asterisk +SuccessfulAuth, ChallengeResponseFailed and InvalidPassword arrive$/m.test(
        out,
      )
    )
    .map(([name, { code, out }]) => `${name}: code ${code}\n${out}`);
  assert.deepEqual(bad, []);
}

/** The one finding of a level, which must be the worst. */
function findingOf(out: string, level: "warning" | "problem"): { message: string; mend: string } {
  const found = [...out.matchAll(/^(warning|problem) +asterisk +(.*)\n +fix: (.*)$/gm)];
  const other = found.find(([, is]) => is !== level);
  if (found.length !== 1 || other !== undefined) return { message: `not one ${level}`, mend: "" };
  return { message: found[0]![2]!, mend: found[0]![3]! };
}
