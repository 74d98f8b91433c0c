import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { joinModules } from "../build/join.mjs";

/** Joins modules given as name → text. @param {Record<string, string>} modules */
async function joined(modules) {
  const folder = await mkdtemp(join(tmpdir(), "join-"));
  try {
    for (const [name, text] of Object.entries(modules)) await writeFile(join(folder, name), text);
    return await joinModules(folder, "main.js");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test("what is imported comes first, libraries once, comments not at all", async () => {
  const text = await joined({
    "main.js":
      'import { h } from "preact";\nimport { b } from "./b.js";\n\n/** Starts. */\nconst run = () => h(b);\nrun();\n',
    "b.js": '// Head.\nimport { h, render } from "preact";\nexport const b = [h, render];\n',
  });
  assert.match(text, /^import \{ h, render \} from "preact";\n/);
  assert.equal(text.match(/^import/gm)?.length, 1);
  assert.ok(text.indexOf("const b =") < text.indexOf("const run ="));
  assert.doesNotMatch(text, /export|Starts|Head/);
});

test("two owners of one name are refused", async () => {
  const modules = {
    "main.js": 'import { a } from "./b.js";\nconst same = a;\n',
    "b.js": "const same = 1;\nexport const a = same;\n",
  };
  await assert.rejects(joined(modules), /"same" is declared in both .*b\.js and .*main\.js/);
});

test("a circle of imports is refused", async () => {
  const modules = {
    "main.js": 'import { b } from "./b.js";\nexport const a = b;\n',
    "b.js": 'import { a } from "./main.js";\nexport const b = a;\n',
  };
  await assert.rejects(joined(modules), /circle/);
});

test("renamed imports, default exports and top-level patterns are refused", async () => {
  for (const bad of ['import * as x from "preact";\n', "export default 1;\n", "const { a } = globalThis;\n"]) {
    await assert.rejects(joined({ "main.js": bad }), /cannot be joined/, bad);
  }
});
