// Tables and sections, as all pages have them.

import { h } from "./dom.js";

// `names` are the columns; those of `numbers` are aligned as numbers.
export function table(names, rows, none, { numbers = [], kind = null } = {}) {
  if (!rows.length) return h("p", {}, none);
  const kindOf = (index) => (numbers.includes(names[index]) ? "number" : null);
  return h(
    "table",
    { class: kind },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        names.map((name, index) => h("th", { scope: "col", class: kindOf(index) }, name)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          {},
          row.map((cell, index) => h("td", { "data-label": names[index], class: kindOf(index) }, cell)),
        ),
      ),
    ),
  );
}

export const section = (title, ...children) => h("section", {}, h("h2", {}, title), ...children);

export const button = (label, onclick, kind = null) => h("button", { type: "button", class: kind, onclick }, label);
