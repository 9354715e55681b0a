/** Recordings and logs, and what is made of them. */

import { latin1 } from "../../src/ami/framer.ts";
import { RecordingReader } from "../../src/commands/replay/recording.ts";
import { Replay, replay } from "../../src/commands/replay/replay.ts";
import { type Config, DEFAULT_CONFIG } from "../../src/config/config.ts";

/** The bytes as text, one character a byte (`TextDecoder("latin1")` is windows-1252). */
export function textOf(bytes: Uint8Array): string {
  return latin1(bytes, 0, bytes.length);
}

/** Events of AMI as lines of res_security_log.c. */
export function toLog(ami: string): string {
  const lines = ami.split("\r\n\r\n").flatMap((block) => {
    const at = block.indexOf("Event: ");
    const headers = block.slice(Math.max(0, at)).split("\r\n").filter((line) => line !== "");
    if (headers[1] !== "Privilege: security,all") return [];
    const elements = headers.filter((line) =>
      !/^(?:Event|Privilege|Timestamp|SequenceNumber|File|Line|Func|SystemName):/.test(line)
    ).map((line) => {
      const [, name, value] = /^([^:]*): (.*)$/s.exec(line) ?? [];
      return name === undefined ? line : `,${name}="${value}"`;
    });
    return [
      `[2026-11-22 08:09:09] SECURITY[1234] res_security_log.c: SecurityEvent="${
        headers[0]!.slice("Event: ".length)
      }"${elements.join("")}`,
    ];
  });
  return lines.map((line) => `${line}\n`).join("");
}

export function run(bytes: Uint8Array, config: Config = DEFAULT_CONFIG, pieces = [bytes.length]) {
  const simulation = new Replay(config);
  const reader = new RecordingReader({
    event: (event, verdict) => simulation.take(event, verdict === "security"),
    tampered: (what) => simulation.tampered(what),
  });
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const next = at + pieces[i % pieces.length]!;
    reader.push(bytes.slice(at, next));
    at = next;
  }
  reader.end();
  return { ...simulation.finish(), format: reader.format };
}

export function blockedIn(bytes: Uint8Array, config?: Config): string[] {
  return [...new Set(run(bytes, config).blocks.map(({ target }) => target))].sort();
}

/** What `ampere --replay` says. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `ampere --replay` in this process. */
export async function cli(
  files: readonly string[],
  options: { json?: boolean; verbose?: boolean; config?: Partial<Config> } = {},
): Promise<Said> {
  const { json = false, verbose = false, config = {} } = options;
  let out = "";
  let err = "";
  const code = await replay(
    { ...DEFAULT_CONFIG, ...config },
    { files, json, verbose },
    (text) => {
      out += text;
      return 0;
    },
    (line) => err += `${line}\n`,
  );
  return { code, out, err };
}
