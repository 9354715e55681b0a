/**
 * What Asterisk prints for each kind of security event, header by header.
 *
 * The header sequences are those of `main/security_events.c` (`sec_events`: first the required,
 * then the optional elements) of Asterisk 12 to 22, which do not differ.
 *
 * @module
 */

import { Literal, wordOf } from "./bytes.ts";
import { eventType, type SecurityEventKind, type Service, SERVICES } from "./event.ts";

/** What follows RemoteAddress: the header's name, and whether Asterisk may leave it out. */
export interface TailHeader {
  readonly name: string;
  readonly literal: Literal;
  readonly optional: boolean;
  readonly role: "answer" | "challenge" | "detail" | "ignored" | "password" | "account";
}

/** How an event of one kind goes on from Severity, for one service. */
export interface ServiceGrammar {
  readonly service: Service;
  /** Index of {@linkcode EVENT_TYPES}. */
  readonly type: number;
  /** First byte of the service's name: no two begin alike. */
  readonly initial: number;
  /**
   * `CR LF Severity: … CR LF Service: … CR LF EventVersion: … CR
   * LF` and, unless AccountID comes last, `AccountID: `
   */
  readonly middle: Literal;
  /** What follows RemoteAddress; `undefined`: this service never raises the event. */
  readonly tail: readonly TailHeader[] | undefined;
}

export interface Grammar {
  readonly kind: SecurityEventKind;
  readonly name: Literal;
  /** `Event: NAME CR LF Privilege: security,all CR LF` */
  readonly head: Literal;
  /** The same, and `EventTV: ` */
  readonly plainHead: Literal;
  /** Length of `CR LF Severity: … CR LF Service: `, in bytes. */
  readonly toService: number;
  readonly accountLast: boolean;
  readonly services: readonly ServiceGrammar[];
}

function header(text: string): TailHeader {
  const optional = text.endsWith("?");
  const name = optional ? text.slice(0, -1) : text;
  return { name, literal: new Literal(`${name}: `), optional, role: ROLES[name] ?? "ignored" };
}

const ROLES: Record<string, TailHeader["role"]> = {
  AccountID: "account",
  ACLName: "detail",
  AuthMethod: "detail",
  AttemptedTransport: "detail",
  Challenge: "challenge",
  ReceivedChallenge: "answer",
  ReceivedHash: "answer",
  RequestType: "detail",
  Response: "answer",
  UsingPassword: "password",
};

function grammar(
  kind: SecurityEventKind,
  tails: Partial<Record<Service, string>>,
  options: { severity?: string; version?: number; accountLast?: boolean } = {},
): Grammar {
  const { severity = "Error", version = 1, accountLast = false } = options;
  const severityLines = `\r\nSeverity: ${severity}\r\nService: `;
  const head = `Event: ${kind}\r\nPrivilege: security,all\r\n`;
  return {
    kind,
    name: new Literal(kind),
    head: new Literal(head),
    plainHead: new Literal(`${head}EventTV: `),
    toService: severityLines.length,
    accountLast,
    services: SERVICES.filter((service) => service !== "Dialplan").map((service) => ({
      service,
      type: eventType(kind, service),
      initial: service.charCodeAt(0),
      middle: new Literal(
        `${severityLines}${service}\r\nEventVersion: ${version}\r\n${
          accountLast ? "" : "AccountID: "
        }`,
      ),
      tail: tails[service]?.split(" ").filter((name) => name !== "").map(header),
    })),
  };
}

const INFORMATIONAL = { severity: "Informational" };

/**
 * IAX2 raises none of these up to Asterisk 22; should it begin to, it will use the elements of
 * chan_sip.
 */
export const GRAMMARS: readonly Grammar[] = [
  grammar("ChallengeSent", {
    PJSIP: "Challenge Module?",
    SIP: "Challenge Module?",
    IAX2: "Challenge Module?",
  }, INFORMATIONAL),
  grammar("SuccessfulAuth", {
    PJSIP: "UsingPassword Module?",
    SIP: "UsingPassword Module?",
    IAX2: "UsingPassword Module?",
    AMI: "UsingPassword Module? SessionTV",
  }, INFORMATIONAL),
  grammar("ChallengeResponseFailed", {
    PJSIP: "Challenge Response ExpectedResponse Module?",
    SIP: "Challenge Response ExpectedResponse Module?",
    IAX2: "Challenge Response ExpectedResponse Module?",
    AMI: "Challenge Response ExpectedResponse Module? SessionTV",
  }),
  grammar("InvalidPassword", {
    SIP: "Module? Challenge ReceivedChallenge ReceivedHash",
    IAX2: "Module? Challenge? ReceivedChallenge? ReceivedHash?",
    AMI: "Module? SessionTV",
  }, { version: 2 }),
  grammar("InvalidAccountID", {
    PJSIP: "Module?",
    SIP: "Module?",
    IAX2: "Module?",
    AMI: "Module? SessionTV",
  }),
  grammar("FailedACL", {
    PJSIP: "Module? ACLName",
    SIP: "Module? ACLName",
    IAX2: "Module? ACLName?",
    AMI: "Module? SessionTV",
  }),
  grammar("RequestNotSupported", {
    PJSIP: "RequestType Module?",
    SIP: "RequestType Module?",
    IAX2: "RequestType Module?",
    AMI: "RequestType Module? SessionTV",
  }),
  grammar("RequestNotAllowed", { AMI: "RequestType Module? SessionTV RequestParams?" }),
  grammar("RequestBadFormat", {
    AMI: "RequestType Module? SessionTV AccountID RequestParams?",
  }, { accountLast: true }),
  grammar("InvalidTransport", {
    PJSIP: "AttemptedTransport Module?",
    SIP: "AttemptedTransport Module?",
  }),
  grammar("SessionLimit", {
    PJSIP: "Module?",
    SIP: "Module?",
    IAX2: "Module?",
    AMI: "Module? SessionTV",
  }),
  grammar("MemoryLimit", {
    PJSIP: "Module?",
    SIP: "Module?",
    IAX2: "Module?",
    AMI: "Module? SessionTV",
  }),
  grammar("LoadAverageLimit", {
    PJSIP: "Module?",
    SIP: "Module?",
    IAX2: "Module?",
    AMI: "Module? SessionTV",
  }),
  grammar("AuthMethodNotAllowed", {
    PJSIP: "AuthMethod Module?",
    SIP: "AuthMethod Module?",
    IAX2: "AuthMethod Module?",
    AMI: "AuthMethod Module? SessionTV",
  }),
  grammar("UnexpectedAddress", {
    PJSIP: "ExpectedAddress Module?",
    SIP: "ExpectedAddress Module?",
    IAX2: "ExpectedAddress Module?",
    AMI: "ExpectedAddress Module? SessionTV",
  }),
];

/**
 * Everything that Asterisk prints behind the RemoteAddress of an event that a stranger may have
 * written into.
 */
export const TAILS: readonly (readonly TailHeader[])[] = GRAMMARS
  .filter((g) => !g.accountLast)
  .flatMap((g) => g.services.flatMap(({ tail }) => tail === undefined ? [] : [tail]));

/**
 * Where in a message the word is that tells the kinds of events apart: behind `Event: ` and nine
 * letters.
 */
const KIND_WORD_AT = "Event: ".length + 9;

const GRAMMAR_BY_WORD: ReadonlyMap<number, Grammar> = grammarsByWord();

function grammarsByWord(): Map<number, Grammar> {
  const byWord = new Map(
    GRAMMARS.map((g) => [wordOf(g.head.text.slice(KIND_WORD_AT, KIND_WORD_AT + 4)), g]),
  );
  if (byWord.size !== GRAMMARS.length) throw new Error("two kinds of events look alike");
  return byWord;
}

/**
 * The only grammar that can match, chosen by four letters of the event's name. The caller still
 * compares the head.
 */
export function grammarOf(view: DataView, start: number, end: number): Grammar | undefined {
  if (start + KIND_WORD_AT + 4 > end) return undefined;
  return GRAMMAR_BY_WORD.get(view.getInt32(start + KIND_WORD_AT, true));
}
