// The time since something began, which grows while it is shown.

import { duration, h } from "./dom.js";

export const elapsed = (since) =>
  h("span", { class: "elapsed", "data-since": since }, duration(Math.max(0, Date.now() - new Date(since))));

setInterval(() => {
  for (const one of document.querySelectorAll(".elapsed[data-since]")) {
    one.textContent = duration(Math.max(0, Date.now() - new Date(one.dataset.since)));
  }
}, 1000);
