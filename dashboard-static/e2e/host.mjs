// What the host page must do: charts with points that go on by themselves, cursor, zoom.

import { check, expect } from "./report.mjs";

/** Samples come each 5 s; a freshly started system needs a few. */
const SAMPLES_MS = 60_000;

/** Waits until every chart has a number at the end of a line. @param {import("playwright-core").Page} page */
export async function chartsReady(page) {
  await page.waitForFunction(
    () => {
      const charts = [...document.querySelectorAll(".chart")];
      return (
        charts.length > 0 &&
        charts.every((chart) =>
          [...chart.querySelectorAll(".chart-label b")].some((label) => /\d/.test(label.textContent ?? "")),
        )
      );
    },
    undefined,
    { timeout: SAMPLES_MS },
  );
}

/** @param {import("playwright-core").Page} page @param {string[]} expected texts that must be on the page */
export async function checkHost(page, expected) {
  await check("host: every chart has points", async () => {
    await chartsReady(page);
    const titles = await page.locator(".chart h3").allTextContents();
    for (const title of ["CPU", "Memory"])
      expect(titles.includes(title), `there is no chart "${title}", only ${titles.join(", ")}`);
  });
  await check("host: live samples carry the charts on", () => goesOn(page));
  await check("host: arrow keys move the cursor and are spoken", () => arrows(page));
  await check("host: drag zooms and freezes, double-click goes back to live", () => zooms(page));
  await check("host: the range is in the address", async () => {
    await page.getByRole("button", { name: "15 min", exact: true }).click();
    await page.waitForURL(/range=15m/);
    await page.reload();
    await chartsReady(page);
    const pressed = await page.getByRole("button", { name: "15 min", exact: true }).getAttribute("aria-pressed");
    expect(pressed === "true", "after a reload the range is another");
  });
  await check("host: a range of days is drawn from a coarser source, and said so", () => longRange(page));
  await check("host: GPUs, containers, mounts and events are there, or said to be absent and why", async () => {
    for (const title of ["GPUs", "Containers", "Mounts", "Events"]) {
      const section = page.locator("section").filter({ has: page.getByRole("heading", { name: title, exact: true }) });
      await section.waitFor({ timeout: SAMPLES_MS });
      await section.locator("table, .absent-note, .empty, .events").first().waitFor({ timeout: SAMPLES_MS });
    }
  });
  for (const text of expected) {
    await check(`host: shows "${text}"`, async () => {
      await page.getByText(text).first().waitFor({ timeout: SAMPLES_MS });
    });
  }
  await check("host: nothing of others' text became markup", async () => {
    const found = await page.evaluate(
      () => document.querySelectorAll("main img, main script, main iframe, main [onerror]").length,
    );
    expect(found === 0, `${found} elements that the page never makes`);
  });
}

/** The newest row of a chart's table moves on. @param {import("playwright-core").Page} page */
async function goesOn(page) {
  const chart = page.locator(".chart").filter({ has: page.getByRole("heading", { name: "CPU", exact: true }) });
  await chart.getByRole("button", { name: "Table of CPU" }).click();
  const newest = chart.locator("tbody th").first();
  const before = await newest.textContent();
  const handle = await newest.elementHandle();
  await page.waitForFunction(
    ([element, text]) => {
      const first = /** @type {Element} */ (element).closest("tbody")?.querySelector("th");
      const rows = document.querySelectorAll(".chart-table tbody tr").length;
      return rows >= 2 && first?.textContent !== text;
    },
    /** @type {const} */ ([handle, before]),
    { timeout: SAMPLES_MS },
  );
  await chart.getByRole("button", { name: "Table of CPU" }).click();
}

/** @param {import("playwright-core").Page} page */
async function arrows(page) {
  const figure = page.getByRole("figure", { name: /^CPU, / });
  await figure.focus();
  await page.keyboard.press("End");
  // A point may be a gap, and other news may be spoken just then.
  let spoken = false;
  for (let presses = 0; presses < 10 && !spoken; presses++) {
    await page.keyboard.press("ArrowLeft");
    spoken = await page
      .waitForFunction(
        () => /\d\d:\d\d:\d\d: busy .*%/.test(document.querySelector("[aria-live=polite].hidden")?.textContent ?? ""),
        null,
        { timeout: 1_000 },
      )
      .then(() => true)
      .catch(() => false);
  }
  expect(spoken, "no value is spoken");
  await page.waitForFunction(() => document.querySelector(".cursor-words time") !== null);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.querySelector(".cursor-words time") === null);
}

/** The newest point of a week, of a quarter of an hour, with its day in the table. @param {import("playwright-core").Page} page */
async function longRange(page) {
  await page.getByRole("button", { name: "7 d", exact: true }).click();
  await page.waitForURL(/range=7d/);
  await page.getByText(/^means of 15\smin, from quarter hours/).waitFor({ timeout: SAMPLES_MS });
  await chartsReady(page);
  const chart = page.locator(".chart").filter({ has: page.getByRole("heading", { name: "CPU", exact: true }) });
  await chart.getByRole("button", { name: "Table of CPU" }).click();
  const newest = await chart.locator("tbody th").first().textContent();
  expect(/^\d{4}-\d\d-\d\d \d\d:(00|15|30|45)$/.test(newest ?? ""), `the newest point is of "${newest}"`);
  await chart.getByRole("button", { name: "Table of CPU" }).click();
  await page.getByRole("button", { name: "1 h", exact: true }).click();
  await page.waitForURL(/range=1h/);
  await chartsReady(page);
}

/** @param {import("playwright-core").Page} page */
async function zooms(page) {
  const plot = page.locator(".chart .u-over").first();
  await plot.scrollIntoViewIfNeeded();
  const box = await plot.boundingBox();
  if (!box) throw new Error("the first chart has no plot");
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * 0.3, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, y, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/from=\d+&to=\d+/);
  await page.getByRole("button", { name: "Back to live" }).waitFor();
  await plot.dblclick();
  await page.getByRole("button", { name: "Live", exact: true }).waitFor();
  expect(!/from=/.test(page.url()), "the span is still in the address");
  await page.mouse.move(0, 0);
  await chartsReady(page);
}
