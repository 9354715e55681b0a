/**
 * The connection to Asterisk's Manager Interface: made, told of when it is lost, and made again.
 *
 * @module
 */

import { AmiClient, type AmiClientOptions } from "../ami/client.ts";
import type { Clock } from "../clock.ts";
import { type Config, NO_AMI, tlsLogin } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { Counters } from "../telemetry/counters.ts";
import type { Force } from "./force.ts";
import type { Learning } from "./learning.ts";
import type { Logs } from "./logs.ts";
import type { Messages } from "./messages.ts";
import type { Notices } from "./notices.ts";
import type { Pipeline } from "./pipeline.ts";

/** What a {@linkcode Following} joins. */
interface FollowingParts {
  /** The configuration in force. */
  readonly config: () => Config;
  readonly pipeline: Pipeline;
  readonly logs: Logs;
  readonly messages: Messages;
  readonly notices: Notices;
  readonly learning: Learning;
  readonly force: Force;
  readonly counters: Counters;
  readonly log: Log;
  /** Monotonic time, for intervals. */
  readonly clock: Clock;
  readonly ami: AmiClientOptions | undefined;
  /** Log each message. */
  readonly verbose: boolean;
  readonly dryRun: boolean;
  /** Canonical addresses of the server, as far as they are known. */
  readonly peers: () => readonly string[];
  /** Hears which addresses the server has, in canonical form, sorted. */
  readonly onPeers: (addresses: readonly string[]) => void;
}

/** Follows Asterisk by AMI, as long as the configuration wants that. */
export class Following {
  readonly #parts: FollowingParts;
  #client: AmiClient | undefined;
  #relogin = new AbortController();
  /** Asterisk's events arrive; `undefined` until it was tried. */
  #isConnected: boolean | undefined;

  /**
   * Nothing is connected yet.
   *
   * @param parts What it joins.
   */
  constructor(parts: FollowingParts) {
    this.#parts = parts;
  }

  /** Whether the configuration names an AMI. */
  get isOn(): boolean {
    return this.#parts.config().host !== NO_AMI;
  }

  /** Clock value since which events arrive; `undefined` when they do not. */
  get connectedSince(): number | undefined {
    return this.#client?.connectedSince;
  }

  /** Ends the connection and makes it anew. */
  again(): void {
    this.#relogin.abort();
  }

  /**
   * Follows until the signal is given.
   *
   * @param signal Ends it.
   * @throws {LoginRefusedError} When the first login was refused.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { ami, clock, logs } = this.#parts;
    let persistent = false;
    while (!signal.aborted) {
      this.#relogin = new AbortController();
      if (!this.isOn) {
        await ended(signal, this.#relogin.signal);
        continue;
      }
      this.#client = this.#connect({ clock, ...ami, persistent });
      await this.#client.run(AbortSignal.any([signal, this.#relogin.signal]));
      logs.disconnected();
      persistent = true;
    }
  }

  #connect(options: AmiClientOptions): AmiClient {
    const { logs, pipeline, messages, verbose } = this.#parts;
    const way = logs.isOn ? logs : pipeline;
    const config = this.#parts.config();
    const { host, port, user, pass } = config;
    const tls = tlsLogin(config);
    return new AmiClient({ host, port, user, pass, tls }, {
      event: way.onEvent,
      batch: way.onBatch,
      ...(logs.isOn && { heard: logs.onHeard }),
      tampered: messages.onTampered,
      other: messages.onOther,
      connected: (banner) => {
        const secured = tls ? " by TLS" : "";
        this.#connected(
          `logged in at ${host}:${port}${secured} as "${user}" (${banner}): following the security events`,
        );
      },
      peers: (addresses) => {
        // Sorted: a resolver that gives them in turns changes nothing.
        this.#parts.onPeers([...addresses].sort());
      },
      disconnected: (why) => this.#disconnected(why),
      ...(verbose ? { message: messages.onMessage } : {}),
    }, options);
  }

  #connected(message: string): void {
    const { counters, logs, notices, learning, log, peers } = this.#parts;
    counters.logins++;
    this.#isConnected = true;
    logs.connected();
    log.info(message, notices.connected());
    void learning.ask(this.#client!, peers());
  }

  #disconnected(why: string): void {
    const { counters, logs, notices, log, dryRun, force } = this.#parts;
    // Told again for each further cause; lost it is only once.
    const isLost = this.#isConnected !== false;
    if (isLost) counters.losses++;
    const notice = isLost ? notices.lost(why) : undefined;
    this.#isConnected = false;
    logs.disconnected();
    const goesOn = dryRun ? "Trying" : `Blocks stay ${force.where}; trying`;
    log.warn(`${why}${/[.?!]$/.test(why) ? "" : "."} ${goesOn} again`, notice);
  }
}

/** Waits until one of the signals is given. A signal made of both could be collected meanwhile. */
function ended(...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const signal of signals) signal.removeEventListener("abort", done);
      resolve();
    };
    for (const signal of signals) signal.addEventListener("abort", done);
    if (signals.some(({ aborted }) => aborted)) done();
  });
}
