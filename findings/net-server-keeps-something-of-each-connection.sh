#!/usr/bin/env bash
# A server of node:net keeps kilobytes of each connection that ever was
#
# Version:     deno 2.8.3 of npm
# Expectation: a connection that was answered and closed by both sides leaves nothing behind. So it
#              is with a listener of Deno.listen().
# Behaviour:   each leaves 3 to 6 kB that no garbage collection takes back, though nothing of the
#              program refers to it: a daemon whose metrics are asked for every 15 seconds grows by
#              20 MB a day and more.
# Seen:        20,000 connections more: node:net 111 MB more; Deno.listen: 9 MB more
# Ends with 0 if that is still so, with 1 if not, with 2 if it cannot be tried here.
# Needs:       node, npm and its registry, room for the program in a temporary folder.
set -euo pipefail

for program in node npm; do
  command -v "$program" >/dev/null || { echo "$program is missing"; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-fund --no-audit --prefix "$folder" deno@2.8.3 >/dev/null ||
  { echo "npm could not install it"; exit 2; }

cat >"$folder/try.ts" <<'END'
import { createServer } from "node:net";

const FIRST = 5_000;
const MORE = 20_000;
const ANSWER = new TextEncoder().encode("x".repeat(9_000));

/** Visits a server as often, a few at a time, and reads to the end. */
async function visit(port: number, times: number): Promise<void> {
  let left = times;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (left-- > 0) {
      const visitor = await Deno.connect({ hostname: "127.0.0.1", port });
      await visitor.write(new Uint8Array(1));
      const buffer = new Uint8Array(16_384);
      while (await visitor.read(buffer) !== null);
      visitor.close();
    }
  }));
}

if (Deno.args[0] === "visit") {
  await visit(Number(Deno.args[1]), Number(Deno.args[2]));
  Deno.exit();
}

let port: number;
if (Deno.args[0] === "node:net") {
  const server = createServer((socket) => void socket.once("data", () => socket.end(ANSWER)));
  await new Promise<void>((done) => server.listen({ host: "127.0.0.1", port: 0 }, done));
  port = (server.address() as { port: number }).port;
} else {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  port = listener.addr.port;
  void (async () => {
    for await (const conn of listener) {
      void (async () => {
        await conn.read(new Uint8Array(16));
        for (let at = 0; at < ANSWER.length;) at += await conn.write(ANSWER.subarray(at));
        await conn.closeWrite();
        conn.close();
      })();
    }
  })();
}
/** Visits by another process; the memory of this one afterwards, in MB. */
async function after(times: number): Promise<number> {
  const args = ["run", "-A", "--no-config", import.meta.filename!, "visit"];
  const child = new Deno.Command(Deno.execPath(), { args: [...args, String(port), String(times)] });
  await child.output();
  (globalThis as unknown as { gc(): void }).gc();
  return Deno.memoryUsage().rss / 1e6;
}
const before = await after(FIRST);
console.log(Math.round(await after(MORE) - before));
Deno.exit();
END

binary=$folder/node_modules/.bin/deno
[ -x "$binary" ] || { echo "deno was not installed"; exit 2; }
"$binary" --version | head -n 1
run=("$binary" run -A --no-config --no-lock --no-check --v8-flags=--expose-gc "$folder/try.ts")
net=$("${run[@]}" node:net)
own=$("${run[@]}" Deno.listen)
echo "20,000 connections more: node:net $net MB more; Deno.listen: $own MB more"
if [ "$net" -gt 40 ] && [ "$own" -lt 20 ]; then echo "as seen before"; else echo "this has changed"; exit 1; fi
