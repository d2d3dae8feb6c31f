// The audit list: who did what, the latest first.

import { call } from "./api.js";
import { clock, visible } from "./dom.js";
import { paging, parameters } from "./filter.js";
import { section, table } from "./table.js";

const line = (one) => [
  clock(one.at),
  one.actor || "–",
  one.action,
  visible(JSON.stringify(one.details)),
  one.via.replace("_", " "),
  one.address || "–",
];

export function auditPage() {
  const cursor = parameters().get("cursor");
  return {
    load: () => call("GET", `/api/audit?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`),
    show(found, main) {
      const names = ["At", "Who", "Action", "Details", "Through", "Address"];
      main.replaceChildren(
        section(
          "Audit",
          table(names, found.entries.map(line), "Nothing was done yet."),
          paging(cursor, found.nextCursor),
        ),
      );
    },
  };
}
