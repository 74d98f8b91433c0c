// The frame around every page: navigation, filter, theme, and the banner when the controller is silent.

import { computed } from "@preact/signals";
import { h } from "preact";
import { themeName } from "./chart-panel.js";
import { CommandDialog } from "./command-dialog.js";
import { duration, moment } from "./format.js";
import { KeyList, openDialog, Palette } from "./places.js";
import { href, param, route, setParams } from "./route.js";
import { announcement, connection, historyBehindMs, now } from "./store.js";
import { html, Icon } from "./ui.js";

const THEMES = /** @type {const} */ (["system", "dark", "light"]);
const THEME_ICONS = { system: "sun-moon", dark: "moon", light: "sun" };

/** @returns {"system" | "dark" | "light"} */
function readTheme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "dark" || chosen === "light" ? chosen : "system";
}

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(readTheme()) + 1) % THEMES.length] ?? "system";
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch {
    // Without storage the choice holds until the page is left.
  }
  noteTheme();
}

const systemDark = matchMedia("(prefers-color-scheme: dark)");

function noteTheme() {
  themeName.value = `${readTheme()} ${systemDark.matches}`;
}

export function startTheme() {
  noteTheme();
  systemDark.addEventListener("change", noteTheme);
}

/** Named by what it does, with the state in words. */
function ThemeButton() {
  themeName.value;
  const theme = readTheme();
  return html`<button type="button" class="icon-button" aria-label=${`Theme: ${theme}. Change`} title=${`Theme: ${theme}`} onClick=${nextTheme}>${h(Icon, { name: THEME_ICONS[theme] })}</button>`;
}

/** @param {{ onLogout: () => void }} props */
function TopBar(props) {
  const [first] = route.value.parts;
  /** @param {string} name @param {string[]} parts @param {boolean} here */
  const link = (name, parts, here) =>
    html`<a href=${href(parts)} aria-current=${here ? "page" : undefined}>${name}</a>`;
  return html`<header class="top">
    <a class="brand" href=${href([])}>Fleetlight</a>
    <nav aria-label="Pages">${link("Overview", [], !first || first === "host")}${link("Logs", ["logs"], first === "logs")}${link("Commands", ["commands"], first === "commands" || first === "bulk" || first === "audit")}${link("Agents", ["agents"], first === "agents")}</nav>
    <div class="top-tools">
      ${(!first || first === "host" || first === "logs") && h(FilterField, {})}
      ${h(ThemeButton, {})}
      <button type="button" class="icon-button only-wide" aria-label="Keys" title="Keys (?)" onClick=${() => {
        openDialog.value = "keys";
      }}>${h(Icon, { name: "keyboard" })}</button>
      <button type="button" class="icon-button" aria-label="Log out" title="Log out" onClick=${props.onLogout}>${h(Icon, { name: "log-out" })}</button>
    </div>
  </header>`;
}

/** Escape empties the filter and leaves it. @param {KeyboardEvent} event */
function leaveFilter(event) {
  if (event.key !== "Escape") return;
  setParams({ q: null });
  /** @type {HTMLInputElement} */ (event.target).blur();
}

function FilterField() {
  return html`<label class="filter"><span class="hidden">Filter</span>${h(Icon, { name: "search" })}
    <input id="filter" type="search" placeholder="Filter" title="Words, field:value, - for not (press /)" autocomplete="off" spellcheck="false" value=${param("q")}
      onInput=${(/** @type {any} */ event) => setParams({ q: event.target.value })}
      onKeyDown=${leaveFilter} />
  </label>`;
}

/** Says that numbers age, and since when. */
function LostBanner() {
  const { state, sinceMs } = connection.value;
  if (state !== "lost") return null;
  return html`<div class="banner">${h(Icon, { name: "status-warn", class: "shape" })}<span>No connection to the controller for <span title=${moment(sinceMs)}>${duration(now.value - sinceMs)}</span>. What you see ages; it is tried again all the time.</span></div>`;
}

/** The database is slow or away: calm, since nothing is lost. */
function BehindBanner() {
  const behindMs = historyBehindMs.value;
  if (behindMs === null || connection.value.state === "lost") return null;
  return html`<div class="banner calm">${h(Icon, { name: "history" })}<span>History is ${duration(behindMs)} behind: the database is slow or away. What is live goes on, and agents keep what is not stored yet.</span></div>`;
}

const behind = computed(() => historyBehindMs.value !== null);

/** Said once, where the banner's ticking would be said each second. */
function BannerAnnouncement() {
  const lost = connection.value.state === "lost";
  const words = lost ? "The connection to the controller is lost." : behind.value ? "History is behind." : "";
  return html`<div class="hidden" role="status">${words}</div>`;
}

/** @param {{ onLogout: () => void, children?: import("preact").ComponentChildren }} props */
export function Shell(props) {
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
    event.preventDefault();
    document.getElementById("main")?.focus();
  }}>Skip to content</a>
  ${h(TopBar, { onLogout: props.onLogout })}
  <main id="main" tabindex="-1">${h(LostBanner, {})}${h(BehindBanner, {})}${props.children}</main>
  <div class="hidden" aria-live="polite">${announcement.value}</div>
  ${h(BannerAnnouncement, {})}
  ${h(CommandDialog, {})}
  ${openDialog.value === "palette" && h(Palette, {})}
  ${openDialog.value === "keys" && h(KeyList, {})}`;
}
