// Joins our ES modules into one, in the order of their imports.
//
// This is text work, safe because of rules that are checked here and that our modules keep anyway: imports stand at the
// head, by name and without renaming (or a library's default); exports are declarations; names at the top level are
// unique across all modules; imports make no circle.

import { readFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";

const IMPORT = /^import\s+(?:([\w$]+)|\{([^}]*)\})\s+from\s+"([^"]+)";\n/gm;
const DECLARATION = /^(?:export )?(?:async )?(?:function\*?|const|let|class)\s+([\w$]+)/gm;
/** Comments that fill lines of their own: a third of our text, which nobody reads in a browser. */
const COMMENT = /^[ \t]*(?:\/\/.*|\/\*\*(?:[^*]|\*(?!\/))*\*\/[ \t]*)\n/gm;
const FORBIDDEN = /^(?:import\b.*|export\s+(?:default|\*|\{).*|(?:export )?(?:const|let)\s+[[{].*)$/m;

/**
 * @param {string} folder folder of the modules
 * @param {string} entry file in it that the page starts with
 * @returns {Promise<string>} one module; libraries are still imported by bare name
 */
export async function joinModules(folder, entry) {
  /** @type {Map<string, Set<string>>} library → names, a default as `default:name` */
  const libraries = new Map();
  /** @type {Map<string, string>} top-level name → file */
  const owners = new Map();
  /** @type {string[]} */
  const texts = [];
  const done = new Set();

  /** @param {string} path @param {string[]} trail */
  async function visit(path, trail) {
    if (trail.includes(path)) throw new Error(`imports make a circle: ${[...trail, path].map(short).join(" → ")}`);
    if (done.has(path)) return;
    done.add(path);
    const source = await readFile(path, "utf8");
    for (const [, standard, names = "", from = ""] of source.matchAll(IMPORT)) {
      if (from.startsWith(".")) await visit(join(dirname(path), from), [...trail, path]);
      else note(from, standard, names);
    }
    texts.push(`// ${short(path)}\n${strip(source, path)}`);
  }

  /** @param {string} from @param {string | undefined} standard @param {string} names */
  function note(from, standard, names) {
    const known = libraries.get(from) ?? new Set();
    libraries.set(from, known);
    if (standard) known.add(`default:${standard}`);
    for (const name of names.split(",")) if (name.trim()) known.add(name.trim());
  }

  /** @param {string} source @param {string} path */
  function strip(source, path) {
    const body = source.replace(IMPORT, "");
    const bad = FORBIDDEN.exec(body);
    if (bad) throw new Error(`${short(path)}: "${bad[0]}" cannot be joined; import and export by name`);
    for (const [, name = ""] of body.matchAll(DECLARATION)) {
      const owner = owners.get(name);
      if (owner) throw new Error(`"${name}" is declared in both ${owner} and ${short(path)}; give one another name`);
      owners.set(name, short(path));
    }
    return body
      .replace(COMMENT, "")
      .replace(/^export /gm, "")
      .trim();
  }

  /** @param {string} path */
  const short = (path) => relative(dirname(folder), path);

  await visit(join(folder, entry), []);
  return `${[...libraries].map(([from, names]) => head(from, names)).join("\n")}\n${texts.join("\n\n")}\n`;
}

/** @param {string} from @param {Set<string>} names */
function head(from, names) {
  const all = [...names];
  const standard = all.filter((name) => name.startsWith("default:")).map((name) => name.slice("default:".length));
  if (standard.length > 1) throw new Error(`"${from}" has two default names: ${standard.join(", ")}`);
  const named = all.filter((name) => !name.startsWith("default:")).sort();
  const parts = [...standard, ...(named.length ? [`{ ${named.join(", ")} }`] : [])];
  return `import ${parts.join(", ")} from "${from}";`;
}
