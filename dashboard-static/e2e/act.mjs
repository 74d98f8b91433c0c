// What the page does to containers when it is asked, and what it shows of their logs: by the host's default policy,
// which restarts and does not stop.

import { execFile } from "node:child_process";
import { pid } from "node:process";
import { promisify } from "node:util";
import { checkLooks } from "./looks.mjs";
import { check, expect } from "./report.mjs";

/** A restart stops it (it ends at once), starts it, and looks at it for ten seconds. */
const VERIFIED_MS = 45_000;
const SHOWN_MS = 20_000;
/** More than the page of a host has to stop at. */
const TABS = 80;
const HOSTILE = "<img src=x onerror=alert(1)>";
const TALKS = `trap exit TERM; printf '\\033[31mred\\033[0m ${HOSTILE} \\342\\200\\256over\\n'; n=0; while :; do n=$((n+1)); echo "INFO turn $n"; /busybox sleep 0.2; done`;
/** Runs when it is made; dies soon once it is started again. */
const DIES_AGAIN = `trap exit TERM; if [ -e /again ]; then echo no such model; /busybox sleep 2; exit 1; fi; : >/again; while :; do echo "ERROR still here"; /busybox sleep 0.2; done`;

const run = promisify(execFile);

/** @param {string[]} words */
async function docker(...words) {
  const { stdout } = await run("docker", words, { timeout: VERIFIED_MS });
  return stdout.trim();
}

/** @typedef {{ page: import("playwright-core").Page, names: string[], out: string, password: string }} Scene names: two that run on, and one that dies again */

/** @param {import("playwright-core").Page} page @param {string} name @param {string} verb */
async function ask(page, name, verb) {
  await page.getByRole("button", { name: `Act on ${name}` }).click();
  await page.getByRole("button", { name: verb, exact: true }).click();
  await page.getByRole("button", { name: `${verb} ${name}` }).click();
}

/** @param {import("playwright-core").Page} page */
function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    return element?.getAttribute("aria-label") ?? element?.textContent?.trim() ?? "";
  });
}

/** @param {import("playwright-core").Page} page @param {string} key @param {string} label */
async function pressUntil(page, key, label) {
  for (let pressed = 0; pressed < TABS; pressed += 1) {
    if ((await focused(page)) === label) return;
    await page.keyboard.press(key);
  }
  throw new Error(`${TABS} times ${key} do not reach "${label}"; the keyboard is at "${await focused(page)}"`);
}

/** @param {import("playwright-core").Page} page the host's page @param {string} image @param {string} out @param {string} password */
export async function checkActing(page, image, out, password) {
  const names = ["first", "second", "third"].map((name) => `acted-${name}-${pid}`);
  try {
    for (const [at, name] of names.entries())
      await docker(
        "run",
        "-d",
        "--name",
        name,
        "--network",
        "none",
        image,
        "/busybox",
        "sh",
        "-c",
        at < 2 ? TALKS : DIES_AGAIN,
      );
    const scene = { page, names, out, password };
    const address = page.url();
    await checkRestart(scene);
    await checkRefusal(scene);
    await checkPasswordAgain(scene);
    await checkTail(scene);
    await page.goto(address);
    await checkBulk(scene);
    await page.goto(address);
  } finally {
    await docker("rm", "-f", ...names);
  }
}

/** @param {Scene} scene */
async function checkRestart({ page, names: [name = ""], out }) {
  const row = page.locator(".table-containers tr").filter({ hasText: name });
  const dialog = page.getByRole("dialog", { name: `Restart ${name}` });
  await check("act: a container's row offers actions", () => row.first().waitFor({ timeout: SHOWN_MS }));
  const before = await docker("inspect", "--format", "{{.State.StartedAt}}", name);
  await check("act: a restart is green once the host has looked and found it so", async () => {
    await ask(page, name, "Restart");
    await dialog.getByText("done and verified").first().waitFor({ timeout: VERIFIED_MS });
    const after = await docker("inspect", "--format", "{{.State.StartedAt}}", name);
    expect(after !== before, "it was not started anew");
  });
  await check("act: its address gives the same view", async () => {
    await page.reload();
    await dialog.getByText("done and verified").first().waitFor({ timeout: SHOWN_MS });
  });
  await checkLooks(page, "command", out);
  await page.getByRole("button", { name: "Close" }).click();
  await row.first().waitFor({ timeout: SHOWN_MS });
}

/** @param {Scene} scene */
async function checkRefusal({ page, names: [name = ""] }) {
  const dialog = page.getByRole("dialog", { name: `Stop ${name}` });
  await check("act: by keyboard alone, up to what the policy refuses, and by which rule", async () => {
    await page.keyboard.press("/");
    await page.keyboard.type(name);
    await pressUntil(page, "Tab", `Act on ${name}`);
    await page.keyboard.press("Enter");
    await pressUntil(page, "Tab", "Stop");
    await page.keyboard.press("Enter");
    await page.waitForFunction((label) => document.activeElement?.textContent === label, `Stop ${name}`);
    await page.keyboard.press("Enter");
    await dialog.getByText("refused by the host").first().waitFor({ timeout: SHOWN_MS });
    await dialog.getByText(new RegExp(`container\\.stop on ${name} is not allowed.*polic`)).waitFor();
  });
  await check("act: a closed dialog gives the keyboard back to where it was opened", async () => {
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    expect((await focused(page)) === `Act on ${name}`, `the keyboard is at "${await focused(page)}"`);
  });
  await page.getByRole("searchbox", { name: "Filter" }).fill("");
}

/** The password counts as given for minutes after a login: that it does not is said for the controller, once. @param {Scene} scene */
async function checkPasswordAgain({ page, names: [, name = ""], out, password }) {
  const json = { code: "reauthenticate", title: "Forbidden", detail: "give your password again", status: 403 };
  await page.route("**/admin/api/hosts/*/commands", (route) => route.fulfill({ status: 403, json }), { times: 1 });
  await check("act: what asks for the password again goes on with it", async () => {
    await ask(page, name, "Kill");
    await page.getByLabel("Password", { exact: true }).waitFor({ timeout: SHOWN_MS });
    expect(
      await page.getByLabel("Password", { exact: true }).evaluate((field) => field === document.activeElement),
      "the field lacks the keyboard",
    );
  });
  await checkLooks(page, "password-again", out);
  await check("act: with it the command is given", async () => {
    await page.getByLabel("Password", { exact: true }).fill(password);
    await page.getByRole("button", { name: "Go on" }).click();
    const dialog = page.getByRole("dialog", { name: `Kill ${name}` });
    await dialog.getByText("refused by the host").first().waitFor({ timeout: SHOWN_MS });
    await page.getByRole("button", { name: "Close" }).click();
  });
}

/** @param {Scene} scene */
async function checkTail({ page, names, out }) {
  const lines = page.locator(".log-text");
  await check("logs: a line is shown as text, whatever is in it", async () => {
    await page.getByRole("link", { name: `Logs of ${names[0]}` }).click();
    const line = lines.filter({ hasText: HOSTILE });
    await page.getByText("live", { exact: true }).waitFor({ timeout: SHOWN_MS });
    await page.getByRole("searchbox", { name: "Filter" }).fill("img src");
    await line.first().waitFor({ timeout: SHOWN_MS });
    const text = await line.first().textContent();
    expect(text === `red ${HOSTILE} over`, `the line reads ${JSON.stringify(text)}`);
    expect((await line.locator("img").count()) === 0, "the line became an element");
  });
  await check("logs: three are chosen, and merged", async () => {
    await page.getByRole("searchbox", { name: "Filter" }).fill("");
    await page.getByRole("link", { name: "Choose others" }).click();
    for (const name of names) await page.getByRole("checkbox", { name }).check();
    await page.getByRole("button", { name: "Read 3 logs, merged" }).click();
    for (const name of names)
      await page.locator(".log-source", { hasText: name }).first().waitFor({ timeout: SHOWN_MS });
  });
  await check("logs: what is printed comes to sight by itself", () => endMoves(page));
  await check("logs: a level hides what is less", async () => {
    await page.getByRole("button", { name: "error", exact: true }).click();
    await page.waitForFunction(() => {
      const shown = [...document.querySelectorAll(".log-text")].map((line) => line.textContent ?? "");
      return shown.some((text) => text.startsWith("ERROR")) && !shown.some((text) => text.startsWith("INFO"));
    });
    await page.getByRole("button", { name: "all", exact: true }).click();
  });
  await checkLooks(page, "tail", out);
  await check("logs: a window of another size does not pause", () => endMoves(page));
  await check("logs: scrolling up pauses, and says how many lines have come since", async () => {
    await page.locator(".log-view").evaluate((view) => {
      view.scrollTop = 0;
    });
    await page.getByRole("button", { name: /^\d+ new lines?$/ }).waitFor({ timeout: SHOWN_MS });
    const top = await page.locator(".log-view").evaluate((view) => view.scrollTop);
    expect(top === 0, `the view moved to ${top}`);
  });
  await check("logs: and goes on from the end when asked", async () => {
    await page.getByRole("button", { name: /new lines?$/ }).click();
    await page.locator(".log-newer").waitFor({ state: "detached" });
    await endMoves(page);
  });
}

/** The line at the end of what is in sight is another one soon. @param {import("playwright-core").Page} page */
async function endMoves(page) {
  const last = () => page.locator(".log-line").last().textContent();
  const before = await last();
  await page.waitForFunction(
    (text) => [...document.querySelectorAll(".log-line")].at(-1)?.textContent !== text,
    before,
  );
}

/** @param {Scene} scene */
async function checkBulk({ page, names, out }) {
  const state = page.locator(".bulk-head").getByText("2 of 3 verified, 1 not");
  await check("bulk: what the filter leaves is acted on together", async () => {
    await page.getByRole("searchbox", { name: "Filter" }).fill(`acted- ${pid}`);
    await page.getByRole("button", { name: "Act on all 3…" }).click();
  });
  await checkLooks(page, "bulk-dialog", out);
  await check("bulk: it shows which one failed, and how", async () => {
    await page.getByRole("checkbox", { name: "Stop at the first that is not verified" }).uncheck();
    await page.getByRole("button", { name: "Restart 3 containers, 4 at a time" }).click();
    await page.getByRole("heading", { name: "Restart 3 containers" }).waitFor({ timeout: SHOWN_MS });
    await state.waitFor({ timeout: VERIFIED_MS });
  });
  await check("bulk: after a reload the view is the same", async () => {
    await page.reload();
    await state.waitFor({ timeout: SHOWN_MS });
    const failed = page.locator("tr").filter({ hasText: names[2] ?? "" });
    await failed.getByText("restarted, not verified").waitFor();
    await failed.getByText(/^exited 1 after \d+\s?s/).waitFor();
  });
  await checkLooks(page, "bulk", out);
  await check("bulk: a container that dies again is not verified, with its last lines", async () => {
    await page.getByRole("button", { name: names[2] ?? "" }).click();
    const dialog = page.getByRole("dialog", { name: `Restart ${names[2]}` });
    await dialog.getByText(/^restarted, not verified: exited 1 after \d/).waitFor({ timeout: SHOWN_MS });
    await dialog.getByRole("group", { name: "Its last lines" }).getByText("no such model").waitFor();
    await page.getByRole("button", { name: "Close" }).click();
  });
}
