// Callers with their keys, their policies and what they used, and the credentials that they have stored.

import { call } from "./api.js";
import { CALLER_COLUMNS, callerRow, createCaller } from "./callers.js";
import { CREDENTIAL_COLUMNS, credentialRow } from "./credentials.js";
import { h } from "./dom.js";
import { update } from "./live.js";
import { section, table } from "./table.js";

export const callersPage = (context) => ({
  async load() {
    const paths = ["/api/callers", "/api/credentials", "/api/usage?by=caller&days=30"];
    const [found, stored, usage] = await Promise.all(paths.map((path) => call("GET", path)));
    const used = new Map(usage.rows.map((row) => [row.caller, row]));
    const callers = found.callers.map((one) => ({ ...one, used: used.get(one.id) }));
    return { callers, credentials: stored.credentials };
  },
  show({ callers, credentials }, main) {
    update(
      main,
      section(
        "Callers",
        context.mayChange && h("button", { type: "button", onclick: createCaller }, "Create a key"),
        table(CALLER_COLUMNS, callers.map(callerRow(context)), "No caller has a key."),
      ),
      section(
        "Credentials",
        table(CREDENTIAL_COLUMNS, credentials.map(credentialRow(context)), "No caller has stored a credential."),
      ),
    );
  },
});
