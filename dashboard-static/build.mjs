// Lays the served files into dist/: index.html, and everything else under dist/a/<hash>/, where the hash is that of the
// content, so that the controller may let browsers keep it for ever. Each file has a copy compressed with gzip.
//
// There is no bundler. Our modules are joined into one file in the order of their imports, which needs nothing but the
// rules that `joinModules` checks; libraries stay files of their own, and their bare names become relative paths, since an
// import map would be an inline script, which the Content-Security-Policy forbids.
//
// Run after `npm ci`: node build.mjs [output folder]

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { argv, exit } from "node:process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { joinModules } from "./build/join.mjs";

const ROOT = dirname(fileURLToPath(import.meta.url));
const MODULES = join(ROOT, "node_modules");

/** Libraries by the name that modules import, with the file that is served. */
const LIBRARIES = {
  preact: { from: "preact/dist/preact.mjs", to: "vendor/preact.js" },
  "preact/hooks": { from: "preact/hooks/dist/hooks.mjs", to: "vendor/hooks.js" },
  "@preact/signals-core": { from: "@preact/signals-core/dist/signals-core.mjs", to: "vendor/signals-core.js" },
  "@preact/signals": { from: "@preact/signals/dist/signals.mjs", to: "vendor/signals.js" },
  htm: { from: "htm/dist/htm.mjs", to: "vendor/htm.js" },
  // The minified build is a plain script; a module needs only its last line.
  uplot: { from: "uplot/dist/uPlot.iife.min.js", to: "vendor/uplot.js", append: "\nexport default uPlot;\n" },
};
const UPLOT_CSS = "uplot/dist/uPlot.min.css";

/** @param {string} name file under node_modules */
async function library(name) {
  try {
    return await readFile(join(MODULES, name), "utf8");
  } catch {
    throw new Error(`${name} is not installed: run \`npm ci\` in ${relative(process.cwd(), ROOT) || "."} first`);
  }
}

/** Replaces bare names in `import … from "x"` and `export … from "x"` by paths relative to the file `at`. */
function resolveNames(/** @type {string} */ text, /** @type {string} */ at) {
  return text
    .replace(/((?:import|export)\s*(?:[\w$]+[\s,]*)?(?:\{[^{}]*\})?\s*from\s*)"([^"./][^"]*)"/g, (_, head, name) => {
      const found = LIBRARIES[/** @type {keyof typeof LIBRARIES} */ (name)];
      if (!found) throw new Error(`${at} imports "${name}", which build.mjs does not list in LIBRARIES`);
      const path = relative(dirname(at), found.to);
      return `${head}"${path.startsWith(".") ? path : `./${path}`}"`;
    })
    .replace(/\n?\/\/# sourceMappingURL=\S+/g, "");
}

/** One SVG sprite of our status shapes and the lucide icons named in icons/lucide.json. */
async function sprite() {
  const lucide = JSON.parse(await readFile(join(ROOT, "icons/lucide.json"), "utf8"));
  const own = (await readdir(join(ROOT, "icons"))).filter((name) => name.endsWith(".svg")).sort();
  const symbols = [];
  for (const file of own) {
    symbols.push(symbol(file.slice(0, -4), await readFile(join(ROOT, "icons", file), "utf8")));
  }
  for (const name of lucide) symbols.push(symbol(name, await library(`lucide-static/icons/${name}.svg`)));
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`;
}

/** The drawing of one SVG file as a symbol; stroke and fill are set where it is used. */
function symbol(/** @type {string} */ name, /** @type {string} */ svg) {
  const inner = svg.replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "");
  const box = /viewBox="([^"]+)"/.exec(svg)?.[1] ?? "0 0 24 24";
  return `<symbol id="${name}" viewBox="${box}">${inner.replace(/\s*\n\s*/g, "")}</symbol>`;
}

/** The files of the hashed folder: path → text. */
async function assets() {
  /** @type {Map<string, string>} */
  const files = new Map();
  for (const { from, to, append = "" } of Object.values(LIBRARIES)) {
    files.set(to, resolveNames((await library(from)) + append, to));
  }
  files.set("vendor/uplot.css", await library(UPLOT_CSS));
  files.set("app.js", resolveNames(await joinModules(join(ROOT, "js"), "main.js"), "app.js"));
  files.set("theme.js", await readFile(join(ROOT, "theme.js"), "utf8"));
  const sheets = (await readdir(join(ROOT, "css"))).filter((name) => name.endsWith(".css")).sort();
  files.set("app.css", (await Promise.all(sheets.map((name) => readFile(join(ROOT, "css", name), "utf8")))).join("\n"));
  files.set("icons.svg", await sprite());
  files.set("favicon.svg", await readFile(join(ROOT, "favicon.svg"), "utf8"));
  return files;
}

/** Writes a file and its compressed copy. */
async function lay(/** @type {string} */ path, /** @type {string} */ text) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  await writeFile(`${path}.gz`, gzipSync(text, { level: 9 }));
}

async function main() {
  const target = resolve(argv[2] ?? join(ROOT, "dist"));
  const files = await assets();
  const hash = createHash("sha256");
  for (const [path, text] of files) hash.update(`${path}\0${text}\0`);
  const folder = `a/${hash.digest("hex").slice(0, 16)}`;

  // Laid beside the target and then renamed, so that a running controller never serves half of it.
  const fresh = `${target}.new`;
  await rm(fresh, { recursive: true, force: true });
  for (const [path, text] of files) await lay(join(fresh, folder, path), text);
  const page = await readFile(join(ROOT, "index.html"), "utf8");
  await lay(join(fresh, "index.html"), page.replaceAll("{{assets}}", `/${folder}`));
  await rm(target, { recursive: true, force: true });
  await rename(fresh, target);
  console.log(`laid out ${files.size + 1} files in ${relative(process.cwd(), target) || "."}, assets in ${folder}`);
}

main().catch((error) => {
  console.error(`The dashboard was not built: ${error.message}`);
  exit(1);
});
