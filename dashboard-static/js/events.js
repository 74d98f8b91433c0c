// Events of a host, newest first.

import { h } from "preact";
import { eventRuns } from "./event-runs.js";
import { factLines, factText } from "./facts.js";
import { clock, moment } from "./format.js";
import { severityTone } from "./status.js";
import { events } from "./store.js";
import { Age, Empty, html, LogLines, plainLine, Section, StatusMark } from "./ui.js";

const EVENTS_SHOWN = 100;
const WORDS = { info: "info", warn: "warning", crit: "critical", ok: "ok", stale: "" };

export function Events() {
  const list = events.value;
  if (list === null)
    return h(Section, { id: "events", title: "Events" }, html`<p class="loading" role="status">Loading events…</p>`);
  if (!list.length)
    return h(
      Section,
      { id: "events", title: "Events" },
      h(Empty, { title: "No events yet." }, "Starts, deaths, GPU errors and mounts that stop answering are kept here."),
    );
  const shown = eventRuns(list.slice(0, EVENTS_SHOWN));
  return h(
    Section,
    { id: "events", title: "Events", note: list.length > EVENTS_SHOWN ? `newest ${EVENTS_SHOWN}` : "newest first" },
    html`<ol class="events">${shown.flatMap((run) => [...run.events.map(eventItem), foldedItem(run.more)])}</ol>`,
  );
}

/** @param {import("./types.js").HostEvent[]} more */
function foldedItem(more) {
  const oldest = more.at(-1);
  if (!oldest) return null;
  return html`<li key=${`since ${oldest.id}`} class="event-more"><details>
    <summary>${more.length} more starts and deaths of ${plainLine(oldest.subject)} since ${clock(oldest.at_ms)}</summary>
    <ol class="events">${more.map(eventItem)}</ol>
  </details></li>`;
}

/** @param {import("./types.js").HostEvent} event */
function eventItem(event) {
  const tone = severityTone(event.severity);
  const lines = factLines(event);
  return html`<li key=${event.id} class="event">
    ${h(StatusMark, { tone, word: WORDS[tone] })}
    <time datetime=${new Date(event.at_ms).toISOString()}>${moment(event.at_ms)}</time>
    <span class="event-text"><span><strong>${plainLine(event.subject)}</strong> ${plainLine(factText(event))}</span>
      ${lines.length > 0 && html`<details><summary>Last lines</summary>${h(LogLines, { lines, label: `Last lines of ${plainLine(event.subject)}` })}</details>`}
    </span>
    ${h(Age, { ms: event.at_ms })}
  </li>`;
}
