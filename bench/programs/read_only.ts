/**
 * Reads a connection, looks at nothing, and closes it after so many bytes: the limit of what any
 * reader could do.
 */
const [port, bytes] = Deno.args.map(Number);
const connection = await Deno.connect({ hostname: "127.0.0.1", port: port! });
await connection.write(
  new TextEncoder().encode("Action: Login\r\nActionID: 1\r\nUsername: a\r\nSecret: b\r\n\r\n"),
);
const buffer = new Uint8Array(256 * 1024);
for (let rest = bytes!; rest > 0;) rest -= await connection.read(buffer) ?? rest;
connection.close();
