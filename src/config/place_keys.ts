/**
 * The rules of the keys that are about places: which countries and networks there are.
 *
 * @module
 */

import { shown } from "./shown_value.ts";

/** The codes of ISO 3166-1 (2024), and XK, which files of places have for Kosovo. */
const COUNTRIES: ReadonlySet<string> = new Set(
  ("AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR " +
    "BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO " +
    "DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT " +
    "GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP " +
    "KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR " +
    "MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN " +
    "PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX " +
    "SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN " +
    "VU WF WS XK YE YT ZA ZM ZW").split(" "),
);

/** What people write, and what it is. */
const MEANT: Readonly<Record<string, string>> = { UK: "GB", EL: "GR", EN: "GB" };

/** The number of a network, with or without the letters before it. */
const NETWORK_NUMBER = /^(?:AS)?([1-9][0-9]{0,9})$/i;

/** Largest number of a network (RFC 6793). */
const NETWORK_NUMBER_MAX = 4_294_967_295;

/** Most networks of `asn_strict`. */
const ASN_STRICT_MAX = 1_000;

/**
 * Reads countries with commas between them.
 *
 * @param value The value of the key.
 * @param take Gets their codes, each once.
 * @returns What is wrong; `undefined` if nothing is.
 */
export function readCountries(
  value: string,
  take: (codes: readonly string[]) => void,
): string | undefined {
  const codes: string[] = [];
  for (const part of value.split(",").map((one) => one.trim())) {
    const code = part.toUpperCase();
    const meant = MEANT[code];
    if (meant !== undefined) return `${shown(part)} is no code of ISO 3166-1; write ${meant}`;
    if (!/^[A-Za-z]{2}$/.test(part) || !COUNTRIES.has(code)) {
      return `${
        shown(part)
      } is not a country: two letters of ISO 3166-1, such as DE, with commas between them, or off`;
    }
    codes.push(code);
  }
  take([...new Set(codes)]);
  return undefined;
}

/**
 * Reads numbers of networks with commas between them.
 *
 * @param value The value of the key.
 * @param before Those of earlier lines.
 * @param take Gets all of them, each once.
 * @returns What is wrong; `undefined` if nothing is.
 */
export function readNetworkNumbers(
  value: string,
  before: readonly number[],
  take: (numbers: readonly number[]) => void,
): string | undefined {
  const numbers = new Set(before);
  for (const part of value.split(",").map((one) => one.trim())) {
    const number = Number(NETWORK_NUMBER.exec(part)?.[1] ?? NaN);
    if (!(number <= NETWORK_NUMBER_MAX)) {
      return `${
        shown(part)
      } is not the number of a network: 1 to ${NETWORK_NUMBER_MAX}, such as 14061 or AS14061, with commas ` +
        "between them, or off";
    }
    numbers.add(number);
  }
  if (numbers.size > ASN_STRICT_MAX) return `more than ${ASN_STRICT_MAX} networks`;
  take([...numbers]);
  return undefined;
}
