// The timeline of a job: its tool calls and messages, each with a bar from its beginning to its end.

import { call } from "./api.js";
import { clock, duration, h, number, revealed, svg, visible } from "./dom.js";

// The steps that the page shows are the last ones of those that are kept.
const SHOWN = 100;
const KEPT = 2000;

export async function loadSteps(job) {
  if (!job.steps) return [];
  const cursor = Math.max(0, Math.min(job.steps, KEPT) - SHOWN);
  return (await call("GET", `/api/jobs/${job.jobId}/steps?limit=${SHOWN}&cursor=${cursor}`)).steps;
}

const begin = (step) => new Date(step.startedAt).getTime();

function bar(step, from, to) {
  const whole = Math.max(to - from, 1);
  const start = ((begin(step) - from) / whole) * 100;
  const width = ((step.durationMs ?? to - begin(step)) / whole) * 100;
  return svg(
    "svg",
    { class: "span", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", {
      class: `bar ${step.status}`,
      x: start.toFixed(2),
      y: 0,
      height: 1,
      width: Math.max(0.5, width).toFixed(2),
    }),
  );
}

function entry(step, from, to) {
  const given = step.kind === "message" ? step.input.text : JSON.stringify(step.input, null, 1);
  return h(
    "li",
    { class: step.parentId ? "step below" : "step" },
    h(
      "div",
      { class: "row wrap" },
      clock(step.startedAt),
      h("strong", {}, visible(step.kind === "message" ? "Message" : step.tool)),
      h("span", { class: `state ${step.status}` }, step.status),
      duration(step.durationMs),
      step.truncated && "shortened",
    ),
    bar(step, from, to),
    revealed(`Input of ${step.tool ?? "the message"}`, given),
    step.output && revealed(`Output of ${step.tool}`, step.output),
  );
}

export function timeline(job) {
  if (!job.stepList.length) return null;
  const from = begin(job.stepList[0]);
  const to = Math.max(...job.stepList.map((step) => begin(step) + (step.durationMs ?? 0)));
  const end = job.finishedAt ? Math.max(to, new Date(job.finishedAt).getTime()) : to;
  return h(
    "section",
    {},
    h("h2", {}, "Steps"),
    job.steps > job.stepList.length && h("p", {}, `${number(job.stepList.length)} of ${number(job.steps)} steps`),
    h(
      "ol",
      { class: "steps" },
      job.stepList.map((step) => entry(step, from, end)),
    ),
  );
}
