/**
 * `ampere --why ADDRESS`: whether somebody is blocked, why, and what to type to change it.
 *
 * @module
 */

import { exemptAddresses, ExemptSet } from "../../address/exempt.ts";
import { literalPeers } from "../../ami/dial.ts";
import { printedHost } from "../../ami/printed_host.ts";
import { readBlockInput } from "../../blocks/block_input.ts";
import { BlockDatabase, BlockDatabaseError } from "../../blocks/database.ts";
import type { BackendName, Config } from "../../config/config.ts";
import { chooseBackend } from "../../firewall/choice.ts";
import type { Look } from "../../telemetry/look.ts";
import type { Status } from "../../telemetry/status.ts";
import { StatusError } from "../../telemetry/status_socket.ts";
import { escapeText } from "../../text/escape.ts";
import { PLAIN, styleFor } from "../../text/table.ts";
import { askDaemon, askLooks } from "../ask_daemon.ts";
import { openPlaces } from "../opened_places.ts";
import { complain, EXIT, print } from "../output.ts";
import { trustedNow } from "../trusted.ts";
import { curesFor } from "./cures.ts";
import { Kernel } from "./kernel.ts";
import { type Asked, knownOf } from "./known.ts";
import { formatWhy, formatWhyJson } from "./text.ts";

/** Most targets of one question: the widest range of IPv4 makes 62. */
const TARGETS_MAX = 64;

const BACKENDS: readonly BackendName[] = ["iptables", "ipset", "nftables"];

/**
 * Reads what was asked for.
 *
 * @param words The arguments, in any form that `ampere -d` takes.
 * @returns Canonical targets, each once; or what is wrong.
 */
export function readAsked(words: readonly string[]): string[] | { readonly wrong: string } {
  const text = words.join(" ").trim().split(/[ \t]+/).map(hostIn).join(" ");
  const targets = new Set<string>();
  for (const { input } of readBlockInput(text, { now: Date.now() })) {
    if (input.kind === "bad") return { wrong: input.message };
    if (input.kind === "empty") continue;
    if (input.bad.length > 0) return { wrong: input.bad[0]! };
    for (const { target } of input.blocks) targets.add(target);
  }
  if (targets.size === 0) return { wrong: `"${escapeText(text, 60)}" is no address or network` };
  if (targets.size > TARGETS_MAX) {
    return { wrong: `that are ${targets.size} addresses and networks; at most ${TARGETS_MAX}` };
  }
  return [...targets];
}

/**
 * The address in what Asterisk prints of a host: with its port, in square brackets, or as
 * `RemoteAddress`. Any other word as it is.
 */
function hostIn(word: string): string {
  const remote = /^IPV[46]\/(?:[A-Z]{2,3}\/)?([^/]+)\/\d{1,5}$/.exec(word);
  return printedHost(remote?.[1] ?? word) ?? word;
}

/** Takes why somebody could not be asked, what helps, and whether this user may not. */
type Missing = (message: string, advice: string, isDenied: boolean) => void;

/**
 * Tells about addresses.
 *
 * @param config The configuration.
 * @param configFile Its path; `undefined` for the usual one.
 * @param targets Canonical addresses and networks.
 * @param json Print one JSON object for each.
 * @returns The exit code: 1 when somebody who had to be asked did not answer.
 */
export async function why(
  config: Config,
  configFile: string | undefined,
  targets: readonly string[],
  json: boolean,
): Promise<number> {
  let isWhole = true;
  let isDenied = false;
  const missing: Missing = (message, advice, denied) => {
    isWhole = false;
    isDenied ||= denied;
    complain(`ampere: ${message}`);
    if (advice !== "") complain(advice);
  };
  const database = openList(config, missing);
  const { status, looks } = await askRunning(config, targets, missing);
  const backend = BACKENDS.find((name) => name === status?.firewall.backend) ??
    (await chooseBackend(config)).name;
  const trusted = await trustedNow(config, status?.trust);
  for (const note of trusted.notes) complain(`warning: ${note}`);
  const seen = exemptAddresses(trusted.targets, literalPeers(config.host));
  const told = (status?.neverBlocked ?? []).filter(({ cause }) => cause !== "trusted");
  const places = await openPlaces(config);
  for (const note of places.notes) complain(`warning: ${note}`);
  const kernel = new Kernel(config, backend);
  const asked: Asked = {
    config,
    status,
    database,
    exempt: new ExemptSet([...seen.entries, ...told]),
    origins: trusted.origins,
    places: places.places,
    now: Date.now(),
  };
  try {
    let isFirst = true;
    for (const [index, target] of targets.entries()) {
      const known = knownOf(target, looks?.[index], await kernel.ask(target), asked);
      if (!known.kernel.isAsked) {
        isWhole = false;
        isDenied ||= known.kernel.isDenied;
      }
      const cures = curesFor(known, configFile);
      if (json) print(`${formatWhyJson(known, cures, backend)}\n`);
      else {
        const style = Deno.stdout.isTerminal() ? styleFor(Deno.stdout) : PLAIN;
        print((isFirst ? "" : "\n") + formatWhy(known, cures, backend, asked.now, style));
      }
      isFirst = false;
    }
  } finally {
    kernel.close();
    database?.close();
  }
  if (isDenied) {
    const option = configFile === undefined ? "" : `-c ${configFile} `;
    complain(
      `Not all of it is known; root may ask everybody: sudo ampere ${option}--why ${targets[0]}`,
    );
  }
  return isWhole ? EXIT.ok : EXIT.problem;
}

/** The list as it is stored; `undefined` if there is none, or it cannot be read. */
function openList(
  config: Config,
  missing: Missing,
): BlockDatabase | undefined {
  try {
    return BlockDatabase.open(config.database, { readOnly: true });
  } catch (error) {
    if (!(error instanceof BlockDatabaseError)) throw error;
    if (error.fault === "missing") {
      complain(`There is no database at ${config.database} yet: nothing has been blocked.`);
    } else missing(error.message, error.advice, error.fault === "denied");
    return undefined;
  }
}

async function askRunning(
  config: Config,
  targets: readonly string[],
  missing: Missing,
): Promise<{ status: Status | undefined; looks: Look[] | undefined }> {
  const status = await askDaemon(config);
  if (status instanceof StatusError) {
    if (status.absent) {
      complain(
        "No daemon runs with this database: this is what the database and the kernel know. Points are as old as the last time that the daemon wrote them",
      );
    } else missing(status.message, status.advice, true);
    return { status: undefined, looks: undefined };
  }
  const looks = await askLooks(config, targets);
  if (looks === undefined) {
    missing(
      `the daemon that runs is of version ${status.version}, which cannot tell of single hosts`,
      "systemctl restart ampere",
      false,
    );
  }
  return { status, looks };
}
