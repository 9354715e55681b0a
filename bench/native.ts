/**
 * UDP sockets and short sleeps by calls of the C library, because a packet probe has to take
 * microseconds: the answer must be there when the call returns, not in a later turn of the event
 * loop. Linux on x86-64 or arm64 only.
 *
 * @module
 */

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  usleep: { parameters: ["u32"], result: "i32" },
  prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
  sched_setaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  sysconf: { parameters: ["i32"], result: "i64" },
}).symbols;

const AF_INET = 2;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const SOCKADDR_IN_BYTES = 16;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const PR_SET_TIMERSLACK = 29;
const SC_CLK_TCK = 2;

/** How exactly a short sleep ends, in nanoseconds; Linux adds up to 50,000 by default. */
const TIMER_SLACK_NS = 1_000;
libc.prctl(PR_SET_TIMERSLACK, BigInt(TIMER_SLACK_NS), 0n, 0n, 0n);

/** For {@linkcode runOn}. */
export const ALL_PROCESSORS = 0xffff_ffff;

/** Unit of the times in /proc/PID/stat, in seconds. */
export const CLOCK_TICK_SECONDS = 1 / Number(libc.sysconf(SC_CLK_TCK));

/**
 * Sleeps; nothing else in this process goes on meanwhile.
 *
 * @param microseconds how long
 */
export function sleepBlocking(microseconds: number): void {
  libc.usleep(microseconds);
}

/**
 * Lets a thread run on some processors only.
 *
 * @param thread its number; 0: this one
 * @param processors a bit for each, the first is the lowest
 */
export function runOn(thread: number, processors: number): void {
  if (libc.sched_setaffinity(thread, 4n, Uint32Array.of(processors)) !== 0) {
    throw new Error("sched_setaffinity() failed");
  }
}

function socketAddress(address: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SOCKADDR_IN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  bytes.set(address.split(".").map(Number), 4);
  return bytes;
}

function openUdp(address: string): number {
  const socket = libc.socket(AF_INET, SOCK_DGRAM, 0);
  if (socket < 0) throw new Error("socket() failed");
  if (libc.bind(socket, socketAddress(address, 0), SOCKADDR_IN_BYTES) !== 0) {
    throw new Error(`bind() to ${address} failed: is there a local route for it?`);
  }
  return socket;
}

/** The two ends of a cable, and the address at its other end; see `makeFirewall`. */
export const CABLE = { near: "probe0", far: "probe1", address: "192.0.2.200" } as const;

/**
 * Tells whether packets of a host still arrive, by sending one. A packet over a cable of which both
 * ends are here goes through the firewall within the call that sends it, so the answer is known
 * when the call returns, and it is the kernel's own.
 */
export class PacketProbe implements Disposable {
  readonly #receiver: number;
  readonly #port: number;
  readonly #senders = new Map<string, number>();
  readonly #packet = new Uint8Array(1);

  constructor() {
    this.#receiver = openUdp(CABLE.address);
    const name = new Uint8Array(SOCKADDR_IN_BYTES);
    const length = new Uint32Array([SOCKADDR_IN_BYTES]);
    libc.getsockname(this.#receiver, name, length);
    this.#port = new DataView(name.buffer).getUint16(2);
  }

  /**
   * Makes a sender for a host, so that the first {@linkcode PacketProbe.passes} does not need to.
   */
  prepare(host: string): number {
    let sender = this.#senders.get(host);
    if (sender === undefined) {
      sender = openUdp(host);
      const device = new TextEncoder().encode(`${CABLE.near}\0`);
      const address = socketAddress(CABLE.address, this.#port);
      if (
        libc.setsockopt(sender, SOL_SOCKET, SO_BINDTODEVICE, device, device.length) !== 0 ||
        libc.connect(sender, address, SOCKADDR_IN_BYTES) !== 0
      ) throw new Error(`connect() from ${host} failed`);
      this.#senders.set(host, sender);
    }
    return sender;
  }

  /** Whether a packet of the host arrives. */
  passes(host: string): boolean {
    const sender = this.prepare(host);
    // The refusal of an earlier packet is reported once, in place of sending.
    if (libc.send(sender, this.#packet, 1n, 0) < 0) libc.send(sender, this.#packet, 1n, 0);
    return libc.recv(this.#receiver, this.#packet, 1n, MSG_DONTWAIT) === 1;
  }

  /**
   * Sends and receives many packets of a host that is not blocked; the time of one, in
   * microseconds.
   */
  microsecondsPerPacket(host: string, packets: number): number {
    const sender = this.prepare(host);
    const packet = this.#packet;
    let arrived = 0;
    const start = performance.now();
    for (let i = 0; i < packets; i++) {
      libc.send(sender, packet, 1n, 0);
      if (libc.recv(this.#receiver, packet, 1n, MSG_DONTWAIT) === 1) arrived++;
    }
    const took = performance.now() - start;
    if (arrived !== packets) throw new Error(`${packets - arrived} packets of ${host} got lost`);
    return took * 1000 / packets;
  }

  /** Closes the senders; {@linkcode PacketProbe.prepare} makes new ones. */
  forget(): void {
    for (const sender of this.#senders.values()) libc.close(sender);
    this.#senders.clear();
  }

  [Symbol.dispose](): void {
    this.forget();
    libc.close(this.#receiver);
  }
}
