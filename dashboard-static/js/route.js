// The address: what is shown stands after `#`, so that reload and share give the same view.
//
// `#/host/<id>?range=1h&q=state:crit`: a path of parts, then parameters.

import { signal } from "@preact/signals";

/** @typedef {{ parts: string[], params: URLSearchParams }} Route */

/** @param {string} hash @returns {Route} */
export function parseRoute(hash) {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return { parts: path.split("/").filter(Boolean).map(decodePart), params: new URLSearchParams(query) };
}

/** @param {string} part */
function decodePart(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** @param {string[]} parts @param {URLSearchParams | Record<string, string>} [params] */
export function href(parts, params = {}) {
  const query = new URLSearchParams(params).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
}

export const route = signal(/** @type {Route} */ ({ parts: [], params: new URLSearchParams() }));

export function startRouting() {
  const read = () => {
    route.value = parseRoute(location.hash);
  };
  addEventListener("hashchange", read);
  read();
}

/** Goes to another place. @param {string[]} parts @param {Record<string, string>} [params] */
export function go(parts, params) {
  location.hash = href(parts, params);
}

/** Changes parameters of this place without a step in the history; null removes one. @param {Record<string, string | null>} changes */
export function setParams(changes) {
  const { parts, params } = route.value;
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") next.delete(name);
    else next.set(name, value);
  }
  history.replaceState(null, "", href(parts, next));
  route.value = { parts, params: next };
}

/** A parameter of this place. @param {string} name */
export function param(name) {
  return route.value.params.get(name) ?? "";
}
