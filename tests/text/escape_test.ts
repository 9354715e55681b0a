import { ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { escapeControls, escapeText } from "../../src/text/escape.ts";

/** Everything that could begin a line, steer a terminal or turn the direction of the text. */
// deno-lint-ignore no-control-regex
const DANGEROUS = /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

Deno.test("escape: escapeText shows what cannot be seen and keeps the rest", () => {
  const table: [text: string, escaped: string][] = [
    ["", ""],
    ["1001", "1001"],
    ["<unknown>", "<unknown>"],
    ["Jürgen 日本 🙂", "Jürgen 日本 🙂"],
    ["a\r\nEvent: Shutdown", "a\\x0d\\x0aEvent: Shutdown"],
    ["\x1b[31mred\x07", "\\x1b[31mred\\x07"],
    ["\0\t\x7f\x80\x9b", "\\x00\\x09\\x7f\\x80\\x9b"],
    ["\u2028\u2029", "\\u2028\\u2029"],
    ["a\u2065b\u3164", "a\\u2065b\\u3164"],
    ["\u202a\u202b\u202c\u202d\u202e", "\\u202a\\u202b\\u202c\\u202d\\u202e"],
    ["\u2066\u2067\u2068\u2069", "\\u2066\\u2067\\u2068\\u2069"],
    ["\u200f\u200b\ufeff", "\\u200f\\u200b\\ufeff"],
    ["\u{e0041}", "\\u{e0041}"],
    ["\ud83d", "\\ud83d"],
    ["\udc00x", "\\udc00x"],
    ['say "hi"', 'say \\"hi\\"'],
    ["C:\\x1b", "C:\\\\x1b"],
  ];
  for (const [text, escaped] of table) strictEqual(escapeText(text), escaped);
});

Deno.test("escape: escapeText cuts at the length, never inside of an escape or a character", () => {
  strictEqual(escapeText("a".repeat(200)), "a".repeat(200));
  strictEqual(escapeText("a".repeat(201)), "a".repeat(199) + "…");
  strictEqual(escapeText("abc🙂", 5), "abc🙂");
  strictEqual(escapeText("abc🙂d", 5), "abc…");
  strictEqual(escapeText("ab\x1bcd", 6), "ab…");
  strictEqual(escapeText("ab\x1bcd", 8), "ab\\x1bcd");
  strictEqual(escapeText("ab\x1bcde", 8), "ab\\x1bc…");
  strictEqual(escapeText('""', 3), '\\"…');
  strictEqual(escapeText("abc", 1), "…");
  strictEqual(escapeText("abc", 0), "…");
  strictEqual(escapeText("a", 1), "a");
});

Deno.test("escape: escapeText never lets anything dangerous pass, and stays within the length", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(fc.nat(0xffff)).map((codes) => String.fromCharCode(...codes)),
    fc.string({ unit: fc.constantFrom("\r", "\n", "\\", '"', "x", "\u202e", "\ud800", "🙂") }),
  );
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 60 }), (text, maxLength) => {
      const escaped = escapeText(text, maxLength);
      ok(escaped.length <= maxLength, escaped);
      ok(!DANGEROUS.test(escaped), JSON.stringify(escaped));
      ok(escaped.isWellFormed());
      // Between quotes it is one string: each quote has an odd number of backslashes before it.
      ok(/^(?:[^"\\]|\\.)*$/su.test(escaped), escaped);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("escape: escapeText is unambiguous: what was escaped can be read back", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(fc.nat(0xffff), { maxLength: 20 }).map((codes) => String.fromCharCode(...codes)),
    fc.string({ unit: fc.constantFrom("\\", '"', "x", "u", "0", "a", "\x0a", "\u200b", "{", "}") }),
  );
  fc.assert(
    fc.property(text, (text) => {
      const escaped = escapeText(text, Infinity);
      const read = escaped.replace(
        /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]+)\}|(["\\]))/g,
        (_, x?: string, u?: string, long?: string, plain?: string) =>
          plain ?? String.fromCodePoint(parseInt(x ?? u ?? long ?? "", 16)),
      );
      strictEqual(read, text);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("escape: escapeControls leaves quotes and backslashes, and otherwise does as escapeText", () => {
  strictEqual(escapeControls('say "hi" \\ \x1b[31m', 200), 'say "hi" \\ \\x1b[31m');
  strictEqual(escapeControls("a".repeat(6), 5), "aaaa…");
  strictEqual(escapeControls("ab\x1bcd", 6), "ab…");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 60 }), (text, max) => {
      const shown = escapeControls(text, max);
      ok(shown.length <= max && !DANGEROUS.test(shown) && shown.isWellFormed());
      const whole = text.replaceAll(/["\\]/g, "");
      strictEqual(escapeControls(whole, Infinity), escapeText(whole, Infinity));
    }),
    { numRuns: 2_000 },
  );
});
