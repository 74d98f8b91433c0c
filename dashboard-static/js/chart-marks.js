// Events as marks on a chart's time axis.

import { rank } from "./status.js";

/** @typedef {import("./types.js").Tone} Tone */
/** @typedef {{ atMs: number, tone: Tone }} Mark */

/** Marks nearer to each other than their width are one, of the worst tone. */
const MARK_PIXELS = 8;

/**
 * The worst mark of each cell of the time axis, oldest first.
 * @param {Mark[]} marks @param {number} cellMs @returns {Mark[]}
 */
export function thinned(marks, cellMs) {
  /** @type {Map<number, Mark>} */
  const cells = new Map();
  for (const mark of marks) {
    const cell = Math.floor(mark.atMs / cellMs);
    const before = cells.get(cell);
    if (!before || rank(mark.tone) > rank(before.tone)) cells.set(cell, mark);
  }
  return [...cells.values()].sort((a, b) => a.atMs - b.atMs);
}

/**
 * Small triangles at the foot of the plot; a line where an event is critical.
 * @param {import("uplot")} plot @param {Mark[]} marks @param {Record<Tone, string>} tones
 */
export function drawMarks(plot, marks, tones) {
  const { ctx, bbox, scales } = plot;
  const ratio = devicePixelRatio;
  const [from, to] = [scales.x?.min ?? 0, scales.x?.max ?? 0];
  const cellMs = ((to - from) * 1000 * MARK_PIXELS * ratio) / Math.max(1, bbox.width);
  ctx.save();
  for (const mark of thinned(marks, cellMs)) {
    const time = mark.atMs / 1000;
    if (time < from || time > to) continue;
    const x = plot.valToPos(time, "x", true);
    const foot = bbox.top + bbox.height;
    ctx.fillStyle = tones[mark.tone];
    ctx.globalAlpha = mark.tone === "info" ? 0.6 : 1;
    ctx.beginPath();
    ctx.moveTo(x, foot - 8 * ratio);
    ctx.lineTo(x + 4 * ratio, foot);
    ctx.lineTo(x - 4 * ratio, foot);
    ctx.fill();
    if (mark.tone !== "crit") continue;
    ctx.globalAlpha = 0.4;
    ctx.fillRect(x - ratio / 2, bbox.top, ratio, bbox.height);
  }
  ctx.restore();
}
