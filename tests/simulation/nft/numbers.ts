/**
 * Addresses as numbers, apart from what the code under test makes of them.
 *
 * @module
 */

/**
 * An address as a number.
 *
 * @param address Canonical.
 */
export function numberOf(address: string): bigint {
  if (!address.includes(":")) {
    return address.split(".").reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
  }
  const [head = "", tail] = address.split("::");
  const words = (text: string) => text === "" ? [] : text.split(":");
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array<string>(zeros).fill("0"), ...after]
    .reduce((sum, word) => (sum << 16n) | BigInt(`0x${word}`), 0n);
}

/**
 * Whether an address is in a network, or is it.
 *
 * @param address Canonical.
 * @param target An address or a network, canonical.
 */
export function isWithin(address: string, target: string): boolean {
  const [first = "", length] = target.split("/");
  if (address.includes(":") !== first.includes(":")) return false;
  if (length === undefined) return address === first;
  const width = address.includes(":") ? 128 : 32;
  const shift = BigInt(width - Number(length));
  return numberOf(address) >> shift === numberOf(first) >> shift;
}
