#!/usr/bin/env bash
# A TLS connection that is closed stays open while a read is under way
#
# Version:     deno 2.8.3 of npm
# Expectation: Deno.TlsConn.close() ends a connection: the read that is under way fails, the socket
#              is gone, and the other side sees an end. So it is for files, and so destroy() of a
#              socket of node:net does it.
# Behaviour:   the read fails (Interrupted), nothing can be done with the object any more, and the
#              socket stays open: the other side, which has said nothing, sees neither an end nor a
#              reset for as long as it waits. A server cannot leave a visitor who connects and is
#              silent, and each keeps a file descriptor until it goes by itself.
# Seen:        close(): read failed: Interrupted; the other side after 3 s: still open
#              destroy(): the other side: end
# Ends with 0 if that is still so, with 1 if not, with 2 if it cannot be tried here.
# Needs:       node, npm and its registry, openssl, room for the program in a temporary folder.
set -euo pipefail

for program in node npm openssl; do
  command -v "$program" >/dev/null || { echo "$program is missing"; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-fund --no-audit --prefix "$folder" deno@2.8.3 >/dev/null ||
  { echo "npm could not install it"; exit 2; }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
  -subj /CN=localhost -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null

cat >"$folder/try.ts" <<'END'
import { createServer } from "node:net";

const WAIT_MS = 3_000;
const [cert, key] = ["cert", "key"].map((name) =>
  Deno.readTextFileSync(`${import.meta.dirname}/${name}.pem`)
);
/** What a silent visitor sees within some seconds. */
async function seenBy(port: number): Promise<string> {
  const visitor = await Deno.connect({ hostname: "127.0.0.1", port });
  const end = visitor.read(new Uint8Array(1)).then(() => "end", (error) => error.name);
  const late = new Promise<string>((done) => setTimeout(done, WAIT_MS, "still open"));
  return await Promise.race([end, late]);
}
const tls = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
let failed = "nothing";
void tls.accept().then((conn) => {
  conn.read(new Uint8Array(1)).catch((error) => failed = error.name);
  setTimeout(() => conn.close(), 200);
});
const closed = await seenBy((tls.addr as Deno.NetAddr).port);
console.log(`close(): read failed: ${failed}; the other side after ${WAIT_MS / 1000} s: ${closed}`);

const plain = createServer((socket) => {
  socket.on("data", () => {});
  setTimeout(() => socket.destroy(), 200);
});
await new Promise<void>((done) => plain.listen({ host: "127.0.0.1", port: 0 }, done));
const destroyed = await seenBy((plain.address() as { port: number }).port);
console.log(`destroy(): the other side: ${destroyed}`);
Deno.exit(closed === "still open" && destroyed === "end" ? 0 : 1);
END

binary=$folder/node_modules/.bin/deno
[ -x "$binary" ] || { echo "deno was not installed"; exit 2; }
"$binary" --version | head -n 1
same=0
"$binary" run -A --no-config --no-lock --no-check "$folder/try.ts" || same=1
[ "$same" -eq 0 ] && echo "as seen before" || echo "this has changed"
exit "$same"
