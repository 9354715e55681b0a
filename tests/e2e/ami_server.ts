/**
 * An AMI server on a real TCP socket, which behaves as Asterisk does and tells what a test or a
 * recording wants told.
 *
 * @module
 */

import { bytesOf } from "../support/asterisk_events.ts";
import { pick, type Random } from "./random.ts";

/**
 * Sizes of the pieces in which a recording is sent, in bytes: within a line, within a message, over
 * several.
 */
const PIECES = [1, 7, 60, 300, 1_400, 4_000, 16_000] as const;

const DEFAULT_BANNER = "Asterisk Call Manager/7.0.3";

/** A client that sends more without an empty line is none. */
const ACTION_BYTES_MAX = 64 * 1024;

/** The parts of a recording. */
interface Conversation {
  /** The first line, without its end. */
  readonly banner: string;
  /** Asterisk's answer to the login of the one who recorded. */
  readonly accepted: boolean;
  /** What came after that answer, up to the logoff. */
  readonly body: Uint8Array;
  /** The server ended the connection: nobody logged off. */
  readonly endedByServer: boolean;
}

/**
 * Takes a recording apart, so that it can be told to somebody else.
 *
 * @param bytes what a client of Asterisk received, from the banner on
 */
export function conversationOf(bytes: Uint8Array): Conversation {
  const text = latin1(bytes);
  const bannerEnd = text.indexOf("\r\n");
  let start = bannerEnd + 2;
  let accepted = true;
  if (text.startsWith("Response:", start)) {
    accepted = text.startsWith("Response: Success\r\n", start);
    start = text.indexOf("\r\n\r\n", start) + 4;
  }
  const goodbye = text.indexOf("Response: Goodbye\r\n", start);
  return {
    banner: text.slice(0, bannerEnd),
    accepted,
    body: bytes.subarray(start, goodbye < 0 ? bytes.length : goodbye),
    endedByServer: goodbye < 0,
  };
}

/** How an {@linkcode AmiServer} is started. */
interface AmiServerOptions {
  /** The port; 0 is any. @default {0} */
  readonly port?: number;
  /** Where it listens. @default {"127.0.0.1"} */
  readonly hostname?: string;
  readonly banner?: string;
}

/** A listening server. Clients that logged in are taken by {@linkcode AmiServer.client}. */
export class AmiServer implements AsyncDisposable {
  /** Whether logins are accepted. */
  accepts = true;
  /** Logins so far, by their user names, refused ones too. */
  readonly logins: { user: string; secret: string }[] = [];
  readonly #listener: Deno.TcpListener;
  readonly #banner: string;
  readonly #open = new Set<AmiClientOfServer>();
  readonly #arrived: AmiClientOfServer[] = [];
  readonly #waiting: ((client: AmiClientOfServer) => void)[] = [];
  readonly #serving: Promise<void>;

  constructor(options: AmiServerOptions = {}) {
    this.#banner = options.banner ?? DEFAULT_BANNER;
    this.#listener = Deno.listen({
      hostname: options.hostname ?? "127.0.0.1",
      port: options.port ?? 0,
    });
    this.#serving = this.#serve();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /**
   * The next client that has logged in.
   *
   * @param deadlineMs how long it may take, in milliseconds
   */
  client(deadlineMs = 15_000): Promise<AmiClientOfServer> {
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) return Promise.resolve(arrived);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no login within ${deadlineMs} ms`)),
        deadlineMs,
      );
      this.#waiting.push((client) => {
        clearTimeout(timer);
        resolve(client);
      });
    });
  }

  /** Ends as a killed Asterisk does: the port is closed and every connection with it. */
  async stop(): Promise<void> {
    this.#listener.close();
    for (const client of this.#open) client.close();
    await this.#serving;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #serve(): Promise<void> {
    const conversations: Promise<void>[] = [];
    try {
      for await (const connection of this.#listener) {
        conversations.push(this.#converse(new AmiClientOfServer(connection)));
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    await Promise.all(conversations);
  }

  async #converse(client: AmiClientOfServer): Promise<void> {
    this.#open.add(client);
    try {
      await client.send(`${this.#banner}\r\n`);
      for await (const action of client.actions()) await this.#answer(client, action);
    } catch (error) {
      if (!isEndOfConnection(error)) throw error;
    } finally {
      client.release();
      this.#open.delete(client);
      const untaken = this.#arrived.indexOf(client);
      if (untaken >= 0) this.#arrived.splice(untaken, 1);
    }
  }

  async #answer(client: AmiClientOfServer, action: ReadonlyMap<string, string>): Promise<void> {
    const id = action.has("actionid") ? `ActionID: ${action.get("actionid")}\r\n` : "";
    switch (action.get("action")?.toLowerCase()) {
      case "login":
        this.logins.push({
          user: action.get("username") ?? "",
          secret: action.get("secret") ?? "",
        });
        if (!this.accepts) {
          await client.send(`Response: Error\r\n${id}Message: Authentication failed\r\n\r\n`);
          return client.close();
        }
        await client.send(`Response: Success\r\n${id}Message: Authentication accepted\r\n\r\n`);
        this.#loggedIn(client);
        return;
      case "ping":
        return await client.send(`Response: Success\r\n${id}Ping: Pong\r\nTimestamp: 1.0\r\n\r\n`);
      case "logoff":
        await client.send(`Response: Goodbye\r\n${id}Message: Thanks for all the fish.\r\n\r\n`);
        return client.close();
      default:
        return await client.send(`Response: Error\r\n${id}Message: Permission denied\r\n\r\n`);
    }
  }

  #loggedIn(client: AmiClientOfServer): void {
    const taker = this.#waiting.shift();
    if (taker === undefined) this.#arrived.push(client);
    else taker(client);
  }
}

/** One connection of a client, seen from the server. */
export class AmiClientOfServer {
  readonly #connection: Deno.TcpConn;
  /** One write after the other, so that an answer never stands in the middle of an event. */
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(connection: Deno.TcpConn) {
    connection.setNoDelay(true);
    this.#connection = connection;
  }

  /** The connection has ended, from whatever side. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Sends bytes, or text with one byte for each character.
   *
   * @param data what is sent, all of it
   * @param random cuts it into pieces of random sizes; without it there is one write
   */
  send(data: Uint8Array | string, random?: Random): Promise<void> {
    const bytes = typeof data === "string" ? bytesOf(data) : data;
    const sent = this.#turn.then(() => this.#write(bytes, random));
    this.#turn = sent.catch(() => {});
    return sent;
  }

  /**
   * Says that nothing more comes. The connection is closed when the client has closed it too: Deno
   * does not end a read that is under way, and without that the client would not be told (seen with
   * 2.8.3).
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.closeWrite().catch(() => {});
  }

  /** Gives the connection back, when no read is under way. */
  release(): void {
    this.#closed = true;
    this.#connection.close();
  }

  /** What the client sends: actions, header names in lower case. */
  async *actions(): AsyncGenerator<ReadonlyMap<string, string>> {
    const buffer = new Uint8Array(4_096);
    let text = "";
    for (;;) {
      const count = await this.#connection.read(buffer);
      if (count === null) return;
      text += latin1(buffer.subarray(0, count));
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        yield new Map(text.slice(0, end).split("\r\n").map(headerOf));
        text = text.slice(end + 4);
      }
      if (text.length > ACTION_BYTES_MAX) throw new Error("a client sends no action");
    }
  }

  async #write(bytes: Uint8Array, random?: Random): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const size = random === undefined ? bytes.length : pick(random, PIECES);
      at += await this.#connection.write(bytes.subarray(at, at + size));
    }
  }
}

/** The client, or the server by `close`, has ended the connection. */
export function isEndOfConnection(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset;
}

function headerOf(line: string): [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
}

/** Text with one character for each byte. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8_192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  }
  return text;
}
