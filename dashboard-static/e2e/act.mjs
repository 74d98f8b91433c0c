// What the page does to a container when it is asked, and what it shows of its log: by the host's default policy, which
// restarts and does not stop.

import { execFile } from "node:child_process";
import { pid } from "node:process";
import { promisify } from "node:util";
import { violations } from "./axe.mjs";
import { check, expect } from "./report.mjs";

/** A restart stops it (it ends at once), starts it, and looks at it for ten seconds. */
const VERIFIED_MS = 45_000;
const SHOWN_MS = 20_000;
const HOSTILE = "<img src=x onerror=alert(1)>";

const run = promisify(execFile);

/** @param {string[]} words */
async function docker(...words) {
  const { stdout } = await run("docker", words, { timeout: VERIFIED_MS });
  return stdout.trim();
}

/** @param {import("playwright-core").Page} page @param {string} name @param {string} verb */
async function ask(page, name, verb) {
  await page.getByRole("button", { name: `Act on ${name}` }).click();
  await page.getByRole("button", { name: verb, exact: true }).click();
  await page.getByRole("button", { name: `${verb} ${name}` }).click();
}

/** @param {import("playwright-core").Page} page the host's page @param {string} image */
export async function checkActing(page, image) {
  const name = `acted-on-${pid}`;
  const script = `trap exit TERM; printf '\\033[31mred\\033[0m ${HOSTILE} \\342\\200\\256over\\n'; while :; do /busybox sleep 0.2; done`;
  await docker("run", "-d", "--name", name, "--network", "none", image, "/busybox", "sh", "-c", script);
  try {
    const row = page.locator(".table-containers tr").filter({ hasText: name });
    await check("act: a container's row offers actions", () => row.first().waitFor({ timeout: SHOWN_MS }));
    const before = await docker("inspect", "--format", "{{.State.StartedAt}}", name);
    await check("act: a restart is green once the host has looked and found it so", async () => {
      await ask(page, name, "Restart");
      const dialog = page.getByRole("dialog", { name: `Restart ${name}` });
      await dialog.waitFor({ timeout: SHOWN_MS });
      await dialog.getByText("done and verified").first().waitFor({ timeout: VERIFIED_MS });
      const found = await violations(page);
      expect(!found.length, found.join("\n"));
      const after = await docker("inspect", "--format", "{{.State.StartedAt}}", name);
      expect(after !== before, "it was not started anew");
    });
    await check("act: its address gives the same view", async () => {
      await page.reload();
      await page
        .getByRole("dialog", { name: `Restart ${name}` })
        .getByText("done and verified")
        .first()
        .waitFor({ timeout: SHOWN_MS });
      await page.getByRole("button", { name: "Close" }).click();
    });
    await check("act: what the host's policy does not allow is refused, and says by what", async () => {
      await row.first().waitFor({ timeout: SHOWN_MS });
      await ask(page, name, "Stop");
      const dialog = page.getByRole("dialog", { name: `Stop ${name}` });
      await dialog.getByText("refused by the host").first().waitFor({ timeout: SHOWN_MS });
      await dialog.getByText(/polic/).first().waitFor();
      await page.getByRole("button", { name: "Close" }).click();
    });
    await check("logs: a line is shown as text, whatever is in it", async () => {
      await page.getByRole("link", { name: `Logs of ${name}` }).click();
      const line = page.locator(".log-text").filter({ hasText: HOSTILE }).first();
      await line.waitFor({ timeout: SHOWN_MS });
      const text = await line.textContent();
      expect(text === `red ${HOSTILE} over`, `the line reads ${JSON.stringify(text)}`);
      expect((await line.locator("img").count()) === 0, "the line became an element");
      const found = await violations(page);
      expect(!found.length, found.join("\n"));
    });
  } finally {
    await docker("rm", "-f", name);
  }
}
