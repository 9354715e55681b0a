/**
 * What Asterisk reports of strangers, of phones, and of those who try to fool Ampere.
 *
 * @module
 */

import { type EventFields, printEvent, remoteOf, userEvent } from "../support/asterisk_events.ts";
import type { Said } from "./asterisk.ts";
import type { Dice } from "./dice.ts";
import type { Happening } from "./model/happening.ts";

/**
 * Longest account name after which Ampere holds an event of chan_sip back, counted to the end of
 * the event, in bytes.
 */
const HELD_MAX = 255;

/** Something that is said after a pause, in milliseconds. */
export type Step = readonly [pause: number, ...said: Said[]];

/** Accounts of the office. */
const ACCOUNTS = ["100", "101", "102"] as const;

/** Makes the reports. */
export class Traffic {
  readonly #dice: Dice;
  #serial = 0;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  /** One deed of an attacker: mostly one failed attempt. */
  attack(address: string): Step[] {
    const dice = this.#dice;
    const ways = [
      () => this.wrongPassword(address),
      () => this.wrongPassword(address),
      () => this.#nonceReuse(address),
      () => this.#unanswered(address),
      () => this.#unanswered(address),
      () => this.#sipWrongPassword(address),
      () => this.#doubled(address),
      () => this.#refused(address, "not_match_endpoint_acl", "refused"),
      () => this.#refused(address, "no_extension_match", "not now"),
      () => this.#manager(address),
      () => this.#report(address),
      () => this.#unknownAccount(address),
      () => this.#unknownToChanSip(address),
      () => this.#burst(address, dice.int(2, 20)),
      () => this.#oneSession(address),
      () => this.#oneSession(address),
      () => this.#twoPhones(address),
      () => this.#stubborn(address),
      () => this.#pings(address),
    ];
    return this.#repeated(dice.pick(ways)());
  }

  /** One deed of a phone that belongs here. */
  phone(address: string): Step[] {
    const dice = this.#dice;
    const ways = [
      () => this.#login(address),
      () => this.#login(address),
      () => this.#login(address),
      () => [...this.wrongPassword(address), ...this.#login(address)],
      () => this.#unanswered(address),
      () => this.#refused(address, "no_extension_match", "not now"),
      () => this.#burst(address, dice.int(2, 17)),
      () => this.#wrongNumber(address),
    ];
    return this.#repeated(dice.pick(ways)());
  }

  /**
   * A guesser behind a phone's address, or a forger of it: many guesses at once.
   *
   * @param times how many
   * @param account which; by default any
   */
  siege(address: string, transport: string, times: number, account?: string): Step[] {
    return Array.from(
      { length: times },
      (): Step => [this.#dice.between(0.5, 5), this.#guess(address, transport, account)],
    );
  }

  /** The owner of one account guesses others, and logs in before it is too many. */
  owner(address: string): Step[] {
    return [...this.siege(address, "TLS", this.#dice.int(6, 9)), ...this.login(address)];
  }

  /** The same, at accounts that nobody there logs in with. */
  insider(address: string): Step[] {
    const dice = this.#dice;
    const guesses = Array.from(
      { length: dice.int(1, 9) },
      (): Step => [dice.between(0.5, 5), this.#guess(address, "TLS", dice.pick(["31", "32"]))],
    );
    return [...guesses, ...this.login(address)];
  }

  /** A phone with an old password beside one that logs in. */
  stale(address: string): Step[] {
    const said = () => this.#wrong(address, `stale-of-${address}`, "TLS", "33");
    const tries = Array.from(
      { length: this.#dice.int(1, 9) },
      (): Step => [this.#dice.between(0.5, 5), said()],
    );
    return [...tries, ...this.login(address)];
  }

  /** One guess, from any address of an IPv6 network. */
  rotating(network: string, hosts: number): Step[] {
    const address = `${network}::${this.#dice.int(1, hosts).toString(16)}`;
    return this.siege(address, this.#dice.pick(["UDP", "TLS"]), 1);
  }

  /** What means nothing, or must not be believed. */
  noise(victim: string): Step[] {
    const dice = this.#dice;
    return [[
      0,
      dice.pick([
        () => this.#other(),
        () => this.#junk(),
        () => this.#headerMissing(victim),
        () => this.#headersSwapped(victim),
        () => this.#doubledLogin(victim),
        () => this.#forgedInAccount(victim),
        () => this.#forgedEnd(victim),
        () => this.#passwordless(victim),
        () => this.#falseAnswer(),
      ])(),
    ]];
  }

  /** A message that is too long. */
  endless(): Step[] {
    const length = this.#dice.int(65_600, 80_000);
    return [[0, {
      text: `Event: Endless\r\nX: ${"x\r\ny".repeat(length / 4)}\r\n\r\n`,
      happenings: [],
    }]];
  }

  /** A wrong password on PJSIP: the challenge, and the answer to it. */
  wrongPassword(address: string): Step[] {
    const session = this.#session("PJSIP");
    return [
      [0, this.#challenge(address, session, "PJSIP")],
      [this.#pause(), this.#wrong(address, session)],
    ];
  }

  /** A right password on PJSIP. */
  login(address: string): Step[] {
    return this.#login(address);
  }

  // Deeds

  #guess(address: string, transport: string, account?: string): Said {
    return this.#wrong(address, this.#session("PJSIP"), transport, account);
  }

  /** Many answers to one challenge within some milliseconds. */
  #burst(address: string, answers: number): Step[] {
    const session = this.#session("PJSIP");
    const over = this.#transport();
    const guesses = Array.from(
      { length: answers },
      (): Step => [this.#dice.between(0.2, 3), this.#wrong(address, session, over)],
    );
    return [[0, this.#challenge(address, session, "PJSIP")], ...guesses];
  }

  /** A guesser who keeps one Call-ID for ever, or a phone with a wrong password. */
  #oneSession(address: string): Step[] {
    return Array.from(
      { length: this.#dice.int(1, 4) },
      (): Step => [this.#pause(), this.#wrong(address, `call-of-${address}`)],
    );
  }

  /** Two phones with wrong passwords answer in turns, each in its session. */
  #twoPhones(address: string): Step[] {
    return Array.from({ length: this.#dice.int(2, 12) }, (): Step => {
      const account = this.#dice.pick(["21", "22"]);
      const said = this.#wrong(address, `${account}-of-${address}`, this.#transport(), account);
      return [this.#dice.between(0.2, 3), said];
    });
  }

  /** The same answer again and again, as if it were retransmitted. */
  #stubborn(address: string): Step[] {
    const said = this.#wrong(address, this.#session("PJSIP"), "UDP");
    return Array.from({ length: 13 }, (): Step => [this.#dice.between(380, 600), said]);
  }

  /** The same request again and again, never with an answer. */
  #pings(address: string): Step[] {
    const service = this.#dice.pick(["PJSIP", "SIP"] as const);
    const said = this.#challenge(address, this.#session(service), service);
    return Array.from({ length: 13 }, (): Step => [this.#dice.between(100, 300), said]);
  }

  /** It logs in, and dials a number that nobody has, in the same session. */
  #wrongNumber(address: string): Step[] {
    const session = this.#session("PJSIP");
    const refusal = this.#event({
      kind: "FailedACL",
      service: "PJSIP",
      session,
      remote: this.#remote(address, "PJSIP"),
      tail: [["ACLName", "no_extension_match"]],
    }, { what: "not now", address, session });
    return [...this.#login(address, session), [this.#pause(), refusal]];
  }

  /** chan_sip tells a stranger that an account does not exist (`alwaysauthreject = no`). */
  #unknownToChanSip(address: string): Step[] {
    const session = this.#session("SIP");
    return Array.from({ length: this.#dice.int(1, 4) }, (): Step => {
      // So long that it is not held back.
      const account = this.#dice.pick(["7", "8"]).repeat(HELD_MAX);
      return [
        this.#pause(),
        this.#event({
          kind: "InvalidAccountID",
          service: "SIP",
          account,
          session,
          remote: this.#remote(address, "SIP"),
        }, { what: "refused", address, session }),
      ];
    });
  }

  #nonceReuse(address: string): Step[] {
    const session = this.#session("PJSIP");
    const guesses = Array.from(
      { length: this.#dice.int(1, 4) },
      (): Step => [this.#pause(), this.#wrong(address, session)],
    );
    return [[0, this.#challenge(address, session, "PJSIP")], ...guesses];
  }

  #unanswered(address: string): Step[] {
    const service = this.#dice.pick(["PJSIP", "SIP"] as const);
    return [[0, this.#challenge(address, this.#session(service), service)]];
  }

  #sipWrongPassword(address: string): Step[] {
    const session = this.#session("SIP");
    return [
      [0, this.#challenge(address, session, "SIP")],
      [this.#pause(), this.#sipWrong(address, session, "1".repeat(HELD_MAX))],
    ];
  }

  /** The stranger puts a header line into an account name: they are charged, not whom they name. */
  #doubled(address: string): Step[] {
    const more = this.#dice.chance(0.5) ? "\r\nSessionID: 0x1\r\nLocalAddress: IPV4/UDP/1/1" : "";
    const account = `${"1".repeat(HELD_MAX)}${more}\r\nRemoteAddress: IPV4/UDP/192.0.2.77/5060`;
    return [[0, this.#sipWrong(address, this.#session("SIP"), account)]];
  }

  #refused(address: string, acl: string, what: "refused" | "not now"): Step[] {
    const session = this.#session("PJSIP");
    const said = this.#event({
      kind: "FailedACL",
      service: "PJSIP",
      session,
      remote: this.#remote(address, "PJSIP"),
      tail: [["ACLName", acl]],
    }, { what, address, session });
    const challenge = this.#challenge(address, session, "PJSIP");
    return this.#dice.pick<Step[]>([
      [[0, said]],
      [[0, challenge], [this.#pause(), said]],
      [[0, said, challenge], [this.#pause(), said, this.#wrong(address, session)]],
    ]);
  }

  #manager(address: string): Step[] {
    const session = this.#session("AMI");
    const kind = this.#dice.pick(["InvalidPassword", "InvalidAccountID", "FailedACL"]);
    return [[
      0,
      this.#event({
        kind,
        service: "AMI",
        session,
        remote: remoteOf(address, "TCP"),
        tail: [["SessionTV", "1970-01-01T00:00:00.000+0000"]],
      }, {
        what: "manager",
        address,
        session,
        isGuess: kind === "InvalidPassword",
        isRefusal: kind === "FailedACL",
      }),
    ]];
  }

  /** Ampere holds it until it has been quiet for a moment. */
  #report(address: string): Step[] {
    const account = this.#dice.pick(["anonymous call", "forbidden number"]);
    const host = this.#dice.pick([address, `[${address}]:5060`, `${address}:5060`]);
    const body = [
      `Address: ${
        address.includes(":") ? host.replace(/^(?!\[).*/, address) : host.replace(/[[\]]/g, "")
      }`,
      `Reason: ${account}`,
    ];
    return [[0, {
      text: userEvent({ channel: this.#dice.chance(0.7), body }),
      happenings: [{
        what: "reported",
        address,
        session: "",
        service: "Dialplan",
        account,
        transport: "UDP",
      }],
      alone: true,
    }]];
  }

  #unknownAccount(address: string): Step[] {
    const session = this.#session("PJSIP");
    const unknown = this.#event({
      kind: "InvalidAccountID",
      service: "PJSIP",
      session,
      remote: this.#remote(address, "PJSIP"),
    }, { what: "unknown", address, session });
    return [
      [0, unknown, this.#challenge(address, session, "PJSIP")],
      [this.#pause(), unknown, this.#wrong(address, session)],
    ];
  }

  #login(address: string, session = this.#session("PJSIP")): Step[] {
    return [
      [0, this.#challenge(address, session, "PJSIP")],
      [
        this.#pause(),
        this.#event({
          kind: "SuccessfulAuth",
          service: "PJSIP",
          session,
          remote: this.#remote(address, "PJSIP"),
          tail: [["UsingPassword", "1"]],
        }, { what: "login", address, session }),
      ],
    ];
  }

  /** Some of what is sent by UDP is sent again. */
  #repeated(steps: Step[]): Step[] {
    const dice = this.#dice;
    if (!dice.chance(0.2)) return steps;
    return steps.flatMap((step): Step[] => {
      const [, ...said] = step;
      const again = dice.chance(0.5) ? dice.int(1, 3) : 0;
      return [step, ...Array.from({ length: again }, (): Step => [dice.between(1, 900), ...said])];
    });
  }

  // What is no deed

  #other(): Said {
    return this.#dice.pick([
      filler(0),
      {
        text:
          "Event: Shutdown\r\nPrivilege: system,all\r\nShutdown: Cleanly\r\nRestart: False\r\n\r\n",
        happenings: [],
      },
    ]);
  }

  #junk(): Said {
    const dice = this.#dice;
    const junk = Array.from(
      { length: dice.int(1, 400) },
      () => String.fromCharCode(dice.int(0, 255)),
    )
      .join("").replaceAll("\r\n\r\n", "");
    return { text: `?${junk}?\r\n\r\n`, happenings: [] };
  }

  #headerMissing(victim: string): Said {
    const text = this.#wrong(victim, this.#session("PJSIP")).text.split("\r\n");
    // Not the last two, which are the end of the message, and not the first.
    text.splice(this.#dice.int(1, text.length - 3), 1);
    return { text: text.join("\r\n"), happenings: [] };
  }

  #headersSwapped(victim: string): Said {
    const lines = this.#wrong(victim, this.#session("PJSIP")).text.split("\r\n");
    const at = this.#dice.int(1, lines.length - 4);
    [lines[at], lines[at + 1]] = [lines[at + 1]!, lines[at]!];
    return { text: lines.join("\r\n"), happenings: [] };
  }

  #doubledLogin(victim: string): Said {
    const said = this.#event({
      kind: "SuccessfulAuth",
      service: "PJSIP",
      account: "100\r\nSessionID: x",
      session: "y",
      remote: this.#remote(victim, "PJSIP"),
      tail: [["UsingPassword", "1"]],
    });
    return { ...said, happenings: [] };
  }

  /** 36 bytes of an account name in an event that costs nothing. */
  #forgedInAccount(victim: string): Said {
    const account = this.#dice.pick([
      "x\r\n\r\nEvent: SuccessfulAuth",
      "x\r\n\r\nResponse: Error",
      "x\r\n\r\nEvent: Shutdown",
      "x\rRemoteAddress: 9.9.9.9",
    ]);
    const said = this.#event({
      kind: "InvalidAccountID",
      service: "PJSIP",
      account,
      session: "z",
      remote: this.#remote(victim, "PJSIP"),
    }, { what: "unknown", address: victim, session: "z" });
    // Only a lone CR leaves the event as it is. Otherwise its last piece shows who has sent it.
    if (!account.includes("\n")) return said;
    return { ...said, happenings: [{ ...said.happenings[0]!, what: "not believed" }] };
  }

  /**
   * A stranger writes the whole rest of the event, with a victim's address, into an account name.
   */
  #forgedEnd(victim: string): Said {
    const forged = `1\r\nSessionID: 1\r\nLocalAddress: IPV4/UDP/1/1\r\nRemoteAddress: ${
      remoteOf(victim)
    }\r\nChallenge: 1\r\n\r\n`;
    const { text } = this.#event({
      kind: "ChallengeSent",
      service: "SIP",
      account: forged,
      session: this.#session("SIP"),
      remote: remoteOf("192.0.2.78"),
      tail: [["Challenge", "12345678"]],
    });
    const sender: Happening = {
      what: "not believed",
      address: "192.0.2.78",
      session: "",
      service: "SIP",
    };
    // In one piece: Asterisk writes it so.
    return { text, happenings: [sender], alone: true };
  }

  #passwordless(victim: string): Said {
    return this.#event({
      kind: "SuccessfulAuth",
      service: "SIP",
      session: this.#session("SIP"),
      remote: remoteOf(victim),
      tail: [["UsingPassword", "0"]],
    }, { what: "nothing", address: victim, session: "" });
  }

  #falseAnswer(): Said {
    return {
      text: "Response: Error\r\nActionID: 1\r\nMessage: Authentication failed\r\n\r\n",
      happenings: [],
    };
  }

  // Events

  #challenge(address: string, session: string, service: "PJSIP" | "SIP"): Said {
    const challenge = service === "PJSIP" ? "" : this.#unique();
    const said = this.#event({
      kind: "ChallengeSent",
      service,
      account: "1",
      session,
      remote: this.#remote(address, service),
      tail: [["Challenge", challenge]],
    }, { what: "challenge", address, session, challenge });
    if (service === "PJSIP") return said;
    // Ampere holds this one until something follows, or until it has been quiet for a moment.
    if (this.#dice.chance(0.4)) return { ...said, alone: true };
    return { ...said, text: said.text + filler(HELD_MAX).text, whole: said.text.length };
  }

  #wrong(
    address: string,
    session: string,
    transport = this.#transport(),
    account: string = this.#dice.pick(ACCOUNTS),
  ): Said {
    const challenge = `1795335836/${this.#unique()}`;
    const response = this.#unique().repeat(4);
    return this.#event({
      kind: "ChallengeResponseFailed",
      service: "PJSIP",
      account,
      session,
      remote: this.#remote(address, "PJSIP", transport),
      tail: [["Challenge", challenge], ["Response", response], ["ExpectedResponse", ""]],
    }, { what: "wrong", address, session, answer: response });
  }

  /** With an account so long that the event is not held back. */
  #sipWrong(address: string, session: string, account: string): Said {
    const challenge = this.#unique();
    const hash = this.#unique().repeat(4);
    return this.#event({
      kind: "InvalidPassword",
      service: "SIP",
      account,
      session,
      remote: this.#remote(address, "SIP"),
      tail: [["Challenge", challenge], ["ReceivedChallenge", challenge], ["ReceivedHash", hash]],
    }, { what: "wrong", address, session, challenge, answer: hash });
  }

  #event(fields: EventFields, happening?: Happening): Said {
    const { service, account = "100", remote } = fields;
    const transport = remote.split("/")[1]!;
    return {
      text: printEvent({ ...fields, account }),
      happenings: happening === undefined
        ? []
        : [{ ...happening, service: service as "AMI" | "PJSIP" | "SIP", account, transport }],
    };
  }

  #transport(): string {
    return this.#dice.pick(["UDP", "TCP", "TLS"]);
  }

  #remote(address: string, service: "PJSIP" | "SIP", transport = this.#transport()): string {
    // chan_sip prints the zone of a link-local address.
    const zone = service === "SIP" && address.startsWith("fe80:") ? "%eth0" : "";
    return remoteOf(address + zone, transport, this.#dice.int(1, 65_535));
  }

  #session(service: "AMI" | "PJSIP" | "SIP"): string {
    return service === "PJSIP" ? `call-${this.#unique()}@x` : `0x7f19${this.#unique()}`;
  }

  #unique(): string {
    return (++this.#serial).toString(16).padStart(8, "0");
  }

  #pause(): number {
    const dice = this.#dice;
    return dice.chance(0.1) ? dice.between(3_000, 8_000) : dice.between(0.5, 300);
  }
}

/** An event of no concern, with at least so many bytes. */
function filler(bytes: number): Said {
  return {
    text: `Event: PeerStatus\r\nPrivilege: system,all\r\nChannelType: SIP\r\nPeer: ${
      "p".repeat(Math.max(3, bytes))
    }\r\nPeerStatus: Registered\r\n\r\n`,
    happenings: [],
  };
}
