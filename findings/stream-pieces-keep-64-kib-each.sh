#!/usr/bin/env bash
# Each piece that Deno's streams give keeps 64 KiB of memory, however small it is
#
# Version:     deno 2.8.3 of npm
# Expectation: whoever collects the pieces of a program's output (or of a socket, or of a response)
#              to join them later keeps as much memory as there are bytes, as with the streams of
#              node:child_process.
# Behaviour:   each piece is a view of a buffer of its own of 65,536 bytes. Programs that write
#              4 KiB at a time (stdio's buffer: nft, ip, many others) cost 16 times their output, and
#              it is memory outside of V8's heap, which is collected late: the 25 MB of a list became
#              400 MB. The same output by node:child_process, in the same program, costs its length.
#              A reader of the mode "byob" that is handed its own buffer back has no such cost.
# Seen:        Deno.Command: 200 pieces, 819200 bytes, 13107200 kept
#              fetch: 50 pieces, 204800 bytes, 3276800 kept
#              node:child_process in Deno: 200 pieces, 819200 bytes, 819200 kept
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
import { spawn } from "node:child_process";

const PIECE_BYTES = 4_096;
/** Writes 200 pieces, with a rest in between, so that each is read by itself. */
const WRITER = ["-c", "for i in $(seq 200); do head -c 4096 /dev/zero; sleep 0.005; done"];

/** Tells what the pieces hold, and gives how many times their length they keep. */
function tell(name: string, pieces: readonly Uint8Array[]): number {
  const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const buffers = new Set(pieces.map((piece) => piece.buffer));
  const kept = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0);
  console.log(`${name}: ${pieces.length} pieces, ${bytes} bytes, ${kept} kept`);
  return kept / bytes;
}

const command = new Deno.Command("sh", { args: WRITER, stdout: "piped" }).spawn();
const ofCommand = await Array.fromAsync(command.stdout);
await command.status;

const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => {
  let left = 50;
  return new Response(
    new ReadableStream({
      async pull(controller) {
        if (left-- === 0) return controller.close();
        controller.enqueue(new Uint8Array(PIECE_BYTES));
        await new Promise((done) => setTimeout(done, 5));
      },
    }),
  );
});
const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
const ofResponse = await Array.fromAsync(response.body!);
await server.shutdown();

const ofNode: Uint8Array[] = [];
await new Promise<void>((done) => {
  const child = spawn("sh", WRITER);
  child.stdout.on("data", (piece) => ofNode.push(piece));
  child.on("close", () => done());
});

const same = tell("Deno.Command", ofCommand) > 8 && tell("fetch", ofResponse) > 8 &&
  tell("node:child_process in Deno", ofNode) < 2;
Deno.exit(same ? 0 : 1);
END

binary=$folder/node_modules/.bin/deno
[ -x "$binary" ] || { echo "deno was not installed"; exit 2; }
"$binary" --version | head -n 1
same=0
"$binary" run -A --no-config --no-lock --no-check "$folder/try.ts" || same=1
[ "$same" -eq 0 ] && echo "as seen before" || echo "this has changed"
exit "$same"
