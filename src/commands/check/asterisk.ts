/**
 * Checks what Asterisk really sends to the configured AMI user.
 *
 * There is no action by which AMI tells a user's rights or filters, so it is tried. The own login
 * raises SuccessfulAuth. Further connections then fail to log in, each in a way that raises another
 * event, and it is watched which of these arrive:
 *
 * - a wrong password: InvalidPassword;
 * - a wrong answer to a challenge (AuthType MD5): ChallengeResponseFailed, the event of wrong
 *   passwords on PJSIP;
 * - an unknown user: InvalidAccountID;
 * - an unknown user in whose name the words `Event: SuccessfulAuth` and so on stand. If this one
 *   arrives and the one before does not, a filter looks for these words anywhere in the event: it
 *   is not anchored. (One that lets InvalidAccountID through is not found out so; but there is
 *   little left then that a stranger could let through.)
 *
 * ChallengeSent and FailedACL cannot be raised from here. Each failing login is delayed by Asterisk
 * for about a second and written into its log; so they are made at the same time, only when
 * Asterisk runs on this machine (an address that Ampere never charges), and the administrator is
 * told.
 *
 * @module
 */

import { AddressSet } from "../../address/address_set.ts";
import { type Config, NO_AMI, tlsLogin } from "../../config/config.ts";
import { exemptAddresses } from "../../address/exempt.ts";
import { type Destination, SILENT } from "../../ami/transport.ts";
import { escapeText } from "../../text/escape.ts";
import { AmiSession, type Answer, SessionError } from "./ami_session.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const ABOUT = "asterisk";

/**
 * How long an event may take to arrive after what raised it was answered, in milliseconds. Seen: 1.
 */
const EVENT_MS = 1_500;

/**
 * The events that Ampere uses, as the filter of docs/by-hand.md that nobody outside can get round.
 */
export const FILTER =
  "eventfilter = ^Event: (ChallengeResponseFailed|ChallengeSent|FailedACL|InvalidAccountID|InvalidPassword|RequestBadFormat|RequestNotAllowed|Shutdown|SuccessfulAuth|UserEvent)";

const KINDS = [
  "SuccessfulAuth",
  "ChallengeSent",
  "ChallengeResponseFailed",
  "InvalidPassword",
  "FailedACL",
] as const;

/** How the advice of manager.conf takes effect: filters are copied at login. */
const THEN = "asterisk -rx 'manager reload' && systemctl restart ampere";

/** What Asterisk says when `allowmultiplelogin = no` and the user is logged in already. */
const IN_USE = "Login Already In Use";

/** What a test may change. */
interface AsteriskCheckOptions {
  /** This machine's addresses. */
  readonly own?: AddressSet;
  /** @default {EVENT_MS} */
  readonly eventMs?: number;
}

/**
 * Logs in and tries.
 *
 * @param config Where, as whom.
 * @param options For tests.
 */
export async function checkAsterisk(
  config: Config,
  options: AsteriskCheckOptions = {},
): Promise<Finding[]> {
  if (config.host === NO_AMI) {
    return [
      ok(ABOUT, "its manager interface is not used (host = none): its log alone is followed"),
    ];
  }
  const where = `${config.host}:${config.port}`;
  let session: AmiSession;
  try {
    session = await AmiSession.open(destinationOf(config));
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    return [
      problem(
        ABOUT,
        `AMI at ${where} cannot be reached: ${error.message}`,
        error.advice ??
          (error.aboutName
            ? 'correct "host", or write the address in the place of the name'
            : "start Asterisk; or, in manager.conf, section [general]: enabled = yes, and the same port and bindaddr as here; " +
              "then: asterisk -rx 'manager reload'"),
      ),
    ];
  }
  using opened = session;
  return await checkSession(config, opened, {
    own: options.own ?? exemptAddresses([]),
    eventMs: options.eventMs ?? EVENT_MS,
  });
}

function destinationOf(config: Config): Destination {
  return { host: config.host, port: config.port, tls: tlsLogin(config) };
}

async function checkSession(
  config: Config,
  session: AmiSession,
  { own, eventMs }: Required<AsteriskCheckOptions>,
): Promise<Finding[]> {
  const where = `${config.host}:${config.port}`;
  let answer: Answer;
  try {
    answer = await session.ask("Login", {
      Username: config.user,
      Secret: config.pass,
      Events: "security,system,user",
    });
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    return [notAmi(session.banner, config, error)];
  }
  if (!answer.success) return [refused(config, answer)];
  const banner = escapeText(session.banner ?? "", 60);
  const findings = [
    ok(
      ABOUT,
      `logged in at ${where}${config.tls ? " by TLS" : ""} as "${
        escapeText(config.user)
      }" (${banner})`,
    ),
  ];
  const success = await arrival(session, "SuccessfulAuth", asSeen(config.user), eventMs);
  const whyNot = whyNotTry(config, session, success?.address, own);
  if (whyNot !== undefined) return [...findings, ...withoutTrials(success !== undefined, whyNot)];
  findings.push(
    ok(
      ABOUT,
      "tried four logins that fail, to see which events arrive; Asterisk's log shows them as failed logins from " +
        (success?.address ?? session.remoteAddress),
    ),
  );
  const seen = await tryFailingLogins(config, session, eventMs);
  return [
    ...findings,
    ...judge({ ...seen, success: success !== undefined }),
    ...await tryReport(session, eventMs),
  ];
}

/**
 * Whether reports of the dialplan arrive: raises one of no meaning, which takes a right that Ampere
 * does not need. Who has given it wants them.
 */
async function tryReport(session: AmiSession, eventMs: number): Promise<Finding[]> {
  const name = `AmpereCheck-${crypto.randomUUID().slice(0, 8)}`;
  let answer: Answer;
  try {
    answer = await session.ask("UserEvent", { UserEvent: name });
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    return [];
  }
  if (!answer.success) {
    return [
      ok(
        ABOUT,
        "whether reports of the dialplan (UserEvent) arrive cannot be tried without write = user, which is not needed; if " +
          "there are any, they take read = security,system,user",
      ),
    ];
  }
  const arrives = await session.waitFor(() => session.userEvents.has(name), eventMs);
  if (arrives) return [ok(ABOUT, "reports of the dialplan (UserEvent) arrive")];
  return [
    warning(
      ABOUT,
      "a UserEvent does not arrive: the AMI user may raise, but not read them, or an eventfilter hides them, so that what " +
        "the dialplan reports is not seen",
      `in manager.conf, section of the user: read = security,system,user, and no eventfilter, or: ${FILTER}; then: ${THEN}`,
    ),
  ];
}

function notAmi(banner: string | undefined, config: Config, error: SessionError): Finding {
  const where = `${config.host}:${config.port}`;
  if (banner !== undefined && !banner.startsWith("Asterisk Call Manager")) {
    return problem(
      ABOUT,
      `${where} is not AMI: it begins with "${escapeText(banner, 40)}"`,
      'correct "host" and "port" (manager.conf, section [general])',
    );
  }
  return problem(
    ABOUT,
    `AMI at ${where} does not answer the login: ${error.message}`,
    banner === undefined && !config.tls
      ? SILENT
      : "look into Asterisk's log, and whether this is the port of AMI",
  );
}

function refused(config: Config, { message }: Answer): Finding {
  const user = `"${escapeText(config.user)}"`;
  if (message === IN_USE) {
    return warning(
      ABOUT,
      `${user} is logged in already (by Ampere?), and manager.conf has allowmultiplelogin = no: what arrives cannot be tried`,
      "systemctl stop ampere; ampere --check; systemctl start ampere",
    );
  }
  return problem(
    ABOUT,
    `the login of ${user} was refused: ${escapeText(message, 80)}`,
    `in manager.conf: a section [${
      escapeText(config.user)
    }] with the same secret as "pass", read = security,system,user and a permit for this machine (with a line acl: in acl.conf); then: ` +
      "asterisk -rx 'module reload acl' && asterisk -rx 'manager reload'",
  );
}

/** Waits for an event of AMI. */
async function arrival(session: AmiSession, kind: string, account: string, eventMs: number) {
  const find = () =>
    session.events.find((event) =>
      event.kind === kind && event.service === "AMI" && event.account === account
    );
  await session.waitFor(() => find() !== undefined, eventMs);
  return find();
}

/** Why no login may fail on purpose. */
function whyNotTry(
  config: Config,
  session: AmiSession,
  seenAs: string | undefined,
  own: AddressSet,
): string | undefined {
  if (!own.has(session.remoteAddress)) {
    return `Asterisk runs on another machine (${session.remoteAddress})`;
  }
  if (seenAs !== undefined && !own.has(seenAs) && !new AddressSet(config.trust).has(seenAs)) {
    return `Asterisk sees this machine as ${seenAs}, which may be blocked`;
  }
  return undefined;
}

function withoutTrials(success: boolean, whyNot: string): Finding[] {
  const skipped = warning(
    ABOUT,
    `which events arrive was not tried any further: it takes logins that fail, and ${whyNot}`,
    `compare manager.conf: read = security,system,user, and no eventfilter, or: ${FILTER}`,
  );
  return success
    ? [ok(ABOUT, "security events arrive (SuccessfulAuth of this login)"), skipped]
    : [nothingArrives("the event of this login (SuccessfulAuth) did not arrive"), skipped];
}

/** A name as Asterisk's events show it: one character a byte. */
function asSeen(name: string): string {
  return String.fromCharCode(...new TextEncoder().encode(name));
}

/** Which events arrived; `undefined` for one that could not be raised. */
interface Seen {
  readonly success: boolean;
  readonly wrongPassword: boolean | undefined;
  readonly wrongAnswer: boolean | undefined;
  readonly unknownUser: boolean | undefined;
  readonly words: boolean | undefined;
  /** Why not all could be raised. */
  readonly why: string | undefined;
}

async function tryFailingLogins(
  config: Config,
  session: AmiSession,
  eventMs: number,
): Promise<Omit<Seen, "success">> {
  const nonce = crypto.randomUUID().slice(0, 8);
  const unknown = `ampere-check-${nonce}`;
  const words = `ampere-check-words-${nonce} ${KINDS.map((kind) => `Event: ${kind}`).join(" ")}`;
  const wrong = `wrong-${nonce}`;
  const [password, answer, stranger, talker] = await Promise.all([
    failToLogIn(config, { Username: config.user, Secret: wrong }),
    failToLogIn(config, { Username: config.user, AuthType: "MD5", Key: "0".repeat(32) }),
    failToLogIn(config, { Username: unknown, Secret: wrong }),
    failToLogIn(config, { Username: words, Secret: wrong }),
  ]);
  const has = (kind: string, isIt: (account: string) => boolean) =>
    session.events.some((event) =>
      event.kind === kind && event.service === "AMI" && isIt(event.account)
    );
  const user = asSeen(config.user);
  const judged = (trial: Trial, arrived: boolean) => trial.made ? arrived : undefined;
  const seen = () => ({
    wrongPassword: judged(password, has("InvalidPassword", (account) => account === user)),
    wrongAnswer: judged(answer, has("ChallengeResponseFailed", () => true)),
    unknownUser: judged(stranger, has("InvalidAccountID", (account) => account === unknown)),
    // The account is kept cut.
    words: judged(
      talker,
      has("InvalidAccountID", (account) => words.startsWith(account) && account.includes(" ")),
    ),
  });
  await session.waitFor(() => Object.values(seen()).every((arrived) => arrived ?? true), eventMs);
  const why = [password, answer, stranger, talker].find(({ made }) => !made)?.message;
  return { ...seen(), why };
}

/** A login that failed. */
interface Trial {
  /** Asterisk looked at the name and the password, and so has raised the event. */
  readonly made: boolean;
  /** What Asterisk answered, or what hindered the trial. */
  readonly message: string;
}

async function failToLogIn(config: Config, login: Record<string, string>): Promise<Trial> {
  try {
    using session = await AmiSession.open(destinationOf(config));
    if (login.AuthType !== undefined) await session.ask("Challenge", { AuthType: "MD5" });
    const { message } = await session.ask("Login", login);
    // With allowmultiplelogin = no a user who is logged in is refused before their password is
    // looked at.
    return message === IN_USE
      ? { made: false, message: "manager.conf has allowmultiplelogin = no" }
      : { made: true, message };
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    return { made: false, message: error.message };
  }
}

function nothingArrives(what: string): Finding {
  return problem(
    ABOUT,
    `${what}: the AMI user may not read security events, or an eventfilter hides them`,
    `in manager.conf, section of the user: read = security,system,user, and no eventfilter, or: ${FILTER}; then: ${THEN}`,
  );
}

function judge(seen: Seen): Finding[] {
  const { success, wrongPassword, wrongAnswer, unknownUser, words } = seen;
  if (!success && !wrongPassword && !wrongAnswer && !unknownUser && !words) {
    return [nothingArrives("no security event arrives")];
  }
  const hidden = [
    ...(success ? [] : ["SuccessfulAuth (phones that log in are never forgiven)"]),
    ...(wrongAnswer ?? true
      ? []
      : ["ChallengeResponseFailed (wrong passwords on PJSIP are not seen)"]),
    ...(wrongPassword ?? true
      ? []
      : ["InvalidPassword (wrong passwords on chan_sip and AMI are not seen)"]),
  ];
  const findings: Finding[] = [];
  if (hidden.length > 0) {
    findings.push(
      problem(
        ABOUT,
        `an eventfilter in manager.conf hides ${hidden.join(", ")}`,
        `in the section of the user, in the place of its eventfilter lines: ${FILTER}; then: ${THEN}`,
      ),
    );
  } else if (seen.why !== undefined) {
    findings.push(
      warning(
        ABOUT,
        `SuccessfulAuth arrives; which of the others do could not be tried: ${
          escapeText(seen.why)
        }`,
        `if there is an eventfilter in manager.conf: ${FILTER}`,
      ),
    );
  } else {
    findings.push(
      ok(ABOUT, "SuccessfulAuth, ChallengeResponseFailed and InvalidPassword arrive"),
    );
  }
  if (words === false && unknownUser === false && hidden.length === 0) {
    findings.push(
      warning(
        ABOUT,
        "an eventfilter in manager.conf hides InvalidAccountID: who guesses names of AMI users is not seen, nor who " +
          "looks for accounts of a chan_sip with alwaysauthreject = no; ampere --replay counts them",
        `in the section of the user, in the place of its eventfilter lines: ${FILTER}; then: ${THEN}`,
      ),
    );
  }
  if (words === true && unknownUser === false) {
    findings.push(
      warning(
        ABOUT,
        "an eventfilter in manager.conf is not anchored: it looks for its words anywhere in an event, so that a stranger " +
          "who writes them into an account name chooses what gets through (Ampere does not obey such events)",
        `write it so that it begins with ^, or: ${FILTER}; then: ${THEN}`,
      ),
    );
  }
  if (unknownUser === false || hidden.length > 0) {
    findings.push(
      ok(
        ABOUT,
        "there is an eventfilter; whether it lets ChallengeSent and FailedACL through cannot be tried: see that it names them",
      ),
    );
  }
  return findings;
}
