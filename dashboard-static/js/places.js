// Keys and places: the palette, the list of keys, and the single-key shortcuts.

import { signal, useSignal } from "@preact/signals";
import { h } from "preact";
import { go, route } from "./route.js";
import { hosts, mayAudit } from "./store.js";
import { Dialog, html, plainLine } from "./ui.js";

export const openDialog = signal(/** @type {"palette" | "keys" | null} */ (null));

const KEYS_OFF = "single-keys-off";
const PLACES_SHOWN = 12;

function singleKeysOff() {
  try {
    return localStorage.getItem(KEYS_OFF) === "yes";
  } catch {
    return false;
  }
}

/** @param {boolean} off */
function setSingleKeysOff(off) {
  try {
    localStorage.setItem(KEYS_OFF, off ? "yes" : "no");
  } catch {
    // Without storage the choice cannot be kept; the keys stay on.
  }
}

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openDialog.value = openDialog.value === "palette" ? null : "palette";
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || openDialog.value || singleKeysOff())
      return;
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("filter")?.focus();
    } else if (event.key === "?") {
      openDialog.value = "keys";
    }
  });
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.closest("dialog") !== null)
  );
}

/** @typedef {{ name: string, act: () => void }} Place */

/** @returns {Place[]} */
function places() {
  const sections = route.value.parts[0] === "host" ? ["charts", "gpus", "containers", "mounts", "events"] : [];
  return [
    ...sections
      .map((id) => ({ name: `This host: ${id}`, act: () => jump(id) }))
      .filter((_, at) => document.getElementById(`${sections[at]}-title`)),
    { name: "Overview", act: () => go([]) },
    { name: "Logs", act: () => go(["logs"]) },
    { name: "Commands", act: () => go(["commands"]) },
    ...(mayAudit.value ? [{ name: "Audit log", act: () => go(["audit"]) }] : []),
    { name: "Agents and join tokens", act: () => go(["agents"]) },
    { name: "Keys", act: () => showKeys() },
    ...(hosts.value ?? []).map((entry) => ({ name: plainLine(entry.name), act: () => go(["host", String(entry.id)]) })),
  ];
}

function showKeys() {
  queueMicrotask(() => {
    openDialog.value = "keys";
  });
}

/** Scrolls to a section and gives its heading the focus. @param {string} id */
function jump(id) {
  const heading = document.getElementById(`${id}-title`);
  heading?.scrollIntoView();
  heading?.focus({ preventScroll: true });
}

const close = () => {
  openDialog.value = null;
};

export function Palette() {
  const query = useSignal("");
  const at = useSignal(0);
  const words = query.value.toLowerCase().split(/\s+/);
  const found = places()
    .filter((place) => words.every((word) => place.name.toLowerCase().includes(word)))
    .slice(0, PLACES_SHOWN);
  const chosen = Math.min(at.value, found.length - 1);
  /** @param {Place | undefined} place */
  const take = (place) => {
    close();
    place?.act();
  };
  const key = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      at.value = (chosen + step + found.length) % Math.max(1, found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      take(found[chosen]);
    }
  };
  return h(
    Dialog,
    { title: "Go to", onClose: close },
    html`<input class="palette-input" type="text" role="combobox" aria-label="Place" aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list"
        aria-activedescendant=${found.length ? `place-${chosen}` : undefined} placeholder="Host or page" autocomplete="off" spellcheck="false" autofocus
        value=${query.value} onKeyDown=${key} onInput=${(/** @type {any} */ event) => {
          query.value = event.target.value;
          at.value = 0;
        }} />
      <ul class="palette-list" id="palette-list" role="listbox" aria-label="Places">${found.map(
        (place, index) =>
          html`<li key=${place.name} id=${`place-${index}`} role="option" aria-selected=${index === chosen} onClick=${() => take(place)}>${place.name}</li>`,
      )}</ul>
      ${!found.length && html`<p class="muted">No place has such a name.</p>`}`,
  );
}

/** @type {[string, string][]} */
const KEYS = [
  ["Ctrl K or ⌘ K", "go to a host or page"],
  ["/", "filter what is shown"],
  ["?", "this list"],
  ["← →", "move the cursor of a chart that has the focus; with Shift ten points, Page Up and Page Down sixty"],
  ["Home End", "first and last point of the chart"],
  ["Esc", "leave the cursor, close a dialog"],
];

export function KeyList() {
  return h(
    Dialog,
    { title: "Keys", onClose: close },
    html`<dl class="keys">${KEYS.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
      <p>The filter knows words, <code>field:value</code> and <code>-</code> for "not": <code>state:crit -user:user007</code></p>
      <label class="check"><input type="checkbox" checked=${singleKeysOff()} onChange=${(/** @type {any} */ event) => setSingleKeysOff(event.target.checked)} />Turn off the single keys / and ?</label>`,
  );
}
