// Logs: of one container or of several, merged; live, narrowed by level and text, kept on the page only.

import { useComputed, useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { explain, get } from "./api.js";
import { plural } from "./format.js";
import { LogChooser } from "./log-chooser.js";
import { asText, LogReader, narrowed } from "./log-lines.js";
import { following, LogView } from "./log-view.js";
import { href, param, route, setParams } from "./route.js";
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
    ${query ? h(Reader, { query, key: query }) : h(LogChooser, {})}
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
