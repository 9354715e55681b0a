/**
 * IP addresses and networks as text that is safe to give to a firewall command.
 *
 * This module is the only gate between text that a stranger can influence and the argument of a
 * command: whatever passes {@linkcode parseAddress} or {@linkcode parseTarget} is written anew from
 * its bits, so that it can hold nothing but digits, `a` to `f`, `.`, `:` and one `/`.
 *
 * A _target_ is the canonical text of an address or a network, as the two functions return it: it
 * is what a rule blocks, what the block list keeps, what the trust list holds. Two texts of the
 * same network have the same target, so targets may be compared with `===`.
 *
 * @module
 */

/** Version of the Internet Protocol. */
export type Family = 4 | 6;

/** Bits of an address. */
export const WIDTH: Readonly<Record<Family, number>> = { 4: 32, 6: 128 };

/**
 * Longest text of an IPv6 address: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`, in characters.
 */
const IPV6_TEXT_MAX = 45;

/** 16-bit groups of an IPv6 address. */
const IPV6_GROUPS = 8;

/**
 * Bits before the IPv4 address in an IPv4-mapped IPv6 address (`::ffff:0:0/96`, RFC 4291, 2.5.5.2).
 */
const MAPPED_PREFIX = 96;

/**
 * A zone of a link-local address: the name or the number of an interface. Linux allows 15 bytes
 * (IFNAMSIZ 16 with the closing NUL); of the characters that it allows only these are usual.
 */
const ZONE = /^[A-Za-z0-9_.:@-]{1,15}$/;

/** A prefix length without sign and leading zeros; its bound depends on the family. */
const PREFIX_LENGTH = /^(?:0|[1-9][0-9]{0,2})$/;

const DIGIT_0 = 0x30;

const DOT = 0x2e;

/** A network; an address is a network with the full prefix. Bits after the prefix are zero. */
export interface Network {
  readonly family: Family;
  /** 32-bit unsigned words, the first is the most significant: one for IPv4, four for IPv6. */
  readonly words: readonly number[];
  /** Bits that are fixed. */
  readonly prefix: number;
}

/**
 * Reads one IP address.
 *
 * Strict: an IPv4 address is four decimal numbers without leading zeros (so neither `010.0.0.1` nor
 * `0x7f.1` nor `127.1` is one); an IPv6 address is as in RFC 4291, section 2.2. An IPv4-mapped IPv6
 * address is the IPv4 address that it stands for. A zone (`fe80::1%eth0`) is accepted on link-local
 * addresses (fe80::/10) and dropped: rules of a firewall know none.
 *
 * @param text The text, without white space around it.
 * @returns The canonical text (dotted quad, or RFC 5952), `undefined` if it is not an address.
 *
 * @example
 * ```ts
 * import { parseAddress } from "./address.ts";
 *
 * parseAddress("2001:DB8:0:0::1"); // "2001:db8::1"
 * parseAddress("::ffff:192.0.2.7"); // "192.0.2.7"
 * parseAddress("192.0.2.07"); // undefined
 * ```
 */
export function parseAddress(text: string): string | undefined {
  const address = readAddress(text);
  return address && writeNetwork(address);
}

/**
 * Reads an address or a network in CIDR notation.
 *
 * Bits after the prefix are masked away; the full prefix (/32, /128) is left out of the result; a
 * network of IPv4-mapped addresses (`::ffff:192.0.2.0/120`) is the IPv4 network that it stands for.
 * A prefix must be a decimal number without sign and leading zeros; masks (`/255.0.0.0`) are
 * refused, and so is a zone together with a prefix.
 *
 * @param text The text, without white space around it.
 * @returns The target, `undefined` if it is neither an address nor a network.
 *
 * @example
 * ```ts
 * import { parseTarget } from "./address.ts";
 *
 * parseTarget("10.1.2.3/8"); // "10.0.0.0/8"
 * parseTarget("192.0.2.7/32"); // "192.0.2.7"
 * parseTarget("10.0.0.0/33"); // undefined
 * ```
 */
export function parseTarget(text: string): string | undefined {
  const network = readNetwork(text);
  return network && writeNetwork(network);
}

/**
 * The family of a target.
 *
 * @param target A canonical target.
 * @returns 4 or 6.
 */
export function familyOf(target: string): Family {
  return target.includes(":") ? 6 : 4;
}

/**
 * The network of a given prefix that contains an address.
 *
 * @param address A canonical address.
 * @param prefix Number of bits that are kept: 0 to 32 for IPv4, 0 to 128 for IPv6.
 * @returns The target.
 * @throws {RangeError} If the prefix does not fit the family of the address.
 * @throws {TypeError} If `address` is not an address.
 *
 * @example
 * ```ts
 * import { networkOf } from "./address.ts";
 *
 * networkOf("2001:db8:1:2:3::4", 64); // "2001:db8:1:2::/64"
 * ```
 */
export function networkOf(address: string, prefix: number): string {
  const { family, words } = expectAddress(address);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > WIDTH[family]) {
    throw new RangeError(`a prefix of IPv${family} is 0 to ${WIDTH[family]}, not ${prefix}`);
  }
  return writeNetwork({ family, words: masked(words, prefix), prefix });
}

/**
 * Whether an address is in a target.
 *
 * @param target A canonical target.
 * @param address A canonical address.
 * @returns `true` if the target is the address or a network that contains it.
 * @throws {TypeError} If one of the two is not what it has to be.
 */
export function contains(target: string, address: string): boolean {
  return rangesMeet(expectNetwork(target), expectAddress(address));
}

/**
 * Whether two targets have an address in common. As networks never overlap in part, one of them
 * then contains the other.
 *
 * @param a A canonical target.
 * @param b A canonical target.
 * @returns `true` if they share at least one address.
 * @throws {TypeError} If one of the two is not a target.
 */
export function overlaps(a: string, b: string): boolean {
  return rangesMeet(expectNetwork(a), expectNetwork(b));
}

/**
 * Whether an address is one of this machine's loopback addresses: 127.0.0.0/8 or ::1.
 *
 * @param address A canonical address.
 * @returns `true` for a loopback address.
 * @throws {TypeError} If it is not an address.
 */
export function isLoopback(address: string): boolean {
  const { family, words } = expectAddress(address);
  if (family === 4) return words[0]! >>> 24 === 127;
  return words[3] === 1 && words[2] === 0 && words[1] === 0 && words[0] === 0;
}

/**
 * The IPv4 address in the last 32 bits of an IPv6 address, as NAT64 puts it there (RFC 6052).
 *
 * @param address A canonical IPv6 address.
 * @returns The canonical IPv4 address.
 * @throws {TypeError} If it is not an IPv6 address.
 *
 * @example
 * ```ts
 * import { ipv4In } from "./address.ts";
 *
 * ipv4In("64:ff9b::cb00:7107"); // "203.0.113.7"
 * ```
 */
export function ipv4In(address: string): string {
  const { family, words } = expectAddress(address);
  if (family !== 6) throw new TypeError(`"${address}" is not an IPv6 address`);
  return writeNetwork({ family: 4, words: [words[3]!], prefix: WIDTH[4] });
}

/**
 * The addresses of this machine's network interfaces, loopback included.
 *
 * @returns Canonical addresses, each once, in the order of the interfaces.
 * @throws {Error} If the system does not tell them, or Deno's permission
 *   `--allow-sys=networkInterfaces` is missing.
 */
export function ownAddresses(): string[] {
  let interfaces: Deno.NetworkInterfaceInfo[];
  try {
    interfaces = Deno.networkInterfaces();
  } catch (error) {
    const reason = error instanceof Deno.errors.NotCapable
      ? "this build lacks the permission --allow-sys=networkInterfaces"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new Error(`the addresses of this machine cannot be read: ${reason}`, { cause: error });
  }
  const addresses = new Set<string>();
  for (const { address } of interfaces) {
    const canonical = parseAddress(address);
    if (canonical !== undefined) addresses.add(canonical);
  }
  return [...addresses];
}

/**
 * The networks that hold a target and more, from the narrowest to all addresses of its family.
 *
 * @param target A canonical target.
 * @throws {TypeError} If it is not a target.
 *
 * @example
 * ```ts
 * import { networksAround } from "./address.ts";
 *
 * networksAround("192.0.2.1")[7]; // "192.0.2.0/24"
 * ```
 */
export function networksAround(target: string): string[] {
  const { family, words, prefix } = expectNetwork(target);
  return Array.from({ length: prefix }, (_, i) => {
    const wider = prefix - 1 - i;
    return writeNetwork({ family, words: masked(words, wider), prefix: wider });
  });
}

// --- reading -------------------------------------------------------------------------------------

/** Reads an address with an optional zone; IPv4-mapped addresses become IPv4. */
export function readAddress(text: string): Network | undefined {
  if (!text.includes(":")) {
    const word = readIpv4(text);
    return word === undefined ? undefined : { family: 4, words: [word], prefix: WIDTH[4] };
  }
  const percent = text.indexOf("%");
  const words = readIpv6(percent === -1 ? text : text.slice(0, percent));
  if (words === undefined) return undefined;
  if (percent !== -1 && !(isLinkLocal(words) && ZONE.test(text.slice(percent + 1)))) {
    return undefined;
  }
  return unmapped(words, WIDTH[6]);
}

/** Reads an address or a network in CIDR notation. */
function readNetwork(text: string): Network | undefined {
  const slash = text.indexOf("/");
  if (slash === -1) return readAddress(text);
  const prefixText = text.slice(slash + 1);
  if (!PREFIX_LENGTH.test(prefixText)) return undefined;
  const prefix = Number(prefixText);
  const addressText = text.slice(0, slash);
  if (!addressText.includes(":")) {
    const word = readIpv4(addressText);
    if (word === undefined || prefix > WIDTH[4]) return undefined;
    return { family: 4, words: masked([word], prefix), prefix };
  }
  const words = readIpv6(addressText);
  if (words === undefined || prefix > WIDTH[6]) return undefined;
  return unmapped(masked(words, prefix), prefix);
}

/** Reads a dotted quad into an unsigned 32-bit number. */
export function readIpv4(text: string): number | undefined {
  const length = text.length;
  if (length < 7 || length > 15) return undefined;
  let address = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (digits === 0 || ++dots > 3) return undefined;
      address = address * 256 + part;
      part = 0;
      digits = 0;
      continue;
    }
    const digit = code - DIGIT_0;
    if (digit < 0 || digit > 9) return undefined;
    // A zero in front of another digit: an octal number to some programs, so to nobody here.
    if (digits > 0 && part === 0) return undefined;
    part = part * 10 + digit;
    if (part > 255) return undefined;
    digits++;
  }
  return dots === 3 && digits > 0 ? address * 256 + part : undefined;
}

/** Reads an IPv6 address without zone into four unsigned 32-bit words. */
function readIpv6(text: string): number[] | undefined {
  if (text.length > IPV6_TEXT_MAX) return undefined;
  const gap = text.indexOf("::");
  const groups: number[] = [];
  if (gap === -1) {
    if (!readGroups(text, groups, true) || groups.length !== IPV6_GROUPS) return undefined;
  } else {
    const tail: number[] = [];
    if (gap > 0 && !readGroups(text.slice(0, gap), groups, false)) return undefined;
    if (gap + 2 < text.length && !readGroups(text.slice(gap + 2), tail, true)) return undefined;
    const zeros = IPV6_GROUPS - groups.length - tail.length;
    if (zeros < 1) return undefined;
    for (let i = 0; i < zeros; i++) groups.push(0);
    groups.push(...tail);
  }
  const words: number[] = [];
  for (let i = 0; i < IPV6_GROUPS; i += 2) words.push(groups[i]! * 0x10000 + groups[i + 1]!);
  return words;
}

/**
 * Reads groups of up to four hexadecimal digits, separated by single colons.
 *
 * @param groups Where they are appended.
 * @param endsAddress The text reaches to the end of the address, where a dotted quad may stand.
 * @returns `false` if the text is something else.
 */
function readGroups(text: string, groups: number[], endsAddress: boolean): boolean {
  const parts = text.split(":");
  if (parts.length > IPV6_GROUPS) return false;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    if (endsAddress && i === parts.length - 1 && part.includes(".")) {
      const quad = readIpv4(part);
      if (quad === undefined) return false;
      groups.push(quad >>> 16, quad & 0xffff);
    } else {
      const group = readGroup(part);
      if (group === undefined) return false;
      groups.push(group);
    }
  }
  return true;
}

/** Reads one to four hexadecimal digits. */
function readGroup(text: string): number | undefined {
  if (text.length < 1 || text.length > 4) return undefined;
  let group = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = hexDigit(text.charCodeAt(i));
    if (digit === -1) return undefined;
    group = group * 16 + digit;
  }
  return group;
}

/** The value of a hexadecimal digit, -1 if the character is none. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30; // 0-9
  if (code >= 0x61 && code <= 0x66) return code - 0x57; // a-f
  if (code >= 0x41 && code <= 0x46) return code - 0x37; // A-F
  return -1;
}

/** Whether an IPv6 address is in fe80::/10. */
function isLinkLocal(words: readonly number[]): boolean {
  return words[0]! >>> 22 === 0xfe80 >>> 6;
}

/** An IPv6 network, or the IPv4 network if all its addresses are IPv4-mapped. */
function unmapped(words: readonly number[], prefix: number): Network {
  const isMapped = prefix >= MAPPED_PREFIX && words[0] === 0 && words[1] === 0 &&
    words[2] === 0xffff;
  return isMapped
    ? { family: 4, words: [words[3]!], prefix: prefix - MAPPED_PREFIX }
    : { family: 6, words, prefix };
}

/** Reads a target of which the caller promises that it is one. */
export function expectNetwork(target: string): Network {
  const network = readNetwork(target);
  if (network === undefined) {
    throw new TypeError(`not an address or network: ${JSON.stringify(target).slice(0, 80)}`);
  }
  return network;
}

/** Reads an address of which the caller promises that it is one. */
function expectAddress(address: string): Network {
  const network = readAddress(address);
  if (network === undefined) {
    throw new TypeError(`not an address: ${JSON.stringify(address).slice(0, 80)}`);
  }
  return network;
}

// --- writing -------------------------------------------------------------------------------------

export function writeNetwork({ family, words, prefix }: Network): string {
  const address = family === 4 ? writeIpv4(words[0]!) : writeIpv6(words);
  return prefix === WIDTH[family] ? address : `${address}/${prefix}`;
}

function writeIpv4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/** Writes an address as RFC 5952 wants it, without dotted quads. */
function writeIpv6(words: readonly number[]): string {
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  // The longest run of two or more zero groups is left out; of equal ones the first.
  let start = 0;
  let length = 1;
  for (let i = 0; i < IPV6_GROUPS; i++) {
    let end = i;
    while (end < IPV6_GROUPS && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    if (end > i) i = end;
  }
  // No function for each group: those of the networks around a few addresses are enough to make V8
  // optimize it, and an idle Ampere has 5 MB of V8's compiler in memory for that.
  let text = "";
  for (let i = 0; i < IPV6_GROUPS; i++) {
    if (length > 1 && i === start) {
      text += "::";
      i += length - 1;
    } else {
      if (text !== "" && !text.endsWith(":")) text += ":";
      text += groups[i]!.toString(16);
    }
  }
  return text;
}

// --- bits ----------------------------------------------------------------------------------------

/** The bits of the word at `index` that a prefix fixes, as an unsigned mask. */
export function maskOfWord(prefix: number, index: number): number {
  const bits = Math.min(Math.max(prefix - 32 * index, 0), 32);
  // A shift by 32 does nothing in JavaScript, hence the case of its own.
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
}

function masked(words: readonly number[], prefix: number): number[] {
  return words.map((word, i) => (word & maskOfWord(prefix, i)) >>> 0);
}

/** Whether two networks share an address: they agree in the bits that both fix. */
function rangesMeet(a: Network, b: Network): boolean {
  if (a.family !== b.family) return false;
  const prefix = Math.min(a.prefix, b.prefix);
  return a.words.every((word, i) => ((word ^ b.words[i]!) & maskOfWord(prefix, i)) === 0);
}

/** The text of an IPv4 address that is kept as a signed 32-bit number. */
export function ipv4Text(host: number): string {
  return `${host >>> 24}.${(host >>> 16) & 255}.${(host >>> 8) & 255}.${host & 255}`;
}

/** The signed 32-bit number of an IPv4 address in canonical text. */
export function ipv4Number(address: string): number {
  return address.split(".").reduce((value, part) => (value << 8) | Number(part), 0);
}
