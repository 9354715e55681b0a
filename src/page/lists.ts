/**
 * All blocks for other firewalls: addresses and ends, and nothing else.
 *
 * @module
 */

import { familyOf } from "../address/address.ts";
import { type Block, hasEnded } from "../blocks/block.ts";
import type { Answer, Request } from "./http.ts";
import { SECURITY_HEADERS } from "./layout.ts";
import type { Budget } from "./budget.ts";

/** A piece of the list, in characters. */
const PIECE = 65_536;

/** The lists, by their paths, each with what it is sent as. */
export const LIST_TYPES: Readonly<Record<string, string>> = {
  "/blocks.txt": "text/plain; charset=utf-8",
  "/blocks.json": "application/json",
};

/** What a list is made of. */
interface ListParts {
  readonly blocks: () => Iterable<Block>;
  readonly budget: Budget;
  /** Another one after each change of the list. */
  readonly version: string;
  /** Time of day, in milliseconds since 1970. */
  readonly now: number;
}

/**
 * A list as an answer; none if it has not changed since the visitor had it.
 *
 * @param request What was asked for; `family=4` or `family=6` leaves the other one out.
 * @param parts What it is made of.
 */
export function listAnswer(request: Request, parts: ListParts): Answer {
  const asked = request.query.get("family");
  const family = asked === "4" ? 4 : asked === "6" ? 6 : undefined;
  const etag = `"${parts.version}-${family ?? "all"}"`;
  const headers = { ...SECURITY_HEADERS, "Cache-Control": "no-cache", "ETag": etag };
  const known = (request.headers.get("if-none-match") ?? "").split(",").map((one) =>
    one.trim().replace(/^W\//, "")
  );
  if (known.includes(etag) || known.includes("*")) return { status: 304, headers };
  const isWanted = (block: Block) =>
    !hasEnded(block, parts.now) && (family === undefined || familyOf(block.target) === family);
  const body = request.path === "/blocks.json"
    ? pieces(parts, isWanted, asJson, '{"blocks":[\n', "\n]}\n", ",\n")
    : pieces(parts, isWanted, ({ target }) => target, "", "\n", "\n");
  return { status: 200, type: LIST_TYPES[request.path]!, headers, body };
}

function asJson({ target, until }: Block): string {
  const end = until === undefined ? "null" : `"${new Date(until).toISOString()}"`;
  return `{"address":"${target}","until":${end}}`;
}

/** The list piece by piece, so that a million blocks are never one text. */
async function* pieces(
  { blocks, budget }: ListParts,
  isWanted: (block: Block) => boolean,
  format: (block: Block) => string,
  begin: string,
  end: string,
  between: string,
): AsyncGenerator<string> {
  const all = blocks()[Symbol.iterator]();
  let text = begin;
  let isFirst = true;
  let isOver = false;
  while (!isOver) {
    await budget.inTurns(() => {
      const { done, value } = all.next();
      if (done === true) {
        isOver = true;
        return false;
      }
      if (isWanted(value)) {
        text += (isFirst ? "" : between) + format(value);
        isFirst = false;
      }
      return text.length < PIECE;
    });
    if (!isOver) {
      yield text;
      text = "";
    }
  }
  // An empty list is an empty text.
  yield isFirst && begin === "" ? "" : text + end;
}
