/**
 * The authorities whose certificates are believed, beside those that the runtime knows (Mozilla's
 * list): what this machine's administrator has installed, or the one file that the configuration
 * names.
 *
 * @module
 */

/**
 * Where systems keep the authorities that they believe, in one file: Debian, Alpine and Arch; Red
 * Hat and its kin, whose first path is a link to the second; SUSE. The first that can be read is
 * taken.
 */
export const AUTHORITY_FILES: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
];

/** Largest file of authorities, in bytes; a whole system's has 220,000. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** A certificate in PEM (RFC 7468, section 5). */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** The file that a key names is of no use. */
export class AuthoritiesError extends Error {
  /** Name of the error. */
  override readonly name = "AuthoritiesError";
  /** What a person can do about it. */
  readonly advice: string;

  /**
   * An error.
   *
   * @param message What is wrong, with the file.
   * @param advice What mends it.
   */
  constructor(message: string, advice: string) {
    super(message);
    this.advice = advice;
  }
}

/**
 * The authorities to be believed beside the runtime's. The file is read anew each time, so that a
 * renewed one is in force at the next connection.
 *
 * @param file The file of the configuration, with one or more certificates in PEM; `undefined`:
 *   this machine's own store, and none if there is no such store.
 * @param key The key that names the file, for the message.
 * @returns Certificates in PEM, as `Deno.startTls` and `Deno.createHttpClient` take them.
 * @throws {AuthoritiesError} When the named file can't be read or holds no usable certificate.
 *
 * @example
 * ```ts
 * import { authorities } from "./authorities.ts";
 *
 * try {
 *   authorities("/etc/ampere/no-such-file.pem", "tls_ca");
 * } catch (error) {
 *   console.error(error); // tls_ca: /etc/ampere/no-such-file.pem: there is no such file
 * }
 * ```
 */
export function authorities(file: string | undefined, key: string): string[] {
  return file === undefined ? ofThisMachine() : ofFile(file, key);
}

function ofThisMachine(): string[] {
  for (const file of AUTHORITY_FILES) {
    let text: string;
    try {
      text = readBounded(file);
    } catch {
      continue;
    }
    const all = text.match(CERTIFICATE) ?? [];
    // One that the runtime does not take must not make the others useless.
    return areUsable(all) ? all : all.filter((one) => areUsable([one]));
  }
  return [];
}

function ofFile(file: string, key: string): string[] {
  let text: string;
  try {
    text = readBounded(file);
  } catch (error) {
    throw new AuthoritiesError(`${key}: ${file}: ${whyNotRead(error)}`, adviceFor(error));
  }
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0 || !areUsable(found)) {
    throw new AuthoritiesError(
      `${key}: ${file}: ${
        found.length === 0 ? "there is no certificate in it" : "a certificate in it is damaged"
      }`,
      `name a file with the authority's certificate in PEM (it begins with -----BEGIN ` +
        `CERTIFICATE-----); "openssl x509 -in ${file} -noout -text" shows what is in it`,
    );
  }
  return found;
}

/** Whether the runtime takes them: it is asked itself, because it is who reads them later. */
function areUsable(certificates: string[]): boolean {
  try {
    Deno.createHttpClient({ caCerts: certificates }).close();
    return true;
  } catch {
    return false;
  }
}

function readBounded(file: string): string {
  const { isFile, isDirectory, size } = Deno.statSync(file);
  // To open a pipe would be to wait for its writer.
  if (!isFile && !isDirectory) throw new TypeError("no file");
  if (size > FILE_BYTES_MAX) throw new RangeError("too long");
  return Deno.readTextFileSync(file);
}

function whyNotRead(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.NotCapable) return "this build of Ampere may not read it";
  if (error instanceof Deno.errors.PermissionDenied) return "this user may not read it";
  if (error instanceof TypeError) return "this is no file, but a pipe or a device";
  if (error instanceof RangeError) return `longer than ${FILE_BYTES_MAX} bytes`;
  return "it cannot be read";
}

function adviceFor(error: unknown): string {
  if (error instanceof Deno.errors.PermissionDenied) {
    return "let it belong to root, or make it readable for all (chmod 644): it holds no secret";
  }
  return "put the authority's certificate (PEM) into /etc/ampere, and name it there";
}
