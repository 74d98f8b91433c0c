// What was checked, and how it went.

/** @type {{ name: string, fault: string | null, figure: string }[]} */
const results = [];

/** Runs one check; a throw is its fault, and the next check goes on. What it returns is a figure to print. @param {string} name @param {() => unknown} body */
export async function check(name, body) {
  try {
    const figure = await body();
    results.push({ name, fault: null, figure: typeof figure === "string" ? ` (${figure})` : "" });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    results.push({ name, fault: text.split("\n").slice(0, 12).join("\n    "), figure: "" });
  }
}

/** @param {unknown} holds @param {string} fault */
export function expect(holds, fault) {
  if (!holds) throw new Error(fault);
}

/** Prints a line for each check. @returns {number} how many failed */
export function report() {
  const failed = results.filter((result) => result.fault !== null);
  for (const { name, fault, figure } of results)
    console.log(fault === null ? `ok   ${name}${figure}` : `FAIL ${name}\n    ${fault}`);
  console.log(`\n${results.length - failed.length} passed, ${failed.length} failed`);
  return failed.length;
}
