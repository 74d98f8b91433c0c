// "All shown…": one action on every container that the filter leaves, in batches, with health between them.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { post } from "./api.js";
import { inStateFor, VERBS } from "./commands.js";
import { plural } from "./format.js";
import { useAct } from "./reauthenticate.js";
import { go } from "./route.js";
import { mayAct } from "./store.js";
import { Dialog, ErrorNote, html, plainLine } from "./ui.js";

/** @typedef {{ key: string, body: any }} Row */

const BULK_VERBS = ["restart", "stop", "start", "recreate", "rebuild"];

/** @param {import("preact").RenderableProps<{ hostId: number, rows: Row[] }>} props */
export function BulkButton(props) {
  const open = useSignal(false);
  if (!mayAct.value || props.rows.length < 2) return null;
  return html`<button type="button" class="link-button" onClick=${() => {
    open.value = true;
  }}>Act on all ${props.rows.length}…</button>
  ${
    open.value &&
    h(BulkDialog, {
      ...props,
      onClose: () => {
        open.value = false;
      },
    })
  }`;
}

/** @param {import("preact").RenderableProps<{ hostId: number, rows: Row[], onClose: () => void }>} props */
function BulkDialog(props) {
  const verb = useSignal("restart");
  const size = useSignal(4);
  const stop = useSignal(true);
  const chosen = VERBS.find((one) => one.name === verb.value);
  const rows = props.rows.filter((row) => inStateFor(verb.value, row.body));
  const left = props.rows.length - rows.length;
  const { send, busy, error, again } = useAct(async () => {
    const bulk = await post("bulks", {
      verb: verb.value,
      selection: { host_ids: [props.hostId], container_ids: rows.map((row) => row.key) },
      batch_size: size.value,
      stop_on_failure: stop.value,
    });
    go(["bulk", bulk.id]);
  });
  const names = rows.map((row) => plainLine(row.body.name)).join(", ");
  return h(
    Dialog,
    { title: `Act on ${plural(props.rows.length, "container")}`, onClose: props.onClose },
    again ??
      html`<form class="form" onSubmit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        send();
      }}>
        <label>What <select value=${verb.value} onChange=${(/** @type {any} */ event) => {
          verb.value = event.target.value;
        }}>${BULK_VERBS.map((name) => html`<option key=${name} value=${name}>${VERBS.find((one) => one.name === name)?.label}</option>`)}</select></label>
        <p>${chosen?.consequence}</p>
        <p class="muted bulk-names" tabindex="0" role="group" aria-label="Containers">${names || "None of those that are shown is in a state for this."}${names && left > 0 && ` (${left} more ${left === 1 ? "is" : "are"} not in a state for this)`}</p>
        <label>At a time <input type="number" min="1" max="64" value=${size.value} onChange=${(
          /** @type {any} */ event,
        ) => {
          size.value = Math.max(1, Math.min(64, Number(event.target.value) || 1));
        }} /></label>
        <label class="check"><input type="checkbox" checked=${stop.value} onChange=${(/** @type {any} */ event) => {
          stop.value = event.target.checked;
        }} />Stop at the first that is not verified</label>
        ${error && h(ErrorNote, {}, error)}
        <button type="submit" class=${`button ${chosen?.weight === "plain" ? "primary" : "danger"}`} disabled=${busy || !rows.length}>${chosen?.label} ${plural(rows.length, "container")}, ${size.value} at a time</button>
      </form>`,
  );
}
