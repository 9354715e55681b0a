import assert from "node:assert/strict";
import {
  hashLine,
  hasLine,
  isText,
  lineBefore,
  lineEnd,
  lineHash,
  Literal,
  viewOf,
  wordOf,
} from "../../src/ami/bytes.ts";
import { bytesOf } from "../support/asterisk_events.ts";

const TEXT = "RemoteAddress: IPV4/UDP/203.0.113.5/5060";

/** All texts of so many letters. */
function* texts(letters: readonly string[], length: number): Generator<string> {
  if (length === 0) return yield "";
  for (const rest of texts(letters, length - 1)) for (const one of letters) yield one + rest;
}

/** A view of a text that begins somewhere in its buffer. */
function viewAt(text: string, offset: number): DataView {
  const bytes = new Uint8Array(offset + text.length);
  bytes.set(bytesOf(text), offset);
  return new DataView(bytes.buffer);
}

Deno.test("bytes: a literal is found where it stands, at any place and of any length", () => {
  for (let length = 4; length <= TEXT.length; length++) {
    const text = TEXT.slice(0, length);
    const literal = new Literal(text);
    assert.deepEqual([literal.text, literal.length], [text, length]);
    for (let at = 0; at < 9; at++) {
      assert.ok(literal.at(viewAt(text, at), at, at + length), `${length} at ${at}`);
    }
  }
});

Deno.test("bytes: a literal is not what differs from it in a single byte, or ends too late", () => {
  for (let length = 4; length <= TEXT.length; length++) {
    const text = TEXT.slice(0, length);
    const literal = new Literal(text);
    for (let wrong = 0; wrong < length; wrong++) {
      const view = viewAt(text, 3);
      for (const bit of [1, 0x80]) {
        view.setUint8(3 + wrong, view.getUint8(3 + wrong) ^ bit);
        assert.equal(literal.at(view, 3, 3 + length), false, `${length}, byte ${wrong}`);
        view.setUint8(3 + wrong, view.getUint8(3 + wrong) ^ bit);
      }
    }
    // What stands behind the end is of another message.
    assert.equal(literal.at(viewAt(text, 3), 3, 2 + length), false);
  }
});

Deno.test("bytes: a literal that could not be compared is refused", () => {
  for (const text of ["", "abc", "\0\0\0\0", "\0\0\0\0\0\0\0\0", "abcdefgh\0\0\0\0\0\0\0\0ijkl"]) {
    assert.throws(() => new Literal(text), RangeError, JSON.stringify(text));
  }
  // As a floating-point number this is none, and never equal to itself.
  assert.throws(() => new Literal("\xff".repeat(8)), RangeError);
  assert.throws(() => new Literal("\xff".repeat(8) + TEXT), RangeError);
  // And these are 0 and -0, which are equal.
  assert.throws(() => new Literal("\0\0\0\0\0\0\0\x80"), RangeError);
});

Deno.test("bytes: the ends of lines are CR LF alone, wherever they stand in a word", () => {
  for (let length = 0; length <= 9; length++) {
    for (const text of texts(["a", "\r", "\n"], length)) {
      // What stands behind the end is of another message.
      const view = viewAt(text + "\n\r\n", 0);
      for (const start of [0, 1, length]) {
        const found = text.indexOf("\r\n", start);
        assert.equal(
          lineEnd(view, start, length),
          found < 0 ? -1 : found + 2,
          JSON.stringify(text),
        );
      }
    }
  }
});

Deno.test("bytes: the line before another begins behind the CR LF before it", () => {
  for (const length of [0, 1, 2, 3, 4, 5, 6, 7]) {
    for (const text of texts(["a", "\r", "\n"], length)) {
      const whole = `${text}\r\n`;
      for (const start of [0, 2]) {
        const before = whole.slice(start, -2).lastIndexOf("\r\n");
        const expected = whole.length - 2 < start ? -1 : start + (before < 0 ? 0 : before + 2);
        const found = lineBefore(viewAt(whole, 0), whole.length, start);
        assert.equal(found, expected, JSON.stringify([text, start]));
      }
    }
  }
});

Deno.test("bytes: a line begins with a literal, what stands in the middle of one does not count", () => {
  const literal = new Literal("Event: ");
  const has = (text: string, start = 0, end = text.length) =>
    hasLine(viewAt(text, 0), start, end, literal);
  assert.ok(has("Event: x\r\n"));
  assert.ok(has("A: b\r\nEvent: x\r\n"));
  assert.ok(has("A: b\r\nB: c\r\nEvent: "));
  assert.equal(has("A: Event: x\r\n"), false);
  assert.equal(has("A: b\rEvent: x\r\nC: \nEvent: y\r\n"), false);
  assert.equal(has("Event: x\r\nA: b\r\n", 10), false);
  assert.equal(has("A: b\r\nEvent: x\r\n", 0, 12), false);
  assert.equal(has(""), false);
});

Deno.test("bytes: equal values have one hash wherever they stand, and no others", () => {
  const hashes = new Map<number, string>();
  let values = 0;
  for (const letters of [["a", "\r", "\n"], ["\0", "\x80", "\xff"]]) {
    for (let length = 0; length <= 6; length++) {
      for (const value of texts(letters, length)) {
        if (value.includes("\r\n")) continue;
        // The CR of the end must not be taken for one of the value.
        for (const behind of ["", "b", "\r\nbbbb", "\n", "\0\0\0\0"]) {
          for (const offset of [0, 1, 2, 3, 4]) {
            const text = `${value}\r\n${behind}`;
            const end = hashLine(viewAt(text, offset), offset, offset + text.length, 7);
            assert.equal(end, offset + value.length + 2, JSON.stringify(text));
            assert.equal(hashes.get(lineHash) ?? value, value);
            hashes.set(lineHash, value);
          }
        }
        if (length > 0 || letters[0] === "a") values++;
      }
    }
  }
  assert.equal(hashes.size, values);
});

Deno.test("bytes: a hash depends on its seed, and a value without an end has none", () => {
  const view = viewAt("call-1@x\r\n", 0);
  const hashed = [1, 2, 3].map((seed) => {
    hashLine(view, 0, 10, seed);
    return lineHash;
  });
  assert.equal(new Set(hashed).size, 3);
  assert.ok(hashed.every((hash) => (hash | 0) === hash));
  for (const end of [0, 1, 8, 9]) assert.equal(hashLine(view, 0, end, 1), -1);
  assert.equal(lineHash, hashed[2]);
});

Deno.test("bytes: a text is compared to its last character", () => {
  const view = viewAt("PJSIP", 1);
  assert.ok(isText("PJSIP", view, 1, 6));
  assert.ok(isText("", view, 3, 3));
  for (const text of ["PJSIQ", "QJSIP", "PJSI", "PJSIPS", ""]) {
    assert.equal(isText(text, view, 1, 6), false, text);
  }
  assert.equal(isText("\u0150JSIP", view, 1, 6), false);
});

Deno.test("bytes: a view shows a part of a buffer, and another one when that is asked for", () => {
  const bytes = bytesOf("xxCall\r\n");
  const part = bytes.subarray(2);
  const view = viewOf(part);
  assert.equal(view.byteLength, 6);
  assert.equal(view.getInt32(0, true), wordOf("Call"));
  assert.equal(viewOf(part), view);
  assert.equal(viewOf(bytes).getInt32(2, true), wordOf("Call"));
  assert.equal(viewOf(part).getInt32(0, true), wordOf("Call"));
});
