/**
 * Medians and percentiles.
 *
 * @module
 */

/**
 * The value below which a share of the values lies (nearest rank).
 *
 * @param values in any order, at least one
 * @param share from 0 to 1
 */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError("no values");
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

/**
 * The median.
 *
 * @param values in any order, at least one
 */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/**
 * The area below a curve that is given by points, with straight lines between them.
 *
 * @param points in the order of x
 */
export function areaBelow(points: readonly (readonly [x: number, y: number])[]): number {
  let area = 0;
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1]!;
    const [x1, y1] = points[i]!;
    area += (x1 - x0) * (y0 + y1) / 2;
  }
  return area;
}
