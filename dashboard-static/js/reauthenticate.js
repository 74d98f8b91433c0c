// What destroys or costs wants the password again, if it was not given in the last minutes.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { explain, post, Refusal } from "./api.js";
import { PasswordForm } from "./password-form.js";
import { html } from "./ui.js";

/** Whether a call was refused for want of a fresh password. @param {unknown} failure */
function needsPassword(failure) {
  return failure instanceof Refusal && failure.code === "reauthenticate";
}

/**
 * An act that a dialog asks for: `send` makes it, and `again` is the form for the password while that is what it waits for.
 * @param {() => Promise<unknown>} act
 */
export function useAct(act) {
  const error = useSignal("");
  const busy = useSignal(false);
  const waits = useSignal(false);
  const send = async () => {
    busy.value = true;
    try {
      await act();
    } catch (failure) {
      waits.value = needsPassword(failure);
      error.value = waits.value ? "" : explain(failure);
    } finally {
      busy.value = false;
    }
  };
  const onDone = () => {
    waits.value = false;
    send();
  };
  return { send, busy: busy.value, error: error.value, again: waits.value ? h(PasswordAgain, { onDone }) : null };
}

/** @param {import("preact").RenderableProps<{ onDone: () => void }>} props */
function PasswordAgain(props) {
  return html`<p>This can not be undone, so your password is asked for once more.</p>
    ${h(PasswordForm, {
      fields: [{ name: "password", label: "Password", autocomplete: "current-password" }],
      button: "Go on",
      busy: "Checking the password…",
      submit: (values) => post("reauthenticate", values),
      onDone: props.onDone,
    })}`;
}
