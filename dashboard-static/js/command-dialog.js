// One command as it goes: requested, taken by the host, its steps, what was found; green only when verified.

import { useSignal } from "@preact/signals";
import { h } from "preact";
import { explain, post } from "./api.js";
import { actionWord, closeCommand, commandStatus, followed, foundLine } from "./commands.js";
import { clock, duration, moment } from "./format.js";
import { hosts, mayAct, now } from "./store.js";
import { Dialog, ErrorNote, html, Icon, LogLines, plainLine, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").CommandView} CommandView */

/** The dialog of the command that the address names. */
export function CommandDialog() {
  const at = followed.value;
  if (!at) return null;
  const { command, error } = at;
  const title = command ? titleOf(command) : "Command";
  return h(
    Dialog,
    { title, onClose: closeCommand, class: "dialog-wide", key: at.id },
    error && h(ErrorNote, {}, error),
    command
      ? h(CommandBody, { command, output: at.output })
      : !error && html`<p class="loading" role="status">Loading…</p>`,
  );
}

/** @param {CommandView} command */
export function titleOf(command) {
  const word = actionWord(command.action);
  return plainLine(`${word[0]?.toUpperCase()}${word.slice(1)} ${command.subject || command.host}`);
}

/** @param {{ command: CommandView, output: string }} props */
function CommandBody(props) {
  const { command } = props;
  const finished = command.state === "finished";
  const ended = command.ended_ms ?? now.value;
  const found = command.outcome === "unverified" ? foundLine(command) : "";
  const { tone, word } = commandStatus(command);
  return html`<div class="command">
    <p class="command-state" role="status">${h(StatusMark, { tone, word: found ? `${word}: ${plainLine(found)}` : word })}<span class="muted">${finished ? `took ${duration(ended - command.asked_ms)}` : duration(now.value - command.asked_ms)}</span></p>
    ${command.waiting_for && !finished && html`<p class="muted">Waiting: ${plainLine(command.waiting_for)}. It is given up at ${clock(command.deadline_ms)}.</p>`}
    ${command.late && html`<p><strong>The answer came late</strong>, after this command had been closed.</p>`}
    <ol class="steps">${stepsOf(command).map(
      (step) => html`<li key=${`${step.at_ms} ${step.text}`} class=${step.tone ? `tone-${step.tone}` : ""}>
      ${h(Icon, { name: step.icon, class: step.icon === "check" ? "" : "shape" })}<span>${plainLine(step.text)}</span>${step.at_ms !== null && html`<time class="age" datetime=${new Date(step.at_ms).toISOString()} title=${moment(step.at_ms)}>${duration(step.at_ms - command.asked_ms)}</time>`}</li>`,
    )}</ol>
    ${finished && h(Finding, { command })}
    ${props.output && h(LogLines, { lines: props.output.replace(/\n$/, "").split("\n"), label: "What it printed" })}
    <p class="muted command-foot">Asked for by ${plainLine(command.by)} at ${moment(command.asked_ms)} on ${plainLine(hostName(command))}.</p>
    ${!finished && mayAct.value && h(CancelButton, { command, key: command.id })}
  </div>`;
}

/** @param {CommandView} command */
function hostName(command) {
  return hosts.value?.find((entry) => entry.id === command.host_id)?.name ?? command.host;
}

/** @param {CommandView} command @returns {{ text: string, at_ms: number | null, icon: string, tone?: string }[]} */
function stepsOf(command) {
  const steps = [{ text: "requested", at_ms: command.asked_ms, icon: "check" }];
  if (command.began_ms !== null) steps.push({ text: "taken by the host", at_ms: command.began_ms, icon: "check" });
  for (const step of command.steps) steps.push({ ...step, icon: "check" });
  if (command.state !== "finished") {
    return [...steps, { text: commandStatus(command).word, at_ms: null, icon: "status-info", tone: "info" }];
  }
  const { tone, word } = commandStatus(command);
  return [...steps, { text: word, at_ms: command.ended_ms, icon: `status-${tone}`, tone }];
}

/** Asked, observed, and why they differ. @param {{ command: CommandView }} props */
function Finding(props) {
  const { command } = props;
  const [first = "", ...rest] = (command.reason ?? "").split("\n");
  // The agent heads the last lines with these words; here they stand above the lines themselves.
  const lastLines = first === "its last lines:";
  return html`<dl class="finding">
      ${command.asked && html`<div><dt>To achieve</dt><dd>${plainLine(command.asked)}</dd></div>`}
      ${command.observed && html`<div><dt>Observed</dt><dd>${plainLine(command.observed)}</dd></div>`}
      ${first && !lastLines && html`<div><dt>Why</dt><dd>${plainLine(first)}</dd></div>`}
      ${command.exit_code !== null && html`<div><dt>Exit code</dt><dd>${command.exit_code}</dd></div>`}
    </dl>
    ${lastLines && rest.length > 0 && html`<h3>Its last lines</h3>`}
    ${rest.length > 0 && h(LogLines, { lines: rest, label: lastLines ? "Its last lines" : "Why, line by line" })}`;
}

/** @param {import("preact").RenderableProps<{ command: CommandView }>} props */
function CancelButton(props) {
  const error = useSignal("");
  const cancel = async () => {
    try {
      await post(`commands/${props.command.id}/cancel`);
      error.value = "";
    } catch (failure) {
      error.value = explain(failure);
    }
  };
  return html`<div>${error.value && h(ErrorNote, {}, error.value)}
    <button type="button" class="button" disabled=${props.command.cancel_requested} onClick=${cancel}>${props.command.cancel_requested ? "Cancel requested" : "Cancel the command"}</button></div>`;
}
