// A page in both widths and themes: accessible, within the window, with what a finger finds, no breach of the policy.

import { join } from "node:path";
import { violations } from "./axe.mjs";
import { noted } from "./browser.mjs";
import { check, expect } from "./report.mjs";

const PHONE = 390;
const WIDTHS = /** @type {const} */ ([
  [1280, 900],
  [PHONE, 844],
]);
const SCHEMES = /** @type {const} */ (["dark", "light"]);
/** Less half a pixel, for rounding. */
const FINGER_PX = 43.5;

/** @param {import("playwright-core").Page} page @param {string} name @param {string} out folder for screenshots */
export async function checkLooks(page, name, out) {
  for (const [width, height] of WIDTHS) {
    for (const colorScheme of SCHEMES) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await check(`${name}: axe finds nothing, ${width} px, ${colorScheme}`, async () => {
        const found = await violations(page);
        expect(!found.length, found.join("\n"));
      });
      await check(`${name}: nothing sticks out, ${width} px, ${colorScheme}`, async () => {
        const over = await page.evaluate(() =>
          [document.documentElement, ...document.querySelectorAll("dialog")]
            .filter((element) => element.scrollWidth > element.clientWidth)
            .map(
              (element) => `${element.tagName} is ${element.scrollWidth - element.clientWidth} px wider than its place`,
            ),
        );
        expect(!over.length, over.join("\n"));
      });
      await page.screenshot({ path: join(out, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
  }
  await check(`${name}: a finger finds what can be pressed`, async () => {
    const small = await smallTargets(page);
    expect(!small.length, small.join("\n"));
  });
  await check(`${name}: no breach of the policy in any look`, async () => {
    const { breaches } = await noted(page);
    expect(!breaches.length, breaches.join("\n"));
  });
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** What can be pressed and is less tall than a finger needs; links within a sentence aside. @param {import("playwright-core").Page} page */
function smallTargets(page) {
  return page.evaluate((least) => {
    const pressed =
      "button, select, summary, input:not([type=checkbox]), label.check, nav a, .table a, a.button, a.icon-button";
    return [...document.querySelectorAll(pressed)]
      .filter((element) => element.checkVisibility() && !element.closest(".empty"))
      .filter((element) => element.getBoundingClientRect().height < least)
      .map((element) => `${element.outerHTML.slice(0, 90)} is ${element.getBoundingClientRect().height} px tall`);
  }, FINGER_PX);
}
