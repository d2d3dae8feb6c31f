// Schedules of all callers, and the page of one with its runs.

import { call } from "./api.js";
import { clock, duration, h, revealed, usd, visible } from "./dom.js";
import { button, section, table } from "./table.js";

const path = (one) => `/schedules/${encodeURIComponent(one.scheduleId)}`;
const PAUSED = { requested: "paused", failures: "paused after failures" };

function actions(one, context) {
  if (!context.mayChange) return "";
  const [label, done] = one.paused ? ["Resume", "The schedule is resumed"] : ["Pause", "The schedule is paused"];
  return h(
    "div",
    { class: "row" },
    button(label, () => context.act("POST", `${path(one)}/${label.toLowerCase()}`, done)),
    button(
      "Delete",
      () =>
        context.actIfSure(
          `Delete the schedule ${visible(one.name)}?`,
          "It makes no more jobs. Its jobs stay, and its runs are lost. This cannot be undone.",
          "Delete it",
          "DELETE",
          path(one),
          "The schedule is deleted",
        ),
      "danger",
    ),
  );
}

const COLUMNS = ["Name", "Caller", "Cron", "Next run", "Failures in a row", ""];
const row = (context) => (one) => [
  h("a", { href: `#/schedules/${encodeURIComponent(one.scheduleId)}` }, visible(one.name)),
  h("a", { href: `#/jobs?${new URLSearchParams({ scheduleId: one.scheduleId })}` }, visible(one.callerName)),
  `${one.cron} ${one.timezone}`,
  PAUSED[one.paused] ?? (one.nextRuns.length ? clock(one.nextRuns[0]) : "never"),
  one.failures,
  actions(one, context),
];

export function schedulesPage(context) {
  let cursor = null;
  const earlier = [];
  return {
    load: () => call("GET", `/api/schedules${cursor ? `?cursor=${cursor}` : ""}`),
    show(page, main) {
      const turn = (to) => async () => {
        cursor = to;
        this.text = null;
        this.show(await this.load(), main);
      };
      main.replaceChildren(
        section(
          "Schedules",
          table(COLUMNS, page.schedules.map(row(context)), "No caller has a schedule."),
          h(
            "div",
            { class: "row" },
            earlier.length ? button("Newer", () => turn(earlier.pop())()) : "",
            page.nextCursor
              ? button("Older", () => {
                  earlier.push(cursor);
                  return turn(page.nextCursor)();
                })
              : "",
          ),
        ),
      );
    },
  };
}

const RUNS = ["Due", "Carried out", "State", "Job", "Duration", "Cost"];
const runRow = (one) => [
  one.dueAt ? clock(one.dueAt) : "by hand",
  clock(one.at),
  one.error ? visible(`${one.state}: ${one.error.message ?? one.error.code}`) : one.state,
  one.jobId ? h("a", { href: `#/jobs/${one.jobId}` }, one.jobId) : "–",
  duration(one.durationMs),
  one.costUsd === null ? "–" : usd(one.costUsd),
];

export function schedulePage(id, context) {
  return {
    load: () => call("GET", `/api/schedules/${encodeURIComponent(id)}`),
    missing: (main) =>
      main.replaceChildren(section("Schedule", h("p", {}, "Schedule not found. It may have been deleted."))),
    show(one, main) {
      const facts = {
        Cron: `${one.cron} ${one.timezone}`,
        "Next runs": PAUSED[one.paused] ?? one.nextRuns.flatMap((at, place) => [place ? ", " : "", clock(at)]),
        "While the last job runs": one.overlap,
        "Missed due times": one.catchUp,
        "Failures in a row": one.failures,
      };
      main.replaceChildren(
        section(
          visible(one.name),
          h(
            "dl",
            { class: "facts" },
            Object.entries(facts).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
          ),
          actions(one, context),
        ),
        section("Query", revealed("Query", JSON.stringify(one.query, null, 2))),
        section("Runs", table(RUNS, one.runs.map(runRow), "No due time has come yet.")),
      );
    },
  };
}
