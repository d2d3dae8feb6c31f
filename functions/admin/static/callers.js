// Callers: create, rotate and revoke their keys, and edit their policies. A new key is shown once, in a dialog.

import { ApiError, call } from "./api.js";
import { clock, h, number, usd, visible } from "./dom.js";
import { note } from "./notices.js";

const button = (label, onclick, kind = "") => h("button", { type: "button", class: kind, onclick }, label);

// Show a form in a dialog of its own, which the refresh of the page does not replace. `submit` gets the text of its field;
// an error of the API stays in the dialog. `more` is an element below the field.
export function form(title, label, field, yes, submit, more = null) {
  const problem = h("p", { role: "alert" });
  const dialog = h("dialog", { "aria-label": title });
  const send = async (event) => {
    event.preventDefault();
    try {
      await submit(field.value);
      dialog.close();
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof SyntaxError)) throw error;
      problem.textContent = error.message;
    }
  };
  dialog.append(
    h(
      "form",
      { onsubmit: send },
      h("h2", {}, title),
      h("label", {}, label, field),
      more ?? "",
      problem,
      h(
        "div",
        { class: "row" },
        button("Cancel", () => dialog.close()),
        h("button", { type: "submit" }, yes),
      ),
    ),
  );
  open(dialog);
}

function open(dialog) {
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

// Show secrets until the dialog is closed.
function reveal(title, secrets) {
  const dialog = h("dialog", { "aria-label": title });
  dialog.append(
    h("h2", {}, title),
    h("p", {}, "Store it now: it is not shown again."),
    h(
      "dl",
      {},
      Object.entries(secrets).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, h("code", {}, value))]),
    ),
    h(
      "div",
      { class: "row" },
      button("Done", () => dialog.close()),
    ),
  );
  open(dialog);
}

const SCOPES = { submit: true, read: true, decide: true, "admin-read": false };

export function createCaller() {
  const field = h("input", { name: "name", required: true, maxlength: "100", autocomplete: "off" });
  const boxes = Object.entries(SCOPES).map(([name, checked]) => h("input", { type: "checkbox", name, checked }));
  const choice = h(
    "fieldset",
    {},
    h("legend", {}, "Scopes"),
    boxes.map((box) => h("label", {}, box, ` ${box.name} `)),
  );
  const create = async (name) => {
    const scopes = boxes.filter((box) => box.checked).map((box) => box.name);
    const made = await call("POST", "/api/callers", { name, scopes });
    reveal(`Key of ${made.name}`, { Key: made.key, "Webhook secret": made.webhookSecret });
  };
  form("Create a key", "Name of the caller ", field, "Create", create, choice);
}

function rotate(one) {
  const field = h("input", { name: "hours", type: "number", min: "0", max: "720", value: "24", required: true });
  form(
    `Replace the key of ${one.name}`,
    "Hours for which the present key still works ",
    field,
    "Replace",
    async (hours) => {
      const path = `/api/callers/${encodeURIComponent(one.id)}/rotate`;
      const made = await call("POST", path, { overlapSeconds: Math.round(Number(hours) * 3600) });
      reveal(`New key of ${one.name}`, { Key: made.key });
    },
  );
}

function edit(one) {
  const field = h("textarea", { name: "policy", rows: "12", cols: "44", spellcheck: "false" });
  field.value = JSON.stringify(one.policy, null, 2);
  form(`Policy of ${one.name}`, "Limits as JSON; {} for those of the deployment ", field, "Save", async (text) => {
    await call("PUT", `/api/callers/${encodeURIComponent(one.id)}/policy`, JSON.parse(text || "{}"));
    note(`The policy of ${one.name} is changed`);
  });
}

function revoke(one, context) {
  return context.actIfSure(
    `Revoke the key of ${one.name}?`,
    "The key stops working within five seconds, and unfinished jobs are cancelled. This cannot be undone.",
    "Revoke it",
    "DELETE",
    `/callers/${encodeURIComponent(one.id)}`,
    "The key is revoked",
  );
}

export const CALLER_COLUMNS = [
  "Name",
  "Id",
  "Created",
  "Last used",
  "Scopes",
  "Policy",
  "Used in 30 days",
  "Credentials",
  "",
];

export const callerRow = (context) => (one) => [
  h("a", { href: `#/jobs?${new URLSearchParams({ caller: one.id })}` }, visible(one.name)),
  one.id,
  clock(one.createdAt),
  one.lastUsedAt ? clock(one.lastUsedAt) : "never",
  one.scopes.join(", "),
  Object.keys(one.policy).length ? visible(JSON.stringify(one.policy)) : "–",
  one.used ? `${usd(one.used.costUsd)}, ${number(one.used.jobs)} jobs` : "–",
  visible(one.credentials.join(", ")) || "–",
  context.mayChange
    ? h(
        "div",
        { class: "row" },
        button("Policy", () => edit(one)),
        button("Rotate", () => rotate(one)),
        button("Revoke", () => revoke(one, context), "danger"),
      )
    : "",
];
