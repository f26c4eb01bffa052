// The root against one leaf, the others as they are, and the tangent whose slope is the gradient.

import { evaluate, gradientsAt } from "./graph.mjs";

const SAMPLES = 160;

/** The root at evenly spaced numbers of leaf k; NaN where it has no value. */
export function samples(graph, point, k, from, to) {
  return Array.from({ length: SAMPLES + 1 }, (_, i) => {
    const x = from + ((to - from) * i) / SAMPLES;
    const { culprit, root } = evaluate(graph, point.with(k, x));
    return [x, culprit === undefined ? root : NaN];
  });
}

/** The heights that are shown: all, but where a pole would make the rest flat those of its middle. */
function heights(points, value) {
  const known = points.map(([, y]) => y).filter(Number.isFinite).toSorted((a, b) => a - b);
  if (!known.length) return [-1, 1];
  const at = (share) => known[Math.round(share * (known.length - 1))];
  const spare = 2 * (at(0.9) - at(0.1));
  const seen = Number.isFinite(value) ? [value] : [];
  const low = Math.min(Math.max(at(0), at(0.1) - spare), ...seen);
  const high = Math.max(Math.min(at(1), at(0.9) + spare), ...seen);
  const margin = 0.06 * (high - low) || Math.max(1, Math.abs(high)) * 0.5;
  return [low - margin, high + margin];
}

/** The curve of `points` in a box of that size: its path, the point where the leaf is, and the tangent there. */
export function plot(graph, { numbers, point }, k, points, width, height) {
  const value = numbers.culprit === undefined ? numbers.root : NaN;
  const slope = gradientsAt(graph, numbers).sums[graph.leaves[k]];
  const [low, high] = heights(points, value);
  const [[from], [to]] = [points[0], points.at(-1)];
  const across = (x) => ((x - from) / (to - from)) * width;
  const down = (y) => ((high - y) / (high - low)) * height;
  const drawn = (y) => Math.min(Math.max(down(y), -height), 2 * height).toFixed(1);
  const side = (y) => (y > high) - (y < low);
  const path = points.map(([x, y], i) => {
    if (!Number.isFinite(y)) return "";
    const before = i ? points[i - 1][1] : NaN;
    const joined = Number.isFinite(before) && side(before) * side(y) >= 0; // else there is a pole between
    return `${joined ? "L" : "M"}${across(x).toFixed(1)} ${drawn(y)}`;
  }).join("");
  const known = Number.isFinite(value) && Number.isFinite(slope);
  const end = (x) => ({ x: across(x), y: down(value + slope * (x - point[k])) });
  return {
    path, from, to, low, high, slope, value,
    dot: Number.isFinite(value) ? { x: across(point[k]), y: down(value) } : undefined,
    tangent: known ? [end(from), end(to)] : undefined,
  };
}
