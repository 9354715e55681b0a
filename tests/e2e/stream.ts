/**
 * Run in other network namespaces: `take PORT ADDRESS…` listens and tells what arrives, as JSON;
 * `send NAME,FROM,TO,PORT…` sends on each of these routes without end, and says "refused NAME" when
 * a new connection is.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { connect, createServer, isIPv6, type Socket } from "node:net";

/** Between two messages of a flow that goes on, and between two new flows, in milliseconds. */
const FLOW_MS = 20;
const NEW_MS = 100;

/** Between two reports of what has arrived, in milliseconds. */
const REPORT_MS = 5;

const [verb, ...args] = Deno.args;

if (verb === "take") {
  const [port = "", ...addresses] = args;
  let arrived: Record<string, number> = {};
  const take = (text: string) => {
    for (const line of text.split("\n")) if (line !== "") arrived[line] = (arrived[line] ?? 0) + 1;
  };
  for (const address of addresses) {
    const udp = createSocket(isIPv6(address) ? "udp6" : "udp4");
    udp.on("message", (message, from) => {
      take(message.toString());
      // With an answer the flow is an established one for connection tracking.
      udp.send("heard", from.port, from.address);
    });
    udp.bind(Number(port), address);
    const tcp = createServer((socket) => {
      socket.on("data", (data) => take(data.toString()));
      socket.on("error", () => {});
    });
    tcp.listen(Number(port), address, () => console.log(`listening at ${address}`));
  }
  setInterval(() => {
    if (Object.keys(arrived).length > 0) console.log(JSON.stringify(arrived));
    arrived = {};
  }, REPORT_MS);
} else {
  for (const route of args) {
    const [name = "", from = "", to = "", port = ""] = route.split(",");
    const bound = () => {
      const socket = createSocket(isIPv6(from) ? "udp6" : "udp4");
      socket.bind(0, from);
      socket.on("error", () => {});
      return socket;
    };
    const udp = bound();
    let tcp: Socket;
    // A program that takes the rules of NAT away for a moment ends a flow to a container.
    const open = () => {
      tcp = connect({ host: to, port: Number(port), localAddress: from });
      tcp.on("error", () => {});
      tcp.on("close", () => setTimeout(open, NEW_MS));
    };
    open();
    setInterval(() => {
      udp.send(`udp-flow ${name}`, Number(port), to);
      if (!tcp.destroyed && tcp.writableLength === 0) tcp.write(`tcp-flow ${name}\n`);
    }, FLOW_MS);
    setInterval(() => {
      const fresh = bound();
      fresh.send(`udp-new ${name}`, Number(port), to, () => fresh.close());
      const socket = connect({ host: to, port: Number(port), localAddress: from });
      socket.setTimeout(2_000, () => socket.destroy());
      socket.on("connect", () => socket.end(`tcp-new ${name}\n`));
      socket.on("error", (error: Error & { code?: string }) => {
        if (error.code === "ECONNREFUSED") console.log(`refused ${name}`);
      });
    }, NEW_MS);
  }
}
