/**
 * What hangs on the daemon and may fail without it: the status socket, the metrics, the page, the
 * webhook, messages to people.
 *
 * @module
 */

import { parseTarget } from "../address/address.ts";
import { type Config, formatListenAddress } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { BoundedServer } from "./bounded_server.ts";
import type { Look } from "./look.ts";
import type { Messages } from "./messages/messages.ts";
import type { Notice } from "./notice.ts";
import { type ShownPage, type Status, statusOf, type StatusSource } from "./status.ts";
import { RUN_FOLDER, StatusError, StatusServer, statusSocketPath } from "./status_socket.ts";
import type { Webhook } from "./webhook.ts";

/** The status page, when it is served. */
export interface OpenPage {
  /** Hears what happens; must not wait and not throw. */
  notify(notice: Notice): void;
  /** Writes what was counted. */
  save(): void;
  /** Whether it is still as the configuration, and the files that this names, want it. */
  isCurrent(): boolean;
  stop(): Promise<void>;
}

/**
 * Opens the status page as the configuration wants it; it stands above the daemon, so it is handed
 * in from there.
 *
 * @throws {Error} Why it cannot be served.
 */
type PageOpener = () => Promise<OpenPage>;

/** Where services tell of themselves. */
type ServicesLog = Pick<Log, "info" | "warn" | "limited">;

/**
 * The services of one daemon.
 *
 * @example
 * ```ts ignore
 * const services = new Services(daemon, log);
 * await services.apply(); // at start, and after each change of the configuration
 * await services.stop();
 * ```
 */
export class Services {
  readonly #source: StatusSource;
  readonly #log: ServicesLog;
  readonly #folder: string;
  readonly #openPage: PageOpener | undefined;
  #status: StatusServer | undefined;
  #metrics: { readonly server: BoundedServer; readonly config: Config["metrics"] } | undefined;
  #webhook:
    | { readonly sender: Webhook; readonly url: string; readonly caFile: string | undefined }
    | undefined;
  #page: OpenPage | undefined;
  #shownPage: ShownPage | null = null;
  #messages: Messages | undefined;
  /** One change at a time. */
  #changing: Promise<void> = Promise.resolve();

  /**
   * @param source The daemon.
   * @param log Takes what fails.
   * @param folder Where the status socket is made.
   * @param openPage Opens the status page; without it there is none.
   */
  constructor(
    source: StatusSource,
    log: ServicesLog,
    folder: string = RUN_FOLDER,
    openPage?: PageOpener,
  ) {
    this.#openPage = openPage;
    this.#source = source;
    this.#log = log;
    this.#folder = folder;
  }

  /**
   * Makes the services as the daemon's configuration wants them. What could not be started before
   * is tried again. Never throws: what fails is logged.
   */
  apply(): Promise<void> {
    return this.#changing = this.#changing.then(() => this.#apply());
  }

  /**
   * Reports something to the webhook, the page, and those who are told, if there are any.
   *
   * @param notice What happened.
   */
  notify(notice: Notice): void {
    this.#webhook?.sender.send(notice);
    this.#page?.notify(notice);
    this.#messages?.tell(notice);
  }

  /** Writes what is still to be written into the list, before that is closed. */
  save(): void {
    this.#page?.save();
  }

  /** Ends all. */
  async stop(): Promise<void> {
    await this.#changing;
    await Promise.all([
      this.#status?.stop(),
      this.#metrics?.server.stop(),
      this.#webhook?.sender.stop(),
      this.#page?.stop(),
      this.#messages?.stop(),
    ]);
    this.#status =
      this.#metrics =
      this.#webhook =
      this.#page =
      this.#messages =
        undefined;
  }

  async #apply(): Promise<void> {
    await this.#applyWebhook();
    await this.#applyMessages();
    await this.#applyMetrics();
    await this.#applyPage();
    this.#status ??= await this.#openStatus();
  }

  async #openStatus(): Promise<StatusServer | undefined> {
    const path = await statusSocketPath(this.#source.list.path, this.#folder);
    try {
      return await StatusServer.open(
        path,
        (question) => JSON.stringify(this.#answerTo(question)) + "\n",
      );
    } catch (error) {
      const hint = error instanceof StatusError
        ? ""
        : `. Create the folder ${this.#folder} for the daemon's user (systemd: RuntimeDirectory=ampere)`;
      this.#log.warn(`ampere --status will not work: ${messageOf(error)}${hint}`);
      return undefined;
    }
  }

  async #applyMetrics(): Promise<void> {
    const wanted = this.#source.config.metrics;
    if (wanted !== undefined && sameAddress(this.#metrics?.config, wanted)) return;
    await this.#metrics?.server.stop();
    this.#metrics = undefined;
    if (wanted === undefined) return;
    const text = formatListenAddress(wanted);
    try {
      // Most do without: modules that are not there need no memory.
      const { formatMetrics, serveMetrics } = await import("./metrics.ts");
      const server = await serveMetrics(
        wanted,
        () => formatMetrics(this.#source, this.#webhook?.sender, this.#messages?.states),
      );
      this.#metrics = { server, config: wanted };
      this.#log.info(`metrics for Prometheus at http://${text}/metrics`);
    } catch (error) {
      this.#log.warn(
        `no metrics: cannot listen on ${text}: ${messageOf(error)}. Is another program there ` +
          `(ss -ltnp)? Fix it or change "metrics", then: systemctl reload ampere`,
      );
    }
  }

  async #applyPage(): Promise<void> {
    // Who is logged in stays so.
    if (this.#page?.isCurrent()) return;
    await this.#page?.stop();
    this.#page = undefined;
    this.#shownPage = null;
    const { page, pageCert } = this.#source.config;
    if (page === undefined || this.#openPage === undefined) return;
    const url = `${pageCert === undefined ? "http" : "https"}://${formatListenAddress(page)}/`;
    try {
      this.#page = await this.#openPage();
      this.#shownPage = { url, trouble: null };
      this.#log.info(`status page at ${url}`);
    } catch (error) {
      const trouble = messageOf(error);
      this.#shownPage = { url, trouble };
      this.#log.warn(
        `no status page at ${url}: ${trouble}. Blocking is not affected; mended, it comes with: ` +
          "systemctl reload ampere",
      );
    }
  }

  /** What is answered to a question: whatever is not understood is taken for one for the status. */
  #answerTo(question: string): Status | { readonly look: Look } {
    const [, asked = ""] = /^look (\S+)$/.exec(question) ?? [];
    const target = parseTarget(asked);
    return target === undefined
      ? statusOf(this.#source, Date.now(), {}, this.#messages?.states, this.#shownPage)
      : { look: this.#source.inquiry.look(target) };
  }

  async #applyMessages(): Promise<void> {
    // Nobody is to be told of a block that was not made.
    const wanted = this.#source.dryRun ? [] : this.#source.config.messengers;
    if (wanted.length === 0 && this.#messages === undefined) return;
    if (this.#messages === undefined) {
      const { Messages } = await import("./messages/messages.ts");
      this.#messages = new Messages(this.#log);
    }
    await this.#messages.apply(wanted);
  }

  async #applyWebhook(): Promise<void> {
    // Nobody is to be told of a block that was not made.
    const url = this.#source.dryRun ? undefined : this.#source.config.webhook;
    const { webhookCa: caFile } = this.#source.config;
    if (url === this.#webhook?.url && caFile === this.#webhook?.caFile) return;
    const old = this.#webhook?.sender;
    if (url === undefined) this.#webhook = undefined;
    else {
      const { Webhook } = await import("./webhook.ts");
      this.#webhook = { sender: new Webhook({ url, caFile, log: this.#log }), url, caFile };
    }
    await old?.stop();
  }
}

function sameAddress(a: Config["metrics"], b: Config["metrics"]): boolean {
  return a?.hostname === b?.hostname && a?.port === b?.port;
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/ ?\(os error \d+\)/, "").replace(/^\w+ (E[A-Z]+):/, "$1:");
}
