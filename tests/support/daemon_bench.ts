/**
 * The parts of a daemon, joined as it joins them: all are real but Asterisk, the programs of the
 * firewall and the clock.
 */

import { EventReader, type Tampered } from "../../src/ami/event_reader.ts";
import type { BlockList } from "../../src/blocks/block_list.ts";
import { DryRunBlockList } from "../../src/blocks/dry_run_block_list.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";
import type { OwnInterface } from "../../src/address/interfaces.ts";
import { Neighbourhoods } from "../../src/daemon/neighbourhoods.ts";
import { Announcements } from "../../src/daemon/announcements.ts";
import { Exceptions } from "../../src/daemon/exceptions.ts";
import { Force } from "../../src/daemon/force.ts";
import { ListChanges } from "../../src/daemon/list_changes.ts";
import { Messages } from "../../src/daemon/messages.ts";
import { Notices } from "../../src/daemon/notices.ts";
import { Pipeline } from "../../src/daemon/pipeline.ts";
import { Releases } from "../../src/daemon/releases.ts";
import { dryRunner } from "../../src/firewall/dry_run.ts";
import { Firewall } from "../../src/firewall/firewall.ts";
import { IptablesBackend } from "../../src/firewall/iptables.ts";
import { PenaltyTable } from "../../src/penalties/penalty_table.ts";
import type { PenaltyPolicy } from "../../src/penalties/policy.ts";
import { Counters } from "../../src/telemetry/counters.ts";
import type { Notice } from "../../src/telemetry/notice.ts";
import { BANNER, bytesOf } from "./asterisk_events.ts";
import { FakeClock } from "./fake_clock.ts";
import { logWithLines } from "./log_lines.ts";
import { POLICY } from "./table_bench.ts";

interface DaemonBenchOptions {
  readonly list?: BlockList;
  readonly config?: Partial<Config>;
  readonly policy?: Partial<PenaltyPolicy>;
  readonly dryRun?: boolean;
  readonly level?: "info" | "debug";
  readonly clock?: FakeClock;
  /** This machine's interfaces; none: not known. */
  readonly interfaces?: readonly OwnInterface[];
}

export class DaemonBench {
  readonly clock: FakeClock;
  readonly list: BlockList;
  readonly table: PenaltyTable;
  readonly counters = new Counters();
  /** The lines of the log. */
  readonly lines: string[];
  readonly notices: Notice[] = [];
  /** The commands of the firewall. */
  readonly commands: string[] = [];
  readonly firewall: Firewall;
  readonly announcements: Announcements;
  readonly exceptions: Exceptions;
  readonly neighbourhoods: Neighbourhoods;
  readonly changes: ListChanges;
  readonly force: Force;
  readonly pipeline: Pipeline;
  readonly #reader: EventReader;

  constructor(options: DaemonBenchOptions = {}) {
    const clock = this.clock = options.clock ?? new FakeClock();
    const wallClock = () => clock.now();
    const list = this.list = options.list ??
      new DryRunBlockList("(memory)", undefined, clock.now());
    const { log, lines } = logWithLines(options.level);
    this.lines = lines;
    const table = this.table = new PenaltyTable({ ...POLICY, ...options.policy });
    table.explain = options.level === "debug";
    const run = dryRunner((command) => void this.commands.push(command));
    const firewall = this.firewall = new Firewall({
      backends: ([4, 6] as const).map((family) =>
        new IptablesBackend({ family, chain: "ampere", run })
      ),
      log,
      verifyMs: 3_600_000,
      clock,
    });
    const { counters } = this;
    const notices = new Notices((notice) => void this.notices.push(notice), wallClock);
    const announcements = this.announcements = new Announcements({
      firewall,
      force: { remarkOn: (target) => this.force.remarkOn(target) },
      notices,
      counters,
      log,
      clock,
      dryRun: options.dryRun ?? false,
    });
    const shared = {
      table,
      firewall,
      counters,
      list,
      log,
      clock,
      wallClock,
      notices,
      announcements,
    };
    const releases = new Releases(shared);
    const believedTime = { now: wallClock, latest: wallClock };
    const config = () => ({ ...DEFAULT_CONFIG, ...options.config });
    const neighbourhoods = this.neighbourhoods = new Neighbourhoods({
      ...shared,
      releases,
      config,
      backend: "iptables",
    });
    const exceptions = this.exceptions = new Exceptions({ ...shared, releases, neighbourhoods });
    this.changes = new ListChanges({ ...shared, releases, neighbourhoods, believedTime });
    const force = this.force = new Force({
      ...shared,
      config,
      peers: () => ["127.0.0.1"],
      network: () => ({ interfaces: options.interfaces ?? [], gateways: [] }),
    });
    this.pipeline = new Pipeline({
      ...shared,
      exceptions,
      neighbourhoods,
      onLogin: (event) => neighbourhoods.loggedIn(event),
      force,
      config,
    });
    const messages = new Messages(log, counters);
    this.#reader = new EventReader({
      banner: () => {},
      response: () => {},
      event: this.pipeline.onEvent,
      tampered: (what: Tampered, buffer, start, end) =>
        messages.onTampered(what, buffer, start, end),
    });
    this.#reader.push(bytesOf(BANNER));
  }

  /** The firewall begins with what the list holds. */
  async start(): Promise<this> {
    await this.firewall.start(this.list.entries());
    await this.firewall.idle();
    return this;
  }

  /** What one read from the socket brings; what it leads to is done. */
  async take(...texts: string[]): Promise<void> {
    this.#reader.push(bytesOf(texts.join("")));
    this.#reader.flushWithheld();
    this.pipeline.onBatch();
    await this.firewall.idle();
  }

  /** The commands since the last call. */
  newCommands(): string[] {
    return this.commands.splice(0);
  }
}
