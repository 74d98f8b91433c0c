// What this host does not report, and why: from its collectors' documents and its GPU driver's.

import { h } from "preact";
import { statusOf } from "./status.js";
import { documentsOf } from "./store.js";
import { html, plainLine, StatusMark } from "./ui.js";

/** @typedef {import("./types.js").HostView} HostView */

/** Collectors by the section that they feed, with the words for "there is none". */
const SECTIONS = /** @type {Record<string, { collectors: RegExp, none: string }>} */ ({
  containers: { collectors: /^(containers?|docker)/, none: "No Docker" },
  gpus: { collectors: /^gpus?/, none: "No NVIDIA driver" },
  mounts: { collectors: /^mounts?/, none: "No mounts" },
});

/** A sentence about what is missing from a section; null when nothing is. @param {HostView} view @param {"containers" | "gpus" | "mounts"} section */
export function absentNote(view, section) {
  const { collectors, none } = /** @type {{ collectors: RegExp, none: string }} */ (SECTIONS[section]);
  const driver = section === "gpus" ? documentsOf(view, "gpu_driver")[0]?.body : undefined;
  if (driver && driver.state !== "ok")
    return note(
      driver.state === "library_missing" ? none : "NVIDIA driver",
      statusOf("driver", driver.state),
      driver.reason,
    );
  const collector = documentsOf(view, "collector").find((document) => collectors.test(document.key))?.body;
  if (!collector || collector.state === "ok") return null;
  return note(
    collector.state === "absent" ? none : `The collector for ${section}`,
    statusOf("collector", collector.state),
    collector.reason,
  );
}

/** @param {string} head @param {import("./status.js").Status} status @param {string} reason */
function note(head, status, reason) {
  const said = reason.toLowerCase().startsWith(head.toLowerCase());
  const words = plainLine(said ? reason.slice(head.length) : reason);
  return html`<p class=${`absent-note tone-${status.tone}`}>${h(StatusMark, status)}<span><strong>${head}${said ? "" : reason ? ":" : "."}</strong> ${words}</span></p>`;
}

/** Collectors that do not work, other than those that a section tells of. @param {{ view: HostView }} props */
export function OtherSources(props) {
  const others = documentsOf(props.view, "collector").filter(
    ({ key, body }) => body.state !== "ok" && !Object.values(SECTIONS).some((section) => section.collectors.test(key)),
  );
  return others.map(({ key, body }) => note(`Collector ${key}`, statusOf("collector", body.state), body.reason));
}
