/**
 * Checks the logs of Asterisk's that are to be followed: whether they can be read, and what is in
 * them.
 *
 * @module
 */

import { parseLogLine } from "../../ami/log_line.ts";
import { latin1 } from "../../ami/framer.ts";
import { type Config, NO_AMI } from "../../config/config.ts";
import { groupAdvice, isReadableByUnit, whyUnreadable } from "../../logs/unreadable.ts";
import { NotAFileError } from "../../logs/tail.ts";
import type { Status } from "../../telemetry/status.ts";
import { counted } from "../../text/table.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const ABOUT = "log";

/** How much of the end of a log is looked at, in bytes. */
const LOOKED_AT_BYTES = 512 * 1024;

/** What is in the end of a log. */
interface Content {
  /** Lines. */
  readonly lines: number;
  /** How often each level stands there. */
  readonly levels: ReadonlyMap<string, number>;
}

/**
 * Looks at them.
 *
 * @param config Names them.
 * @param status Of the daemon that runs, if one does.
 */
export function checkLogs(config: Config, status: Status | undefined): Finding[] {
  if (config.logs.length === 0) return [];
  const levels = new Map<string, number>();
  const findings = config.logs.flatMap((path) => checkLog(path, status, levels));
  const isSeen = (level: string) => (levels.get(level) ?? 0) > 0;
  if (levels.size === 0) return findings;
  if (!isSeen("NOTICE")) {
    findings.push(
      warning(
        ABOUT,
        "none of them holds a line of the level notice, at which Asterisk tells of what its manager interface does not",
        "in logger.conf, section [logfiles]: messages => notice,warning,error; then: asterisk -rx 'logger reload', " +
          "and in ampere.cfg: log = /var/log/asterisk/messages",
      ),
    );
  }
  if (config.host === NO_AMI && !isSeen("SECURITY")) {
    findings.push(
      warning(
        ABOUT,
        "none of them holds a line of the level security, and without the manager interface nobody's login is seen: a phone " +
          "that mistypes its password is a stranger",
        "in logger.conf, section [logfiles]: security => security; then: asterisk -rx 'logger reload', and in ampere.cfg: " +
          "log = /var/log/asterisk/security",
      ),
    );
  }
  return findings;
}

function checkLog(
  path: string,
  status: Status | undefined,
  levels: Map<string, number>,
): Finding[] {
  const followed = status?.logs?.files.find((file) => file.path === path);
  let content: Content;
  try {
    content = endOf(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return [
        warning(
          ABOUT,
          `${path} is not there; it is followed as soon as it comes`,
          "in logger.conf, section [logfiles], a line for it; then: asterisk -rx 'logger reload'",
        ),
      ];
    }
    const { message, advice } = whyUnreadable(path, error);
    return [problem(ABOUT, message, advice)];
  }
  for (const [level, count] of content.levels) levels.set(level, (levels.get(level) ?? 0) + count);
  return [...accessOf(path, followed), contentOf(path, content)];
}

/** Whether the daemon may read it: this command may be run by somebody who may do more. */
function accessOf(
  path: string,
  followed: NonNullable<Status["logs"]>["files"][number] | undefined,
): Finding[] {
  if (followed !== undefined && followed.trouble !== null) {
    return [problem(ABOUT, `the daemon cannot follow it: ${followed.trouble}`, followed.advice)];
  }
  if (followed !== undefined) {
    return [ok(ABOUT, `the daemon follows ${path}: ${counted(followed.lines, "line")} so far`)];
  }
  if (isReadableByUnit(path)) return [];
  return [
    warning(
      ABOUT,
      `${path} belongs to others, and the packaged service, which is root without root's powers, may read it only as ` +
        "one of its group",
      `unless that was done already: ${groupAdvice(path)}`,
    ),
  ];
}

function contentOf(path: string, { lines, levels }: Content): Finding {
  const found = [...levels].map(([level, count]) => `${count} ${level.toLowerCase()}`).join(", ");
  if (levels.size > 0) return ok(ABOUT, `${path} can be read; its last lines: ${found}`);
  if (lines === 0) return ok(ABOUT, `${path} can be read; it is empty as yet`);
  return warning(
    ABOUT,
    `${path} can be read, but none of its last ${counted(lines, "line")} is one of Asterisk's`,
    "name the file that Asterisk writes: logger.conf, section [logfiles]",
  );
}

function endOf(path: string): Content {
  if (!Deno.statSync(path).isFile) throw new NotAFileError();
  using file = Deno.openSync(path);
  const { size } = file.statSync();
  const from = Math.max(0, size - LOOKED_AT_BYTES);
  file.seekSync(from, Deno.SeekMode.Start);
  const bytes = new Uint8Array(LOOKED_AT_BYTES);
  const count = file.readSync(bytes) ?? 0;
  const lines = latin1(bytes, 0, count).split("\n").slice(from > 0 ? 1 : 0)
    .filter((line) => line.trim() !== "");
  const levels = new Map<string, number>();
  for (const line of lines) {
    const level = parseLogLine(line)?.level;
    if (level !== undefined) levels.set(level, (levels.get(level) ?? 0) + 1);
  }
  return { lines: lines.length, levels };
}
