// One chart on a page: a focusable figure with a name, arrow keys, and a table that holds the same data.

import { effect, signal, useComputed, useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { TimeChart } from "./chart.js";
import { moment } from "./format.js";
import { historyState, tableFor, version } from "./history.js";
import { chosenRange, currentSpan, goLive, pointTime, zoomed, zoomTo } from "./ranges.js";
import { highName, lowName, plotted } from "./series.js";
import { severityTone, USUAL_INTERVAL_MS } from "./status.js";
import { announce, events, host, hosts } from "./store.js";
import { html, Icon } from "./ui.js";

/** @typedef {{ id: string, label: string, color: number, dashed?: boolean, column: string }} PanelLine */

/**
 * @typedef {object} PanelProps
 * @property {string} title
 * @property {string} kind whose table it draws
 * @property {PanelLine[]} lines
 * @property {(value: number | null | undefined) => string} format
 * @property {number | null} [top] fixed end of the scale
 * @property {number} [most] the scale ends there at most
 * @property {"binary" | "decimal"} [steps]
 * @property {boolean} [heat] many lines over a long time are a heat strip
 */

/** Time under the cursor, the same for all charts; null when the cursor is away. */
export const cursorMs = signal(/** @type {number | null} */ (null));

/** A gap is a gap past so many intervals or buckets. */
const GAP_STEPS = 2.5;
/** Rows of the table below a chart: the newest of the span, thinned to what can be read. */
const TABLE_ROWS = 120;

/** @param {PanelProps} props */
export function ChartPanel(props) {
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  const chart = useRef(/** @type {TimeChart | null} */ (null));
  const latest = useRef(props);
  latest.current = props;
  const heat = isHeat(props);
  const full = useSignal(/** @type {number | null} */ (null));
  const shape = props.lines.map((line) => `${line.id} ${line.label} ${line.column}`).join("|");
  const theme = useThemeName();
  useEffect(() => {
    if (!place.current) return undefined;
    const made = new TimeChart(place.current, {
      lines: props.lines,
      group: props.kind,
      format: props.format,
      top: props.top ?? null,
      most: props.most ?? Number.POSITIVE_INFINITY,
      steps: props.steps ?? "decimal",
      heat,
      onHeat: (top) => {
        full.value = top;
      },
      onZoom: zoomTo,
      onReset: goLive,
      onCursor: (_, timeMs) => {
        cursorMs.value = timeMs;
      },
    });
    chart.current = made;
    const stops = [effect(() => draw(made, latest.current)), effect(() => made.setMarks(marks()))];
    return () => {
      for (const stop of stops) stop();
      made.destroy();
      chart.current = null;
    };
  }, [shape, props.top, theme, heat]);
  const tableOpen = useSignal(false);
  const empty = useComputed(
    () => version.value >= 0 && historyState.value.state === "ready" && !tableFor(latest.current.kind).times.length,
  );
  return html`<figure class="chart" tabindex="0" aria-roledescription="chart"
    aria-label=${`${props.title}, ${spanWords()}. Arrow keys move the cursor.`}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => keyMoved(event, chart.current, latest.current)}>
    <figcaption>
      <h3>${props.title}${heat && full.value !== null && html` <span class="heat-key">faint to full: 0 to ${props.format(full.value)}</span>`}</h3>
      <button type="button" class="link-button" aria-expanded=${tableOpen.value} onClick=${() => {
        tableOpen.value = !tableOpen.value;
      }}>${h(Icon, { name: "table-2" })}Table<span class="hidden"> of ${props.title}</span></button>
    </figcaption>
    <div class="chart-place" ref=${place}>
      ${historyState.value.state === "loading" && html`<p class="chart-note">Loading history…</p>`}
      ${empty.value && html`<p class="chart-note">No numbers in this span.</p>`}
    </div>
    ${tableOpen.value && h(DataOfChart, props)}
  </figure>`;
}

/** Lines that stay apart over a long time. */
const MOST_LONG_LINES = 4;
const LONG_MS = 60 * 60_000;

/** Whether a row each shows more than lines over each other. @param {PanelProps} props */
function isHeat(props) {
  const zoom = zoomed.value;
  const spanMs = zoom ? zoom.toMs - zoom.fromMs : chosenRange.value.ms;
  return Boolean(props.heat) && props.lines.length > MOST_LONG_LINES && spanMs > LONG_MS;
}

function spanWords() {
  const zoom = zoomed.value;
  return zoom ? `${moment(zoom.fromMs)} to ${moment(zoom.toMs)}` : chosenRange.value.spoken;
}

/** @param {TimeChart} made @param {PanelProps} props */
function draw(made, props) {
  version.value;
  zoomed.value;
  chosenRange.value;
  if (document.hidden) return;
  const span = currentSpan();
  const names = props.lines.map((line) => line.column);
  const [times, ...columns] = columnsOf(props, [...names, ...names.map(lowName), ...names.map(highName)]);
  const part = (/** @type {number} */ at) => columns.slice(at * names.length, (at + 1) * names.length);
  made.show([times, ...part(0)], part(1), part(2), span.fromMs, span.toMs);
}

/** Times and columns, with the gaps that the host's interval makes. @param {PanelProps} props @param {string[]} names */
function columnsOf(props, names) {
  const table = tableFor(props.kind);
  const id = host.peek()?.id;
  const intervalMs = hosts.peek()?.find((entry) => entry.id === id)?.interval_ms ?? USUAL_INTERVAL_MS;
  const gapMs = GAP_STEPS * Math.max(intervalMs, table.stepMs);
  return plotted(table, names, gapMs);
}

/** @returns {import("./chart.js").Mark[]} */
function marks() {
  return (events.value ?? []).map((event) => ({ atMs: event.at_ms, tone: severityTone(event.severity) }));
}

const STEPS = /** @type {Record<string, number>} */ ({
  ArrowLeft: -1,
  ArrowRight: 1,
  PageUp: -60,
  PageDown: 60,
  Home: -1e9,
  End: 1e9,
});

/** @param {KeyboardEvent} event @param {TimeChart | null} chart @param {PanelProps} props */
function keyMoved(event, chart, props) {
  if (!chart || event.target !== event.currentTarget) return;
  if (event.key === "Escape") chart.clearCursor();
  const by = STEPS[event.key];
  if (by === undefined) return;
  event.preventDefault();
  const index = chart.moveCursor(event.shiftKey ? by * 10 : by);
  if (index === null) return;
  const [times, ...columns] = chart.plot.data;
  const values = props.lines.map((line, at) => `${line.label} ${props.format(columns[at]?.[index])}`);
  announce(`${pointTime(/** @type {number} */ (times[index]) * 1000)}: ${values.join(", ")}`);
}

/** @param {PanelProps} props */
function DataOfChart(props) {
  version.value;
  const names = props.lines.map((line) => line.column);
  const [times, ...columns] = columnsOf(props, names);
  const step = Math.max(1, Math.ceil(times.length / TABLE_ROWS));
  const rows = times
    .map((_, at) => at)
    .filter((at) => (times.length - 1 - at) % step === 0)
    .reverse();
  return html`<div class="chart-table" tabindex="0" role="group" aria-label=${`${props.title} as a table`}>
    <table>
      <thead><tr><th scope="col">Time</th>${props.lines.map((line) => html`<th scope="col" class="number">${line.label}</th>`)}</tr></thead>
      <tbody>${rows.map(
        (at) => html`<tr key=${times[at]}><th scope="row">${pointTime((times[at] ?? 0) * 1000)}</th>
        ${columns.map((column) => html`<td class="number">${props.format(column[at])}</td>`)}</tr>`,
      )}</tbody>
    </table>
  </div>`;
}

/** Changes when the page's colours do, so that charts are made anew. */
export const themeName = signal("");

function useThemeName() {
  return themeName.value;
}
