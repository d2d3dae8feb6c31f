// A list in pages, whose place is in the address.

import { call } from "./api.js";
import { h } from "./dom.js";
import { update } from "./live.js";
import { section, table } from "./table.js";

// `name` is the page's and the API's name of the list, `field` that of its items in the answer.
export function pagedList({ name, title, field, columns, row, none }) {
  const cursor = new URLSearchParams(location.hash.split("?")[1]).get("cursor");
  const go = (to) => {
    location.hash = to ? `#/${name}?cursor=${to}` : `#/${name}`;
  };
  return {
    load: () => call("GET", `/api/${name}?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`),
    show(found, main) {
      update(
        main,
        section(
          title,
          table(columns, found[field].map(row), none),
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
