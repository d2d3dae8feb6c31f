// Tables and sections, as several pages have them.

import { h } from "./dom.js";

export function table(names, rows, none) {
  if (!rows.length) return h("p", {}, none);
  return h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        names.map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          {},
          row.map((cell, index) => h("td", { "data-label": names[index] }, cell)),
        ),
      ),
    ),
  );
}

export const section = (title, ...children) => h("section", {}, h("h2", {}, title), ...children);
