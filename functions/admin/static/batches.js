// Batches of all callers, and the sessions that can be continued.

import { clock, h, number, state, visible } from "./dom.js";
import { pagedList } from "./paged.js";

function progress({ total, left, completed, failed, cancelled }) {
  const ended = { completed, failed, cancelled };
  const words = Object.entries(ended).filter(([, count]) => count);
  const text = [
    `${number(total - left)} of ${number(total)}`,
    ...words.map(([name, count]) => `${number(count)} ${name}`),
  ];
  return h(
    "span",
    { class: "row wrap" },
    h("meter", { max: total, value: total - left, "aria-label": "Ended jobs" }),
    text.join(", "),
  );
}

export const batchesPage = () =>
  pagedList({
    name: "batches",
    title: "Batches",
    field: "batches",
    columns: ["Batch", "Caller", "State", "Ended jobs", "Created", "Ended", "Deleted"],
    row: (one) => [
      h("a", { href: `#/jobs?batchId=${one.batchId}` }, one.batchId),
      visible(one.callerName),
      state(one.state),
      progress(one.counts),
      clock(one.createdAt),
      clock(one.finishedAt),
      clock(one.expiresAt),
    ],
    none: "No caller has a batch.",
  });

export const sessionsPage = () =>
  pagedList({
    name: "sessions",
    title: "Sessions",
    field: "sessions",
    columns: ["Session", "Caller", "Unfinished jobs", "Size", "Expires"],
    row: (one) => [
      h("a", { href: `#/jobs?sessionId=${encodeURIComponent(one.sessionId)}` }, visible(one.sessionId)),
      visible(one.callerName),
      number(one.unfinishedJobs),
      `${number(one.bytes / 1024)} KB`,
      clock(one.expiresAt),
    ],
    none: "No session is kept.",
  });
