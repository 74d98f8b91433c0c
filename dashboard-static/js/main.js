// Starts the page: session, stream, routes.

import { effect } from "@preact/signals";
import { h, render } from "preact";
import { AgentsPage } from "./agents-page.js";
import { explain, get, post } from "./api.js";
import { AuditPage } from "./audit-page.js";
import { startCommands } from "./commands.js";
import { BulkPage, CommandsPage } from "./commands-page.js";
import { HostPage } from "./host-page.js";
import { LoginPage, PasswordDue, SetupPage, SetupRequired, Unreachable } from "./login-page.js";
import { LogsPage } from "./logs-page.js";
import { Overview } from "./overview.js";
import { startKeys } from "./places.js";
import { go, route, startRouting } from "./route.js";
import { Shell, startTheme } from "./shell.js";
import { catalogue, hosts, session } from "./store.js";
import { follow, startClock, stopStream } from "./stream.js";
import { Empty, html } from "./ui.js";

async function openSession() {
  try {
    const { name, setup_required, must_change_password, may } = await get("session");
    if (name === null) {
      session.value = { phase: setup_required ? "setup" : "anonymous", name: "", error: "" };
      return;
    }
    if (must_change_password) {
      session.value = { phase: "due", name, error: "" };
      return;
    }
    catalogue.value = await get("catalogue");
    session.value = { phase: "open", name, error: "", may };
  } catch (error) {
    session.value = { phase: "failed", name: "", error: explain(error) };
  }
}

async function endSession() {
  try {
    await post("logout");
  } catch (error) {
    console.warn(`log out: ${explain(error)}`);
  }
  hosts.value = null;
  session.value = { phase: "anonymous", name: "", error: "" };
}

function entered() {
  if (route.value.parts[0] === "setup") go([]);
  openSession();
}

/** Which host the address names; null for none, or for what can be no host. */
function chosenId() {
  const [first, id] = route.value.parts;
  return first === "host" && /^\d+$/.test(id ?? "") ? Number(id) : null;
}

function App() {
  const { phase, error } = session.value;
  const [first, second] = route.value.parts;
  if (phase === "unknown")
    return html`<main id="main" class="gate"><p class="brand">Fleetlight</p><p class="loading" role="status">Loading…</p></main>`;
  if (phase === "failed") return h(Unreachable, { error, onRetry: openSession });
  if (phase !== "open" && first === "setup" && second) return h(SetupPage, { token: second, onDone: entered });
  if (phase === "setup") return h(SetupRequired, {});
  if (phase === "anonymous") return h(LoginPage, { note: error, onDone: entered });
  if (phase === "due") return h(PasswordDue, { onDone: openSession });
  return h(Shell, { onLogout: endSession }, currentPage());
}

function currentPage() {
  const [first] = route.value.parts;
  if (!first || first === "setup") return h(Overview, {});
  if (chosenId() !== null) return h(HostPage, {});
  if (first === "agents") return h(AgentsPage, {});
  if (first === "commands") return h(CommandsPage, {});
  if (first === "bulk") return h(BulkPage, { key: route.value.parts[1] });
  if (first === "logs") return h(LogsPage, {});
  if (first === "audit") return h(AuditPage, {});
  return html`<div class="page"><h1>Not here</h1>${h(Empty, { title: "There is no such page." }, html`<a href="#/">Go to the overview</a>`)}</div>`;
}

function start() {
  startTheme();
  startRouting();
  startKeys();
  startClock();
  startCommands();
  openSession();
  const id = { now: /** @type {number | null | undefined} */ (undefined) };
  effect(() => {
    const open = session.value.phase === "open";
    const chosen = chosenId();
    if (!open) {
      stopStream();
      id.now = undefined;
    } else if (chosen !== id.now) {
      id.now = chosen;
      queueMicrotask(() => follow(chosen));
    }
  });
  effect(titles);
  effect(arrive);
  const place = document.getElementById("app");
  if (place) render(h(App, {}), place);
}

let arrived = "";

/** At another place the reader begins at its top, with keyboard and screen reader too. */
function arrive() {
  const place = route.value.parts.join("/") || "overview";
  if (session.value.phase !== "open" || place === arrived) return;
  const first = arrived === "";
  arrived = place;
  if (first) return;
  requestAnimationFrame(() => {
    scrollTo(0, 0);
    document.getElementById("main")?.focus({ preventScroll: true });
  });
}

function titles() {
  const name = hosts.value?.find((entry) => entry.id === chosenId())?.name;
  const troubled = (hosts.value ?? []).filter((entry) => entry.problems.length || entry.state !== "online").length;
  document.title = `${troubled ? `(${troubled}) ` : ""}${name ?? "Fleetlight"}${name ? " · Fleetlight" : ""}`;
}

start();
