// Agents: the keys that hosts hold, and join tokens that wait to be used.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect } from "preact/hooks";
import { AddHost } from "./add-host.js";
import { explain, get, post, remove } from "./api.js";
import { duration, moment } from "./format.js";
import { announce, now } from "./store.js";
import { DataTable } from "./table.js";
import { Age, Dialog, Empty, ErrorNote, html, nothing, plainLine, Section, StatusMark } from "./ui.js";

/** @typedef {Record<string, any>} Entry */

export function AgentsPage() {
  const agents = useSignal(/** @type {Entry[] | null} */ (null));
  const tokens = useSignal(/** @type {Entry[] | null} */ (null));
  const error = useSignal("");
  const revoking = useSignal(/** @type {Entry | null} */ (null));
  const load = async () => {
    try {
      [agents.value, tokens.value] = await Promise.all([get("agents"), get("join-tokens")]);
      error.value = "";
    } catch (failure) {
      error.value = explain(failure);
    }
  };
  useEffect(() => {
    load();
  }, []);
  /** @param {() => Promise<any>} act @param {string} done */
  const change = async (act, done) => {
    try {
      await act();
      announce(done);
      await load();
    } catch (failure) {
      error.value = explain(failure);
    }
  };
  return html`<div class="page">
    <div class="page-head"><h1>Agents</h1><p class="muted">Keys that hosts hold, and join tokens that wait</p>${h(AddHost, { onMade: load })}</div>
    ${error.value && h(ErrorNote, {}, error.value)}
    ${h(
      Section,
      { id: "agents", title: "Keys" },
      agentTable(agents.value, (entry) => {
        revoking.value = entry;
      }),
    )}
    ${h(
      Section,
      { id: "tokens", title: "Join tokens" },
      tokenTable(tokens.value, (entry) =>
        change(() => remove(`join-tokens/${encodeURIComponent(entry.id)}`), "The join token is withdrawn"),
      ),
    )}
    ${
      revoking.value &&
      h(RevokeDialog, {
        entry: revoking.value,
        onClose: () => {
          revoking.value = null;
        },
        onRevoke: (entry) =>
          change(() => post(`agents/${encodeURIComponent(entry.id)}/revoke`), "The agent's key is revoked"),
      })
    }
  </div>`;
}

/** @param {Entry[] | null} list @param {(entry: Entry) => void} revoke */
function agentTable(list, revoke) {
  if (list === null) return html`<p class="loading" role="status">Loading…</p>`;
  if (!list.length) return h(Empty, { title: "No agent holds a key." }, "Add a host to give it one.");
  return h(/** @type {typeof DataTable<Entry>} */ (DataTable), {
    name: "agents",
    caption: "Keys that hosts hold",
    rows: list,
    rowKey: (row) => row.id,
    columns: [
      {
        name: "host",
        label: "Host",
        cell: (row) => plainLine(row.host_name ?? row.name ?? row.host_id ?? row.id),
        sort: (row) => row.host_name ?? row.name,
      },
      {
        name: "state",
        label: "State",
        cell: (row) =>
          h(StatusMark, row.revoked_ms == null ? { tone: "ok", word: "valid" } : { tone: "stale", word: "revoked" }),
      },
      {
        name: "since",
        label: "Enrolled",
        cell: (row) => whenCell(row.enrolled_ms ?? row.created_ms),
        sort: (row) => row.enrolled_ms ?? row.created_ms,
      },
      {
        name: "until",
        label: "Certificate until",
        cell: (row) => whenCell(row.not_after_ms ?? row.expires_ms),
        sort: (row) => row.not_after_ms ?? row.expires_ms,
      },
      {
        name: "act",
        label: "Action",
        cell: (row) =>
          row.revoked_ms == null
            ? html`<button type="button" class="button" onClick=${() => revoke(row)}>Revoke…</button>`
            : nothing(),
      },
    ],
  });
}

/** @param {Entry[] | null} list @param {(entry: Entry) => void} withdraw */
function tokenTable(list, withdraw) {
  if (list === null) return html`<p class="loading" role="status">Loading…</p>`;
  if (!list.length) return html`<p class="muted">No join token waits to be used.</p>`;
  return h(/** @type {typeof DataTable<Entry>} */ (DataTable), {
    name: "tokens",
    caption: "Join tokens",
    rows: list,
    rowKey: (row) => row.id,
    columns: [
      {
        name: "host",
        label: "For host",
        cell: (row) => (row.host_name ? plainLine(row.host_name) : "any name"),
        sort: (row) => row.host_name,
      },
      { name: "state", label: "State", cell: (row) => h(StatusMark, tokenStatus(row)) },
      { name: "made", label: "Made", cell: (row) => whenCell(row.created_ms), sort: (row) => row.created_ms },
      {
        name: "until",
        label: "Expires",
        cell: (row) => whenCell(row.expires_ms),
        sort: (row) => row.expires_ms,
      },
      {
        name: "act",
        label: "Action",
        cell: (row) =>
          row.used_ms == null
            ? html`<button type="button" class="button" onClick=${() => withdraw(row)}>Withdraw</button>`
            : nothing(),
      },
    ],
  });
}

/** @param {Entry} token @returns {import("./status.js").Status} */
function tokenStatus(token) {
  if (token.used_ms != null) return { tone: "stale", word: "used" };
  if (token.expires_ms != null && token.expires_ms < now.value) return { tone: "stale", word: "expired" };
  return { tone: "ok", word: "waiting" };
}

/** Past or to come, with the exact time on hover. @param {number | null | undefined} ms */
function whenCell(ms) {
  if (ms == null) return nothing();
  const ahead = ms - now.value;
  return ahead > 0
    ? html`<time class="age" datetime=${new Date(ms).toISOString()} title=${moment(ms)}>in ${duration(ahead)}</time>`
    : h(Age, { ms });
}

/** @param {{ entry: Entry, onClose: () => void, onRevoke: (entry: Entry) => void }} props */
function RevokeDialog(props) {
  const name = plainLine(props.entry.host_name ?? props.entry.name ?? props.entry.id);
  return h(
    Dialog,
    { title: "Revoke the key?", onClose: props.onClose },
    html`<p>The agent on <strong>${name}</strong> is cut off at once and can not come back with this key. To join again it needs a new join token.</p>
      <p><button type="button" class="button danger" onClick=${() => {
        props.onRevoke(props.entry);
        props.onClose();
      }}>Revoke the key of ${name}</button></p>`,
  );
}
