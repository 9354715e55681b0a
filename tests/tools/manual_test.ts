/** ampere.cfg(5) is made of ampere.cfg, and that has every key. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { RULES } from "../../src/config/keys.ts";
import { PROJECT } from "../../tools/compile.ts";
import { configPage, projectConfigPage } from "../../tools/manual.ts";

const DATE = new Date("2026-11-30T12:00:00Z");

Deno.test("manual: ampere.cfg(5) explains every key that there is, and no other", async () => {
  const page = await projectConfigPage("1.1.0", DATE);
  const explained = [...page.matchAll(/^\.TP\n\.B (.*)$/gm)].flatMap(([, keys]) =>
    keys!.split(", ")
  );
  const keys = [...RULES.keys()];
  assert.deepEqual(explained.toSorted(), keys.toSorted());
});

Deno.test("manual: ampere.cfg(5) is well formed", {
  ignore: Deno.env.get("CI") !== "true" && !await hasMan(),
}, async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "ampere.cfg.5");
    await Deno.writeTextFile(path, await projectConfigPage("1.1.0", DATE));
    const { success, stdout, stderr } = await new Deno.Command("man", {
      args: ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", path],
    }).output();
    assert.ok(success);
    assert.equal(new TextDecoder().decode(stderr), "");
    // deno-lint-ignore no-control-regex
    const overstruck = /.\x08/g;
    const text = new TextDecoder().decode(stdout).replace(overstruck, "");
    assert.match(text, /^ {7}loyalty\n +How many attempts to log in a stranger has/m);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("manual: what roff would take for its own is text", () => {
  const page = configPage("# C:\\dir\n# .TH 'x' - y\n;key = 1\n", "1.0.0", DATE);
  assert.match(page, /^\.TP\n\.B key\nC:\\edir\n\\&\.TH 'x' \\- y$/m);
});

Deno.test("manual: of the example of the project nothing is left out", async () => {
  const config = await Deno.readTextFile(join(PROJECT, "ampere.cfg"));
  const page = await projectConfigPage("1.1.0", DATE);
  const text = page.replaceAll("\\-", "-").replaceAll("\\&", "").replaceAll("\\e", "\\");
  for (const line of config.split("\n")) {
    const comment = /^# --- |^# ?(.+)/.exec(line)?.[1];
    if (comment !== undefined) assert.ok(text.includes(comment), comment);
  }
});

async function hasMan(): Promise<boolean> {
  const which = new Deno.Command("sh", { args: ["-c", "command -v man"], stdout: "null" });
  return (await which.output()).success;
}
