/**
 * Names become addresses as everything else on this machine does it: `/etc/hosts`, then DNS.
 *
 * @module
 */

/** A name has no address, or it cannot be known now. */
export class LookupError extends Error {
  /** Name of the error. */
  override readonly name = "LookupError";
  /** The code of the system, such as `ENOTFOUND` or `EAI_AGAIN`. */
  readonly code: string;

  /**
   * Makes an error.
   *
   * @param code The code of the system.
   */
  constructor(code: string) {
    super(WORDS[code] ?? code);
    this.code = code;
  }
}

const WORDS: Readonly<Record<string, string>> = {
  // Runtimes before Deno 2.8 say the same where no name server answers.
  ENOTFOUND: "its name is not known, or no name server answers",
  EAI_AGAIN: "its name cannot be looked up at present",
};

/**
 * The addresses of a name, of both families, in the order of the system.
 *
 * @param name The name.
 * @returns At least one; as they are to be connected to (a zone is kept).
 * @throws {LookupError} When there is none.
 */
export async function lookupName(name: string): Promise<string[]> {
  const { lookup } = await import("node:dns");
  return await new Promise((resolve, reject) =>
    lookup(name, { all: true, verbatim: true }, (error, found) => {
      const addresses = [...new Set((found ?? []).map(({ address }) => address))];
      if (!error && addresses.length > 0) resolve(addresses);
      else reject(new LookupError(error?.code ?? "ENOTFOUND"));
    })
  );
}
