/**
 * A second machine, beside the namespace of a test: its packets come over a cable and not over the
 * loopback interface.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { sh } from "./namespace.ts";

/** The addresses of the namespace of the test on the cable. */
const HERE = { 4: "10.9.0.1", 6: "2001:db8:ffff::1" } as const;

const PORT = 7_777;

/** Makes the other machine; disposing of it takes it away. */
export class Peer implements AsyncDisposable {
  readonly #name = "ampere-peer";
  readonly #sockets: Socket[] = [];

  private constructor() {}

  /** Makes it. */
  static async make(): Promise<Peer> {
    const peer = new Peer();
    const commands = [
      `ip link set lo up`,
      `ip netns add ${peer.#name}`,
      `ip link add here type veth peer name there netns ${peer.#name}`,
      // Every refusal is to be told at once.
      `sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0`,
      `ip address add ${HERE[4]}/24 dev here`,
      `ip address add ${HERE[6]}/64 dev here nodad`,
      `ip link set here up`,
      `ip route add default via 10.9.0.2`,
      `ip -6 route add default via 2001:db8:ffff::2`,
      `ip -n ${peer.#name} link set lo up`,
      `ip -n ${peer.#name} address add 10.9.0.2/24 dev there`,
      `ip -n ${peer.#name} address add 2001:db8:ffff::2/64 dev there nodad`,
      `ip -n ${peer.#name} link set there up`,
    ];
    for (const command of commands) {
      const [program, ...args] = command.split(" ");
      const said = await sh(program!, ...args);
      assert.equal(said.code, 0, `${command}: ${said.err}`);
    }
    for (const family of [4, 6] as const) {
      const socket = createSocket(family === 4 ? "udp4" : "udp6");
      // The shell reads byte by byte, of which a packet has one.
      socket.on("message", (_, { port, address }) => socket.send("\n", port, address));
      peer.#sockets.push(socket);
      await new Promise<void>((resolve) => socket.bind(PORT, HERE[family], resolve));
    }
    return peer;
  }

  /**
   * Whether a packet from an address of the other machine is answered; if not, it must be refused
   * at once and not be left alone.
   */
  async reaches(address: string): Promise<boolean> {
    const family = address.includes(":") ? 6 : 4;
    const length = family === 4 ? 32 : 128;
    const own = [`${address}/${length}`, "dev", "there", ...(family === 6 ? ["nodad"] : [])];
    assert.equal((await sh("ip", "-n", this.#name, "address", "replace", ...own)).code, 0);
    const route = [`${HERE[family]}/${length}`, "dev", "there", "src", address];
    assert.equal((await sh("ip", "-n", this.#name, "route", "replace", ...route)).code, 0);
    // On a busy machine an answer may be lost while neighbours look for each other: ask again.
    const ask = `exec 3<>/dev/udp/${HERE[family]}/${PORT}
      for turn in 1 2 3 4 5; do
        echo >&3; read -t 2 -u 3 line; code=$?
        [ $code -gt 128 ] || exit $code
      done; exit 142`;
    const command = ["netns", "exec", this.#name, "bash", "-c", ask];
    const { code, err } = await sh("ip", ...command);
    if (code === 0) return true;
    assert.match(err, /refused/, `${address}: ${code} ${err}`);
    return false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.close();
    await sh("ip", "link", "del", "here");
    await sh("ip", "netns", "del", this.#name);
  }
}
