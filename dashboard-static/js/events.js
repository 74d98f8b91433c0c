// Events of a host, newest first.

import { h } from "preact";
import { factLines, factText } from "./facts.js";
import { moment } from "./format.js";
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
  return h(
    Section,
    { id: "events", title: "Events", note: list.length > EVENTS_SHOWN ? `newest ${EVENTS_SHOWN}` : "newest first" },
    html`<ol class="events">${list.slice(0, EVENTS_SHOWN).map((event) => eventItem(event))}</ol>`,
  );
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
