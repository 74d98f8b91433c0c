// A list of log lines of fixed height, of which only those in sight are drawn. It follows its end until one scrolls up.

import { signal, useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { runsOf } from "./ansi.js";
import { clock, moment, plural } from "./format.js";
import { html, Icon, plainLine } from "./ui.js";

/** @typedef {import("./log-lines.js").LogLine} LogLine */
/** @typedef {import("./types.js").LogPlace} LogPlace */

/** As in the style sheet. */
const ROW = 20;
/** Drawn above and below what is in sight, so that a turn of the wheel finds lines. */
const SLACK = 20;

/** Whether the end is followed; read by the page for its "pause". */
export const following = signal(true);

/**
 * `version` tells that the lines have grown, which they do in place: with the same props it would not be drawn anew.
 * @param {import("preact").RenderableProps<{ lines: LogLine[], version: number, places: LogPlace[], label: string, highlight: string }>} props
 */
export function LogView(props) {
  const { lines, places } = props;
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const top = useSignal(0);
  const height = useSignal(600);
  const read = useSignal(lines.length);
  const behind = following.value ? 0 : Math.max(0, lines.length - read.value);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    if (following.value) element.scrollTop = element.scrollHeight;
  });
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const onScroll = () => {
    const element = box.current;
    if (!element) return;
    // A window that changes its size moves the end away, too: only who goes up has left it.
    const up = element.scrollTop < top.value;
    top.value = element.scrollTop;
    const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - ROW;
    if (atEnd === following.value || (following.value && !up)) return;
    following.value = atEnd;
    read.value = lines.length;
  };
  const first = Math.max(0, Math.floor(top.value / ROW) - SLACK);
  const shown = lines.slice(first, first + Math.ceil(height.value / ROW) + 2 * SLACK);
  return html`<div class="log-frame">
    <div class="log-view" ref=${box} tabindex="0" role="log" aria-live="off" aria-label=${props.label} onScroll=${onScroll}>
      <div class="log-space" style=${{ height: `${lines.length * ROW}px` }}>
        <div class="log-rows" style=${{ transform: `translateY(${first * ROW}px)` }}>${shown.map((line, at) => lineRow(line, first + at, places, props.highlight))}</div>
      </div>
    </div>
    ${
      !following.value &&
      html`<button type="button" class="pill log-newer" onClick=${() => {
        following.value = true;
      }}>${h(Icon, { name: "chevron-down" })}${behind ? `${plural(behind, "new line")}` : "To the end"}</button>`
    }
  </div>`;
}

/** @param {LogLine} line @param {number} number @param {LogPlace[]} places @param {string} highlight */
function lineRow(line, number, places, highlight) {
  const name = plainLine(places[line.source]?.name ?? "?");
  const at = line.at_ms === undefined ? null : line.at_ms;
  return html`<div key=${number} class=${`log-line ${line.note ? "log-note" : ""} ${line.level ? `level-${line.level}` : ""}`}>
    <time class="age" title=${at === null ? "The source keeps no time" : moment(at)}>${at === null ? "" : clock(at)}</time>
    ${places.length > 1 && html`<span class=${`log-source source-${(line.source % 8) + 1}`} title=${name}>${name}</span>`}
    <span class="log-text">${runsOf(line.text).map((run) => (run.class ? html`<span class=${run.class}>${marked(run.text, highlight)}</span>` : marked(run.text, highlight)))}</span>
  </div>`;
}

/** The text with what is looked for marked. @param {string} text @param {string} wanted */
function marked(text, wanted) {
  if (!wanted) return text;
  const parts = [];
  const lower = text.toLowerCase();
  let from = 0;
  // Letters whose small form is longer would shift the places: then nothing is marked.
  if (lower.length !== text.length) return text;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    parts.push(text.slice(from, at), html`<mark>${text.slice(at, at + wanted.length)}</mark>`);
    from = at + wanted.length;
  }
  return [...parts, text.slice(from)];
}
