// What destroys or costs wants the password again, if it was not given in the last minutes.

import { h } from "preact";
import { post, Refusal } from "./api.js";
import { PasswordForm } from "./password-form.js";
import { html } from "./ui.js";

/** Whether a call was refused for want of a fresh password. @param {unknown} failure */
export function needsPassword(failure) {
  return failure instanceof Refusal && failure.code === "reauthenticate";
}

/** @param {import("preact").RenderableProps<{ onDone: () => void }>} props */
export function PasswordAgain(props) {
  return html`<p>This can not be undone, so your password is asked for once more.</p>
    ${h(PasswordForm, {
      fields: [{ name: "password", label: "Password", autocomplete: "current-password" }],
      button: "Go on",
      busy: "Checking the password…",
      submit: (values) => post("reauthenticate", values),
      onDone: props.onDone,
    })}`;
}
