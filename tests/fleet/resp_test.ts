import assert from "node:assert/strict";
import { ReplyError, ReplyReader, writeCommands } from "../../src/fleet/resp.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("an answer is read when it is whole, wherever it is cut", () => {
  const text =
    "*5\r\n+OK\r\n:-12\r\n$5\r\nä\r\n1\r\n$-1\r\n*1\r\n-NOPERM no \x1b[1mway\r\n+next\r\n";
  const all = bytes(text);
  const end = all.length - "+next\r\n".length;
  for (let cut = 0; cut < end; cut++) {
    const reader = new ReplyReader();
    reader.take(all.subarray(0, cut));
    assert.deepEqual(reader.all(), []);
    reader.take(all.subarray(cut));
    const [reply, ...others] = reader.all();
    assert.ok(Array.isArray(reply));
    assert.deepEqual(reply.slice(0, 4), ["OK", -12, "ä\r\n1", null]);
    const [refusal] = reply[4];
    assert.ok(refusal instanceof ReplyError);
    assert.equal(refusal.message.includes("\x1b"), false);
    assert.deepEqual(others, ["next"]);
  }
});

Deno.test("a long answer that drips costs each byte once", () => {
  const reader = new ReplyReader();
  const item = bytes("$8\r\n12345678\r\n");
  const count = 100_000;
  reader.take(bytes(`*${count}\r\n`));
  // Who would begin anew with each byte would be at it for hours.
  for (let index = 0; index < count; index++) {
    for (let at = 0; at < item.length; at++) reader.take(item.subarray(at, at + 1));
  }
  assert.equal((reader.all()[0] as string[]).length, count);
});

Deno.test("what is no answer, or too long, is refused", () => {
  for (
    const [text, why] of [
      ["HTTP/1.1 400 Bad Request\r\n", /another protocol/],
      ["+OK\rX\n", /another protocol/],
      ["\r\n", /another protocol/],
      ["$2\r\nabXY", /another protocol/],
      ["$9999999999\r\n", /too long/],
      ["*999999999\r\n", /too long/],
      ["*1\r\n".repeat(20), /too long/],
      ["*3\r\n" + `*150000\r\n${":1\r\n".repeat(150_000)}`.repeat(2), /too long/],
      ["*2\r\n" + `$20000000\r\n${"x".repeat(20_000_000)}\r\n`.repeat(2), /too long/],
      ["+" + "x".repeat(100_000), /too long/],
      ["+\r\n".repeat(10_000), /too long/],
      ["$abc\r\n", /no number/],
      ["$\r\n", /no number/],
      [":-\r\n", /no number/],
      [":1234567890123456\r\n", /no number/],
    ] as const
  ) {
    const take = () => new ReplyReader().take(bytes(text));
    assert.throws(take, { name: "EngineError", message: why }, text.slice(0, 40));
  }
});

Deno.test("commands have the lengths of their bytes", () => {
  assert.deepEqual(
    writeCommands([["PING"], ["SET", "ä", "\r\n"]]),
    bytes("*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$2\r\nä\r\n$2\r\n\r\n\r\n"),
  );
});
