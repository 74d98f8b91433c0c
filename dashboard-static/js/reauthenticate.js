// What destroys or costs wants the password again, if it was not given in the last minutes.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { explain, post, Refusal } from "./api.js";
import { ErrorNote, html } from "./ui.js";

/** Whether a call was refused for want of a fresh password. @param {unknown} failure */
export function needsPassword(failure) {
  return failure instanceof Refusal && failure.code === "reauthenticate";
}

/** @param {import("preact").RenderableProps<{ onDone: () => void }>} props */
export function PasswordAgain(props) {
  const password = useSignal("");
  const error = useSignal("");
  const busy = useSignal(false);
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    try {
      await post("reauthenticate", { password: password.value });
      props.onDone();
    } catch (failure) {
      error.value = explain(failure);
    } finally {
      busy.value = false;
    }
  };
  return html`<form class="form" onSubmit=${send}>
    <p>This can not be undone, so your password is asked for once more.</p>
    <label>Password
      <input type="password" autofocus autocomplete="current-password" value=${password.value} onInput=${(
        /** @type {any} */ event,
      ) => {
        password.value = event.target.value;
      }} /></label>
    ${error.value && h(ErrorNote, {}, error.value)}
    <button type="submit" class="button primary" disabled=${busy.value || !password.value}>Go on</button>
  </form>`;
}
