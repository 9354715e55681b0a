import assert from "node:assert/strict";
import { readReply, ReplyError, writeCommands } from "../../src/fleet/resp.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("an answer is read when it is whole, wherever it is cut", () => {
  const text =
    "*5\r\n+OK\r\n:-12\r\n$5\r\nä\r\n1\r\n$-1\r\n*1\r\n-NOPERM no \x1b[1mway\r\n+next\r\n";
  const all = bytes(text);
  const end = all.length - "+next\r\n".length;
  for (let length = 0; length < end; length++) {
    assert.equal(length === 0 ? undefined : readReply(all.subarray(0, length), 0), undefined);
  }
  const { reply, next } = readReply(all, 0)!;
  assert.equal(next, end);
  assert.ok(Array.isArray(reply));
  assert.deepEqual(reply.slice(0, 4), ["OK", -12, "ä\r\n1", null]);
  const [refusal] = reply[4];
  assert.ok(refusal instanceof ReplyError);
  assert.equal(refusal.message.includes("\x1b"), false);
});

Deno.test("what is no answer, or too long, is refused", () => {
  for (
    const [text, why] of [
      ["HTTP/1.1 400 Bad Request\r\n", /another protocol/],
      ["+OK\rX\n", /another protocol/],
      ["$9999999999\r\n", /too long/],
      ["*999999999\r\n", /too long/],
      ["*1\r\n".repeat(20), /too long/],
      ["$abc\r\n", /no number/],
    ] as const
  ) {
    assert.throws(() => readReply(bytes(text), 0), { name: "EngineError", message: why }, text);
  }
});

Deno.test("commands have the lengths of their bytes", () => {
  assert.deepEqual(
    writeCommands([["PING"], ["SET", "ä", "\r\n"]]),
    bytes("*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$2\r\nä\r\n$2\r\n\r\n\r\n"),
  );
});
