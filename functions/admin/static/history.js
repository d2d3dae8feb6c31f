// The timeline of a job: its wait, its attempts and their requests to Claude, its steps, its pauses with who decided, and the
// deliveries of its webhooks.

import { call } from "./api.js";
import { clock, number, revealed, visible } from "./dom.js";
import { section } from "./table.js";
import { timeline } from "./timeline.js";

// The steps that the page shows are the last ones of those that are kept.
const SHOWN = 100;
const KEPT = 2000;

export async function loadSteps(job) {
  if (!job.steps) return [];
  const cursor = Math.max(0, Math.min(job.steps, KEPT) - SHOWN);
  return (await call("GET", `/api/jobs/${job.jobId}/steps?limit=${SHOWN}&cursor=${cursor}`)).steps;
}

const ms = (text) => new Date(text).getTime();
const joined = (...parts) => visible(parts.filter((part) => part).join(" "));

function wait(job) {
  const until = job.startedAt ?? job.finishedAt;
  return {
    at: ms(job.createdAt),
    until: until ? ms(until) : Date.now(),
    kind: "wait",
    title: "Waited",
    status: "delayed",
    label: "",
  };
}

function attempts(job) {
  return job.attempts.flatMap((one, index) => [
    {
      at: ms(one.startedAt),
      until: ms(one.endedAt),
      kind: "attempt",
      title: `Attempt ${index + 1}`,
      status: one.code ? "failed" : "completed",
      label: one.code ?? "completed",
      details: [joined(one.model, !one.counts && "not counted: the queue was held")],
    },
    ...one.requests.map((request) => ({
      at: ms(request.at),
      until: ms(request.at),
      kind: "request",
      title: joined("Claude responded", request.status ?? "nothing", request.type),
      status: "failed",
      label: "",
      details: [joined(request.message, request.requestId)],
    })),
  ]);
}

const OUTCOMES = {
  allow: "allowed",
  deny: "denied",
  expired: "nobody decided in time",
  cancelled: "the job was cancelled",
};
const WHO = { caller: "by its caller", url: "at its one-use URL", admin: "by the admin" };

const pauses = (job) =>
  job.pauses.map((one) => ({
    at: ms(one.askedAt),
    until: ms(one.endedAt),
    kind: "pause",
    title: visible(`Paused for a decision: ${one.tool}`),
    status: "delayed",
    label: joined(OUTCOMES[one.outcome], WHO[one.by]),
    details: ["Decided at ", clock(one.endedAt)],
  }));

function present(job) {
  if (job.pending)
    return [
      {
        at: ms(job.pending.askedAt),
        until: Date.now(),
        kind: "pause",
        title: joined("Waits for a decision:", job.pending.tool),
        status: "delayed",
        label: "paused",
      },
    ];
  if (job.state !== "active") return [];
  const begun = job.attempts.length ? ms(job.attempts.at(-1).endedAt) : ms(job.startedAt);
  const running = {
    at: begun,
    until: Date.now(),
    kind: "attempt",
    title: `Attempt ${job.attempts.length + 1}`,
    status: "active",
  };
  if (!job.waitingFor) return [running];
  const { code, since, retryAt } = job.waitingFor;
  const details = retryAt ? ["The next request is sent at ", clock(retryAt)] : [];
  return [
    running,
    { at: ms(since), until: Date.now(), kind: "pause", title: `Waits: ${code}`, status: "delayed", label: "", details },
  ];
}

const steps = (job) =>
  job.stepList.map((step) => ({
    at: ms(step.startedAt),
    until: step.durationMs === null ? Date.now() : ms(step.startedAt) + step.durationMs,
    kind: step.parentId ? "step below" : "step",
    title: visible(step.kind === "message" ? "Message" : step.tool),
    status: step.status,
    details: [
      step.truncated && "shortened",
      revealed(
        `Input of ${step.tool ?? "the message"}`,
        step.kind === "message" ? step.input.text : JSON.stringify(step.input, null, 1),
      ),
      step.output && revealed(`Output of ${step.tool}`, step.output),
    ].filter((part) => part),
  }));

const deliveries = (job) =>
  job.deliveries.map((one) => ({
    at: ms(one.at),
    until: ms(one.at) + one.durationMs,
    kind: "delivery",
    title: `Webhook ${one.event}, attempt ${one.attempt}`,
    status: one.error ? "failed" : "completed",
    label: joined(one.statusCode && String(one.statusCode), one.error),
    details: [
      joined(one.url),
      one.nextAttemptAt && " next attempt ",
      one.nextAttemptAt && clock(one.nextAttemptAt),
    ].filter((part) => part),
  }));

export function history(job) {
  const left = job.steps - job.stepList.length;
  return section(
    "Timeline",
    left > 0 && `The first ${number(left)} of ${number(job.steps)} steps are not shown.`,
    timeline([wait(job), ...attempts(job), ...pauses(job), ...present(job), ...steps(job), ...deliveries(job)]),
  );
}
