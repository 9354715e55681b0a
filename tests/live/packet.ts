/**
 * What becomes of a real packet: by calls of the C library, because Deno tells nothing of the ICMP
 * messages that answer a datagram. Linux on x86-64 or arm64 only.
 *
 * @module
 */

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const ECONNREFUSED = 111;

/**
 * An empty line: SIP takes it for a keep-alive and says nothing (RFC 5626, section 4.4.1), and no
 * event is raised.
 */
const PACKET = new TextEncoder().encode("\r\n\r\n");

/**
 * Sends one datagram, and says whether the kernel refused it with ICMP port unreachable. That comes
 * over the loopback interface, so the answer is there when the call that sends is over.
 *
 * @param from source address; this machine must have a route for it
 * @param to destination address, of the same family
 * @param port where something listens
 */
export function isRefused(from: string, to: string, port: number): boolean {
  const socket = libc.socket(from.includes(":") ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  if (socket < 0) throw new Error("socket() failed");
  try {
    const [own, other] = [socketAddress(from, 0), socketAddress(to, port)];
    if (libc.bind(socket, own, own.length) !== 0) throw new Error(`bind() to ${from} failed`);
    if (libc.connect(socket, other, other.length) !== 0) {
      throw new Error(`connect() to ${to} failed`);
    }
    libc.send(socket, PACKET, BigInt(PACKET.length), 0);
    const error = new Int32Array(1);
    const length = new Uint32Array([error.byteLength]);
    if (libc.getsockopt(socket, SOL_SOCKET, SO_ERROR, error, length) !== 0) {
      throw new Error("getsockopt() failed");
    }
    if (error[0] !== 0 && error[0] !== ECONNREFUSED) throw new Error(`errno ${error[0]}`);
    return error[0] === ECONNREFUSED;
  } finally {
    libc.close(socket);
  }
}

/** `struct sockaddr_in` or `sockaddr_in6`. */
function socketAddress(address: string, port: number): Uint8Array<ArrayBuffer> {
  const ipv6 = address.includes(":");
  const bytes = new Uint8Array(ipv6 ? 28 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ipv6 ? AF_INET6 : AF_INET, true);
  view.setUint16(2, port);
  if (!ipv6) bytes.set(address.split(".").map(Number), 4);
  else groupsOf(address).forEach((group, index) => view.setUint16(8 + 2 * index, group));
  return bytes;
}

function groupsOf(address: string): number[] {
  const [front = [], back = []] = address.split("::")
    .map((part) =>
      part.split(":").filter((group) => group !== "").map((group) => parseInt(group, 16))
    );
  return [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
}
