/**
 * What the hosts of one IPv6 network have failed together: whoever owns a network may take another
 * address for each attempt.
 *
 * @module
 */

import { forgetOldest } from "./bounded_map.ts";

/** From so many different hosts on, failures are those of their network. */
const NETWORK_HOSTS_MIN = 3;

/** The same where somebody in the network belongs: so many may mistype in an office. */
export const SHARED_NETWORK_HOSTS_MIN = 8;

/**
 * A network in which somebody belongs is not blocked, but each host in it that fails; after so many
 * of these blocks the network is, without those who belong there.
 */
export const NETWORK_BLOCKS_MAX = 8;

/** Most networks that are counted; the one that failed longest ago goes first. */
export const NETWORKS_MAX = 65_536;

/** Who is to be blocked for the failures of a network. */
interface NetworkVerdict {
  /** Nobody, the host that failed last, or its network. */
  readonly verdict: "nothing" | "host" | "network";
  /** Points of the network. */
  readonly points: number;
  /** Attempts whose address can't be forged would have been too many alone. */
  readonly proven: boolean;
  /** Clock value of the first failure that counts, in milliseconds. */
  readonly firstAt: number;
}

interface Counted {
  /** Points of hosts that never logged in. */
  strange: number;
  /** Points of hosts in good standing. */
  own: number;
  /** The points of both whose address can't be forged. */
  provenStrange: number;
  provenOwn: number;
  /** The first hosts that failed and never logged in. */
  readonly hosts: Set<string>;
  /** The first hosts in good standing that failed. */
  readonly ownHosts: Set<string>;
  blocks: number;
  readonly firstAt: number;
  at: number;
}

/**
 * Counts failures by network.
 *
 * @example
 * ```ts
 * import { NetworkFailures } from "./network_failures.ts";
 *
 * const failures = new NetworkFailures();
 * const failed = { standing: false, proven: true };
 * for (const i of [1, 2, 3]) failures.add("2001:db8::/64", `2001:db8::${i}`, 5, failed, 0);
 * const limits = { strange: 15, own: 150 };
 * console.log(failures.judge("2001:db8::/64", limits, false, false).verdict); // network
 * ```
 */
export class NetworkFailures {
  /** The network that failed longest ago comes first. */
  readonly #networks = new Map<string, Counted>();
  #forgetMs: number;

  /**
   * @param forgetMs After this time without a failure a network is forgotten, in milliseconds.
   */
  constructor(forgetMs = Infinity) {
    this.#forgetMs = forgetMs;
  }

  /** Changes after what time a network is forgotten, in milliseconds. */
  setForget(forgetMs: number): void {
    this.#forgetMs = forgetMs;
  }

  /** Forgets all. */
  clear(): void {
    this.#networks.clear();
  }

  /**
   * A host of a network fails.
   *
   * @param network Whose.
   * @param host Its address.
   * @param points What it costs.
   * @param how Whether the host is in good standing, and its address can't be forged.
   * @param now Clock value, in milliseconds.
   */
  add(
    network: string,
    host: string,
    points: number,
    how: { readonly standing: boolean; readonly proven: boolean },
    now: number,
  ): void {
    let counted = this.#networks.get(network);
    this.#networks.delete(network);
    if (counted === undefined || now - counted.at > this.#forgetMs) {
      counted = {
        strange: 0,
        own: 0,
        provenStrange: 0,
        provenOwn: 0,
        hosts: new Set(),
        ownHosts: new Set(),
        blocks: 0,
        firstAt: now,
        at: now,
      };
    }
    this.#networks.set(network, counted);
    counted.at = now;
    const proven = how.proven ? points : 0;
    if (how.standing) {
      counted.own += points;
      counted.provenOwn += proven;
      if (counted.ownHosts.size < NETWORK_HOSTS_MIN) counted.ownHosts.add(host);
    } else {
      counted.strange += points;
      counted.provenStrange += proven;
      if (counted.hosts.size < SHARED_NETWORK_HOSTS_MIN) counted.hosts.add(host);
    }
    forgetOldest(this.#networks, NETWORKS_MAX);
  }

  /**
   * Whether the failures of a network are too many, beside those of the host that failed last.
   *
   * @param network Whose.
   * @param limits Points at which they are: of strangers, and of hosts in good standing.
   * @param shared Somebody in the network must not suffer for it.
   * @param standing The host that failed last is in good standing: what strangers did is not its
   *   guilt.
   */
  judge(
    network: string,
    limits: { readonly strange: number; readonly own: number },
    shared: boolean,
    standing: boolean,
  ): NetworkVerdict {
    const counted = this.#networks.get(network);
    if (counted === undefined) return { verdict: "nothing", points: 0, proven: false, firstAt: 0 };
    const { firstAt } = counted;
    const hostsMin = shared ? SHARED_NETWORK_HOSTS_MIN : NETWORK_HOSTS_MIN;
    const strange = counted.hosts.size >= hostsMin && counted.strange >= limits.strange &&
      !(shared && standing);
    const points = strange ? counted.strange : counted.own;
    const proven = strange
      ? counted.provenStrange >= limits.strange
      : counted.provenOwn >= limits.own;
    // One address alone, such as a proxy's, has its own limit.
    if (!strange && (counted.own < limits.own || counted.ownHosts.size < NETWORK_HOSTS_MIN)) {
      return { verdict: "nothing", points, proven, firstAt };
    }
    if (!shared) {
      this.#networks.delete(network);
      return { verdict: "network", points, proven, firstAt };
    }
    if (++counted.blocks <= NETWORK_BLOCKS_MAX) return { verdict: "host", points, proven, firstAt };
    counted.blocks = 0;
    return { verdict: "network", points, proven, firstAt };
  }

  /** Points of a host are forgiven; it is not counted as one that fails when it has none left. */
  forgive(network: string, host: string, points: number, left: number): void {
    const counted = this.#networks.get(network);
    if (counted === undefined) return;
    // Which of both they were counted under depends on when it logged in.
    const strange = Math.min(points, counted.strange);
    counted.strange -= strange;
    counted.own = Math.max(0, counted.own - (points - strange));
    counted.provenStrange = Math.max(0, counted.provenStrange - strange);
    counted.provenOwn = Math.max(0, counted.provenOwn - (points - strange));
    if (left === 0) {
      counted.hosts.delete(host);
      counted.ownHosts.delete(host);
    }
    if (counted.strange === 0 && counted.own === 0) this.#networks.delete(network);
  }
}
