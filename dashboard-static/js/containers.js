// Containers of a host: what each is, how it does, and why it died.

import { h } from "preact";
import { BulkButton } from "./bulk-dialog.js";
import { ContainerActions } from "./container-actions.js";
import { crashLoop } from "./facts.js";
import { parseQuery, passes } from "./filter.js";
import { byteRate, bytes, bytesOf, count, percent, plural } from "./format.js";
import { param } from "./route.js";
import { containerStatus, rank } from "./status.js";
import { documentsOf, valuesOf } from "./store.js";
import { DataTable } from "./table.js";
import { Age, Bar, Empty, html, LogLines, nothing, plainLine, Section, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").HostView} HostView */
/** @typedef {{ key: string, body: any, values: import("./types.js").Values }} Container */

/** @param {number} hostId @returns {import("./table.js").Column<Container>[]} */
function columnsFor(hostId) {
  /** @param {Container} row */
  const cell = (row) => h(ContainerActions, { hostId, id: row.key, body: row.body, key: row.key });
  return [...CONTAINER_COLUMNS, { name: "act", label: "Actions", class: "act", cell }];
}

/** @type {import("./table.js").Column<Container>[]} */
const CONTAINER_COLUMNS = [
  { name: "name", label: "Container", cell: (row) => nameCell(row), sort: (row) => row.body.name },
  { name: "state", label: "State", cell: (row) => stateCell(row), sort: (row) => rank(containerStatus(row.body).tone) },
  {
    name: "cpu",
    label: "CPU",
    number: true,
    help: "Of one core: 200 % is two cores",
    cell: (row) => cpuCell(row),
    sort: (row) => row.values.cpu_percent,
  },
  {
    name: "memory",
    label: "Memory",
    number: true,
    cell: (row) => containerMemoryCell(row),
    sort: (row) => row.values.memory_used_bytes,
  },
  {
    name: "network",
    label: "Network in / out",
    number: true,
    cell: (row) => twoRates(row.values.receive_bytes_per_second, row.values.transmit_bytes_per_second),
    sort: (row) => sumOf(row.values.receive_bytes_per_second, row.values.transmit_bytes_per_second),
  },
  {
    name: "block",
    label: "Disk read / write",
    number: true,
    cell: (row) => twoRates(row.values.read_bytes_per_second, row.values.write_bytes_per_second),
    sort: (row) => sumOf(row.values.read_bytes_per_second, row.values.write_bytes_per_second),
  },
  {
    name: "pids",
    label: "Pids",
    number: true,
    cell: (row) => (row.values.pids == null ? nothing() : count(row.values.pids)),
    sort: (row) => row.values.pids,
  },
  {
    name: "restarts",
    label: "Restarts",
    number: true,
    help: "By Docker's restart policy",
    cell: (row) => count(row.body.restarts),
    sort: (row) => row.body.restarts,
  },
  {
    name: "uptime",
    label: "Uptime",
    number: true,
    cell: (row) => uptimeCell(row),
    sort: (row) => (isUp(row.body) ? -row.body.started_ms : null),
  },
  {
    name: "image",
    label: "Image and ports",
    class: "wide",
    cell: (row) => imageCell(row),
    sort: (row) => row.body.image,
  },
];

/** @param {any} body */
function isUp(body) {
  return (body.state === "running" || body.state === "paused") && !body.crash_loop && body.started_ms != null;
}

/** @param {number | null | undefined} a @param {number | null | undefined} b */
function sumOf(a, b) {
  return a == null && b == null ? null : (a ?? 0) + (b ?? 0);
}

/** @param {Container} row */
function nameCell(row) {
  const { body } = row;
  const origin = [
    body.user && `user ${body.user}`,
    body.compose_project && `${body.compose_project}/${body.compose_service ?? "?"}`,
  ]
    .filter(Boolean)
    .join(" · ");
  return html`<span class="stack"><span class="clip" title=${`${plainLine(body.name)}\n${body.id}`}>${plainLine(body.name)}</span>
    ${origin && html`<span class="muted clip" title=${plainLine(origin)}>${plainLine(origin)}</span>`}</span>`;
}

/** @param {Container} row */
function stateCell(row) {
  const status = containerStatus(row.body);
  return html`<span class="stack" title=${`Docker says: ${row.body.state}`}>${h(StatusMark, status)}${stateNote(row.body)}</span>`;
}

/** @param {any} body */
function stateNote(body) {
  if (body.crash_loop) {
    const code = body.crash_loop.last_exit_code;
    return html`<span class="muted">${body.crash_loop.deaths}×${code == null ? "" : `, exit ${code}`}</span>`;
  }
  return body.state === "exited" && body.finished_ms != null ? h(Age, { ms: body.finished_ms }) : null;
}

/** @param {Container} row */
function cpuCell(row) {
  if (row.values.cpu_percent == null) return nothing();
  const limit = row.body.cpu_limit;
  return html`<span class="stack"><span>${percent(row.values.cpu_percent)}</span>${limit != null && html`<span class="muted">of ${count(limit * 100)} %</span>`}</span>`;
}

/** @param {Container} row */
function containerMemoryCell(row) {
  const limit = row.body.memory_limit_bytes;
  const used = row.values.memory_used_bytes;
  if (used == null) return nothing();
  if (limit == null) return html`<span>${bytes(used)}</span>`;
  return html`<span class="stack"><span>${bytesOf(used, limit)}</span>${h(Bar, { percent: (used / limit) * 100 })}</span>`;
}

/** @param {number | null | undefined} first @param {number | null | undefined} second */
function twoRates(first, second) {
  if (first == null && second == null) return nothing();
  return html`<span class="stack"><span>${byteRate(first)}</span><span class="muted">${byteRate(second)}</span></span>`;
}

/** @param {Container} row */
function uptimeCell(row) {
  if (!isUp(row.body)) return nothing();
  return h(Age, { ms: row.body.started_ms, suffix: "", class: "" });
}

/** @param {Container} row */
function imageCell(row) {
  const { body } = row;
  const ports = (body.ports ?? []).join(", ");
  const size = body.image_bytes == null ? "" : `, ${bytes(body.image_bytes)}`;
  return html`<span class="stack"><span class="clip" title=${`${plainLine(body.image)}${size}\n${body.image_id}`}>${plainLine(body.image)}</span>
    ${ports && html`<span class="muted clip mono" title=${plainLine(ports)}>${plainLine(ports)}</span>`}</span>`;
}

/** Below a crash-looping container: how often, and its last words. @param {Container} row */
function crashBelow(row) {
  const loop = row.body.crash_loop;
  if (!loop) return null;
  return html`<div class="crash"><p>${crashLoop(loop)}.${loop.last_lines.length ? " Its last lines:" : " Its last lines are not known."}</p>
    ${loop.last_lines.length > 0 && h(LogLines, { lines: loop.last_lines, label: `Last lines of ${plainLine(row.body.name)}` })}</div>`;
}

/** @param {Container} row */
function containerFields(row) {
  const { body } = row;
  return {
    name: body.name,
    state: [body.state, body.health ?? "", containerStatus(body).word, containerStatus(body).tone],
    user: body.user,
    image: body.image,
    compose: `${body.compose_project ?? ""}/${body.compose_service ?? ""}`,
    port: body.ports,
  };
}

/** Worst first, then by name. @param {HostView} view @returns {Container[]} */
function containersOf(view) {
  return documentsOf(view, "container")
    .map(({ key, body }) => ({
      key,
      body,
      values: isUp(body) || body.state === "restarting" ? valuesOf(view, "container", key) : {},
    }))
    .sort((a, b) => attentionRank(b) - attentionRank(a) || a.body.name.localeCompare(b.body.name));
}

/** What runs stands above what has ended as it should. @param {Container} row */
function attentionRank(row) {
  const { tone } = containerStatus(row.body);
  return tone === "stale" ? -1 : rank(tone);
}

/** @param {Container[]} all */
function summaryOf(all) {
  const running = all.filter((row) => isUp(row.body)).length;
  const loops = all.filter((row) => row.body.crash_loop).length;
  return [`${running} of ${all.length} running`, ...(loops ? [plural(loops, "crash loop")] : [])].join(" · ");
}

/** @param {{ view: HostView, absent: import("preact").ComponentChildren }} props */
export function Containers(props) {
  const all = containersOf(props.view);
  if (!all.length) {
    return h(
      Section,
      { id: "containers", title: "Containers" },
      props.absent ??
        h(
          Empty,
          { title: "No containers." },
          "Docker runs here, and has none. One that is started shows here within seconds.",
        ),
    );
  }
  const terms = parseQuery(param("q"));
  const rows = all.filter((row) => passes(terms, containerFields(row)));
  return h(
    Section,
    {
      id: "containers",
      title: "Containers",
      note: html`${summaryOf(all)} ${h(BulkButton, { hostId: props.view.id, rows })}`,
    },
    props.absent,
    rows.length
      ? h(/** @type {typeof DataTable<Container>} */ (DataTable), {
          name: "containers",
          caption: "Containers",
          columns: columnsFor(props.view.id),
          rows,
          rowKey: (row) => row.key,
          below: crashBelow,
        })
      : h(
          Empty,
          { title: "No container matches the filter." },
          `${plural(all.length, "container")} hidden by “${param("q")}”.`,
        ),
  );
}
