/**
 * Checks lists of attackers: downloads each, says what is in it, and whom of those who belong here
 * it would have hit.
 *
 * @module
 */

import { expectNetwork, ownAddresses } from "../../address/address.ts";
import { BlockDatabase, BlockDatabaseError } from "../../blocks/database.ts";
import type { Config } from "../../config/config.ts";
import { type FeedConfig, shownUrl } from "../../config/feeds.ts";
import { FeedError, howWide } from "../../feeds/entries.ts";
import { fetchList } from "../../feeds/fetch.ts";
import { counted } from "../../text/table.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const ABOUT = "feed";

/** Most hosts that are named. */
const NAMED_MAX = 5;

/** How long a list may take, in milliseconds: somebody is waiting. */
const TOTAL_MS = 60_000;

/**
 * Downloads the lists; nothing is kept of them.
 *
 * @param config Names them.
 * @param trusted Canonical targets that are trusted.
 * @param backend Which firewall is used.
 */
export async function* checkFeeds(
  config: Config,
  trusted: readonly string[],
  backend: string,
): AsyncGenerator<Finding> {
  if (config.feeds.length === 0) return;
  const standing = knownHosts(config);
  for (const feed of config.feeds) {
    const { name, file, line } = feed;
    if (feed.action === "block" && backend === "iptables") {
      yield problem(
        ABOUT,
        `${file}:${line}: [feed ${name}] has action = block, which iptables cannot do: nobody is ` +
          "blocked for it",
        "backend = nftables or backend = ipset, or action = strict",
      );
    }
    yield* await checkFeed(feed, trusted, standing);
  }
}

async function checkFeed(
  feed: FeedConfig,
  trusted: readonly string[],
  standing: readonly string[],
): Promise<Finding[]> {
  const { name, url, action } = feed;
  try {
    const fetched = await fetchList(feed, { own: ownAddresses(), totalMs: TOTAL_MS });
    const { set, leftOut, told } = fetched!.entries;
    const findings: Finding[] = [];
    const what = `${name}: ${counted(set.size, "entry", "entries")} in ${shownUrl(url)} (${
      set.sizeOf(6)
    } of IPv6)`;
    if (set.size === 0) {
      findings.push(warning(ABOUT, `${what}: nobody is listed`, "see whether url is right"));
    } else findings.push(ok(ABOUT, what));
    const width = howWide(set);
    if (width !== undefined) {
      findings.push(warning(
        ABOUT,
        `${name}: ${width}`,
        "see whether url is right; trust whoever belongs there and never logged in",
      ));
    }
    if (leftOut > 0) {
      findings.push(warning(
        ABOUT,
        `${name}: ${counted(leftOut, "line is", "lines are")} left out: ${told.join("; ")}`,
        "",
      ));
    }
    for (const [who, targets] of [["trusted", trusted], ["in good standing", standing]] as const) {
      const hit = targets.filter((target) => set.find(expectNetwork(target)) !== undefined);
      if (hit.length === 0) continue;
      findings.push(warning(
        ABOUT,
        `${name}: ${counted(hit.length, "host or network", "hosts and networks")} ${who} ${
          hit.length === 1 ? "is" : "are"
        } on it, at least in part, and ${hit.length === 1 ? "passes" : "pass"} all the same: ${
          hit.slice(0, NAMED_MAX).join(", ")
        }${hit.length > NAMED_MAX ? ", …" : ""}`,
        action === "block"
          ? "if new phones may come from there, trust their addresses, or use action = strict"
          : "",
      ));
    }
    return findings;
  } catch (error) {
    if (!(error instanceof FeedError)) throw error;
    return [
      warning(
        ABOUT,
        `${name}: ${shownUrl(url)} is of no use: ${error.message}`,
        error.advice === "" ? "see whether url is right and the server answers" : error.advice,
      ),
    ];
  }
}

/** Who logged in within the credit. */
function knownHosts({ database, credit }: Config): string[] {
  try {
    const list = BlockDatabase.open(database, { readOnly: true });
    try {
      const since = Date.now() - 1_000 * credit;
      return [...list.standing()].filter(([, at]) => at >= since).map(([host]) => host);
    } finally {
      list.close();
    }
  } catch (error) {
    // It is told with the database.
    if (error instanceof BlockDatabaseError) return [];
    throw error;
  }
}
