// What can be done to a container, from its row: pick, read what it means, confirm.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { act, verbsFor } from "./commands.js";
import { useAct } from "./reauthenticate.js";
import { href } from "./route.js";
import { mayAct } from "./store.js";
import { Dialog, ErrorNote, html, Icon, plainLine, takeFocus } from "./ui.js";

/** @typedef {import("./commands.js").Verb} Verb */

/** @param {import("preact").RenderableProps<{ hostId: number, id: string, body: any }>} props */
export function ContainerActions(props) {
  const open = useSignal(false);
  const name = plainLine(props.body.name);
  return html`<span class="row-actions">
    <a class="icon-button" href=${href(["logs"], { host: String(props.hostId), container: props.id })} aria-label=${`Logs of ${name}`} title="Logs">${h(Icon, { name: "scroll-text" })}</a>
    ${
      mayAct.value &&
      html`<button type="button" class="icon-button" aria-label=${`Act on ${name}`} title="Restart, stop, …" onClick=${() => {
        open.value = true;
      }}>${h(Icon, { name: "ellipsis" })}</button>`
    }
    ${
      open.value &&
      h(ActDialog, {
        ...props,
        onClose: () => {
          open.value = false;
        },
      })
    }
  </span>`;
}

/** @param {import("preact").RenderableProps<{ hostId: number, id: string, body: any, onClose: () => void }>} props */
function ActDialog(props) {
  const chosen = useSignal(/** @type {Verb | null} */ (null));
  const name = plainLine(props.body.name);
  const verb = chosen.value;
  return h(
    Dialog,
    { title: verb ? `${verb.label} ${name}?` : name, onClose: props.onClose },
    verb
      ? h(Confirm, { ...props, verb })
      : html`<div class="act-list">${verbsFor(props.body).map(
          (one, at) =>
            html`<button key=${one.name} type="button" autofocus=${at === 0} class=${`button ${one.weight === "plain" ? "" : "danger"}`} onClick=${() => {
              chosen.value = one;
            }}>${one.label}</button>`,
        )}</div>`,
  );
}

/** @param {import("preact").RenderableProps<{ hostId: number, id: string, body: any, verb: Verb, onClose: () => void }>} props */
function Confirm(props) {
  const { verb, body } = props;
  const typed = useSignal("");
  const name = plainLine(body.name);
  const ready = verb.weight !== "destroys" || typed.value === name;
  const { send, busy, error, again } = useAct(async () => {
    await act(props.hostId, body, props.id, verb.name);
    props.onClose();
  });
  if (again) return again;
  return html`<form class="form" onSubmit=${(/** @type {Event} */ event) => {
    event.preventDefault();
    if (ready) send();
  }}>
    <p>${verb.consequence}${body.user ? ` It belongs to ${plainLine(body.user)}.` : ""}</p>
    ${
      verb.weight === "destroys" &&
      html`<label>Type its name: <span class="mono">${name}</span>
        <input type="text" ref=${takeFocus} autocomplete="off" autocapitalize="none" spellcheck="false" value=${typed.value} onInput=${(
          /** @type {any} */ event,
        ) => {
          typed.value = event.target.value;
        }} /></label>`
    }
    ${error && h(ErrorNote, {}, error)}
    <button type="submit" class=${`button ${verb.weight === "plain" ? "primary" : "danger"}`} disabled=${busy || !ready} ref=${verb.weight === "destroys" ? null : takeFocus}>${verb.label} ${name}</button>
  </form>`;
}
