/**
 * What a command prints for people, and the codes with which it ends.
 *
 * @module
 */

/** Exit codes. */
export const EXIT = { ok: 0, problem: 1, usage: 2 } as const;

/** Writes to standard output, all of it. */
export function print(text: string): typeof EXIT.ok {
  writeAll(Deno.stdout, text);
  return EXIT.ok;
}

/** Writes a line to standard error. */
export function complain(line: string): void {
  writeAll(Deno.stderr, line + "\n");
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
