// Checks the dashboard in a real browser against a running controller.
//
//   node e2e/run.mjs --url http://127.0.0.1:8080 --setup-link http://127.0.0.1:8080/#/setup/… [--out target/screenshots]
//                    [--expect TEXT]… [--docker IMAGE] [--chromium /usr/bin/chromium]
//
// The controller is freshly set up and has at least one host whose agent streams. With --docker, the host's Docker is the
// one that the `docker` command reaches, and has IMAGE with a static /busybox. Prints a line for each check; exits
// with 0 if all hold, 1 if one does not, 2 for wrong arguments.

import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { argv, exit } from "node:process";
import { parseArgs } from "node:util";
import { checkActing } from "./act.mjs";
import { violations } from "./axe.mjs";
import { busyShare, noted, notice, openBrowser } from "./browser.mjs";
import { checkContainers } from "./containers.mjs";
import { chartsReady, checkHost } from "./host.mjs";
import { checkLooks } from "./looks.mjs";
import { addReader, checkReader, checkSessionEnded } from "./people.mjs";
import { check, expect, report } from "./report.mjs";

const PASSWORD = "correct horse battery staple";
const REQUESTS = 25;
const LAYOUT_SHIFT = 0.05;
const BUSY_SHARE = 0.05;
const BUSY_BEATS = 2;
/** Chromium logs each refusal of a call. These the checks provoke, once each; the page itself causes none. */
const PROVOKED = [
  /^Failed to load resource: .* status of 400 .*\/admin\/api\/setup\)$/,
  /^Failed to load resource: .* status of 401 .*\/admin\/api\/login\)$/,
];
/** By the one that needs a container to act on. */
const PROVOKED_ACTING = /^Failed to load resource: .* status of 403 .*\/admin\/api\/hosts\/\d+\/commands\)$/;
const FIRST_HOST_MS = 60_000;
const SILENCE_MS = 60_000;
/** The frame's text at 200 %, as a share of the browser's size: the page's usual one is 87.5 %. */
const DOUBLE_TEXT = "175%";

const options = readOptions();

function readOptions() {
  try {
    const { values } = parseArgs({
      args: argv.slice(2),
      options: {
        url: { type: "string" },
        "setup-link": { type: "string" },
        out: { type: "string", default: "target/screenshots" },
        expect: { type: "string", multiple: true, default: [] },
        docker: { type: "string" },
        chromium: { type: "string", default: "/usr/bin/chromium" },
      },
    });
    if (!values.url || !values["setup-link"]) throw new Error("--url and --setup-link are needed");
    return { ...values, url: values.url.replace(/\/$/, ""), setupLink: values["setup-link"], out: resolve(values.out) };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}; the head of e2e/run.mjs says how to call it`);
    exit(2);
  }
}

/** @param {import("playwright-core").Page} page */
async function firstPassword(page) {
  const noticed = notice(page);
  await page.goto(options.url);
  await check("start: without the link nobody gets in, and the page says where it is", () =>
    page.getByRole("heading", { name: "No password is set yet" }).waitFor(),
  );
  await check("start: a clean console", () => expect(!noticed.errors.length, noticed.errors.join("\n")));
  await page.goto(options.setupLink);
  await page.getByRole("heading", { name: "Set your password" }).waitFor();
  await checkLooks(page, "setup", options.out);
  await check("setup: a short password is refused in words", async () => {
    await page.getByLabel("Password", { exact: true }).fill("short");
    await page.getByRole("button", { name: "Set the password" }).click();
    await page.getByRole("alert").waitFor();
  });
  await check("setup: the first password opens the overview", async () => {
    await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await page.getByRole("button", { name: "Set the password" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  });
}

/** @param {import("playwright-core").Page} page */
async function logInAgain(page) {
  await page.goto(`${options.url}/#/`);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

/** @param {import("playwright-core").Page} page @param {string} hostHash */
async function logOutAndIn(page, hostHash) {
  await page.goto(`${options.url}/#/`);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await checkLooks(page, "login", options.out);
  await checkReader(page, options.url, hostHash, options.out);
  await check("login: a wrong password is refused in words", async () => {
    await page.getByLabel("Password", { exact: true }).fill("not the password");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").waitFor();
  });
  await check("login: the right one opens the overview", async () => {
    await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  });
}

/** Loads a place anew, as a reader with an empty cache would. @param {import("playwright-core").Page} page @param {Place} place */
async function load(page, place) {
  await page.goto("about:blank");
  await page.goto(`${options.url}/${place.hash}`);
  await place.ready(page);
}

/** @typedef {{ name: string, hash: string, ready: (page: import("playwright-core").Page) => Promise<unknown> }} Place */

/** @param {import("playwright-core").BrowserContext} context @param {Place} place */
async function checkLoad(context, place) {
  const page = await context.newPage();
  const noticed = notice(page);
  const client = await context.newCDPSession(page);
  await client.send("Network.setCacheDisabled", { cacheDisabled: true });
  await load(page, place);
  await check(`${place.name}: at most ${REQUESTS} requests`, () => {
    const asked = noticed.requests.filter((address) => address.startsWith("http"));
    expect(asked.length <= REQUESTS, `${asked.length} requests: ${asked.join(" ")}`);
    expect(
      asked.every((address) => address.startsWith(options.url)),
      `asked elsewhere: ${asked.join(" ")}`,
    );
    return String(asked.length);
  });
  await check(`${place.name}: an idle page leaves the main thread alone`, async () => {
    const share = await busyShare(page, BUSY_BEATS);
    const figure = `${(share * 100).toFixed(1)} %`;
    expect(share < BUSY_SHARE, `${figure} of the main thread`);
    return figure;
  });
  await check(`${place.name}: nothing shifts`, async () => {
    const { shift } = await noted(page);
    expect(shift < LAYOUT_SHIFT, `layout shift ${shift.toFixed(3)}`);
    return shift.toFixed(3);
  });
  await check(`${place.name}: no breach of the policy`, async () => {
    const { breaches } = await noted(page);
    expect(!breaches.length, breaches.join("\n"));
  });
  await check(`${place.name}: text at 200 % fits`, async () => {
    const over = await page.evaluate(async (size) => {
      document.documentElement.style.fontSize = size;
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return document.documentElement.scrollWidth - document.documentElement.clientWidth;
    }, DOUBLE_TEXT);
    expect(over <= 0, `the page is ${over} px wider than the window`);
  });
  await check(`${place.name}: a clean console`, () => expect(!noticed.errors.length, noticed.errors.join("\n")));
  await page.close();
}

/** @param {import("playwright-core").Page} page */
async function checkDialogs(page) {
  await check("palette: opens by key and goes to a host", async () => {
    await page.goto(`${options.url}/#/`);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: "Place" }).fill("agents");
    const found = await violations(page);
    expect(!found.length, found.join("\n"));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Agents", exact: true }).waitFor();
  });
  await check("keys: / goes to the filter, ? lists the keys", async () => {
    await page.goto(`${options.url}/#/`);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("no such host");
    await page.getByText("No host matches the filter.").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    const found = await violations(page);
    expect(!found.length, found.join("\n"));
    await page.keyboard.press("Escape");
  });
  await check("add a host: makes a command to run", async () => {
    await page.getByRole("button", { name: "Add a host" }).click();
    await page.getByRole("button", { name: "Make a join command" }).click();
    const command = await page.getByLabel("Command for the new host").textContent();
    expect(command?.includes("fleetlight-agent"), `the command is "${command}"`);
    const found = await violations(page);
    expect(!found.length, found.join("\n"));
    await page.getByRole("button", { name: "Close" }).click();
  });
}

/** A page that hears nothing says so, and goes on when it hears again. @param {import("playwright-core").BrowserContext} context */
async function checkSilence(context) {
  const page = await context.newPage();
  const stream = "**/admin/api/stream*";
  await page.route(stream, (route) => route.abort());
  await page.goto(`${options.url}/#/`);
  await check("silence: the page says that the controller is not heard", () =>
    page.locator(".banner").waitFor({ timeout: SILENCE_MS }),
  );
  await page.unroute(stream);
  await check("silence: it goes on when the controller is heard again", async () => {
    await page.locator("table tbody tr").first().waitFor({ timeout: SILENCE_MS });
    await page.locator(".banner").waitFor({ state: "detached" });
  });
  await page.close();
}

/** A stream of a database that lags, with the fleet's first host catching up. @param {import("playwright-core").BrowserContext} context */
async function streamBehind(context) {
  const answer = await context.request.get(`${options.url}/admin/api/hosts`);
  const [host] = await answer.json();
  const late = { ...host, state: "catching_up", catching_up: { behind_ms: 7_560_000, batches_left: 1520 } };
  const fleet = { hosts: [late], now_ms: Date.now(), history_behind_ms: 94_000 };
  const detail = { ...late, documents: [], rows: [], tick_ms: null };
  const event = (/** @type {string} */ name, /** @type {unknown} */ data) =>
    `event: ${name}\nid: 1\ndata: ${JSON.stringify(data)}\n\n`;
  return { hash: `#/host/${host.id}`, body: event("fleet", fleet) + event("detail", detail) };
}

/** A database that lags is told calmly, and no more once it has caught up. @param {import("playwright-core").BrowserContext} context */
async function checkBehind(context) {
  const page = await context.newPage();
  const stream = "**/admin/api/stream*";
  const { hash, body } = await streamBehind(context);
  await page.route(stream, (route) => route.fulfill({ contentType: "text/event-stream", body }));
  await page.goto(`${options.url}/#/`);
  await check("behind: a host that catches up says how far it is behind", async () => {
    await page
      .locator(".host-cell")
      .getByText(/^2\sh 6\smin behind$/)
      .waitFor();
    await page.goto(`${options.url}/${hash}`);
    await page.getByText(/^Its history is 2\sh 6\smin behind: 1,520 batches to come/).waitFor();
  });
  await check("behind: the page says how far history is behind", async () => {
    await page
      .locator(".banner.calm")
      .getByText(/^History is 1\smin 34\ss behind/)
      .waitFor();
    const found = await violations(page);
    expect(!found.length, found.join("\n"));
  });
  await page.unroute(stream);
  await check("behind: it says so no more when history has caught up", () =>
    page.locator(".banner").waitFor({ state: "detached", timeout: SILENCE_MS }),
  );
  await page.close();
}

async function main() {
  await mkdir(options.out, { recursive: true });
  const { context, close } = await openBrowser(options.chromium);
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    const noticed = notice(page);
    await firstPassword(page);
    const hostLink = page.locator("tr:not(.stale) .host-cell a").first();
    await check("overview: this machine's host is there", () => hostLink.waitFor({ timeout: FIRST_HOST_MS }));
    const hash = await hostLink.getAttribute("href");
    const table = (/** @type {import("playwright-core").Page} */ at) => at.locator("table tbody tr").first().waitFor();
    const heading = (/** @type {string} */ name) => (/** @type {import("playwright-core").Page} */ at) =>
      at.getByRole("heading", { name, exact: true }).waitFor();
    /** @type {Place[]} */
    const places = [
      { name: "overview", hash: "#/", ready: table },
      { name: "host", hash: hash ?? "#/", ready: chartsReady },
      { name: "agents", hash: "#/agents", ready: table },
      { name: "commands", hash: "#/commands", ready: heading("Commands") },
      { name: "audit", hash: "#/audit", ready: table },
      { name: "logs", hash: "#/logs", ready: heading("Logs") },
    ];
    await page.goto(`${options.url}/${hash}`);
    await checkHost(page, options.expect);
    if (options.docker) await checkContainers(page, options.docker);
    if (options.docker) await checkActing(page, options.docker, options.out, PASSWORD);
    for (const place of places) await checkLoad(context, place);
    for (const place of places) {
      await load(page, place);
      await checkLooks(page, place.name, options.out);
    }
    await checkDialogs(page);
    await checkSilence(context);
    await checkBehind(context);
    await addReader(context, options.url);
    await page.goto("about:blank");
    await checkSessionEnded(context, options.url);
    await logInAgain(page);
    await logOutAndIn(page, hash ?? "#/");
    await check("all along: a clean console, the refusals aside that were provoked", () => {
      const errors = [...noticed.errors];
      for (const provoked of options.docker ? [...PROVOKED, PROVOKED_ACTING] : PROVOKED) {
        const at = errors.findIndex((error) => provoked.test(error));
        expect(at >= 0, `no refusal like ${provoked}`);
        errors.splice(at, 1);
      }
      expect(!errors.length, errors.join("\n"));
    });
  } finally {
    await close();
  }
}

await check("the run came to its end", main);
exit(report() > 0 ? 1 : 0);
