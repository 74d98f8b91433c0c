// GPUs of a host and the processes on them.

import { h } from "preact";
import { bytes, bytesOf, celsius, percent, watts, withUnit } from "./format.js";
import { rank, statusOf } from "./status.js";
import { documentsOf, valuesOf } from "./store.js";
import { DataTable } from "./table.js";
import { Bar, html, plainLine, Section, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").HostView} HostView */
/** @typedef {{ key: string, body: any, values: import("./types.js").Values }} Gpu */
/** @typedef {{ key: string, body: any, values: import("./types.js").Values, gpu: string, container: string | null }} Process */

/** @type {import("./table.js").Column<Gpu>[]} */
const GPU_COLUMNS = [
  {
    name: "gpu",
    label: "GPU",
    cell: (row) =>
      html`<span class="stack"><span>${row.body.parent ? "MIG" : "GPU"} ${row.body.index}</span><span class="muted clip" title=${row.key}>${row.body.name ?? "model unknown"}</span></span>`,
    sort: (row) => -row.body.index,
  },
  {
    name: "state",
    label: "State",
    cell: (row) => h(StatusMark, statusOf("gpu", row.body.state)),
    sort: (row) => rank(statusOf("gpu", row.body.state).tone),
  },
  {
    name: "load",
    label: "Utilization",
    cell: (row) => gpuShareCell(row.values.utilization_percent, percent(row.values.utilization_percent), "plain"),
    sort: (row) => row.values.utilization_percent,
  },
  { name: "memory", label: "Memory", cell: (row) => gpuMemoryCell(row), sort: (row) => row.values.memory_used_bytes },
  {
    name: "heat",
    label: "Temperature",
    number: true,
    help: "Core, and memory where the card says it",
    cell: (row) => heatCell(row),
    sort: (row) => row.values.temperature_celsius,
  },
  { name: "power", label: "Power", number: true, cell: (row) => powerCell(row), sort: (row) => row.values.power_watts },
  {
    name: "clock",
    label: "Clock SM / memory",
    number: true,
    cell: (row) =>
      html`<span class="stack"><span>${withUnit(row.values.graphics_clock_megahertz, "MHz")}</span><span class="muted">${withUnit(row.values.memory_clock_megahertz, "MHz")}</span></span>`,
    sort: (row) => row.values.graphics_clock_megahertz,
  },
  { name: "throttle", label: "Throttled by", cell: (row) => throttleCell(row) },
  {
    name: "errors",
    label: "ECC errors",
    number: true,
    help: "Uncorrected, since the driver was loaded",
    cell: (row) => errorsCell(row),
    sort: (row) => row.values.ecc_uncorrected,
  },
];

/** Bits of nvmlDeviceGetCurrentClocksThrottleReasons; idle is no throttling. */
const THROTTLES = /** @type {[number, string][]} */ ([
  [0x2, "application clocks"],
  [0x4, "power cap"],
  [0x8, "hardware slowdown"],
  [0x10, "sync boost"],
  [0x20, "software thermal"],
  [0x40, "hardware thermal"],
  [0x80, "power brake"],
  [0x100, "display clocks"],
]);

/** @param {Gpu} row */
function throttleCell(row) {
  const bits = row.values.throttle_reasons;
  if (bits == null) return html`<span class="muted">not said</span>`;
  const words = THROTTLES.filter(([bit]) => (bits & bit) !== 0).map(([, word]) => word);
  return words.length ? html`<span>${words.join(", ")}</span>` : html`<span class="muted">nothing</span>`;
}

/** @param {number | null | undefined} share @param {string} words @param {string} [tone] */
function gpuShareCell(share, words, tone) {
  if (share == null) return html`<span class="muted">not said</span>`;
  return html`<span class="share">${h(Bar, { percent: share, tone })}<span class="share-text">${words}</span></span>`;
}

/** @param {Gpu} row */
function gpuMemoryCell(row) {
  const { memory_used_bytes: used, memory_total_bytes: total } = row.values;
  return gpuShareCell(used == null || !total ? null : (used / total) * 100, bytesOf(used, total), "plain");
}

/** @param {Gpu} row */
function heatCell(row) {
  const memory = row.values.memory_temperature_celsius;
  return html`<span class="stack"><span>${celsius(row.values.temperature_celsius)}</span>${memory != null && html`<span class="muted">memory ${celsius(memory)}</span>`}</span>`;
}

/** @param {Gpu} row */
function powerCell(row) {
  const limit = row.values.power_limit_watts;
  return html`<span class="stack"><span>${watts(row.values.power_watts)}</span>${limit != null && html`<span class="muted">of ${watts(limit)}</span>`}</span>`;
}

/** @param {Gpu} row */
function errorsCell(row) {
  const bad = row.values.ecc_uncorrected;
  if (bad == null) return html`<span class="muted">no ECC</span>`;
  return bad > 0 ? h(StatusMark, { tone: "crit", word: String(bad) }) : "0";
}

/** @type {import("./table.js").Column<Process>[]} */
const PROCESS_COLUMNS = [
  {
    name: "process",
    label: "Process",
    cell: (row) =>
      html`<span>${plainLine(row.body.name ?? "name unknown")} <span class="muted">${row.body.pid}</span></span>`,
    sort: (row) => row.body.name,
  },
  { name: "gpu", label: "GPU", cell: (row) => row.gpu, sort: (row) => row.gpu },
  {
    name: "container",
    label: "Container",
    cell: (row) =>
      html`<span class="clip">${row.container === null ? html`<span class="muted">none</span>` : plainLine(row.container)}</span>`,
    sort: (row) => row.container,
  },
  {
    name: "user",
    label: "User",
    cell: (row) => (row.body.user ? plainLine(row.body.user) : html`<span class="muted">unknown</span>`),
    sort: (row) => row.body.user,
  },
  {
    name: "memory",
    label: "GPU memory",
    number: true,
    cell: (row) => bytes(row.values.memory_used_bytes),
    sort: (row) => row.values.memory_used_bytes,
  },
  {
    name: "load",
    label: "Utilization",
    number: true,
    cell: (row) => percent(row.values.utilization_percent),
    sort: (row) => row.values.utilization_percent,
  },
];

/** @param {HostView} view @returns {Gpu[]} */
function gpusOf(view) {
  return documentsOf(view, "gpu")
    .map(({ key, body }) => ({ key, body, values: valuesOf(view, "gpu", key) }))
    .sort((a, b) => a.body.index - b.body.index || Number(Boolean(a.body.parent)) - Number(Boolean(b.body.parent)));
}

/** @param {HostView} view @param {Gpu[]} gpus @returns {Process[]} */
function processesOf(view, gpus) {
  const containers = view.documents.get("container");
  return documentsOf(view, "gpu_process")
    .map(({ key, body }) => ({
      key,
      body,
      values: valuesOf(view, "gpu_process", key),
      gpu: `GPU ${gpus.find((gpu) => gpu.key === body.gpu)?.body.index ?? "?"}`,
      container: body.container ? (containers?.get(body.container)?.body.name ?? body.container.slice(0, 12)) : null,
    }))
    .sort((a, b) => (b.values.memory_used_bytes ?? 0) - (a.values.memory_used_bytes ?? 0));
}

/** @param {any} driver body of the gpu_driver document */
function driverWords(driver) {
  return [
    driver?.driver_version && `driver ${driver.driver_version}`,
    driver?.cuda_version && `CUDA ${driver.cuda_version}`,
    driver?.nvml_version && `NVML ${driver.nvml_version}`,
  ]
    .filter(Boolean)
    .join(" · ");
}

/** @param {{ view: HostView, absent: import("preact").ComponentChildren }} props */
export function Gpus(props) {
  const gpus = gpusOf(props.view);
  const driver = documentsOf(props.view, "gpu_driver")[0]?.body;
  if (!gpus.length) return props.absent ? h(Section, { id: "gpus", title: "GPUs" }, props.absent) : null;
  const processes = processesOf(props.view, gpus);
  return h(
    Section,
    { id: "gpus", title: "GPUs", note: driverWords(driver) },
    props.absent,
    h(/** @type {typeof DataTable<Gpu>} */ (DataTable), {
      name: "gpus",
      caption: "GPUs",
      columns: GPU_COLUMNS,
      rows: gpus,
      rowKey: (row) => row.key,
      below: (row) => (row.body.reason ? html`<p class="reason">${plainLine(row.body.reason)}</p>` : null),
    }),
    html`<h3 class="sub-title">Processes on GPUs</h3>`,
    processes.length
      ? h(/** @type {typeof DataTable<Process>} */ (DataTable), {
          name: "processes",
          caption: "Processes on GPUs",
          columns: PROCESS_COLUMNS,
          rows: processes,
          rowKey: (row) => row.key,
        })
      : html`<p class="muted">No process uses a GPU.</p>`,
  );
}
