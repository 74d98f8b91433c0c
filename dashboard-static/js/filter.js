// The grammar of filters: words that must occur, `field:value`, and `-` before either for "not".

/** @typedef {{ field: string | null, value: string, not: boolean }} Term */

/** @param {string} query @returns {Term[]} */
export function parseQuery(query) {
  return (query.toLowerCase().match(/(?:[^\s"]|"[^"]*")+/g) ?? []).map((word) => {
    const not = word.startsWith("-") && word.length > 1;
    const plain = (not ? word.slice(1) : word).replaceAll('"', "");
    const colon = plain.indexOf(":");
    return colon > 0
      ? { field: plain.slice(0, colon), value: plain.slice(colon + 1), not }
      : { field: null, value: plain, not };
  });
}

/**
 * Whether a thing with these fields passes. A field may have several values; a field that the thing lacks matches nothing.
 * @param {Term[]} terms @param {Record<string, string | string[] | null | undefined>} fields
 */
export function passes(terms, fields) {
  return terms.every((term) => holds(term, fields) !== term.not);
}

/** @param {Term} term @param {Record<string, string | string[] | null | undefined>} fields */
function holds(term, fields) {
  const looked = term.field === null ? Object.values(fields) : [fields[term.field]];
  return looked.flat().some((text) => text?.toLowerCase().includes(term.value));
}
