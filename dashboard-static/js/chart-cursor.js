// The cursor of a chart, moved by key or by finger.

/** Moves the cursor here and, by the third argument that uPlot's types leave out, on all synchronised charts. @param {import("uplot")} plot @param {number} left @param {number} top */
export function placeCursor(plot, left, top) {
  /** @type {any} */ (plot).setCursor({ left, top }, true, true);
}

/** A finger moves the cursor; scrolling up and down stays the page's. @param {import("uplot")} plot */
export function scrub(plot) {
  /** @param {TouchEvent} event */
  const move = (event) => {
    const touch = event.touches[0];
    if (!touch) return;
    const box = plot.over.getBoundingClientRect();
    placeCursor(plot, touch.clientX - box.left, touch.clientY - box.top);
  };
  const options = { passive: true };
  plot.over.addEventListener("touchstart", move, options);
  plot.over.addEventListener("touchmove", move, options);
  return () => {
    plot.over.removeEventListener("touchstart", move);
    plot.over.removeEventListener("touchmove", move);
  };
}
