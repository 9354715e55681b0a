/**
 * What `ampere --check` finds about the status page: can it be served, by whom can it be used, and
 * until when is its certificate valid?
 *
 * @module
 */

import { type Finding, ok, warning } from "../commands/check/finding.ts";
import { type Config, formatListenAddress } from "../config/config.ts";
import { type PageConfig, pageOf } from "../config/page_keys.ts";
import type { Status } from "../telemetry/status.ts";
import { PageError, whyNotServed } from "./page_error.ts";
import { readTokenFile } from "./token_file.ts";
import { readPem, TlsGate } from "./tls.ts";

const ABOUT = "page";

/** Rights of others than the owner of a file: to change it, and to read it. */
const CHANGEABLE = 0o022;
const READABLE_FOR_ALL = 0o004;

const DAY_MS = 86_400_000;

/** So long before its end a certificate is told: by then it should have been renewed. */
const RENEW_MS = 14 * DAY_MS;

/**
 * Checks the page.
 *
 * @param config What the configuration says.
 * @param status What the daemon says, if one runs.
 * @param now Time of day, in milliseconds since 1970.
 * @returns Nothing without a page.
 */
export async function checkPage(
  config: Config,
  status: Status | undefined,
  now: number = Date.now(),
): Promise<Finding[]> {
  const page = pageOf(config);
  if (page === undefined) return [];
  return [
    ...checkToken(page),
    ...await checkTls(page, now),
    checkAddress(page, status),
  ];
}

function checkToken({ tokenFile, isOpenToOthers }: PageConfig): Finding[] {
  // Where others can come the configuration is refused without one.
  if (tokenFile === undefined) {
    return [ok(ABOUT, "nobody can act on it: page_token_file is not set, so that it only shows")];
  }
  const found: Finding[] = [];
  const tokens = readTokenFile(tokenFile);
  const without = isOpenToOthers ? "so it is not served" : "so nobody can act on it";
  if ("why" in tokens || !tokens.has("actions")) {
    const why = "why" in tokens ? tokens.why : `${tokenFile} has no token for actions`;
    found.push(warning(ABOUT, `${why}, ${without}`, "ampere --page-token"));
  }
  const mode = modeOf(tokenFile);
  if ((mode & CHANGEABLE) !== 0) {
    found.push(
      warning(
        ABOUT,
        `others than its owner may change ${tokenFile}, and give themselves a token`,
        `chmod 600 ${tokenFile}; ampere --page-token`,
      ),
    );
  } else if ((mode & READABLE_FOR_ALL) !== 0) {
    // Hashes of random tokens are of no use to them.
    found.push(warning(ABOUT, `everybody may read ${tokenFile}`, `chmod 600 ${tokenFile}`));
  }
  return found.length > 0 ? found : [ok(ABOUT, `${tokenFile} holds the token`)];
}

async function checkTls({ cert, key }: PageConfig, now: number): Promise<Finding[]> {
  if (cert === undefined || key === undefined) return [];
  let text: string;
  try {
    text = readPem(cert, "page_cert");
    TlsGate.open(cert, key, () => {}).close();
  } catch (error) {
    if (!(error instanceof PageError)) throw error;
    const [why = "", advice = ""] = error.message.split(". Fix: ");
    return [warning(ABOUT, `${why}, so it is not served`, advice)];
  }
  const found: Finding[] = [];
  if ((modeOf(key) & (CHANGEABLE | READABLE_FOR_ALL)) !== 0) {
    found.push(warning(ABOUT, `others than its owner may use the key ${key}`, `chmod 600 ${key}`));
  }
  const { X509Certificate } = await import("node:crypto");
  const certificate = new X509Certificate(text);
  const [begin, end] = [certificate.validFrom, certificate.validTo].map((date) => Date.parse(date));
  const day = new Date(end!).toISOString().slice(0, 10);
  const renew = `renew it (certbot renew), copy it to ${cert}, then: systemctl reload ampere`;
  if (end! <= now) {
    found.push(warning(ABOUT, `the certificate ${cert} has expired on ${day}`, renew));
  } else if (begin! > now) {
    const from = new Date(begin!).toISOString().slice(0, 10);
    found.push(
      warning(
        ABOUT,
        `the certificate ${cert} is valid from ${from} on`,
        "look whether the clock of this machine is right: date",
      ),
    );
  } else if (end! - now < RENEW_MS) {
    found.push(warning(ABOUT, `the certificate ${cert} expires on ${day}`, renew));
  } else found.push(ok(ABOUT, `the certificate ${cert} is valid until ${day}`));
  return found;
}

function checkAddress(page: PageConfig, status: Status | undefined): Finding {
  const { hostname, port, isByTls } = page;
  const url = `${isByTls ? "https" : "http"}://${formatListenAddress({ hostname, port })}/`;
  const served = status?.page?.url === url && status.page.trouble === null;
  if (served) return ok(ABOUT, `it is served at ${url}`);
  try {
    Deno.listen({ hostname, port }).close();
  } catch (error) {
    const { why, advice } = whyNotServed(error, hostname, port);
    if (error instanceof Deno.errors.AddrInUse && status !== undefined) {
      // It is the daemon itself that has the port, for a page that is configured otherwise now.
      if (status.page?.trouble === null && isAt(status.page.url, port)) {
        return warning(ABOUT, "the daemon still serves it as before", "systemctl reload ampere");
      }
      // A daemon of before an update does not tell.
      if (status.page === undefined) {
        return ok(
          ABOUT,
          `somebody has ${url}: after a restart the daemon tells whether that is it`,
        );
      }
    }
    return warning(ABOUT, `it cannot be served at ${url}: ${why}`, advice);
  }
  if (status === undefined) return ok(ABOUT, `it can be served at ${url}`);
  const trouble = status.page?.trouble;
  return trouble === null || trouble === undefined
    ? warning(ABOUT, `the daemon does not serve it at ${url} yet`, "systemctl reload ampere")
    : warning(
      ABOUT,
      `the daemon does not serve it: ${trouble.split(". Fix: ")[0]}`,
      "what is told above, if anything is; then: systemctl reload ampere",
    );
}

function isAt(url: string, port: number): boolean {
  return URL.parse(url)?.port === String(port);
}

/** 0 for a file that is not there: who reads it says so. */
function modeOf(path: string): number {
  try {
    return Deno.statSync(path).mode ?? 0;
  } catch {
    return 0;
  }
}
