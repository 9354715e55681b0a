/**
 * What each messenger that is reached by HTTP wants to be sent.
 *
 * @module
 */

import type { MessengerConfig } from "../../config/messengers.ts";
import { VERSION } from "../../version.ts";
import { fitted, type Message } from "./message.ts";

/**
 * Most characters of a text for Slack: what is longer than 40,000 it cuts, and for reading it
 * advises 4,000 (docs.slack.dev, chat.postMessage, "Truncating content").
 */
const SLACK_MAX = 4_000;

/** Most characters of a text for Telegram (core.telegram.org/bots/api, sendMessage). */
const TELEGRAM_MAX = 4_096;

/** Most bytes of a message of ntfy; a longer one becomes a file (docs.ntfy.sh, "Limitations"). */
const NTFY_MAX = 4_096;

/**
 * Most bytes of a text for Matrix: an event has 65,536 at most, all that servers add included
 * (spec.matrix.org, "Size limits"), and each character of a text may take two as JSON.
 */
const MATRIX_MAX = 24_000;

/** A request. */
export interface MessengerRequest {
  readonly method: "POST" | "PUT";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What is secret of a messenger, as its files hold it. */
export interface Secrets {
  /** The address. */
  readonly url: string;
  /** The token; empty without one. */
  readonly token: string;
}

/**
 * A message as a messenger wants it.
 *
 * @param message The message.
 * @param config The messenger; not one of e-mail.
 * @param secrets Where to, and who says so.
 */
export function requestOf(
  message: Message,
  config: MessengerConfig,
  secrets: Secrets,
): MessengerRequest {
  const { title, lines, kind } = message;
  const whole = [title, ...lines];
  const url = new URL(secrets.url);
  const bearer: Record<string, string> = secrets.token === ""
    ? {}
    : { authorization: `Bearer ${secrets.token}` };
  const post = (to: URL, body: unknown, headers = {}): MessengerRequest => ({
    method: "POST",
    url: to,
    headers,
    body: JSON.stringify(body),
  });
  switch (config.format) {
    case "slack":
      return post(url, {
        text: fitted(whole.map(forSlack), SLACK_MAX, (text) => text.length),
        // Nothing in it is markup, a mention, or an address to be looked at.
        mrkdwn: false,
        link_names: false,
        unfurl_links: false,
        unfurl_media: false,
      });
    case "telegram":
      // Without parse_mode nothing in it is markup.
      return post(below(url, `bot${secrets.token}/sendMessage`), {
        chat_id: config.chat,
        text: fitted(whole, TELEGRAM_MAX, (text) => text.length),
        link_preview_options: { is_disabled: true },
        disable_notification: kind === "digest",
      });
    case "ntfy": {
      // As JSON, because a header could not hold every title.
      const at = url.pathname.lastIndexOf("/");
      const topic = url.pathname.slice(at + 1);
      url.pathname = url.pathname.slice(0, at + 1);
      return post(url, {
        topic,
        title,
        message: fitted(lines, NTFY_MAX, bytesOf),
        priority: kind === "urgent" ? 5 : kind === "prompt" ? 4 : 3,
        tags: kind === "urgent" ? ["rotating_light"] : kind === "prompt" ? ["warning"] : ["shield"],
      }, bearer);
    }
    case "matrix":
      return {
        method: "PUT",
        url: below(
          url,
          `_matrix/client/v3/rooms/${
            encodeURIComponent(config.room)
          }/send/m.room.message/${message.id}`,
        ),
        headers: bearer,
        body: JSON.stringify({
          // Clients make no noise for a notice.
          msgtype: kind === "digest" ? "m.notice" : "m.text",
          body: fitted(whole, MATRIX_MAX, bytesOf),
          // Who is mentioned: nobody, whatever strangers have written.
          "m.mentions": {},
        }),
      };
    default:
      return post(url, {
        source: "ampere",
        version: VERSION,
        id: message.id,
        time: message.time,
        kind,
        title,
        text: lines.join("\n"),
        events: message.events,
        digest: message.digest ?? null,
      }, bearer);
  }
}

/** The three characters that Slack takes for markup (docs.slack.dev, "Escaping text"). */
function forSlack(line: string): string {
  return line.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** An address below another one. */
function below(url: URL, path: string): URL {
  const result = new URL(url);
  result.pathname = `${url.pathname.replace(/\/+$/, "")}/${path}`;
  return result;
}
