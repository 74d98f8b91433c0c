// Which logs to read: containers of one host, ticked.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect } from "preact/hooks";
import { explain, get } from "./api.js";
import { plural } from "./format.js";
import { href, param, setParams } from "./route.js";
import { hosts } from "./store.js";
import { Empty, ErrorNote, html, plainLine } from "./ui.js";

/** @typedef {{ id: string, name: string }} Named */

/** @param {string} hostId @returns {Promise<Named[]>} by name */
async function containersThere(hostId) {
  const { documents } = await get(`hosts/${encodeURIComponent(hostId)}`);
  return documents
    .filter((/** @type {any} */ one) => one.kind === "container" && one.body)
    .map((/** @type {any} */ one) => ({ id: one.key, name: one.body.name }))
    .sort((/** @type {Named} */ a, /** @type {Named} */ b) => a.name.localeCompare(b.name));
}

export function LogChooser() {
  const hostId = param("host") || String(hosts.value?.[0]?.id ?? "");
  const found = useSignal(/** @type {Named[] | null} */ (null));
  const error = useSignal("");
  const ticked = useSignal(/** @type {Set<string>} */ (new Set()));
  useEffect(() => {
    found.value = null;
    error.value = "";
    ticked.value = new Set();
    if (!hostId) return undefined;
    let gone = false;
    containersThere(hostId).then(
      (list) => {
        if (!gone) found.value = list;
      },
      (failure) => {
        if (!gone) error.value = explain(failure);
      },
    );
    return () => {
      gone = true;
    };
  }, [hostId]);
  if (hosts.value?.length === 0)
    return h(Empty, { title: "No host has joined yet." }, html`<a href="#/agents">Add one</a> under Agents.`);
  return html`<form class="form log-chooser" onSubmit=${(/** @type {Event} */ event) => {
    event.preventDefault();
    const query = new URLSearchParams([["host", hostId], ...[...ticked.value].map((id) => ["container", id])]);
    if (ticked.value.size) location.hash = href(["logs"], query);
  }}>
    ${hostField(hostId)}
    ${error.value && h(ErrorNote, {}, error.value)}
    ${found.value === null && !error.value && html`<p class="loading" role="status">Loading…</p>`}
    ${found.value && h(TickList, { list: found.value, ticked })}
  </form>`;
}

/** @param {string} hostId */
function hostField(hostId) {
  const options = (hosts.value ?? []).map(
    (entry) => html`<option key=${entry.id} value=${entry.id}>${plainLine(entry.name)}</option>`,
  );
  return html`<label>Host <select value=${hostId} onChange=${(/** @type {any} */ event) => setParams({ host: event.target.value })}>${options}</select></label>`;
}

/** What is ticked stays in sight, whatever the filter. @param {import("preact").RenderableProps<{ list: Named[], ticked: import("@preact/signals").Signal<Set<string>> }>} props */
function TickList(props) {
  const { list, ticked } = props;
  if (!list.length) return h(Empty, { title: "This host has no containers." }, "Choose another host.");
  const wanted = param("q").toLowerCase();
  const listed = list.filter((one) => ticked.value.has(one.id) || one.name.toLowerCase().includes(wanted));
  /** @param {string} id @param {boolean} on */
  const tick = (id, on) => {
    const next = new Set(ticked.value);
    if (on) next.add(id);
    else next.delete(id);
    ticked.value = next;
  };
  const hidden = `${plural(list.length, "container")} hidden by “${param("q")}”.`;
  return html`${!listed.length && h(Empty, { title: "No container matches the filter." }, hidden)}
    <fieldset><legend class="hidden">Containers</legend>${listed.map(
      (one) =>
        html`<label key=${one.id} class="check"><input type="checkbox" checked=${ticked.value.has(one.id)} onChange=${(/** @type {any} */ event) => tick(one.id, event.target.checked)} /><span>${plainLine(one.name)}</span></label>`,
    )}</fieldset>
    <button type="submit" class="button primary" disabled=${!ticked.value.size}>${readWords(ticked.value.size)}</button>`;
}

/** @param {number} many */
function readWords(many) {
  if (!many) return "Tick what to read";
  return many === 1 ? "Read the log" : `Read ${many} logs, merged`;
}
