/** What is put into a template stays text. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { markup } from "../../src/page/html.ts";

Deno.test("html: whatever a text is, it can neither begin a tag nor leave an attribute", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    const { text: made } = markup`<p title="${text}">${text}</p>`;
    const [, title, inside] = /^<p title="([^"<>']*)">([^"<>']*)<\/p>$/.exec(made) ?? [];
    assert.equal(title, inside);
    assert.ok(title !== undefined, made);
  }));
});

Deno.test("html: texts are shown as they are, and what cannot be seen becomes visible", () => {
  const table: [text: string, shown: string][] = [
    ["a & b", "a &amp; b"],
    ["<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"],
    [`"'`, "&quot;&#39;"],
    ["\u202ea\x1b[2J", "\\u202ea\\x1b[2J"],
    ["größer", "größer"],
  ];
  for (const [text, shown] of table) assert.equal(markup`${text}`.text, shown);
  assert.equal(markup`${[markup`<i>`, "<", 7, undefined]}`.text, "<i>&lt;7");
});
