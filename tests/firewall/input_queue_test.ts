import assert from "node:assert/strict";
import { run } from "../../src/firewall/command.ts";
import { InputQueue } from "../../src/firewall/input_queue.ts";

Deno.test("texts come in their order, those that come late too, and only when they are asked for", async () => {
  const input = new InputQueue();
  const made: number[] = [];
  const make = function* (from: number, count: number) {
    for (let i = from; i < from + count; i++) {
      made.push(i);
      yield `${i} `;
    }
  };
  input.add(make(0, 2));
  input.add([]);
  const texts = input[Symbol.asyncIterator]();
  assert.deepEqual(await texts.next(), { done: false, value: "0 " });
  assert.deepEqual(made, [0]);
  assert.deepEqual(await texts.next(), { done: false, value: "1 " });
  const late = texts.next();
  input.add(make(2, 3));
  assert.deepEqual(await late, { done: false, value: "2 " });
  assert.deepEqual(made, [0, 1, 2]);
  input.end();
  input.add(["never "]);
  assert.deepEqual(await Array.fromAsync(texts), ["3 ", "4 "]);
});

Deno.test("what is cut off is never made", async () => {
  const input = new InputQueue();
  input.add((function* () {
    yield "first ";
    input.cut();
    yield "rest of the first ";
  })());
  input.add(["second "]);
  assert.deepEqual(await Array.fromAsync(input), ["first ", "rest of the first "]);
});

Deno.test("who waits is told of the end", async () => {
  for (const verb of ["end", "cut"] as const) {
    const input = new InputQueue();
    const all = Array.fromAsync(input);
    await Promise.resolve();
    input[verb]();
    assert.deepEqual(await all, []);
  }
});

Deno.test("a program that ends before its input does is waited for no longer than that", async () => {
  const input = new InputQueue();
  input.add(["destroy nothing-of-that-name\n"]);
  const running = run("ipset", ["--version"], { stdin: input });
  setTimeout(() => input.end(), 5);
  assert.equal((await running).code, 0);
});
