// Pages before the session: the first password, log in, a new password.

import { h } from "preact";
import { post } from "./api.js";
import { NEW_PASSWORD_HINT, PasswordForm } from "./password-form.js";
import { Empty, ErrorNote, html } from "./ui.js";

/** @param {{ title: string, children?: import("preact").ComponentChildren }} props */
function Gate(props) {
  return html`<main id="main" class="gate" tabindex="-1"><p class="brand">Fleetlight</p><h1>${props.title}</h1>${props.children}</main>`;
}

/** @param {{ token: string, onDone: () => void }} props */
export function SetupPage(props) {
  return h(
    Gate,
    { title: "Set your password" },
    html`<p class="muted">This link works once. You log in with the password and your name; the first account’s name is admin.</p>`,
    h(PasswordForm, {
      fields: [{ name: "password", label: "Password", autocomplete: "new-password", hint: NEW_PASSWORD_HINT }],
      button: "Set the password",
      busy: "Setting the password…",
      submit: ({ password }) => post("setup", { token: props.token, password }),
      onDone: props.onDone,
    }),
  );
}

/** A password that somebody else chose holds until its owner has chosen one. @param {{ onDone: () => void }} props */
export function PasswordDue(props) {
  return h(
    Gate,
    { title: "Choose a new password" },
    html`<p class="muted">Somebody else gave you the present one. Nothing else is open until you have chosen your own.</p>`,
    h(PasswordForm, {
      fields: [
        { name: "old", label: "Present password", autocomplete: "current-password" },
        { name: "new", label: "New password", autocomplete: "new-password", hint: NEW_PASSWORD_HINT },
      ],
      button: "Change the password",
      busy: "Changing the password…",
      submit: (values) => post("password", values),
      onDone: props.onDone,
    }),
  );
}

/** @param {{ note: string, onDone: () => void }} props */
export function LoginPage(props) {
  return h(
    Gate,
    { title: "Log in" },
    props.note && html`<p role="status">${props.note}</p>`,
    h(PasswordForm, {
      fields: [
        { name: "name", label: "Name", autocomplete: "username", plain: true, value: "admin" },
        { name: "password", label: "Password", autocomplete: "current-password" },
      ],
      button: "Log in",
      busy: "Logging in…",
      submit: (values) => post("login", values),
      onDone: props.onDone,
    }),
  );
}

/** No admin has a password, and nobody came with the link. */
export function SetupRequired() {
  return h(
    Gate,
    { title: "No password is set yet" },
    h(
      Empty,
      { title: "Open the one-time link." },
      "The controller printed it when it started, below the address; a restart of the controller prints a new one.",
    ),
  );
}

/** @param {{ error: string, onRetry: () => void }} props */
export function Unreachable(props) {
  return h(
    Gate,
    { title: "No answer" },
    h(ErrorNote, {}, props.error),
    html`<button type="button" class="button primary" onClick=${props.onRetry}>Try again</button>`,
  );
}
