// The audit log: who did what, on what, from where, and how it ended.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect } from "preact/hooks";
import { auditCsvUrl, explain, get } from "./api.js";
import { param, setParams } from "./route.js";
import { DataTable } from "./table.js";
import { Age, Empty, ErrorNote, html, Icon, nothing, plainLine, StatusMark } from "./ui.js";

const PAGE = 100;

/** What the address asks for. @param {string} before */
function question(before) {
  const query = new URLSearchParams();
  for (const key of ["user", "action", "outcome"]) if (param(key)) query.set(key, param(key));
  if (before) query.set("before", before);
  return query;
}

export function AuditPage() {
  const rows = useSignal(/** @type {any[] | null} */ (null));
  const more = useSignal(false);
  const error = useSignal("");
  const [user, action, outcome] = [param("user"), param("action"), param("outcome")];
  /** @param {any[]} before those that are shown already */
  const load = async (before) => {
    try {
      const query = question(String(before.at(-1)?.id ?? ""));
      query.set("limit", String(PAGE));
      const found = await get(`audit?${query}`);
      rows.value = [...before, ...found];
      more.value = found.length === PAGE;
      error.value = "";
    } catch (failure) {
      error.value = explain(failure);
    }
  };
  useEffect(() => {
    load([]);
  }, [user, action, outcome]);
  return html`<div class="page">
    <div class="page-head"><h1>Audit log</h1><a class="button" download href=${auditCsvUrl(question(""))}>${h(Icon, { name: "download" })}CSV</a></div>
    <form class="audit-filter" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${field("user", "Who", user)}${field("action", "What", action)}
      <label>Outcome <select value=${outcome} onChange=${(/** @type {any} */ event) => setParams({ outcome: event.target.value })}>${[
        ["", "any"],
        ["open", "not ended"],
        ["verified", "verified"],
        ["unverified", "unverified"],
        ["failed", "failed"],
        ["refused", "refused"],
      ].map(([value, word]) => html`<option key=${value} value=${value}>${word}</option>`)}</select></label>
    </form>
    ${error.value && h(ErrorNote, {}, error.value)}
    ${rows.value === null && !error.value && html`<p class="loading" role="status">Loading…</p>`}
    ${rows.value && auditTable(rows.value)}
    ${more.value && html`<p><button type="button" class="button" onClick=${() => load(rows.value ?? [])}>Older ones</button></p>`}
  </div>`;
}

/** @param {string} name @param {string} label @param {string} value */
function field(name, label, value) {
  return html`<label>${label} <input type="text" value=${value} maxlength="100" autocomplete="off" spellcheck="false" onChange=${(/** @type {any} */ event) => setParams({ [name]: event.target.value.trim() })} /></label>`;
}

/** @param {any[]} list */
function auditTable(list) {
  if (!list.length)
    return h(
      Empty,
      { title: "Nothing matches." },
      "Logins, commands and changes of people and agents are written here.",
    );
  return h(/** @type {typeof DataTable<any>} */ (DataTable), {
    name: "audit",
    caption: "Acts, newest first",
    rows: list,
    rowKey: (row) => String(row.id),
    columns: [
      {
        name: "what",
        label: "What",
        cell: (row) =>
          html`<span class="stack"><span>${row.action}</span>${row.subject && html`<span class="muted clip">${plainLine(row.subject)}</span>`}</span>`,
      },
      {
        name: "who",
        label: "Who",
        cell: (row) =>
          html`<span class="stack"><span>${plainLine(row.user ?? "nobody")}</span><span class="muted mono">${row.address}</span></span>`,
      },
      { name: "host", label: "Host", cell: (row) => (row.host ? plainLine(row.host) : nothing()) },
      { name: "outcome", label: "Outcome", cell: (row) => outcomeCell(row) },
      { name: "at", label: "When", cell: (row) => h(Age, { ms: row.at_ms }) },
    ],
  });
}

/** @param {any} row */
function outcomeCell(row) {
  const open = row.outcome === "open";
  const good = row.outcome === "verified" || row.outcome === "done";
  const tone = open ? "info" : good ? "ok" : row.outcome === "unverified" ? "warn" : "crit";
  const [reason = ""] = String(row.result?.reason ?? row.result?.observed ?? "").split("\n");
  return html`<span class="stack">${h(StatusMark, { tone, word: open ? "not ended" : row.outcome })}${reason && html`<span class="muted clip" title=${plainLine(reason)}>${plainLine(reason)}</span>`}</span>`;
}
