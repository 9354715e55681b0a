/**
 * Run in another network namespace: `listen ADDRESS PORT`; `FROM TO PORT`, which prints "reached",
 * "refused" or "silent"; or `flood FROM TO PORT`, which sends a datagram each millisecond.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";

const [first = "", second = "", third = "", fourth = ""] = Deno.args;
if (first === "listen") {
  createServer((socket) => socket.end()).listen(
    Number(third),
    second,
    () => console.log("listening"),
  );
} else if (first === "flood") {
  const socket = createSocket(second.includes(":") ? "udp6" : "udp4");
  // What refuses it is told as an error, and changes nothing.
  socket.on("error", () => {});
  socket.bind(0, second, () => {
    console.log("sending");
    setInterval(() => socket.send("knock", Number(fourth), third), 1);
  });
} else {
  const socket = connect({ host: second, port: Number(third), localAddress: first });
  socket.setTimeout(2_000, () => {
    console.log("silent");
    socket.destroy();
  });
  socket.on("connect", () => {
    console.log("reached");
    socket.destroy();
  });
  socket.on("error", (error: Error & { code?: string }) => {
    if (error.code === "ECONNREFUSED") console.log("refused");
    else throw error;
  });
}
