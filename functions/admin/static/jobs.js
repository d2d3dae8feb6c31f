// The list of jobs, newest first, in pages; searched, filtered, and changed many at once. The URL has the filter.

import { ApiError, call } from "./api.js";
import { changeJobs } from "./bulk.js";
import { clock, duration, fill, h, number, state, usd, visible } from "./dom.js";
import { elapsed } from "./elapsed.js";
import { filters, paging, parameters } from "./filter.js";
import { update } from "./live.js";
import { button, section, table } from "./table.js";

const STATES = ["waiting", "active", "delayed", "paused", "completed", "failed", "cancelled"];
const FIELDS = [
  { name: "id", label: "Id", hint: "job, request, batch, session …" },
  { name: "state", label: "State", options: [["", "all"], ...STATES.map((name) => [name, name])] },
  { name: "caller", label: "Caller", hint: "name or id" },
  { name: "metadata", label: "Metadata", hint: "key=value" },
];
const MORE = [
  { name: "code", label: "Error code" },
  { name: "model", label: "Model" },
  { name: "createdSince", label: "Submitted since", time: true },
  { name: "createdUntil", label: "Submitted until", time: true },
  { name: "batchId", label: "Batch" },
  { name: "sessionId", label: "Session" },
  { name: "scheduleId", label: "Schedule" },
];
const NAMES = [...FIELDS, ...MORE].map((field) => field.name);
const PAGE = 50;
// Requests that one search makes at most; each examines hundreds of jobs.
const MOST_REQUESTS = 400;

// The filter in the URL, as the body of an action on many jobs has it.
function filterOf(query) {
  const filter = {};
  for (const name of NAMES) if (query.get(name)) filter[name] = query.get(name);
  if (filter.metadata) filter.metadata = [filter.metadata];
  return filter;
}

// A search that finds few jobs takes several requests.
async function search(query, progress) {
  const wanted = new URLSearchParams(query);
  const found = { jobs: [], nextCursor: query.get("cursor"), requests: 0 };
  let examined = 0;
  do {
    wanted.set("limit", String(PAGE - found.jobs.length));
    if (found.nextCursor) wanted.set("cursor", found.nextCursor);
    let page = null;
    try {
      page = await call("GET", `/api/jobs?${wanted}`);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 422) throw error;
      return { jobs: [], nextCursor: null, requests: MOST_REQUESTS, problem: error.message };
    }
    found.jobs.push(...page.jobs);
    found.nextCursor = page.nextCursor;
    found.requests += 1;
    examined += page.examined;
    if (found.nextCursor && found.jobs.length < PAGE) progress(`Searching: ${number(examined)} jobs examined`);
  } while (found.nextCursor && found.jobs.length < PAGE && found.requests < MOST_REQUESTS);
  progress("");
  return found;
}

function took(job) {
  if (job.durationMs !== null) return duration(job.durationMs);
  return job.state === "active" && job.startedAt ? elapsed(job.startedAt) : "–";
}

const COLUMNS = ["Query", "Caller", "Model", "State", "Submitted", "Took", "Cost"];
const line = (job) => [
  h(
    "a",
    { href: `#/jobs/${job.jobId}` },
    h("span", { class: "words" }, visible(job.words ?? "The query was deleted")),
    h("span", { class: "code" }, job.jobId),
  ),
  visible(job.callerName ?? job.caller),
  visible(job.model ?? "–"),
  h("span", {}, state(job.state), job.error && h("span", { class: "code" }, job.error.code)),
  clock(job.createdAt),
  took(job),
  job.costUsd ? usd(job.costUsd) : "–",
];

function described(filter) {
  const parts = Object.entries(filter).map(([name, value]) => `${name} ${value}`);
  return parts.length ? `All jobs with ${visible(parts.join(", "))}` : "All jobs of all callers";
}

export function jobsPage(context) {
  const query = parameters();
  for (const name of [...query.keys()]) if (![...NAMES, "cursor"].includes(name)) query.delete(name);
  const filter = filterOf(query);
  const rows = h("div", { class: "rows", "aria-live": "off" });
  const progress = h("span", { class: "code", role: "status" });
  const say = (text) => fill(progress, text);
  const chosen = new Set();
  const which = h("span", { class: "code" });
  let shown = null;
  let searching = null;
  const name = () => fill(which, chosen.size ? `${number(chosen.size)} selected` : "all that match");

  function box(job) {
    const input = h("input", { type: "checkbox", "aria-label": `Select ${job.jobId}`, value: job.jobId });
    input.onchange = (event) => {
      if (event.target.checked) chosen.add(job.jobId);
      else chosen.delete(job.jobId);
      name();
    };
    return input;
  }

  const page = {
    async load() {
      // A search through many jobs is not repeated every two seconds.
      if (shown && shown.requests > 2 && searching === null) return shown;
      searching ??= search(query, say).finally(() => {
        searching = null;
      });
      shown = await searching;
      return shown;
    },
    show(found, main) {
      if (!rows.isConnected) {
        const act = (action) => async () => {
          const what = chosen.size ? { jobIds: [...chosen] } : { filter };
          const words = chosen.size ? `The ${number(chosen.size)} selected jobs` : described(filter);
          await changeJobs(action, what, words, say);
          chosen.clear();
          name();
          shown = null;
          const content = await page.load();
          page.text = JSON.stringify(content);
          page.show(content, main);
        };
        name();
        const actions = h(
          "div",
          { class: "row wrap" },
          button("Retry", act("retry")),
          button("Cancel", act("cancel"), "danger"),
          button("Delete", act("delete"), "danger"),
          which,
        );
        const values = Object.fromEntries(query);
        main.replaceChildren(
          section("Jobs", filters(FIELDS, values, { more: MORE }), context.mayChange && actions, progress, rows),
        );
      }
      const columns = context.mayChange ? ["", ...COLUMNS] : COLUMNS;
      const cells = found.jobs.map((job) => (context.mayChange ? [box(job), ...line(job)] : line(job)));
      const none = found.problem ?? (found.nextCursor ? "No job was found yet." : "No jobs match.");
      update(
        rows,
        table(columns, cells, none, { numbers: ["Took", "Cost"], kind: "jobs" }),
        paging(query.get("cursor"), found.nextCursor),
      );
      // A box that is shown may have become that of another job.
      for (const one of rows.querySelectorAll("input[value]")) one.checked = chosen.has(one.value);
    },
  };
  return page;
}
