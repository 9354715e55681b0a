/**
 * What the runtime says of a TLS connection that could not be made, in words for an administrator.
 *
 * @module
 */

import { escapeText } from "./text/escape.ts";

/** Most characters of a server's own text that are shown: anybody may have written it. */
const SHOWN_MAX = 160;

/** Why there is no connection, and what mends it. */
interface TlsFault {
  /** Without a full stop. */
  readonly why: string;
  readonly advice: string;
}

/** What was wanted of the server. */
interface Wanted {
  /** The name or address that the certificate must hold. */
  readonly name: string;
  /** The key that names a file of authorities; `undefined`: there is none. */
  readonly caKey: "tls_ca" | "webhook_ca" | "fleet_ca" | "ca" | undefined;
  /** The file that it names. */
  readonly caFile: string | undefined;
  /** What to do where the certificate is for another name. */
  readonly otherName: string;
  /** What to do where the server speaks no TLS. */
  readonly plain: string;
}

/**
 * Finds the cause.
 *
 * @param error What the runtime threw.
 * @param wanted What was wanted of the server.
 * @returns The cause with its advice; `undefined` when it has nothing to do with TLS.
 *
 * @example
 * ```ts
 * import { tlsFault } from "./tls_fault.ts";
 *
 * tlsFault(new Error("invalid peer certificate: Expired"), {
 *   name: "pbx.example.org",
 *   caKey: "tls_ca",
 *   caFile: undefined,
 *   otherName: "set tls_name",
 *   plain: "set tls = no",
 * })?.why; // "its certificate has expired"
 * ```
 */
export function tlsFault(error: unknown, wanted: Wanted): TlsFault | undefined {
  const text = error instanceof Error ? `${error.message} ${error.cause ?? ""}`.trim() : "";
  const [, certificate] = /invalid peer certificate: ?(.*)/s.exec(text) ?? [];
  if (certificate !== undefined) return certificateFault(certificate, wanted);
  if (/corrupt message|InvalidContentType/.test(text)) {
    return { why: "it answers in plain text, not by TLS", advice: wanted.plain };
  }
  if (/fatal alert|incompatible/i.test(text)) {
    return {
      why: `it and Ampere have no version or cipher of TLS in common (${
        escapeText(/(?:alert|incompatible):? ?(\w+)/i.exec(text)?.[1] ?? "refused", SHOWN_MAX)
      })`,
      advice: "let the server speak TLS 1.2 or 1.3 with the ciphers of its system's default",
    };
  }
  if (error instanceof Deno.errors.UnexpectedEof || /unexpected end|handshake eof/i.test(text)) {
    return {
      why: "it closed the connection in the middle of the TLS handshake",
      advice: "look into the server's log: it may have no certificate, or one that it cannot read",
    };
  }
  return undefined;
}

function certificateFault(text: string, wanted: Wanted): TlsFault {
  const { name, caKey, caFile } = wanted;
  // The second: an authority of the same name is known, but with another key.
  if (/UnknownIssuer|BadSignature/.test(text)) {
    return caFile === undefined
      ? {
        why: "its certificate is from an authority that this machine does not know",
        advice: caKey === undefined
          ? "install the certificate of the authority that signed it on this machine " +
            "(/usr/local/share/ca-certificates/NAME.crt, then update-ca-certificates)"
          : `${caKey} = FILE with the certificate of the authority that signed it, in PEM`,
      }
      : {
        why: `its certificate is not signed by an authority in ${caFile}`,
        advice: `put the certificate of the authority that signed it into ${caFile}; or let the ` +
          "server send the certificates between the two as well",
      };
  }
  if (/CaUsedAsEndEntity/.test(text)) {
    return {
      why: "its certificate is that of an authority (CA:TRUE, which openssl req -x509 makes)",
      advice: "give the server a certificate that an authority signed; or make it anew with " +
        "-addext basicConstraints=critical,CA:FALSE" +
        (caKey === undefined ? "" : `, and name a copy as ${caKey}`),
    };
  }
  if (/not valid for (?:any )?name|NotValidForName/.test(text)) {
    const names = namesIn(text);
    if (names.length > 0) {
      return {
        why: `its certificate is not for "${name}" but for ${
          escapeText(names.join(", "), SHOWN_MAX)
        }`,
        advice: wanted.otherName,
      };
    }
    return {
      why: `its certificate is not for "${name}"` +
        (/not valid for any/.test(text) ? ": it has no subjectAltName (CN alone is not used)" : ""),
      advice: "give the server a certificate with subjectAltName, such as " +
        "-addext subjectAltName=DNS:pbx.example.org,IP:192.0.2.5",
    };
  }
  const clock = "; if it should not be so, compare this machine's clock (timedatectl)";
  if (/NotValidYet|not valid yet/i.test(text)) {
    return { why: "its certificate is not valid yet", advice: `wait for its date${clock}` };
  }
  if (/Expired/i.test(text)) {
    return { why: "its certificate has expired", advice: `renew it on the server${clock}` };
  }
  return {
    why: `its certificate is not accepted (${escapeText(text, SHOWN_MAX)})`,
    advice:
      "give the server another certificate (X.509 version 3, RSA of 2,048 bits or more, or ECDSA)",
  };
}

/** The names and addresses that a certificate is for, as rustls lists them. */
function namesIn(text: string): string[] {
  const list = /only valid for (.*)/s.exec(text)?.[1] ?? "";
  return [...list.matchAll(/DnsName\("([^"]*)"\)|IpAddress\(([^)]*)\)/g)]
    .map(([, name, address]) => (name ?? address)!);
}
