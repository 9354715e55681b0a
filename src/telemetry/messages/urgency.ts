/**
 * What is told at once, and what waits for the digest or the end of quiet hours.
 *
 * @module
 */

import { belongsHere } from "../../penalties/reason.ts";
import type { Notice } from "../notice.ts";

/**
 * How soon something is to be known.
 *
 * - `urgent`: at once, in quiet hours too: attackers may come through.
 * - `prompt`: at once, but for quiet hours: a person should look.
 * - `digest`: with all else.
 */
export type Urgency = "urgent" | "prompt" | "digest";

/**
 * How urgent something is. The loss of Asterisk is not asked about here: most losses are restarts,
 * which are over in seconds; see `messenger.ts`.
 *
 * @param notice What happened.
 */
export function urgencyOf(notice: Notice): Urgency {
  switch (notice.event) {
    case "firewall-lost":
    case "firewall-restored":
      return "urgent";
    case "account-guarded":
    case "insider":
    case "new-place":
      return "prompt";
    case "block":
      return belongsHere(notice.reason) ? "prompt" : "digest";
    default:
      return "digest";
  }
}
