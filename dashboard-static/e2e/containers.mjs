// What the page says of containers that a person starts by hand: when it appears, dies, and dies again and again.
// Measured from Docker's own time stamps to the change of the page, on one clock.

import { execFile } from "node:child_process";
import { pid } from "node:process";
import { promisify } from "node:util";
import { check, expect } from "./report.mjs";

const SHOWN_MS = 2000;
const LOOP_MS = 30_000;
/** For what must come, and is judged by its time stamp: later than this it did not come at all. */
const PATIENCE_MS = 60_000;
/** Restarts for which a crash loop is watched on: through each of them it runs for two seconds. */
const MORE_RESTARTS = 2;

const run = promisify(execFile);

/** @param {string[]} words */
async function docker(...words) {
  const { stdout } = await run("docker", words, { timeout: PATIENCE_MS });
  return stdout.trim();
}

/** A time of Docker's, in milliseconds. @param {string} name @param {"StartedAt" | "FinishedAt"} field */
async function moment(name, field) {
  return Date.parse(await docker("inspect", "--format", `{{.State.${field}}}`, name));
}

/** Starts a container of the image that runs a shell script. @param {string} image @param {string} name @param {string} restart @param {string} script */
function start(image, name, restart, script) {
  const options = ["--name", name, "--network", "none", "--restart", restart];
  return docker("run", "-d", ...options, image, "/busybox", "sh", "-c", script);
}

/**
 * Notes from now on each state that the page shows of a container, and when; and when an event's words appear.
 * @param {import("playwright-core").Page} page @param {string} name @param {string} fact
 */
async function watch(page, name, fact) {
  await page.evaluate(
    ([name, fact]) => {
      /** @type {{ states: { word: string, at: number }[], factAt: number | null }} */
      const seen = { states: [], factAt: null };
      const look = () => {
        const row = [...document.querySelectorAll(".table-containers tr")].find(
          (row) => row.querySelector("th .clip")?.textContent === name,
        );
        const word = row?.querySelector("[data-label=State] .status")?.textContent?.trim() ?? "";
        if (word && seen.states.at(-1)?.word !== word) seen.states.push({ word, at: Date.now() });
        const said = [...document.querySelectorAll(".event-text > span")].map((event) => event.textContent);
        if (said.includes(`${name} ${fact}`)) seen.factAt ??= Date.now();
      };
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
      Object.assign(window, { seen: { ...Reflect.get(window, "seen"), [name]: seen } });
    },
    /** @type {const} */ ([name, fact]),
  );
}

/** @param {import("playwright-core").Page} page @param {string} name @returns {Promise<{ states: { word: string, at: number }[], factAt: number | null }>} */
function seenOf(page, name) {
  return page.evaluate((name) => Reflect.get(window, "seen")[name], name);
}

/** When the page first showed that state of a container. @param {import("playwright-core").Page} page @param {string} name @param {string} word */
async function shownAt(page, name, word) {
  const found = await page.waitForFunction(
    ([name, word]) =>
      Reflect.get(window, "seen")[name].states.find((/** @type {{ word: string }} */ state) => state.word === word)?.at,
    /** @type {const} */ ([name, word]),
    { timeout: PATIENCE_MS },
  );
  return Number(await found.jsonValue());
}

/** @param {number} ms @param {number} limit */
function inTime(ms, limit) {
  expect(ms <= limit, `only after ${ms} ms`);
  return `${ms} ms`;
}

/** The page shows the host that runs the daemon. @param {import("playwright-core").Page} page @param {string} image */
export async function checkContainers(page, image) {
  const [steady, looping] = [`by-hand-${pid}`, `every-two-${pid}`];
  try {
    await watch(page, steady, "died with exit code 7");
    await watch(page, looping, "");
    await check("containers: one started by hand shows within 2 s", async () => {
      await start(image, steady, "no", "trap 'exit 7' TERM; while :; do /busybox sleep 0.05; done");
      const at = await shownAt(page, steady, "running");
      return inTime(at - (await moment(steady, "StartedAt")), SHOWN_MS);
    });
    await check("containers: its death shows within 2 s, with the exit code, in the table and the events", async () => {
      await docker("kill", "--signal", "TERM", steady);
      const state = await shownAt(page, steady, "exited (7)");
      await page.waitForFunction((name) => Reflect.get(window, "seen")[name].factAt !== null, steady);
      const fact = (await seenOf(page, steady)).factAt ?? 0;
      const died = await moment(steady, "FinishedAt");
      return `${inTime(state - died, SHOWN_MS)} and ${inTime(fact - died, SHOWN_MS)}`;
    });
    await check("containers: one that exits every 2 s is a crash loop within 30 s", async () => {
      await start(image, looping, "always", "/busybox sleep 2; exit 3");
      const first = await moment(looping, "StartedAt");
      return inTime((await shownAt(page, looping, "crash loop")) - first, LOOP_MS);
    });
    await check("containers: and never just running from then on", () => staysLooping(page, looping));
  } finally {
    await docker("rm", "--force", "--volumes", steady, looping);
  }
}

/** @param {import("playwright-core").Page} page @param {string} name */
async function staysLooping(page, name) {
  const restarts = async () => Number(await docker("inspect", "--format", "{{.RestartCount}}", name));
  const enough = (await restarts()) + MORE_RESTARTS;
  const deadline = Date.now() + PATIENCE_MS;
  while ((await restarts()) < enough) {
    expect(Date.now() < deadline, `Docker restarts it no more: fewer than ${enough} restarts`);
    await page.waitForTimeout(200);
  }
  const { states } = await seenOf(page, name);
  const words = states.map((state) => state.word);
  const after = words.slice(words.indexOf("crash loop"));
  expect(after.length === 1, `it was shown as ${after.join(", ")}`);
  return words.join(", ");
}
