/**
 * Checks whether the webhook takes reports: one request with an event `check`, which tells of
 * nothing and which receivers can pass over.
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import { REQUEST_MS, WebhookServer } from "../../telemetry/webhook_server.ts";
import { type Finding, ok, warning } from "./finding.ts";

const ABOUT = "webhook";

/**
 * Sends one request.
 *
 * @param config Where to.
 * @param now The time, in milliseconds since 1970.
 * @returns Nothing when there is no webhook.
 */
export async function checkWebhook(config: Config, now: number = Date.now()): Promise<Finding[]> {
  if (config.webhook === undefined) return [];
  using server = new WebhookServer(config.webhook, config.webhookCa);
  const late = AbortSignal.timeout(REQUEST_MS);
  const time = new Date(now).toISOString();
  const failure = await server.post([{ event: "check", time }], 0, late);
  if (failure === undefined) {
    return [ok(ABOUT, `${server.origin} took a report with the event "check"`)];
  }
  const why = late.aborted ? `no answer within ${REQUEST_MS / 1000} s` : failure.why;
  return [
    warning(
      ABOUT,
      `${server.origin} did not take a report: ${why}. Blocking is not affected`,
      failure.advice ?? "correct the key webhook, or see to the server that it names",
    ),
  ];
}
