/** The file of `trust_file`, as text and as a file. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseTrustFile, readTrustFile, TRUST_MAX } from "../../src/config/trust_file.ts";

Deno.test("trust file: addresses, networks and names, comments, any line ends", () => {
  const text = "\uFEFF# who belongs here\r\n192.0.2.7\t# the door\r\n\r\n; old\n2001:DB8::/32\n" +
    "  Office.Example. ;x\n192.0.2.7\r203.0.113.9/24";
  assert.deepEqual(parseTrustFile(text, "t"), {
    targets: ["192.0.2.7", "2001:db8::/32", "203.0.113.0/24"],
    names: ["office.example"],
    problems: [],
    doubts: ['t:8: "203.0.113.9/24" is taken as the whole network 203.0.113.0/24'],
  });
});

Deno.test("trust file: a broken line is told with file, line and value; the others hold", () => {
  const { targets, problems } = parseTrustFile(
    "192.0.2.7\n192.0.2.256\n192.0.2.8 192.0.2.9\n*.example\n192.0.2.10",
    "/etc/ampere/t",
  );
  assert.deepEqual(targets, ["192.0.2.7", "192.0.2.10"]);
  assert.deepEqual(problems, [
    '/etc/ampere/t:2: "192.0.2.256" is not an address or network',
    '/etc/ampere/t:3: "192.0.2.8 192.0.2.9" is not an address or network: write one line for each',
    '/etc/ampere/t:4: "*.example" is not an address, network or name',
  ]);
  const many = parseTrustFile("?\n".repeat(1_000), "t").problems;
  assert.equal(many.length, 21);
  assert.equal(many.at(-1), "t: 980 more such lines");
  const full = Array.from({ length: TRUST_MAX + 3 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
  const bounded = parseTrustFile(full.join("\n"), "t");
  assert.equal(bounded.targets.length, TRUST_MAX);
  assert.equal(bounded.problems.length, 3);
});

Deno.test("trust file: no text throws, and no message has a control character", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string()), (text) => {
      for (const message of parseTrustFile(text, "t").problems) {
        // deno-lint-ignore no-control-regex
        assert.doesNotMatch(message, /[\x00-\x1f\x7f-\x9f]/);
      }
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("trust file: what is no file, or not there, is said", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const missing = readTrustFile(`${folder}/no`);
    assert.deepEqual([missing.content, missing.why], [
      undefined,
      `${folder}/no: there is no such file`,
    ]);
    assert.match(readTrustFile(folder).why!, /is not a file/);
    await Deno.writeTextFile(`${folder}/long`, "#".repeat(1_048_577));
    assert.match(readTrustFile(`${folder}/long`).why!, /is longer than 1048576 bytes/);
    await Deno.writeTextFile(`${folder}/t`, "192.0.2.7\n");
    assert.deepEqual(readTrustFile(`${folder}/t`).content!.targets, ["192.0.2.7"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
