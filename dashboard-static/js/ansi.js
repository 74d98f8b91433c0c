// Terminal colours of a log line as runs of text: sixteen colours and bold; every other escape sequence is left out.

import { plainLine } from "./ui.js";

/** @typedef {{ text: string, class: string }} Run */

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
const SGR = /\u001b\[([0-9;]*)m/g;

/** @param {string} line @returns {Run[]} */
export function runsOf(line) {
  if (!line.includes("\u001b[")) return [{ text: plainLine(line), class: "" }];
  /** @type {Run[]} */
  const runs = [];
  let style = { colour: "", bold: false };
  let from = 0;
  for (const match of line.matchAll(SGR)) {
    push(runs, line.slice(from, match.index), style);
    style = styled(style, match[1] ?? "");
    from = match.index + match[0].length;
  }
  push(runs, line.slice(from), style);
  return runs;
}

/** @typedef {{ colour: string, bold: boolean }} Style */

/** @param {Run[]} runs @param {string} text @param {Style} style */
function push(runs, text, style) {
  const plain = plainLine(text);
  if (plain) runs.push({ text: plain, class: [style.colour, style.bold ? "bold" : ""].filter(Boolean).join(" ") });
}

/** @param {Style} before @param {string} codes @returns {Style} */
function styled(before, codes) {
  let { colour, bold } = before;
  const numbers = codes.split(";").map(Number);
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at] ?? 0;
    if (code === 0) [colour, bold] = ["", false];
    else if (code === 1) bold = true;
    else if (code === 22) bold = false;
    else if (code === 39) colour = "";
    // 256 and true colours are passed over with their parameters: their contrast is nobody's promise.
    else if (code === 38 || code === 48) at += numbers[at + 1] === 5 ? 2 : 4;
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) colour = `ansi-${code % 10}`;
  }
  return { colour, bold };
}
