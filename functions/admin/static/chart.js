// A bar chart of the last hour: a bar per minute, completed jobs at the bottom, failed jobs above.

import { h, svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;

export function hourChart(minutes) {
  const most = Math.max(1, ...minutes.map((one) => one.completed + one.failed));
  const step = WIDTH / minutes.length;
  const bars = [];
  minutes.forEach((one, index) => {
    const done = (one.completed / most) * HEIGHT;
    const failed = (one.failed / most) * HEIGHT;
    const at = { x: index * step + 0.5, width: step - 1 };
    if (one.completed) bars.push(svg("rect", { ...at, y: HEIGHT - done, height: done, class: "bar completed" }));
    if (one.failed) bars.push(svg("rect", { ...at, y: HEIGHT - done - failed, height: failed, class: "bar failed" }));
  });
  const total = (name) => minutes.reduce((sum, one) => sum + one[name], 0);
  const summary = `${total("completed")} completed, ${total("failed")} failed, ${total("cancelled")} cancelled`;
  return h(
    "figure",
    {},
    svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": `Last hour: ${summary}`,
      },
      svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: "axis" }),
      ...bars,
    ),
    h(
      "figcaption",
      {},
      h("span", { class: "key completed" }, `${total("completed")} completed`),
      h("span", { class: "key failed" }, `${total("failed")} failed`),
      h("span", {}, `${total("cancelled")} cancelled`),
      h("span", { class: "right" }, `maximum: ${most} per minute`),
    ),
  );
}
