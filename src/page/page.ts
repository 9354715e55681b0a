/**
 * The status page: what `--status` and `--why` tell, in a browser, and the list of blocks for other
 * firewalls. It answers what it is asked, and asks nobody.
 *
 * @module
 */

import { parseTarget } from "../address/address.ts";
import { type Clock, sleep, systemClock } from "../clock.ts";
import { type PageConfig, pageOf } from "../config/page_keys.ts";
import type { Log } from "../log.ts";
import { BoundedServer } from "../telemetry/bounded_server.ts";
import type { Notice } from "../telemetry/notice.ts";
import type { ServedConnection } from "../telemetry/served_connection.ts";
import { statusOf } from "../telemetry/status.ts";
import { escapeText } from "../text/escape.ts";
import { fixOf } from "../text/fix.ts";
import { Access, type Session } from "./access.ts";
import { act, readAction } from "./actions.ts";
import { ICON, SCRIPT, STYLE } from "./assets.ts";
import { blocksPage, DONE, hostPage, loginPage } from "./block_pages.ts";
import { Budget } from "./budget.ts";
import { History } from "./history.ts";
import { type Answer, callerOf, type Request, serveConnection } from "./http.ts";
import { type Html, markup } from "./html.ts";
import { pageAnswer, SECURITY_HEADERS, type Visitor } from "./layout.ts";
import { LIST_TYPES, listAnswer } from "./lists.ts";
import { Live } from "./live.ts";
import { blockRow, overview, tiles } from "./overview.ts";
import { type RangeName, RANGES } from "./plots.ts";
import { findBlocks, TooLongError } from "./scan.ts";
import { PageError, whyNotServed } from "./page_error.ts";
import type { PageSource } from "./source.ts";
import type { TlsGate } from "./tls.ts";
import { randomText } from "./token_file.ts";

/** Most connections at a time. */
const CONNECTIONS_MAX = 64;

/** How long a connection may last, in milliseconds; a live page makes the next one by itself. */
const CONNECTION_MS = 600_000;

/** How often counts are taken and files looked at, in milliseconds. */
const LOOK_EVERY_MS = 5_000;

/** How long a page may be shown to several visitors, in milliseconds. */
const SHARED_MS = 1_000;

/** What a connection takes beside the answer, in milliseconds: plain, and by TLS. */
const CONNECTION_COSTS_MS = 0.2;
const TLS_COSTS_MS = 1;

/** How long a page may take to be made, in milliseconds. */
const MAKING_MS = 30_000;

/** How often it is looked whether all of the list is read, in milliseconds. */
const READ_LOOK_MS = 50;

/** Blocks of the first page. */
const NEWEST = 20;

/** Beyond so many hosts the worst are not looked for: that takes too long for one turn. */
const WORST_OF_MAX = 5_000;

/** Hosts with most points that are shown. */
const WORST = 10;

/** Where the page tells of itself. */
type PageLog = Pick<Log, "info" | "warn" | "limited">;

/** What is served without a look at who asks. */
const ASSETS: Readonly<Record<string, { readonly type: string; readonly body: string }>> = {
  "/page.css": { type: "text/css; charset=utf-8", body: STYLE },
  "/page.js": { type: "text/javascript; charset=utf-8", body: SCRIPT },
  "/icon.svg": { type: "image/svg+xml", body: ICON },
};

/**
 * Serves the page as the configuration wants it.
 *
 * @param source The daemon; its configuration has a page.
 * @param log Takes what is done.
 * @param clock The time.
 * @throws {PageError} When it cannot be served.
 */
export async function openPage(
  source: PageSource,
  log: PageLog,
  clock: Clock = systemClock,
): Promise<StatusPage> {
  const config = pageOf(source.config)!;
  const page = new StatusPage(source, config, log, clock);
  await page.listen();
  return page;
}

/** A page that is served. */
export class StatusPage {
  readonly #source: PageSource;
  readonly #config: PageConfig;
  readonly #log: PageLog;
  readonly #clock: Clock;
  readonly #access: Access;
  readonly #budget: Budget;
  readonly #history: History;
  readonly #live: Live;
  readonly #shared = new Map<string, Promise<unknown>>();
  /** Of another life of the daemon another one, so that no old list passes for a new one. */
  readonly #life = randomText(9);
  readonly #likeness: string;
  #changes = 0;
  #server: BoundedServer | undefined;
  #tls: TlsGate | undefined;
  #cancel = () => {};

  constructor(source: PageSource, config: PageConfig, log: PageLog, clock: Clock) {
    this.#source = source;
    this.#config = config;
    this.#log = log;
    this.#clock = clock;
    this.#likeness = likenessOf(config);
    this.#access = new Access(config, clock);
    this.#budget = new Budget(clock, () => source.counters.eventsTotal);
    this.#history = new History(source);
    this.#live = new Live({
      clock,
      budget: this.#budget,
      tiles: () => tiles(this.#status(0), this.#history, Date.now()),
      block: (target) => source.list.get(target),
      row: (block) => blockRow(block, source.places),
      failed: (error) => this.#log.limited("page", "warn", `status page: ${messageOf(error)}`),
    });
  }

  /** The port where it is served. */
  get port(): number {
    return this.#server?.port ?? 0;
  }

  /**
   * Begins to serve.
   *
   * @throws {PageError} When that cannot be.
   */
  async listen(): Promise<void> {
    const { hostname, port, isOpenToOthers, cert, key } = this.#config;
    const { obstacle } = this.#access;
    if (isOpenToOthers && obstacle !== undefined) {
      throw new PageError(
        `others can reach it, and ${obstacle}. Fix: ampere --page-token, then: systemctl reload ampere`,
      );
    }
    const serve = (connection: ServedConnection) => this.#serve(connection);
    if (cert !== undefined && key !== undefined) {
      const { TlsGate } = await import("./tls.ts");
      this.#tls = TlsGate.open(cert, key, serve);
    }
    try {
      this.#server = await BoundedServer.listen({ host: hostname, port }, {
        connectionsMax: CONNECTIONS_MAX,
        connectionMs: CONNECTION_MS,
        admit: () =>
          this.#budget.admit(this.#tls === undefined ? CONNECTION_COSTS_MS : TLS_COSTS_MS),
        serve: (connection) =>
          this.#tls === undefined ? serve(connection) : void this.#tls.lead(connection),
      });
    } catch (error) {
      this.#tls?.close();
      const { why, advice } = whyNotServed(error, hostname, port);
      throw new PageError(`${why}${fixOf(advice)}`);
    }
    this.#look();
    if (!isOpenToOthers && obstacle !== undefined && this.#config.tokenFile !== undefined) {
      this.#log.warn(
        `status page: nobody can act on it, because ${obstacle}. Fix: ampere --page-token`,
      );
    }
  }

  /**
   * Something happened.
   *
   * @param notice What.
   */
  notify(notice: Notice): void {
    if (notice.event !== "block" && notice.event !== "unblock") return;
    this.#changes++;
    this.#live.notice(notice);
  }

  /** Writes what was counted: to be called while the list is still open. */
  save(): void {
    this.#safely(() => this.#history.save(Date.now()));
  }

  /** See `OpenPage` of services.ts. */
  isCurrent(): boolean {
    return this.#likeness === likenessOf(pageOf(this.#source.config));
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#cancel();
    this.save();
    this.#live.stop();
    this.#shared.clear();
    this.#tls?.close();
    await this.#server?.stop();
  }

  #look(): void {
    this.#cancel = this.#clock.after(LOOK_EVERY_MS, () => this.#look());
    this.#safely(() => {
      this.#access.look();
      this.#history.look(Date.now());
    });
  }

  /** Nothing of the page may end the daemon. */
  #safely(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#log.limited("page", "warn", `status page: ${messageOf(error)}`);
    }
  }

  #serve(connection: ServedConnection): void {
    void serveConnection(connection, (request) => this.#answer(request)).catch((error) => {
      connection.destroy();
      this.#log.limited("page", "warn", `status page: ${messageOf(error)}`);
    });
  }

  async #answer(request: Request): Promise<Answer> {
    if (!this.#access.isForUs(request)) {
      const host = escapeText(request.headers.get("host") ?? "", 100);
      return text(
        421,
        `This page is not called "${host}". Fix: page_name = NAME in ampere.cfg, if that name is yours.\n`,
      );
    }
    const asset = ASSETS[request.path];
    if (asset !== undefined) {
      return {
        status: 200,
        type: asset.type,
        headers: { ...SECURITY_HEADERS, "Cache-Control": "max-age=300" },
        body: asset.body,
      };
    }
    try {
      const { headers, ...answer } = await this.#route(request);
      return { ...answer, headers: { ...SECURITY_HEADERS, ...headers } };
    } catch (error) {
      this.#log.limited("page", "warn", `status page: ${request.path}: ${messageOf(error)}`);
      return text(500, "Something went wrong; the log of Ampere tells what.\n");
    }
  }

  async #route(request: Request): Promise<Answer> {
    const { path, method } = request;
    const session = this.#access.sessionOf(request);
    if (method === "POST") return await this.#make(() => this.#post(request, session));
    if (Object.hasOwn(LIST_TYPES, path)) return await this.#make(() => this.#list(request));
    const visitor = this.#visitor(session);
    if (path === "/login") {
      const main = loginPage(undefined, ownPath(request.query.get("next")));
      return pageAnswer({ title: "Log in", visitor, main });
    }
    if (!this.#access.mayRead(request)) {
      return redirect(`/login?next=${encodeURIComponent(path)}`);
    }
    if (path === "/") return this.#overview(request, visitor);
    if (path === "/events") return this.#events();
    if (path === "/blocks") return this.#blocks(request, visitor);
    return this.#host(request, visitor) ??
      pageAnswer({
        title: "Not found",
        visitor,
        main: markup`<h1>There is no such page</h1>`,
      }, 404);
  }

  #overview({ query }: Request, visitor: Visitor): Answer {
    const asked = query.get("range") ?? "";
    const range = Object.hasOwn(RANGES, asked) ? asked as RangeName : "24h";
    const main = () =>
      this.#share(
        `${range} ${visitor.isLoggedIn}`,
        () => this.#makeOverview(range, visitor.isLoggedIn),
      );
    return pageAnswer({ title: "Overview", place: "/", visitor, main, isLive: true });
  }

  #blocks({ query }: Request, visitor: Visitor): Answer {
    const make = () => blocksPage(query, this.#making());
    // What is looked for, or older, does not come in by itself.
    const isLive = query.size === 0;
    const main = () => isLive ? this.#share("blocks", make) : this.#make(make);
    return pageAnswer({ title: "Blocks", place: "/blocks", visitor, main, isLive });
  }

  /** Makes once for several visitors what is looked at most. */
  #share<T>(key: string, make: () => Promise<T>): Promise<T> {
    const known = this.#shared.get(key);
    if (known !== undefined) return known as Promise<T>;
    const making = this.#make(make);
    this.#shared.set(key, making);
    const forget = () => void this.#shared.delete(key);
    making.then(() => this.#clock.after(SHARED_MS, forget), forget);
    return making;
  }

  /** Makes something when it is its turn. */
  async #make<T>(make: () => Promise<T>): Promise<T> {
    await this.#budget.wait();
    try {
      await this.#untilRead();
      return await make();
    } catch (error) {
      this.#log.limited("page", "warn", `status page: ${messageOf(error)}`);
      throw error;
    }
  }

  /** After the start the kernel is filled first: nobody may have a long list read before that. */
  async #untilRead(): Promise<void> {
    const { list } = this.#source;
    const until = this.#clock.now() + MAKING_MS;
    while (list.isRead === false) {
      if (this.#clock.now() > until) throw new TooLongError("the list of blocks is not read yet");
      await sleep(this.#clock, READ_LOOK_MS);
    }
  }

  async #makeOverview(range: RangeName, mayAct: boolean): Promise<Html> {
    const source = this.#source;
    const { blocks } = await findBlocks(source.list.each(), {
      matches: undefined,
      rows: NEWEST,
    }, this.#budget);
    return this.#budget.spend(() => {
      const now = Date.now();
      this.#history.look(now);
      const status = this.#status(WORST);
      const history = this.#history;
      return overview({ source, status, history, range, newest: blocks, now, mayAct });
    });
  }

  #host({ path, query }: Request, visitor: Visitor): Answer | undefined {
    const [, name] = /^\/host\/(.{1,150})$/.exec(path) ?? [];
    const target = name === undefined ? undefined : parseTarget(decoded(name));
    if (target === undefined) return undefined;
    const done = query.get("done") ?? "";
    const words = Object.hasOwn(DONE, done) ? DONE[done as keyof typeof DONE] : undefined;
    const note = words === undefined ? undefined : { words, isDone: true };
    const main = () => this.#make(() => hostPage(target, note, visitor.isLoggedIn, this.#making()));
    return pageAnswer({ title: target, visitor, main });
  }

  #events(): Answer {
    if (this.#live.isFull) return text(503, "Too many pages are open.\n");
    return {
      status: 200,
      type: "text/event-stream",
      stream: (connection) => this.#live.add(connection),
    };
  }

  async #list(request: Request): Promise<Answer> {
    if (!await this.#access.mayReadLists(request)) {
      return {
        status: 401,
        headers: { "WWW-Authenticate": 'Basic realm="Ampere: any user, and the token for lists"' },
      };
    }
    return listAnswer(request, {
      blocks: () => this.#source.list.each(),
      budget: this.#budget,
      version: `${this.#life}.${this.#changes}`,
      now: Date.now(),
    });
  }

  async #post(request: Request, session: Session | undefined): Promise<Answer> {
    const who = askedBy(request);
    if (!this.#access.isOwnForm(request)) {
      this.#log.limited(
        "page origin",
        "warn",
        `status page: a form that ${who} sent came from another page, and was not obeyed`,
      );
      return text(403, "This form was not sent by a page of this server.\n");
    }
    const form = new URLSearchParams(request.body);
    if (request.path === "/login") return await this.#login(request, form, who);
    if (session === undefined) return redirect("/login");
    if (request.path === "/logout") {
      return {
        ...redirect("/"),
        headers: { Location: "/", "Set-Cookie": this.#access.logout(session) },
      };
    }
    const action = request.path === "/actions" ? readAction(form) : undefined;
    if (action === undefined) return text(400, "This is no form of these pages.\n");
    if (!this.#access.takeAction(session)) {
      return text(429, "That are too many changes within a minute. Wait a little.\n");
    }
    const { target, name } = action;
    const problem = await act(action, {
      source: this.#source,
      log: this.#log,
      clock: this.#clock,
      who,
    });
    this.#shared.clear();
    if (problem === undefined) return redirect(`/host/${target}?done=${name}`);
    const note = { words: `Not done: ${problem}`, isDone: false };
    const main = () => this.#make(() => hostPage(target, note, true, this.#making()));
    return pageAnswer({ title: target, visitor: this.#visitor(session), main }, 409);
  }

  async #login(request: Request, form: URLSearchParams, who: string): Promise<Answer> {
    const next = ownPath(form.get("next"));
    const answer = await this.#access.login(form.get("token") ?? "", callerOf(request));
    if (typeof answer === "object") {
      this.#log.info(`status page: ${who} logged in`);
      return { status: 303, headers: { Location: next, "Set-Cookie": answer.cookie } };
    }
    this.#log.limited("page login", "warn", `status page: ${who} gave a wrong token`);
    const wrong = this.#access.obstacle !== undefined
      ? `Nobody can log in: ${this.#access.obstacle}.`
      : answer === "wrong"
      ? "That is not the token."
      : "That were too many wrong tokens. Wait a minute.";
    const visitor = this.#visitor(undefined);
    const main = loginPage(wrong, next);
    return pageAnswer({ title: "Log in", visitor, main }, answer === "wrong" ? 403 : 429);
  }

  #visitor(session: Session | undefined): Visitor {
    return { isLoggedIn: session !== undefined, obstacle: this.#access.obstacle };
  }

  #making() {
    const until = this.#clock.now() + MAKING_MS;
    return {
      source: this.#source,
      budget: this.#budget,
      isOver: () => this.#clock.now() > until,
    };
  }

  #status(hosts: number) {
    const isMany = this.#source.table.size > WORST_OF_MAX;
    return statusOf(this.#source, Date.now(), { blocks: 0, hosts: isMany ? 0 : hosts });
  }
}

/** A text that is another one when the page has to be another one: certificates are renewed. */
function likenessOf(config: PageConfig | undefined): string {
  const files = [config?.cert, config?.key].map((path) => {
    try {
      const { ino, size, mtime } = Deno.statSync(path ?? "");
      return `${ino} ${size} ${mtime?.getTime()}`;
    } catch {
      return "";
    }
  });
  return JSON.stringify([config, files]);
}

/** Who sent a request, for people. */
function askedBy(request: Request): string {
  const { from } = request;
  const caller = callerOf(request);
  return caller === from ? escapeText(from) : `${caller} (by ${from})`;
}

/** A way within these pages, wherever a stranger's link would lead. */
function ownPath(next: string | null): string {
  return /^\/(?:blocks|host\/[0-9a-f.:/]{2,50})?$/.test(next ?? "") ? next! : "/";
}

function redirect(to: string): Answer {
  return { status: 303, headers: { Location: to } };
}

function text(status: number, body: string): Answer {
  return { status, headers: SECURITY_HEADERS, body };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

function messageOf(error: unknown): string {
  return escapeText(error instanceof Error ? error.message : String(error), 300);
}
