/**
 * What fail2ban's files say about its jails: jail.conf, jail.d and jail.local, as fail2ban reads
 * them.
 *
 * @module
 */

/** A file of fail2ban. */
export interface JailFile {
  /** Its name below `/etc/fail2ban`. */
  readonly name: string;
  /** The text. */
  readonly text: string;
}

/** A value, and where it stands. */
export interface Setting {
  /** The value, with all that it refers to. */
  readonly value: string;
  /** The file, below `/etc/fail2ban`. */
  readonly file: string;
  /** The line, the first is 1. */
  readonly line: number;
  /** The section: a jail, or `DEFAULT` for all of them. */
  readonly section: string;
}

/** Where jails are without a name of their own. */
const DEFAULT = "DEFAULT";

/** Sections that are no jails. */
const NO_JAILS: ReadonlySet<string> = new Set([DEFAULT, "INCLUDES", "KNOWN"]);

/** How often a value may refer to another one, which refers to another one. */
const DEPTH_MAX = 10;

/** Longest value, in characters: references to references grow. */
const VALUE_CHARACTERS_MAX = 65_536;

/** `%(key)s`, `%(section/key)s`. */
const REFERENCE = /%\(([^()]{1,200})\)s/g;

/** All jails of some files. */
export class Jails {
  readonly #sections = new Map<string, Map<string, Setting>>();

  /**
   * Reads the files.
   *
   * @param files In the order in which fail2ban reads them: the later wins.
   */
  constructor(files: readonly JailFile[]) {
    for (const file of files) this.#read(file);
  }

  /** The names of all jails, in their order. */
  get names(): string[] {
    return [...this.#sections.keys()].filter((name) => !NO_JAILS.has(name));
  }

  /**
   * A setting of a jail, its own or that of all.
   *
   * @param jail The jail.
   * @param key The key, in small letters.
   * @returns `undefined` if nobody says it.
   */
  setting(jail: string, key: string): Setting | undefined {
    const found = this.#find(jail, key);
    return found === undefined ? undefined : { ...found, value: this.#resolve(jail, found.value) };
  }

  /**
   * Whether a jail watches Asterisk: by its filter, or by its name.
   *
   * @param jail The jail.
   */
  isOfAsterisk(jail: string): boolean {
    const filter = this.setting(jail, "filter")?.value ?? jail;
    return [filter, jail].some((name) => /^asterisk/i.test(name));
  }

  /**
   * Whether a jail is switched on.
   *
   * @param jail The jail.
   */
  isEnabled(jail: string): boolean {
    return /^(?:true|yes|on|1)$/i.test(this.setting(jail, "enabled")?.value ?? "");
  }

  #find(jail: string, key: string): Setting | undefined {
    return this.#sections.get(jail)?.get(key) ?? this.#sections.get(DEFAULT)?.get(key);
  }

  #resolve(jail: string, value: string, depth = 0): string {
    if (depth === DEPTH_MAX || !value.includes("%")) return value;
    const resolved = value.replace(REFERENCE, (whole, name: string) => {
      if (name === "__name__") return jail;
      const [section, key] = name.includes("/")
        ? name.split("/", 2) as [string, string]
        : [jail, name];
      const of = section.toLowerCase() === "default" ? DEFAULT : section;
      const found = this.#find(of, key.toLowerCase());
      return found === undefined ? whole : found.value;
    });
    if (resolved === value || resolved.length > VALUE_CHARACTERS_MAX) return value;
    return this.#resolve(jail, resolved, depth + 1);
  }

  #read({ name: file, text }: JailFile): void {
    let section = DEFAULT;
    let last: { keys: Map<string, Setting>; key: string } | undefined;
    text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/).forEach((raw, index) => {
      const comment = /^\s*[#;]/.test(raw);
      if (comment || raw.trim() === "") return;
      const content = raw.replace(/\s;.*$/, "").trimEnd();
      if (/^\s/.test(raw) && last !== undefined) {
        const { keys, key } = last;
        const before = keys.get(key)!;
        keys.set(key, { ...before, value: `${before.value}\n${content.trim()}`.trimStart() });
        return;
      }
      const header = /^\[([^\]]+)\]/.exec(content);
      if (header !== null) {
        section = header[1]!;
        last = undefined;
        if (!this.#sections.has(section)) this.#sections.set(section, new Map());
        return;
      }
      const pair = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(content);
      if (pair === null) return;
      const keys = this.#sections.get(section) ?? new Map<string, Setting>();
      this.#sections.set(section, keys);
      const key = pair[1]!.trim().toLowerCase();
      keys.set(key, { value: pair[2]!, file, line: index + 1, section });
      last = { keys, key };
    });
  }
}

/** Seconds in each unit, by what it begins with. */
const UNITS: readonly (readonly [begin: RegExp, seconds: number])[] = [
  [/^y/, 31_557_600],
  [/^mo/, 2_629_800],
  [/^w/, 604_800],
  [/^d/, 86_400],
  [/^h/, 3_600],
  [/^m/, 60],
  [/^s/, 1],
];

/**
 * Reads a length of time of fail2ban: `600`, `10m`, `1d 12h`, `2 weeks`, `-1`.
 *
 * @param text The text.
 * @returns Seconds, negative for ever; `undefined` if it is not one, or a formula.
 *
 * @example
 * ```ts
 * import { readTime } from "./jails.ts";
 *
 * readTime("1d 12h"); // 129600
 * readTime("1mo"); // 2629800
 * readTime("bantime * 2"); // undefined
 * ```
 */
export function readTime(text: string): number | undefined {
  const trimmed = text.trim().toLowerCase();
  if (/^-?\d{1,12}$/.test(trimmed)) return Number(trimmed);
  if (!/^(?:\d{1,9}\s*[a-z]+\s*)+$/.test(trimmed)) return undefined;
  let seconds = 0;
  for (const [, count, unit = ""] of trimmed.matchAll(/(\d+)\s*([a-z]+)/g)) {
    const length = UNITS.find(([begin]) => begin.test(unit))?.[1];
    if (length === undefined) return undefined;
    seconds += Number(count) * length;
  }
  return seconds;
}
