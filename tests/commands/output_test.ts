import assert from "node:assert/strict";
import { complain, EXIT, print } from "../../src/commands/output.ts";
import { printed } from "../support/printing.ts";

Deno.test("output: the answer and the complaints go their own ways, and an answer is no problem", async () => {
  const { code, out, err } = await printed(() => {
    complain("first");
    const code = print("an answer\n");
    complain("");
    return code;
  });
  assert.deepEqual([code, out, err], [EXIT.ok, "an answer\n", "first\n\n"]);
});

Deno.test("output: a reader that takes little at a time gets all of it", async () => {
  const text = "ampère — 中文 ".repeat(1_000);
  let writes = 0;
  const { out, err } = await printed(() => {
    complain(text);
    return print(text);
  }, (bytes) => Math.min(bytes.length, ++writes % 7 + 1));
  assert.deepEqual([out, err], [text, `${text}\n`]);
  assert.ok(writes > 1_000);
});

Deno.test("output: what cannot be written is not passed over", async () => {
  await assert.rejects(
    printed(() => print("x"), () => {
      throw new Deno.errors.BrokenPipe("gone");
    }),
    Deno.errors.BrokenPipe,
  );
});

Deno.test("output: the exit codes are those of 0.2.3, and of wrong arguments", () => {
  assert.deepEqual(EXIT, { ok: 0, problem: 1, usage: 2 });
});
