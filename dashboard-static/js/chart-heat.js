// Many lines over a long time as a heat strip: a row for each, the fuller the colour the greater the value. Drawn over
// each other they would hide all but the last.

/** @typedef {import("./chart-bands.js").Column} Column */

const FAINT = 0.08;
const ROW_GAP = 1;

/** How full the colour of a value is. @param {number} value @param {number} top */
export function heatOf(value, top) {
  return FAINT + (1 - FAINT) * Math.max(0, Math.min(1, value / top));
}

/**
 * Runs of one value: from which index to which, its end not included. What is undefined is passed over, null is a gap.
 * @param {Column} column @returns {{ from: number, to: number, value: number }[]}
 */
export function heatRuns(column) {
  /** @type {{ from: number, to: number, value: number }[]} */
  const found = [];
  let open = false;
  column.forEach((value, at) => {
    const last = found.at(-1);
    if (value === null) open = false;
    else if (last && open && (value === undefined || value === last.value)) last.to = at + 1;
    else if (value !== undefined) {
      found.push({ from: at, to: at + 1, value });
      open = true;
    }
  });
  return found;
}

/** @typedef {[left: number, right: number, value: number]} Cell */

/** Cells of at least a pixel, none over another: what is narrower counts in its pixel if it is the greatest there. @param {Cell[]} cells in order @returns {Cell[]} */
export function wholePixels(cells) {
  /** @type {Cell[]} */
  const found = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const [left, right, value] of cells) {
    const last = found.at(-1);
    if (last && left < end) last[2] = Math.max(last[2], value);
    else found.push([left, left + 1, value]);
    end = Math.max(end, left + 1);
    if (right > end) {
      found.push([end, right, value]);
      end = right;
    }
  }
  return found;
}

/** @param {import("uplot")} plot whose y scale has a unit for each line @param {number} top @param {string} color @param {number} ratio pixels of the screen to one of the page */
export function drawHeat(plot, top, color, ratio) {
  const { ctx, bbox, data } = plot;
  const [times, ...columns] = data;
  const step = /** @type {number} */ (times.at(-1)) - /** @type {number} */ (times.at(-2) ?? 0);
  const edge = (/** @type {number} */ at) => {
    const time = times[at] ?? /** @type {number} */ (times.at(-1)) + step;
    const x = Math.round(plot.valToPos(time, "x", true));
    return Math.max(bbox.left, Math.min(bbox.left + bbox.width, x));
  };
  const height = bbox.height / columns.length;
  ctx.save();
  ctx.fillStyle = color;
  columns.forEach((column, row) => {
    const y = Math.round(bbox.top + row * height);
    const rowHeight = Math.round(bbox.top + (row + 1) * height) - y - ROW_GAP * ratio;
    const cells = heatRuns(/** @type {Column} */ (column)).map(({ from, to, value }) => [edge(from), edge(to), value]);
    for (const [left, right, value] of wholePixels(/** @type {Cell[]} */ (cells))) {
      ctx.globalAlpha = heatOf(value, top);
      ctx.fillRect(left, y, right - left, rowHeight);
    }
  });
  ctx.restore();
}
