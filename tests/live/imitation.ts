/**
 * tests/fake_asterisk.ts stands in where a real Asterisk can't be had, or can't be made to do what
 * a test needs. Here both are told the same, and must say the same.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Server } from "../../tools/asterisk.ts";
import { latin1 } from "../e2e/ami_server.ts";
import { FakeAsterisk } from "../support/fake_asterisk.ts";
import { until } from "../support/namespace.ts";
import { AMI_PORT, Asterisk } from "./asterisk.ts";
import { UNFILTERED } from "./blocking.ts";
import { pbx } from "./pbx.ts";
import { CONFIGURATION } from "./ampere.ts";

const USER = "ampere";
const SECRET = /^pass\s*= (.*)$/m.exec(CONFIGURATION)![1]!;

type Action = Readonly<Record<string, string>>;

const LOGIN: Action = { Action: "Login", Username: USER, Secret: SECRET };

/** What clients do, each on a connection of its own; those whose login fails are closed. */
const CLIENTS: Readonly<Record<string, { actions: readonly Action[]; closed: boolean }>> = {
  "logs in and pings": {
    actions: [LOGIN, { Action: "Ping" }],
    closed: false,
  },
  "has a wrong secret": { actions: [{ ...LOGIN, Secret: "wrong" }], closed: true },
  "is unknown": { actions: [{ ...LOGIN, Username: "nobody" }], closed: true },
  "answers a challenge wrongly": {
    actions: [
      { Action: "Challenge", AuthType: "MD5" },
      { Action: "Login", Username: USER, AuthType: "MD5", Key: "0".repeat(32) },
    ],
    closed: true,
  },
  "does not log in": { actions: [{ Action: "Ping" }], closed: false },
};

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param root its file system
 */
export function testImitation(server: Server, root: string): void {
  Deno.test(`Asterisk ${server.version}: the imitation of it says what it says`, async () => {
    await using _asterisk = await Asterisk.start(root, pbx(UNFILTERED));
    await using fake = new FakeAsterisk({
      users: [{ name: USER, secret: SECRET, read: ["security", "system"] }],
    });
    assert.deepEqual(await conversation(fake.port), await conversation(AMI_PORT));
  });
}

/**
 * What each client is told, and what somebody else is told of it meanwhile; without what is another
 * each time.
 */
async function conversation(port: number): Promise<Record<string, string[]>> {
  using watcher = await Client.connect(port);
  watcher.send(LOGIN);
  // FullyBooted and one's own SuccessfulAuth come in any order.
  await until("the watcher is logged in", () => watcher.messages.length === 3);
  const told: Record<string, string[]> = {};
  for (const [name, { actions, closed }] of Object.entries(CLIENTS)) {
    using client = await Client.connect(port);
    const before = watcher.messages.length;
    for (const [i, action] of actions.entries()) {
      const id = `${name} ${i}`;
      client.send({ ...action, ActionID: id });
      await until(`an answer to ${id}`, () => client.text.includes(`ActionID: ${id}\r\n`));
    }
    if (closed) await until(`${name}: the connection is closed`, () => client.closed);
    // Each of them raises one event.
    await until(`${name}: the event arrives`, () => watcher.messages.length > before);
    told[name] = [client.banner, ...client.messages.toSorted()];
    told[`while somebody ${name}`] = watcher.messages.slice(before);
  }
  return told;
}

/** A connection, and what came. */
class Client implements Disposable {
  text = "";
  closed = false;
  readonly #connection: Deno.TcpConn;
  #over = false;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    void this.#read();
  }

  static async connect(port: number): Promise<Client> {
    return new Client(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  get banner(): string {
    return normal(this.text.slice(0, this.text.indexOf("\r\n")));
  }

  /** All messages that are complete. */
  get messages(): string[] {
    return this.text.slice(this.text.indexOf("\r\n") + 2).split("\r\n\r\n").slice(0, -1).map(
      normal,
    );
  }

  send(action: Action): void {
    const lines = Object.entries(action).map(([name, value]) => `${name}: ${value}\r\n`);
    void this.#connection.write(new TextEncoder().encode(`${lines.join("")}\r\n`));
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#connection.close();
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(4_096);
    try {
      for (;;) {
        const count = await this.#connection.read(buffer);
        if (count === null) break;
        this.text += latin1(buffer.subarray(0, count));
      }
    } catch (error) {
      if (!this.#over) throw error;
    }
    this.closed = true;
  }
}

/** A text in which what is another each time is written alike. */
function normal(text: string): string {
  return text
    .replace(/^(Asterisk Call Manager\/)[\d.]+$/, "$1V")
    .replace(/^((?:EventTV|SessionTV): )[\dT:.+-]+$/gm, "$1T")
    .replace(/^((?:SessionID): )0x[0-9a-f]+$/gm, "$1P")
    .replace(/^((?:Uptime|LastReload|Timestamp|Challenge): )[\d.]+$/gm, "$1N")
    .replace(/^(ExpectedResponse: )[0-9a-f]{32}$/gm, "$1H")
    .replace(/^((?:Local|Remote)Address: .*\/)\d+$/gm, "$1N");
}
