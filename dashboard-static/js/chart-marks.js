// Events as marks on a chart's time axis.

/** @typedef {import("./types.js").Tone} Tone */
/** @typedef {{ atMs: number, tone: Tone }} Mark */

/**
 * Small triangles at the foot of the plot, one an event; a line where it is critical.
 * @param {import("uplot")} plot @param {Mark[]} marks @param {Record<Tone, string>} tones
 */
export function drawMarks(plot, marks, tones) {
  const { ctx, bbox, scales } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  for (const mark of marks) {
    const time = mark.atMs / 1000;
    if (time < (scales.x?.min ?? 0) || time > (scales.x?.max ?? 0)) continue;
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
