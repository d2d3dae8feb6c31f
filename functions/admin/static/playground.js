// The playground: a form for a query with all its options, the answer as it is written, and the commands that do the same.
//
// Jobs belong to callers, so it submits with a caller's key, which stays in this page. The key's policy limits the form.

import { call } from "./api.js";
import { curl, python } from "./commands.js";
import { duration, fill, h, number, usd, visible } from "./dom.js";
import { bodyOf, fieldsOf, show } from "./fields.js";
import { parameters } from "./filter.js";
import { follow } from "./follow.js";
import { BASE, GatewayError, read, send } from "./gateway.js";
import { button, section } from "./table.js";
import { timeline } from "./timeline.js";

const PRIORITIES = ["high", "normal", "low"];
// Characters of a key's digest by which the list of callers names the key.
const SHORT = 12;
const FIRST = ["query", "model", "priority", "tools", "mcpServers"];

async function keyId(key) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
  return [...new Uint8Array(digest)]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")
    .slice(0, SHORT);
}

// The values that a policy allows, by field; what is absent is the deployment's.
function allowedBy(policy) {
  const { tools, mcpServers, agents, maxPriority, maxBudgetUsd } = policy;
  const allowed = {
    model: policy.models,
    fallbackModels: policy.models,
    tools,
    mcpServers,
    agents,
    maxBudgetUsd,
  };
  if (maxPriority) allowed.priority = PRIORITIES.slice(PRIORITIES.indexOf(maxPriority));
  return Object.fromEntries(Object.entries(allowed).filter(([, value]) => value !== undefined && value !== null));
}

async function modelsOf(key) {
  try {
    return (await read("GET", "v1/models", { key })).data.map((one) => one.id);
  } catch {
    return null; // without a valid key the field takes any name
  }
}

function stepEntry(step, known) {
  const at = known?.at ?? Date.now();
  const title = visible(step.kind === "message" ? "Message" : (step.tool ?? "Step"));
  return {
    at,
    until: step.durationMs === null ? Date.now() : at + step.durationMs,
    kind: "step",
    title,
    status: step.status,
  };
}

function outcome() {
  const [state, steps, facts] = [h("p", { role: "status" }), h("div"), h("dl", { class: "facts" })];
  const answer = h("pre", { class: "live-text", tabindex: "0", "aria-label": "Answer" });
  const found = new Map();
  const pair = (label, value) => h("div", {}, h("dt", {}, label), h("dd", {}, value));
  return {
    section: section("Answer", state, answer, facts, steps),
    say: (text) => fill(state, visible(text)),
    accepted: (jobId) => fill(facts, pair("Job", h("a", { href: `#/jobs/${jobId}` }, jobId))),
    clear: () => fill(answer),
    write: (text) => answer.append(visible(text)),
    step(step) {
      found.set(step.id, stepEntry(step, found.get(step.id)));
      fill(steps, h("h2", {}, "Steps"), timeline([...found.values()]));
    },
    end(job) {
      if (job.error) this.say(`Failed: ${job.error.message} (${job.error.code})`);
      else this.say(job.state ? `${job.state[0].toUpperCase()}${job.state.slice(1)}` : "Completed, from the cache");
      if (!job.result) return;
      const { response, model, usage, costUsd, durationMs } = job.result;
      answer.textContent = visible(response);
      facts.append(
        pair("Model", visible(model)),
        pair("Cost", usd(costUsd)),
        pair("Time", duration(durationMs)),
        pair("Tokens", `${number(usage.inputTokens)} in, ${number(usage.outputTokens)} out`),
      );
    },
  };
}

async function run(body, key, signal, shown, accepted) {
  const random = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join("-");
  const answer = await read("POST", "api/query", { key, body, signal, headers: { "idempotency-key": random } });
  shown.accepted(answer.jobId);
  if (answer.result) {
    shown.end(answer);
    return;
  }
  accepted(answer.jobId);
  for await (const { kind, data } of follow(answer.jobId, key, signal)) {
    if (kind === "delta") shown.write(data.text);
    else if (kind === "reset") shown.clear();
    else if (kind === "step") shown.step(data);
    else if (kind === "state") shown.say(data.state);
    else if (kind === "retry") shown.say(`Claude responded ${data.code}; the gateway tries again`);
    else if (kind === "lost") shown.say("Connection lost; reconnecting");
    else if (kind === "done") shown.end(data);
  }
}

export function playgroundPage() {
  const from = parameters().get("job");
  let content = null;
  let fields = [];
  let running = null;
  const keyField = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false" });
  const [owner, wrong, form, below] = [
    h("small"),
    h("p", { class: "wrong", role: "alert" }),
    h("form"),
    h("div", { class: "stack" }),
  ];

  function build(allowed, suggested, values) {
    const { schema, schemas } = content;
    fields = fieldsOf(schema, schemas, allowed, suggested);
    for (const field of fields) show(field, values[field.name]);
    const first = FIRST.map((name) => fields.find((field) => field.name === name));
    const rest = fields.filter((field) => !FIRST.includes(field.name));
    fill(
      form,
      first.map((field) => field.row),
      h(
        "details",
        {},
        h("summary", {}, "More options"),
        h(
          "div",
          { class: "fields" },
          rest.map((field) => field.row),
        ),
      ),
      wrong,
      h(
        "div",
        { class: "row wrap" },
        h("button", { class: "main" }, "Submit"),
        button("Cancel the job", cancel, "danger"),
        button("Show as curl and Python", showCommands),
      ),
    );
  }

  // What was typed stays when the key changes the form.
  async function applyKey() {
    const key = keyField.value.trim();
    const known = key ? content.callers.find((one) => one.keyId === content.keyId) : null;
    fill(
      owner,
      known
        ? `Submits as ${visible(known.name)}, within its policy.`
        : key
          ? "The key belongs to no caller."
          : "Not needed where AUTH_ENABLED is false.",
    );
    const kept = fields.length ? bodyOf(fields) : content.values;
    build(allowedBy(known?.policy ?? {}), { model: await modelsOf(key) }, kept);
  }

  const attempt = async (work) => {
    wrong.textContent = "";
    try {
      await work();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof GatewayError || error instanceof SyntaxError)) throw error;
      wrong.textContent = visible(error.code ? `${error.message} (${error.code})` : error.message);
    }
  };

  const cancel = () =>
    attempt(async () => {
      if (running?.jobId) await send("DELETE", `api/query/${running.jobId}`, { key: running.key });
    });

  const showCommands = () =>
    attempt(async () => {
      const [body, hasKey] = [bodyOf(fields), keyField.value.trim() !== ""];
      const shown = (label, text) =>
        h("div", { class: "text" }, h("h2", {}, label), h("pre", { tabindex: "0", "aria-label": label }, text));
      const commands = section(
        "Commands",
        shown("curl", curl(BASE, body, hasKey)),
        shown("Python", python(BASE, body, hasKey)),
      );
      fill(below, commands);
    });

  form.onsubmit = (event) => {
    event.preventDefault();
    running?.abort.abort();
    const one = { abort: new AbortController(), jobId: null, key: keyField.value.trim() };
    running = one;
    addEventListener("hashchange", () => one.abort.abort(), { once: true });
    attempt(async () => {
      const body = bodyOf(fields);
      const shown = outcome();
      fill(below, shown.section);
      shown.say("Sending");
      try {
        await run(body, one.key, one.abort.signal, shown, (jobId) => {
          one.jobId = jobId;
        });
      } catch (error) {
        shown.say("Failed");
        throw error;
      }
    });
  };

  keyField.onchange = () =>
    attempt(async () => {
      content.keyId = await keyId(keyField.value.trim());
      await applyKey();
    });

  return {
    async load() {
      if (content) return "shown";
      const [document, { callers }, job] = await Promise.all([
        read("GET", "openapi.json"),
        call("GET", "/api/callers"),
        from ? call("GET", `/api/jobs/${encodeURIComponent(from)}`) : null,
      ]);
      const { schemas } = document.components;
      const values = job ? { ...job.request, priority: job.priority, metadata: job.metadata } : {};
      content = { schema: schemas.SubmitRequest, schemas, callers, values, keyId: null };
      return "shown";
    },
    missing: (main) =>
      main.replaceChildren(section("Playground", h("p", {}, "Job not found. It may have been deleted."))),
    async show(_, main) {
      const key = h("div", { class: "field" }, h("label", { for: "key" }, "API key"), keyField, owner);
      const gone =
        from &&
        !content.values.query &&
        h("p", {}, "The query was deleted when the job completed; the other options are below.");
      main.replaceChildren(section("Playground", gone, key, form), below);
      await applyKey();
    },
  };
}
