// The overview: what is wrong, the queue, what jobs did over time, the slots, and the spending of today.

import { call } from "./api.js";
import { chart, forgetMoments } from "./chart.js";
import { clock, duration, h, number, usd, visible } from "./dom.js";
import { update } from "./live.js";
import { section, table } from "./table.js";

const STATES = ["waiting", "active", "delayed", "paused", "completed", "failed", "cancelled"];
const SPANS = { "1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days" };
const SHARES = ["p50", "p95", "p99"];
const HELD = {
  paused: "The queue is paused. No jobs start.",
  authentication_failed: "Claude refuses the gateway's credentials. One job every 30 s tries again.",
  billing_error: "Claude reports a billing problem. One job every 30 s tries again.",
  rate_limited: "Claude's rate limit is reached. No jobs start until it has passed.",
};

const spanOf = () => {
  const span = new URLSearchParams(location.hash.split("?")[1]).get("span");
  return span in SPANS ? span : "1h";
};
const tile = (label, value, href) =>
  h("div", { class: "tile" }, h("dt", {}, label), h("dd", {}, href ? h("a", { href }, value) : value));
const tiles = (...all) => h("dl", { class: "tiles" }, ...all);
const jobsOf = (filter, text) => h("a", { href: `#/jobs?${new URLSearchParams(filter)}` }, visible(text));
const megabytes = (bytes) => `${number(bytes / 2 ** 20)} MB`;

const cause = (one) =>
  h(
    "li",
    {},
    h("a", { href: one.link }, visible(one.text)),
    one.since && h("span", {}, "since ", clock(one.since)),
    h("code", {}, one.guide),
  );

const causes = (found) =>
  h(
    "section",
    { class: "causes" },
    h("h2", {}, found.length ? "Wrong now" : "Nothing is wrong"),
    h("ul", {}, found.map(cause)),
  );

function pauseOrResume(hold, context) {
  if (!context.mayChange) return "";
  const click = (onclick, label) => h("button", { type: "button", onclick }, label);
  if (hold) return click(() => context.act("POST", "/queue/resume", "Jobs start again"), "Resume");
  const text = "No jobs start until the queue is resumed. Running jobs continue.";
  const ask = ["Pause the queue?", text, "Pause", "POST", "/queue/pause", "The queue is paused"];
  return click(() => context.actIfSure(...ask), "Pause");
}

const held = (hold) =>
  h(
    "p",
    { class: "held", role: "alert" },
    HELD[hold.reason] ?? hold.reason,
    hold.since && h("span", {}, " Since ", clock(hold.since), "."),
    hold.until && h("span", {}, " Until ", clock(hold.until), "."),
    hold.by && ` By ${visible(hold.by)}.`,
  );

function queue({ jobs, oldestWaitingMs, byPriority, byCaller, hold }, context) {
  const rows = byCaller.map((one) => [
    jobsOf({ caller: one.caller }, one.name),
    jobsOf({ caller: one.caller, state: "waiting" }, number(one.waiting)),
    number(one.active),
  ]);
  return h(
    "section",
    {},
    h("div", { class: "row" }, h("h2", {}, "Queue"), pauseOrResume(hold, context)),
    hold && held(hold),
    tiles(
      STATES.map((state) => tile(state, number(jobs[state]), `#/jobs?state=${state}`)),
      tile("oldest waiting", duration(oldestWaitingMs)),
      Object.entries(byPriority).map(([name, count]) => tile(`waiting, ${name}`, number(count))),
    ),
    table(["Caller", "Waiting", "Active"], rows, "No caller has waiting jobs."),
  );
}

const percentiles = (found) =>
  SHARES.map((share) => `${share} ${found[share] === null ? "–" : duration(found[share])}`).join(", ");

function overTime(found, change) {
  const { points, ended, errors, span } = found;
  const spans = Object.entries(SPANS).map(([value, text]) => h("option", { value, selected: value === span }, text));
  const ends = Object.keys(ended).map((name) => ({ name, label: name, value: (point) => point[name] }));
  const shares = (field) => SHARES.map((name) => ({ name, label: name, value: (point) => point[field][name] }));
  const count = (value) => (Number.isInteger(value) ? number(value) : "");
  const days = span === "7d";
  const summary = Object.entries(ended).map(([name, value]) => `${number(value)} ${name}`);
  const lines = (name, title) =>
    chart({
      name,
      title,
      points,
      series: shares(name),
      kind: "lines",
      format: duration,
      summary: percentiles(found[name]),
      days,
    });
  return h(
    "section",
    { class: "time" },
    h(
      "div",
      { class: "row" },
      h("h2", {}, "Over time"),
      h("label", { for: "span" }, "Time"),
      h("select", { id: "span", onchange: (event) => change(event.target.value) }, spans),
    ),
    h(
      "div",
      { class: "charts" },
      chart({
        name: "ends",
        title: "Ended jobs",
        points,
        series: ends,
        kind: "bars",
        format: count,
        summary: summary.join(", "),
        days,
      }),
      lines("waitMs", "Wait for a slot"),
      lines("runMs", "Run"),
    ),
    h("h3", {}, "Errors"),
    table(
      ["Code", "Jobs"],
      Object.entries(errors).map(([code, jobs]) => [jobsOf({ state: "failed", code }, code), number(jobs)]),
      "No job failed.",
    ),
  );
}

function slots(found) {
  const rows = found.map((one) => [
    one.slot,
    one.host,
    one.jobId ? h("a", { href: `#/jobs/${one.jobId}` }, one.jobId) : "idle",
    one.waitingFor ? `waits: ${one.waitingFor}` : one.live ? "live" : "lost",
    duration(one.elapsedMs),
    one.memoryBytes ? megabytes(one.memoryBytes) : "–",
    `${duration(one.lastSeenMs)} ago`,
  ]);
  const names = ["Slot", "Host", "Job", "State", "Elapsed", "Memory", "Last seen"];
  return h("section", { class: "slots" }, h("h2", {}, "Slots"), table(names, rows, "No live worker."));
}

const spending = ({ todayUsd, dailyBudgetUsd, callers }) =>
  section(
    "Spent today",
    tiles(
      tile("all callers", usd(todayUsd), "#/usage"),
      tile("budget of each caller", dailyBudgetUsd === null ? "none" : usd(dailyBudgetUsd)),
    ),
    table(
      ["Caller", "Spent", "Budget", "Used"],
      callers.map((one) => [
        jobsOf({ caller: one.caller }, one.name),
        usd(one.costUsd),
        one.budgetUsd === null ? "none" : usd(one.budgetUsd),
        one.budgetUsd === null
          ? "–"
          : h(
              "span",
              { class: "row" },
              h("meter", { min: 0, max: one.budgetUsd, value: one.costUsd, "aria-label": `Budget of ${one.name}` }),
              `${number((one.costUsd / one.budgetUsd) * 100)} %`,
            ),
      ]),
      "No caller has spent anything today.",
    ),
  );

function cache({ entries, hits, misses, savedUsd }, webhooks) {
  const lookups = hits + misses;
  return section(
    "Cache and webhooks",
    tiles(
      tile("answers cached", number(entries)),
      tile("hits", number(hits)),
      tile("hit rate", lookups ? `${Math.round((hits / lookups) * 100)} %` : "–"),
      tile("saved", usd(savedUsd)),
      tile("webhooks pending", number(webhooks.pending), "#/webhooks"),
      tile("hosts failing", number(webhooks.failingHosts), "#/webhooks"),
    ),
  );
}

export function overviewPage(context) {
  forgetMoments();
  const page = {
    load: () => call("GET", `/api/overview?span=${spanOf()}`),
    show(found, main) {
      const change = async (span) => {
        // Without an event of its own, which would move the focus to the page.
        history.replaceState(null, "", `#/?span=${span}`);
        page.show(await page.load(), main);
      };
      update(
        main,
        causes(found.causes),
        queue(found.queue, context),
        overTime(found.series, change),
        slots(found.slots),
        spending(found.spend),
        cache(found.cache, found.webhooks),
      );
    },
  };
  return page;
}
