// One host: who it is, what is wrong, its charts, GPUs, containers, mounts and events.

import { h } from "preact";
import { Containers } from "./containers.js";
import { Events } from "./events.js";
import { bytes, duration, offset, plural, seconds } from "./format.js";
import { Gpus } from "./gpus.js";
import { HostCharts } from "./host-charts.js";
import { Mounts } from "./mounts.js";
import { problemList, shownState, staleHosts } from "./overview.js";
import { RefusalLines } from "./refusals.js";
import { href } from "./route.js";
import { absentNote, OtherSources } from "./sources.js";
import { catalogue, chosenHost, documentsOf, host } from "./store.js";
import { Age, Empty, Freshness, html, Icon, plainLine, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").Host} Host */
/** @typedef {import("./types.js").HostView} HostView */

export function HostPage() {
  const view = host.value;
  const summary = chosenHost.value;
  if (view?.status === "missing")
    return html`<div class="page"><h1>Host</h1>${h(Empty, { title: "There is no such host." }, html`It may have been removed. <a href="#/">All hosts</a>`)}</div>`;
  if (!view || !summary || view.status === "loading" || !catalogue.value)
    return html`<div class="page"><h1>${summary?.name ?? "Host"}</h1><p class="loading" role="status">Loading the host…</p></div>`;
  const stale = staleHosts.value.has(summary.id);
  return html`<div class=${`page host-page ${stale ? "stale" : ""}`}>
    ${h(HostHead, { summary, view })}
    ${h(OtherSources, { view })}
    ${h(HostCharts, { view, key: view.id })}
    ${h(Gpus, { view, absent: absentNote(view, "gpus") })}
    ${h(Containers, { view, absent: absentNote(view, "containers") })}
    ${h(Mounts, { view, absent: absentNote(view, "mounts") })}
    ${h(Events, {})}
    ${h(RefusalLines, { hostId: view.id, key: `refusals-${view.id}` })}
  </div>`;
}

/** @param {{ summary: Host, view: HostView }} props */
function HostHead(props) {
  const { summary, view } = props;
  return html`<header class="host-head">
    <a class="back" href=${href([])}>${h(Icon, { name: "arrow-left" })}All hosts</a>
    <div class="host-title">
      <h1>${plainLine(summary.name)}</h1>
      ${h(StatusMark, shownState(summary))}
      ${h(Freshness, { ms: summary.last_seen_ms, intervalMs: summary.interval_ms })}
    </div>
    ${summary.catching_up && html`<p class="muted">Its history is ${duration(summary.catching_up.behind_ms)} behind: ${plural(summary.catching_up.batches_left, "batch", "batches")} to come, while what is live goes on.</p>`}
    ${problemList(summary)}
    <dl class="facts">${factsOf(summary, view).map(([name, value, title]) => html`<div key=${name}><dt>${name}</dt><dd title=${title}>${value}</dd></div>`)}</dl>
  </header>`;
}

/** @param {Host} entry @param {HostView} view @returns {[string, import("preact").ComponentChildren, string?][]} */
function factsOf(entry, view) {
  const body = documentsOf(view, "host")[0]?.body;
  const { summary } = entry;
  const system = body ? [body.os, body.os_version].filter(Boolean).join(" ") : summary.os;
  const boot = body?.boot_time_ms ?? summary.boot_time_ms;
  return [
    ["System", plainLine(system || "unknown")],
    [
      "Kernel",
      plainLine(
        [summary.kernel ?? body?.kernel, summary.architecture ?? body?.architecture].filter(Boolean).join(" · ") ||
          "unknown",
      ),
    ],
    [
      "CPU",
      plainLine(`${body?.cpu_model ?? "model unknown"} · ${summary.cpu_count ?? "?"} threads`),
      body?.cpu_model ?? undefined,
    ],
    ["Memory", bytes(summary.memory_total_bytes)],
    ["Up for", boot ? h(Age, { ms: boot, suffix: "", class: "" }) : "unknown"],
    ["Runs on", virtualization(body?.virtualization)],
    [
      "Agent",
      html`${entry.agent_version ?? "unknown"}${entry.connected_since_ms !== null && html` · ${h(Age, { ms: entry.connected_since_ms, prefix: "connected ", suffix: "" })}`}`,
    ],
    ["Round trip", entry.round_trip_ms === null ? "unknown" : seconds(entry.round_trip_ms / 1000)],
    ["Clock", offset(entry.clock_offset_ms), "How far the host's clock is from the controller's"],
    ["Address", html`<span class="mono">${entry.address ?? "unknown"}</span>`],
  ];
}

/** @param {string | null | undefined} kind */
function virtualization(kind) {
  if (!kind) return "unknown";
  return kind === "none" ? "bare metal" : kind;
}
