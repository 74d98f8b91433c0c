// The overview: what needs attention first, worst first; healthy hosts fold into one row each.

import { computed } from "@preact/signals";
import { h } from "preact";
import { AddHost } from "./add-host.js";
import { parseQuery, passes } from "./filter.js";
import { bytesOf, duration, percent, plural } from "./format.js";
import { GpuStrip } from "./gpu-strip.js";
import { href, param } from "./route.js";
import { isStale, statusOf } from "./status.js";
import { hosts, now } from "./store.js";
import { DataTable } from "./table.js";
import { Age, Bar, Empty, Freshness, html, nothing, plainLine, Section, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").Host} Host */

/** Hosts whose numbers are too old to trust, also when it is the controller that has gone silent; told only when it changes. */
const staleIds = computed(() =>
  (hosts.value ?? [])
    .filter(isTooOld)
    .map((host) => host.id)
    .join(" "),
);
export const staleHosts = computed(() => new Set(staleIds.value.split(" ").map(Number)));

/** @param {Host} host */
function isTooOld(host) {
  const silent = host.state === "stale" || host.state === "offline";
  return silent || isStale(now.value - (host.last_seen_ms ?? 0), host.interval_ms);
}

/** @type {import("./table.js").Column<Host>[]} */
const HOST_COLUMNS = [
  { name: "host", class: "col-host", label: "Host", cell: (host) => hostCell(host), sort: (host) => host.name },
  {
    name: "cpu",
    class: "col-cpu",
    label: "CPU",
    cell: (host) =>
      hostShareCell(host.summary.cpu_percent, host.summary.cpu_count ? `${host.summary.cpu_count} cores` : ""),
    sort: (host) => host.summary.cpu_percent,
  },
  {
    name: "memory",
    class: "col-memory",
    label: "Memory",
    cell: (host) => hostMemoryCell(host),
    sort: (host) => memoryPercent(host),
  },
  { name: "gpus", label: "GPUs", class: "wide col-gpus", cell: (host) => gpusCell(host) },
  {
    name: "mount",
    class: "col-mount",
    label: "Fullest mount",
    cell: (host) => mountCell(host),
    sort: (host) => host.summary.fullest_mount?.used_percent,
  },
  {
    name: "containers",
    class: "col-containers",
    label: "Containers",
    cell: (host) => containersCell(host),
    sort: (host) => host.summary.containers?.total,
  },
  {
    name: "age",
    class: "col-age",
    label: "Age",
    cell: (host) => h(Freshness, { ms: host.last_seen_ms, intervalMs: host.interval_ms }),
    sort: (host) => host.last_seen_ms,
  },
];

/** A host that says nothing any more is not online, whatever it was last. @param {Host} host */
export function shownState(host) {
  const stale = host.state === "online" && staleHosts.value.has(host.id);
  return statusOf("host", stale ? "stale" : host.state);
}

/** @param {Host} host */
function hostCell(host) {
  const status = shownState(host);
  return html`<span class="host-cell"><a href=${href(["host", String(host.id)])}>${plainLine(host.name)}</a>${h(StatusMark, status)}${behindWords(host)}</span>`;
}

/** How far the history of a host that catches up is behind. @param {Host} host */
function behindWords(host) {
  return host.catching_up && html`<span class="muted">${duration(host.catching_up.behind_ms)} behind</span>`;
}

/** @param {number | null} share @param {string} note */
function hostShareCell(share, note) {
  return html`<span class="share">${h(Bar, { percent: share, tone: "plain" })}<span class="share-text">${percent(share)}</span><span class="muted share-note">${note}</span></span>`;
}

/** @param {Host} host */
function memoryPercent(host) {
  const { memory_used_bytes: used, memory_total_bytes: total } = host.summary;
  return used !== null && total ? (used / total) * 100 : null;
}

/** @param {Host} host */
function hostMemoryCell(host) {
  const share = memoryPercent(host);
  const words = bytesOf(host.summary.memory_used_bytes, host.summary.memory_total_bytes);
  return html`<span class="share">${h(Bar, { percent: share })}<span class="share-text">${percent(share)}</span><span class="muted share-note">${words}</span></span>`;
}

/** @param {Host} host */
function gpusCell(host) {
  const { gpus } = host.summary;
  return gpus.length ? h(GpuStrip, { gpus }) : html`<span class="muted nothing">none</span>`;
}

/** @param {Host} host */
function mountCell(host) {
  const mount = host.summary.fullest_mount;
  if (!mount) return nothing();
  return html`<span class="share">${h(Bar, { percent: mount.used_percent })}<span class="share-text">${percent(mount.used_percent)}</span><span class="muted share-note" title=${mount.key}>${plainLine(mount.key)}</span></span>`;
}

/** @param {Host} host */
function containersCell(host) {
  const containers = host.summary.containers;
  if (!containers) return html`<span class="muted">no Docker</span>`;
  if (!containers.total) return html`<span class="muted">none</span>`;
  return html`<span class="stack"><span>${containers.running} of ${containers.total} running</span>
    ${containers.crash_loops > 0 && h(StatusMark, { tone: "crit", word: plural(containers.crash_loops, "crash loop") })}
    ${containers.unhealthy > 0 && h(StatusMark, { tone: "warn", word: `${containers.unhealthy} unhealthy` })}</span>`;
}

/** @param {Host} host */
export function problemList(host) {
  if (!host.problems.length) return null;
  return html`<ul class="problems" aria-label=${`Problems of ${host.name}`}>
    ${host.problems.map(
      (problem) => html`<li key=${`${problem.kind} ${problem.key} ${problem.message}`}>
        ${h(StatusMark, { tone: problem.severity, word: problem.severity === "crit" ? "critical" : "warning" })}
        <span class="problem-text">${problem.subject && html`<strong>${plainLine(problem.subject)}</strong> `}${plainLine(problem.message)}</span>
        ${problem.since_ms !== null && h(Age, { ms: problem.since_ms, prefix: "for ", suffix: "" })}
      </li>`,
    )}
  </ul>`;
}

/** @param {Host} host */
function hostFields(host) {
  return {
    host: host.name,
    state: [host.state, ...host.problems.map((problem) => problem.severity)],
    problem: host.problems.map((problem) => `${problem.subject} ${problem.message}`),
    os: `${host.summary.os ?? ""} ${host.summary.kernel ?? ""} ${host.summary.architecture ?? ""}`,
    gpu: host.summary.gpus.map((gpu) => gpu.name ?? ""),
    agent: host.agent_version,
  };
}

/** The fleet in one line. @param {Host[]} list */
function fleetLine(list) {
  const gpus = list.flatMap((host) => host.summary.gpus);
  const busy = gpus.filter((gpu) => (gpu.utilization_percent ?? 0) > 0).length;
  const running = list.reduce((total, host) => total + (host.summary.containers?.running ?? 0), 0);
  const containers = list.some((host) => host.summary.containers?.total);
  return [
    plural(list.length, "host"),
    ...(gpus.length ? [`${busy} of ${plural(gpus.length, "GPU")} busy`] : []),
    ...(containers ? [`${plural(running, "container")} running`] : []),
  ].join(" · ");
}

/** A fleet without a GPU needs no column for them. */
function hostColumns() {
  const gpus = (hosts.value ?? []).some((host) => host.summary.gpus.length);
  return gpus ? HOST_COLUMNS : HOST_COLUMNS.filter((column) => column.name !== "gpus");
}

/** @param {{ name: string, caption: string, rows: Host[] }} props */
function HostTable(props) {
  return h(/** @type {typeof DataTable<Host>} */ (DataTable), {
    ...props,
    kind: "hosts",
    columns: hostColumns(),
    rowKey: (host) => String(host.id),
    rowClass: (host) => (staleHosts.value.has(host.id) ? "stale" : ""),
    below: problemList,
  });
}

export function Overview() {
  const list = hosts.value;
  if (list === null)
    return html`<div class="page"><h1>Overview</h1><p class="loading" role="status">Loading the fleet…</p></div>`;
  if (!list.length)
    return html`<div class="page"><h1>Overview</h1>${h(Empty, { title: "No host has joined yet." }, "Add a host to see its GPUs, disks and containers here within seconds.")}${h(AddHost, {})}</div>`;
  const terms = parseQuery(param("q"));
  const shown = list.filter((host) => passes(terms, hostFields(host)));
  const troubled = shown.filter((host) => host.problems.length || host.state !== "online");
  const healthy = shown.filter((host) => !troubled.includes(host));
  return html`<div class="page">
    <div class="page-head"><h1>Overview</h1><p class="muted">${fleetLine(list)}</p>${h(AddHost, {})}</div>
    ${!shown.length && h(Empty, { title: "No host matches the filter." }, `${plural(list.length, "host")} hidden by “${param("q")}”.`)}
    ${shown.length > 0 && attention(troubled)}
    ${healthy.length > 0 && h(Section, { id: "healthy", title: "Healthy", note: plural(healthy.length, "host") }, h(HostTable, { name: "healthy", caption: "Healthy hosts", rows: healthy }))}
  </div>`;
}

/** @param {Host[]} troubled */
function attention(troubled) {
  const note = troubled.length ? `${plural(troubled.length, "host")}, worst first` : "";
  return h(
    Section,
    { id: "attention", title: "Needs attention", note },
    troubled.length
      ? h(HostTable, { name: "attention", caption: "Hosts that need attention", rows: troubled })
      : html`<p class="all-well">${h(StatusMark, { tone: "ok", word: "Nothing needs attention." })}</p>`,
  );
}
