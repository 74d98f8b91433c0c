// Line charts over time; the only door to uPlot. Its parts are chart-bands, -cursor, -heat, -labels, -marks, -math and -tokens.
//
// Colours and fonts are read from the page's tokens when a chart is made, so a change of theme makes charts anew.
// Labels stand at the lines' ends as elements of their own, with the value at the cursor, or the newest.

import uPlot from "uplot";
import { bandTop, drawBands } from "./chart-bands.js";
import { placeCursor, scrub } from "./chart-cursor.js";
import { drawHeat } from "./chart-heat.js";
import { makeLabel, placeLabels } from "./chart-labels.js";
import { drawMarks } from "./chart-marks.js";
import { lone, niceTop, timeTick } from "./chart-math.js";
import { COLORS, readTokens } from "./chart-tokens.js";
import { indexAt } from "./series.js";

/** @typedef {{ id: string, label: string, color: number, dashed?: boolean }} Line `id` is a line's name across charts */
/** @typedef {import("./chart-marks.js").Mark} Mark */
/** @typedef {import("./chart-bands.js").Column} Column */

/**
 * @typedef {object} ChartOptions
 * @property {Line[]} lines
 * @property {string} group charts of a group highlight the same line
 * @property {(value: number | null | undefined) => string} format
 * @property {number | null} top fixed end of the scale, null for that of the data
 * @property {number} most what cannot be exceeded: the scale ends there at most
 * @property {"binary" | "decimal"} steps how the scale is divided
 * @property {boolean} heat a row of colour for each line, in place of lines over each other
 * @property {(top: number) => void} onHeat what is as full as colour can be
 * @property {(fromMs: number, toMs: number) => void} onZoom
 * @property {() => void} onReset
 * @property {(index: number | null, timeMs: number | null) => void} onCursor
 */

const SYNC = "host";
/** Charts this far outside of the window are kept drawn, so that scrolling finds them ready. */
const NEAR = "200px";
const HEIGHT = 148;
const AXIS_WIDTH = 70;
const LABEL_WIDTH = 148;
const LABEL_WIDTH_NARROW = 116;
const NARROW = 480;
/** A point that no line goes through. */
const LONE_PIXELS = 4;
/** Bands that can be told apart where they overlap. */
const MOST_BANDS = 4;
/** A drag shorter than this is a click. */
const DRAG_PIXELS = 6;

/** @type {Set<TimeChart>} */
const charts = new Set();

export class TimeChart {
  /** @param {HTMLElement} place @param {ChartOptions} options */
  constructor(place, options) {
    this.options = options;
    this.place = place;
    this.marks = /** @type {Mark[]} */ ([]);
    this.bands = /** @type {{ low: Column, high: Column }[]} */ ([]);
    this.labels = document.createElement("div");
    this.labels.className = "chart-labels";
    this.labels.setAttribute("aria-hidden", "true");
    this.focused = /** @type {string | null} */ (null);
    this.paint = readTokens();
    this.plot = new uPlot(this.plotOptions(), [[], ...options.lines.map(() => [])], place);
    this.plot.over.append(this.labels);
    this.labelElements = options.lines.map((line) =>
      makeLabel(this.labels, line.label, options.heat ? this.paint.muted : this.color(line)),
    );
    this.stopTouch = scrub(this.plot);
    this.sizes = new ResizeObserver(() => this.fit());
    this.sizes.observe(place);
    this.near = true;
    this.waiting = /** @type {(() => void) | null} */ (null);
    this.sight = new IntersectionObserver((entries) => this.seen(entries.at(-1)?.isIntersecting ?? true), {
      rootMargin: NEAR,
    });
    this.sight.observe(place);
    charts.add(this);
  }

  /**
   * Lows and highs are by line, empty where a line has none.
   * @param {[number[], ...Column[]]} data @param {Column[]} lows @param {Column[]} highs
   * @param {number} fromMs @param {number} toMs
   */
  show(data, lows, highs, fromMs, toMs) {
    const draw = () =>
      this.plot.batch(() => {
        this.bands = lows.map((low, at) => ({ low, high: highs[at] ?? [] }));
        this.plot.setData(/** @type {any} */ (data), false);
        this.plot.setScale("x", { min: fromMs / 1000, max: toMs / 1000 });
      });
    const first = !this.plot.data[0].length;
    if (this.near || first) draw();
    else this.waiting = draw;
  }

  /** What nobody sees is drawn when it comes into sight. @param {boolean} near */
  seen(near) {
    this.near = near;
    if (!near) return;
    this.waiting?.();
    this.waiting = null;
  }

  /** @param {Mark[]} marks events on the time axis */
  setMarks(marks) {
    this.marks = marks;
    if (this.near) this.plot.redraw(false);
  }

  /** Moves the cursor by points and tells where it came to. @param {number} by @returns {number | null} index */
  moveCursor(by) {
    const { plot } = this;
    const times = /** @type {number[]} */ (plot.data[0]);
    const first = indexAt(times, plot.scales.x?.min ?? 0) + 1;
    if (first >= times.length) return null;
    const from = plot.cursor.idx ?? times.length - 1;
    const index = Math.max(first, Math.min(times.length - 1, from + by));
    const left = plot.valToPos(/** @type {number} */ (times[index]), "x");
    placeCursor(plot, left, plot.over.clientHeight / 2);
    return index;
  }

  clearCursor() {
    placeCursor(this.plot, -10, -10);
  }

  /** Highlights a line by name, here only; null for none. @param {string | null} id */
  focus(id) {
    if (this.focused === id) return;
    this.focused = id;
    const index = this.options.lines.findIndex((line) => line.id === id);
    this.plot.setSeries(index < 0 ? /** @type {any} */ (null) : index + 1, { focus: true }, false);
    this.placeLabels();
  }

  destroy() {
    charts.delete(this);
    this.sizes.disconnect();
    this.sight.disconnect();
    this.stopTouch();
    this.plot.destroy();
  }

  fit() {
    const width = this.place.clientWidth;
    if (width <= 0 || width === this.plot.width) return;
    this.plot.batch(() => {
      this.plot.setSize({ width, height: HEIGHT });
    });
  }

  /** @returns {uPlot.Options} */
  plotOptions() {
    const { paint, options } = this;
    const axis = { stroke: paint.muted, font: paint.font, ticks: { show: false } };
    return {
      width: this.place.clientWidth || 320,
      height: HEIGHT,
      padding: [8, () => this.labelWidth(), 0, 0],
      legend: { show: false },
      cursor: {
        // Only the cursor's place is shared: a drag belongs to the chart that it began on.
        sync: {
          key: SYNC,
          setSeries: false,
          filters: { pub: (type) => type === "mousemove" || type === "mouseleave" },
        },
        drag: { x: true, y: false, setScale: false, dist: DRAG_PIXELS },
        focus: { prox: options.heat ? -1 : 24 },
        y: false,
        points: options.heat ? { show: false } : { size: 6 },
        bind: {
          dblclick: () => () => {
            options.onReset();
            return null;
          },
        },
      },
      focus: { alpha: 0.25 },
      scales: {
        x: { time: true, auto: false },
        y: { range: (_, __, max) => [0, options.heat ? options.lines.length : (options.top ?? this.scaleTop(max))] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 26,
          space: 72,
          gap: 6,
          values: (_, splits, __, ___, step) => splits.map((split) => timeTick(split, step)),
        },
        { ...axis, size: AXIS_WIDTH, gap: 8, ...(options.heat ? this.rowAxis() : this.scaleAxis()) },
      ],
      series: [{}, ...options.lines.map((line) => this.lineOptions(line))],
      hooks: {
        drawAxes: [() => this.drawBelow()],
        draw: [() => drawMarks(this.plot, this.marks, this.paint.tones), () => this.placeLabels()],
        setCursor: [() => this.cursorMoved()],
        setSelect: [() => this.selected()],
        setSeries: [(_, index) => this.hovered(index)],
      },
    };
  }

  /** @returns {uPlot.Axis} */
  scaleAxis() {
    const { paint, options } = this;
    return {
      grid: { stroke: paint.line, width: 1 },
      splits: (_, __, ___, max) => [0, max / 2, max],
      values: (plot, splits) => splits.map((value) => (this.hasScale(plot) ? options.format(value) : "")),
    };
  }

  /** The names of a heat strip's rows, the first on top. @returns {uPlot.Axis} */
  rowAxis() {
    const { lines } = this.options;
    return {
      grid: { show: false },
      splits: () => lines.map((_, at) => lines.length - at - 0.5),
      values: () => lines.map((line) => line.label),
    };
  }

  drawBelow() {
    if (!this.options.heat) {
      drawBands(this.plot, this.paintedBands());
    } else if (this.plot.data[0].length) {
      const top = this.heatTop();
      drawHeat(this.plot, top, this.paint.heat, devicePixelRatio);
      this.options.onHeat(top);
    }
  }

  /** What is as full as colour can be. */
  heatTop() {
    const [, ...columns] = this.plot.data;
    return this.options.top ?? this.scaleTop(bandTop(columns.map((high) => ({ high: /** @type {Column} */ (high) }))));
  }

  /** Without numbers there is no scale to read. @param {uPlot} plot */
  hasScale(plot) {
    return this.options.top !== null || plot.data[0].length > 0;
  }

  /** @param {number | null} max of the lines */
  scaleTop(max) {
    const { most, steps } = this.options;
    return Math.min(most, niceTop(Math.max(max ?? 0, bandTop(this.bands) ?? 0), steps));
  }

  /** Of a few lines all bands; of many that of the highlighted line, since together they hide each other. */
  paintedBands() {
    const { lines } = this.options;
    return this.bands.flatMap((band, at) => {
      const line = /** @type {Line} */ (lines[at]);
      const dim = this.focused !== null && this.focused !== line.id;
      if (lines.length > MOST_BANDS && this.focused !== line.id) return [];
      return [{ ...band, color: this.color(line), dim }];
    });
  }

  /** @param {Line} line @returns {uPlot.Series} */
  lineOptions(line) {
    return {
      label: line.label,
      stroke: this.color(line),
      width: 1.5,
      dash: line.dashed ? [5, 3] : [],
      ...(this.options.heat ? { paths: () => null } : {}),
      points: {
        show: false,
        size: LONE_PIXELS,
        filter: (plot, index) => lone(/** @type {Column} */ (plot.data[index])),
      },
      spanGaps: false,
    };
  }

  /** @param {Line} line */
  color(line) {
    return this.paint.lines[line.color % COLORS] ?? this.paint.muted;
  }

  labelWidth() {
    return this.place.clientWidth < NARROW ? LABEL_WIDTH_NARROW : LABEL_WIDTH;
  }

  placeLabels() {
    const { lines, format, heat } = this.options;
    const dimmed = lines.map((line) => this.focused !== null && this.focused !== line.id);
    placeLabels(this.plot, this.labelElements ?? [], dimmed, { width: this.labelWidth(), format, rows: heat });
  }

  cursorMoved() {
    const index = this.plot.cursor.idx ?? null;
    this.placeLabels();
    const time = index === null ? null : /** @type {number[]} */ (this.plot.data[0])[index];
    this.options.onCursor(index, time == null ? null : time * 1000);
  }

  selected() {
    const { left, width } = this.plot.select;
    if (width < DRAG_PIXELS) return;
    const from = this.plot.posToVal(left, "x") * 1000;
    const to = this.plot.posToVal(left + width, "x") * 1000;
    this.plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.options.onZoom(from, to);
  }

  /** @param {number | null} index */
  hovered(index) {
    const id = index === null ? null : (this.options.lines[index - 1]?.id ?? null);
    this.focused = id;
    for (const chart of charts) if (chart !== this && chart.options.group === this.options.group) chart.focus(id);
  }
}
