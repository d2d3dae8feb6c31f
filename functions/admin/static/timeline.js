// A timeline: what happened in a time, each with a bar from its beginning to its end.

import { clock, duration, h, svg } from "./dom.js";

// Of an entry: `at` and `until` (ms), `kind`, `title`, `status` (a state), and `details`, which are elements or text.
function bar({ at, until, status }, from, whole) {
  const start = ((at - from) / whole) * 100;
  const width = Math.min(Math.max(0.6, ((until - at) / whole) * 100), 100);
  const x = Math.min(start, 100 - width).toFixed(2);
  return svg(
    "svg",
    { class: "span", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: `bar ${status}`, x, y: 0, height: 1, width: width.toFixed(2) }),
  );
}

const iso = (ms) => new Date(ms).toISOString();

export function timeline(entries) {
  const sorted = entries.toSorted((one, other) => one.at - other.at);
  const from = Math.min(...sorted.map((one) => one.at));
  const whole = Math.max(1, Math.max(...sorted.map((one) => one.until)) - from);
  return h(
    "ol",
    { class: "timeline" },
    sorted.map((one) =>
      h(
        "li",
        { class: one.kind },
        h(
          "div",
          { class: "row wrap" },
          clock(iso(one.at)),
          h("strong", {}, one.title),
          h("span", { class: `state ${one.status}` }, one.label ?? one.status),
          one.until > one.at && duration(one.until - one.at),
        ),
        bar(one, from, whole),
        ...(one.details ?? []),
      ),
    ),
  );
}
