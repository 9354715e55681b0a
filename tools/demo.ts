/**
 * Shows Ampere at work: a recording of a real Asterisk is told over TCP, as Asterisk would, and the
 * program does what it does on a PBX, with a configuration and a database that are thrown away.
 *
 * ```sh
 * deno task demo                   # 20 attackers and 6 phones
 * deno task demo pjsip-udp-flood   # another recording of tests/testdata/recordings
 * ```
 *
 * Where a network namespace can be made, it works there with the real iptables. Elsewhere it only
 * says what it would do. Exit code 1 when somebody was blocked who should not be, or the other way
 * round.
 *
 * @module
 */

import { join } from "node:path";
import { AmiServer, conversationOf } from "../tests/e2e/ami_server.ts";
import {
  type Deeds,
  deedsOf,
  type Demand,
  demandOf,
  isBlockedBy,
} from "../tests/e2e/ground_truth.ts";
import { Program, runToEnd } from "../tests/e2e/program.ts";
import { eventTime, type Recording, recordings } from "../tests/support/recordings.ts";
import { permissionFlags, PROJECT } from "./compile.ts";

const DEFAULT_RECORDING = "ast22-mixed";

const CHAIN = "ampere";
const FAMILIES = ["iptables", "ip6tables"] as const;

/** Attempts that a stranger has: the default. */
const LOYALTY = 3;

/**
 * How long a challenge may stay unanswered, in seconds; the default is 5, for which nobody wants to
 * wait here.
 */
const PATIENCE_S = 1;

/** How long the telling takes at most, in milliseconds. */
const TELLING_MS_MAX = 8_000;

/** After the patience with the last challenge, for the last rule, in milliseconds. */
const MARGIN_MS = 1_000;

/** How long the rules may take after that, in milliseconds. */
const DEADLINE_MS = 10_000;

/** Set in the process inside the namespaces. */
const INSIDE = "AMPERE_DEMO_NAMESPACE";

/** Ways into namespaces: root's, and that of users who may become root in a user namespace. */
const WAYS = [["--net", "--mount"], ["--user", "--map-root-user", "--net", "--mount"]] as const;

const PREPARE = `mount -t tmpfs none /run && ip link set lo up &&
  for i in ${FAMILIES.join(" ")}; do $i -N ${CHAIN} && $i -I INPUT -j ${CHAIN} || exit 1; done
  exec "$@"`;

const BOLD = Deno.stdout.isTerminal() && !Deno.noColor ? ["\x1b[1m", "\x1b[0m"] as const : ["", ""];

/** What happened to the hosts, and when. Times are in milliseconds since the process began. */
interface Course {
  /** When each message was sent, by where it ends in the recording. */
  readonly sent: { end: number; at: number }[];
  /** When the block of a host was seen first. */
  readonly blocked: Map<string, number>;
  /** Commands that a dry run would have run. */
  readonly commands: string[];
}

async function main(args: readonly string[]): Promise<number> {
  const name = (args.filter((arg) => arg !== "--")[0] ?? DEFAULT_RECORDING).replace(/\.ami$/, "");
  const recording = recordings().find((candidate) => candidate.name === `${name}.ami`);
  if (recording === undefined) {
    const names = recordings().map((candidate) => candidate.name.replace(/\.ami$/, ""));
    console.error(`There is no recording "${name}". There are:\n  ${names.join("\n  ")}`);
    return 2;
  }
  if (Deno.env.has(INSIDE)) return await show(recording, false);
  const path = `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin`;
  const command = [Deno.execPath(), "run", "-A", import.meta.filename!, name];
  let obstacle = "";
  for (const way of WAYS) {
    const prepare = ["unshare", ...way, "sh", "-c", PREPARE, "sh"];
    const said = await runToEnd([...prepare, "true"], { env: { PATH: path } }).catch((error) => ({
      code: 1,
      err: String(error instanceof Error ? error.message : error),
    }));
    if (said.code !== 0) {
      obstacle ||= said.err.trim().split("\n")[0] ?? "";
      continue;
    }
    const { code } = await new Deno.Command(prepare[0]!, {
      args: [...prepare.slice(1), ...command],
      env: { PATH: path, [INSIDE]: "1" },
    }).spawn().status;
    return code;
  }
  console.log(
    "No network namespace with iptables can be made here, so no firewall is touched: Ampere runs with\n" +
      `--dry-run and says what it would do.${obstacle === "" ? "" : ` The reason: ${obstacle}`}\n`,
  );
  return await show(recording, true);
}

/** Runs the program against the recording, and tells the outcome. */
async function show(recording: Recording, dryRun: boolean): Promise<number> {
  const { banner, accepted, body } = conversationOf(recording.bytes);
  if (!accepted) {
    console.error(`In ${recording.name} Asterisk refuses the login: there is nothing to show.`);
    return 2;
  }
  const deeds = deedsOf(body);
  const demand = demandOf(recording.name, recording, deeds, LOYALTY);
  const folder = await Deno.makeTempDir({ prefix: "ampere-demo-" });
  try {
    await using server = new AmiServer({ banner });
    const config = [
      `port = ${server.port}`,
      "pass = of-the-demo",
      `loyalty = ${LOYALTY}`,
      `chain = ${CHAIN}`,
      "backend = iptables",
      `patience = ${PATIENCE_S}`,
      "learn = 0",
      `database = ${join(folder, "ampere.db")}`,
    ].join("\n");
    await Deno.writeTextFile(join(folder, "ampere.cfg"), `${config}\n`);
    heading(`${recording.name}: ${recording.title}`);
    console.log(
      `Recorded from Asterisk ${recording.asterisk}; now told by a server on 127.0.0.1:${server.port}.\n` +
        (dryRun
          ? "Firewall: not touched (--dry-run).\n"
          : "Firewall: the real iptables and ip6tables, in a network namespace of its own.\n"),
    );
    const course: Course = { sent: [], blocked: new Map(), commands: [] };
    const command = [
      Deno.execPath(),
      "run",
      "--quiet",
      ...permissionFlags([folder]),
      join(PROJECT, "main.ts"),
      "-c",
      join(folder, "ampere.cfg"),
      ...(dryRun ? ["--dry-run"] : []),
    ];
    await using ampere = new Program(command, {}, (line) => {
      console.log(`  ${line}`);
      if (dryRun) note(line, course);
    });
    await follow(ampere, server, body, demand, course, dryRun);
    ampere.signal("SIGTERM");
    const { code } = await ampere.end();
    if (code !== 0) console.error(`Ampere ended with code ${code}.`);
    console.log();
    await printFirewall(course, dryRun);
    printTable(deeds, demand, course);
    return judge(demand, course) && code === 0 ? 0 : 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Tells the recording and watches the firewall until everything must have happened. */
async function follow(
  ampere: Program,
  server: AmiServer,
  body: Uint8Array,
  demand: Demand,
  course: Course,
  dryRun: boolean,
): Promise<void> {
  const client = await ampere.alive(server.client());
  let told = Infinity;
  const telling = tell(body, course, (bytes) => client.send(bytes)).then(() => {
    told = performance.now();
  });
  const isOver = () => {
    const waited = performance.now() - told;
    const enough = waited > PATIENCE_S * 1_000 + MARGIN_MS;
    const all = [...demand.must.keys()].every((host) => isBlockedBy(course.blocked, host));
    return enough && (all || waited > DEADLINE_MS);
  };
  while (!isOver() && !ampere.over) {
    if (dryRun) await pause(10);
    else await look(course);
  }
  await telling;
}

/**
 * Sends message by message, as Asterisk writes them, in the recorded order and rhythm but faster.
 */
async function tell(
  body: Uint8Array,
  course: Course,
  send: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const messages = messagesOf(body);
  const times = messages.map(({ time }) => time).filter((time) => time !== undefined);
  const first = Math.min(...times);
  const faster = Math.max(1, (Math.max(...times) - first) / TELLING_MS_MAX);
  const begun = performance.now();
  for (const { start, end, time } of messages) {
    if (time !== undefined) await pause(begun + (time - first) / faster - performance.now());
    course.sent.push({ end, at: performance.now() });
    await send(body.subarray(start, end));
  }
}

/** The messages of a recording, with Asterisk's time of those that have one. */
function messagesOf(body: Uint8Array): { start: number; end: number; time: number | undefined }[] {
  const messages = [];
  const decoder = new TextDecoder("latin1");
  const text = decoder.decode(body);
  for (let start = 0; start < text.length;) {
    const blank = text.indexOf("\r\n\r\n", start);
    const end = blank < 0 ? text.length : blank + 4;
    const stamp = /^EventTV: (\S+)\r$/m.exec(text.slice(start, end))?.[1];
    const time = stamp === undefined ? NaN : eventTime(stamp);
    messages.push({ start, end, time: Number.isNaN(time) ? undefined : time });
    start = end;
  }
  return messages;
}

/** Looks into the firewall once. */
async function look(course: Course): Promise<void> {
  const listings = await Promise.all(
    FAMILIES.map((program) => runToEnd([program, "-w", "-S", CHAIN])),
  );
  const now = performance.now();
  for (const { out } of listings) {
    for (const [, target] of out.matchAll(/^-A \S+ -s (\S+?)(?:\/32|\/128)? -j REJECT/gm)) {
      if (!course.blocked.has(target!)) course.blocked.set(target!, now);
    }
  }
}

/** Takes a command that a dry run would have run from its log. */
function note(line: string, course: Course): void {
  const command = /dry run: would run (.*)/.exec(line)?.[1];
  if (command === undefined) return;
  course.commands.push(command);
  const targets = / -A \S+ -s (\S+)/.exec(command)?.[1] ?? "";
  for (const target of targets.split(",").filter((text) => text !== "")) {
    if (!course.blocked.has(target)) course.blocked.set(target, performance.now());
  }
}

async function printFirewall(course: Course, dryRun: boolean): Promise<void> {
  if (dryRun) {
    heading("The commands that it would have run");
    for (const command of course.commands) console.log(`  ${command}`);
  } else {
    for (const program of FAMILIES) {
      heading(`${program} -S`);
      const { out } = await runToEnd([program, "-w", "-S"]);
      console.log(out.trimEnd().replace(/^/gm, "  "));
    }
  }
  console.log();
}

function printTable(deeds: ReadonlyMap<string, Deeds>, demand: Demand, course: Course): void {
  const rank = (host: string) => demand.attackers.has(host) ? 0 : demand.legit.has(host) ? 1 : 2;
  const hosts = [...new Set([...demand.attackers, ...demand.legit, ...course.blocked.keys()])]
    .sort((a, b) => rank(a) - rank(b));
  const rows = hosts.map((host) => [
    host,
    whoIs(host, demand),
    whatItDid(host, deeds.get(host)),
    course.blocked.has(host) ? "blocked" : "-",
    delayOf(host, deeds.get(host), demand, course),
  ]);
  heading("Who was blocked");
  const head = ["host", "who", "what it did", "", "after"];
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]!.length))
  );
  for (const row of [head, ...rows]) {
    const cells = row.map((cell, i) =>
      i === 4 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)
    );
    console.log(`  ${cells.join("  ")}`.trimEnd());
  }
  console.log(
    `\nafter: from the third failed attempt (where there are none: the third challenge, with up to ${PATIENCE_S} s of patience) to\n` +
      "the rule, seen from outside.\n",
  );
}

function whoIs(host: string, { attackers, legit, may }: Demand): string {
  if (attackers.has(host)) return legit.has(host) ? "attacker and phone" : "attacker";
  if (legit.has(host)) return "phone";
  return host.endsWith("/64") && may.has(host) ? "their network" : "unknown";
}

/** The acts of a host, by Asterisk's own messages. */
function whatItDid(host: string, deeds: Deeds | undefined): string {
  if (deeds === undefined) {
    return host.endsWith("/64") ? "what its hosts did" : "nothing that Asterisk told";
  }
  const unanswered = deeds.challenges.length - deeds.failures.size - deeds.logins;
  const parts = [
    counted(deeds.failures.size, "failed attempt"),
    counted(Math.max(0, unanswered), "unanswered challenge"),
    counted(deeds.logins, "login"),
  ].filter((part) => part !== "");
  return parts.join(", ") || counted(deeds.events, "other event");
}

function counted(count: number, what: string): string {
  return count === 0 ? "" : `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** From the deciding message to the rule. */
function delayOf(
  host: string,
  deeds: Deeds | undefined,
  demand: Demand,
  course: Course,
): string {
  const blocked = course.blocked.get(host);
  if (blocked === undefined || deeds === undefined) return "";
  const sentAt = (end: number | undefined) =>
    course.sent.find((message) => message.end === end)?.at ?? Infinity;
  const third = demand.must.get(host) ?? deeds.challenges[LOYALTY - 1];
  const candidates = [sentAt(third), ...deeds.ends.map(sentAt).reverse()];
  const decided = candidates.find((at) => at <= blocked);
  if (decided === undefined) return "";
  return `${Math.round(blocked - decided)} ms`;
}

/** Compares with what is known about the senders. */
function judge(demand: Demand, course: Course): boolean {
  const missed = [...demand.must.keys()].filter((host) => !isBlockedBy(course.blocked, host));
  const wrong = [...course.blocked.keys()].filter((host) => !demand.may.has(host));
  const besides = [...course.blocked.keys()]
    .filter((host) => !demand.must.has(host) && !host.endsWith("/64"));
  const attackers = besides.filter((host) => demand.attackers.has(host)).length;
  const earned = besides.filter((host) => demand.may.has(host)).length - attackers;
  console.log(
    `Attackers with ${LOYALTY} failed attempts or more: ${demand.must.size}, not blocked of them: ${missed.length}.\n` +
      `Blocked besides: other attackers ${attackers}, phones that gave ${LOYALTY} wrong passwords in a row ${earned}, ` +
      `nobody else may be: ${wrong.length}.`,
  );
  if (missed.length > 0) console.log(`Not blocked, but should be: ${missed.join(", ")}`);
  if (wrong.length > 0) console.log(`Blocked, but should not be: ${wrong.join(", ")}`);
  const right = missed.length + wrong.length === 0;
  heading(right ? "As it should be." : "This is NOT as it should be.");
  return right;
}

function heading(text: string): void {
  console.log(`${BOLD[0]}${text}${BOLD[1]}`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
