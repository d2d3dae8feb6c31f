// The overview: the state of the deployment and its last hour.

import { call } from "./api.js";
import { hourChart } from "./chart.js";
import { duration, h, number, usd } from "./dom.js";

const STATES = ["waiting", "active", "delayed", "paused", "completed", "failed", "cancelled"];
const HELD = {
  paused: "The queue is paused. No jobs start.",
  authentication_failed: "Claude refuses the gateway's credentials. One job every 30 s tries again.",
  billing_error: "Claude reports a billing problem. One job every 30 s tries again.",
  rate_limited: "Claude's rate limit is reached. No jobs start until it has passed.",
};

const tile = (label, value, href) =>
  h("div", { class: "tile" }, h("dt", {}, label), h("dd", {}, href ? h("a", { href }, value) : value));

function queue(stats, context) {
  const button = stats.held
    ? h("button", { type: "button", onclick: () => context.act("POST", "/queue/resume", "Jobs start again") }, "Resume")
    : h(
        "button",
        {
          type: "button",
          onclick: () =>
            context.actIfSure(
              "Pause the queue?",
              "No jobs start until the queue is resumed. Running jobs continue.",
              "Pause",
              "POST",
              "/queue/pause",
              "The queue is paused",
            ),
        },
        "Pause",
      );
  return h(
    "section",
    {},
    h("div", { class: "row" }, h("h2", {}, "Queue"), context.mayChange && button),
    stats.held && h("p", { class: "held", role: "alert" }, HELD[stats.held]),
    h(
      "dl",
      { class: "tiles" },
      STATES.map((state) => tile(state, number(stats.jobs[state]), `#/jobs?state=${state}`)),
      tile("oldest waiting", stats.oldestWaitingMs === null ? "–" : duration(stats.oldestWaitingMs)),
    ),
  );
}

function slots(stats) {
  if (!stats.slots.length) return h("section", {}, h("h2", {}, "Slots"), h("p", { class: "held" }, "No live worker."));
  return h(
    "section",
    {},
    h("h2", {}, "Slots"),
    h(
      "ul",
      { class: "slots" },
      stats.slots.map((one) =>
        h(
          "li",
          { class: one.jobId ? "busy" : "idle" },
          h("span", { class: "name" }, one.slot),
          one.jobId ? h("a", { href: `#/jobs/${one.jobId}` }, one.jobId.slice(0, 13), "…") : h("span", {}, "idle"),
        ),
      ),
    ),
  );
}

function money(stats) {
  const spent = Object.values(stats.costUsd).reduce((sum, cost) => sum + cost, 0);
  const today = Object.entries(stats.costTodayUsd);
  const lookups = stats.cache.hits + stats.cache.misses;
  return h(
    "section",
    {},
    h("h2", {}, "Cache and cost"),
    h(
      "dl",
      { class: "tiles" },
      tile("answers cached", number(stats.cache.entries)),
      tile("hits", number(stats.cache.hits)),
      tile("hit rate", lookups ? `${Math.round((stats.cache.hits / lookups) * 100)} %` : "–"),
      tile("saved", usd(stats.cache.savedUsd)),
      tile("spent", usd(spent)),
      tile("spent today", usd(today.reduce((sum, [, cost]) => sum + cost, 0))),
      tile("webhooks pending", number(stats.webhooks.pending), "#/system"),
    ),
    today.length > 1 &&
      h(
        "ul",
        { class: "spenders", "aria-label": "Spent today, by caller" },
        today.slice(0, 10).map(([caller, cost]) => h("li", {}, h("code", {}, caller), " ", usd(cost))),
      ),
  );
}

export const overviewPage = (context) => ({
  load: () => call("GET", "/api/stats"),
  show(stats, main) {
    main.replaceChildren(
      queue(stats, context),
      h("section", {}, h("h2", {}, "Last hour"), hourChart(stats.hour)),
      slots(stats),
      money(stats),
    );
  },
});
