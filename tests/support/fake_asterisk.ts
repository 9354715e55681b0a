/**
 * A small AMI server that behaves as Asterisk does at login, for what a real one can't be made to
 * do and for where there is none. tests/live/imitation.ts compares it with real ones.
 */

import { BANNER, printEvent } from "./asterisk_events.ts";

/** An AMI user of manager.conf. */
export interface User {
  name: string;
  secret: string;
  /** Classes of `read`. */
  read: readonly string[];
}

export interface FakeAsteriskOptions {
  users: readonly User[];
  /** Asterisk sleeps one second before it refuses a login. */
  refusalMs?: number;
  /** The address that events show for every client; its own by default. */
  seenAs?: string;
  /** Most sessions; further ones are closed at once (`authlimit`). */
  sessionsMax?: number;
  /** Entries of lists, by the action that asks for them: without, it is refused. */
  lists?: Readonly<Record<string, readonly string[]>>;
  /** What stands in the place of the first line. */
  banner?: string;
}

interface Session {
  connection: Deno.TcpConn;
  user: User | undefined;
  id: string;
  challenge: string;
}

export class FakeAsterisk implements AsyncDisposable {
  readonly port: number;
  /** Actions that arrived, as `Action user`. */
  readonly actions: string[] = [];
  readonly #options: FakeAsteriskOptions;
  readonly #listener: Deno.TcpListener;
  readonly #sessions = new Set<Session>();
  readonly #work = new Set<Promise<void>>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #serial = 0x7f0000001000;

  constructor(options: FakeAsteriskOptions) {
    this.#options = options;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#track(this.#accept());
  }

  /** Sends text to all who are logged in, whatever their rights. */
  async send(text: string): Promise<void> {
    for (const { connection, user } of this.#sessions) {
      if (user !== undefined) await write(connection, text);
    }
  }

  /** Sessions that are logged in. */
  get loggedIn(): number {
    return [...this.#sessions].filter(({ user }) => user !== undefined).length;
  }

  /** Closes every connection. */
  dropAll(): void {
    for (const { connection } of this.#sessions) close(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.dropAll();
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#work);
  }

  #track(work: Promise<void>): void {
    const tracked = work.catch(() => {}).finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }

  async #accept(): Promise<void> {
    for (;;) {
      let connection: Deno.TcpConn;
      try {
        connection = await this.#listener.accept();
      } catch {
        return;
      }
      if (this.#sessions.size >= (this.#options.sessionsMax ?? Infinity)) {
        close(connection);
        continue;
      }
      const session = {
        connection,
        user: undefined,
        id: `0x${(this.#serial += 0x1a0).toString(16)}`,
        challenge: "",
      };
      this.#sessions.add(session);
      this.#track(
        this.#serve(session).finally(() => {
          this.#sessions.delete(session);
          close(connection);
        }),
      );
    }
  }

  async #serve(session: Session): Promise<void> {
    await write(session.connection, this.#options.banner ?? BANNER);
    let text = "";
    const chunk = new Uint8Array(4096);
    for (;;) {
      const count = await session.connection.read(chunk);
      if (count === null) return;
      text += new TextDecoder("latin1").decode(chunk.subarray(0, count));
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const lines = text.slice(0, end).split("\r\n").map((line) => line.split(/: (.*)/s));
        text = text.slice(end + 4);
        const headers = new Map(lines.map(([key, value]) => [key!, value ?? ""]));
        if (!await this.#process(session, headers)) return;
      }
    }
  }

  /** One action; whether the connection stays. */
  async #process(session: Session, headers: ReadonlyMap<string, string>): Promise<boolean> {
    const action = headers.get("Action") ?? "";
    const name = headers.get("Username") ?? "";
    const id = headers.get("ActionID");
    this.actions.push(`${action} ${name}`.trim());
    const answer = (result: string, ...lines: string[]) =>
      write(
        session.connection,
        [`Response: ${result}`, ...(id === undefined ? [] : [`ActionID: ${id}`]), ...lines, "", ""]
          .join("\r\n"),
      );
    const error = async (message: string) => {
      await answer("Error", `Message: ${message}`);
    };
    if (session.user !== undefined) {
      const list = this.#options.lists?.[action];
      if (list !== undefined) {
        await answer("Success", "EventList: start", "Message: a list will follow");
        for (const entry of [...list, "Event: ListComplete\r\nEventList: Complete"]) {
          const [event, ...lines] = entry.split("\r\n");
          await write(
            session.connection,
            [event, `ActionID: ${id}`, ...lines, "", ""].join("\r\n"),
          );
        }
        return true;
      }
      if (["SIPpeers", "DeviceStateList", "PJSIPShowContacts"].includes(action)) {
        await error("Permission denied");
        return true;
      }
      if (action !== "Ping") throw new Error(`what Asterisk says to ${action} is not known here`);
      await answer("Success", "Ping: Pong", "Timestamp: 1795336477.393035");
      return true;
    }
    if (action === "Challenge") {
      session.challenge = "129575309";
      await answer("Success", `Challenge: ${session.challenge}`);
      return true;
    }
    if (action !== "Login") {
      await this.#raise("RequestNotAllowed", session, "", [["RequestType", `Action: ${action}`]]);
      await error("Permission denied");
      return true;
    }
    const user = await this.#authenticate(session, headers, name);
    if (user === undefined) {
      await this.#pause();
      await error("Authentication failed");
      return false;
    }
    session.user = user;
    await answer("Success", "Message: Authentication accepted");
    if (user.read.includes("system")) {
      await write(
        session.connection,
        "Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 1\r\nLastReload: 1\r\nStatus: Fully Booted\r\n\r\n",
      );
    }
    await this.#raise("SuccessfulAuth", session, name, [["UsingPassword", "0"]]);
    return true;
  }

  async #authenticate(
    session: Session,
    headers: ReadonlyMap<string, string>,
    name: string,
  ): Promise<User | undefined> {
    const user = this.#options.users.find((candidate) => candidate.name === name);
    if (user === undefined) {
      await this.#raise("InvalidAccountID", session, name);
    } else if (headers.get("AuthType") === "MD5") {
      await this.#raise("ChallengeResponseFailed", session, "", [
        ["Challenge", session.challenge],
        ["Response", headers.get("Key") ?? ""],
        ["ExpectedResponse", "d4b6de15c25c11a8107855eb62db3bc6"],
      ]);
    } else if (headers.get("Secret") !== user.secret) {
      await this.#raise("InvalidPassword", session, name);
    } else {
      return user;
    }
    return undefined;
  }

  /** Sends a security event to all who may read it. */
  async #raise(
    kind: string,
    session: Session,
    account: string,
    tail: readonly (readonly [string, string])[] = [],
  ): Promise<void> {
    const { hostname, port } = session.connection.remoteAddr;
    const text = printEvent({
      kind,
      service: "AMI",
      account,
      session: session.id,
      local: `IPV4/TCP/127.0.0.1/${this.port}`,
      remote: `IPV4/TCP/${this.#options.seenAs ?? hostname}/${port}`,
      tail: [...tail, ["SessionTV", "1970-01-01T00:00:00.000+0000"]],
    });
    for (const { connection, user } of this.#sessions) {
      if (user?.read.includes("security")) await write(connection, text);
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        resolve();
      }, this.#options.refusalMs ?? 20);
      this.#timers.add(timer);
    });
  }
}

async function write(connection: Deno.TcpConn, text: string): Promise<void> {
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/**
 * With Deno 2.8 a connection on which a read is under way stays open after close(); its end is sent
 * before.
 */
function close(connection: Deno.TcpConn): void {
  connection.closeWrite().catch(() => {}).finally(() => {
    try {
      connection.close();
    } catch {
      // It was closed already.
    }
  });
}
