// Commands: what can be asked of a container, what became of a command, in words; and following one until it ends.

import { effect, signal } from "@preact/signals";
import { commandStreamUrl, explain, get, post } from "./api.js";
import { param, setParams } from "./route.js";

/** @typedef {import("./types.js").CommandView} CommandView */
/** @typedef {import("./types.js").Tone} Tone */

/**
 * What can be done to a container.
 * @typedef {object} Verb
 * @property {string} name as the API writes it
 * @property {string} label
 * @property {string} consequence for the confirmation
 * @property {"plain" | "danger" | "destroys"} weight what destroys wants the name typed
 */

/** @type {Verb[]} */
export const VERBS = [
  {
    name: "restart",
    label: "Restart",
    consequence: "It stops and starts again; what it works on now is lost.",
    weight: "plain",
  },
  { name: "start", label: "Start", consequence: "It starts with the settings it was made with.", weight: "plain" },
  {
    name: "stop",
    label: "Stop",
    consequence: "It ends, and stays stopped until somebody starts it.",
    weight: "danger",
  },
  { name: "pause", label: "Pause", consequence: "Its processes stand still and keep their memory.", weight: "plain" },
  { name: "unpause", label: "Unpause", consequence: "Its processes go on.", weight: "plain" },
  {
    name: "pull",
    label: "Pull image",
    consequence: "The newest image of its name is fetched. It runs on with the old one until it is recreated.",
    weight: "plain",
  },
  {
    name: "recreate",
    label: "Recreate",
    consequence: "Compose makes it anew from its project’s files; what it wrote outside of its volumes is gone.",
    weight: "danger",
  },
  {
    name: "rebuild",
    label: "Rebuild",
    consequence: "Compose builds its image and makes it anew; what it wrote outside of its volumes is gone.",
    weight: "danger",
  },
  { name: "kill", label: "Kill", consequence: "It ends at once, without a chance to save anything.", weight: "danger" },
  {
    name: "remove",
    label: "Remove",
    consequence: "It is gone, with all that it wrote outside of its volumes.",
    weight: "destroys",
  },
];

/** Those that make sense in its state. @param {any} body a ContainerDocument @returns {Verb[]} */
export function verbsFor(body) {
  const runs = body.state === "running" || body.state === "restarting";
  const left = {
    start: !runs && body.state !== "paused",
    stop: runs || body.state === "paused",
    restart: true,
    kill: runs || body.state === "paused",
    pause: body.state === "running",
    unpause: body.state === "paused",
    pull: true,
    remove: !runs && body.state !== "paused",
    recreate: body.compose_project != null,
    rebuild: body.compose_project != null,
  };
  return VERBS.filter((verb) => left[/** @type {keyof typeof left} */ (verb.name)]);
}

/** Whether a bulk would take a container of that state, as the controller selects them. @param {string} verb @param {any} body a ContainerDocument */
export function inStateFor(verb, body) {
  const { state } = body;
  if (verb === "start") return state === "created" || state === "exited" || state === "dead";
  if (verb === "recreate" || verb === "rebuild") return body.compose_project != null && state !== "removing";
  return state === "running" || state === "restarting" || state === "paused";
}

/** `container.restart` → `restarted`; null for what has no such word. @param {string} action */
function doneWord(action) {
  return DONE[/** @type {keyof typeof DONE} */ (actionWord(action))] ?? null;
}

const DONE = { restart: "restarted", start: "started", stop: "stopped", kill: "killed", recreate: "recreated" };

/**
 * What was found when it was looked at, in a line; without the word that the state says already.
 * @param {{ state: string, action: string, outcome: string | null, observed: string | null, reason: string | null, waiting_for: string | null }} command
 */
export function foundLine(command) {
  if (command.state !== "finished") return command.waiting_for ?? "";
  const { observed, reason, outcome } = command;
  const done = doneWord(command.action);
  if (outcome === "unverified" && observed)
    return done ? observed.replace(new RegExp(`^${done}(, then|, but|;|,) `), "") : observed;
  return (outcome === "verified" ? observed : (reason ?? observed))?.split("\n")[0] ?? "";
}

/** @type {Record<string, { tone: Tone, word: string }>} */
const OUTCOMES = {
  verified: { tone: "ok", word: "done and verified" },
  unverified: { tone: "warn", word: "done, not verified" },
  failed: { tone: "crit", word: "failed" },
  refused: { tone: "crit", word: "refused by the host" },
  expired: { tone: "stale", word: "expired before it began" },
  cancelled: { tone: "stale", word: "cancelled" },
  interrupted: { tone: "crit", word: "interrupted" },
  unknown: { tone: "stale", word: "unknown" },
};

/** @type {Record<string, { tone: Tone, word: string }>} */
const STATES = {
  queued: { tone: "info", word: "waiting for the host" },
  sent: { tone: "info", word: "handed to the host" },
  running: { tone: "info", word: "running" },
};

/** @param {{ state: string, outcome: string | null, action?: string, cancel_requested?: boolean }} command @returns {{ tone: Tone, word: string }} */
export function commandStatus(command) {
  const done = command.outcome === "unverified" && doneWord(command.action ?? "");
  if (done) return { tone: "warn", word: `${done}, not verified` };
  if (command.state === "finished")
    return OUTCOMES[command.outcome ?? ""] ?? { tone: "stale", word: command.outcome ?? "unknown" };
  const status = STATES[command.state] ?? { tone: "stale", word: command.state };
  return command.cancel_requested ? { tone: "warn", word: `${status.word}, to be cancelled` } : status;
}

/** `container.restart` → `restart`. @param {string} action */
export function actionWord(action) {
  return (action.split(".").pop() ?? action).replaceAll("_", " ");
}

/** Live output kept beside a command; its end is what people look at. */
const OUTPUT_CHARS = 64 * 1024;

/** The command whose dialog is open, and what it printed since; null without one. */
export const followed = signal(
  /** @type {{ id: string, command: CommandView | null, output: string, error: string } | null} */ (null),
);

/** Opens a command's dialog; the address keeps it. @param {string} id */
export function openCommand(id) {
  setParams({ command: id });
}

export function closeCommand() {
  setParams({ command: null });
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Follows whichever command the address names. */
export function startCommands() {
  /** @type {EventSource | null} */
  let source = null;
  effect(() => {
    const id = param("command");
    if (id === (followed.peek()?.id ?? "")) return;
    source?.close();
    source = null;
    followed.value = null;
    if (UUID.test(id)) source = followCommand(id);
  });
}

/** @param {{ head: string, tail: string, dropped_bytes: number }} output */
function keptOutput(output) {
  const { head, tail, dropped_bytes: dropped } = output;
  return dropped > 0 ? `${head}\n… ${dropped} bytes are not kept …\n${tail}` : head + tail;
}

/** @param {string} id @returns {EventSource} */
function followCommand(id) {
  followed.value = { id, command: null, output: "", error: "" };
  const source = new EventSource(commandStreamUrl(id));
  /** @param {Partial<NonNullable<typeof followed.value>>} change */
  const change = (change) => {
    if (followed.value?.id === id) followed.value = { ...followed.value, ...change };
  };
  source.addEventListener("command", (message) => {
    const command = JSON.parse(/** @type {MessageEvent<string>} */ (message).data);
    // Without one the live output goes on where it was.
    change({ command, error: "", ...(command.output && { output: keptOutput(command.output) }) });
    if (command.state === "finished") source.close();
  });
  source.addEventListener("output", (message) => {
    const { text } = JSON.parse(/** @type {MessageEvent<string>} */ (message).data);
    change({ output: ((followed.value?.output ?? "") + text).slice(-OUTPUT_CHARS) });
  });
  source.addEventListener("error", async () => {
    if (source.readyState !== EventSource.CLOSED) return;
    try {
      const command = await get(`commands/${id}`);
      change({ command, output: command.output ? keptOutput(command.output) : "" });
    } catch (failure) {
      change({ error: explain(failure) });
    }
  });
  return source;
}

/**
 * Asks a host to do something to a container, and opens the command.
 * @param {number} hostId @param {any} body a ContainerDocument @param {string} key its id @param {string} verb
 */
export async function act(hostId, body, key, verb) {
  const container = { id: key, name: body.name, image: body.image };
  const command = await post(`hosts/${hostId}/commands`, {
    action: { container: { verb, container, stable_seconds: STABLE_SECONDS } },
  });
  openCommand(command.id);
}

/** How long the effect must hold before it counts. */
const STABLE_SECONDS = 10;
