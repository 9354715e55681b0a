/**
 * The processes of the daemon: how each starts, and ends.
 *
 * @module
 */

import { IpsetBackend } from "../../../src/firewall/ipset.ts";
import { IptablesBackend } from "../../../src/firewall/iptables.ts";
import { openNftables } from "../../../src/firewall/nftables/open.ts";
import type { Backend } from "../../../src/firewall/backend.ts";
import { Way } from "../../../src/firewall/way.ts";
import { Daemon } from "../../../src/daemon/daemon.ts";
import { Log } from "../../../src/log.ts";
import { keyText } from "../../../src/penalties/host_key.ts";
import type { Store } from "../store.ts";
import { ProcessClock } from "../time.ts";
import { WayWitness } from "../way.ts";
import { BY_HAND, FAMILIES, INTERFACES } from "./cast.ts";
import { observe } from "./observed_list.ts";
import { mayEnd, type Process } from "./process.ts";
import type { Scene } from "./scene.ts";
import { WorldError } from "./world_error.ts";

/** How often points are written, in milliseconds: a world lasts less than a minute. */
const SAVE_POINTS_MS = 1_700;

type Stored = ReturnType<Store["read"]>;

/** Starts the daemon, again and again. */
export class Processes {
  readonly #scene: Scene;

  /** @param scene The world. */
  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** Starts one, as soon as the database can be read. */
  start(): void {
    const scene = this.#scene;
    const { dice } = scene;
    if (!scene.store.readable) {
      // A list that cannot be read is empty: what is blocked then is another story.
      scene.trace("the start waits for the database");
      scene.time.after(1_000, () => this.start());
      return;
    }
    const clock = new ProcessClock(scene.time);
    const wallClock = () => scene.wall();
    const log = new Log({
      level: "info",
      stamps: false,
      now: wallClock,
      stderr: { writeSync: (bytes) => says(bytes) },
    });
    const list = scene.store.open(wallClock(), (message) => log.error(message));
    const { chain, backend } = scene.config;
    const witness = new WayWitness({
      kernel: scene.kernel,
      isNft: scene.config.backend === "nftables",
      now: () => scene.time.now,
      isWallSet: () => scene.wallMoved,
      verifyMs: scene.looksInTime ? 1_000 * scene.config.verify : undefined,
    });
    const run = scene.programs.runnerFor(
      clock,
      (family, isInForce) => witness.looked(family, isInForce),
    );
    const says = (bytes: Uint8Array) => {
      const wrong = witness.hear(new TextDecoder().decode(bytes));
      if (wrong !== undefined) throw new WorldError(wrong);
      return this.#takeLogLine(bytes);
    };
    const batchMax = dice.pick([1, 2, 5, 15_000]);
    const start = scene.residents.starterFor(clock);
    const backends = backend === "nftables"
      ? openNftables({ chain, run, start, clock, log, now: wallClock })
      : FAMILIES.map((family): Backend =>
        backend === "ipset"
          ? new IpsetBackend({ family, chain, run, now: wallClock })
          : new IptablesBackend({ family, chain, run, batchMax })
      );
    let serial = 0;
    scene.requests.begin(scene.time.now, true);
    const files = scene.pbxLog?.filesFor();
    const daemon = new Daemon({
      config: scene.config,
      bornAt: scene.bornAt,
      savePointsMs: SAVE_POINTS_MS,
      list: observe(scene, list),
      backends,
      ways: backend === "nftables" ? [] : FAMILIES.map((family) => new Way({ family, chain, run })),
      network: () => ({ interfaces: INTERFACES, gateways: [] }),
      log,
      clock,
      wallClock,
      ...(files && { files }),
      exempt: (trust) => scene.exempt(trust),
      strict: scene.mayBeStrict
        ? {
          whyStrict: (host) => scene.strict.includes(keyText(host)) ? "listed" : undefined,
          whyBarred: (host) => scene.barred.includes(keyText(host)) ? "away" : undefined,
        }
        : undefined,
      ami: {
        connect: scene.asterisk.connectFor(clock),
        random: () => dice.next(),
        actionId: () => `id-${++serial}`,
      },
    });
    const { table } = daemon;
    const record = table.record.bind(table);
    table.record = (event, now, isBelieved) => {
      scene.counted(event);
      record(event, now, isBelieved);
    };
    const stop = new AbortController();
    const process: Process = {
      clock,
      daemon,
      list,
      stop,
      exitCode: undefined,
      error: undefined,
      arrived: 0,
      witness,
    };
    scene.process = process;
    scene.trace("the daemon starts");
    const { rows, history, standing } = scene.store.read();
    this.#adopt(rows, history);
    scene.model.belonging.standing = new Map(
      [...standing].map(([host, at]) => [host, scene.time.now - Math.max(0, scene.wall() - at)]),
    );
    scene.model.belonging.connected = new Map(scene.model.belonging.standing);
    scene.model.begin(scene.time.now, scene.wall(), scene.bornAt, [...rows.values()]);
    daemon.run(stop.signal).then((code) => process.exitCode = code, (error) => {
      process.error = error;
    });
  }

  /**
   * The model takes over what the database holds; it may differ only in what could not be written.
   */
  #adopt(rows: Stored["rows"], history: Stored["history"]): void {
    const scene = this.#scene;
    const model = scene.model;
    const targets = [...rows.keys(), ...model.blocks.keys()];
    for (const target of targets) {
      const row = rows.get(target);
      const block = model.blocks.get(target);
      if (BY_HAND.includes(target) || scene.deleted.has(target)) continue;
      const differs = (row === undefined) !== (block === undefined) || row?.until !== block?.until;
      if (differs && !scene.unsaved.has(target) && !block?.vague) {
        throw new WorldError(
          `the database lost a change that it had taken: ${target} is ${JSON.stringify(row)}, ` +
            `should be ${JSON.stringify(block)}`,
        );
      }
      if (row === undefined) model.blocks.delete(target);
      else {
        model.blocks.set(target, {
          until: row.until,
          times: row.times,
          vague: block?.vague ?? false,
          forHosts: block?.forHosts ?? false,
        });
      }
    }
    for (const target of scene.deleted) model.deleted(target);
    scene.deleted.clear();
    model.blocks.past = new Map(history);
    model.blocks.vaguePast.clear();
    scene.unsaved.clear();
  }

  #takeLogLine(bytes: Uint8Array): number {
    const text = () => new TextDecoder().decode(bytes).trimEnd();
    if (bytes.findIndex((byte) => byte < 0x20 || byte === 0x7f) !== bytes.length - 1) {
      throw new WorldError(`not one clean line of the log: ${JSON.stringify(text())}`);
    }
    if (this.#scene.isTold) this.#scene.trace(`log: ${text()}`);
    return bytes.length;
  }

  /** What the log has told must be counted, and what stands in it must be read. */
  #askForLogs({ daemon, stop }: Process): void {
    const { pbxLog, requests, asterisk, time } = this.#scene;
    if (pbxLog === undefined || stop.signal.aborted) return;
    const connected = daemon.connectedSince !== undefined;
    const lost = requests.lost({ now: time.now, connected, heard: asterisk.heard }) ??
      pbxLog.unread();
    if (lost !== undefined) throw new WorldError(lost);
  }

  /** kill -9, and what starts the daemon again. */
  kill(): void {
    const scene = this.#scene;
    const process = scene.process;
    if (process === undefined) return;
    scene.trace("the daemon is killed");
    process.clock.kill();
    scene.residents.orphan(process.clock);
    scene.programs.cut(process.clock);
    scene.process = undefined;
    scene.asterisk.drop();
    scene.store.abandon(process.list, scene.wall());
    scene.time.after(scene.dice.between(50, 4_000), () => this.start());
  }

  /** systemctl restart. */
  restart(): void {
    this.#scene.trace("the daemon is told to end");
    this.#scene.process?.stop.abort();
  }

  /** What systemd does: a daemon that has ended is started again. */
  care(): void {
    const scene = this.#scene;
    const process = scene.process;
    if (process === undefined) return;
    if (process.error !== undefined) throw process.error;
    if (process.exitCode === undefined) {
      if (process.clock.frozen) return process.witness.standsStill();
      const wrong = process.witness.compare(process.daemon);
      if (wrong !== undefined) throw new WorldError(wrong);
      return this.#askForLogs(process);
    }
    scene.trace(`the daemon has ended with ${process.exitCode}`);
    process.clock.kill();
    scene.process = undefined;
    if (!process.stop.signal.aborted && !mayEnd(process)) {
      throw new WorldError("the daemon ended without being told to");
    }
    scene.time.after(scene.dice.between(50, 4_000), () => this.start());
  }
}
