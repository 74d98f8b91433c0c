// Numbers and times in words: always with a unit, three significant digits, and a dash for what is not known.

const NONE = "–";
/** Narrow no-break space between number and unit. */
const GAP = "\u202f";
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const WHOLE = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** @param {number} value three significant digits, no exponent, no trailing noise */
export function digits(value) {
  const magnitude = Math.abs(value);
  if (magnitude >= 99.95 || value === 0) return value.toFixed(0);
  return value.toFixed(magnitude >= 9.995 ? 1 : 2);
}

/** @param {number | null | undefined} value @param {string} unit */
export function withUnit(value, unit) {
  return value == null ? NONE : `${digits(value)}${GAP}${unit}`;
}

/** @param {number | null | undefined} value */
export function percent(value) {
  if (value == null) return NONE;
  if (value > 0 && value < 0.05) return `<${GAP}0.1${GAP}%`;
  return `${value >= 9.95 || value === 0 ? value.toFixed(0) : value.toFixed(1)}${GAP}%`;
}

/** @param {number} value @returns {[number, string]} the number in the largest unit that leaves it at one or more */
function binary(value) {
  let step = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 999.5 && step < BINARY.length - 1) {
    scaled /= 1024;
    step += 1;
  }
  return [scaled, BINARY[step] ?? "B"];
}

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (value == null) return NONE;
  const [scaled, unit] = binary(value);
  return unit === "B" ? `${scaled.toFixed(0)}${GAP}B` : withUnit(scaled, unit);
}

/** @param {number | null | undefined} value */
export function byteRate(value) {
  return value == null ? NONE : `${bytes(value)}/s`;
}

/** "41.2 of 48.0 GiB", in the unit of the total unless that leaves nothing. @param {number | null | undefined} used @param {number | null | undefined} total */
export function bytesOf(used, total) {
  if (used == null || total == null) return bytes(used);
  const [scaled, unit] = binary(total);
  const factor = total === 0 ? 1 : scaled / total;
  const part = used * factor;
  return `${part > 0 && part < 0.05 ? bytes(used) : digits(part)} of ${withUnit(scaled, unit)}`;
}

/** @param {number | null | undefined} value */
export function count(value) {
  return value == null ? NONE : WHOLE.format(value);
}

/** @param {number | null | undefined} value seconds */
export function seconds(value) {
  if (value == null) return NONE;
  if (value < 0.001) return withUnit(value * 1e6, "µs");
  if (value < 1) return withUnit(value * 1000, "ms");
  return withUnit(value, "s");
}

/** @param {number | null | undefined} value milliseconds, signed */
export function offset(value) {
  if (value == null) return NONE;
  const sign = value > 0 ? "+" : value < 0 ? "−" : "";
  return `${sign}${seconds(Math.abs(value) / 1000)}`;
}

/** A length of time in at most two units. @param {number | null | undefined} ms */
export function duration(ms) {
  if (ms == null) return NONE;
  const whole = Math.max(0, ms);
  if (whole < MINUTE) return `${Math.floor(whole / SECOND)}${GAP}s`;
  if (whole < HOUR) return pair(whole, MINUTE, "min", SECOND, "s", 10);
  if (whole < DAY) return pair(whole, HOUR, "h", MINUTE, "min", 24);
  return pair(whole, DAY, "d", HOUR, "h", 10);
}

/** @param {number} ms @param {number} large @param {string} name @param {number} small @param {string} rest @param {number} below the smaller unit is said up to so many of the larger */
function pair(ms, large, name, small, rest, below) {
  const first = Math.floor(ms / large);
  const second = Math.floor((ms % large) / small);
  const head = `${first}${GAP}${name}`;
  return second > 0 && first < below ? `${head} ${second}${GAP}${rest}` : head;
}

/** @param {number} value */
const two = (value) => String(value).padStart(2, "0");

/** `14:03:05`, in the reader's zone. @param {number} ms */
export function clock(ms) {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `2026-11-21 14:03`, where seconds say nothing. @param {number} ms */
export function dayClock(ms) {
  return `${isoDay(new Date(ms))} ${clock(ms).slice(0, 5)}`;
}

/** @param {Date} date */
const isoDay = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `21 Nov`. @param {Date} date */
export const dayMonth = (date) => `${date.getDate()} ${MONTHS[date.getMonth()]}`;

/** `Nov 2026`. @param {Date} date */
export const monthYear = (date) => `${MONTHS[date.getMonth()]} ${date.getFullYear()}`;

/** `2026-11-21 14:03:05 UTC+1`. @param {number | null | undefined} ms */
export function moment(ms) {
  if (ms == null) return NONE;
  const date = new Date(ms);
  return `${isoDay(date)} ${clock(ms)} ${zone(date)}`;
}

/** The reader's zone at a time. @param {Date} date */
export function zone(date) {
  const minutes = -date.getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const whole = Math.floor(Math.abs(minutes) / 60);
  const rest = Math.abs(minutes) % 60;
  return `UTC${minutes > 0 ? "+" : "−"}${whole}${rest ? `:${two(rest)}` : ""}`;
}

/** @param {string} unit the catalogue's unit @returns {(value: number | null | undefined) => string} */
export function formatter(unit) {
  switch (unit) {
    case "percent":
      return percent;
    case "bytes":
      return bytes;
    case "bytes_per_second":
      return byteRate;
    case "celsius":
      return (value) => (value == null ? NONE : `${value.toFixed(0)}${GAP}°C`);
    case "watts":
      return (value) => (value == null ? NONE : `${value.toFixed(0)}${GAP}W`);
    case "megahertz":
      return (value) => (value == null ? NONE : `${value.toFixed(0)}${GAP}MHz`);
    case "seconds":
      return seconds;
    default:
      return (value) => (value == null ? NONE : digits(value));
  }
}

export const celsius = formatter("celsius");
export const watts = formatter("watts");

/** @param {number} amount @param {string} one @param {string} [many] */
export function plural(amount, one, many = `${one}s`) {
  return `${count(amount)} ${amount === 1 ? one : many}`;
}
