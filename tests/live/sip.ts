/**
 * A SIP user agent for the tests: a phone, or who pretends to be one. It says what it is told to,
 * over UDP or TCP, from any address of this machine.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect } from "node:net";

/** Where a server of SIP listens. */
export interface SipServer {
  readonly host: string;
  readonly port: number;
}

/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 8_000;

/**
 * When a request over UDP is sent again, in milliseconds; then after twice as long, and so on (RFC
 * 3261, section 17.1.2.2).
 */
const T1_MS = 500;

/** A final answer. */
interface SipAnswer {
  readonly status: number;
  readonly text: string;
}

/** What a request is made of, where it is not as usual. */
interface SipRequest {
  /**
   * What stands in From, and in To of a REGISTER, between `sip:` and `@`. @default the agent's
   * account
   */
  readonly account?: string;
  /** The password; without it a challenge stays unanswered. */
  readonly password?: string;
  /** The datagrams that carry each request: more than one are retransmissions. @default {1} */
  readonly copies?: number;
  /** Answers the last challenge again instead of asking for a new one. */
  readonly reuseNonce?: boolean;
  /**
   * The address in Contact: that of a phone behind NAT is another than the server sees. @default
   * the agent's address
   */
  readonly contact?: string;
}

/** A challenge of the server. */
interface Challenge {
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | undefined;
  readonly qop: boolean;
  readonly algorithm: keyof typeof HASHES;
  /** How often it has been answered. */
  uses: number;
}

/** Algorithms of digests that phones know, and what Node calls them. */
const HASHES = { "MD5": "md5", "SHA-256": "sha256" } as const;

/** What carries messages. */
interface Wire {
  readonly address: string;
  readonly port: number;
  readonly transport: "UDP" | "TCP";
  send(text: string): void;
  close(): void;
}

/**
 * A user agent at one address and port. Disposing closes its socket and gives up what still waits
 * for an answer, which may be a test that has seen enough.
 */
export class SipAgent implements Disposable {
  readonly #wire: Wire;
  readonly #server: SipServer;
  readonly #account: string;
  readonly #tag = token();
  /** Call-ID of the registration, which stays the same (RFC 3261, section 10.2). */
  readonly #callId = `${token()}@phone`;
  #sequence = 0;
  #challenge: Challenge | undefined;
  readonly #awaited = new Map<string, (answer: SipAnswer) => void>();
  /** How each request that waits for its answer is given up. */
  readonly #giveUp = new Set<() => void>();

  private constructor(wire: Wire, server: SipServer, account: string) {
    this.#wire = wire;
    this.#server = server;
    this.#account = account;
  }

  /**
   * Opens a socket.
   *
   * @param address where it sends from
   * @param server whom it talks to
   * @param account its name
   * @param transport how
   */
  static async open(
    address: string,
    server: SipServer,
    account = "100",
    transport: "UDP" | "TCP" = "UDP",
  ): Promise<SipAgent> {
    const heard = { receive: (_text: string) => {} };
    const open = transport === "UDP" ? openUdp : openTcp;
    const agent = new SipAgent(
      await open(address, server, (text) => heard.receive(text)),
      server,
      account,
    );
    heard.receive = (text) => agent.#receive(text);
    return agent;
  }

  /**
   * Registers. A challenge is answered if there is a password.
   *
   * @returns the status of the last answer
   */
  register(request: SipRequest = {}): Promise<number> {
    return this.#authenticated("REGISTER", inUri(this.#server.host), this.#callId, request);
  }

  /**
   * Registers as a device that begins anew: with another Call-ID, and without a challenge from
   * before.
   */
  registerAnew(request: SipRequest = {}): Promise<number> {
    return this.#authenticated("REGISTER", inUri(this.#server.host), `${token()}@phone`, request);
  }

  /**
   * Calls a number. A challenge is answered if there is a password.
   *
   * @returns the status of the last answer
   */
  invite(number: string, request: SipRequest = {}): Promise<number> {
    return this.#authenticated(
      "INVITE",
      `${number}@${inUri(this.#server.host)}`,
      `${token()}@phone`,
      request,
    );
  }

  /** Asks whether the server is there, without credentials, as keep-alives do. */
  async options(): Promise<number> {
    const request = this.#request("OPTIONS", inUri(this.#server.host), `${token()}@phone`, {});
    return (await this.#transact(request, 1)).status;
  }

  [Symbol.dispose](): void {
    // Before the socket: a timer that sends again must not find it closed.
    for (const giveUp of [...this.#giveUp]) giveUp();
    this.#wire.close();
  }

  async #authenticated(
    method: string,
    target: string,
    callId: string,
    request: SipRequest,
  ): Promise<number> {
    const { password, copies = 1 } = request;
    let answer: SipAnswer | undefined;
    if (!request.reuseNonce || this.#challenge === undefined) {
      answer = await this.#transact(this.#request(method, target, callId, request), copies);
      if (answer.status !== 401 && answer.status !== 407) return answer.status;
      this.#challenge = challengeIn(answer.text);
    }
    if (password === undefined) return answer!.status;
    answer = await this.#transact(this.#request(method, target, callId, request, true), copies);
    if (answer.status === 401 && /[ ,]stale="?true/i.test(answer.text)) {
      // The server no longer knows the nonce, and has nothing against the password.
      this.#challenge = challengeIn(answer.text);
      answer = await this.#transact(this.#request(method, target, callId, request, true), copies);
    }
    return answer.status;
  }

  #request(
    method: string,
    target: string,
    callId: string,
    { account = this.#account, password, contact = this.#wire.address }: SipRequest,
    answering = false,
  ): string {
    const { address, port, transport } = this.#wire;
    const uri = `sip:${target}`;
    const own = `<sip:${account}@${inUri(this.#server.host)}>`;
    const lines = [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/${transport} ${inUri(address)}:${port};branch=z9hG4bK${token()};rport`,
      "Max-Forwards: 70",
      `From: ${own};tag=${this.#tag}`,
      `To: ${method === "REGISTER" ? own : `<${uri}>`}`,
      `Call-ID: ${callId}`,
      `CSeq: ${++this.#sequence} ${method}`,
      `Contact: <sip:${this.#account}@${
        inUri(contact)
      }:${port};transport=${transport.toLowerCase()}>`,
    ];
    if (method === "REGISTER") lines.push("Expires: 300");
    if (answering) {
      lines.push(
        `Authorization: ${answerTo(this.#challenge!, this.#account, password!, method, uri)}`,
      );
    }
    return [...lines, "Content-Length: 0", "", ""].join("\r\n");
  }

  /** Sends a request, again if need be, and waits for its final answer. */
  #transact(request: string, copies: number): Promise<SipAnswer> {
    const key = keyOf(request);
    return new Promise((resolve, reject) => {
      let again: ReturnType<typeof setTimeout> | undefined;
      const repeatAfter = (wait: number) => {
        again = setTimeout(() => {
          this.#wire.send(request);
          repeatAfter(2 * wait);
        }, wait);
      };
      if (this.#wire.transport === "UDP") repeatAfter(T1_MS);
      const late = setTimeout(() => {
        over();
        const { host, port } = this.#server;
        reject(new Error(`no answer from ${host}:${port} to\n${request}`));
      }, ANSWER_MS);
      const over = () => {
        clearTimeout(again);
        clearTimeout(late);
        this.#awaited.delete(key);
        this.#giveUp.delete(over);
      };
      this.#giveUp.add(over);
      this.#awaited.set(key, (answer) => {
        over();
        if (request.startsWith("INVITE ")) this.#wire.send(acknowledge(request, answer.text));
        resolve(answer);
      });
      for (let i = 0; i < copies; i++) this.#wire.send(request);
    });
  }

  #receive(text: string): void {
    const status = Number(/^SIP\/2\.0 (\d{3}) /.exec(text)?.[1]);
    // Requests of the server, such as its OPTIONS, are not answered; provisional answers say
    // nothing.
    if (!(status >= 200)) return;
    this.#awaited.get(keyOf(text))?.({ status, text });
  }
}

/** Answers belong to a request by these. */
function keyOf(text: string): string {
  return `${headerOf(text, "Call-ID")} ${headerOf(text, "CSeq")}`;
}

function headerOf(text: string, name: string): string {
  return new RegExp(`^${name}: *(.*?)\\r?$`, "im").exec(text)?.[1] ?? "";
}

/** ACK to a final answer that is no success (RFC 3261, section 17.1.1.3). */
function acknowledge(invite: string, answer: string): string {
  const line = (name: string) => `${name}: ${headerOf(invite, name)}`;
  return [
    invite.slice(0, invite.indexOf("\r\n")).replace("INVITE", "ACK"),
    line("Via"),
    line("Max-Forwards"),
    line("From"),
    `To: ${headerOf(answer, "To")}`,
    line("Call-ID"),
    line("CSeq").replace("INVITE", "ACK"),
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
}

/**
 * The first challenge whose algorithm is known: a server puts the one that it likes best first (RFC
 * 8760, section 2.4).
 */
function challengeIn(answer: string): Challenge {
  for (const line of answer.split("\r\n")) {
    if (!/^(?:WWW|Proxy)-Authenticate: *Digest /i.test(line)) continue;
    const value = (name: string) => new RegExp(`[ ,]${name}="?([^",]*)"?`, "i").exec(line)?.[1];
    const algorithm = (value("algorithm") ?? "MD5").toUpperCase();
    if (!isKnown(algorithm)) continue;
    return {
      realm: value("realm") ?? "",
      nonce: value("nonce") ?? "",
      opaque: value("opaque"),
      qop: value("qop") !== undefined,
      algorithm,
      uses: 0,
    };
  }
  throw new Error(`no challenge that could be answered in\n${answer}`);
}

function isKnown(algorithm: string): algorithm is keyof typeof HASHES {
  return algorithm in HASHES;
}

/** The answer to a challenge (RFC 7616, section 3.4.1). */
function answerTo(
  challenge: Challenge,
  account: string,
  password: string,
  method: string,
  uri: string,
): string {
  const { realm, nonce, opaque, qop, algorithm } = challenge;
  const hash = (text: string) => createHash(HASHES[algorithm]).update(text).digest("hex");
  const count = (++challenge.uses).toString(16).padStart(8, "0");
  const cnonce = token();
  const middle = qop ? `${nonce}:${count}:${cnonce}:auth` : nonce;
  const response = hash(
    `${hash(`${account}:${realm}:${password}`)}:${middle}:${hash(`${method}:${uri}`)}`,
  );
  return [
    `Digest username="${account}"`,
    `realm="${realm}"`,
    `nonce="${nonce}"`,
    `uri="${uri}"`,
    `response="${response}"`,
    `algorithm=${algorithm}`,
    ...(opaque === undefined ? [] : [`opaque="${opaque}"`]),
    ...(qop ? ["qop=auth", `nc=${count}`, `cnonce="${cnonce}"`] : []),
  ].join(", ");
}

function token(): string {
  return randomBytes(8).toString("hex");
}

function inUri(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

function openUdp(
  address: string,
  server: SipServer,
  receive: (text: string) => void,
): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.once("error", reject);
    socket.on("message", (data) => receive(data.toString("latin1")));
    socket.bind(0, address, () =>
      resolve({
        address,
        port: socket.address().port,
        transport: "UDP",
        send: (text) => socket.send(Buffer.from(text, "latin1"), server.port, server.host),
        close: () => socket.close(),
      }));
  });
}

function openTcp(
  address: string,
  server: SipServer,
  receive: (text: string) => void,
): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...server, localAddress: address });
    socket.once("error", reject);
    let text = "";
    socket.on("data", (data: Uint8Array) => {
      text += Buffer.from(data).toString("latin1");
      // No message that matters here has a body.
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        receive(text.slice(0, end + 4));
        text = text.slice(end + 4);
      }
    });
    socket.once("connect", () =>
      resolve({
        address,
        port: socket.localPort ?? 0,
        transport: "TCP",
        send: (text) => socket.write(Buffer.from(text, "latin1")),
        close: () => socket.destroy(),
      }));
  });
}
