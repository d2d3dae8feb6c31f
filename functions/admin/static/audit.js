// The audit list: who did what, the latest first.

import { call } from "./api.js";
import { clock, h, visible } from "./dom.js";
import { section, table } from "./table.js";

const go = (cursor) => {
  location.hash = cursor ? `#/audit?cursor=${cursor}` : "#/audit";
};

const line = (one) => [
  clock(one.at),
  one.actor || "–",
  one.action,
  visible(JSON.stringify(one.details)),
  one.via.replace("_", " "),
  one.address || "–",
];

export function auditPage() {
  const cursor = new URLSearchParams(location.hash.split("?")[1]).get("cursor");
  return {
    load: () => call("GET", `/api/audit?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`),
    show(found, main) {
      const names = ["At", "Who", "Action", "Details", "Through", "Address"];
      main.replaceChildren(
        section(
          "Audit",
          table(names, found.entries.map(line), "Nothing was done yet."),
          h(
            "div",
            { class: "row" },
            cursor && h("button", { type: "button", onclick: () => go(null) }, "Newest"),
            found.nextCursor && h("button", { type: "button", onclick: () => go(found.nextCursor) }, "Older"),
          ),
        ),
      );
    },
  };
}
