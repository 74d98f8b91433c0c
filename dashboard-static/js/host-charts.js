// The charts of a host: which there are, and which lines each has.

import { useSignalEffect } from "@preact/signals";
import { h } from "preact";
import { useEffect } from "preact/hooks";
import { ChartPanel, cursorMs } from "./chart-panel.js";
import { factText } from "./facts.js";
import {
  byteRate,
  bytes,
  celsius,
  clock,
  dayClock,
  dayMonth,
  duration,
  moment,
  percent,
  watts,
  zone,
} from "./format.js";
import {
  appendSamples,
  chartedKinds,
  forgetHistory,
  historyState,
  loadHistory,
  moveOn,
  overdue,
  shownSource,
  spreadShown,
  tableFor,
} from "./history.js";
import { chosenRange, currentSpan, goLive, RANGES, zoomed } from "./ranges.js";
import { setParams } from "./route.js";
import { columnName } from "./series.js";
import { severityTone } from "./status.js";
import { chosenHost, documentsOf, events, valuesOf } from "./store.js";
import { EVENTS_LOADED, listen } from "./stream.js";
import { ErrorNote, html, plainLine, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").HostView} HostView */
/** @typedef {import("./chart-panel.js").PanelLine} PanelLine */
/** @typedef {import("./chart-panel.js").PanelProps} PanelProps */

/** Lines that a chart can tell apart. */
const MOST_LINES = 8;
/** Ends of pairs and bridges between containers, whose traffic the outward interfaces count already. */
const INNER_INTERFACE = /^(veth|br-|docker|cni|flannel|cali|virbr|lxc|lo$)/;
/** Layers above real disks, whose traffic those count already. */
const INNER_DISK = /^(dm-|md|zram|loop)/;
/** Of the words beside the range, a hint goes with fewer than these. */
const MOST_WORDS = 4;
/** An event this near to the cursor is named beside it, as a share of the span. */
const BESIDE = 0.008;

/** @param {string} label @param {number} color @param {string} metric @param {boolean} [dashed] @returns {PanelLine} */
function hostLine(label, color, metric, dashed = false) {
  return { id: metric, label, color, dashed, column: columnName("", metric) };
}

/** All that moved in the shown span, in sum. @param {HostView} view @param {string} kind @param {string} key @param {string[]} metrics */
function moved(view, kind, key, metrics) {
  const { columns } = tableFor(kind);
  const past = metrics.flatMap((metric) => columns.get(columnName(key, metric)) ?? []);
  const present = metrics.map((metric) => valuesOf(view, kind, key)[metric]);
  return [...past, ...present].reduce((/** @type {number} */ total, value) => total + (value ?? 0), 0);
}

/** Two lines for each of the busiest things. @param {HostView} view @param {string} kind @param {RegExp} inner @param {[string, string]} metrics @param {[string, string]} words @returns {PanelLine[]} */
function pairs(view, kind, inner, metrics, words) {
  const keys = [...(view.rows.get(kind)?.keys() ?? [])].sort();
  const outer = keys.filter((key) => !inner.test(key));
  const amounts = new Map((outer.length ? outer : keys).map((key) => [key, moved(view, kind, key, metrics)]));
  const busy = [...amounts].filter(([, amount]) => amount > 0).sort((a, b) => b[1] - a[1]);
  const picked = busy.length ? busy.slice(0, MOST_LINES / 2).map(([key]) => key) : [...amounts.keys()].slice(0, 1);
  return picked.sort().flatMap((key, at) =>
    metrics.map((metric, way) => ({
      id: `${key} ${words[way]}`,
      label: picked.length > 1 ? `${words[way]} ${key}` : /** @type {string} */ (words[way]),
      color: at * 2 + way,
      column: columnName(key, metric),
    })),
  );
}

/** @param {HostView} view @param {string} metric @returns {PanelLine[]} */
function gpuLines(view, metric) {
  return documentsOf(view, "gpu")
    .filter((document) => document.body.parent === null || document.body.parent === undefined)
    .sort((a, b) => a.body.index - b.body.index)
    .map((document) => ({
      id: document.key,
      label: `GPU ${document.body.index}`,
      color: document.body.index,
      dashed: document.body.index >= MOST_LINES,
      column: columnName(document.key, metric),
    }));
}

/** @param {HostView} view @param {string} metric */
function largest(view, metric) {
  const values = [...(view.rows.get("gpu")?.values() ?? [])].map((row) => row[metric] ?? 0);
  return values.length ? Math.max(...values) : null;
}

/** @param {HostView} view @returns {PanelProps[]} */
function gpuPanels(view) {
  if (!documentsOf(view, "gpu").length) return [];
  return [
    {
      title: "GPU utilization",
      kind: "gpu",
      lines: gpuLines(view, "utilization_percent"),
      format: percent,
      top: 100,
      heat: true,
    },
    {
      title: "GPU memory",
      kind: "gpu",
      lines: gpuLines(view, "memory_used_bytes"),
      format: bytes,
      top: largest(view, "memory_total_bytes"),
      steps: "binary",
      heat: true,
    },
    {
      title: "GPU temperature",
      kind: "gpu",
      lines: gpuLines(view, "temperature_celsius"),
      format: celsius,
      heat: true,
    },
    { title: "GPU power", kind: "gpu", lines: gpuLines(view, "power_watts"), format: watts, heat: true },
  ];
}

/** @param {HostView} view @returns {PanelProps[]} */
function panels(view) {
  const numbers = valuesOf(view, "host", "");
  const memory = [hostLine("used", 0, "memory_used_bytes"), hostLine("cached", 2, "memory_cached_bytes")];
  if (numbers.swap_total_bytes) memory.push(hostLine("swap", 6, "swap_used_bytes"));
  return [
    ...gpuPanels(view),
    {
      title: "CPU",
      kind: "host",
      lines: [
        hostLine("busy", 0, "cpu_percent"),
        hostLine("system", 2, "cpu_system_percent"),
        hostLine("I/O wait", 6, "cpu_iowait_percent"),
      ],
      format: percent,
      top: 100,
    },
    {
      title: "Memory",
      kind: "host",
      lines: memory,
      format: bytes,
      top: numbers.memory_total_bytes ?? null,
      steps: "binary",
    },
    {
      title: "Network",
      kind: "interface",
      lines: pairs(
        view,
        "interface",
        INNER_INTERFACE,
        ["receive_bytes_per_second", "transmit_bytes_per_second"],
        ["in", "out"],
      ),
      format: byteRate,
      steps: "binary",
    },
    {
      title: "Disk I/O",
      kind: "disk",
      lines: pairs(view, "disk", INNER_DISK, ["read_bytes_per_second", "write_bytes_per_second"], ["read", "write"]),
      format: byteRate,
      steps: "binary",
    },
    {
      title: "Pressure: time that tasks waited",
      kind: "host",
      most: 100,
      lines: [
        hostLine("CPU", 0, "psi_cpu_some_percent"),
        hostLine("memory", 2, "psi_memory_some_percent"),
        hostLine("I/O", 6, "psi_io_some_percent"),
      ],
      format: percent,
    },
  ];
}

/** @param {{ view: HostView }} props */
export function HostCharts(props) {
  const { view } = props;
  useSignalEffect(() => {
    chosenRange.value;
    zoomed.value;
    loadHistory(view.id, chartedKinds());
  });
  useEffect(() => {
    const stop = listen((name, data) => {
      if (name === "samples") appendSamples(data);
      if (name === "detail") loadHistory(view.id, chartedKinds());
    });
    const timer = setInterval(() => moveOn(view.id), 1000);
    return () => {
      stop();
      clearInterval(timer);
      forgetHistory();
    };
  }, [view.id]);
  return html`<section class="section" aria-labelledby="charts-title">
    <div class="chart-bar">
      <h2 id="charts-title" tabindex="-1">Charts</h2>
      ${h(RangeChoice, {})}
      ${h(CursorWords, {})}
    </div>
    ${historyState.value.state === "error" && h(ErrorNote, {}, `The charts' history was not loaded: ${historyState.value.error} It is tried again by itself.`)}
    <div class="charts">${panels(view)
      .filter((panel) => panel.lines.length)
      .map((panel) => h(ChartPanel, { key: panel.title, ...panel }))}</div>
  </section>`;
}

function RangeChoice() {
  const zoom = zoomed.value;
  const chosen = chosenRange.value;
  return html`<div class="range">
    <div class="segmented" role="group" aria-label="Time range">
      ${RANGES.map((range) => html`<button type="button" key=${range.name} aria-pressed=${!zoom && range === chosen} onClick=${() => setParams({ range: range.name, from: null, to: null })}>${range.label}</button>`)}
    </div>
    <button type="button" class=${`pill ${zoom ? "" : "on"}`} aria-pressed=${!zoom} onClick=${goLive}>
      ${zoom ? "Back to live" : "Live"}
    </button>
  </div>`;
}

function zoomWords() {
  const zoom = zoomed.value;
  if (!zoom) return "";
  const oneDay = dayClock(zoom.fromMs).slice(0, 10) === dayClock(zoom.toMs).slice(0, 10);
  return `${moment(zoom.fromMs)} – ${oneDay ? clock(zoom.toMs) : dayClock(zoom.toMs)}`;
}

const zoneWords = () => (zoomed.value ? "" : `times in ${zone(new Date())}`);

const SOURCES = { raw: "samples", minutes: "minutes", quarters: "quarter hours" };

/** What the charts are drawn from. */
function sourceWords() {
  if (overdue.value) return "loading…";
  const shown = shownSource();
  if (!shown?.source) return "";
  if (shown.source === "raw" && shown.stepMs === chosenHost.value?.interval_ms)
    return `samples, each ${duration(shown.stepMs)}`;
  return `means of ${duration(shown.stepMs)}, from ${SOURCES[shown.source]}`;
}

/** Only the newest events are loaded: no mark does not mean no event before them. */
function eventsWords() {
  const oldest = events.value?.at(-1);
  if (!oldest || (events.value?.length ?? 0) < EVENTS_LOADED || oldest.at_ms < currentSpan().fromMs) return "";
  return `events since ${dayMonth(new Date(oldest.at_ms))}`;
}

/** The time under the cursor and the event beside it, in a place that is always there. */
function CursorWords() {
  const at = cursorMs.value;
  if (at === null) {
    const words = [zoomWords(), sourceWords(), eventsWords(), spreadShown() && "shaded: min to max", zoneWords()];
    // Where there is room.
    if (!zoomed.value && words.filter(Boolean).length < MOST_WORDS) words.push("drag to zoom");
    return html`<p class="cursor-words muted">${words.filter(Boolean).join(" · ")}</p>`;
  }
  const reach = currentSpan().spanMs * BESIDE;
  const near = (events.value ?? []).filter((event) => Math.abs(event.at_ms - at) <= reach);
  const event = near.find((one) => one.severity !== "info") ?? near[0];
  return html`<p class="cursor-words"><time>${moment(at)}</time>
    ${event && h(StatusMark, { tone: severityTone(event.severity), word: `${plainLine(event.subject)} ${plainLine(factText(event))}` })}
    ${near.length > 1 && html`<span class="muted">and ${near.length - 1} more</span>`}</p>`;
}
