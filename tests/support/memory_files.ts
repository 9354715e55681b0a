/** Files in memory that are renamed, truncated and written, as those of a log are. */

import type { FileFacts, Files } from "../../src/logs/tail.ts";

interface Inode {
  readonly number: number;
  readonly born: number;
  text: string;
}

export class MemoryFiles implements Files {
  readonly #files = new Map<string, Inode>();
  #inodes = 0;
  /** Files that are open. */
  opened = 0;
  /** Time of day. */
  now = 0;
  /** What opening, or looking, throws. */
  trouble: Error | undefined;
  /** What opening throws, though it can be looked at. */
  openTrouble: Error | undefined;

  /** Opens a file for appending, as a writer does; it stays with the inode. */
  writer(path: string): (text: string) => void {
    let inode = this.#files.get(path);
    if (inode === undefined) {
      inode = { number: ++this.#inodes, born: this.now, text: "" };
      this.#files.set(path, inode);
    }
    const of = inode;
    return (text) => void (of.text += text);
  }

  rename(from: string, to: string): void {
    const inode = this.#files.get(from);
    if (inode === undefined) throw new Error(`no ${from}`);
    this.#files.set(to, inode);
    this.#files.delete(from);
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  truncate(path: string): void {
    this.#files.get(path)!.text = "";
  }

  remove(path: string): void {
    this.#files.delete(path);
  }

  time(): number {
    return this.now;
  }

  stat(path: string): FileFacts {
    if (this.trouble !== undefined) throw this.trouble;
    return factsOf(this.#find(path));
  }

  open(path: string): ReturnType<Files["open"]> {
    const trouble = this.trouble ?? this.openTrouble;
    if (trouble !== undefined) throw trouble;
    const inode = this.#find(path);
    this.opened++;
    return {
      stat: () => factsOf(inode),
      read: (into, at) => {
        const text = inode.text.slice(at, at + into.length);
        for (let i = 0; i < text.length; i++) into[i] = text.charCodeAt(i);
        return text.length;
      },
      close: () => void this.opened--,
    };
  }

  #find(path: string): Inode {
    const inode = this.#files.get(path);
    if (inode === undefined) throw new Deno.errors.NotFound(path);
    return inode;
  }
}

function factsOf({ number, born, text }: Inode): FileFacts {
  return { isFile: true, size: text.length, born, identity: `1 ${number}` };
}
