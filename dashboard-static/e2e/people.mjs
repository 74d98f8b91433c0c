// People on the page: one whose password somebody else chose and who may only read; and a session that is ended while
// its page is open.

import { pid } from "node:process";
import { checkLooks } from "./looks.mjs";
import { check, expect } from "./report.mjs";

const FIRST_PASSWORD = "given by somebody else";
const OWN_PASSWORD = "chosen by its owner alone";
const NAME = `reader-${pid}`;
/** The stream is closed at once; then the page asks why. */
const SENT_AWAY_MS = 20_000;

/** A call that changes something, as the page would make it. @param {string} url */
const sameOrigin = (url) => ({ Origin: url });

/** As an admin. @param {import("playwright-core").BrowserContext} context @param {string} url */
export async function addReader(context, url) {
  const data = { name: NAME, role: "support", password: FIRST_PASSWORD };
  const answer = await context.request.post(`${url}/admin/api/users`, { data, headers: sameOrigin(url) });
  expect(answer.ok(), `no reader could be added: ${await answer.text()}`);
}

/** @param {import("playwright-core").Page} page logged out @param {string} url @param {string} hostHash @param {string} out */
export async function checkReader(page, url, hostHash, out) {
  await check("reader: a password that somebody else chose must be changed", async () => {
    await page.getByLabel("Name", { exact: true }).fill(NAME);
    await page.getByLabel("Password", { exact: true }).fill(FIRST_PASSWORD);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "Choose a new password" }).waitFor();
  });
  await checkLooks(page, "password-due", out);
  await check("reader: the new one opens the overview", async () => {
    await page.getByLabel("Present password").fill(FIRST_PASSWORD);
    await page.getByLabel("New password").fill(OWN_PASSWORD);
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  });
  await check("reader: nothing is offered that would be refused", async () => {
    await page.goto(`${url}/${hostHash}`);
    await page.getByRole("heading", { name: "Containers" }).waitFor();
    await page.getByRole("heading", { name: "Events" }).waitFor();
    expect((await page.getByRole("button", { name: /^Act on/ }).count()) === 0, "acts are offered");
    await page.goto(`${url}/#/commands`);
    await page.getByRole("heading", { name: "Commands", exact: true }).waitFor();
    expect((await page.getByRole("link", { name: "Audit log" }).count()) === 0, "the audit log is offered");
    await page.goto(`${url}/#/agents`);
    await page.getByRole("heading", { name: "Join tokens" }).waitFor();
    expect((await page.getByRole("button", { name: /Revoke|Add a host/ }).count()) === 0, "what admins do is offered");
  });
  await check("reader: the audit log says for whom it is", async () => {
    await page.goto(`${url}/#/audit`);
    await page.getByText("Your role does not read the audit log.").waitFor();
  });
  await page.goto(`${url}/#/`);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
}

/** A session ended from elsewhere, its stream open: the page goes to the login, and says why. @param {import("playwright-core").BrowserContext} context @param {string} url */
export async function checkSessionEnded(context, url) {
  const page = await context.newPage();
  await page.goto(`${url}/#/`);
  await page.locator("table tbody tr").first().waitFor();
  await check("session: ended from elsewhere, its page leads to the login with a word why", async () => {
    const me = await (await context.request.get(`${url}/admin/api/session`)).json();
    const sessions = await (await context.request.get(`${url}/admin/api/users/${me.user_id}/sessions`)).json();
    const current = sessions.find((/** @type {{ current: boolean }} */ one) => one.current);
    const answer = await context.request.delete(`${url}/admin/api/sessions/${current.id}`, {
      data: {},
      headers: sameOrigin(url),
    });
    expect(answer.ok(), `the session could not be ended: ${await answer.text()}`);
    await page.getByRole("heading", { name: "Log in" }).waitFor({ timeout: SENT_AWAY_MS });
    await page.getByText("The session has ended. Log in again.").waitFor();
  });
  await page.close();
}
