// Labels at the ends of a chart's lines, as elements of their own: name, and the value at the cursor or the newest.

import { newest, spread } from "./chart-math.js";

/** @typedef {import("./chart-bands.js").Column} Column */

const LABEL_HEIGHT = 15;
/** Between a plot and its labels, and between them and the chart's edge. */
const LABEL_GAP = 8;
const LABEL_EDGE = 2;

/** @param {HTMLElement} place @param {string} name @param {string} color */
export function makeLabel(place, name, color) {
  const element = document.createElement("div");
  element.className = "chart-label";
  element.style.color = color;
  element.append(document.createElement("b"), document.createTextNode(name));
  place.append(element);
  return element;
}

/**
 * Puts labels at the heights of their lines' ends, kept apart from each other; or beside their rows.
 * @param {import("uplot")} plot @param {HTMLElement[]} elements @param {boolean[]} dimmed
 * @param {{ width: number, format: (value: number | null | undefined) => string, rows: boolean }} looks
 */
export function placeLabels(plot, elements, dimmed, looks) {
  const height = plot.over.clientHeight;
  const at = plot.cursor.idx ?? null;
  const tops = elements.map((element, index) => {
    const column = /** @type {Column} */ (plot.data[index + 1] ?? []);
    const end = newest(column);
    const text = looks.format(at === null ? end : column[at]);
    if (element.firstChild && element.firstChild.textContent !== text) element.firstChild.textContent = text;
    element.classList.toggle("dim", dimmed[index]);
    const lineEnd = end == null ? height : plot.valToPos(end, "y");
    return (looks.rows ? ((index + 0.5) * height) / elements.length : lineEnd) - LABEL_HEIGHT / 2;
  });
  const placed = spread(tops, LABEL_HEIGHT, height + LABEL_HEIGHT / 2);
  elements.forEach((element, index) => {
    element.style.width = `${looks.width - LABEL_GAP - LABEL_EDGE}px`;
    const left = plot.over.clientWidth + LABEL_GAP;
    element.style.transform = `translate(${left}px, ${Math.round(placed[index] ?? 0)}px)`;
  });
}
