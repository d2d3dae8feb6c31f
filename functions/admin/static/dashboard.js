// The dashboard: a login, its pages, and pages per job and per schedule. The shown page is refreshed every two seconds.

import { ApiError, call } from "./api.js";
import { auditPage } from "./audit.js";
import { batchesPage, sessionsPage } from "./batches.js";
import { callersPage } from "./callers_page.js";
import { h, visible } from "./dom.js";
import { confirmed, note } from "./notices.js";
import { playgroundPage } from "./playground.js";
import { jobPage } from "./job.js";
import { jobsPage } from "./jobs.js";
import { loginPage } from "./login.js";
import { mcpPage } from "./mcp.js";
import { overviewPage } from "./overview.js";
import { schedulePage, schedulesPage } from "./schedules.js";
import { systemPage } from "./system.js";
import { section } from "./table.js";
import { usagePage } from "./usage.js";
import { webhooksPage } from "./webhooks.js";

const EVERY = 2000;
const TITLE = document.title;
const main = document.getElementById("main");
const live = document.getElementById("live");
const nav = document.getElementById("nav");
const logout = document.getElementById("logout");

let role = null;
let timer = null;
let shown = 0;

// The actions of pages: each shows a notice and refreshes the page; destructive ones ask for confirmation first.
const context = {
  get mayChange() {
    return role === "admin";
  },
  async act(method, path, done, body) {
    try {
      await call(method, `/api${path}`, body);
      note(done);
    } catch (error) {
      await failed(error);
    }
    await refresh();
  },
  async actIfSure(title, text, yes, method, path, done) {
    if (await confirmed(title, text, yes)) await context.act(method, path, done);
  },
};

const PAGES = new Map([
  ["", overviewPage],
  ["audit", auditPage],
  ["batches", batchesPage],
  ["callers", callersPage],
  ["jobs", jobsPage],
  ["mcp", mcpPage],
  ["playground", playgroundPage],
  ["schedules", schedulesPage],
  ["sessions", sessionsPage],
  ["system", systemPage],
  ["usage", usagePage],
  ["webhooks", webhooksPage],
]);
// The pages of one item, by the page that lists them.
const ITEMS = new Map([
  ["jobs", jobPage],
  ["schedules", schedulePage],
]);

// The page and the item that the URL names; null for an item with a broken escape.
function place() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("?")[0].split("/");
  try {
    return { name, item: decodeURIComponent(rest.join("/")) };
  } catch {
    return { name, item: null };
  }
}

const noPage = () => ({
  load: async () => "none",
  show: (_, main) =>
    main.replaceChildren(
      section("Page not found", h("p", {}, "This address has no page. ", h("a", { href: "#/" }, "Go to the overview"))),
    ),
});

function page() {
  const { name, item } = place();
  if (item === "") return PAGES.get(name)?.(context) ?? noPage();
  return (item && ITEMS.get(name)?.(item, context)) || noPage();
}

async function failed(error) {
  if (error instanceof ApiError && error.status === 401) {
    role = null;
    await route();
    return;
  }
  if (!(error instanceof ApiError)) throw error;
  note(error.message, "bad");
}

let current = null;

async function refresh() {
  if (role === null || current === null) return;
  const generation = shown;
  const requested = current;
  try {
    const content = await requested.load();
    if (generation !== shown || requested !== current) return; // another page is shown now
    // Do not render unchanged content, so that selections and opened parts stay.
    const text = JSON.stringify(content);
    if (text !== requested.text) {
      requested.text = text;
      requested.show(content, main);
    }
    live.textContent = "live";
    live.className = "live on";
  } catch (error) {
    live.textContent = "disconnected";
    live.className = "live off";
    if (error instanceof ApiError && error.status === 404 && requested.missing) requested.missing(main);
    else if (error instanceof ApiError && error.status !== 401 && !main.childElementCount)
      main.replaceChildren(section("This page cannot be shown", h("p", { role: "alert" }, error.message)));
    else if (error instanceof ApiError && error.status !== 0) await failed(error);
    else if (!(error instanceof ApiError)) throw error;
  }
}

async function route() {
  shown += 1;
  clearInterval(timer);
  nav.hidden = logout.hidden = role === null;
  live.textContent = "";
  if (role === null) {
    current = null;
    loginPage(main, async (answered) => {
      role = answered;
      await route();
    });
    return;
  }
  const { name, item } = place();
  document.title = TITLE;
  for (const link of nav.querySelectorAll("a")) {
    if (link.getAttribute("href") === `#/${name}`) {
      link.setAttribute("aria-current", "page");
      document.title = `${item ? `${visible(item)} | ` : ""}${link.textContent} | ${TITLE}`;
    } else link.removeAttribute("aria-current");
  }
  main.replaceChildren();
  current = page();
  await refresh();
  timer = setInterval(refresh, EVERY);
}

addEventListener("hashchange", async () => {
  await route();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
// The address has the page: a link to a part of it would leave the page.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
logout.addEventListener("click", async () => {
  await call("POST", "/logout");
  role = null;
  await route();
});

try {
  role = (await call("GET", "/session")).role;
} catch {
  role = null;
}
await route();
