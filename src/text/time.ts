/**
 * The time of day as an administrator reads it.
 *
 * @module
 */

/**
 * A point in time as people read it.
 *
 * @param epochMs Milliseconds since 1970.
 * @returns `YYYY-MM-DD HH:MM:SS` in local time.
 */
export function formatLocalTime(epochMs: number): string {
  const second = Math.floor(epochMs / 1000);
  if (second !== formattedSecond) {
    formattedSecond = second;
    formattedTime = formatTime(epochMs);
  }
  return formattedTime;
}

/**
 * A day, where the hour does not matter.
 *
 * @param epochMs Milliseconds since 1970.
 * @returns `YYYY-MM-DD` in UTC.
 */
export function formatDay(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10);
}

/** What was asked for last: a burst of lines, or an import of blocks, has the same second. */
let formattedSecond = NaN;

let formattedTime = "";

function formatTime(epochMs: number): string {
  const time = new Date(epochMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = [
    String(time.getFullYear()).padStart(4, "0"),
    two(time.getMonth() + 1),
    two(time.getDate()),
  ].join("-");
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}
