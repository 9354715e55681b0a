/**
 * AMI by TLS, with a real Asterisk: right certificates, and each that is not.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Server } from "../../tools/asterisk.ts";
import {
  Authority,
  type Certificate,
  NAME,
  selfSigned,
  selfSignedAuthority,
} from "../support/certificates.ts";
import { Ampere, check, CONFIG, CONFIGURATION, install } from "./ampere.ts";
import { Asterisk, type Files, hostOf } from "./asterisk.ts";
import { guessUntilBlocked } from "./blocking.ts";
import { pbx, PJSIP } from "./pbx.ts";
import { MANAGER_CONF } from "./readme.ts";

/** Where Asterisk's certificate is, with its key. */
const ASTERISK_PEM = "ampere-test.pem";

/** manager.conf of README.md, with TLS as docs/configuration.md tells it. */
const MANAGER_TLS = MANAGER_CONF.replace(
  "[general]\n",
  `[general]\ntlsenable = yes\ntlsbindaddr = 127.0.0.1:5039\ntlscertfile = /etc/asterisk/${ASTERISK_PEM}\n`,
);

const TLS = `${CONFIGURATION}tls = yes\n`;
const NAMED = `tls_name = ${NAME}\n`;

/** Debian's store of authorities, in one file. */
const SYSTEM_STORE = "/etc/ssl/certs/ca-certificates.crt";

const CA_FILE = "/etc/ampere/ca.pem";
const WITH_CA = `${TLS}tls_ca = ${CA_FILE}\n`;

/** What is configured, and what is said of it. */
interface Mistake {
  readonly configuration: string;
  readonly says: RegExp;
  readonly fix: RegExp;
}

function withCertificate({ certificate, key }: Certificate): Files {
  return { ...pbx(MANAGER_TLS), [ASTERISK_PEM]: `${certificate}${key}` };
}

/**
 * Registers the tests.
 *
 * @param server which Asterisk
 * @param executable Ampere
 * @param root Asterisk's file system
 */
export function testTls(server: Server, executable: string, root: string): void {
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`Asterisk ${server.version}: AMI by TLS: ${name}`, body);

  test("events come and block, whatever the certificate is found right by", async () => {
    const authority = await Authority.make();
    const own = await selfSigned();
    for (
      const [issued, ca, further] of [
        [await authority.issue(), authority.certificate, ""],
        [await authority.issue({ names: `DNS:${NAME}` }), authority.certificate, NAMED],
        [own, own.certificate, ""],
      ] as const
    ) {
      await using _asterisk = await Asterisk.start(root, withCertificate(issued));
      await using ampere = await Ampere.start(executable, `${WITH_CA}${further}`, {
        [CA_FILE]: ca,
      });
      assert.match(ampere.text, /logged in at 127\.0\.0\.1:5039 by TLS as "ampere"/);
      await ampere.blocks(await guessUntilBlocked(PJSIP, hostOf("attacker")));
      const { code, out } = await check(executable);
      assert.equal(code, 0, out);
      assert.doesNotMatch(out, /^(?:warning|problem)/m);
      assert.match(out, /^ok +asterisk +logged in at 127\.0\.0\.1:5039 by TLS/m);
      await ampere.ends();
    }
  });

  test("this machine's own store of authorities counts", async () => {
    const authority = await Authority.make();
    await install(TLS);
    await using _asterisk = await Asterisk.start(root, withCertificate(await authority.issue()));
    const before = await check(executable);
    assert.match(before.out, /from an authority that this machine does not know$/m);
    // The /etc of this machine is its own; what update-ca-certificates does is to add to this file.
    await Deno.writeTextFile(SYSTEM_STORE, authority.certificate, { append: true });
    const { code, out } = await check(executable);
    assert.equal(code, 0, out);
  });

  test("what is wrong is told, with what mends it, and plain text is never spoken", async () => {
    const authority = await Authority.make();
    const [other, renewed] = [await Authority.make("Another"), await Authority.make()];
    const files = {
      [CA_FILE]: authority.certificate,
      "/etc/ampere/other.pem": other.certificate,
      "/etc/ampere/renewed.pem": renewed.certificate,
      "/etc/ampere/empty.pem": "no certificate\n",
    };
    const of = (certificate: Certificate, mistakes: readonly Mistake[]) => ({
      certificate,
      mistakes,
    });
    const right = await authority.issue();
    for (
      const { certificate, mistakes } of [
        of(right, [
          {
            configuration: TLS,
            says: /from an authority that this machine does not know/,
            fix: /^tls_ca = FILE /,
          },
          {
            configuration: `${TLS}tls_ca = /etc/ampere/other.pem\n`,
            says: /not signed by an authority in \/etc\/ampere\/other\.pem/,
            fix: /^put the certificate of the authority/,
          },
          {
            configuration: `${TLS}tls_ca = /etc/ampere/renewed.pem\n`,
            says: /not signed by an authority in \/etc\/ampere\/renewed\.pem/,
            fix: /^put the certificate of the authority/,
          },
          {
            configuration: `${WITH_CA}tls_name = elsewhere.example.net\n`,
            says: /not for "elsewhere\.example\.net" but for pbx\.example\.org, 127\.0\.0\.1/,
            fix: /^tls_name = /,
          },
          {
            configuration: `${TLS}tls_ca = /etc/ampere/missing.pem\n`,
            says: /tls_ca: \/etc\/ampere\/missing\.pem: there is no such file/,
            fix: /\/etc\/ampere/,
          },
          {
            configuration: `${TLS}tls_ca = /etc/ampere/empty.pem\n`,
            says: /tls_ca: \/etc\/ampere\/empty\.pem: there is no certificate in it/,
            fix: /-----BEGIN CERTIFICATE-----/,
          },
          {
            configuration: `${TLS}tls_ca = /srv/ca.pem\n`,
            says: /tls_ca: \/srv\/ca\.pem: this build of Ampere may not read it/,
            fix: /into \/etc\/ampere/,
          },
          {
            configuration: `${WITH_CA}port = 5038\n`,
            says: /answers in plain text, not by TLS/,
            fix: /tlsenable = yes.*port = 5039/,
          },
          {
            configuration: `${CONFIGURATION}port = 5039\n`,
            says: /closed (?:the connection )?before (?:the login|it) was answered/,
            fix: /tls = yes/,
          },
        ]),
        of(await authority.issue({ days: -1 }), [{
          configuration: WITH_CA,
          says: /its certificate has expired/,
          fix: /^renew it.*timedatectl/,
        }]),
        of(await authority.issue({ names: "" }), [{
          configuration: WITH_CA,
          says: /not for "127\.0\.0\.1": it has no subjectAltName/,
          fix: /subjectAltName=/,
        }]),
        of(await selfSignedAuthority(), [{
          configuration: WITH_CA,
          says: /is that of an authority \(CA:TRUE/,
          fix: /basicConstraints=critical,CA:FALSE/,
        }]),
      ]
    ) {
      await using asterisk = await Asterisk.start(root, withCertificate(certificate));
      for (const { configuration, says, fix } of mistakes) {
        await install(configuration, files);
        const { code, out } = await check(executable);
        assert.equal(code, 1, out);
        const [, message, mend] = /^problem +asterisk +(.*)\n +fix: (.*)$/m.exec(out) ?? [];
        assert.match(message ?? out, says);
        assert.match(mend!, fix);
        await using ampere = await Ampere.begin(executable, configuration, files);
        const line = await ampere.said(/Fix: /);
        assert.match(line, says);
        assert.match(line.split("Fix: ")[1]!, fix);
        assert.equal(await loginsOf(asterisk), 0);
        if (certificate !== right) continue;
        await Deno.writeTextFile(CONFIG, WITH_CA);
        ampere.reload();
        await ampere.said(/logged in at 127\.0\.0\.1:5039 by TLS/);
        await ampere.ends();
      }
    }
  });
}

/** How many are logged in to AMI. */
async function loginsOf(asterisk: Asterisk): Promise<number> {
  const shown = await asterisk.command("manager show connected");
  return Number(/^(\d+) users? connected/m.exec(shown)?.[1]);
}
