// The audit log: who did what, on what, from where, and how it ended.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect } from "preact/hooks";
import { auditCsvUrl, explain, get } from "./api.js";
import { foundLine } from "./commands.js";
import { param, setParams } from "./route.js";
import { mayAudit } from "./store.js";
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

/** What can be asked for, and in which words. */
const OUTCOMES_ASKED = [
  ["", "any"],
  ["open", "not ended"],
  ...["done", "verified", "unverified", "failed", "refused", "cancelled", "expired", "interrupted"].map((name) => [
    name,
    name,
  ]),
];

/** For whom the log is not: said, before anything is asked of the controller. */
function NotForYou() {
  return html`<div class="page"><h1>Audit log</h1>${h(Empty, { title: "Your role does not read the audit log." }, html`Admins and sysops do; ask one of them. What was asked of hosts stands in <a href="#/commands">Commands</a>.`)}</div>`;
}

export function AuditPage() {
  return mayAudit.value ? h(AuditLog, {}) : h(NotForYou, {});
}

function AuditLog() {
  const rows = useSignal(/** @type {any[] | null} */ (null));
  const more = useSignal(false);
  const error = useSignal("");
  const [user, action, outcome] = [param("user"), param("action"), param("outcome")];
  const narrowed = Boolean(user || action || outcome);
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
      ${field("user", "Who", user, "a name")}${field("action", "What", action, "login, container, container.stop")}
      <label>Outcome <select value=${outcome} onChange=${(/** @type {any} */ event) => setParams({ outcome: event.target.value })}>${OUTCOMES_ASKED.map(
        ([value, word]) => html`<option key=${value} value=${value}>${word}</option>`,
      )}</select></label>
      ${
        narrowed &&
        html`<button type="button" class="button" onClick=${() => setParams({ user: null, action: null, outcome: null })}>Show all</button>`
      }
    </form>
    ${
      error.value &&
      html`${h(ErrorNote, {}, error.value)}<p><button type="button" class="button" onClick=${() => load([])}>Try again</button></p>`
    }
    ${rows.value === null && !error.value && html`<p class="loading" role="status">Loading…</p>`}
    ${rows.value && auditTable(rows.value, narrowed)}
    ${more.value && html`<p><button type="button" class="button" onClick=${() => load(rows.value ?? [])}>Older ones</button></p>`}
  </div>`;
}

/** @param {string} name @param {string} label @param {string} value @param {string} example */
function field(name, label, value, example) {
  return html`<label>${label} <input type="text" placeholder=${example} autocapitalize="none" value=${value} maxlength="100" autocomplete="off" spellcheck="false" onChange=${(/** @type {any} */ event) => setParams({ [name]: event.target.value.trim() })} /></label>`;
}

/** @param {any[]} list @param {boolean} narrowed */
function auditTable(list, narrowed) {
  if (!list.length)
    return h(
      Empty,
      { title: narrowed ? "Nothing matches." : "Nothing is written yet." },
      narrowed
        ? "Who and What are whole names; What may be the part before the dot: container finds container.restart."
        : "Logins, commands and changes of people and agents are written here.",
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
  const { observed = null, reason: why = null } = row.result ?? {};
  const reason = foundLine({ ...row, state: "finished", observed, reason: why, waiting_for: null });
  return html`<span class="stack">${h(StatusMark, { tone, word: open ? "not ended" : row.outcome })}${reason && html`<span class="muted clip" title=${plainLine(reason)}>${plainLine(reason)}</span>`}</span>`;
}
