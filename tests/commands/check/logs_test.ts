/** What `ampere --check` says of Asterisk's logs. */

import assert from "node:assert/strict";
import { checkLogs } from "../../../src/commands/check/logs.ts";
import { type Config, DEFAULT_CONFIG, NO_AMI } from "../../../src/config/config.ts";
import { type Status, statusOf } from "../../../src/telemetry/status.ts";
import { fileLine, threeGuesses } from "../../support/log_text.ts";
import { LOGS, NOW, source } from "../../support/status_source.ts";

const NOTICE = fileLine({ file: "loader.c", message: "364 modules will be loaded." });
const SECURITY = `${threeGuesses("203.0.113.5", (said) => fileLine(said).trimEnd()).join("\n")}\n`;

/** Findings about files with these texts, without their folder. */
async function found(
  texts: Readonly<Record<string, string>>,
  config: Partial<Config> = {},
  status?: Status,
): Promise<string[]> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.chmod(folder, 0o755);
    for (const [name, text] of Object.entries(texts)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const logs = config.logs ?? Object.keys(texts).map((name) => `${folder}/${name}`);
    return checkLogs({ ...DEFAULT_CONFIG, ...config, logs }, status).map((
      { level, message, advice },
    ) => `${level} ${message}${advice === "" ? "" : ` (${advice})`}`.replaceAll(`${folder}/`, ""));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("check logs: what is in them, and whether that is enough", async () => {
  assert.deepEqual(await found({ messages: NOTICE.repeat(2), security: SECURITY }), [
    "ok messages can be read; its last lines: 2 notice",
    "ok security can be read; its last lines: 3 security",
  ]);
  const [, warning] = await found({ security: SECURITY });
  assert.match(
    warning!,
    /^warning none of them holds a line of the level notice, .*messages => notice/,
  );
  const [, alone] = await found({ messages: NOTICE }, { host: NO_AMI });
  assert.match(alone!, /^warning none of them holds a line of the level security, .*security => /);
  assert.deepEqual(await found({ messages: "" }), ["ok messages can be read; it is empty as yet"]);
  const [foreign] = await found({ ours: "2026-11-30 18:35:52 info: Ampere\n" });
  assert.match(
    foreign!,
    /^warning ours can be read, but none of its last 1 line is one of Asterisk's/,
  );
  assert.deepEqual(await found({}), []);
});

Deno.test("check logs: what is not there, is no file, or the daemon cannot follow", async () => {
  const [absent] = await found({}, { logs: ["/nowhere/messages"] });
  assert.match(
    absent!,
    /^warning \/nowhere\/messages is not there; it is followed as soon as it comes \(/,
  );
  const [folder] = await found({}, { logs: ["/var"] });
  assert.match(folder!, /^problem \/var is no file \(name the file/);
  const path = LOGS.files[1]!.path;
  const file = await Deno.makeTempFile();
  try {
    const files = [{ ...LOGS.files[1]!, path: file }, { ...LOGS.files[0]!, path }];
    const status = statusOf({ ...source(), logs: { ...LOGS, files } }, NOW);
    const [trouble] = await found({}, { logs: [file] }, status);
    assert.match(
      trouble!,
      /^problem the daemon cannot follow it: .* may not be read \(systemctl edit ampere\)$/,
    );
    const well = {
      ...status,
      logs: { ...status.logs!, files: [{ ...status.logs!.files[1]!, path: file }] },
    };
    const [follows] = await found({}, { logs: [file] }, well);
    assert.match(follows!, /^ok the daemon follows \S+: 1,234 lines so far$/);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test({
  name: "check logs: a file of others is told with the command for the service's groups",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(file, NOTICE);
      await Deno.chown(file, 1234, 1234);
      await Deno.chmod(file, 0o640);
      const [first] = await found({}, { logs: [file] });
      assert.match(
        first!,
        /^warning \S+ belongs to others, and the packaged service, .*SupplementaryGroups=/,
      );
      await Deno.chmod(file, 0o644);
      assert.match((await found({}, { logs: [file] }))[0]!, /^ok \S+ can be read/);
    } finally {
      await Deno.remove(file);
    }
  },
});
