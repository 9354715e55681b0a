/**
 * Sends messages by e-mail: SMTP with TLS, spoken by the package nodemailer.
 *
 * What nodemailer would ask the system for is given to it: the connection, and the name that it
 * greets with. So it needs no permission that the program does not have anyway.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import MailComposer from "nodemailer/lib/mail-composer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import { authorities, AuthoritiesError } from "../../authorities.ts";
import { type MessengerConfig, shownMessengerUrl, unfitUrl } from "../../config/messengers.ts";
import { escapeText } from "../../text/escape.ts";
import { tlsFault } from "../../tls_fault.ts";
import { reachFault } from "../http_fault.ts";
import type { Message, Sender, SendFailure } from "./message.ts";
import { readSecret, SecretError } from "./secrets.ts";
import { tlsTrouble } from "./tls_trouble.ts";

/** The ports unless the address names one: of `smtps://` and `smtp://` (RFC 8314, RFC 6409). */
const TLS_PORT = 465;
const SUBMISSION_PORT = 587;

/** The port of a mail server on this machine. */
const LOCAL_PORT = 25;

/** Longest silence of a server, in milliseconds; some let whoever comes wait for their greeting. */
const SILENCE_MS = 45_000;

/** Longest time until the connection is there, greeted and encrypted, in milliseconds. */
const CONNECT_MS = 50_000;

/** Most messages of which it is known who has them: two are on their way at most. */
const REACHED_MAX = 4;

/** Longest answer of a server, in bytes. */
const ANSWER_BYTES_MAX = 65_536;

/** Longest text of a server that is shown, in characters. */
const SHOWN_MAX = 160;

/** What nodemailer's errors say beside their message. */
interface MailError extends Error {
  readonly code?: string | undefined;
  /** What was asked last. */
  readonly command?: string | undefined;
  readonly response?: string | undefined;
  readonly responseCode?: number | undefined;
}

/** Who is spoken to, and how. */
interface Target {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte on. */
  readonly isSecure: boolean;
  /** No TLS: a server on this machine that nobody logs in to. */
  readonly isPlain: boolean;
  readonly password: string;
  readonly authorities: readonly string[];
}

/** An SMTP server. */
export class MailSender implements Sender {
  readonly #config: MessengerConfig;
  /** Who has a message that others do not have yet, by its ID. */
  readonly #reached = new Map<string, Set<string>>();

  /** @param config Where it is, who writes, and who reads. */
  constructor(config: MessengerConfig) {
    this.#config = config;
  }

  get shown(): string {
    return shownMessengerUrl(this.#config);
  }

  async send(message: Message, signal: AbortSignal): Promise<SendFailure | undefined> {
    const { from, to: all } = this.#config;
    const reached = this.#reached.get(message.id) ?? new Set();
    // Who has it is not to have it again because somebody else was refused.
    const to = all.filter((address) => !reached.has(address));
    return await this.#speak(signal, async (connection, target) => {
      const text = await composed(message, this.#config);
      const { rejected, rejectedErrors = [] } = await promised<Sent>((done) =>
        connection.send({ from, to, size: text.length }, text, done)
      ).catch((error: MailError) => {
        // All who were asked now were refused.
        if (error.code !== "EENVELOPE" || reached.size === 0) throw error;
        return { rejected: to, rejectedErrors: [error] };
      });
      this.#reached.delete(message.id);
      if (rejected.length === 0) return undefined;
      const words = answerOf(rejectedErrors[0], target.password);
      const taken = rejectedErrors.every(({ responseCode = 500 }) => responseCode >= 500);
      if (!taken) this.#remember(message.id, all.filter((one) => !rejected.includes(one)));
      return {
        why: `${rejected.join(", ")} was refused${words === "" ? "" : ` (${words})`}`,
        lasting: taken,
        taken,
      };
    });
  }

  async probe(signal: AbortSignal): Promise<{ readonly proven: string } | SendFailure> {
    let tls = "";
    const failure = await this.#speak(signal, (_connection, { isPlain }) => {
      tls = isPlain ? "" : ", TLS";
      return Promise.resolve(undefined);
    });
    if (failure !== undefined) return failure;
    const login = this.#config.login === "" ? "" : `, login as "${this.#config.login}"`;
    const works = tls + login === "" ? "works" : "work";
    return {
      proven: `connection${tls}${login} ${works}; whether it delivers only a message can show`,
    };
  }

  /** Nothing stays open between messages. */
  [Symbol.dispose](): void {}

  #remember(id: string, reached: readonly string[]): void {
    this.#reached.set(id, new Set(reached));
    // One that is given up is not asked for again.
    if (this.#reached.size > REACHED_MAX) this.#reached.delete([...this.#reached.keys()][0]!);
  }

  /**
   * Opens a session, does something in it and ends it.
   *
   * @param signal Ends it at once.
   * @param act Gives what was refused of it.
   */
  async #speak(
    signal: AbortSignal,
    act: (connection: SMTPConnection, target: Target) => Promise<SendFailure | undefined>,
  ): Promise<SendFailure | undefined> {
    let target: Target;
    try {
      target = targetOf(this.#config);
    } catch (error) {
      if (!(error instanceof SecretError || error instanceof AuthoritiesError)) throw error;
      return { why: error.message, advice: error.advice, lasting: true };
    }
    const socket = connected(target);
    let connection: SMTPConnection | undefined;
    const end = () => {
      connection?.close();
      socket.destroy();
    };
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    const abort = () => aborted.reject(new Error("aborted"));
    signal.addEventListener("abort", abort);
    try {
      if (signal.aborted) abort();
      await Promise.race([aborted.promise, opened(socket, target.isSecure)]);
      const session = connection = new SMTPConnection(optionsOf(target, socket));
      // Without a listener an error that comes late would end the program.
      const failed = Promise.withResolvers<never>();
      failed.promise.catch(() => {});
      session.on("error", (error: Error) => failed.reject(error));
      session.on("end", () => failed.reject(new Error("connection closed")));
      const { login } = this.#config;
      const talk = async () => {
        await promised<void>((done) => session.connect(done));
        if (login !== "") {
          await promised<unknown>((done) =>
            session.login({ user: login, pass: target.password }, done)
          );
        }
        return await act(session, target);
      };
      const refused = await Promise.race([talk(), failed.promise, aborted.promise]);
      session.quit();
      return refused;
    } catch (error) {
      const failed = error as MailError;
      const isUnclear = failed.code !== "EAUTH" && failed.responseCode === undefined;
      const cause = isUnclear && !target.isPlain && !signal.aborted
        ? await Promise.race([tlsTrouble(target), aborted.promise.catch(() => {})]) ?? failed
        : failed;
      return this.#failureOf(cause as MailError, target);
    } finally {
      signal.removeEventListener("abort", abort);
      if (signal.aborted || connection === undefined) end();
      else setTimeout(end, QUIT_MS).unref?.();
    }
  }

  #failureOf(error: MailError, target: Target): SendFailure {
    const { ca, passwordFile } = this.#config;
    const fault = tlsFault(error, {
      name: target.host,
      caKey: "ca",
      caFile: ca,
      otherName: "write the name that its certificate has into url",
      plain: target.isSecure
        ? "write smtp:// in the place of smtps:// into url, or the port where it speaks TLS"
        : "look whether that port is one of SMTP with STARTTLS",
    });
    if (fault !== undefined) return fault;
    const said = answerOf(error, target.password);
    const { responseCode, code } = error;
    if (code === "EAUTH") {
      return {
        why: `it refuses the login${said === "" ? "" : ` (${said})`}`,
        advice: `correct login, or the password in ${passwordFile}`,
        lasting: responseCode === undefined || responseCode >= 500,
      };
    }
    if (code === "ETLS" || /STARTTLS/i.test(`${error.command} ${error.message}`)) {
      return {
        why: `it offers no STARTTLS${
          said === "" ? "" : ` (${said})`
        }, and without it anybody on the way could read along`,
        advice: "let it offer STARTTLS; or write smtps:// and its port for TLS (465) into url",
        lasting: (responseCode ?? 500) >= 500,
      };
    }
    if (responseCode !== undefined) return { why: said, lasting: responseCode >= 500 };
    if (code === "ETIMEDOUT") return { why: "it does not answer in time" };
    return { why: reachFault(error) };
  }
}

/** How long the end of a session may take, in milliseconds. */
const QUIT_MS = 2_000;

/** What is told of a message that was taken. */
interface Sent {
  readonly rejected: readonly string[];
  readonly rejectedErrors?: readonly MailError[] | undefined;
}

/** Who is spoken to; throws what its files are not fit for. */
function targetOf(config: MessengerConfig): Target {
  const { urlFile, passwordFile, login, ca } = config;
  const text = urlFile === undefined ? config.url : readSecret(urlFile, "url_file");
  const wrong = urlFile === undefined ? undefined : unfitUrl(text, "email");
  if (wrong !== undefined) {
    throw new SecretError(`url_file: ${urlFile}: ${wrong}`, `correct ${urlFile}`);
  }
  const url = new URL(text);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const isSecure = url.protocol === "smtps:";
  const isHere = /^(?:localhost|127\.[0-9.]+|::1)$/i.test(host);
  const isPlain = isHere && !isSecure && login === "" && ca === undefined;
  const usual = isSecure ? TLS_PORT : isPlain ? LOCAL_PORT : SUBMISSION_PORT;
  return {
    host,
    port: url.port === "" ? usual : Number(url.port),
    isSecure,
    isPlain,
    password: passwordFile === undefined ? "" : readSecret(passwordFile, "password_file"),
    authorities: isPlain ? [] : authorities(ca, "ca"),
  };
}

function optionsOf(target: Target, socket: Socket) {
  const { host, port, isSecure, isPlain } = target;
  const here = socket.localAddress ?? "127.0.0.1";
  return {
    host,
    port,
    connection: socket,
    secure: isSecure,
    // The connection is encrypted already then.
    secured: isSecure,
    requireTLS: !isSecure && !isPlain,
    ignoreTLS: isPlain,
    // RFC 5321, section 4.1.3: who has no name says its address.
    name: isIP(here) === 6 ? `[IPv6:${here}]` : `[${here}]`,
    connectionTimeout: CONNECT_MS,
    greetingTimeout: SILENCE_MS,
    socketTimeout: SILENCE_MS,
    maxResponseSize: ANSWER_BYTES_MAX,
    logger: false,
    tls: tlsOptions(target),
  };
}

function tlsOptions({ host, authorities }: Target) {
  return {
    ...(authorities.length === 0 ? {} : { ca: [...authorities] }),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    minVersion: "TLSv1.2" as const,
  };
}

/** A connection that is being made. */
function connected(target: Target): Socket {
  const { host, port } = target;
  return target.isSecure
    ? connectTls({ host, port, ...tlsOptions(target) })
    : connect({ host, port });
}

/** Waits for a connection, and its certificate if it is to have one. */
function opened(socket: Socket, isSecure: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(isSecure ? "secureConnect" : "connect", () => resolve());
    socket.once("error", reject);
  });
}

/** The message as it is sent. */
function composed(message: Message, { from, to }: MessengerConfig): Promise<Buffer> {
  const isUrgent = message.kind === "urgent";
  const mail = new MailComposer({
    from,
    to: [...to],
    subject: message.title,
    // The same for each try, so that who gets it twice may be shown it once.
    messageId: `<${message.id}@${from.slice(from.lastIndexOf("@") + 1)}>`,
    text: [...message.lines, "", "-- ", message.title, ""].join("\n"),
    textEncoding: "quoted-printable",
    date: new Date(message.time),
    headers: {
      // RFC 3834: nobody is to answer that they are on holiday.
      "Auto-Submitted": "auto-generated",
      ...(isUrgent ? { "Importance": "high", "X-Priority": "1" } : {}),
    },
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return promised<Buffer>((done) => mail.compile().build(done));
}

/** What the server answered, cut and in one line; should it repeat the password, without that. */
function answerOf(error: MailError | undefined, password: string): string {
  const answer = (error?.response ?? "").replaceAll(password || "\0", "(not shown)");
  return escapeText(answer, SHOWN_MAX);
}

/** A promise for what calls back. */
function promised<T>(
  start: (done: (error?: Error | null, value?: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => error ? reject(error) : resolve(value as T));
  });
}
