// Accessibility by axe-core: any violation is a fault.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** @param {import("playwright-core").Page} page @returns {Promise<string[]>} violations in words */
export async function violations(page) {
  // The debugger's evaluation is not bound by the page's policy, so that the policy stays as it is.
  await page.evaluate(`${source}; undefined`);
  return page.evaluate(async () => {
    const { violations: found } = await /** @type {any} */ (window).axe.run(document, { resultTypes: ["violations"] });
    return found.map(
      (/** @type {any} */ one) =>
        `${one.id}: ${one.help}; ${one.nodes
          .slice(0, 3)
          .map((/** @type {any} */ node) => `${node.target} ${node.failureSummary ?? ""}`)
          .join(" | ")}`,
    );
  });
}
