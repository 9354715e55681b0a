/**
 * What is not as it should be: the list, compared with the model, the database and the kernel.
 *
 * @module
 */

import { networksAround } from "../../../src/address/address.ts";
import { BY_HAND, FAMILIES } from "./cast.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";

/** What is not as it should be; `undefined` when all is. */
export function differences(scene: Scene): string | undefined {
  const process = scene.process;
  if (process === undefined) return "no daemon runs";
  const { list, daemon } = process;
  const { firewall } = daemon;
  if (list.trouble !== undefined || list.pending > 0) {
    return `the database: ${list.trouble}, ${list.pending} changes pending`;
  }
  const { queued, rejected, failing } = firewall.status();
  const hasV6 = !scene.faults.has("no ip6tables");
  if (hasV6 && (queued > 0 || rejected > 0 || failing)) {
    return `the firewall: ${queued} changes queued, ${rejected} rejected${
      failing ? ", failing" : ""
    }`;
  }
  for (const family of FAMILIES) {
    if (family === 6 && !hasV6) continue;
    const isAsked = scene.config.backend === "nftables"
      ? scene.kernel.nft.isAsked(family)
      : scene.kernel.isAsked(family);
    if (!isAsked) return `nobody asks the chain of IPv${family}`;
    const judgement = daemon.firewall.judgementOf(family);
    if (judgement?.inForce !== "yes") return `told as not in force: ${judgement?.message}`;
  }
  const residents = scene.residents.countOf(process.clock);
  if (scene.config.backend === "nftables" && residents !== 2) {
    return `${residents} programs of nft stay`;
  }
  return differs(scene, process);
}

/**
 * What is not as it should be, whether the process still runs or not.
 *
 * @param lookedAt Wall time up to which it has seen what ends.
 */
export function differs(
  scene: Scene,
  { list, daemon: { counters }, arrived }: Process,
  lookedAt = scene.wall(),
): string | undefined {
  if (scene.deleted.size > 0) return `deleted by hand, and not seen: ${[...scene.deleted]}`;
  // Of what a log has told first, AMI's events count no more.
  if (scene.pbxLog === undefined && counters.eventsTotal !== arrived) {
    return `${arrived} events arrived, ${counters.eventsTotal} were taken`;
  }
  const listed = new Map(list.all().map((block) => [block.target, block.until]));
  const wrong = scene.model.wrongNetwork;
  if (wrong !== undefined) return `${wrong} is blocked though somebody belongs there`;
  return differsFromModel(scene, listed, lookedAt) ?? differsFromDatabase(scene, listed) ??
    differsFromKernel(scene, [...listed.keys()]);
}

function differsFromModel(
  scene: Scene,
  listed: ReadonlyMap<string, number | undefined>,
  lookedAt: number,
): string | undefined {
  for (const { target, until, present, vague } of scene.byHand.values()) {
    const ended = until !== undefined && until <= scene.wall();
    if (ended && until > lookedAt) continue;
    if (vague || (scene.wallMoved && until !== undefined)) continue;
    if (listed.has(target) !== (present && !ended)) {
      return `${target} was ${present ? "added" : "deleted"} by hand, and is ${
        listed.has(target) ? "" : "not "
      }in the list`;
    }
  }
  const targets = new Set([...listed.keys(), ...scene.model.blocks.keys()]);
  for (const target of targets) {
    if (BY_HAND.includes(target)) continue;
    const block = scene.model.blocks.get(target);
    if (block === undefined) return `${target} is in the list and should not be`;
    if (!listed.has(target)) return `${target} is not in the list and should be`;
    if (listed.get(target) !== block.until && !block.vague) {
      return `${target} ends at ${listed.get(target)}, should at ${block.until}`;
    }
  }
  return undefined;
}

function differsFromDatabase(
  scene: Scene,
  listed: ReadonlyMap<string, number | undefined>,
): string | undefined {
  const { rows } = scene.store.read();
  for (const target of new Set([...listed.keys(), ...rows.keys()])) {
    if (!rows.has(target)) return `${target} is not in the database`;
    if (!listed.has(target)) return `${target} is only in the database`;
    if (rows.get(target)!.until !== listed.get(target)) {
      return `${target} has another end in the database`;
    }
  }
  return undefined;
}

function differsFromKernel(scene: Scene, targets: readonly string[]): string | undefined {
  const { backend } = scene.config;
  for (const family of FAMILIES) {
    if (family === 6 && scene.faults.has("no ip6tables")) continue;
    const wanted = targets.filter((target) => target.includes(":") === (family === 6)).sort();
    const set = backend === "ipset" ? scene.setName(family) : undefined;
    const isNft = backend === "nftables";
    const { nft } = scene.kernel;
    const found = isNft ? nft.blocked(family) : scene.kernel.blocked(family, set);
    if (wanted.join() !== found.join()) {
      return `the kernel's IPv${family}: [${found.join(", ")}], the list: [${wanted.join(", ")}]`;
    }
    const isWithin = (target: string) =>
      !wanted.includes(target) &&
      networksAround(target).some((around) => wanted.includes(around));
    const passing = scene.exempt(scene.config.trust).targets.filter(isWithin).sort();
    // Who logged in from a blocked network may pass, if they have not failed there.
    const excepted = isNft ? nft.excepted(family) : scene.kernel.excepted(family, set);
    const passes = excepted.filter((target) =>
      passing.includes(target) || !isWithin(target) || !scene.model.belonging.standing.has(target)
    );
    if (passing.join() !== passes.join()) {
      return `the kernel lets pass [${passes.join(", ")}] of IPv${family}, not [${
        passing.join(", ")
      }]`;
    }
    if (backend === "iptables" || scene.wallMoved) continue;
    const late = wrongTimeout(scene, isNft ? nft.ends(family) : endsIn(scene, set!));
    if (late !== undefined) return late;
  }
  return undefined;
}

function endsIn(scene: Scene, set: string): Map<string, number | undefined> {
  const entries = [...scene.kernel.sets.get(set)?.entries ?? []];
  return new Map(
    entries.filter(([, { nomatch }]) => !nomatch).map(([target, { until }]) => [target, until]),
  );
}

/** How much later than Ampere the kernel may end a block, in milliseconds. */
const LATER_MAX_MS = 15_000;

/**
 * How long a change may wait, in milliseconds: while the daemon stands still, and for commands of
 * the other family that hang.
 */
const WAITS_MAX_MS = 50_000;

/** The kernel must not end a block before Ampere does, nor much later. */
function wrongTimeout(
  scene: Scene,
  ends: ReadonlyMap<string, number | undefined>,
): string | undefined {
  // A change of the table waits for its turn with the time that was left when it was made.
  const waited = scene.config.backend === "nftables" ? WAITS_MAX_MS : 0;
  for (const [target, until] of ends) {
    const block = scene.process!.list.get(target);
    if (block === undefined) throw new Error(`${target} of ${[...ends.keys()]}`);
    const later = until === undefined || block.until === undefined
      ? until === block.until ? 0 : Infinity
      : until - block.until;
    if (later < 0 || later > LATER_MAX_MS + waited) {
      return `${target} ends at ${block.until}, in the kernel at ${until}`;
    }
  }
  return undefined;
}
