import assert from "node:assert/strict";
import fc from "fast-check";
import {
  BANNER_BYTES_MAX,
  Framer,
  latin1,
  MESSAGE_BYTES_MAX,
  REMOTE_BYTES_MAX,
  type Skipped,
  SKIPPED_HEAD_BYTES_MAX,
} from "../../src/ami/framer.ts";
import { bytesOf } from "../support/asterisk_events.ts";
import { recordings } from "../support/recordings.ts";

interface Seen {
  banner: string | undefined;
  messages: string[];
  offsets: number[];
  oversized: number[];
}

function frame(chunks: Iterable<Uint8Array>): Seen & { framer: Framer } {
  const seen: Seen = { banner: undefined, messages: [], offsets: [], oversized: [] };
  const framer = new Framer({
    banner: (line) => seen.banner = line,
    message: (buffer, start, end, offset) => {
      seen.messages.push(latin1(buffer, start, end));
      seen.offsets.push(offset);
    },
    oversized: (skipped) => void seen.oversized.push(skipped.bytes),
    drained: () => {},
  });
  for (const chunk of chunks) framer.push(chunk);
  return { ...seen, framer };
}

/** Cuts bytes at the given places. */
function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

Deno.test("framer: banner, responses and events", () => {
  const { banner, messages, offsets, framer } = frame([
    bytesOf(
      "Asterisk Call Manager/7.0.3\r\nResponse: Success\r\nMessage: ok\r\n\r\nEvent: A\r\nB: c\r\n\r\nEvent: D",
    ),
  ]);
  assert.equal(banner, "Asterisk Call Manager/7.0.3");
  assert.deepEqual(messages, ["Response: Success\r\nMessage: ok\r\n", "Event: A\r\nB: c\r\n"]);
  assert.deepEqual(offsets, [29, 63]);
  assert.equal(framer.pending, "Event: D".length);
});

Deno.test("framer: a lone CR or LF ends nothing, and empty lines between messages carry nothing", () => {
  const { messages } = frame([bytesOf("x\r\nA: 1\n\n2\r\r3\r\n\r\n\r\n\r\nB: \r\r\n\r\n")]);
  assert.deepEqual(messages, ["A: 1\n\n2\r\r3\r\n", "B: \r\r\n"]);
});

Deno.test("framer: a banner without end arrives cut, and the stream goes on", () => {
  const { banner, messages } = frame(cut(bytesOf("y".repeat(1000) + "\r\n\r\nA: b\r\n\r\n"), [7]));
  assert.equal(banner?.length, BANNER_BYTES_MAX);
  assert.equal(messages.at(-1), "A: b\r\n");
});

Deno.test("framer: the longest message passes, a longer one is skipped to its empty line, in any pieces", () => {
  const longest = "A: " + "x".repeat(MESSAGE_BYTES_MAX - 5) + "\r\n";
  const longer = "A: " + "x".repeat(MESSAGE_BYTES_MAX - 4) + "\r\n";
  const stream = bytesOf(
    `banner\r\n${longest}\r\n${longer}\r\nB: c\r\n\r\n${longer.repeat(6)}\r\nC: d\r\n\r\n`,
  );
  for (
    const size of [1, 2, 3, 997, 65_536, 131_071, 131_072, 131_073, 131_076, 200_000, stream.length]
  ) {
    const { messages, oversized } = frame(cut(stream, [size]));
    assert.deepEqual(messages.map((m) => m.length), [longest.length, 6, 6], `pieces of ${size}`);
    assert.deepEqual(oversized, [longer.length, 6 * longer.length], `pieces of ${size}`);
  }
});

Deno.test("framer: a hundred megabytes without an empty line need no more memory than one message", () => {
  const junk = new Uint8Array(1 << 20).fill(0x41);
  const { framer, messages, oversized } = frame([bytesOf("banner\r\n")]);
  for (let i = 0; i < 100; i++) framer.push(junk);
  framer.push(bytesOf("\r\n\r\nA: b\r\n\r\n"));
  assert.deepEqual(messages, ["A: b\r\n"]);
  assert.deepEqual(oversized, [100 * junk.length + 2]);
});

Deno.test("framer: reset begins a new connection", () => {
  const { framer, messages } = frame([bytesOf("banner\r\nA: half of a mess")]);
  framer.reset();
  framer.push(bytesOf("banner\r\nB: c\r\n\r\n"));
  assert.deepEqual(messages, ["B: c\r\n"]);
  assert.equal(framer.pending, 0);
});

Deno.test("framer: any cutting of any recording gives the same messages", () => {
  for (const { name, bytes } of recordings()) {
    const whole = frame([bytes]);
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }),
        (sizes) => {
          const parts = frame(cut(bytes, sizes));
          assert.deepEqual(parts.messages, whole.messages, name);
          assert.deepEqual(parts.offsets, whole.offsets, name);
        },
      ),
      { numRuns: 5 },
    );
    assert.deepEqual(frame(cut(bytes, [1])).messages, whole.messages, name);
  }
});

Deno.test("framer: any bytes in any pieces give the same as a plain split", () => {
  const piece = fc.constantFrom(
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\n",
    "A: b",
    "\0",
    "\xff\xfe",
    "Event: X",
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 }),
      (pieces, sizes) => {
        const text = pieces.join("");
        const { messages } = frame(cut(bytesOf("banner\r\n" + text), sizes));
        assert.deepEqual(messages, split(text));
      },
    ),
    { numRuns: 2000 },
  );
});

/**
 * The same by string methods: drops empty lines in front, then takes everything up to the next
 * empty line.
 */
function split(text: string): string[] {
  const messages: string[] = [];
  for (;;) {
    while (text.startsWith("\r\n")) text = text.slice(2);
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return messages;
    messages.push(text.slice(0, end + 2));
    text = text.slice(end + 4);
  }
}

Deno.test("framer: what is recognized needs no search, and what comes in pieces is not looked at again", () => {
  const stream = bytesOf(`x\r\n${"Event: A\r\nB: c\r\n\r\n".repeat(3)}Event: D\r\nE: f\r\n\r\n`);
  const messages: string[] = [];
  const asked: string[] = [];
  const framer = new Framer({
    banner: () => {},
    recognize: (buffer, start, limit) => {
      const text = latin1(buffer, start, limit);
      asked.push(text);
      const end = text.indexOf("\r\n\r\n");
      return text.startsWith("Event: A") && end >= 0 ? start + end + 2 : -1;
    },
    message: (buffer, start, end) => void messages.push(latin1(buffer, start, end)),
    oversized: () => assert.fail(),
    drained: () => {},
  });
  // Whole messages, then one whose end comes byte by byte.
  framer.push(stream.subarray(0, 3 + 18 + 10));
  for (const byte of stream.subarray(3 + 18 + 10)) framer.push(new Uint8Array([byte]));
  assert.deepEqual(messages, [...Array(3).fill("Event: A\r\nB: c\r\n"), "Event: D\r\nE: f\r\n"]);
  // When their first bytes came, and not again with each further one.
  assert.deepEqual(asked.map((text) => text.length).filter((length) => length > 4), [28, 10]);
});

Deno.test("framer: a recognized message that is too long is skipped all the same", () => {
  const text = `Event: A\r\nB: ${"c".repeat(MESSAGE_BYTES_MAX)}\r\n`;
  const seen: string[] = [];
  const framer = new Framer({
    banner: () => {},
    recognize: (_buffer, start, limit) => start + text.length < limit ? start + text.length : -1,
    message: () => void seen.push("message"),
    oversized: ({ bytes }) => void seen.push(`oversized ${bytes}`),
    drained: () => {},
  });
  framer.push(bytesOf(`x\r\n${text}\r\n`));
  assert.deepEqual(seen, [`oversized ${text.length}`]);
});

Deno.test("framer: of a message that is too long the beginning and the last RemoteAddress are kept, in any pieces", () => {
  const remote = (last: number) => `RemoteAddress: IPV4/UDP/203.0.113.${last}/5060\r\n`;
  const head = `Event: A\r\n${remote(1)}B: ${"b".repeat(MESSAGE_BYTES_MAX)}\r\n`;
  const tails = [
    `${remote(2)}C: RemoteAddress: x\r\n`,
    `${remote(2)}C: ${"c".repeat(300_000)}\r\n`,
    "C: d\r\n",
  ];
  for (const [i, tail] of tails.entries()) {
    const text = head + tail;
    const at = text.lastIndexOf("\r\nRemoteAddress: ") + 2;
    for (let cutAt = head.length - 3; cutAt < head.length + 60; cutAt++) {
      const seen: Skipped[] = [];
      const framer = new Framer({
        banner: () => {},
        message: () => assert.fail(),
        oversized: (skipped) => void seen.push(skipped),
        drained: () => {},
      });
      const stream = bytesOf(`x\r\n${text}\r\n`);
      framer.push(stream.subarray(0, cutAt));
      framer.push(stream.subarray(cutAt));
      const [{ bytes, head: first, remote: last, offset } = assert.fail(), ...more] = seen;
      assert.deepEqual([bytes, offset, more.length], [text.length, 3, 0]);
      assert.equal(latin1(first, 0, first.length), text.slice(0, SKIPPED_HEAD_BYTES_MAX));
      assert.equal(
        latin1(last!, 0, last!.length),
        text.slice(at, at + REMOTE_BYTES_MAX),
        `tail ${i}, cut at ${cutAt}`,
      );
    }
  }
});
