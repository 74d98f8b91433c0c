import assert from "node:assert/strict";
import test from "node:test";
import { parseQuery, passes } from "../js/filter.js";

const container = { name: "comfy-user007", state: ["running", "crit"], user: "user007", image: null };

/** @param {string} query */
const found = (query) => passes(parseQuery(query), container);

test("all terms must hold", () => {
  assert.ok(found(""));
  assert.ok(found("comfy state:crit"));
  assert.ok(!found("comfy state:warn"));
});

test("minus turns a term round", () => {
  assert.ok(!found("state:crit -user:user007"));
  assert.ok(found("-user:user008"));
});

test("quotes hold words together, and case does not matter", () => {
  assert.deepEqual(parseQuery('name:"two words" X'), [
    { field: "name", value: "two words", not: false },
    { field: null, value: "x", not: false },
  ]);
  assert.ok(found("COMFY"));
});

test("a field that a thing lacks matches nothing", () => {
  assert.ok(!found("image:nginx"));
  assert.ok(!found("gpu:3"));
  assert.ok(found("-gpu:3"));
});
