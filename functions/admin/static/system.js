// The parts of the deployment: workers, callers, credentials, failing webhook hosts, the cache.

import { call } from "./api.js";
import { CALLER_COLUMNS, callerRow, createCaller } from "./callers.js";
import { CREDENTIAL_COLUMNS, credentialRow } from "./credentials.js";
import { clock, h, number, usd } from "./dom.js";
import { section, table } from "./table.js";

function workers(stats) {
  const rows = stats.workers.map((one) => [
    one.worker,
    String(one.slots),
    one.cli || "unknown",
    one.credentials,
    one.sandbox,
  ]);
  return section("Workers", table(["Worker", "Slots", "CLI", "Credentials", "Sandbox"], rows, "No live worker."));
}

function callers(found, context) {
  return section(
    "Callers",
    context.mayChange && h("button", { type: "button", onclick: createCaller }, "Create a key"),
    table(CALLER_COLUMNS, found.map(callerRow(context)), "No caller has a key."),
  );
}

function credentials(found, context) {
  return section(
    "Credentials",
    table(CREDENTIAL_COLUMNS, found.map(credentialRow(context)), "No caller has stored a credential."),
  );
}

function hosts(stats, context) {
  const resume = (one) =>
    h(
      "button",
      {
        type: "button",
        onclick: () =>
          context.act(
            "POST",
            `/webhooks/hosts/${encodeURIComponent(one.host)}/resume`,
            `Deliveries to ${one.host} are resumed`,
          ),
      },
      "Resume",
    );
  const rows = stats.webhooks.hosts.map((one) => [
    one.host,
    number(one.failures),
    clock(one.failingSince),
    clock(one.pausedSince),
    context.mayChange ? resume(one) : "",
  ]);
  const names = ["Host", "Failures", "Failing since", "Paused since", ""];
  return section("Failing webhook hosts", table(names, rows, "No host is failing."));
}

function cache(stats, context) {
  const clear = () =>
    context.actIfSure(
      "Clear the cache?",
      `${stats.cache.entries} answers are deleted. Their queries run again at the next submission.`,
      "Clear it",
      "DELETE",
      "/cache",
      "The cache is empty",
    );
  const summary = `${number(stats.cache.entries)} answers, ${number(stats.cache.hits)} hits, ${usd(stats.cache.savedUsd)} saved.`;
  return section(
    "Cache",
    h("p", {}, summary),
    context.mayChange && h("button", { type: "button", class: "danger", onclick: clear }, "Clear the cache"),
  );
}

export const systemPage = (context) => ({
  async load() {
    const paths = ["/api/stats", "/api/callers", "/api/credentials"];
    const [stats, found, stored] = await Promise.all(paths.map((path) => call("GET", path)));
    return {
      workers: stats.workers,
      webhooks: stats.webhooks,
      cache: stats.cache,
      callers: found.callers,
      credentials: stored.credentials,
    };
  },
  show(content, main) {
    main.replaceChildren(
      workers(content),
      callers(content.callers, context),
      credentials(content.credentials, context),
      hosts(content, context),
      cache(content, context),
    );
  },
});
