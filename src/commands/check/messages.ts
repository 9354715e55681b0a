/**
 * Checks who is told of what happens: goes as far as can be gone without telling anybody anything,
 * or, if that is wanted, sends each of them a message that says so.
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import type { MessengerConfig } from "../../config/messengers.ts";
import { type Finding, ok, warning } from "./finding.ts";

const ABOUT = "messages";

/** The right of others to read a file. */
const READABLE_FOR_ALL = 0o004;

/** How long one receiver may take, in milliseconds. */
const LIMIT_MS = 30_000;

/**
 * Checks all of them.
 *
 * @param config Who they are.
 * @param send Send a test message.
 * @param now The time, in milliseconds since 1970.
 * @returns Nothing when there is none.
 */
export async function checkMessages(
  config: Config,
  send: boolean,
  now: number = Date.now(),
): Promise<Finding[]> {
  if (config.messengers.length === 0) {
    return send
      ? [
        warning(
          ABOUT,
          "nobody is told: there is no section [notify NAME]",
          "see /usr/share/doc/ampere/docs/messages.md",
        ),
      ]
      : [];
  }
  const { senderOf } = await import("../../telemetry/messages/messages.ts");
  const { testMessage } = await import("../../telemetry/messages/messenger.ts");
  return await Promise.all(config.messengers.map(async (messenger) => {
    const { name, format } = messenger;
    using sender = await senderOf(messenger);
    const late = AbortSignal.timeout(LIMIT_MS);
    const found = send
      ? await sender.send(testMessage(messenger, now), late) ??
        { proven: "it took a test message; look whether it has arrived" }
      : await sender.probe(late);
    const who = `${name} (${format}), ${sender.shown}`;
    const open = openFiles(messenger);
    if ("proven" in found && open.length > 0) {
      return warning(
        ABOUT,
        `${who}: ${found.proven}; but everybody on this machine may read the secret in ${
          open.join(" and ")
        }`,
        `chmod 600 ${open.join(" ")}`,
      );
    }
    if ("proven" in found && isReadable(messenger)) {
      return warning(
        ABOUT,
        `${who}: ${found.proven}; but by http:// whoever is on the way can read each message, and ` +
          "the token or the secret address with it",
        `write https:// into [notify ${name}]`,
      );
    }
    if ("proven" in found) {
      const hint = send ? "" : "; ampere --check --notify sends a test message";
      return ok(ABOUT, `${who}: ${found.proven}${hint}`);
    }
    const why = late.aborted ? `no end within ${LIMIT_MS / 1000} s` : found.why;
    return warning(
      ABOUT,
      `${who}: ${why}. Blocking is not affected`,
      found.advice ?? `correct [notify ${name}], or see to the server that it names`,
    );
  }));
}

/** Files with secrets that others than their user and group may read. */
function openFiles({ urlFile, tokenFile, passwordFile }: MessengerConfig): string[] {
  const files = [urlFile, tokenFile, passwordFile].filter((file) => file !== undefined);
  return [...new Set(files)].filter((file) => {
    try {
      return ((Deno.statSync(file).mode ?? 0) & READABLE_FOR_ALL) !== 0;
    } catch {
      // Who reads it says why it cannot be read.
      return false;
    }
  });
}

/** Whether messages cross a network as they are. */
function isReadable({ url }: MessengerConfig): boolean {
  const { protocol, hostname } = URL.parse(url) ?? { protocol: "", hostname: "" };
  return protocol === "http:" && !/^(?:localhost|127\.[0-9.]+|\[::1\])$/.test(hostname);
}
