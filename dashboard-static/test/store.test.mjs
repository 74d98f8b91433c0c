import assert from "node:assert/strict";
import test from "node:test";
import { parseRoute } from "../js/route.js";
import { catalogue, withDocuments, withRows, worstFirst } from "../js/store.js";
import { sorted } from "../js/table.js";

const metric = (/** @type {string} */ name) => ({ name, unit: "percent", help: "" });

test("a tick replaces the rows of its kinds and keeps those of others", () => {
  catalogue.value = { host: [metric("cpu_percent")], mount: [metric("used"), metric("free")] };
  const before = withRows(new Map(), [
    { kind: "mount", key: "/", values: [1, 2] },
    { kind: "mount", key: "/old", values: [3, 4] },
    { kind: "host", key: "", values: [5] },
  ]);
  const after = withRows(before, [{ kind: "mount", key: "/", values: [9] }]);
  assert.deepEqual(after.get("host")?.get(""), { cpu_percent: 5 });
  assert.deepEqual([...(after.get("mount")?.keys() ?? [])], ["/"]);
  assert.deepEqual(after.get("mount")?.get("/"), { used: 9, free: null });
  assert.deepEqual(before.get("mount")?.size, 2, "what was shown is not changed in place");
});

test("a kind that the catalogue does not know is left out", () => {
  catalogue.value = {};
  assert.equal(withRows(new Map(), [{ kind: "future", key: "", values: [1] }]).size, 0);
});

test("a document without a body ends its entity", () => {
  const made = withDocuments(new Map(), [{ kind: "container", key: "a", observed_ms: 1, body: { name: "x" } }]);
  assert.equal(made.get("container")?.size, 1);
  assert.equal(
    withDocuments(made, [{ kind: "container", key: "a", observed_ms: 2, body: null }]).get("container")?.size,
    0,
  );
});

test("hosts stand worst first", () => {
  const problem = (/** @type {string} */ severity) => [
    { severity, kind: "", key: "", subject: "", message: "", since_ms: 0 },
  ];
  const host = (/** @type {string} */ name, /** @type {string} */ state, /** @type {any[]} */ problems) =>
    /** @type {any} */ ({ name, state, problems });
  const list = [
    host("b", "online", []),
    host("a", "online", []),
    host("w", "online", problem("warn")),
    host("c", "online", problem("crit")),
    host("o", "offline", problem("crit")),
  ];
  assert.deepEqual(
    worstFirst(list).map((entry) => entry.name),
    ["o", "c", "w", "a", "b"],
  );
});

test("sorting puts large numbers first and the unknown last", () => {
  const columns = [{ name: "n", label: "", cell: () => "", sort: (/** @type {{ n: number | null }} */ row) => row.n }];
  const rows = [{ n: 1 }, { n: null }, { n: 3 }];
  assert.deepEqual(
    sorted(rows, columns, "n").map((row) => row.n),
    [3, 1, null],
  );
  assert.deepEqual(
    sorted(rows, columns, "").map((row) => row.n),
    [1, null, 3],
  );
});

test("an address holds a place and its parameters, however odd", () => {
  const route = parseRoute("#/host/a%2Fb?range=6h&q=state%3Acrit");
  assert.deepEqual(route.parts, ["host", "a/b"]);
  assert.equal(route.params.get("q"), "state:crit");
  assert.deepEqual(parseRoute("#/%E0%A4%A").parts, ["%E0%A4%A"]);
  assert.deepEqual(parseRoute("").parts, []);
});
