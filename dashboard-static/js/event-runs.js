// A container that dies and starts again and again must not hide what else happened. Pure.

/** @typedef {import("./types.js").HostEvent} HostEvent */
/** @typedef {{ events: HostEvent[], more: HostEvent[] }} EventRun `more` is told in one line */

const ROUTINE = new Set(["container_started", "container_died"]);
/** Fewer than these are no burden. */
const FOLDED_LEAST = 3;

/** Neighbouring starts and deaths of one container: the newest down to a death stand, the others fold. @param {HostEvent[]} list newest first @returns {EventRun[]} */
export function eventRuns(list) {
  /** @type {EventRun[]} */
  const found = [];
  for (let from = 0; from < list.length; ) {
    let to = from + 1;
    while (to < list.length && continues(list[from], list[to])) to += 1;
    const run = list.slice(from, to);
    const stand = run.findIndex((event) => event.fact === "container_died") + 1 || 1;
    const fold = run.length - stand >= FOLDED_LEAST;
    found.push({ events: fold ? run.slice(0, stand) : run, more: fold ? run.slice(stand) : [] });
    from = to;
  }
  return found;
}

/** @param {HostEvent | undefined} a @param {HostEvent | undefined} b */
function continues(a, b) {
  return a !== undefined && b !== undefined && a.key === b.key && ROUTINE.has(a.fact) && ROUTINE.has(b.fact);
}
