/**
 * The side of Asterisk: a manager interface that lets everybody in and sends what the bench wants
 * sent.
 *
 * @module
 */

const BANNER = "Asterisk Call Manager/11.0.0\r\n";
const ACTION_BYTES_MAX = 16 * 1024;

/** A client that has logged in. */
export class ManagerConnection {
  /** Fulfilled when the client has closed the connection. */
  readonly closed: Promise<void>;
  readonly #connection: Deno.TcpConn;

  private constructor(connection: Deno.TcpConn, closed: Promise<void>) {
    this.#connection = connection;
    this.closed = closed;
  }

  /**
   * Answers the login, and every action after it.
   *
   * @returns `undefined` if the client has left before it logged in: a daemon that was ended while
   *   nobody accepted it.
   */
  static async accept(connection: Deno.TcpConn): Promise<ManagerConnection | undefined> {
    const loggedIn = Promise.withResolvers<boolean>();
    const answer = async () => {
      const decoder = new TextDecoder();
      const buffer = new Uint8Array(ACTION_BYTES_MAX);
      let text = "";
      await writeAll(connection, BANNER).catch(() => {});
      for (;;) {
        const count = await connection.read(buffer).catch(() => null);
        if (count === null) return;
        text += decoder.decode(buffer.subarray(0, count), { stream: true });
        for (let end; (end = text.indexOf("\r\n\r\n")) >= 0; text = text.slice(end + 4)) {
          const id = /ActionID: (.*)/.exec(text.slice(0, end))?.[1]?.trim();
          const accepted =
            `Response: Success\r\nActionID: ${id}\r\nMessage: Authentication accepted\r\n\r\n`;
          try {
            await writeAll(connection, accepted);
          } catch {
            return; // The client has left, or the connection is closed.
          }
          loggedIn.resolve(true);
        }
      }
    };
    const closed = answer().finally(() => loggedIn.resolve(false));
    if (!await loggedIn.promise) return undefined;
    connection.setNoDelay(true);
    return new ManagerConnection(connection, closed);
  }

  /** Sends text or bytes, all of it. */
  async send(what: string | Uint8Array): Promise<void> {
    await writeAll(this.#connection, what);
  }

  close(): void {
    try {
      this.#connection.close();
    } catch {
      // The client was faster.
    }
  }
}

/** The manager interface; a client at a time. */
export class Manager implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Waits for the next client that logs in; who has left before that is passed over. */
  async accept(): Promise<ManagerConnection> {
    for (;;) {
      const client = await ManagerConnection.accept(await this.#listener.accept());
      if (client !== undefined) return client;
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

async function writeAll(connection: Deno.TcpConn, what: string | Uint8Array): Promise<void> {
  const bytes = typeof what === "string" ? new TextEncoder().encode(what) : what;
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}
