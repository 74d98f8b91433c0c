// The lines of a log reader: kept within a bound, narrowed by level, in the order in which they came.

import { signal } from "@preact/signals";
import { logsStreamUrl } from "./api.js";
import { plural } from "./format.js";

/** @typedef {import("./types.js").LogLevel} LogLevel */
/** @typedef {import("./types.js").LogPlace} LogPlace */
/** @typedef {{ source: number, at_ms?: number, level?: LogLevel, text: string, note?: boolean }} LogLine */

/** Lines kept; the oldest go first, and are counted. */
export const LINES_KEPT = 200_000;

/** @typedef {"opening" | "past" | "live" | "ended" | "lost"} ReaderState */

/** What one reader has. Its lines grow in place; `version` says that they have. */
export class LogReader {
  /** @param {URLSearchParams} query */
  constructor(query) {
    this.query = query;
    /** @type {LogLine[]} */
    this.lines = [];
    this.gone = 0;
    this.version = signal(0);
    this.places = signal(/** @type {LogPlace[]} */ ([]));
    this.state = signal(/** @type {ReaderState} */ ("opening"));
    /** @type {EventSource | null} */
    this.source = null;
    this.frame = 0;
  }

  open() {
    this.state.value = "opening";
    const source = new EventSource(logsStreamUrl(this.query));
    this.source = source;
    /** @param {string} name @param {(data: any) => void} handle */
    const on = (name, handle) =>
      source.addEventListener(name, (message) =>
        handle(JSON.parse(/** @type {MessageEvent<string>} */ (message).data)),
      );
    on("sources", (data) => {
      // A stream that the browser opened anew begins with the same past.
      this.lines = [];
      this.gone = 0;
      this.places.value = data.sources;
      this.state.value = "past";
      this.changed();
    });
    on("lines", (data) => this.add(data.lines));
    on("dropped", (data) =>
      this.note(data.source, `${plural(data.lines, "line")} came faster than they were read, and are left out`),
    );
    on("problem", (data) => this.note(data.source, data.message));
    on("live", () => {
      this.state.value = "live";
    });
    on("end", () => {
      this.state.value = "ended";
      source.close();
    });
    source.addEventListener("error", () => {
      if (this.state.value !== "ended")
        this.state.value = source.readyState === EventSource.CLOSED ? "lost" : "opening";
    });
  }

  close() {
    this.source?.close();
    cancelAnimationFrame(this.frame);
  }

  /** @param {number} source @param {string} text */
  note(source, text) {
    this.add([{ source, text, note: true }]);
  }

  /** @param {LogLine[]} lines */
  add(lines) {
    for (const line of lines) this.lines.push(line);
    // Cut seldom and much: each cut moves all that stays.
    if (this.lines.length > LINES_KEPT * 1.1) {
      const over = this.lines.length - LINES_KEPT;
      this.lines.splice(0, over);
      this.gone += over;
    }
    this.changed();
  }

  /** Drawn once a frame, however many messages come. */
  changed() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.version.value += 1;
    });
  }
}

const LEVELS = ["error", "warn", "info", "debug"];

/**
 * Which lines are shown: of the chosen level or worse (lines without one pass), containing the text.
 * @param {LogLine[]} lines @param {string} level @param {string} text @returns {LogLine[]}
 */
export function narrowed(lines, level, text) {
  const least = LEVELS.indexOf(level);
  const wanted = text.toLowerCase();
  if (least < 0 && !wanted) return lines;
  return lines.filter(
    (line) =>
      line.note ||
      ((least < 0 || !line.level || LEVELS.indexOf(line.level) <= least) &&
        (!wanted || line.text.toLowerCase().includes(wanted))),
  );
}

/** As a text file. @param {LogLine[]} lines @param {LogPlace[]} places */
export function asText(lines, places) {
  return lines
    .map((line) => {
      const at = line.at_ms === undefined ? "" : `${new Date(line.at_ms).toISOString()} `;
      const name = places.length > 1 ? `${places[line.source]?.name ?? "?"} ` : "";
      return `${at}${name}${line.text}\n`;
    })
    .join("");
}
