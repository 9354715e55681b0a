/**
 * As much of IAX2 (RFC 5456) as somebody needs who guesses passwords: registrations.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";

/** Where chan_iax2 listens. */
const PORT = 4569;

/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 10_000;

/** Frames of type IAX, and their subclasses. */
const IAX = 6;
const REGREQ = 13;
const REGAUTH = 14;
const REGACK = 15;
const REGREJ = 16;
const ACK = 4;

/** Information elements. */
const USERNAME = 6;
const CHALLENGE = 15;
const MD5_RESULT = 16;
const REFRESH = 19;

let calls = 1;

/**
 * Registers once, as a device that begins anew.
 *
 * @param host where it sends from
 * @param account its name
 * @param password its password
 * @returns whether Asterisk takes it
 */
export async function registerByIax(
  host: string,
  account: string,
  password: string,
): Promise<boolean> {
  const socket = createSocket("udp4");
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const late = setTimeout(() => reject(new Error(`no answer by IAX2 to ${host}`)), ANSWER_MS);
  try {
    await new Promise<void>((done) => socket.bind(0, host, done));
    const call = calls = calls % 0x7fff + 1;
    const name = Buffer.from(account);
    const refresh = Buffer.from([0, 60]);
    let sent = 0;
    socket.on("message", (frame) => {
      const [source, kind] = [frame.readUInt16BE(0) & 0x7fff, frame[11]];
      if (frame[10] !== IAX || kind === ACK) return;
      if (kind === REGACK || kind === REGREJ) {
        send(socket, call, source, ACK, sent + 1, frame[8]! + 1, []);
        return resolve(kind === REGACK);
      }
      if (kind !== REGAUTH) return;
      const nonce = elementOf(frame, CHALLENGE)?.toString() ?? "";
      const answer = createHash("md5").update(nonce + password).digest("hex");
      sent = 1;
      send(socket, call, source, REGREQ, 1, frame[8]! + 1, [
        [USERNAME, name],
        [REFRESH, refresh],
        [MD5_RESULT, Buffer.from(answer)],
      ]);
    });
    send(socket, call, 0, REGREQ, 0, 0, [[USERNAME, name], [REFRESH, refresh]]);
    return await promise;
  } finally {
    clearTimeout(late);
    socket.close();
  }
}

function send(
  socket: Socket,
  source: number,
  destination: number,
  kind: number,
  sent: number,
  received: number,
  elements: readonly (readonly [number, Uint8Array])[],
): void {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0x8000 | source, 0);
  head.writeUInt16BE(destination, 2);
  head.writeUInt32BE(1 + sent, 4);
  head[8] = sent;
  head[9] = received;
  head[10] = IAX;
  head[11] = kind;
  const body = elements.flatMap(([id, bytes]) => [id, bytes.length, ...bytes]);
  socket.send(Buffer.concat([head, Buffer.from(body)]), PORT, "127.0.0.1");
}

function elementOf(frame: Uint8Array, wanted: number): Buffer | undefined {
  for (let at = 12; at + 2 <= frame.length; at += 2 + frame[at + 1]!) {
    if (frame[at] === wanted) return Buffer.from(frame.slice(at + 2, at + 2 + frame[at + 1]!));
  }
  return undefined;
}
