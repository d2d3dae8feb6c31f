// The parts of the deployment: its workers, its cache and its settings.

import { call } from "./api.js";
import { h, number, usd, visible } from "./dom.js";
import { update } from "./live.js";
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

const settings = (found) =>
  section(
    "Settings",
    h("p", {}, "The variables of the process that serves this page. A worker on another machine may have others."),
    table(
      ["Variable", "Value", "Source", "Read by"],
      found.map((one) => [
        h("code", {}, one.name),
        one.value === null ? "–" : visible(one.value),
        one.source,
        one.readBy.join(", "),
      ]),
      "There are no settings.",
    ),
  );

export const systemPage = (context) => ({
  async load() {
    const [stats, found] = await Promise.all(["/api/stats", "/api/settings"].map((path) => call("GET", path)));
    return { workers: stats.workers, cache: stats.cache, settings: found.settings };
  },
  show(content, main) {
    update(main, workers(content), cache(content, context), settings(content.settings));
  },
});
