// Schedules of all callers, and the page of one with its runs.

import { call } from "./api.js";
import { clock, h, revealed, visible } from "./dom.js";
import { section, table } from "./table.js";

const button = (label, onclick, kind = "") => h("button", { type: "button", class: kind, onclick }, label);
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
  one.caller,
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
  one.durationMs === null ? "–" : `${(one.durationMs / 1000).toFixed(1)} s`,
  one.costUsd === null ? "–" : `$${one.costUsd.toFixed(4)}`,
];

export function schedulePage(id, context) {
  return {
    load: () => call("GET", `/api/schedules/${encodeURIComponent(id)}`),
    missing: (main) => main.replaceChildren(h("p", {}, "There is no such schedule.")),
    show(one, main) {
      const facts = {
        Cron: `${one.cron} ${one.timezone}`,
        "Next runs": PAUSED[one.paused] ?? one.nextRuns.map(clock).join(", "),
        "While the last job runs": one.overlap,
        "Missed due times": one.catchUp,
        "Failures in a row": one.failures,
      };
      main.replaceChildren(
        section(
          visible(one.name),
          h(
            "dl",
            {},
            Object.entries(facts).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
          ),
          actions(one, context),
        ),
        section("Query", revealed("Query", JSON.stringify(one.query, null, 2))),
        section("Runs", table(RUNS, one.runs.map(runRow), "No due time has come yet.")),
      );
    },
  };
}
