// Actions on many jobs: they are counted, confirmed, and then changed in steps.

import { ApiError, call } from "./api.js";
import { number } from "./dom.js";
import { confirmed, note } from "./notices.js";

const ACTIONS = {
  retry: {
    yes: "Retry them",
    done: "queued again",
    risk: "Each job gets all its attempts again. A retry repeats the effects of tools and costs again.",
  },
  cancel: {
    yes: "Cancel them",
    done: "cancelled",
    risk: "Their progress is lost. All submissions that joined them are cancelled too.",
  },
  delete: { yes: "Delete them", done: "deleted", risk: "Jobs and results are deleted at once. This cannot be undone." },
};

const jobs = (count) => (count === 1 ? "1 job" : `${number(count)} jobs`);

// Calls the API until the last step is done; `each` gets the answer of each step.
async function steps(body, each) {
  let cursor = null;
  let asOf = body.asOf;
  do {
    const answer = await call("POST", "/api/jobs/bulk", { ...body, ...(cursor && { cursor }), ...(asOf && { asOf }) });
    each(answer);
    cursor = answer.nextCursor;
    asOf = answer.asOf;
  } while (cursor);
  return asOf;
}

function report(action, counted, changed, unchanged) {
  const left = Object.entries(unchanged).map(([state, count]) => `${number(count)} ${state}`);
  const missing = counted - changed - Object.values(unchanged).reduce((sum, count) => sum + count, 0);
  if (missing > 0) left.push(`${number(missing)} no longer matched`);
  const rest = left.length ? `; since the count: ${left.join(", ")}` : "";
  return `${number(changed)} of ${jobs(counted)} ${counted === 1 ? "is" : "are"} ${ACTIONS[action].done}${rest}`;
}

// `what` is { filter } or { jobIds }, and `words` describes it. `progress` shows a text while this works.
export async function changeJobs(action, what, words, progress) {
  const { yes, risk } = ACTIONS[action];
  let counted = 0;
  let changed = 0;
  const unchanged = {};
  try {
    const asOf = await steps({ action, ...what, dryRun: true }, (answer) => {
      counted += answer.count;
      progress(`Counting: ${jobs(counted)}`);
    });
    progress("");
    if (!counted) {
      note(`No job that can be changed: ${words}`);
      return;
    }
    if (!(await confirmed(`${action[0].toUpperCase()}${action.slice(1)} ${jobs(counted)}?`, `${words}. ${risk}`, yes)))
      return;
    await steps({ action, ...what, ...(asOf && { asOf }) }, (answer) => {
      changed += answer.changed;
      for (const [state, count] of Object.entries(answer.unchanged)) unchanged[state] = (unchanged[state] ?? 0) + count;
      progress(`${number(changed)} of ${jobs(counted)}`);
    });
    note(report(action, counted, changed, unchanged));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    note(`${error.message}. ${number(changed)} of ${jobs(counted)} were changed before`, "bad");
  } finally {
    progress("");
  }
}
