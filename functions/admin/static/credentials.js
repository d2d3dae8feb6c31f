// Callers' credentials, without their values: the last use, and which other callers may use each.

import { call } from "./api.js";
import { form } from "./callers.js";
import { clock, h, visible } from "./dom.js";
import { note } from "./notices.js";

function share(one) {
  const field = h("textarea", { name: "users", rows: "6", cols: "44", spellcheck: "false" });
  field.value = one.users.join("\n");
  const title = `Who may use ${one.name} of ${one.callerName}`;
  form(title, "Ids of other callers, one a line ", field, "Save", async (text) => {
    const path = `/api/callers/${encodeURIComponent(one.caller)}/credentials/${encodeURIComponent(one.name)}/users`;
    await call("PUT", path, { users: text.split(/\s+/).filter(Boolean) });
    note(`The users of ${one.name} are changed`);
  });
}

export const CREDENTIAL_COLUMNS = ["Caller", "Name", "Kind", "Hosts", "Updated", "Last used", "May be used by", ""];

export const credentialRow = (context) => (one) => [
  visible(one.callerName),
  one.name,
  one.kind,
  one.hosts.join(", ") || "any",
  clock(one.updatedAt),
  one.lastUsedAt ? clock(one.lastUsedAt) : "never",
  one.users.join(", ") || "–",
  context.mayChange ? h("button", { type: "button", onclick: () => share(one) }, "Share") : "",
];
