// What the controller refused of a host within a day, in quiet lines; nothing when there is nothing.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { useEffect } from "preact/hooks";
import { explain, get } from "./api.js";
import { moment, plural } from "./format.js";
import { ErrorNote, html, plainLine } from "./ui.js";

const REFRESH_MS = 60_000;

/**
 * @typedef {object} Refusals
 * @property {string} reason
 * @property {number} batches
 * @property {number} rows samples, documents or events in them
 * @property {number} last_ms
 * @property {string} last_detail
 */

/** @type {Record<string, (told: Refusals) => string>} */
const REFUSAL_WORDS = {
  time: (told) => `${plural(told.rows, "sample")} refused for ${told.rows === 1 ? "its" : "their"} time`,
  refused: (told) => `${plural(told.batches, "batch", "batches")} refused by the database`,
  evicted: (told) => `${plural(told.batches, "batch", "batches")} lost on the host`,
  rate: (told) => `${plural(told.batches, "batch", "batches")} held back`,
};

/** @param {Refusals} told */
export function refusalText(told) {
  const what =
    REFUSAL_WORDS[told.reason]?.(told) ??
    `${plural(told.rows, "sample, document or event", "samples, documents or events")} refused`;
  return `${what}: ${plainLine(told.last_detail)}; last at ${moment(told.last_ms)}`;
}

/** @param {{ hostId: number }} props */
export function RefusalLines(props) {
  const told = useSignal(/** @type {Refusals[]} */ ([]));
  const error = useSignal("");
  useEffect(() => {
    const load = async () => {
      try {
        told.value = await get(`hosts/${props.hostId}/refusals`);
        error.value = "";
      } catch (failure) {
        error.value = explain(failure);
      }
    };
    load();
    const timer = setInterval(load, REFRESH_MS);
    return () => clearInterval(timer);
  }, [props.hostId]);
  if (error.value) return h(ErrorNote, {}, error.value);
  return told.value.map((entry) => html`<p key=${entry.reason} class="muted">${refusalText(entry)}</p>`);
}
