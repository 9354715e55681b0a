/**
 * What Asterisk reported, in the words of the model.
 *
 * @module
 */

/** Something that Asterisk reported, as Ampere is to understand it. */
export interface Happening {
  readonly what:
    /** A challenge was sent. */
    | "challenge"
    /** PJSIP does not know the account; a challenge follows. */
    | "unknown"
    /** A challenge was answered wrongly. */
    | "wrong"
    /** A login with a password. */
    | "login"
    /** An access control list refused. */
    | "refused"
    /** It refused for a reason that may be innocent. */
    | "not now"
    /** The manager interface refused; each is an attempt. */
    | "manager"
    /** The dialplan names a host; each is an attempt. */
    | "reported"
    /** A message that was not believed, but shows who sent it. */
    | "not believed"
    /** A security event that costs nothing. */
    | "nothing";
  readonly address: string;
  readonly session: string;
  readonly service?: "AMI" | "Dialplan" | "IAX2" | "PJSIP" | "SIP";
  readonly transport?: string;
  readonly account?: string;
  /** The manager interface has compared a password. */
  readonly isGuess?: boolean;
  /** The manager interface has refused by a list, and no password or name was wrong. */
  readonly isRefusal?: boolean;
  /** The challenge that was sent, or answered. */
  readonly challenge?: string;
  /** The answer, together with what it answers. */
  readonly answer?: string;
}
