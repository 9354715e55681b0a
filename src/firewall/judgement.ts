/**
 * Whether blocks are in force: judged by the way of a stranger's packet to Asterisk. `--check` and
 * the daemon read the same judgement.
 *
 * @module
 */

import type { Family } from "../address/address.ts";
import { counted } from "../text/table.ts";
import type { AsteriskPlace } from "./asterisk_place.ts";
import { IPTABLES } from "./command.ts";
import type { Failure } from "./failure.ts";
import {
  absentInterface,
  type Chains,
  excusedTarget,
  findJump,
  isEstablished,
  isForLoopback,
  type Jump,
  type Passed,
  type Rule,
  type Strangers,
  type Targets,
  withoutComments,
} from "./path.ts";

/** Whether blocks keep their hosts out: all of their packets, some of them, none. */
export type InForce = "yes" | "partly" | "no";

/** In words, behind "blocks are". */
export const IN_FORCE_WORDS: Readonly<Record<InForce, string>> = {
  yes: "in force",
  partly: "only partly in force",
  no: "not in force",
};

/** What is judged of one family. */
export interface Judgement {
  /** Which addresses. */
  readonly family: Family;
  /** Whether blocks are in force. */
  readonly inForce: InForce;
  /** Why, for programs: the same as long as nothing has changed. */
  readonly cause: string;
  /** Why, one sentence without a full stop. */
  readonly message: string;
  /** The same in a few words. */
  readonly brief: string;
  /** What mends it: a command and remarks in brackets; empty if nothing must be mended. */
  readonly advice: string;
}

/** What a judgement depends on, besides the chains. */
export interface Question {
  /** Which addresses. */
  readonly family: Family;
  /** Ampere's chain. */
  readonly chain: string;
  /** The chains from which Ampere jumps to it by itself. */
  readonly jump: readonly string[];
  /** Where Asterisk is. */
  readonly place: AsteriskPlace;
  /** Whose packets are followed. */
  readonly strangers: Strangers;
  /** What is blocked, as far as it is known. */
  readonly blocked?: Targets;
}

/** What a command does not last without. */
const AT_BOOT = "and the same where the rules are loaded at boot";

/** Longest rule that is shown, in characters. */
const RULE_CHARACTERS_MAX = 120;

/** Docker asks this chain before its own ones, and leaves its rules alone. */
const DOCKER_USER = "DOCKER-USER";

/**
 * Names the chain that the packets of strangers come through first.
 *
 * @param place Where Asterisk is.
 */
export function hookOf(place: AsteriskPlace): "INPUT" | "FORWARD" {
  return place.kind === "here" ? "INPUT" : "FORWARD";
}

/**
 * Judges the way of a packet.
 *
 * @param chains All chains of the family.
 * @param question What is asked.
 * @returns The judgement; of blocks that are in force its message says where they are asked.
 *
 * @example
 * ```ts
 * import { HERE } from "./asterisk_place.ts";
 * import { judge } from "./judgement.ts";
 * import { parseListing } from "./path.ts";
 *
 * const question = { family: 4, chain: "ampere", jump: [], place: HERE, strangers: {} } as const;
 * console.log(judge(parseListing("-A INPUT -j ampere\n"), question).inForce); // "yes"
 * ```
 */
export function judge(chains: Chains, question: Question): Judgement {
  const { family, chain, place, strangers } = question;
  if (place.kind === "elsewhere") return elsewhere(family, place.address);
  const hook = hookOf(place);
  const jump = findJump(chains, hook, chain, strangers);
  if (jump === undefined) return withoutJump(chains, question);
  const judged = (inForce: InForce, cause: string, message: string, brief: string): Judgement => ({
    family,
    inForce,
    cause,
    message,
    brief,
    advice: inForce === "yes" ? "" : moveToFront(jump, chains, question),
  });
  const where = (jump.chain === hook ? hook : `${hook}, by way of ${jump.chain},`) +
    (place.kind === "behind" ? ` on the way to Asterisk (${place.address})` : "");
  const first = jump.passed.find(({ takesAll }) => takesAll) ?? jump.passed[0];
  if (first !== undefined) {
    const isAll = first.takesAll;
    return judged(
      isAll ? "no" : "partly",
      `late ${first.chain} ${first.text}`,
      `${where} asks ${chain} too late: before it stands ${shown(first)}${more(jump.passed)}, so ${
        whatPasses(jump.passed, isAll)
      }`,
      `${chain} is asked too late`,
    );
  }
  const { condition } = jump;
  if (condition === undefined) {
    const excused = question.blocked && excusedTarget(jump, question.blocked);
    if (excused !== undefined) return letIn(excused, jump, where, chains, question);
    return judged("yes", "", `${where} asks ${chain} before it lets anybody in`, "");
  }
  const absent = absentInterface(condition, strangers);
  const isForNobody = absent !== undefined || isForLoopback(condition);
  return judged(
    isForNobody ? "no" : "partly",
    `narrow ${condition.chain} ${condition.text}`,
    `${where} asks ${chain} only for packets that fulfil ${shown(condition)}; ${
      absent !== undefined
        ? `this machine has no interface ${absent} with an address, so nobody is kept out`
        : isForNobody
        ? "only this machine's own packets to itself do, so nobody is kept out"
        : whoPasses(condition)
    }`,
    absent !== undefined
      ? `${chain} is asked only for an interface that is not there`
      : isForNobody
      ? `${chain} is asked only for packets from this machine itself`
      : `${chain} is asked only for some packets`,
  );
}

/**
 * Somebody is blocked whom a rule lets in. It may have been put there to let in who was blocked by
 * mistake: that is told, and left to a person, also with `jump`.
 */
function letIn(
  { target, rule }: { readonly target: string; readonly rule: Rule },
  jump: Jump,
  where: string,
  chains: Chains,
  question: Question,
): Judgement {
  const { family, chain } = question;
  return {
    family,
    inForce: "partly",
    cause: `excused ${rule.chain} ${rule.text}`,
    message: `${where} asks ${chain} too late for ${target}, which is blocked: before it stands ${
      shown(rule)
    }, which lets it in`,
    brief: `a rule before ${chain} lets ${target} in`,
    advice: `${moveToFront(jump, chains, question, false)}; if ${target} belongs here, instead: ` +
      `ampere -d ${target}, and "trust = ${target}" in ampere.cfg`,
  };
}

/**
 * Makes a judgement of a firewall that cannot be looked at, or does not hold the blocks.
 *
 * @param failure Why.
 */
export function judgeFailure({ family, kind, message, advice }: Failure): Judgement {
  const text = message.replace(/^IPv[46]: /, "");
  const plain = text.replace(/ \(.*$/, "");
  return {
    family,
    inForce: "no",
    cause: kind,
    // How the program says that there is no chain, or set, tells nothing more.
    message: kind === "no-chain" || kind === "no-set" ? plain : text,
    brief: plain.replace(/:.*$/, ""),
    advice,
  };
}

/**
 * Puts the jump that a failure advises where the packets of strangers come through.
 *
 * @param failure The failure.
 * @param place Where Asterisk is.
 */
export function adviseAt(failure: Failure, place: AsteriskPlace): Failure {
  if (place.kind !== "behind" && place.kind !== "forwarded") return failure;
  return { ...failure, advice: failure.advice.replace(" -I INPUT ", ` -I ${hookOf(place)} `) };
}

/**
 * Judges a firewall that no chain has to lead to, and which sees all packets of this machine.
 *
 * @param family Which addresses.
 * @param place Where Asterisk is.
 */
export function judgePlace(family: Family, place: AsteriskPlace): Judgement {
  if (place.kind === "elsewhere") return elsewhere(family, place.address);
  return { family, inForce: "yes", cause: "", message: "", brief: "", advice: "" };
}

function elsewhere(family: Family, address: string): Judgement {
  return {
    family,
    inForce: "no",
    cause: "elsewhere",
    message: `Asterisk is at ${address}, which is neither this machine nor behind one of its ` +
      "bridges: its packets do not come through this machine, and blocks here protect nothing there",
    brief: `blocks here protect nothing at ${address}`,
    advice:
      `run Ampere on the machine of ${address} (in a container: with --network=host), or on ` +
      "the router before it",
  };
}

function withoutJump(chains: Chains, question: Question): Judgement {
  const { family, chain, place, strangers } = question;
  const iptables = IPTABLES[family];
  const hook = hookOf(place);
  const missing = question.jump.find((name) => !chains.has(name));
  if (place.kind === "here") {
    const isForward = findJump(chains, "FORWARD", chain, strangers) !== undefined;
    return {
      family,
      inForce: "no",
      cause: isForward ? "only FORWARD" : `no jump ${missing ?? ""}`,
      message: (isForward
        ? `FORWARD asks ${chain}, but INPUT does not: blocked hosts are kept from what runs in ` +
          "containers behind this machine, not from the machine itself"
        : `INPUT does not ask ${chain}, so nobody is kept out`) + awaited(missing, question),
      brief: `INPUT does not ask ${chain}`,
      advice: `${iptables} -I INPUT -j ${chain} (${
        isForward ? "unless Asterisk runs in such a container; " : ""
      }${AT_BOOT}${orJump("INPUT", question)})`,
    };
  }
  const before = place.kind === "behind"
    ? `Asterisk is at ${place.address} behind ${place.interface}, and `
    : "";
  const best = bestHook(chains, question);
  const isInput = findJump(chains, "INPUT", chain) !== undefined;
  return {
    family,
    inForce: "no",
    cause: `no jump ${missing ?? ""} ${before}`,
    message: `${before}${hook} does not ask ${chain}: ${
      isInput
        ? "INPUT does, but packets to Asterisk do not come through it, so nobody is kept out"
        : "nobody is kept out"
    }${awaited(missing, question)}`,
    brief: `${hook} does not ask ${chain}`,
    advice: `${iptables} -I ${best} -j ${chain} (${AT_BOOT}${orJump(best, question)})`,
  };
}

/** Where a jump is best, on the way to a container. */
function bestHook(chains: Chains, { place, strangers }: Question): string {
  const hook = hookOf(place);
  if (hook === "INPUT" || !chains.has(DOCKER_USER)) return hook;
  const way = findJump(chains, hook, DOCKER_USER, strangers);
  return way !== undefined && way.passed.length === 0 && way.condition === undefined
    ? DOCKER_USER
    : hook;
}

function awaited(missing: string | undefined, { jump }: Question): string {
  if (missing === undefined) return "";
  return `; there is no chain ${missing} yet, into which the jump goes (jump = ${jump.join(",")})`;
}

/** What else helps, behind a command. */
function orJump(hook: string, { jump }: Question): string {
  if (jump.includes(hook)) return "";
  const keys = [...jump, hook].join(",");
  return `; or write "jump = ${keys}" into ampere.cfg, and Ampere makes it and keeps it there`;
}

/** The command that makes the jump the first rule of its chain. */
function moveToFront(
  jump: Jump,
  chains: Chains,
  question: Question,
  isMended = true,
): string {
  const { family, chain, place } = question;
  const iptables = IPTABLES[family];
  const hook = hookOf(place);
  const best = jump.chain === hook ? hook : bestHook(chains, question);
  // A jump in a chain of ufw or the like is put back there by that program; another one in front
  // does no harm.
  const remove = jump.chain === best ? `${iptables} -D ${best} ${jump.text} && ` : "";
  const orElse = isMended ? orJump(best, question) : "";
  return `${remove}${iptables} -I ${best} -j ${chain} (${AT_BOOT}${orElse})`;
}

function whatPasses(passed: readonly Passed[], isAll: boolean): string {
  if (isAll) return "nobody is kept out";
  return passed.some(isEstablished)
    ? "a host that is blocked goes on as long as its connection (a UDP flow too) is known"
    : "packets that it accepts are never compared with the blocks";
}

/** Who gets past a jump that has a condition. */
function whoPasses(rule: Rule): string {
  const text = withoutComments(rule.text);
  const others: string[] = [];
  const read = (option: string, other: (value: string) => string, negated = other) => {
    const [, not, value] = new RegExp(`(?:^| )(! )?${option} (\\S+)`).exec(text) ?? [];
    if (value !== undefined) others.push((not === undefined ? other : negated)(value));
  };
  const byTcp = "by TCP, TLS, WS and WSS";
  read(
    "-p",
    (protocol) => protocol === "udp" ? byTcp : "by UDP",
    (protocol) => protocol === "udp" ? "by UDP" : protocol === "tcp" ? byTcp : `by ${protocol}`,
  );
  read("--dports?", () => "to another port", (port) => `to port ${port}`);
  read("-i", () => "by another interface", (name) => `by ${name}`);
  read("-s", () => "from another address", (source) => `from ${source}`);
  read("-d", () => "to another address of this machine", (target) => `to ${target}`);
  return others.length === 0
    ? "a blocked host that sends others is not kept out"
    : `guessers that come ${others.join(" or ")} pass`;
}

function more(rules: readonly Rule[]): string {
  return rules.length > 1 ? ` and ${counted(rules.length - 1, "more rule")}` : "";
}

function shown({ chain, text }: Rule): string {
  return `"${`-A ${chain} ${text}`.slice(0, RULE_CHARACTERS_MAX)}"`;
}
