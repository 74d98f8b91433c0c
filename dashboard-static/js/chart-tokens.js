// The page's colours and font, as a canvas needs them.

/** Lines that can be told apart by colour. */
export const COLORS = 8;

/** Three quarters of the text's size. In whole pixels: uPlot multiplies them by the screen's ratio, and reads digits only. @param {string} size @param {string} family */
export function canvasFont(size, family) {
  return `${Math.round(Number.parseFloat(size) * 0.75)}px ${family}`;
}

/** As they are now; a change of theme asks anew. */
export function readTokens() {
  const style = getComputedStyle(document.documentElement);
  /** @param {string} name */
  const token = (name) => style.getPropertyValue(name).trim();
  return {
    muted: token("--muted"),
    line: token("--line"),
    heat: token("--accent"),
    font: canvasFont(style.fontSize, getComputedStyle(document.body).fontFamily),
    lines: Array.from({ length: COLORS }, (_, at) => token(`--chart-${at + 1}`)),
    tones: {
      ok: token("--ok"),
      warn: token("--warn"),
      crit: token("--crit"),
      stale: token("--stale"),
      info: token("--muted"),
    },
  };
}
