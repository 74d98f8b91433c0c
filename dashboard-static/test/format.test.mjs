import assert from "node:assert/strict";
import test from "node:test";
import { byteRate, bytes, bytesOf, duration, formatter, moment, offset, percent, seconds } from "../js/format.js";

/** @param {string} text numbers and units are held together by a narrow space */
const plain = (text) => text.replaceAll("\u202f", " ");

test("what is not known is a dash, never zero", () => {
  for (const format of [percent, bytes, byteRate, seconds, duration, offset, formatter("watts"), moment]) {
    assert.equal(format(null), "–");
    assert.notEqual(plain(format(0)), "–");
  }
});

test("bytes are binary and keep three digits", () => {
  assert.equal(plain(bytes(999)), "999 B");
  assert.equal(plain(bytes(1023)), "1.00 KiB");
  assert.equal(plain(bytes(48 * 1024 ** 3)), "48.0 GiB");
  assert.equal(plain(bytes(1023.9 * 1024 ** 3)), "1.00 TiB");
  assert.equal(plain(byteRate(1536)), "1.50 KiB/s");
});

test("a part is said in the unit of its whole", () => {
  assert.equal(plain(bytesOf(512 * 1024 ** 2, 48 * 1024 ** 3)), "0.50 of 48.0 GiB");
  assert.equal(plain(bytesOf(12 * 1024, 48 * 1024 ** 3)), "12.0 KiB of 48.0 GiB");
  assert.equal(plain(bytesOf(5, null)), "5 B");
  assert.equal(plain(bytesOf(0, 0)), "0 of 0 B");
});

test("shares show a decimal only where it says something", () => {
  assert.equal(plain(percent(0)), "0 %");
  assert.equal(plain(percent(0.04)), "< 0.1 %");
  assert.equal(plain(percent(0.26)), "0.3 %");
  assert.equal(plain(percent(9.94)), "9.9 %");
  assert.equal(plain(percent(9.96)), "10 %");
  assert.equal(plain(percent(200.4)), "200 %");
});

test("durations have at most two units", () => {
  assert.equal(plain(duration(42_999)), "42 s");
  assert.equal(plain(duration(185_000)), "3 min 5 s");
  assert.equal(plain(duration(15 * 60_000 + 5000)), "15 min");
  assert.equal(plain(duration(2 * 3_600_000 + 600_000)), "2 h 10 min");
  assert.equal(plain(duration(12 * 86_400_000 + 3_600_000)), "12 d");
  assert.equal(plain(duration(-5)), "0 s");
});

test("offsets say their direction", () => {
  assert.equal(plain(offset(-12)), "−12.0 ms");
  assert.equal(plain(offset(2500)), "+2.50 s");
});

test("a time names its zone", () => {
  assert.match(moment(0), /^19(69|70)-\d\d-\d\d \d\d:\d\d:\d\d UTC/);
});
