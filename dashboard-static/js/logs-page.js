// Logs: of one container or of several, merged; live, narrowed by level and text, kept on the page only.

import { useComputed, useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { explain, get } from "./api.js";
import { plural } from "./format.js";
import { asText, LogReader, narrowed } from "./log-lines.js";
import { following, LogView } from "./log-view.js";
import { href, param, route, setParams } from "./route.js";
import { hosts } from "./store.js";
import { Empty, ErrorNote, html, Icon, plainLine, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").LogPlace} LogPlace */

/** What the address names, as the API takes it. */
function wish() {
  const { params } = route.value;
  const query = new URLSearchParams();
  for (const key of ["container", "unit", "file"]) for (const name of params.getAll(key)) query.append(key, name);
  const sources = [...query].length;
  const host = params.get("host");
  if (host) query.set("host", host);
  query.set("lines", params.get("lines") ?? "1000");
  return sources ? query.toString() : "";
}

export function LogsPage() {
  const query = useComputed(wish).value;
  return html`<div class="page logs-page">
    <div class="page-head"><h1>Logs</h1>${query && html`<a class="button" href=${href(["logs"], param("host") ? { host: param("host") } : {})}>Choose others</a>`}</div>
    ${query ? h(Reader, { query, key: query }) : h(Chooser, {})}
  </div>`;
}

/** @type {Record<import("./log-lines.js").ReaderState, import("./status.js").Status>} */
const READER = {
  opening: { tone: "info", word: "connecting" },
  past: { tone: "info", word: "reading the past" },
  live: { tone: "ok", word: "live" },
  ended: { tone: "stale", word: "ended" },
  lost: { tone: "crit", word: "not open" },
};

/** @param {import("preact").RenderableProps<{ query: string }>} props */
function Reader(props) {
  const reader = useMemo(() => new LogReader(new URLSearchParams(props.query)), [props.query]);
  const why = useSignal("");
  useEffect(() => {
    following.value = true;
    reader.open();
    return () => reader.close();
  }, [reader]);
  useEffect(() => {
    // An event stream tells no reason; the same question as a call does.
    if (reader.state.value === "lost") reason(props.query).then((text) => (why.value = text));
  }, [reader.state.value]);
  const version = reader.version.value;
  const level = param("level");
  const text = param("q");
  const lines = narrowed(reader.lines, level, text);
  const places = reader.places.value;
  return html`<div class="log-tools">
      ${h(StatusMark, READER[reader.state.value])}
      <span class="muted log-names">${places.map((place) => plainLine(place.name)).join(", ")}</span>
      <div class="segmented" role="group" aria-label="Least level">${["", "info", "warn", "error"].map(
        (name) =>
          html`<button key=${name} type="button" aria-pressed=${level === name} title=${name ? `${name} and worse; lines without a level stay` : "Every line"} onClick=${() => setParams({ level: name || null })}>${name || "all"}</button>`,
      )}</div>
      <button type="button" class="button" disabled=${!lines.length} onClick=${() => download(asText(lines, places), places)}>${h(Icon, { name: "download" })}Download</button>
    </div>
    ${
      why.value &&
      html`${h(ErrorNote, {}, why.value)}<p><button type="button" class="button" onClick=${() => {
        why.value = "";
        reader.open();
      }}>Try again</button></p>`
    }
    ${reader.gone > 0 && html`<p class="muted">The oldest ${plural(reader.gone, "line")} of this page are gone.</p>`}
    ${
      lines.length
        ? h(LogView, { lines, version, places, label: "Log lines", highlight: text.toLowerCase() })
        : reader.state.value === "live" || reader.state.value === "ended"
          ? h(
              Empty,
              { title: reader.lines.length ? "No line matches." : "No lines." },
              reader.lines.length
                ? html`${plural(reader.lines.length, "line")} hidden by level or filter. <button type="button" class="row-link" onClick=${() => setParams({ level: null, q: null })}>Show all</button>`
                : "What is printed from now on shows here.",
            )
          : reader.state.value !== "lost" && html`<p class="loading" role="status">Loading…</p>`
    }`;
}

/** @param {string} query */
async function reason(query) {
  try {
    await get(`logs/stream?${query}&follow=false&lines=0`);
    return "The stream was closed. Load the page again.";
  } catch (failure) {
    return explain(failure);
  }
}

/** @param {string} text @param {LogPlace[]} places */
function download(text, places) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = `${places.length === 1 ? (places[0]?.name ?? "log") : "logs"}.log`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {number} many */
function readWords(many) {
  if (!many) return "Tick what to read";
  return many === 1 ? "Read the log" : `Read ${many} logs, merged`;
}

/** Which containers: of one host, ticked. */
function Chooser() {
  const hostId = param("host") || String(hosts.value?.[0]?.id ?? "");
  const found = useSignal(/** @type {{ id: string, name: string }[] | null} */ (null));
  const error = useSignal("");
  const ticked = useSignal(/** @type {Set<string>} */ (new Set()));
  useEffect(() => {
    found.value = null;
    ticked.value = new Set();
    if (!hostId) return;
    get(`hosts/${encodeURIComponent(hostId)}`).then(
      (detail) => {
        error.value = "";
        found.value = detail.documents
          .filter((/** @type {any} */ one) => one.kind === "container" && one.body)
          .map((/** @type {any} */ one) => ({ id: one.key, name: one.body.name }))
          .sort((/** @type {any} */ a, /** @type {any} */ b) => a.name.localeCompare(b.name));
      },
      (failure) => {
        error.value = explain(failure);
      },
    );
  }, [hostId]);
  if (hosts.value?.length === 0)
    return h(Empty, { title: "No host has joined yet." }, html`<a href="#/agents">Add one</a> under Agents.`);
  const wanted = param("q").toLowerCase();
  const listed = found.value?.filter((one) => ticked.value.has(one.id) || one.name.toLowerCase().includes(wanted));
  const query = new URLSearchParams([["host", hostId], ...[...ticked.value].map((id) => ["container", id])]);
  return html`<form class="form log-chooser" onSubmit=${(/** @type {Event} */ event) => {
    event.preventDefault();
    if (ticked.value.size) location.hash = href(["logs"], query);
  }}>
    <label>Host <select value=${hostId} onChange=${(/** @type {any} */ event) => setParams({ host: event.target.value })}>${(
      hosts.value ?? []
    ).map(
      (entry) => html`<option key=${entry.id} value=${entry.id}>${plainLine(entry.name)}</option>`,
    )}</select></label>
    ${error.value && h(ErrorNote, {}, error.value)}
    ${found.value === null && !error.value && html`<p class="loading" role="status">Loading…</p>`}
    ${found.value?.length === 0 && h(Empty, { title: "This host has no containers." }, "Choose another host.")}
    ${
      listed?.length === 0 &&
      found.value?.length !== 0 &&
      h(
        Empty,
        { title: "No container matches the filter." },
        `${plural(found.value?.length ?? 0, "container")} hidden by “${param("q")}”.`,
      )
    }
    <fieldset><legend class="hidden">Containers</legend>${listed?.map(
      (one) =>
        html`<label key=${one.id} class="check"><input type="checkbox" checked=${ticked.value.has(one.id)} onChange=${(
          /** @type {any} */ event,
        ) => {
          const next = new Set(ticked.value);
          if (event.target.checked) next.add(one.id);
          else next.delete(one.id);
          ticked.value = next;
        }} /><span>${plainLine(one.name)}</span></label>`,
    )}</fieldset>
    ${
      found.value !== null &&
      found.value.length > 0 &&
      html`<button type="submit" class="button primary" disabled=${!ticked.value.size}>${readWords(ticked.value.size)}</button>`
    }
  </form>`;
}
