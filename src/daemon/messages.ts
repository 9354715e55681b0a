/**
 * What is told of the messages that Asterisk sends, but for the security events.
 *
 * @module
 */

import type { Tampered } from "../ami/event_reader.ts";
import { latin1 } from "../ami/framer.ts";
import type { Log } from "../log.ts";
import type { Counters } from "../telemetry/counters.ts";
import { escapeText } from "../text/escape.ts";

/** How the entry of a list begins, which is handed on as an answer. */
const LISTED = "Event: ";

/** Where the name of an event begins, and its first byte: `Event: Shutdown`. */
const SHUTDOWN_AT = "Event: ".length;

/** Most characters of a message that are shown. */
const EXCERPT_CHARACTERS_MAX = 160;
const SHUTDOWN_BYTE = "S".charCodeAt(0);

const TAMPERED: Record<Tampered, string> = {
  malformed:
    "tampered: a message is not formed as Asterisk forms it: somebody put line ends into an account name; nothing was obeyed",
  "forged end":
    "tampered: somebody wrote the end of an event, with another's address, into an account name; nothing was obeyed",
  "cut off": "an event could not be checked because the connection ended; nothing was obeyed",
  oversized: "tampered: a message was too long and was skipped",
};

/** Counts tampered messages, and tells of them and of Asterisk's end. */
export class Messages {
  readonly #log: Log;
  readonly #counters: Counters;

  /**
   * Nothing has come yet.
   *
   * @param log Is told.
   * @param counters Count.
   */
  constructor(log: Log, counters: Counters) {
    this.#log = log;
    this.#counters = counters;
  }

  readonly onTampered = (what: Tampered, buffer: Uint8Array, start: number, end: number): void => {
    const count = (this.#counters.tampered.get(what) ?? 0) + 1;
    this.#counters.tampered.set(what, count);
    const excerpt = end > start
      ? `: "${escapeText(latin1(buffer, start, end), EXCERPT_CHARACTERS_MAX)}"`
      : "";
    this.#log.limited(
      `tampered ${what}`,
      "warn",
      `${TAMPERED[what]} (${count} since the start)${excerpt}`,
    );
  };

  readonly onOther = (buffer: Uint8Array, start: number, end: number): void => {
    // Most are of no concern: they are not made into text.
    if (buffer[start + SHUTDOWN_AT] !== SHUTDOWN_BYTE) return;
    const text = latin1(buffer, start, Math.min(end, start + EXCERPT_CHARACTERS_MAX));
    if (!text.startsWith("Event: Shutdown\r\n")) return;
    // Whoever can write line ends into an account name can write this too, as often as they like.
    this.#log.limited(
      "shutdown",
      "info",
      text.includes("Restart: True")
        ? "Asterisk says that it restarts"
        : "Asterisk says that it shuts down",
    );
  };

  readonly onMessage = (verdict: string, buffer: Uint8Array, start: number, end: number): void => {
    // Lists tell what is configured: the one about an endpoint of PJSIP has its password
    // (`res_pjsip/config_auth.c`).
    const received = latin1(buffer, start, end);
    if (verdict === "response" && received.startsWith(LISTED)) {
      return this.#log.debug("received an entry of a list (not shown)");
    }
    // The expected hash of an AMI login is as good as the password (`manager.c`, MD5 key).
    // All such lines: a stranger may have written one in front of the true one.
    const text = received.replace(
      /^ExpectedResponse: .*$/gm,
      "ExpectedResponse: (not shown)",
    );
    this.#log.debug(`received (${verdict}): "${escapeText(text, 2_000)}"`);
  };
}
