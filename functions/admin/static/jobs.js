// The list of jobs, newest first, in pages; filtered by state or by job id.

import { call } from "./api.js";
import { clock, duration, fill, h, state } from "./dom.js";

const STATES = ["waiting", "active", "delayed", "paused", "completed", "failed", "cancelled"];

function parameters() {
  return new URLSearchParams(location.hash.split("?")[1] || "");
}

function go(changes) {
  const query = parameters();
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  location.hash = `#/jobs?${query}`;
}

const took = (job) =>
  job.startedAt && job.finishedAt ? duration(new Date(job.finishedAt) - new Date(job.startedAt)) : "–";

function line(job) {
  return h(
    "tr",
    {},
    h("td", { "data-label": "Job" }, h("a", { href: `#/jobs/${job.jobId}` }, job.jobId)),
    h("td", { "data-label": "State" }, state(job.state), job.error && h("span", { class: "code" }, job.error.code)),
    h("td", { "data-label": "Priority" }, job.priority),
    h("td", { "data-label": "Submitted" }, clock(job.createdAt)),
    h("td", { "data-label": "Took", class: "number" }, took(job)),
    h("td", { "data-label": "Attempts", class: "number" }, String(job.attempts)),
  );
}

function filters(context) {
  const query = parameters();
  const chosen = h(
    "select",
    { id: "state", onchange: (event) => go({ state: event.target.value, cursor: null, jobId: null }) },
    h("option", { value: "" }, "all"),
    STATES.map((name) => h("option", { value: name, selected: query.get("state") === name }, name)),
  );
  const id = h("input", { id: "job-id", placeholder: "job id", value: query.get("jobId") || "", spellcheck: "false" });
  const search = h(
    "form",
    { class: "row", role: "search" },
    h("label", { for: "job-id" }, "Id"),
    id,
    h("button", {}, "Find"),
  );
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    go({ jobId: id.value.trim(), state: null, cursor: null });
  });
  const failed = () =>
    context.actIfSure(
      "Retry every failed job?",
      "Each job gets all its attempts again. A retry repeats the effects of tools and costs again.",
      "Retry them",
      "POST",
      "/jobs/retry-failed",
      "The failed jobs are queued again",
    );
  const purge = () =>
    context.actIfSure(
      "Delete every finished job?",
      "Completed, failed and cancelled jobs and their results are deleted at once. This cannot be undone.",
      "Delete them",
      "POST",
      "/jobs/purge-finished",
      "The finished jobs are deleted",
    );
  return h(
    "div",
    { class: "row wrap" },
    h("label", { for: "state" }, "State"),
    chosen,
    search,
    context.mayChange &&
      h(
        "span",
        { class: "row right" },
        h("button", { type: "button", onclick: failed }, "Retry failed"),
        h("button", { type: "button", class: "danger", onclick: purge }, "Purge finished"),
      ),
  );
}

export function jobsPage(context) {
  const query = parameters();
  query.set("limit", "50");
  const table = h("div", { "aria-live": "off" });
  let bar = null;
  return {
    load: () => call("GET", `/api/jobs?${query}`),
    show(found, main) {
      // Keep the filters while the list below is refreshed.
      if (bar === null) {
        bar = filters(context);
        main.replaceChildren(h("section", {}, h("h2", {}, "Jobs"), bar, table));
      }
      const names = ["Job", "State", "Priority", "Submitted", "Took", "Attempts"];
      const rows = h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            names.map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        h("tbody", {}, found.jobs.map(line)),
      );
      fill(
        table,
        found.jobs.length ? rows : h("p", {}, "No jobs match."),
        h(
          "div",
          { class: "row" },
          query.get("cursor") && h("button", { type: "button", onclick: () => go({ cursor: null }) }, "Newest"),
          found.nextCursor && h("button", { type: "button", onclick: () => go({ cursor: found.nextCursor }) }, "Older"),
        ),
      );
    },
  };
}
