// All GPUs of a host in one cell: a column each, and the sum in words.

import { h } from "preact";
import { bytesOf, celsius, percent, watts, withUnit } from "./format.js";
import { statusOf } from "./status.js";
import { html, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").GpuSummary} GpuSummary */

/** @param {(number | null)[]} values */
function known(values) {
  return values.filter((value) => value !== null);
}

/** @param {(number | null)[]} values */
function sum(values) {
  const list = known(values);
  return list.length ? list.reduce((a, b) => a + b, 0) : null;
}

/** "8 × NVIDIA H200", or the number of cards where they differ. @param {GpuSummary[]} gpus */
export function gpuModels(gpus) {
  const names = new Set(gpus.map((gpu) => (gpu.name ?? "GPU").replace(/^NVIDIA /, "")));
  const [name] = names;
  if (names.size !== 1) return `${gpus.length} GPUs`;
  return gpus.length === 1 ? name : `${gpus.length} × ${name}`;
}

/** Kilowatts from a thousand on. @param {number | null} value watts */
function power(value) {
  return value !== null && value >= 1000 ? withUnit(value / 1000, "kW") : watts(value);
}

/** @param {{ gpus: GpuSummary[] }} props */
export function GpuStrip(props) {
  const { gpus } = props;
  const loads = known(gpus.map((gpu) => gpu.utilization_percent));
  const load = loads.length ? (sum(loads) ?? 0) / loads.length : null;
  const memory = bytesOf(sum(gpus.map((gpu) => gpu.memory_used_bytes)), sum(gpus.map((gpu) => gpu.memory_total_bytes)));
  const heats = known(gpus.map((gpu) => gpu.temperature_celsius));
  const bad = gpus.filter((gpu) => gpu.state !== "ok");
  return html`<div class="gpu-strip">
    <div class="gpu-bars" aria-hidden="true">${gpus.map((gpu, at) => gpuBar(gpu, at))}</div>
    <div class="gpu-words">
      <span>${percent(load)} · ${celsius(heats.length ? Math.max(...heats) : null)} · ${power(sum(gpus.map((gpu) => gpu.power_watts)))}</span>
      <span class="muted clip" title=${gpuModels(gpus)}>${memory} · ${gpuModels(gpus)}</span>
      ${bad.map((gpu) => h(StatusMark, { ...statusOf("gpu", gpu.state), title: gpu.key }))}
    </div>
  </div>`;
}

/** Utilisation as a filled column, memory as a narrower one beside it. @param {GpuSummary} gpu @param {number} at */
function gpuBar(gpu, at) {
  const used =
    gpu.memory_used_bytes !== null && gpu.memory_total_bytes
      ? (gpu.memory_used_bytes / gpu.memory_total_bytes) * 100
      : 0;
  const words = `GPU ${at}: ${percent(gpu.utilization_percent)}, ${bytesOf(gpu.memory_used_bytes, gpu.memory_total_bytes)}, ${celsius(gpu.temperature_celsius)}, ${watts(gpu.power_watts)}`;
  return html`<span class=${`gpu-bar ${gpu.state === "ok" ? "" : "bad"}`} title=${words}>
    <span class="load" style=${{ height: `${gpu.utilization_percent ?? 0}%` }} />
    <span class="mem" style=${{ height: `${used}%` }} />
  </span>`;
}
