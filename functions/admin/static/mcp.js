// The MCP servers with the tools that a worker has read, and a trial of which servers a query gets and why.

import { ApiError, call } from "./api.js";
import { h, number, visible } from "./dom.js";
import { update } from "./live.js";
import { section, table } from "./table.js";

function tools(one) {
  if (one.tools === null) return "not read yet";
  if (!one.tools.length) return "none";
  return h(
    "details",
    {},
    h("summary", {}, `${number(one.tools.length)} tools`),
    h(
      "ul",
      { class: "tools" },
      one.tools.map((tool) => h("li", {}, h("code", {}, visible(tool.name)), " ", visible(tool.description))),
    ),
  );
}

const kinds = (one) =>
  [one.type, one.shared && "shared", one.required && "required", one.always && "always"].filter(Boolean).join(", ");

const row = (one) => [
  one.name,
  kinds(one),
  visible(one.description) || "–",
  one.keywords.map(visible).join(", ") || "–",
  number(one.examples.length),
  tools(one),
];
const COLUMNS = ["Server", "Kind", "Description", "Keywords", "Examples", "Tools"];
// With MCP_LEARN: how many of the jobs that were offered the server have used it.
const use = ({ learned }) => (learned ? `${number(learned.used)} of ${number(learned.offered)} jobs` : "–");

const forget = (context) =>
  context.actIfSure(
    "Forget what was learned?",
    "The router no longer knows which servers the jobs of the last 30 to 60 days used.",
    "Forget",
    "DELETE",
    "/mcp/learned",
    "What was learned is deleted",
  );

function verdict(found) {
  const best = found.servers.length ? `This query gets ${found.servers.join(", ")}.` : "This query gets no server.";
  const rows = found.scores.map((one) => [
    one.server,
    found.servers.includes(one.server) ? h("strong", {}, "chosen") : "not chosen",
    h(
      "span",
      { class: "row" },
      h("meter", { min: 0, max: 1, value: one.score, "aria-label": `Score of ${one.server}` }),
      one.score.toFixed(3),
    ),
    one.reasons.length ? one.reasons.map(visible).join("; ") : "nothing in the query fits",
  ]);
  return [h("p", { role: "status" }, best), table(["Server", "Outcome", "Score", "Why"], rows, "There is no server.")];
}

function trial() {
  const query = h("textarea", { id: "query", rows: 3, required: true, maxlength: 100_000 });
  const problem = h("p", { class: "wrong", role: "alert" });
  const result = h("div", { class: "result" });
  const submit = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      update(result, ...verdict(await call("POST", "/api/mcp/route", { query: query.value })));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem.textContent = error.message;
    }
  };
  const form = h(
    "form",
    { class: "trial", onsubmit: submit },
    h("label", { for: "query" }, "Query"),
    query,
    h("button", { type: "submit", class: "main" }, "Try"),
  );
  return section("Which servers does a query get?", form, problem, result);
}

export function mcpPage(context) {
  const servers = h("div");
  let isBuilt = false;
  return {
    load: () => call("GET", "/api/mcp"),
    show(found, main) {
      if (!isBuilt) {
        isBuilt = true;
        main.replaceChildren(section("MCP servers", servers), found.enabled ? trial() : "");
      }
      const none = found.enabled ? "MCP_CONFIG has no server." : "MCP is off. Set MCP_ENABLED to use MCP servers.";
      const learns = found.servers.some((one) => one.learned);
      const rows = found.servers.map((one) => (learns ? [...row(one), use(one)] : row(one)));
      const button = h("button", { type: "button", onclick: () => forget(context) }, "Forget what was learned");
      update(
        servers,
        table(learns ? [...COLUMNS, "Used by"] : COLUMNS, rows, none),
        learns && context.mayChange ? button : "",
      );
    },
  };
}
