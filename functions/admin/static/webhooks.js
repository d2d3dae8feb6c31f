// Webhook hosts that fail, and the recovery of what they missed.

import { ApiError, call } from "./api.js";
import { clock, h, number, visible } from "./dom.js";
import { update } from "./live.js";
import { confirmed, note } from "./notices.js";
import { section, table } from "./table.js";

const COLUMNS = ["Host", "Failures", "Failing since", "Paused since", ""];

const row = (context) => (one) => [
  visible(one.host),
  number(one.failures),
  clock(one.failingSince),
  clock(one.pausedSince),
  context.mayChange
    ? h(
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
      )
    : "",
];

// An hour ago, in the form and the time zone of the field.
function anHourAgo() {
  const now = new Date(Date.now() - 3_600_000);
  return new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function recovery() {
  const since = h("input", { id: "since", type: "datetime-local", required: true, value: anHourAgo() });
  const host = h("input", { id: "host", placeholder: "all hosts", autocomplete: "off", spellcheck: "false" });
  const submit = async (event) => {
    event.preventDefault();
    const whose = host.value.trim() ? `for ${host.value.trim()}` : "for all hosts";
    const text = `Every event ${whose} since ${since.value.replace("T", " ")} that no attempt delivered is sent once more.`;
    if (!(await confirmed("Deliver again?", text, "Deliver"))) return;
    try {
      const body = { since: new Date(since.value).toISOString(), host: host.value.trim() || null };
      const { queued } = await call("POST", "/api/webhooks/recover", body);
      note(`${number(queued)} events are delivered again`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      note(error.message, "bad");
    }
  };
  return h(
    "form",
    { class: "row wrap", onsubmit: submit },
    h("label", { for: "since" }, "Since"),
    since,
    h("label", { for: "host" }, "Host"),
    host,
    h("button", { type: "submit" }, "Deliver again"),
  );
}

export function webhooksPage(context) {
  const hosts = h("div");
  let isBuilt = false;
  return {
    load: async () => (await call("GET", "/api/stats")).webhooks,
    show(found, main) {
      // The form stays while the list is refreshed.
      if (!isBuilt) {
        isBuilt = true;
        main.replaceChildren(
          section("Failing webhook hosts", hosts),
          context.mayChange ? section("Recover", h("p", {}, "After a receiver was down."), recovery()) : "",
        );
      }
      update(
        hosts,
        table(COLUMNS, found.hosts.map(row(context)), "No host is failing."),
        h("p", {}, `${number(found.pending)} deliveries are still to be sent.`),
      );
    },
  };
}
