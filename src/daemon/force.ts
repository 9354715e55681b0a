/**
 * Whether blocks are in force, for all who tell of it: log, list, status, metrics and webhook read
 * the judgements of the firewall by this.
 *
 * @module
 */

import { type Family, familyOf } from "../address/address.ts";
import type { SecurityEvent } from "../ami/event.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config/config.ts";
import { assumedPlace, type OwnNetwork, type Whereabouts } from "../firewall/asterisk_place.ts";
import type { Firewall } from "../firewall/firewall.ts";
import { IN_FORCE_WORDS } from "../firewall/judgement.ts";
import { DAMAGED, type ForceChange } from "../firewall/watch.ts";
import type { WaySettings } from "../firewall/way.ts";
import type { Log } from "../log.ts";
import type { Notices } from "./notices.ts";
import { WhereaboutsFinder } from "./whereabouts.ts";

/** What {@linkcode Force} looks at, and whom it tells. */
interface ForceParts {
  readonly firewall: Firewall;
  readonly notices: Notices;
  readonly log: Log;
  readonly clock: Clock;
  /** The configuration in force. */
  readonly config: () => Config;
  /** Canonical addresses of the AMI server, as far as they are known. */
  readonly peers: () => readonly string[];
  /** This machine's network, at present. */
  readonly network: () => OwnNetwork;
}

/**
 * Most events that are asked for their LocalAddress between two calls of {@linkcode Force.hear}: in
 * a flood to several addresses to read that of each event takes longer than all else.
 */
const HEARD_AT_A_TIME = 16;

/**
 * What others have done is told by itself; only if it is not mended within this time, in
 * milliseconds, is it told besides that blocks are not in force.
 */
const MENDED_WITHIN_MS = 1_000;

/** Keeps the firewall's question right, and tells its answers. */
export class Force {
  readonly #parts: ForceParts;
  /** How many further events are asked until {@linkcode Force.hear}. */
  #left = HEARD_AT_A_TIME;
  readonly #finder: WhereaboutsFinder;
  #whereabouts: Whereabouts;
  #settings: WaySettings | undefined;
  /** Addresses of which a doubt was told, and places that were told. */
  readonly #said = new Set<string>();
  /** Families of which it was reported that blocks are not in force. */
  readonly #lost = new Set<Family>();
  /** Takes back what would be told of a family unless it is mended. */
  readonly #cancels = new Map<Family, () => void>();

  /**
   * Nothing was asked yet.
   *
   * @param parts What it looks at, and whom it tells.
   */
  constructor(parts: ForceParts) {
    this.#parts = parts;
    this.#finder = new WhereaboutsFinder(parts.network);
    this.#whereabouts = this.#finder.find(parts.peers());
  }

  /** Where Asterisk is. */
  get whereabouts(): Whereabouts {
    return this.#whereabouts;
  }

  /**
   * Takes what an event says of where Asterisk is.
   *
   * @param event One that is exactly Asterisk's.
   */
  take(event: SecurityEvent): void {
    if (this.#left === 0) return;
    this.#left--;
    this.#finder.take(event);
  }

  /** Looks at this machine's network again. */
  refresh(): void {
    this.#finder.refresh();
    this.update();
  }

  /** Takes over what events have said. */
  hear(): void {
    this.#left = HEARD_AT_A_TIME;
    if (this.#finder.hasNews) this.update();
  }

  /** Tells the firewall where Asterisk is and what the configuration wants, if that has changed. */
  update(): void {
    const { firewall, peers, config } = this.#parts;
    const { jump } = config();
    const found = this.#finder.find(peers());
    this.#whereabouts = found.isAssumed ? { ...found, place: assumedPlace(jump) } : found;
    this.#tell(this.#whereabouts);
    const settings: WaySettings = {
      jump,
      place: this.#whereabouts.place,
      interfaces: this.#finder.network.interfaces,
    };
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    this.#settings = settings;
    firewall.setWay(settings);
  }

  #tell({ place, doubt }: Whereabouts): void {
    const { log } = this.#parts;
    if (place.kind === "behind" && this.#isNew(`behind ${place.address}`)) {
      log.info(
        `Asterisk is at ${place.address}, behind ${place.interface}: packets to it go through ` +
          "FORWARD, and not through INPUT",
      );
    }
    if (doubt !== undefined && this.#isNew(`doubt ${doubt}`)) {
      log.warn(
        `Asterisk says that it is reached at ${doubt}, which is neither an address of this machine ` +
          "nor behind one of its bridges: if it runs there, and only its manager interface is " +
          "reached here (by a tunnel), blocks here protect nothing there",
      );
    }
  }

  #isNew(text: string): boolean {
    const isNew = !this.#said.has(text);
    this.#said.add(text);
    return isNew;
  }

  /**
   * Takes a change of what the firewall has judged.
   *
   * @param change The change.
   */
  readonly changed = ({ judgement, hadForce }: ForceChange): void => {
    const { notices, clock, firewall } = this.#parts;
    const { family } = judgement;
    this.#cancels.get(family)?.();
    if (judgement.cause === DAMAGED) {
      const cancel = clock.after(MENDED_WITHIN_MS, () => {
        this.#lost.add(family);
        notices.firewallLost(firewall.judgementOf(family) ?? judgement);
      });
      this.#cancels.set(family, cancel);
      return;
    }
    if (judgement.inForce === "yes") {
      if (this.#lost.delete(family)) notices.firewallRestored(family);
    } else if (hadForce || family === 4) {
      // A machine without IPv6 has lost nothing.
      this.#lost.add(family);
      notices.firewallLost(judgement);
    }
  };

  /** Ends the use. */
  close(): void {
    for (const cancel of this.#cancels.values()) cancel();
  }

  /**
   * Where blocks are: `in force`, or `in the list, but …` if those of a family are not, or only in
   * the list as long as that is not known. A family without blocks says nothing.
   */
  get where(): string {
    const { families } = this.#parts.firewall.status();
    if (families.some(({ judgement, desired }) => judgement === undefined && desired > 0)) {
      return "in the list";
    }
    const lost = families.flatMap(({ judgement, desired, family }) =>
      judgement === undefined || judgement.inForce === "yes" || desired === 0
        ? []
        : [`${IN_FORCE_WORDS[judgement.inForce]} (IPv${family}: ${judgement.brief})`]
    );
    return lost.length === 0 ? "in force" : `in the list, but ${lost.join(" and ")}`;
  }

  /**
   * Tells of a block whether it is in force, if it is not.
   *
   * @param target What is blocked.
   * @returns Words to follow behind the block; empty if it is, or soon will be.
   */
  remarkOn(target: string): string {
    const judgement = this.#parts.firewall.judgementOf(familyOf(target));
    if (judgement === undefined || judgement.inForce === "yes") return "";
    const words = judgement.inForce === "no" ? "not in force yet" : IN_FORCE_WORDS.partly;
    return ` (${words}: ${judgement.brief})`;
  }
}
