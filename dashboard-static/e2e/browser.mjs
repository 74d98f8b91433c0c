// Chromium with a fresh profile, and what it notices: requests, console, policy breaches, layout shifts.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * @typedef {object} Noticed
 * @property {string[]} errors console errors, page errors, dialogs
 * @property {string[]} requests addresses asked for since `requests` was last emptied
 */

/** @param {string} executablePath */
export async function openBrowser(executablePath) {
  const profile = await mkdtemp(join(tmpdir(), "fleetlight-e2e-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 900 },
  });
  await context.addInitScript(watchPage);
  return {
    context,
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** Runs in the page, before its own scripts. */
function watchPage() {
  const noted = { shift: 0, breaches: /** @type {string[]} */ ([]) };
  Object.assign(window, { noted });
  addEventListener("securitypolicyviolation", (event) =>
    noted.breaches.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`),
  );
  new PerformanceObserver((list) => {
    for (const entry of /** @type {any[]} */ (list.getEntries())) if (!entry.hadRecentInput) noted.shift += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
}

/** @param {import("playwright-core").Page} page @returns {Noticed} */
export function notice(page) {
  /** @type {Noticed} */
  const noticed = { errors: [], requests: [] };
  page.on("request", (request) => noticed.requests.push(request.url()));
  page.on("pageerror", (error) => noticed.errors.push(`page: ${error.stack ?? error.message}`));
  page.on("dialog", (dialog) => {
    noticed.errors.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning")
      noticed.errors.push(`${message.text()} (${message.location().url})`);
  });
  return noticed;
}

/** @param {import("playwright-core").Page} page @returns {Promise<{ shift: number, breaches: string[] }>} */
export function noted(page) {
  return page.evaluate(() => /** @type {any} */ (window).noted);
}

/**
 * Share of the main thread between two heartbeats of the event stream that are `beats` apart.
 * @param {import("playwright-core").Page} page @param {number} beats
 */
export async function busyShare(page, beats) {
  const client = await page.context().newCDPSession(page);
  // Processor time, not time on the clock: other programs of a busy machine must not count.
  await client.send("Performance.enable", { timeDomain: "threadTicks" });
  await client.send("Network.enable");
  const measure = async () => {
    const { metrics } = await client.send("Performance.getMetrics");
    const busy = metrics.find((metric) => metric.name === "TaskDuration")?.value ?? 0;
    return { at: performance.now() / 1000, busy };
  };
  const heartbeats = (/** @type {number} */ amount) =>
    new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error("no heartbeat came within 60 s")), 60_000);
      let left = amount;
      client.on("Network.eventSourceMessageReceived", (message) => {
        if (message.eventName !== "heartbeat") return;
        left -= 1;
        if (left > 0) return;
        clearTimeout(limit);
        resolve(undefined);
      });
    });
  await heartbeats(1);
  const before = await measure();
  await heartbeats(beats);
  const after = await measure();
  await client.detach();
  return (after.busy - before.busy) / (after.at - before.at);
}
