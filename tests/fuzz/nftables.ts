/**
 * What programs of nftables write, fuzzed: the lines of a monitor, what `nft -i` says, listings.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ChildStarter } from "../../src/firewall/child.ts";
import { isSafeTarget } from "../../src/firewall/backend.ts";
import { findForeignSets } from "../../src/firewall/nftables/foreign_sets.ts";
import { nftFailure } from "../../src/firewall/nftables/failure.ts";
import { readListing, readTable } from "../../src/firewall/nftables/listing.ts";
import { Resident } from "../../src/firewall/nftables/resident.ts";
import type { Dice } from "../simulation/dice.ts";
import { mutate } from "./mutate.ts";

/** Stands for the mark that is waited for. */
const MARK = "4242424242";

function line(verb: string, kind: string, object: Record<string, unknown>): string {
  const text = JSON.stringify({ [verb]: { [kind]: { family: "inet", ...object } } });
  return `${text.replace(/^\{"(\w+)":\{"(\w+)":/, '{"$1": {"$2": ')}\n`;
}

const element = (name: string, ...set: unknown[]) => ({ table: "ampere", name, elem: { set } });

/** Lines as monitors write them, of Ampere's table and of others. */
const LINES: readonly string[] = [
  line("add", "element", element("marks", { elem: { val: Number(MARK), timeout: 2, expires: 2 } })),
  line("add", "element", element("marks", Number(MARK))),
  line("delete", "element", element("marks", Number(MARK))),
  line("add", "element", { ...element("marks", Number(MARK)), table: "other" }),
  line("add", "element", { ...element("marks", Number(MARK)), family: "ip" }),
  line("add", "element", element("marks", 7, Number(MARK))),
  line("add", "element", element("hosts4", "192.0.2.1")),
  line(
    "add",
    "element",
    element("hosts4", { elem: { val: "192.0.2.1", comment: `"marks" ${MARK}` } }),
  ),
  line("delete", "element", element("hosts4", { prefix: { addr: "192.0.2.0", len: 24 } })),
  line("delete", "element", element("hosts4", { range: ["192.0.2.1", "192.0.2.9"] })),
  line("delete", "element", element("map", ["192.0.2.1", { accept: null }])),
  line("delete", "element", element("fields", { concat: ["192.0.2.1", 80] })),
  line("add", "set", {
    name: "marks",
    table: "ampere",
    type: "mark",
    handle: 3,
    flags: ["timeout"],
  }),
  line("delete", "set", { name: "hosts4", table: "ampere", type: "invalid", handle: 3 }),
  line("add", "rule", {
    table: "ampere",
    chain: "from4",
    comment: '{"add": {"element": {"family": "inet", "table": "ampere", "name": "marks"}}}',
    expr: [{ accept: null }],
  }),
  line("delete", "table", { name: "ampere", handle: 1 }),
  line("add", "table", { name: "ampere", flags: ["dormant"], handle: 1 }),
  line("delete", "table", { name: "other", handle: 1 }),
  "# ERROR: We lost some netlink events!\n",
  "# new generation 7 by process 12 (nft)\n",
  "nft> \n",
];

const MESSAGES: readonly string[] = [
  "Error: Could not process rule: No such file or directory\nadd element inet ampere marks { 1 }\n" +
  "                         ^^^^^^\n",
  "Error: No such file or directory; did you mean table ‘ampere’ in family inet?\n",
  "netlink: Error: cache initialization failed: Operation not permitted\n",
  'internal:0:0-0: Error: Could not open file "-": Too many open files in system\n',
  'In file included from -:1:1-2:\n{"nftables": []}\n',
];

const LISTINGS: readonly string[] = [
  "table ip other {\n\tset hosts4 {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.9 }\n\t}\n}\n" +
  "table inet ampere {\n\tflags dormant\n\n\tset marks {\n\t\ttype mark\n\t\tflags timeout\n\t}\n\n" +
  "\tset hosts4 {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags timeout\n\t\telements = { 192.0.2.1, " +
  '192.0.2.2 timeout 10m5s expires 9m58s344ms comment "a, b } {",\n\t\t\t     192.0.2.3-192.0.2.7 }\n\t}\n\n' +
  "\tset networks4_24 {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t\telements = { 198.51.100.0 }\n\t}\n\n" +
  "\tset near4 {\n\t\ttype ipv4_addr\n\t\telements = { 198.51.0.0 }\n\t}\n\n" +
  "\tmap m {\n\t\ttype ipv4_addr : verdict\n\t\telements = { 192.0.2.1 : accept }\n\t}\n\n" +
  "\tchain incoming {\n\t\ttype filter hook prerouting priority raw - 10; policy accept;\n" +
  '\t\tiif "lo" accept\n\t\tmeta nfproto ipv4 goto from4\n\t\tmeta nfproto ipv6 goto from6\n\t}\n\n' +
  "\tchain from4 {\n\t\tip saddr @hosts4 counter packets 0 bytes 0 reject\n" +
  "\t\tip saddr & 255.255.0.0 @near4 goto networks4\n\t}\n\n\tchain networks4 {\n" +
  "\t\tip saddr @pass4 accept\n\t\tip saddr & 255.255.255.0 @networks4_24 counter reject\n\t}\n}\n",
  "table inet ampere {\n\tset networks6b_64 {\n\t\ttype ipv6_addr\n\t\tflags timeout\n" +
  "\t\telements = { 2001:db8:: }\n\t}\n\tset networks4_999 {\n\t\telements = { 10.0.0.1 }\n\t}\n" +
  "\tchain from6 {\n\t\tip6 saddr @hosts6b counter reject with icmpv6 port-unreachable\n\t}\n" +
  "\tchain networks6 {\n\t\tip6 saddr & ffff:ffff:ffff:ffff:: @networks6b_64 counter reject\n\t}\n}\n",
];

const SETS: readonly string[] = [
  '{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"set": {"family": "ip", "name": "geo", ' +
  '"table": "filter", "type": "ipv4_addr", "handle": 3, "flags": ["interval"], "elem": [' +
  '{"prefix": {"addr": "10.0.0.0", "len": 8}}, {"range": ["192.0.2.1", "192.0.2.2"]}]}}]}',
  '{"nftables": [{"set": {"family": "inet", "name": "x;flush ruleset", "table": "t", ' +
  '"type": ["ipv4_addr", "inet_proto"], "flags": ["interval"]}}, null, 7]}',
];

/** A pair without programs, which waits for one mark. */
function waitingPair(): {
  resident: Resident;
  say: (text: string, onStderr: boolean) => void;
  mark: number;
  counts: { ends: number; foreign: number };
} {
  const written: string[] = [];
  const handlers: Parameters<ChildStarter>[2][] = [];
  const counts = { ends: 0, foreign: 0 };
  const resident = new Resident({
    name: "ampere",
    start: (_program, _args, some) => {
      handlers.push(some);
      return { write: (text) => void written.push(text), kill() {}, gone: Promise.resolve() };
    },
    clock: { now: () => 0, after: () => () => {}, soon() {} },
    answerMs: () => 0,
    onReady: () => {},
    onForeign: () => counts.foreign++,
    onEnd: () => counts.ends++,
  });
  const markOf = (text: string) => Number(/ marks \{ (\d+) /.exec(text)![1]);
  handlers[0]!.onOutput!(line("add", "element", element("marks", markOf(written[0]!))));
  assert(!resident.isBehind, "a right answer is not taken");
  written.length = 0;
  const work = { isStructure: false, takes: (_: string, key: string) => key === "192.0.2.1" };
  void resident.feed(["add element inet ampere hosts4 { 192.0.2.1 }"], work);
  return {
    resident,
    say: (text, onStderr) => onStderr ? handlers[1]!.onMessage(text) : handlers[0]!.onOutput!(text),
    mark: markOf(written[0]!),
    counts,
  };
}

/** Whether a line is the answer that is waited for, read in another way. */
function isAnswer(text: string, mark: number): boolean {
  if (!text.includes(String(mark))) return false;
  try {
    const { table, name, family, elem } = JSON.parse(text).add.element;
    const [first, ...more] = elem.set;
    const value = first?.elem?.val ?? first;
    return table === "ampere" && name === "marks" && family === "inet" && value === mark &&
      more.length === 0;
  } catch {
    return false;
  }
}

/** What a monitor writes, in pieces. */
export const monitorTarget = {
  name: "monitor",
  share: 2,
  make(dice: Dice): string {
    const lines = Array.from({ length: dice.int(1, 5) }, () => mutate(LINES, dice));
    return lines.join(dice.chance(0.8) ? "" : "\n").slice(0, dice.pick([2_000, 2_000, 280_000]));
  },
  check(input: string, dice: Dice): void {
    const { resident, say, mark, counts } = waitingPair();
    const text = input.replaceAll(MARK, String(mark));
    // What was said is read again after each piece.
    const most = Math.max(dice.pick([3, 100, 70_000]), text.length / 20);
    let told = "";
    while (told.length < text.length && counts.ends === 0) {
      const piece = text.slice(told.length, told.length + dice.int(1, Math.ceil(most)));
      told += piece;
      say(piece, false);
      const whole = told.slice(0, told.lastIndexOf("\n") + 1).split("\n");
      const isAnswered = counts.ends === 0 && !resident.isBehind;
      if (isAnswered) assert(whole.some((one) => isAnswer(one, mark)), "nobody answered that");
      if (counts.ends === 0 && !isAnswered) {
        assert(!whole.some((one) => isAnswer(one, mark)), "an answer was not heard");
      }
    }
    assert(counts.ends <= 1);
    if (!text.includes('"ampere"') && !text.includes("\\u")) assert.equal(counts.foreign, 0);
    if (counts.ends === 0) say("Error\n", true);
    // A word on stderr ends it, whatever it is.
    assert.equal(counts.ends, 1);
    const { foreign } = counts;
    say(line("delete", "table", { name: "ampere" }), false);
    assert.deepEqual(counts, { ends: 1, foreign }, "something was heard after the end");
  },
};

/** What nft says when it fails. */
export const nftMessageTarget = {
  name: "nft-message",
  share: 1,
  make: (dice: Dice): string => mutate(MESSAGES, dice),
  check(input: string): void {
    const stderr = input.slice(0, 4_096).trim();
    const said = { ok: false, code: 1, stdout: new Uint8Array(0), stderr };
    const rest = { timedOut: false, aborted: false, missing: false, denied: false };
    const failure = nftFailure({ ...said, ...rest, incomplete: false }, 4, "ampere");
    assert(!failure.message.includes("\n") && failure.message.length < 4_500, "not one line");
    assert(!failure.advice.includes("\n"));
  },
};

/**
 * Reads a listing and a list of sets that are made of known ones.
 *
 * @param dice Decides what they are.
 */
export async function tryListing(dice: Dice): Promise<void> {
  const encoder = new TextEncoder();
  const listing = await readTable(encoder.encode(mutate(LISTINGS, dice)), "ampere");
  for (const family of [4, 6] as const) {
    const { listing: { targets, exceptions = [] } } = readListing(
      listing,
      "ampere",
      family,
      { action: "reject", gap: { rate: 10, ports: [5060] } },
    );
    for (const one of [...targets.keys(), ...exceptions]) {
      assert(isSafeTarget(one.replace(/^~/, ""), family));
    }
  }
  const stdout = encoder.encode(mutate(SETS, dice));
  const asked: string[] = [];
  await findForeignSets((args) => {
    asked.push(args.slice(3).join(" "));
    const done = { ok: true, code: 0, stdout, stderr: "", timedOut: false, aborted: false };
    return Promise.resolve({ ...done, missing: false, denied: false, incomplete: false });
  });
  for (const words of asked) {
    assert.match(words, /^(|sets|[A-Za-z_][\w.-]*( [A-Za-z_][\w.-]*){2})$/);
  }
}
