/** Spellings of addresses for the tests of properties. */

import fc from "fast-check";
import { familyOf, parseAddress, parseTarget } from "../../src/address/address.ts";

export const groups = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constant(0xffff) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
  ),
  { minLength: 8, maxLength: 8 },
);

/**
 * Any spelling of a valid IPv6 address: upper case, zeros in front, a gap or none, a dotted quad.
 */
export const ipv6Spelling = fc.tuple(
  groups,
  fc.nat(7),
  fc.nat(8),
  fc.boolean(),
  fc.boolean(),
  fc.boolean(),
).map(([values, gapStart, gapLength, upper, padded, quad]) => {
  const parts = values.map((value, i) =>
    i >= gapStart && i < gapStart + gapLength
      ? ""
      : padded
      ? value.toString(16).padStart(4, "0")
      : value.toString(16)
  );
  const end = Math.min(gapStart + gapLength, 8);
  let last = 8;
  if (quad && end <= 6) {
    const [high, low] = [values[6]!, values[7]!];
    parts[6] = `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
    last = 7;
  }
  const text = gapLength === 0
    ? parts.slice(0, last).join(":")
    : `${parts.slice(0, gapStart).join(":")}::${parts.slice(end, last).join(":")}`;
  return upper ? text.toUpperCase() : text;
});

export const ipv4Spelling = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
  .map((parts) => parts.join("."));

/** Addresses that are often near to each other, so that networks contain some of them. */
export const nearAddress = fc.oneof(
  fc.tuple(fc.constantFrom(10, 127, 192), fc.constantFrom(0, 255), fc.nat(3), fc.nat(255))
    .map((parts) => parts.join(".")),
  ipv4Spelling,
  fc.tuple(fc.constantFrom("2001:db8:", "2001:db8:8000:", "fe80:"), fc.nat(0xffff))
    .map(([head, tail]) => `${head}:${tail.toString(16)}`),
  ipv6Spelling,
).map((text) => parseAddress(text)!);

export const nearTarget = fc.tuple(nearAddress, fc.nat(128), fc.boolean()).map((
  [address, bits, whole],
) => whole ? address : parseTarget(`${address}/${familyOf(address) === 4 ? bits % 33 : bits}`)!);
