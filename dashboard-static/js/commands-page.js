// Commands: what was asked of hosts, by whom, and what came of it; and one bulk as it goes.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect } from "preact/hooks";
import { explain, get, post } from "./api.js";
import { titleOf } from "./command-dialog.js";
import { commandStatus, foundLine, openCommand, VERBS } from "./commands.js";
import { plural } from "./format.js";
import { href, route } from "./route.js";
import { mayAct, mayAudit } from "./store.js";
import { DataTable } from "./table.js";
import { Age, Empty, ErrorNote, html, nothing, plainLine, Section, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").CommandView} CommandView */

/** Open commands and bulks change without a word to this list: it asks again. */
const AGAIN_MS = 3000;

/** @param {() => Promise<boolean>} load whether it is to be asked again */
function useAgain(load) {
  useEffect(() => {
    let timer = 0;
    let gone = false;
    const next = async () => {
      const more = document.hidden || (await load());
      if (!gone && more) timer = setTimeout(next, AGAIN_MS);
    };
    next();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, []);
}

export function CommandsPage() {
  const list = useSignal(/** @type {CommandView[] | null} */ (null));
  const bulks = useSignal(/** @type {any[]} */ ([]));
  const error = useSignal("");
  const load = async () => {
    try {
      [list.value, bulks.value] = await Promise.all([get("commands?limit=100"), get("bulks?limit=10")]);
      error.value = "";
    } catch (failure) {
      error.value = explain(failure);
    }
    return true;
  };
  useAgain(load);
  return html`<div class="page">
    <div class="page-head"><h1>Commands</h1>${mayAudit.value && html`<a class="button" href=${href(["audit"])}>Audit log</a>`}</div>
    ${error.value && h(ErrorNote, {}, error.value)}
    ${list.value === null && !error.value && html`<p class="loading" role="status">Loading…</p>`}
    ${bulks.value.length > 0 && h(Section, { id: "bulks", title: "Bulks" }, bulkTable(bulks.value))}
    ${list.value && h(Section, { id: "commands", title: "Single commands" }, commandTable(list.value))}
  </div>`;
}

/** @param {CommandView[]} list */
function commandTable(list) {
  if (!list.length)
    return h(
      Empty,
      { title: "Nothing was asked of any host yet." },
      mayAct.value
        ? html`Open a <a href="#/">host</a>, find the container in its list, and press the three dots of its row.`
        : "What admins ask of hosts shows here, with what came of it.",
    );
  return h(/** @type {typeof DataTable<CommandView>} */ (DataTable), {
    name: "commands",
    caption: "Commands, newest first",
    rows: list,
    rowKey: (row) => row.id,
    columns: [
      {
        name: "what",
        label: "Command",
        cell: (row) =>
          html`<button type="button" class="row-link" onClick=${() => openCommand(row.id)}>${titleOf(row)}</button>`,
        sort: (row) => row.action,
      },
      { name: "host", label: "Host", cell: (row) => plainLine(row.host), sort: (row) => row.host },
      { name: "state", label: "State", cell: (row) => commandState(row) },
      { name: "by", label: "By", cell: (row) => plainLine(row.by), sort: (row) => row.by },
      { name: "asked", label: "Asked", cell: (row) => h(Age, { ms: row.asked_ms }), sort: (row) => row.asked_ms },
    ],
  });
}

/** @param {CommandView} row */
function commandState(row) {
  const first = foundLine(row);
  return html`<span class="stack">${h(StatusMark, commandStatus(row))}${first && html`<span class="muted clip" title=${plainLine(first)}>${plainLine(first)}</span>`}</span>`;
}

/** @param {any[]} list */
function bulkTable(list) {
  return h(/** @type {typeof DataTable<any>} */ (DataTable), {
    name: "bulks",
    caption: "Bulks, newest first",
    rows: list,
    rowKey: (row) => row.id,
    columns: [
      {
        name: "what",
        label: "Bulk",
        cell: (row) => html`<a class="row-link" href=${href(["bulk", row.id])}>${bulkTitle(row)}</a>`,
      },
      { name: "state", label: "State", cell: (row) => bulkState(row) },
      { name: "by", label: "By", cell: (row) => plainLine(row.by) },
      { name: "asked", label: "Asked", cell: (row) => h(Age, { ms: row.asked_ms }) },
    ],
  });
}

/** @param {any} bulk */
function bulkTitle(bulk) {
  const name = bulk.action.replace("container.", "");
  return `${VERBS.find((verb) => verb.name === name)?.label ?? name} ${plural(bulk.total, "container")}`;
}

/** @type {Record<string, string>} */
const BULK_STATES = {
  running: "in progress",
  done: "all batches have ended",
  stopped: "stopped: what was left is not begun",
  cancelled: "cancelled: what was left is not begun",
};

/** @param {any} bulk */
function bulkState(bulk) {
  const bad = bulk.ended - bulk.verified;
  const running = bulk.closed_ms === null;
  const tone = bad > 0 ? "crit" : running ? "info" : bulk.verified === bulk.total ? "ok" : "warn";
  const word = `${bulk.verified} of ${bulk.total} verified${bad > 0 ? `, ${bad} not` : ""}`;
  return html`<span class="stack">${h(StatusMark, { tone, word })}<span class="muted">${BULK_STATES[bulk.state] ?? plainLine(bulk.state)}</span></span>`;
}

export function BulkPage() {
  const id = route.value.parts[1] ?? "";
  const bulk = useSignal(/** @type {any} */ (null));
  const error = useSignal("");
  const load = async () => {
    try {
      bulk.value = await get(`bulks/${encodeURIComponent(id)}`);
      error.value = "";
    } catch (failure) {
      error.value = explain(failure);
    }
    return bulk.value?.closed_ms == null;
  };
  useAgain(load);
  const cancel = async () => {
    try {
      await post(`bulks/${encodeURIComponent(id)}/cancel`);
      await load();
    } catch (failure) {
      error.value = explain(failure);
    }
  };
  const now = bulk.value;
  return html`<div class="page">
    <div class="page-head"><h1>${now ? bulkTitle(now) : "Bulk"}</h1>${now && mayAct.value && now.closed_ms === null && html`<button type="button" class="button danger" onClick=${cancel}>Stop after this batch</button>`}</div>
    ${error.value && h(ErrorNote, {}, error.value)}
    ${!now && !error.value && html`<p class="loading" role="status">Loading…</p>`}
    ${
      now &&
      html`<div class="bulk-head">${bulkState(now)}
        ${now.reason && html`<p>${plainLine(now.reason)}</p>`}
        <p class="muted">Asked for by ${plainLine(now.by)} ${h(Age, { ms: now.asked_ms })}, ${now.batch_size} at a time, ${now.stop_on_failure ? "stopping at the first that is not verified" : "going on whatever fails"}.</p>
      </div>
      ${itemTable(now)}`
    }
  </div>`;
}

/** @param {any} bulk */
function itemTable(bulk) {
  return h(/** @type {typeof DataTable<any>} */ (DataTable), {
    name: "items",
    caption: "Containers of the bulk, in order",
    rows: (bulk.items ?? []).map((/** @type {any} */ item) => ({ ...item, action: bulk.action, waiting_for: null })),
    rowKey: (row) => `${row.host_id} ${row.subject} ${row.batch}`,
    columns: [
      {
        name: "subject",
        label: "Container",
        cell: (row) =>
          row.command_id
            ? html`<button type="button" class="row-link" onClick=${() => openCommand(row.command_id)}>${plainLine(row.subject)}</button>`
            : plainLine(row.subject),
      },
      { name: "host", label: "Host", cell: (row) => plainLine(row.host) },
      { name: "state", label: "State", cell: (row) => itemState(row) },
      { name: "found", label: "Found", class: "found", cell: (row) => plainLine(foundLine(row)) || nothing() },
      { name: "batch", label: "Batch", number: true, cell: (row) => row.batch + 1 },
    ],
  });
}

/** @param {any} item */
function itemState(item) {
  if (item.state === "waiting") return h(StatusMark, { tone: "info", word: "waits for its batch" });
  if (item.state === "not_begun") return h(StatusMark, { tone: "stale", word: "not begun" });
  return h(StatusMark, commandStatus(item));
}
