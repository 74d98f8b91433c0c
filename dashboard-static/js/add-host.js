// "Add a host": makes a one-time join token and shows the command to run there.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { explain, post } from "./api.js";
import { moment } from "./format.js";
import { announce, mayEnrol } from "./store.js";
import { Copyable, Dialog, ErrorNote, html, Icon } from "./ui.js";

/** Whether a join command leads to the machine that it is run on. @param {string} command */
export function onlyHere(command) {
  return /@(127\.|localhost:|\[::1\])/.test(command);
}

/** @param {import("preact").RenderableProps<{ onMade?: () => void }>} props */
export function AddHost(props) {
  const open = useSignal(false);
  if (!mayEnrol.value) return null;
  return html`<button type="button" class="button" onClick=${() => {
    open.value = true;
  }}>${h(Icon, { name: "plus" })}Add a host</button>
  ${
    open.value &&
    h(AddHostDialog, {
      onMade: props.onMade,
      onClose: () => {
        open.value = false;
      },
    })
  }`;
}

/** @param {{ onClose: () => void, onMade?: () => void }} props */
function AddHostDialog(props) {
  const name = useSignal("");
  const answer = useSignal(/** @type {{ command: string, expires_ms?: number } | null} */ (null));
  const error = useSignal("");
  const busy = useSignal(false);
  const make = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    error.value = "";
    try {
      answer.value = await post("join-tokens", { host_name: name.value.trim() || null });
      announce("The command is ready");
      props.onMade?.();
    } catch (failure) {
      error.value = explain(failure);
    } finally {
      busy.value = false;
    }
  };
  const made = answer.value;
  return h(
    Dialog,
    { title: "Add a host", onClose: props.onClose, class: "dialog-wide" },
    made
      ? html`<p>Copy the agent’s binary to the new host, and run this beside it. It works once and is shown only now.</p>
          ${h(Copyable, { text: made.command, label: "Command for the new host" })}
          ${onlyHere(made.command) && html`<p><strong>Only this machine can use it:</strong> the controller tells agents a loopback address. Start it with the name or address that others know: <code>make up ADDRESS=…</code>, or <code>public_endpoint</code> in its configuration.</p>`}
          ${made.expires_ms && html`<p class="muted">The token expires at ${moment(made.expires_ms)}.</p>`}
          <p class="muted">The host appears on the overview within seconds of its first connection.</p>`
      : html`<form class="form" onSubmit=${make}>
          <label>Name of the host <span class="muted">(optional: by default its own host name)</span>
            <input autofocus type="text" value=${name.value} maxlength="253" autocomplete="off" spellcheck="false" onInput=${(
              /** @type {any} */ event,
            ) => {
              name.value = event.target.value;
            }} />
          </label>
          ${error.value && h(ErrorNote, {}, error.value)}
          <button type="submit" class="button primary" disabled=${busy.value}>${busy.value ? "Making a token…" : "Make a join command"}</button>
        </form>`,
  );
}
