/**
 * Why a log cannot be read, and what mends it.
 *
 * @module
 */

import { NotAFileError } from "./tail.ts";

/** What hinders, in words. */
interface Unreadable {
  readonly message: string;
  /** A command, or what else to do. */
  readonly advice: string;
}

/** Rights of a file: its group, and all others, may read it. */
const GROUP_READS = 0o040;
const OTHERS_READ = 0o004;
/** Rights of a folder: its group, and all others, may enter it. */
const GROUP_ENTERS = 0o010;
const OTHERS_ENTER = 0o001;

/** What is to be known of a file or a folder. */
export interface Rights {
  readonly mode: number | null;
  readonly uid: number | null;
  readonly gid: number | null;
}

/**
 * Makes the group of Asterisk's logs one of the packaged unit's, which is root without root's
 * powers.
 *
 * @param path A file or folder that this group may read.
 */
export function groupAdvice(path: string): string {
  return "mkdir -p /etc/systemd/system/ampere.service.d && " +
    `printf '[Service]\\nSupplementaryGroups=%s\\n' "$(stat -Lc %G ${quoted(path)})" ` +
    "> /etc/systemd/system/ampere.service.d/log.conf && " +
    "systemctl daemon-reload && systemctl restart ampere";
}

/**
 * Why reading a log has failed.
 *
 * @param path The log.
 * @param error What was thrown.
 * @param look Tells of a path, or throws.
 */
export function whyUnreadable(
  path: string,
  error: unknown,
  look: (path: string) => Rights = Deno.statSync,
): Unreadable {
  const folder = folderOf(path);
  const wrongName = wrongNameOf(path, folder, error);
  if (wrongName !== undefined) {
    const advice = "name the file that Asterisk writes (logger.conf, section logfiles)";
    return { message: wrongName, advice };
  }
  if (error instanceof Deno.errors.NotCapable) {
    return {
      message: `this build of Ampere may not read ${path}`,
      advice:
        "name a file below /var/log (also not a link to elsewhere), or compile one that may: " +
        `deno task compile -- --allow-path=${quoted(folder)}`,
    };
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return { message: `${path} may not be read`, advice: accessAdvice(path, folder, look) };
  }
  return {
    message: `${path}: ${error instanceof Error ? error.message : error}`,
    advice: `see whether others can read it: tail -n 1 ${quoted(path)}; dmesg tells of disks`,
  };
}

/** What is wrong with the name itself. */
function wrongNameOf(path: string, folder: string, error: unknown): string | undefined {
  if (error instanceof NotAFileError) return `${path} is no file`;
  if (error instanceof Deno.errors.NotADirectory) return `${folder} is no folder`;
  return error instanceof Deno.errors.FilesystemLoop
    ? `${path} is a link that leads back to itself`
    : undefined;
}

function accessAdvice(path: string, folder: string, look: (path: string) => Rights): string {
  try {
    const file = look(path);
    if (((file.mode ?? 0) & GROUP_READS) !== 0) return groupAdvice(path);
    return `chmod g+r ${quoted(path)} && ${
      groupAdvice(path)
    } (and "create 640 asterisk asterisk" ` +
      "for it in /etc/logrotate.d/asterisk)";
  } catch {
    // The folder may not be entered.
    return groupAdvice(folder);
  }
}

/**
 * Whether the packaged unit may read a file without further groups: root, but without the power to
 * read what belongs to others.
 *
 * @param path The file.
 * @param look Tells of a path, or throws.
 */
export function isReadableByUnit(
  path: string,
  look: (path: string) => Rights = Deno.statSync,
): boolean {
  const may = ({ mode, uid, gid }: Rights, owner: number, group: number, others: number) =>
    ((mode ?? 0) & (uid === 0 ? owner : gid === 0 ? group : others)) !== 0;
  const folders = path.split("/").slice(1, -1).map((_, i, all) =>
    `/${all.slice(0, i + 1).join("/")}`
  );
  return may(look(path), 0o400, GROUP_READS, OTHERS_READ) &&
    folders.every((folder) => {
      try {
        return may(look(folder), 0o100, GROUP_ENTERS, OTHERS_ENTER);
      } catch (error) {
        // Of the folders around its own the executable may not ask: they are the system's.
        if (error instanceof Deno.errors.NotCapable) return true;
        throw error;
      }
    });
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** As a shell takes it for one word. */
function quoted(word: string): string {
  return /^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
