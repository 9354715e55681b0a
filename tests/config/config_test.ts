/** The defaults, and how a configuration is shown. */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { DEFAULT_CONFIG, describeConfig } from "../../src/config/config.ts";
import { KEYS, NEEDS, right } from "../support/config_texts.ts";

Deno.test("config: it shows every key and neither the secret nor the path of the webhook", () => {
  const described = describeConfig(right(
    "pass = hunter2\ntrust = 10.0.0.0/8\ntrust = ::1\nmetrics = [::1]:1\nbantime = 90m\n" +
      "webhook = https://bob:hunter3@hooks.example.org:8443/hunter4?hunter5",
  ));
  const text = described.map(([key, value]) => `${key} = ${value}`).join("\n");
  ok(!text.includes("hunter"), text);
  deepStrictEqual([...new Set(described.map(([key]) => key))], KEYS);
  for (
    const line of [
      "pass = (set)",
      "trust = 10.0.0.0/8",
      "trust = ::1",
      "metrics = [::1]:1",
      "bantime = 90m",
      "credit = 7d",
      "webhook = https://hooks.example.org:8443/(not shown)",
    ]
  ) ok(text.includes(line), text);
  const defaults = describeConfig(DEFAULT_CONFIG).map(([key, value]) => `${key} = ${value}`);
  for (const line of ["pass = (default)", "trust = (none)", "metrics = off", "webhook = off"]) {
    ok(defaults.includes(line), defaults.join("\n"));
  }
});

Deno.test("config: what it holds cannot be changed", () => {
  for (const config of [right("trust = 10.0.0.1\njump = INPUT"), DEFAULT_CONFIG]) {
    ok(Object.isFrozen(config) && Object.isFrozen(config.trust) && Object.isFrozen(config.jump));
  }
});

Deno.test("config: ampere.cfg of the repository has every key with its default, without a warning", () => {
  const text = Deno.readTextFileSync(new URL("../../ampere.cfg", import.meta.url));
  deepStrictEqual(right(text), { ...DEFAULT_CONFIG, trust: ["0.0.0.0"] });
  // With the lines in which a default is shown as a comment.
  const whole = text.replaceAll(/^;(?=[a-z0-9_]+ = )/gm, "");
  deepStrictEqual(right(whole), { ...DEFAULT_CONFIG, trust: ["0.0.0.0"] });
  const keys = [...whole.matchAll(/^([a-z0-9_]+) = /gm)].map(([, key]) => key!);
  deepStrictEqual(keys.toSorted(), KEYS.toSorted());
  // The keys of the original stand there ready to be changed, as in the original's file.
  const active = [...text.matchAll(/^([a-z0-9_]+) = /gm)].map(([, key]) => key!);
  deepStrictEqual(
    active.toSorted(),
    ["chain", "host", "loyalty", "pass", "port", "trust", "user"],
  );
});

Deno.test("config: docs/configuration.md describes every key: default, example that is right", () => {
  const text = Deno.readTextFileSync(new URL("../../docs/configuration.md", import.meta.url));
  const sections = text.split(/^### `/m).slice(1).map((section) => section.split("`", 1)[0]!);
  deepStrictEqual(sections.toSorted(), KEYS.toSorted());
  const defaults = new Map(describeConfig(DEFAULT_CONFIG));
  for (const section of text.split(/^### `/m).slice(1)) {
    const key = section.split("`", 1)[0]!;
    const examples = /^- Example: (.*)$/m.exec(section)?.[1] ?? "";
    const lines = [...examples.matchAll(/`([^`]+)`/g)].map(([, line]) => line!);
    ok(lines.length > 0, key);
    for (const line of lines) {
      ok(line.startsWith(`${key} = `) && right(`${NEEDS[key] ?? ""}${line}`), line);
    }
    ok(section.includes("\n- If wrong: "), key);
    if (key === "pass" || key === "trust") continue;
    const [, written] = /Default:\s+`([^`]+)`/.exec(section) ?? [];
    const shown = new Map(describeConfig(right(`${key} = ${written}`))).get(key);
    strictEqual(shown, defaults.get(key), key);
  }
});
