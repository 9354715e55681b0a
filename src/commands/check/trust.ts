/**
 * Whom the configuration trusts: does its file say what it should, and are its names known?
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import { readTrustFile } from "../../config/trust_file.ts";
import { counted } from "../../text/table.ts";
import { lookUpNames, type NameAnswer } from "../trusted.ts";
import { type Finding, ok, warning } from "./finding.ts";

/** How long names are waited for, in milliseconds: longer than a resolver tries at first. */
const LOOKUPS_MS = 6_000;

/** What came of the check. */
interface CheckedTrust {
  readonly findings: readonly Finding[];
  readonly targets: readonly string[];
}

/**
 * Reads the file and looks each name up.
 *
 * @param config Names them.
 * @returns Findings, none when there is neither a file nor a name; and who is trusted now, as
 *   canonical targets.
 */
export async function checkTrust(config: Config): Promise<CheckedTrust> {
  const findings: Finding[] = [];
  const targets = [...config.trust];
  const names = [...config.trustNames];
  const path = config.trustFile;
  if (path !== undefined) {
    const { content, why } = readTrustFile(path);
    if (content === undefined) {
      findings.push(warning(
        "trust",
        `trust_file: ${why}; nobody is trusted for it`,
        `write it, one address, network or name a line, or remove trust_file; it is read by itself`,
      ));
    } else {
      const advice = `correct that line of ${path}; the others are in force`;
      for (const problem of content.problems) findings.push(warning("trust", problem, advice));
      for (const doubt of content.doubts) findings.push(warning("trust", doubt, ""));
      const count = content.targets.length + content.names.length;
      if (content.problems.length === 0) {
        findings.push(ok("trust", `${path} has ${counted(count, "entry", "entries")}`));
      }
      names.push(...content.names);
      targets.push(...content.targets);
    }
  }
  const answers = await lookUpNames([...new Set(names)], LOOKUPS_MS);
  for (const answer of answers) {
    findings.push(nameFinding(answer));
    targets.push(...answer.addresses);
  }
  return { findings, targets };
}

function nameFinding({ name, addresses, refused, why }: NameAnswer): Finding {
  const others = refused.length === 0
    ? ""
    : `${refused.join(", ")}, which can be nobody's and is left out`;
  if (addresses.length > 0) {
    const found = `${name} is ${addresses.join(", ")}: trusted`;
    return others === ""
      ? ok("trust", found)
      : warning("trust", `${found}; it is answered with ${others}, too`, "");
  }
  return warning(
    "trust",
    `${name}: ${why ?? `it is answered with ${others}`}; nobody is trusted for it now`,
    `see whether it is spelt right and a name server answers: getent ahosts ${name}`,
  );
}
