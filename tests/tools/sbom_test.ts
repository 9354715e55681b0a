/** The list of what the executable is made of. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { partsOf, PROJECT } from "../../tools/compile.ts";
import { softwareBill } from "../../tools/sbom.ts";

const DESCRIBED = {
  version: "1.1.0",
  runtime: "2.8.3",
  program: new TextEncoder().encode("program"),
  date: new Date("2026-11-30T12:00:00Z"),
};

Deno.test("sbom: names the program, the runtime, and each package that is joined with the program", async () => {
  const bill = JSON.parse(await softwareBill(DESCRIBED));
  assert.deepEqual([bill.bomFormat, bill.specVersion, bill.version], ["CycloneDX", "1.5", 1]);
  assert.match(bill.serialNumber, /^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.equal(
    bill.metadata.component.hashes[0].content,
    // sha256sum of "program"
    new Uint8Array(await crypto.subtle.digest("SHA-256", DESCRIBED.program)).toHex(),
  );
  const { packages } = await partsOf(join(PROJECT, "main.ts"), PROJECT);
  const names = bill.components.map((component: { name: string }) => component.name);
  assert.deepEqual(names.toSorted(), ["deno", ...packages.keys()].toSorted());
  const licences = bill.components.map((one: { licenses: unknown }) =>
    JSON.stringify(one.licenses)
  );
  assert.match(licences[names.indexOf("nodemailer")], /"MIT-0"/);
  for (const { hashes, name } of bill.components.slice(1)) {
    assert.match(hashes[0].content, /^[0-9a-f]{128}$/, name);
  }
  const refs = [bill.metadata.component, ...bill.components].map((each) => each["bom-ref"]);
  assert.deepEqual(bill.dependencies.map((each: { ref: string }) => each.ref), refs);
});

Deno.test("sbom: the same for the same program, another for another", async () => {
  const first = await softwareBill(DESCRIBED);
  assert.equal(await softwareBill(DESCRIBED), first);
  const other = await softwareBill({ ...DESCRIBED, program: new Uint8Array(1) });
  assert.notEqual(JSON.parse(other).serialNumber, JSON.parse(first).serialNumber);
});
