/** Texts of the configuration, and what the tests expect of them. */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Config } from "../../src/config/config.ts";
import { formatProblem, parseConfig } from "../../src/config/parse.ts";

export const KEYS = [
  "host",
  "port",
  "user",
  "pass",
  "loyalty",
  "chain",
  "jump",
  "trust",
  "trust_file",
  "trust_lookup",
  "tls",
  "tls_ca",
  "tls_name",
  "log",
  "log_format",
  "database",
  "patience",
  "credit",
  "forget",
  "bantime",
  "bantime_factor",
  "bantime_max",
  "doubt",
  "guard_hosts",
  "guard_window",
  "neighbours",
  "insider",
  "learn",
  "ipv6_prefix",
  "nat64",
  "geo",
  "asn",
  "home",
  "away",
  "asn_strict",
  "new_place",
  "backend",
  "action",
  "verify",
  "metrics",
  "page",
  "page_name",
  "page_token_file",
  "page_cert",
  "page_key",
  "webhook",
  "webhook_ca",
  "sip_ports",
  "soft_rate",
  "fleet",
  "fleet_name",
  "fleet_pass_file",
  "fleet_ca",
  "fleet_prefix",
  "fleet_max",
];

/** Lines without which a key has no effect, and a warning says so. */
export const NEEDS: Readonly<Record<string, string>> = {
  tls_ca: "tls = yes\n",
  tls_name: "tls = yes\n",
  home: "geo = /a.mmdb\n",
  away: "geo = /a.mmdb\nhome = DE\n",
  asn_strict: "asn = /a.mmdb\n",
  page_name: "page = 127.0.0.1:1\npage_token_file = /a\n",
  page_token_file: "page = 127.0.0.1:1\n",
  page_cert: "page = 127.0.0.1:1\npage_key = /a\n",
  page_key: "page = 127.0.0.1:1\npage_cert = /a\n",
  fleet: "fleet_name = pbx1\n",
  webhook_ca: "webhook = https://hooks.example.org/\n",
};

export const FILE = "ampere.cfg";

/** The configuration of a text that is expected to be right and without doubts. */
export function right(text: string): Config {
  const { config, problems, warnings } = parseConfig(text, FILE);
  deepStrictEqual([...problems, ...warnings].map(formatProblem), [], text);
  ok(config !== undefined);
  return config;
}

/** The problems of a text that is expected to be wrong, without the file's name. */
export function wrong(text: string): string[] {
  const { config, problems } = parseConfig(text, FILE);
  ok(problems.length > 0, `no problem in ${JSON.stringify(text)}`);
  strictEqual(config, undefined);
  return problems.map((problem) => {
    const line = formatProblem(problem);
    ok(line.startsWith(FILE), line);
    return line.slice(FILE.length + 1);
  });
}

/** The warnings of a text that is expected to be right. */
export function warned(text: string): string[] {
  const { config, problems, warnings } = parseConfig(text, FILE);
  deepStrictEqual(problems, []);
  ok(config !== undefined);
  return warnings.map(formatProblem);
}
