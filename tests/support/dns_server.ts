/** A small name server, for programs that ask it as the system does: by getaddrinfo. */

import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { parseAddress } from "../../src/address/address.ts";

const HEADER_BYTES = 12;
const TYPE_A = 1;
const TYPE_AAAA = 28;
const NAME_UNKNOWN = 3;
const SERVER_FAILURE = 2;

/** Answers for names that it knows; may be told to fail. */
export class DnsServer implements AsyncDisposable {
  /** Addresses by name. */
  readonly names = new Map<string, readonly string[]>();
  /** Every question fails, as it does where the network is down. */
  isFailing = false;
  /** Names that were asked for. */
  readonly asked: string[] = [];
  /** It takes questions, and never answers. */
  isSilent = false;
  readonly #socket = createSocket("udp4");

  private constructor() {
    this.#socket.on("message", (question, from) => {
      const answer = this.#answer(question);
      if (!this.isSilent) this.#socket.send(answer, from.port, from.address);
    });
  }

  /**
   * Listens.
   *
   * @param hostname The address that resolv.conf names.
   * @param port Its port.
   */
  static async listen(hostname: string, port = 53): Promise<DnsServer> {
    const server = new DnsServer();
    await new Promise<void>((resolve, reject) => {
      server.#socket.on("error", reject);
      server.#socket.bind(port, hostname, resolve);
    });
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #answer(question: Uint8Array): Buffer {
    const labels: string[] = [];
    let at = HEADER_BYTES;
    while (question[at]! > 0) {
      labels.push(new TextDecoder().decode(question.subarray(at + 1, at + 1 + question[at]!)));
      at += 1 + question[at]!;
    }
    const type = question[at + 1]! * 256 + question[at + 2]!;
    const end = at + 5;
    const name = labels.join(".").toLowerCase();
    this.asked.push(name);
    const known = this.names.get(name);
    const records = (known ?? []).filter((address) =>
      type === (address.includes(":") ? TYPE_AAAA : TYPE_A)
    ).map((address) => recordOf(address, type));
    const code = this.isFailing ? SERVER_FAILURE : known === undefined ? NAME_UNKNOWN : 0;
    const answers = code === 0 ? records : [];
    const header = [
      question[0]!,
      question[1]!,
      0x81,
      0x80 | code,
      0,
      1,
      0,
      answers.length,
      0,
      0,
      0,
      0,
    ];
    return Buffer.from([...header, ...question.subarray(HEADER_BYTES, end), ...answers.flat()]);
  }
}

/** A record for the name of the question, that may be kept for a second. */
function recordOf(address: string, type: number): number[] {
  const data = type === TYPE_A ? address.split(".").map(Number) : ipv6Bytes(address);
  return [0xc0, HEADER_BYTES, 0, type, 0, 1, 0, 0, 0, 1, 0, data.length, ...data];
}

function ipv6Bytes(address: string): number[] {
  const [left = "", right] = parseAddress(address)!.split("::");
  const groups = (text: string) => text === "" ? [] : text.split(":");
  const tail = right === undefined ? [] : groups(right);
  const head = groups(left);
  const zeros = Array<string>(8 - head.length - tail.length).fill("0");
  return [...head, ...zeros, ...tail].flatMap((group) => {
    const number = Number.parseInt(group, 16);
    return [number >> 8, number & 255];
  });
}
