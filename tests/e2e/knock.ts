/**
 * Run in another network namespace: `listen ADDRESS PORT`, or `FROM TO PORT`, which prints
 * "reached" or "refused".
 *
 * @module
 */

import { connect, createServer } from "node:net";

const [first = "", second = "", third = ""] = Deno.args;
if (first === "listen") {
  createServer((socket) => socket.end()).listen(
    Number(third),
    second,
    () => console.log("listening"),
  );
} else {
  const socket = connect({ host: second, port: Number(third), localAddress: first });
  socket.setTimeout(2_000, () => socket.destroy(new Error("no answer at all")));
  socket.on("connect", () => {
    console.log("reached");
    socket.destroy();
  });
  socket.on("error", (error: Error & { code?: string }) => {
    if (error.code === "ECONNREFUSED") console.log("refused");
    else throw error;
  });
}
