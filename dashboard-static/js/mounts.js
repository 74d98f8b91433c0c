// Mounts of a host: whether each answers, and how full it is.

import { h } from "preact";
import { parseQuery, passes } from "./filter.js";
import { bytes, bytesOf, percent, seconds } from "./format.js";
import { param } from "./route.js";
import { rank, statusOf } from "./status.js";
import { documentsOf, valuesOf } from "./store.js";
import { DataTable } from "./table.js";
import { Bar, Empty, html, nothing, plainLine, Section, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").HostView} HostView */
/** @typedef {{ key: string, body: any, values: import("./types.js").Values, used: number | null }} Mount */

/** @type {import("./table.js").Column<Mount>[]} */
const MOUNT_COLUMNS = [
  {
    name: "mount",
    label: "Mount",
    cell: (row) => html`<span class="clip" title=${plainLine(row.key)}>${plainLine(row.key)}</span>`,
    sort: (row) => row.key,
  },
  {
    name: "state",
    label: "State",
    cell: (row) => h(StatusMark, statusOf("mount", row.body.state)),
    sort: (row) => rank(statusOf("mount", row.body.state).tone),
  },
  { name: "used", label: "Used", class: "wide", cell: (row) => usedCell(row), sort: (row) => row.used },
  {
    name: "free",
    label: "Free",
    number: true,
    help: "Free to ordinary users",
    cell: (row) => (row.used === null ? nothing() : bytes(row.values.available_bytes)),
    sort: (row) => row.values.available_bytes,
  },
  {
    name: "inodes",
    label: "Inodes",
    number: true,
    cell: (row) => inodesCell(row),
    sort: (row) => shareOf(row.values.inodes_used, row.values.inodes_total),
  },
  {
    name: "latency",
    label: "Answered in",
    number: true,
    help: "Time that the file system took to answer",
    cell: (row) => (row.values.probe_seconds == null ? nothing() : seconds(row.values.probe_seconds)),
    sort: (row) => row.values.probe_seconds,
  },
  { name: "source", label: "Source", class: "wide", cell: (row) => sourceCell(row), sort: (row) => row.body.source },
];

/** As df says: of what is used or free to users, so that a mount is full when users find it full. @param {import("./types.js").Values} values */
function usedShare(values) {
  const { used_bytes: used, available_bytes: free } = values;
  return used == null || free == null || used + free === 0 ? null : (used / (used + free)) * 100;
}

/** @param {number | null | undefined} part @param {number | null | undefined} whole */
function shareOf(part, whole) {
  return part == null || !whole ? null : (part / whole) * 100;
}

/** @param {Mount} row */
function usedCell(row) {
  if (row.used === null) return html`<span class="muted">unknown</span>`;
  return html`<span class="share">${h(Bar, { percent: row.used })}<span class="share-text">${percent(row.used)}</span><span class="muted share-note">${bytesOf(row.values.used_bytes, row.values.total_bytes)}</span></span>`;
}

/** @param {Mount} row */
function inodesCell(row) {
  const used = shareOf(row.values.inodes_used, row.values.inodes_total);
  return used === null ? nothing() : percent(used);
}

/** @param {Mount} row */
function sourceCell(row) {
  const { body } = row;
  return html`<span class="clip" title=${plainLine(`${body.source}\n${body.options}`)}>${plainLine(body.source)} <span class="muted">${plainLine(body.fs_type)}</span></span>`;
}

/** @param {HostView} view @returns {Mount[]} worst first, then fullest */
function mountsOf(view) {
  return documentsOf(view, "mount")
    .map(({ key, body }) => ({ key, body, values: valuesOf(view, "mount", key) }))
    .map((row) => ({
      ...row,
      used: row.body.state === "ok" || row.body.state === "slow" ? usedShare(row.values) : null,
    }))
    .sort(
      (a, b) =>
        rank(statusOf("mount", b.body.state).tone) - rank(statusOf("mount", a.body.state).tone) ||
        (b.used ?? 0) - (a.used ?? 0),
    );
}

/** @param {{ view: HostView, absent: import("preact").ComponentChildren }} props */
export function Mounts(props) {
  const all = mountsOf(props.view);
  const terms = parseQuery(param("q"));
  const rows = all.filter(({ key, body }) =>
    passes(terms, {
      mount: key,
      state: [body.state, statusOf("mount", body.state).tone],
      source: body.source,
      fs: body.fs_type,
    }),
  );
  if (!all.length)
    return h(
      Section,
      { id: "mounts", title: "Mounts" },
      props.absent ?? h(Empty, { title: "No mounts reported yet." }, "They come with the agent's first round."),
    );
  return h(
    Section,
    { id: "mounts", title: "Mounts" },
    props.absent,
    rows.length
      ? h(/** @type {typeof DataTable<Mount>} */ (DataTable), {
          name: "mounts",
          caption: "Mounts",
          columns: MOUNT_COLUMNS,
          rows,
          rowKey: (row) => row.key,
          below: (row) => (row.body.reason ? html`<p class="reason">${plainLine(row.body.reason)}</p>` : null),
        })
      : h(Empty, { title: "No mount matches the filter." }, `The filter is “${param("q")}”.`),
  );
}
