/** Visitors of the status page: loads what it is told to, and measures. */

/// <reference lib="deno.worker" />

import type { Errand } from "../visitors.ts";

/** Longest time for a load, in milliseconds. */
const LOAD_MS = 60_000;

let isCalledBack = false;

self.onmessage = async ({ data }: MessageEvent<Errand | null>) => {
  isCalledBack = data === null;
  if (data === null) return;
  const firstByteMs: number[] = [];
  const wholeMs: number[] = [];
  let [begun, bytes, failed] = [0, 0, 0];
  const visitor = async () => {
    while (!isCalledBack && begun < data.loads) {
      begun++;
      const start = performance.now();
      try {
        const load = await loadPage(data.port, data.path);
        firstByteMs.push(load.firstByteAt - start);
        wholeMs.push(performance.now() - start);
        bytes = Math.max(bytes, load.bytes);
        if (!load.isWhole) failed++;
      } catch {
        failed++;
      }
      if (data.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, data.pauseMs));
    }
  };
  await Promise.all(Array.from({ length: data.together }, visitor));
  self.postMessage({ firstByteMs, wholeMs, bytes, failed });
};

async function loadPage(port: number, path: string) {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const limit = setTimeout(() => connection.close(), LOAD_MS);
  try {
    const request = `GET ${path} HTTP/1.0\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
    await connection.write(new TextEncoder().encode(request));
    const buffer = new Uint8Array(65_536);
    let [bytes, firstByteAt] = [0, 0];
    let [head, tail] = ["", ""];
    for (let count; (count = await connection.read(buffer)) !== null; bytes += count) {
      const text = new TextDecoder("latin1").decode(buffer.subarray(0, count));
      if (bytes === 0) [firstByteAt, head] = [performance.now(), text.slice(0, 20)];
      tail = (tail + text).slice(-20);
    }
    const isWhole = head.startsWith("HTTP/1.1 200 ") && tail.trimEnd().endsWith("</html>");
    return { bytes, firstByteAt, isWhole };
  } finally {
    clearTimeout(limit);
    connection.close();
  }
}
