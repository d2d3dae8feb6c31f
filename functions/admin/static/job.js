// The page of a job: why it waits, its request, what it writes, its answer, its timeline, and what may be done with it.

import { call } from "./api.js";
import { decision } from "./decision.js";
import { clock, duration, h, number, revealed, state, usd, visible } from "./dom.js";
import { elapsed } from "./elapsed.js";
import { history, loadSteps } from "./history.js";
import { keeper, place } from "./kept.js";
import { outputs } from "./outputs.js";
import { button, section } from "./table.js";

const pair = (label, ...value) => h("div", {}, h("dt", {}, label), h("dd", {}, ...value));
const between = (from, to) => (from && to ? duration(new Date(to) - new Date(from)) : "–");

const listOf = (name, value, text = value) =>
  h("a", { href: `#/jobs?${new URLSearchParams({ [name]: value })}` }, visible(text));

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
    pair("Ran", job.state === "active" ? elapsed(job.startedAt) : between(job.startedAt, job.finishedAt)),
    pair("Finished", clock(job.finishedAt)),
    pair("Slot", job.slot || "–"),
    pair("Caller", listOf("caller", job.caller, job.callerName ?? job.caller)),
    job.batchId && pair("Batch", listOf("batchId", job.batchId)),
    job.sessionId && pair("Session", listOf("sessionId", job.sessionId)),
    job.scheduleId && pair("Schedule", h("a", { href: `#/schedules/${job.scheduleId}` }, job.scheduleId)),
    pair("Request", job.requestId),
    job.waitingFor?.retryAt &&
      pair("Waits for Claude", `${job.waitingFor.code}, next try ${clock(job.waitingFor.retryAt)}`),
    job.waitingFor && !job.waitingFor.retryAt && pair("Waits for", job.waitingFor.code),
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
    Object.keys(job.metadata).length > 0 && pair("Metadata", visible(JSON.stringify(job.metadata))),
  );
}

function actions(job, context) {
  const path = `/jobs/${job.jobId}`;
  const ended = job.finishedAt !== null;
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
  const again = h("a", { href: `#/playground?job=${job.jobId}` }, "Submit again with changes");
  if (!context.mayChange) return h("div", { class: "row wrap" }, again);
  return h(
    "div",
    { class: "row wrap" },
    again,
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
        "danger",
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
        "danger",
      ),
  );
}

function waits(job) {
  if (!job.waits.length) return null;
  const reason = (one) =>
    h("li", {}, visible(one.message), one.jobId && [": ", h("a", { href: `#/jobs/${one.jobId}` }, one.jobId)]);
  return section("Why it waits", h("ul", { class: "waits" }, job.waits.map(reason)));
}

const answerText = () => h("pre", { class: "live-text", tabindex: "0", "aria-label": "Answer so far" });

export function jobPage(id, context) {
  const keep = keeper();
  const path = `/api/jobs/${encodeURIComponent(id)}`;
  const written = answerText();
  let cursor = null;

  // What a running job writes; the next call continues where this one ended.
  async function readText() {
    const atEnd = written.scrollTop + written.clientHeight >= written.scrollHeight - 4;
    let found = null;
    do {
      found = await call("GET", `${path}/text${cursor ? `?cursor=${cursor}` : ""}`);
      if (found.reset) written.textContent = "";
      if (found.text) written.append(visible(found.text));
      cursor = found.cursor;
    } while (found.more);
    if (atEnd) written.scrollTop = written.scrollHeight;
  }

  return {
    async load() {
      const job = await call("GET", path);
      if (job.state === "active") await readText();
      return { ...job, stepList: await loadSteps(job) };
    },
    missing(main) {
      const text = "Job not found. It may have been deleted.";
      main.replaceChildren(section("Job", h("p", {}, text)));
    },
    show(job, main) {
      const { query, ...options } = job.request;
      place(
        main,
        keep("facts", [job, context.mayChange], () =>
          h("section", {}, h("h2", { class: "id" }, job.jobId), facts(job), actions(job, context)),
        ),
        keep("waits", job.waits, () => waits(job)),
        keep("decision", [job.pending ?? null, context.mayChange], () => decision(job, context)),
        keep("query", query ?? null, () =>
          section(
            "Query",
            query ? revealed("Query", query) : h("p", {}, "The request was deleted when the job completed."),
          ),
        ),
        keep("answer", [job.result?.response ?? null, job.state === "active"], () => {
          if (job.result) return section("Answer", revealed("Answer", job.result.response));
          return job.state === "active" ? section("Answer so far", written) : null;
        }),
        keep(
          "timeline",
          [job.attempts, job.pauses, job.stepList, job.deliveries, job.startedAt, job.waitingFor, job.state],
          () => history(job),
        ),
        outputs(job),
        keep("options", options, () =>
          Object.keys(options).length
            ? section("Options", revealed("Options", JSON.stringify(options, null, 2)))
            : null,
        ),
      );
    },
  };
}
