// The start page: submits a query, and shows its place in the queue and the answer as a stream.

import { fill, h, usd, visible } from "./dom.js";
import { follow } from "./follow.js";
import { BASE, GatewayError, read, send, sleep } from "./gateway.js";
import { duration, reasonOf, stateOf } from "./words.js";

const WATCH_EVERY = 2000;
const SUBMITS = 4;
const by = (id) => document.getElementById(id);
const [form, keyInput, query, sendButton, cancelButton] = ["form", "key", "query", "send", "cancel"].map(by);
const [outcome, state, wrong, answer, facts] = ["outcome", "state", "wrong", "answer", "facts"].map(by);
const needsKey = !keyInput.closest("[hidden]");

let current = null; // the submission that is shown: { abort, jobId, key }

const show = (text) => {
  if (state.textContent !== text) state.textContent = text;
};

async function showHealth() {
  let health = null;
  try {
    health = await (await fetch(`${BASE}health`, { cache: "no-store" })).json();
  } catch {
    // Shown as unreachable.
  }
  const place = by("health");
  place.className = health?.status === "ok" ? "live on" : "live off";
  if (health?.status === "ok") place.textContent = "ready";
  else place.textContent = health?.reason ? reasonOf(health.reason) : "the gateway does not respond";
  by("demo").hidden = !health?.credentials?.includes("demo");
  return health;
}

// The same Idempotency-Key for each try, so that a lost response does not create a second job.
async function submit(text, one) {
  const random = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"));
  const request = {
    key: one.key,
    headers: { "idempotency-key": random.join("") },
    body: { query: text },
    signal: one.signal,
  };
  for (let tries = 1; ; tries += 1) {
    try {
      return await read("POST", "api/query", request);
    } catch (error) {
      if (!(error instanceof GatewayError) || error.status !== 0 || tries === SUBMITS) throw error;
      show("The gateway does not respond; trying again");
      await sleep(500 * 2 ** tries, one.signal);
    }
  }
}

// Shows the place in the queue and the reason of the wait, until `watching` is aborted.
async function watch(one, watching) {
  try {
    for (;;) {
      const [job, health] = await Promise.all([
        read("GET", `api/query/${one.jobId}`, { key: one.key, signal: watching }),
        showHealth(),
      ]);
      if (watching.aborted) return;
      show(stateOf(job, health));
      await sleep(WATCH_EVERY, watching);
    }
  } catch {
    // The event stream reports the error.
  }
}

async function run(text, one) {
  const accepted = await submit(text, one);
  one.jobId = accepted.jobId;
  if (accepted.result) {
    ended({ state: "completed", result: accepted.result }, "Completed, from the cache");
    return;
  }
  cancelButton.disabled = false;
  let watching = null;
  const stopWatching = () => watching?.abort();
  const startWatching = () => {
    stopWatching();
    watching = new AbortController();
    watch(one, watching.signal);
  };
  one.signal.addEventListener("abort", stopWatching);
  try {
    for await (const { kind, data } of follow(one.jobId, one.key, one.signal)) {
      if (kind === "delta") {
        stopWatching();
        show("Claude is writing");
        answer.hidden = false;
        answer.append(visible(data.text));
      } else if (kind === "lost") {
        stopWatching();
        show("Connection lost; reconnecting");
      } else if (kind === "done") {
        stopWatching();
        ended(data);
      } else if (kind === "reset") {
        fill(answer);
        startWatching();
      } else if (answer.childNodes.length) {
        show("Claude is writing");
      } else {
        startWatching();
      }
    }
  } finally {
    stopWatching();
  }
}

function ended(job, words) {
  answer.setAttribute("aria-busy", "false");
  if (job.state === "completed") {
    const { response, model, usage, costUsd, durationMs } = job.result;
    answer.hidden = false;
    answer.textContent = visible(response);
    show(words ?? "Completed");
    const shown = {
      Model: model,
      Time: duration(durationMs),
      Tokens: `${usage.inputTokens} in, ${usage.outputTokens} out`,
      Cost: usd(costUsd),
    };
    fill(
      facts,
      Object.entries(shown).map(([name, value]) =>
        h("div", {}, h("dt", {}, name), h("dd", {}, visible(String(value)))),
      ),
    );
  } else if (job.state === "failed") {
    show("Failed");
    wrong.textContent = visible(`${job.error.message} (${job.error.code})`);
  } else {
    show("Cancelled");
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sendButton.disabled) return;
  query.setCustomValidity(query.value.trim() ? "" : "Enter a query.");
  if (!query.reportValidity()) return;
  const abort = new AbortController();
  const one = { abort, signal: abort.signal, jobId: null, key: needsKey ? keyInput.value.trim() : "" };
  current = one;
  sendButton.disabled = true;
  outcome.hidden = false;
  answer.hidden = true;
  answer.setAttribute("aria-busy", "true");
  wrong.textContent = "";
  fill(answer);
  fill(facts);
  show("Sending");
  try {
    await run(query.value, one);
  } catch (error) {
    if (!one.signal.aborted) {
      show("Failed");
      wrong.textContent = visible(error instanceof GatewayError ? `${error.message} (${error.code})` : String(error));
      if (error.status === 401) keyInput.focus();
    }
  } finally {
    sendButton.disabled = false;
    cancelButton.disabled = true;
    answer.setAttribute("aria-busy", "false");
    showHealth();
  }
});

cancelButton.addEventListener("click", async () => {
  const one = current;
  cancelButton.disabled = true;
  try {
    // The event stream then ends with the cancelled job.
    await send("DELETE", `api/query/${one.jobId}`, { key: one.key });
  } catch (error) {
    if (error.status === 409) return;
    wrong.textContent = visible(`Not cancelled: ${error.message}`);
    cancelButton.disabled = false;
  }
});

query.addEventListener("input", () => query.setCustomValidity(""));
query.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

by("shell").textContent = [
  `curl -X POST '${BASE}api/query' \\`,
  ...(needsKey ? ['  -H "Authorization: Bearer $KEY" \\'] : []),
  "  -H 'Content-Type: application/json' -H 'Prefer: wait=25' \\",
  '  -d \'{"query":"What is 2+2?"}\'',
].join("\n");
showHealth();
