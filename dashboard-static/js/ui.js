// Small parts that all pages share.

import { computed, useSignal } from "@preact/signals";
import htm from "htm";
import { h } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { duration, moment } from "./format.js";
import { isStale } from "./status.js";
import { now } from "./store.js";

/** @typedef {import("preact").ComponentChildren} Children */

export const html = htm.bind(h);

/** The sprite lies beside this module. */
const SPRITE = new URL("icons.svg", import.meta.url).pathname;

/** A drawing without meaning of its own. @param {{ name: string, class?: string }} props */
export function Icon(props) {
  return html`<svg class=${`icon ${props.class ?? ""}`} aria-hidden="true" focusable="false"><use href=${`${SPRITE}#${props.name}`} /></svg>`;
}

/** Shape, word and colour. @param {{ tone: import("./types.js").Tone, word: string, title?: string }} props */
export function StatusMark(props) {
  return html`<span class=${`status tone-${props.tone}`} title=${props.title}>
    ${h(Icon, { name: `status-${props.tone}`, class: "shape" })}<span>${props.word}</span>
  </span>`;
}

/**
 * How long ago, ticking; the exact time on hover. Only its text node changes with the clock.
 * @param {{ ms: number, prefix?: string, suffix?: string, class?: string }} props
 */
export function Age(props) {
  const { ms, prefix = "", suffix = " ago" } = props;
  const text = useMemo(() => computed(() => `${prefix}${duration(now.value - ms)}${suffix}`), [ms, prefix, suffix]);
  return html`<time class=${props.class ?? "age"} datetime=${new Date(ms).toISOString()} title=${moment(ms)}>${text}</time>`;
}

/** Age of a card's numbers: "live" while they come, "last seen …" once they are stale. @param {{ ms: number | null, intervalMs: number | null }} props */
export function Freshness(props) {
  const { ms, intervalMs } = props;
  const stale = useMemo(
    () => computed(() => isStale(ms === null ? null : now.value - ms, intervalMs)),
    [ms, intervalMs],
  );
  if (ms === null) return html`<span class="age">no data yet</span>`;
  return h(Age, stale.value ? { ms, prefix: "last seen " } : { ms });
}

/** A cell for what there is not; cards leave it out. */
export function nothing() {
  return html`<span class="muted nothing">–</span>`;
}

/** A share as a bar; the number stands beside it as text. @param {{ percent: number | null | undefined, tone?: string }} props */
export function Bar(props) {
  const share = Math.max(0, Math.min(100, props.percent ?? 0));
  return html`<span class=${`bar tone-${props.tone ?? fillTone(props.percent)}`} aria-hidden="true"><span style=${{ width: `${share}%` }} /></span>`;
}

const FULL_PERCENT = 95;
const NEARLY_FULL_PERCENT = 85;

/** Tone of a thing that fills up. @param {number | null | undefined} used */
export function fillTone(used) {
  if (used == null) return "stale";
  if (used >= FULL_PERCENT) return "crit";
  return used >= NEARLY_FULL_PERCENT ? "warn" : "plain";
}

/** A heading with its section. @param {{ id: string, title: string, note?: Children, children?: Children }} props */
export function Section(props) {
  return html`<section class="section" aria-labelledby=${`${props.id}-title`}>
    <header class="section-head">
      <h2 id=${`${props.id}-title`} tabindex="-1">${props.title}</h2>
      <div class="section-note">${props.note}</div>
    </header>
    ${props.children}
  </section>`;
}

/** Why there is nothing, and what next. @param {{ title: string, children?: Children }} props */
export function Empty(props) {
  return html`<div class="empty"><strong>${props.title}</strong><p>${props.children}</p></div>`;
}

/** What went wrong. @param {{ children?: Children }} props */
export function ErrorNote(props) {
  return html`<p class="error-note" role="alert">${h(Icon, { name: "status-crit", class: "shape" })}<span>${props.children}</span></p>`;
}

/** Lines of a log, as they were. @param {{ lines: string[], label: string }} props */
export function LogLines(props) {
  return html`<pre class="log" tabindex="0" role="group" aria-label=${props.label}>${props.lines.map(plainLine).join("\n")}</pre>`;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-_])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Text of others without terminal escapes and without characters that reorder or hide it. @param {string} text */
export function plainLine(text) {
  return text.replace(ESCAPES, "").replace(CONTROLS, "�");
}

/** As a `ref`: the keyboard goes on there once it is on the page. @param {HTMLElement | null} element */
export function takeFocus(element) {
  element?.focus();
}

/** What had the keyboard when the first of the open dialogs came. @type {Element | null} */
let lastOpener = null;

/** A modal dialog, open as long as it is rendered. @param {{ title: string, onClose: () => void, children?: Children, class?: string }} props */
export function Dialog(props) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const gone = useRef(false);
  useLayoutEffect(() => {
    const element = dialog.current;
    // One dialog may open the next: the keyboard goes back to where the first was opened.
    const opener = document.querySelector("dialog[open]") ? lastOpener : document.activeElement;
    lastOpener = opener;
    element?.showModal();
    // Begins at the title, and not at the cross, unless a part asks for the keyboard.
    if (!element?.querySelector("[autofocus]")) element?.querySelector("h2")?.focus();
    return () => {
      // As long as it is open, nothing outside can take the keyboard.
      gone.current = true;
      element?.close();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus({ preventScroll: true });
    };
  }, []);
  return html`<dialog ref=${dialog} class=${props.class} aria-label=${props.title} onClose=${() => gone.current || props.onClose()}
    onClick=${(/** @type {MouseEvent} */ event) => event.target === dialog.current && dialog.current?.close()}>
    <div class="dialog-body">
      <header class="dialog-head">
        <h2 tabindex="-1">${props.title}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick=${() => dialog.current?.close()}>${h(Icon, { name: "x" })}</button>
      </header>
      ${props.children}
    </div>
  </dialog>`;
}

/** A text to take away, with a button that copies it. @param {{ text: string, label: string }} props */
export function Copyable(props) {
  const copied = useSignal(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(props.text);
      copied.value = true;
    } catch {
      copied.value = false;
    }
  };
  return html`<div class="copyable">
    <code tabindex="0" role="group" aria-label=${props.label}>${props.text}</code>
    <button type="button" class="button" onClick=${copy}>${h(Icon, { name: copied.value ? "check" : "copy" })}<span aria-live="polite">${copied.value ? "Copied" : "Copy"}</span></button>
  </div>`;
}
