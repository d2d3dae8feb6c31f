// The page of a job: request, result, times, cost, attempts and webhooks.

import { call } from "./api.js";
import { decision } from "./decision.js";
import { clock, duration, fill, h, number, revealed, state, usd } from "./dom.js";
import { outputs } from "./outputs.js";
import { loadSteps, timeline } from "./steps.js";

const pair = (label, ...value) => h("div", {}, h("dt", {}, label), h("dd", {}, ...value));
const between = (from, to) => (from && to ? duration(new Date(to) - new Date(from)) : "–");

const why = (name, mcp) =>
  mcp.scores.find((score) => score.server === name)?.reasons.join(", ") || "named in the request";
const servers = (job) =>
  job.mcpServers
    .map((name) => `${name} (${job.mcp.unavailable.includes(name) ? "unavailable; " : ""}${why(name, job.mcp)})`)
    .join("; ");

function facts(job) {
  const usage = job.result?.usage;
  return h(
    "dl",
    { class: "facts" },
    pair("State", state(job.state), job.error && ` ${job.error.code}: ${job.error.message}`),
    pair("Progress", `${job.progress} %`),
    pair("Priority", job.priority),
    pair(
      "Attempts",
      String(job.attemptsDetail.length),
      job.workersLost ? `, ${job.workersLost} lost with a worker` : "",
    ),
    pair("Submitted", clock(job.createdAt)),
    pair("Waited", between(job.createdAt, job.startedAt)),
    pair("Ran", between(job.startedAt, job.finishedAt)),
    pair("Finished", clock(job.finishedAt)),
    pair("Slot", job.slot || "–"),
    pair("Caller", job.caller),
    pair("Request", job.requestId),
    job.waitingFor?.retryAt &&
      pair("Waits for Claude", `${job.waitingFor.code}, next try ${clock(job.waitingFor.retryAt)}`),
    job.waitingFor && !job.waitingFor.retryAt && pair("Waits for", job.waitingFor.code),
    job.queuePosition !== null && pair("Jobs ahead of it", number(job.queuePosition)),
    job.runAnew > 0 && pair("Retried", `${job.runAnew} times`),
    job.result && pair("Model", job.result.model),
    job.costUsd > 0 && pair("Cost of all attempts", usd(job.costUsd)),
    usage &&
      pair(
        "Tokens",
        `${number(usage.inputTokens)} in, ${number(usage.outputTokens)} out, ${number(usage.cacheReadTokens)} cached`,
      ),
    pair("Cached", job.cached ? "yes, for identical queries" : "no"),
    job.mcpServers.length > 0 && pair("MCP servers", servers(job)),
    Object.keys(job.metadata).length > 0 && pair("Metadata", JSON.stringify(job.metadata)),
  );
}

const answerOf = (one) =>
  [one.status ?? "nothing", one.type, one.message, one.requestId].filter((part) => part).join(" ");

function attempts(job) {
  return (
    job.attempts.length > 0 &&
    h(
      "section",
      {},
      h("h2", {}, "Attempts"),
      h(
        "ol",
        {},
        job.attempts.map((one) =>
          h(
            "li",
            {},
            `${clock(one.startedAt)}, ${between(one.startedAt, one.endedAt)}: ${one.code ?? "completed"}`,
            one.model && ` (${one.model})`,
            !one.counts && ", not counted: the queue was held",
            one.requests.length > 0 &&
              h(
                "ul",
                {},
                one.requests.map((request) =>
                  h("li", {}, `${clock(request.at)} Claude responded ${answerOf(request)}`),
                ),
              ),
          ),
        ),
      ),
    )
  );
}

function actions(job, context) {
  const path = `/jobs/${job.jobId}`;
  const ended = job.finishedAt !== null;
  const button = (label, act, danger) =>
    h("button", { type: "button", class: danger ? "danger" : null, onclick: act }, label);
  const priority = h(
    "select",
    {
      id: "priority",
      onchange: (event) =>
        context.act("POST", `${path}/priority`, `The priority is now ${event.target.value}`, {
          priority: event.target.value,
        }),
    },
    ["high", "normal", "low"].map((name) => h("option", { value: name, selected: job.priority === name }, name)),
  );
  return h(
    "div",
    { class: "row wrap" },
    (job.state === "failed" || job.state === "cancelled") &&
      button("Retry", () =>
        context.actIfSure(
          "Retry this job?",
          "The job gets all its attempts again. A retry repeats the effects of tools and costs again.",
          "Retry the job",
          "POST",
          `${path}/retry`,
          "The job is queued again",
        ),
      ),
    !ended &&
      button(
        "Cancel",
        () =>
          context.actIfSure(
            "Cancel this job?",
            "Its progress is lost. All submissions that joined it are cancelled too.",
            "Cancel the job",
            "POST",
            `${path}/cancel`,
            "The job is cancelled",
          ),
        true,
      ),
    !ended && h("label", { for: "priority" }, "Priority"),
    !ended && priority,
    ended &&
      job.deliveries.length > 0 &&
      button("Send webhooks again", () => context.act("POST", `${path}/redeliver`, "The webhooks are sent again")),
    job.cached &&
      button("Delete the cached answer", () =>
        context.actIfSure(
          "Delete the cached answer?",
          "The next identical query runs a new job.",
          "Delete it",
          "DELETE",
          `/cache?jobId=${job.jobId}`,
          "The cached answer is deleted",
        ),
      ),
    ended &&
      button(
        "Delete",
        () =>
          context.actIfSure(
            "Delete this job?",
            "The job and its result are deleted at once. This cannot be undone.",
            "Delete it",
            "DELETE",
            path,
            "The job is deleted",
          ),
        true,
      ),
  );
}

function deliveries(job) {
  if (!job.deliveries.length) return null;
  const names = ["At", "Event", "Attempt", "Status", "Took", "Error", "Next", "URL"];
  return h(
    "section",
    {},
    h("h2", {}, "Webhooks"),
    h(
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
      h(
        "tbody",
        {},
        job.deliveries.map((one) =>
          h(
            "tr",
            {},
            h("td", { "data-label": "At" }, clock(one.at)),
            h("td", { "data-label": "Event" }, one.event),
            h("td", { "data-label": "Attempt", class: "number" }, String(one.attempt)),
            h("td", { "data-label": "Status" }, one.statusCode === null ? "–" : String(one.statusCode)),
            h("td", { "data-label": "Took", class: "number" }, duration(one.durationMs)),
            h("td", { "data-label": "Error" }, one.error || "–"),
            h("td", { "data-label": "Next" }, clock(one.nextAttemptAt)),
            h("td", { "data-label": "URL", class: "long" }, one.url),
          ),
        ),
      ),
    ),
  );
}

export const jobPage = (id, context) => ({
  async load() {
    const job = await call("GET", `/api/jobs/${encodeURIComponent(id)}`);
    return { ...job, stepList: await loadSteps(job) };
  },
  missing(main) {
    main.replaceChildren(h("section", {}, h("h2", {}, "Job"), h("p", {}, "Job not found. It may have been deleted.")));
  },
  show(job, main) {
    const { query, ...options } = job.request;
    fill(
      main,
      h("section", {}, h("h2", { class: "id" }, job.jobId), facts(job), context.mayChange && actions(job, context)),
      decision(job, context),
      query
        ? h("section", {}, h("h2", {}, "Query"), revealed("Query", query))
        : h("p", {}, "The request was deleted when the job completed."),
      Object.keys(options).length > 0 &&
        h("section", {}, h("h2", {}, "Options"), revealed("Options", JSON.stringify(options, null, 2))),
      job.result && h("section", {}, h("h2", {}, "Answer"), revealed("Answer", job.result.response)),
      timeline(job),
      ...outputs(job),
      attempts(job),
      deliveries(job),
    );
  },
});
