/**
 * `ampere --page-token`: makes a token of the status page.
 *
 * @module
 */

import { complain, EXIT, print } from "../commands/output.ts";
import { escapeText } from "../text/escape.ts";
import { DEFAULT_TOKEN_FILE, makeToken, type Role, ROLES } from "./token_file.ts";

/**
 * Makes a token, and shows it this once.
 *
 * @param file The file that the configuration names.
 * @param words What it is for: nothing, or `lists`.
 * @returns The exit code: 1 when the file could not be written.
 */
export async function makePageToken(
  file: string | undefined,
  words: readonly string[],
): Promise<number> {
  const [word = "actions", ...more] = words;
  const role = ROLES.find((one) => one === word);
  if (role === undefined || more.length > 0) {
    complain(
      `ampere: --page-token ${
        escapeText(words.join(" "), 60)
      }: it takes nothing (for the page) or lists ` +
        "(for other firewalls that fetch blocks.txt)",
    );
    return EXIT.usage;
  }
  const path = file ?? DEFAULT_TOKEN_FILE;
  try {
    const { token, wasThere } = await makeToken(path, role);
    print(`${token}\n`);
    complain(told(role, path, wasThere, file !== undefined));
    return EXIT.ok;
  } catch (error) {
    complain(`ampere: ${path} cannot be written: ${whyNot(error)}`);
    return EXIT.problem;
  }
}

function told(role: Role, path: string, wasThere: boolean, isConfigured: boolean): string {
  const use = role === "actions"
    ? "This is the token with which the status page lets you act. It is shown this once"
    : "This is the token with which other firewalls fetch /blocks.txt (as the password of any user, or " +
      "Authorization: Bearer). It is shown this once";
  const before = wasThere ? "; the one of before is void now" : "";
  const next = isConfigured
    ? "The daemon takes it within seconds."
    : `To use it, write into ampere.cfg: page_token_file = ${path}`;
  return `${use}, and only its hash is kept, in ${path}${before}.\n${next}`;
}

function whyNot(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return `this program writes only into its own folders. Set page_token_file = ${DEFAULT_TOKEN_FILE}`;
  }
  if (error instanceof Deno.errors.NotFound) return "its folder is not there";
  if (error instanceof Deno.errors.PermissionDenied) return "this user may not: use sudo";
  return error instanceof Error ? error.message : String(error);
}
