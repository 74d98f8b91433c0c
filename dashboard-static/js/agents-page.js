// Agents: the keys that hosts hold, and join tokens that wait to be used.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect } from "preact/hooks";
import { AddHost } from "./add-host.js";
import { explain, get, post, remove } from "./api.js";
import { duration, moment } from "./format.js";
import { useAct } from "./reauthenticate.js";
import { href } from "./route.js";
import { announce, hosts, mayDestroy, mayEnrol, now } from "./store.js";
import { DataTable } from "./table.js";
import { Age, Dialog, Empty, ErrorNote, html, nothing, plainLine, Section, StatusMark, takeFocus } from "./ui.js";

/**
 * @typedef {object} Agent
 * @property {string} id
 * @property {number} host_id
 * @property {string} host_name
 * @property {number} created_ms
 * @property {number | null} last_seen_ms
 * @property {number | null} revoked_ms
 * @property {string | null} revoked_for
 * @property {number | null} not_after_ms
 */

/**
 * @typedef {object} Token
 * @property {string} id
 * @property {string | null} host_name
 * @property {number} created_ms
 * @property {number} expires_ms
 * @property {number | null} used_ms
 * @property {number | null} revoked_ms
 */

export function AgentsPage() {
  const agents = useSignal(/** @type {Agent[]} */ ([]));
  const tokens = useSignal(/** @type {Token[]} */ ([]));
  const loaded = useSignal(false);
  const error = useSignal("");
  const revoking = useSignal(/** @type {Agent | null} */ (null));
  const load = async () => {
    try {
      [agents.value, tokens.value] = await Promise.all([get("agents"), get("join-tokens")]);
      loaded.value = true;
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
    <div class="page-head"><h1>Agents</h1>${h(AddHost, { onMade: load })}</div>
    ${error.value && h(ErrorNote, {}, error.value)}
    ${!loaded.value && !error.value && html`<p class="loading" role="status">Loading…</p>`}
    ${
      loaded.value && [
        h(
          Section,
          { id: "agents", title: "Keys", note: "that hosts hold" },
          agentTable(agents.value, (agent) => {
            revoking.value = agent;
          }),
        ),
        h(
          Section,
          { id: "tokens", title: "Join tokens", note: "one host each" },
          tokenTable(tokens.value, (token) =>
            change(() => remove(`join-tokens/${encodeURIComponent(token.id)}`), "The join token is withdrawn"),
          ),
        ),
      ]
    }
    ${
      revoking.value &&
      h(RevokeDialog, {
        agent: revoking.value,
        onClose: () => {
          revoking.value = null;
        },
        onRevoked: () => {
          announce("The agent's key is revoked");
          load();
        },
      })
    }
  </div>`;
}

/** @param {Agent[]} list @param {(agent: Agent) => void} revoke */
function agentTable(list, revoke) {
  if (!list.length) return h(Empty, { title: "No agent holds a key." }, "Add a host to give it one.");
  return h(/** @type {typeof DataTable<Agent>} */ (DataTable), {
    name: "agents",
    caption: "Keys that hosts hold",
    rows: list,
    rowKey: (row) => row.id,
    columns: [
      { name: "host", label: "Host", cell: (row) => agentCell(row), sort: (row) => row.host_name },
      { name: "state", label: "State", cell: (row) => h(StatusMark, agentStatus(row)), sort: (row) => row.revoked_ms },
      { name: "since", label: "Enrolled", cell: (row) => whenCell(row.created_ms), sort: (row) => row.created_ms },
      { name: "seen", label: "Last seen", cell: (row) => whenCell(lastSeen(row)), sort: (row) => lastSeen(row) },
      {
        name: "until",
        label: "Certificate ends",
        cell: (row) => whenCell(row.not_after_ms),
        sort: (row) => row.not_after_ms,
      },
      {
        name: "act",
        label: "Action",
        cell: (row) =>
          row.revoked_ms === null && mayDestroy.value
            ? html`<button type="button" class="button" onClick=${() => revoke(row)}>Revoke…<span class="hidden"> the key of ${row.host_name}</span></button>`
            : nothing(),
      },
    ],
  });
}

/** The live view knows better than the database, as long as the key is the one in use. @param {Agent} agent */
function lastSeen(agent) {
  const live = hosts.value?.find((entry) => entry.id === agent.host_id)?.last_seen_ms ?? 0;
  return agent.revoked_ms === null ? Math.max(live, agent.last_seen_ms ?? 0) || null : agent.last_seen_ms;
}

/** @param {Agent} agent */
function agentCell(agent) {
  return html`<a href=${href(["host", String(agent.host_id)])}>${plainLine(agent.host_name)}</a>`;
}

/** @param {Agent} agent @returns {import("./status.js").Status & { title?: string }} */
function agentStatus(agent) {
  if (agent.revoked_ms !== null) return { tone: "stale", word: "revoked", title: agent.revoked_for ?? undefined };
  if (agent.not_after_ms !== null && agent.not_after_ms < now.value) return { tone: "warn", word: "certificate ended" };
  return { tone: "ok", word: "valid" };
}

/** @param {Token[]} list @param {(token: Token) => void} withdraw */
function tokenTable(list, withdraw) {
  if (!list.length) return html`<p class="muted">No join token was made yet.</p>`;
  return h(/** @type {typeof DataTable<Token>} */ (DataTable), {
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
      { name: "until", label: "Expires", cell: (row) => whenCell(row.expires_ms), sort: (row) => row.expires_ms },
      {
        name: "act",
        label: "Action",
        cell: (row) =>
          tokenStatus(row).tone === "ok" && mayEnrol.value
            ? html`<button type="button" class="button" onClick=${() => withdraw(row)}>Withdraw</button>`
            : nothing(),
      },
    ],
  });
}

/** @param {Token} token @returns {import("./status.js").Status} */
function tokenStatus(token) {
  if (token.used_ms !== null) return { tone: "stale", word: "used" };
  if (token.revoked_ms !== null) return { tone: "stale", word: "withdrawn" };
  if (token.expires_ms < now.value) return { tone: "stale", word: "expired" };
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

/** @param {import("preact").RenderableProps<{ agent: Agent, onClose: () => void, onRevoked: () => void }>} props */
function RevokeDialog(props) {
  const name = plainLine(props.agent.host_name);
  const { send, busy, error, again } = useAct(async () => {
    await post(`agents/${encodeURIComponent(props.agent.id)}/revoke`);
    props.onRevoked();
    props.onClose();
  });
  return h(
    Dialog,
    { title: "Revoke the key?", onClose: props.onClose },
    again ??
      html`<p>The agent on <strong>${name}</strong> is cut off at once and can not come back with this key. To join again it needs a new join token.</p>
      ${error && h(ErrorNote, {}, error)}
      <p><button type="button" class="button danger" ref=${takeFocus} disabled=${busy} onClick=${send}>Revoke the key of ${name}</button></p>`,
  );
}
