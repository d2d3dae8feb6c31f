// Usage of all callers: who spent how much, by what, with an export.

import { call } from "./api.js";
import { fill, h, number, usd, visible } from "./dom.js";
import { filters } from "./filter.js";
import { section, table } from "./table.js";

const FIELDS = { caller: "Caller", key: "Key", model: "Model", tag: "Tag", date: "Day" };
const DAYS = ["1", "7", "30", "90", "400"];

const chosen = { by: "caller", days: "30" };

const CHOICES = [
  { name: "by", label: "By", options: Object.entries(FIELDS) },
  { name: "days", label: "Days", options: DAYS.map((one) => [one, one]) },
];

// A key is shown beside its caller.
const query = () => `by=${chosen.by}${chosen.by === "key" ? "&by=caller" : ""}&days=${chosen.days}`;

function named(row) {
  const caller = row.callerName || row.caller;
  if (chosen.by === "caller") return caller;
  return chosen.by === "key" ? `${caller} ${row.key}` : row[chosen.by] || "–";
}

function line(row) {
  return [
    visible(named(row)),
    number(row.jobs),
    usd(row.costUsd),
    usd(row.savedUsd),
    number(row.inputTokens + row.cacheReadTokens + row.cacheCreationTokens),
    number(row.outputTokens),
  ];
}

export function usagePage() {
  const rows = h("div", { "aria-live": "off" });
  let bar = null;
  const page = {
    load: () => call("GET", `/api/usage?${query()}`),
    show(found, main) {
      if (bar === null) {
        const apply = async (values) => {
          Object.assign(chosen, values);
          page.show(await page.load(), main);
        };
        const csv = h("a", { download: "usage.csv" }, "Export as CSV");
        bar = h("div", { class: "row wrap" }, filters(CHOICES, chosen, { apply }), csv);
        main.replaceChildren(section("Usage", bar, rows));
      }
      bar.querySelector("a").setAttribute("href", `admin/api/usage?${query()}&format=csv`);
      const names = [FIELDS[chosen.by], "Jobs", "Cost", "Saved", "Input tokens", "Output tokens"];
      const sorted = chosen.by === "date" ? found.rows : found.rows.toSorted((a, b) => b.costUsd - a.costUsd);
      fill(rows, table(names, sorted.map(line), "No job has ended in these days."));
    },
  };
  return page;
}
