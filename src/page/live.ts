/**
 * Pages that are open: what is new comes to them by server-sent events (HTML Standard, section
 * 9.2).
 *
 * @module
 */

import type { Block } from "../blocks/block.ts";
import type { Clock } from "../clock.ts";
import type { Notice } from "../telemetry/notice.ts";
import type { ServedConnection } from "../telemetry/served_connection.ts";
import type { Budget } from "./budget.ts";
import type { Html } from "./html.ts";

/** Most pages at a time. */
const STREAMS_MAX = 16;

/** How often something is sent, in milliseconds. */
const EVERY_MS = 1_000;

/** So often something is sent although nothing is new: who is gone is noticed. */
const PULSE_EVERY = 15;

/** Most new rows at a time: of more the newest. */
const ROWS_MAX = 50;

/** Most targets that are told as gone at a time. */
const GONE_MAX = 500;

/** What may wait for a slow page, in bytes; then it is left. */
const WAITING_BYTES_MAX = 262_144;

/** What pages show. */
interface Shown {
  readonly clock: Clock;
  readonly budget: Budget;
  readonly tiles: () => Html;
  readonly block: (target: string) => Block | undefined;
  readonly row: (block: Block) => Html;
  /** Takes what went wrong. */
  readonly failed: (error: unknown) => void;
}

/** Sends what is new to those who look. */
export class Live {
  readonly #shown: Shown;
  readonly #streams = new Set<ServedConnection>();
  readonly #changed = new Set<string>();
  #tiles = "";
  #turns = 0;
  #cancel: (() => void) | undefined;

  /**
   * Nobody looks yet.
   *
   * @param shown What pages show.
   */
  constructor(shown: Shown) {
    this.#shown = shown;
  }

  /** Whether there is no room for a further page. */
  get isFull(): boolean {
    return this.#streams.size >= STREAMS_MAX;
  }

  /**
   * A page looks from now on, as long as its connection is open.
   *
   * @param connection The connection; the head of the answer was sent.
   */
  add(connection: ServedConnection): void {
    this.#streams.add(connection);
    // Who says that no more will come has gone.
    void connection.discard().then(() => connection.destroy());
    void connection.over.then(() => {
      this.#streams.delete(connection);
      if (this.#streams.size === 0) this.stop();
    });
    // A page that is out of date asks again soon.
    void connection.write("retry: 3000\n\n");
    this.#cancel ??= this.#shown.clock.after(EVERY_MS, this.#turn);
  }

  /**
   * Something happened.
   *
   * @param notice What.
   */
  notice(notice: Notice): void {
    if (this.#streams.size === 0) return;
    if (notice.event !== "block" && notice.event !== "unblock") return;
    // The last one of the set is the newest.
    this.#changed.delete(notice.target);
    this.#changed.add(notice.target);
    if (this.#changed.size > GONE_MAX) this.#changed.delete(this.#changed.values().next().value!);
  }

  /** Sends nothing any more. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#changed.clear();
    this.#tiles = "";
  }

  readonly #turn = (): void => {
    this.#cancel = this.#shown.clock.after(EVERY_MS, this.#turn);
    let text = "";
    try {
      text = this.#shown.budget.spend(() => this.#news());
    } catch (error) {
      this.#shown.failed(error);
    }
    this.#turns++;
    if (text === "" && this.#turns % PULSE_EVERY !== 0) return;
    const bytes = new TextEncoder().encode(text === "" ? ":\n\n" : text);
    for (const connection of this.#streams) {
      if (connection.waiting > WAITING_BYTES_MAX) connection.destroy();
      else void connection.write(bytes);
    }
  };

  #news(): string {
    let text = "";
    const gone: string[] = [];
    const rows: [string, string][] = [];
    for (const target of this.#changed) {
      const block = this.#shown.block(target);
      if (block === undefined) gone.push(target);
      else rows.push([target, this.#shown.row(block).text]);
    }
    this.#changed.clear();
    if (gone.length > 0) text += event("gone", gone);
    if (rows.length > 0) text += event("rows", rows.slice(-ROWS_MAX));
    const tiles = this.#shown.tiles().text;
    if (tiles !== this.#tiles) text += event("tiles", tiles);
    this.#tiles = tiles;
    return text;
  }
}

/** JSON has no line ends. */
function event(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
