/** Certificates for tests of TLS, made by openssl as an administrator makes them. */

import { sh } from "./namespace.ts";

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** The name that the certificates of the tests are for, beside 127.0.0.1. */
export const NAME = "pbx.example.org";

const NAMES = `DNS:${NAME},IP:127.0.0.1`;

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** An authority that signs certificates. */
export class Authority {
  /** Its certificate, in PEM. */
  readonly certificate: string;
  readonly #key: string;

  private constructor({ certificate, key }: Certificate) {
    this.certificate = certificate;
    this.#key = key;
  }

  /** Makes one, with a name that others may have too. */
  static async make(name = "An authority"): Promise<Authority> {
    return new Authority(await signedByItself(["-subj", `/CN=${name}`]));
  }

  /**
   * Signs a certificate.
   *
   * @param options `names`: its subjectAltName, "" for none; `days`: how long it is valid, less
   *   than 0 for one that has expired
   */
  issue(options: { names?: string; days?: number } = {}): Promise<Certificate> {
    const { names = NAMES, days = 10 } = options;
    return inFolder(async (folder) => {
      const at = (name: string) => `${folder}/${name}`;
      const extensions = `basicConstraints=CA:FALSE\n${
        names === "" ? "" : `subjectAltName=${names}\n`
      }`;
      await Deno.writeTextFile(at("ca.crt"), this.certificate);
      await Deno.writeTextFile(at("ca.key"), this.#key);
      await Deno.writeTextFile(at("ext"), extensions);
      const request = ["-keyout", at("key"), "-out", at("csr"), "-subj", `/CN=${NAME}`];
      await openssl("req", ...KEY, ...request);
      const authority = ["-CA", at("ca.crt"), "-CAkey", at("ca.key"), "-CAcreateserial"];
      const signing = ["-extfile", at("ext"), "-days", String(days), "-out", at("crt")];
      await openssl("x509", "-req", "-in", at("csr"), ...authority, ...signing);
      return await readPair(folder);
    });
  }
}

/**
 * Makes a certificate that signed itself.
 *
 * @param further options of `openssl req`
 */
function signedByItself(further: readonly string[]): Promise<Certificate> {
  return inFolder(async (folder) => {
    const files = ["-keyout", `${folder}/key`, "-out", `${folder}/crt`, "-days", "10"];
    await openssl("req", "-x509", ...KEY, ...files, ...further);
    return await readPair(folder);
  });
}

/** As most do who make one by hand: it is an authority at the same time. */
export function selfSignedAuthority(): Promise<Certificate> {
  return signedByItself(["-subj", `/CN=${NAME}`, "-addext", `subjectAltName=${NAMES}`]);
}

/** As docs/configuration.md tells to make one by hand. */
export function selfSigned(): Promise<Certificate> {
  const further = ["-addext", "basicConstraints=critical,CA:FALSE"];
  const names = ["-addext", `subjectAltName=${NAMES}`];
  return signedByItself(["-subj", `/CN=${NAME}`, ...names, ...further]);
}

async function openssl(...args: string[]): Promise<void> {
  const { code, err } = await sh("openssl", ...args);
  if (code !== 0) throw new Error(`openssl ${args.join(" ")}: ${err}`);
}

async function inFolder<T>(act: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "ampere-certificates-" });
  try {
    return await act(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function readPair(folder: string): Promise<Certificate> {
  return {
    certificate: await Deno.readTextFile(`${folder}/crt`),
    key: await Deno.readTextFile(`${folder}/key`),
  };
}
