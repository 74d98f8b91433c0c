// The one form that asks for a password: log in, the first one, a new one, and once more before what destroys.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { explain, Refusal } from "./api.js";
import { ErrorNote, html, takeFocus } from "./ui.js";

/**
 * @typedef {object} Field
 * @property {string} name also its key in what is submitted
 * @property {string} label
 * @property {string} autocomplete
 * @property {boolean} [plain] not secret
 * @property {string} [value] what stands there at first
 * @property {string} [hint]
 */

/** What a chosen password must be; the controller decides. */
export const NEW_PASSWORD_HINT = "At least 10 characters.";

/** @param {import("preact").RenderableProps<{ fields: Field[], button: string, busy: string, submit: (values: Record<string, string>) => Promise<any>, onDone: () => void }>} props */
export function PasswordForm(props) {
  const { fields } = props;
  const values = useSignal(
    /** @type {Record<string, string>} */ (Object.fromEntries(fields.map((field) => [field.name, field.value ?? ""]))),
  );
  const shown = useSignal(false);
  const error = useSignal("");
  const busy = useSignal(false);
  const first = fields.find((field) => !field.value)?.name;
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    error.value = "";
    try {
      await props.submit(values.value);
      props.onDone();
    } catch (failure) {
      error.value = refusedText(failure);
    } finally {
      busy.value = false;
    }
  };
  return html`<form class="form" onSubmit=${send}>
    ${fields.map((field) =>
      fieldOf(field, values, !field.plain && !shown.value, field.name === first ? takeFocus : null),
    )}
    <label class="check"><input type="checkbox" checked=${shown.value} onChange=${(/** @type {any} */ event) => {
      shown.value = event.target.checked;
    }} />Show the password</label>
    ${error.value && h(ErrorNote, {}, error.value)}
    <button type="submit" class="button primary" disabled=${busy.value}>${busy.value ? props.busy : props.button}</button>
  </form>`;
}

/** @param {Field} field @param {import("@preact/signals").Signal<Record<string, string>>} values @param {boolean} hidden @param {((element: HTMLElement | null) => void) | null} ref */
function fieldOf(field, values, hidden, ref) {
  const { name, label, autocomplete, hint } = field;
  return html`<div class="field" key=${name}><label for=${`field-${name}`}>${label}</label>
    <input id=${`field-${name}`} ref=${ref} type=${hidden ? "password" : "text"} name=${name} autocomplete=${autocomplete} autocapitalize="none" spellcheck="false" required
      aria-describedby=${hint && `hint-${name}`} value=${values.value[name]} onInput=${(/** @type {any} */ event) => {
        values.value = { ...values.value, [name]: event.target.value };
      }} />
    ${hint && html`<p class="muted" id=${`hint-${name}`}>${hint}</p>`}</div>`;
}

/** A typing mistake needs no request id, and none looks it up. @param {unknown} failure */
function refusedText(failure) {
  if (!(failure instanceof Refusal) || failure.status < 400 || failure.status >= 500) return explain(failure);
  return `${failure.message.slice(0, 1).toUpperCase()}${failure.message.slice(1)}`;
}
