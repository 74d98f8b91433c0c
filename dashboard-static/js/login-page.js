// Pages before the session: the first password, and log in.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { explain, post } from "./api.js";
import { Empty, ErrorNote, html } from "./ui.js";

/** @param {{ title: string, children?: import("preact").ComponentChildren }} props */
function Gate(props) {
  return html`<main id="main" class="gate" tabindex="-1"><p class="brand">Fleetlight</p><h1>${props.title}</h1>${props.children}</main>`;
}

/** @param {{ title: string, first: boolean, button: string, busy: string, submit: (name: string, password: string) => Promise<any>, onDone: () => void, note?: string, children?: import("preact").ComponentChildren }} props */
function PasswordForm(props) {
  const name = useSignal("admin");
  const password = useSignal("");
  const shown = useSignal(false);
  const error = useSignal("");
  const busy = useSignal(false);
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    error.value = "";
    try {
      await props.submit(name.value, password.value);
      props.onDone();
    } catch (failure) {
      error.value = explain(failure);
    } finally {
      busy.value = false;
    }
  };
  return h(
    Gate,
    { title: props.title },
    props.children,
    props.note && html`<p class="muted">${props.note}</p>`,
    html`<form class="form" onSubmit=${send}>
      ${!props.first && nameField(name)}
      <label>Password
        <input type=${shown.value ? "text" : "password"} name="password" autocomplete=${props.first ? "new-password" : "current-password"} required autofocus value=${password.value} onInput=${(
          /** @type {any} */ event,
        ) => {
          password.value = event.target.value;
        }} />
      </label>
      <label class="check"><input type="checkbox" checked=${shown.value} onChange=${(/** @type {any} */ event) => {
        shown.value = event.target.checked;
      }} />Show the password</label>
      ${error.value && h(ErrorNote, {}, error.value)}
      <button type="submit" class="button primary" disabled=${busy.value}>${busy.value ? props.busy : props.button}</button>
    </form>`,
  );
}

/** @param {import("@preact/signals").Signal<string>} name */
function nameField(name) {
  return html`<label>Name
    <input type="text" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required value=${name.value} onInput=${(
      /** @type {any} */ event,
    ) => {
      name.value = event.target.value;
    }} />
  </label>`;
}

/** @param {{ token: string, onDone: () => void }} props */
export function SetupPage(props) {
  return h(PasswordForm, {
    title: "Set your password",
    first: true,
    button: "Set the password",
    busy: "Setting the password…",
    note: "This link works once.",
    submit: (_, password) => post("setup", { token: props.token, password }),
    onDone: props.onDone,
  });
}

/** A password that somebody else chose holds until its owner has chosen one. @param {{ onDone: () => void }} props */
export function PasswordDue(props) {
  const old = useSignal("");
  const chosen = useSignal("");
  const error = useSignal("");
  const busy = useSignal(false);
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    try {
      await post("password", { old: old.value, new: chosen.value });
      props.onDone();
    } catch (failure) {
      error.value = explain(failure);
    } finally {
      busy.value = false;
    }
  };
  /** @param {string} label @param {string} name @param {import("@preact/signals").Signal<string>} value @param {boolean} first */
  const field = (label, name, value, first) =>
    html`<label>${label} <input type="password" autocomplete=${name} required autofocus=${first} value=${value.value} onInput=${(
      /** @type {any} */ event,
    ) => {
      value.value = event.target.value;
    }} /></label>`;
  return h(
    Gate,
    { title: "Choose a new password" },
    html`<p class="muted">The present one was given to you by somebody else.</p>
      <form class="form" onSubmit=${send}>
        ${field("Present password", "current-password", old, true)}${field("New password", "new-password", chosen, false)}
        ${error.value && h(ErrorNote, {}, error.value)}
        <button type="submit" class="button primary" disabled=${busy.value}>Change the password</button>
      </form>`,
  );
}

/** @param {{ note: string, onDone: () => void }} props */
export function LoginPage(props) {
  return h(PasswordForm, {
    title: "Log in",
    first: false,
    button: "Log in",
    busy: "Logging in…",
    note: props.note,
    submit: (name, password) => post("login", { name, password }),
    onDone: props.onDone,
  });
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
