// What happened within each point of a chart: a band from the least to the greatest, below the lines.

/** @typedef {(number | null | undefined)[]} Column */
/** @typedef {{ low: Column, high: Column, color: string, dim: boolean }} Band */

const OPACITY = 0.22;
const DIMMED = 0.06;

/** @param {import("uplot")} plot @param {Band[]} bands each as long as the plot's times */
export function drawBands(plot, bands) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const band of bands) {
    ctx.fillStyle = band.color;
    ctx.globalAlpha = band.dim ? DIMMED : OPACITY;
    for (const run of runs(band.low, band.high)) fillRun(plot, band, run);
  }
  ctx.restore();
}

/** The greatest of all bands; null where there are none. @param {{ high: Column }[]} bands @returns {number | null} */
export function bandTop(bands) {
  let top = null;
  for (const band of bands)
    for (const value of band.high) if (value != null && (top === null || value > top)) top = value;
  return top;
}

/**
 * Indices that are known without a gap between; as in a line, what is undefined is passed over and null ends a run.
 * @param {Column} low @param {Column} high @returns {number[][]}
 */
export function runs(low, high) {
  /** @type {number[][]} */
  const found = [];
  /** @type {number[]} */
  let run = [];
  low.forEach((value, at) => {
    if (value === undefined) return;
    if (value !== null && high[at] != null) run.push(at);
    else if (run.length) {
      found.push(run);
      run = [];
    }
  });
  if (run.length) found.push(run);
  return found.filter((one) => one.length > 1);
}

/** @param {import("uplot")} plot @param {Band} band @param {number[]} run */
function fillRun(plot, band, run) {
  const { ctx } = plot;
  const point = (/** @type {Column} */ column, /** @type {number} */ at) =>
    ctx.lineTo(
      plot.valToPos(/** @type {number} */ (plot.data[0][at]), "x", true),
      plot.valToPos(/** @type {number} */ (column[at]), "y", true),
    );
  ctx.beginPath();
  for (const at of run) point(band.high, at);
  for (const at of [...run].reverse()) point(band.low, at);
  ctx.fill();
}
