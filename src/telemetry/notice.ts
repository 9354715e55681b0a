/**
 * What the daemon reports to the outside while it runs; see `webhook.ts`.
 *
 * @module
 */

import type { ShownNewPlace, ShownPlace } from "./places.ts";

/** One thing that happened. Times are ISO 8601 in UTC. */
export type Notice =
  | {
    readonly event: "block";
    readonly time: string;
    /** An address or network. */
    readonly target: string;
    /** The end of the block; `null` for ever. */
    readonly until: string | null;
    readonly reason: string;
    readonly service: string;
    readonly transport: string;
    /** The last account that was tried, as the stranger wrote it. */
    readonly account: string;
    /** Where it is; left out without `geo` and `asn`. */
    readonly place?: ShownPlace;
  }
  | ({
    /** An account that always logged in from elsewhere has logged in; nobody is blocked. */
    readonly event: "new-place";
  } & ShownNewPlace)
  | {
    readonly event: "unblock";
    readonly time: string;
    readonly target: string;
    /** Why it ended: its time was over, a person deleted it, it is trusted now. */
    readonly reason: string;
  }
  | {
    /** Asterisk's events do not arrive (any more). */
    readonly event: "ami-lost";
    readonly time: string;
    readonly reason: string;
  }
  | {
    /** Asterisk's events arrive (again). */
    readonly event: "ami-connected";
    readonly time: string;
  }
  | {
    /** Nothing has happened: `ampere --check` looks whether the receiver can be reached. */
    readonly event: "check";
    readonly time: string;
  }
  | {
    /** So many strangers fail on an account that each is blocked for the first failure on it. */
    readonly event: "account-guarded";
    readonly time: string;
    readonly service: string;
    /** As Asterisk or a stranger wrote it. */
    readonly account: string;
    /** So many different hosts failed on it within `guard_window`. */
    readonly hosts: number;
  }
  | {
    /** An account is not guarded any more. */
    readonly event: "account-guard-over";
    readonly time: string;
    readonly service: string;
    readonly account: string;
    /** Hosts that were blocked for it. */
    readonly blocked: number;
  }
  | {
    /** A host that logged in fails on accounts of others, more than 30 times a day. */
    readonly event: "insider";
    readonly time: string;
    /** Its address, or IPv6 network. */
    readonly host: string;
    /** An account that logs in there; empty: none has since the start. */
    readonly login: string;
    readonly service: string;
    /** The account that it failed on last, as Asterisk or a stranger wrote it. */
    readonly account: string;
    /** How many accounts the last 31 failures are about. */
    readonly accounts: number;
    /** Each account failed in few sessions, as with phones that have old passwords. */
    readonly likePhones: boolean;
  }
  | {
    /** Blocks of a family are not in force (any more). */
    readonly event: "firewall-lost";
    readonly time: string;
    readonly family: 4 | 6;
    /** `partly`: some packets of blocked hosts are refused. */
    readonly inForce: "yes" | "partly" | "no";
    readonly reason: string;
    /** What mends it; empty if Ampere does, or nobody knows. */
    readonly advice: string;
  }
  | {
    /**
     * Others have taken out blocks of a family, or what holds them, or have put rules of their own
     * there: Ampere mends it at once. If that takes longer than a second, `firewall-lost` follows.
     */
    readonly event: "firewall-flushed";
    readonly time: string;
    readonly family: 4 | 6;
    /** How many blocks were missing, … */
    readonly lost: number;
    /** … and of how many. */
    readonly of: number;
    readonly reason: string;
  }
  | {
    /** Blocks of a family are in force again. */
    readonly event: "firewall-restored";
    readonly time: string;
    readonly family: 4 | 6;
  };
