// Tables: sortable, with a line below a row where it needs one; on a phone each row is a card.

import { h } from "preact";
import { param, setParams } from "./route.js";
import { html, Icon } from "./ui.js";

/** @typedef {import("preact").ComponentChildren} Children */

/**
 * @template T
 * @typedef {object} Column
 * @property {string} name
 * @property {string} label
 * @property {(row: T) => Children} cell
 * @property {((row: T) => number | string | null | undefined)} [sort] numbers sort from large to small first
 * @property {boolean} [number] set to the right
 * @property {string} [class]
 * @property {string} [help] what the numbers are
 */

/**
 * @template T
 * @typedef {object} TableProps
 * @property {string} name
 * @property {string} [kind] tables of one kind share their looks; by default the name
 * @property {string} caption for screen readers
 * @property {Column<T>[]} columns the first one heads its row
 * @property {T[]} rows in their usual order
 * @property {(row: T) => string} rowKey
 * @property {(row: T) => string} [rowClass]
 * @property {(row: T) => Children} [below] what stands below a row, over its whole width
 */

/** @template T @param {TableProps<T>} props */
export function DataTable(props) {
  const chosen = param(`${props.name}-sort`);
  const rows = sorted(props.rows, props.columns, chosen);
  const scroll = `${props.name}-table`;
  // Explicit roles, because a table that is displayed as cards loses its own.
  return html`<div class="table-scroll" tabindex="0" role="group" aria-label=${props.caption} id=${scroll}>
    <table role="table" class=${`table table-${props.kind ?? props.name}`}>
      <caption class="hidden">${props.caption}</caption>
      <thead role="rowgroup"><tr role="row">${props.columns.map((column) => heading(props.name, column, chosen))}</tr></thead>
      <tbody role="rowgroup">${rows.flatMap((row) => bodyRows(props, row))}</tbody>
    </table>
  </div>`;
}

/** @template T @param {string} table @param {Column<T>} column @param {string} chosen */
function heading(table, column, chosen) {
  const direction = chosen === column.name ? "descending" : chosen === `-${column.name}` ? "ascending" : null;
  const next = direction === null ? column.name : direction === "descending" ? `-${column.name}` : null;
  const classes = `${column.number ? "number" : ""} ${column.class ?? ""}`;
  if (!column.sort)
    return html`<th role="columnheader" scope="col" class=${classes} title=${column.help}>${column.label}</th>`;
  return html`<th role="columnheader" scope="col" class=${classes} title=${column.help} aria-sort=${direction ?? "none"}>
    <button type="button" class="sort" onClick=${() => setParams({ [`${table}-sort`]: next })}>
      ${column.label}${h(Icon, { name: direction === "ascending" ? "chevron-up" : "chevron-down", class: direction ? "" : "faint" })}
    </button>
  </th>`;
}

/** @template T @param {TableProps<T>} props @param {T} row */
function bodyRows(props, row) {
  const key = props.rowKey(row);
  const below = props.below?.(row);
  const classes = props.rowClass?.(row) ?? "";
  const cells = props.columns.map((column, at) => {
    const attributes = { class: `${column.number ? "number" : ""} ${column.class ?? ""}`, "data-label": column.label };
    return at === 0
      ? html`<th role="rowheader" scope="row" ...${attributes}>${column.cell(row)}</th>`
      : html`<td role="cell" ...${attributes}>${column.cell(row)}</td>`;
  });
  return html`<tr role="row" key=${key} class=${`${classes} ${below ? "has-below" : ""}`}>${cells}</tr>
    ${below && html`<tr role="row" key=${`${key} below`} class=${`below ${classes}`}><td role="cell" colspan=${props.columns.length}>${below}</td></tr>`}`;
}

/** @template T @param {T[]} rows @param {Column<T>[]} columns @param {string} chosen @returns {T[]} */
export function sorted(rows, columns, chosen) {
  const up = chosen.startsWith("-");
  const column = columns.find((one) => one.name === (up ? chosen.slice(1) : chosen));
  const by = column?.sort;
  if (!by) return rows;
  return [...rows].sort((a, b) => (up ? -1 : 1) * compare(by(a), by(b)));
}

/** Large numbers and early letters first; what is not known comes last. @param {number | string | null | undefined} a @param {number | string | null | undefined} b */
function compare(a, b) {
  if (a == null || b == null) return a == null ? (b == null ? 0 : 1) : -1;
  if (typeof a === "number" && typeof b === "number") return b - a;
  return String(a).localeCompare(String(b));
}
