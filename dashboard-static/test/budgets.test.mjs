// The budgets of what is served, measured on what the build laid out.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const DIST = join(dirname(fileURLToPath(import.meta.url)), "../dist");
const KILOBYTE = 1024;
const THIRD_PARTY_BYTES = 36 * KILOBYTE;
const OUR_SCRIPT_BYTES = 60 * KILOBYTE;
const OUR_STYLE_BYTES = 15 * KILOBYTE;
/** Of 25 for the first page, these are left for the page's own calls: session, catalogue, stream, events, series. */
const FILE_REQUESTS = 25 - 9;

const BARE_IMPORT = /(?:import|export)\s*(?:[\w$]+[\s,]*)?(?:\{[^{}]*\})?\s*from\s*"(?![./])/;

const page = readFileSync(join(DIST, "index.html"), "utf8");
const folder = join(
  DIST,
  readdirSync(DIST, { recursive: true })
    .map(String)
    .find((name) => name.endsWith("app.js")) ?? "",
  "..",
);
const files = readdirSync(folder, { recursive: true })
  .map(String)
  .filter((name) => statSync(join(folder, name)).isFile());

/** @param {(name: string) => boolean} which */
function compressedBytes(which) {
  const chosen = files.filter((name) => name.endsWith(".gz") && which(name.slice(0, -3)));
  assert.ok(chosen.length, "there is something to measure");
  return chosen.reduce((total, name) => total + statSync(join(folder, name)).size, 0);
}

/** @param {string} what @param {number} is @param {number} may */
function within(what, is, may) {
  assert.ok(is <= may, `${what} takes ${is} bytes compressed, ${is - may} more than it may`);
}

test("third-party script and style", () => {
  within(
    "vendor/",
    compressedBytes((name) => name.startsWith("vendor/")),
    THIRD_PARTY_BYTES,
  );
});

test("our script", () => {
  within(
    "our script",
    compressedBytes((name) => !name.startsWith("vendor/") && name.endsWith(".js")),
    OUR_SCRIPT_BYTES,
  );
});

test("our style", () => {
  within(
    "our style",
    compressedBytes((name) => !name.startsWith("vendor/") && name.endsWith(".css")),
    OUR_STYLE_BYTES,
  );
});

test("files of the first page", () => {
  const asked = 1 + files.filter((name) => !name.endsWith(".gz")).length;
  assert.ok(asked <= FILE_REQUESTS, `${asked} files, where ${FILE_REQUESTS} requests are left for files`);
});

test("every file that the page names is there, and each has a compressed copy of the same content", () => {
  const named = [...page.matchAll(/(?:src|href)="(\/a\/[^"]+)"/g)].map(([, path = ""]) => path);
  assert.ok(named.length >= 8);
  for (const path of named) assert.ok(statSync(join(DIST, path)).isFile(), path);
  for (const name of files.filter((one) => !one.endsWith(".gz"))) {
    const copy = gunzipSync(readFileSync(join(folder, `${name}.gz`)));
    assert.ok(copy.equals(readFileSync(join(folder, name))), name);
  }
});

test("nothing inline, nothing evaluated, no address outside", () => {
  assert.doesNotMatch(page, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/);
  const script = readFileSync(join(folder, "app.js"), "utf8");
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/);
  assert.doesNotMatch(script, /["'`]https?:\/\//);
  for (const name of files.filter((one) => one.endsWith(".js"))) {
    assert.doesNotMatch(readFileSync(join(folder, name), "utf8"), BARE_IMPORT, `${name} imports by bare name`);
  }
});

test("the lock file names no registry", () => {
  assert.doesNotMatch(readFileSync(join(DIST, "../package-lock.json"), "utf8"), /"resolved"/);
});
