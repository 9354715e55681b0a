import assert from "node:assert/strict";
import { readPieces } from "../../src/firewall/output_pieces.ts";

function start(script: string): Deno.ChildProcess {
  return new Deno.Command("sh", { args: ["-c", script], stdin: "null", stdout: "piped" }).spawn();
}

Deno.test("output pieces: all that a program writes is read, whatever its pieces", async () => {
  const child = start("seq 1 30000; sleep 0.05; seq 30001 60000");
  let text = "";
  const decoder = new TextDecoder();
  await readPieces(child.stdout.getReader({ mode: "byob" }), (piece) => {
    text += decoder.decode(piece);
  });
  assert.equal((await child.status).success, true);
  assert.deepEqual(text.trim().split("\n"), Array.from({ length: 60_000 }, (_, i) => `${i + 1}`));
});

Deno.test("output pieces: a long output in small pieces leaves no memory behind", async () => {
  // 4 KiB at a time, as nft writes; read into memory of their own, 16 times as much is held.
  const child = start("dd if=/dev/zero bs=4096 count=10000 2>/dev/null");
  const before = Deno.memoryUsage().external;
  let most = 0;
  let length = 0;
  await readPieces(child.stdout.getReader({ mode: "byob" }), (piece) => {
    length += piece.length;
    most = Math.max(most, Deno.memoryUsage().external - before);
  });
  await child.status;
  assert.equal(length, 40_960_000);
  assert.ok(most < 4_000_000, `${most} bytes were held`);
});

Deno.test("output pieces: a reader that is cancelled ends", async () => {
  const child = start("echo begun; exec sleep 60");
  const reader = child.stdout.getReader({ mode: "byob" });
  const pieces: number[] = [];
  const reading = readPieces(reader, (piece) => {
    pieces.push(piece.length);
    void reader.cancel().catch(() => {});
  });
  await reading.catch(() => {});
  child.kill("SIGKILL");
  await child.status;
  assert.deepEqual(pieces, [6]);
});
