// Callers with their keys and policies, and the credentials that they have stored.

import { call } from "./api.js";
import { CALLER_COLUMNS, callerRow, createCaller } from "./callers.js";
import { CREDENTIAL_COLUMNS, credentialRow } from "./credentials.js";
import { h } from "./dom.js";
import { update } from "./live.js";
import { section, table } from "./table.js";

export const callersPage = (context) => ({
  async load() {
    const paths = ["/api/callers", "/api/credentials"];
    const [found, stored] = await Promise.all(paths.map((path) => call("GET", path)));
    return { callers: found.callers, credentials: stored.credentials };
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
