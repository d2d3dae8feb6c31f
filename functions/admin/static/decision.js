// The call that a paused job waits for, and the form that decides it.

import { clock, h, revealed } from "./dom.js";

// The call may hold anything: only questions and labels that are text are shown.
const isText = (value) => typeof value === "string";
const questionsOf = (pending) =>
  (Array.isArray(pending.input.questions) ? pending.input.questions : []).filter((one) => isText(one?.question));
const labelsOf = (one) => (Array.isArray(one.options) ? one.options : []).map((option) => option?.label).filter(isText);

// Writes an escape for each character that is not shown as it is: a person decides on what is shown, and that is what is made.
const exact = (text) =>
  text.replace(/(?![\n ])[\p{C}\p{Z}]/gu, (found) =>
    [...Array(found.length).keys()].map((at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );

function answersIn(form, questions) {
  const answers = {};
  questions.forEach((one, place) => {
    const chosen = [...form.querySelectorAll(`[name="answer-${place}"]:checked`)].map((field) => field.value);
    const other = form.querySelector(`[name="other-${place}"]`).value.trim();
    const all = other ? [...chosen, other] : chosen;
    if (all.length) answers[one.question] = one.multiSelect === true ? all : all.at(-1);
  });
  return answers;
}

function question(one, place) {
  const type = one.multiSelect === true ? "checkbox" : "radio";
  return h(
    "fieldset",
    {},
    h("legend", {}, exact(one.question)),
    labelsOf(one).map((label) =>
      h("label", {}, h("input", { type, name: `answer-${place}`, value: label }), ` ${exact(label)}`),
    ),
    h("label", {}, "Another answer ", h("input", { name: `other-${place}` })),
  );
}

export function decision(job, context) {
  const pending = job.pending;
  if (!pending) return null;
  const questions = pending.kind === "question" ? questionsOf(pending) : [];
  const form = h("form", {}, questions.map(question));
  const message = h("textarea", { id: "decision-message", rows: "2", maxlength: "4000" });
  const send = (choice) => {
    const body = { decision: choice };
    if (choice === "deny" && message.value) body.message = message.value;
    if (choice === "allow" && questions.length) body.answers = answersIn(form, questions);
    const done = choice === "allow" ? "The call is allowed" : "The call is denied";
    return context.act("POST", `/jobs/${job.jobId}/decisions/${pending.id}`, done, body);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send("allow");
  });
  form.append(
    h("label", { for: "decision-message" }, "Message to the model, with a denial"),
    message,
    h(
      "div",
      { class: "row" },
      h("button", {}, questions.length ? "Answer" : "Allow"),
      h("button", { type: "button", class: "danger", onclick: () => send("deny") }, "Deny"),
    ),
  );
  return h(
    "section",
    { "aria-label": "Decision" },
    h("h2", {}, `Waits for a decision: ${exact(pending.tool)}`),
    h("p", {}, "Open until ", clock(pending.expiresAt)),
    questions.length ? null : revealed("Call", exact(JSON.stringify(pending.input, null, 2))),
    context.mayChange && form,
  );
}
