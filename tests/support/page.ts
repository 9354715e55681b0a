/** A daemon with a status page, as a browser and other programs find it. */

import { exemptAddresses } from "../../src/address/exempt.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import type { Daemon } from "../../src/daemon/daemon.ts";
import { openPage, type StatusPage } from "../../src/page/page.ts";
import { makeToken } from "../../src/page/token_file.ts";
import { daemonWith } from "./daemons.ts";
import { FakeAsterisk } from "./fake_asterisk.ts";
import { Log } from "../../src/log.ts";
import { until } from "./namespace.ts";

/** What a test works with. */
export interface PageBench {
  readonly daemon: Daemon;
  readonly asterisk: FakeAsterisk;
  readonly list: WrittenBlockList;
  readonly page: StatusPage;
  /** The address of the page, without a slash at its end. */
  readonly url: string;
  /** The token that lets people act. */
  readonly token: string;
  /** Lines of the log of daemon and page. */
  readonly lines: readonly string[];
  readonly folder: string;
}

/** A port that nobody has. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/**
 * Runs a daemon that is logged in at an imitation of Asterisk, with a real list and a page.
 *
 * @param changes What is configured otherwise.
 * @param run The test.
 * @param before Makes the database, or what else has to be there.
 */
export async function withPage(
  changes: Partial<Config>,
  run: (bench: PageBench) => Promise<void>,
  before: (database: string) => void = () => {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "ampere-page-" });
  try {
    await using asterisk = new FakeAsterisk({
      users: [{ name: "ampere", secret: "ampere", read: ["security", "system"] }],
    });
    const database = `${folder}/ampere.db`;
    before(database);
    const pageTokenFile = `${folder}/page.token`;
    const { token } = await makeToken(pageTokenFile, "actions");
    const lines: string[] = [];
    const log = new Log({
      stamps: false,
      stderr: { writeSync: (bytes) => (lines.push(new TextDecoder().decode(bytes)), bytes.length) },
    });
    const list = WrittenBlockList.open(database, {});
    const { daemon } = daemonWith({
      config: {
        ...DEFAULT_CONFIG,
        port: asterisk.port,
        database,
        page: { hostname: "127.0.0.1", port: freePort() },
        pageTokenFile,
        ...changes,
      },
      list,
      log,
      exempt: (trust) => exemptAddresses(trust),
      answersFile: `${folder}/names`,
      notify: (notice) => page?.notify(notice),
    });
    let page: StatusPage | undefined;
    const stop = new AbortController();
    const running = daemon.run(stop.signal);
    try {
      await until("it is logged in", () => daemon.connectedSince !== undefined);
      page = await openPage(daemon, log);
      const scheme = daemon.config.pageCert === undefined ? "http" : "https";
      const url = `${scheme}://127.0.0.1:${page.port}`;
      await run({ daemon, asterisk, list, page, url, token, lines, folder });
    } finally {
      await page?.stop();
      stop.abort();
      await running;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
