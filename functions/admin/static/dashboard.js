// The dashboard: a login, six pages and pages per job and per schedule. The shown page is refreshed every two seconds.

import { ApiError, call } from "./api.js";
import { auditPage } from "./audit.js";
import { confirmed, note } from "./notices.js";
import { jobPage } from "./job.js";
import { jobsPage } from "./jobs.js";
import { loginPage } from "./login.js";
import { overviewPage } from "./overview.js";
import { schedulePage, schedulesPage } from "./schedules.js";
import { systemPage } from "./system.js";
import { usagePage } from "./usage.js";

const EVERY = 2000;
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

function page() {
  const [name, argument] = location.hash.replace(/^#\//, "").split("/");
  if (name === "jobs" && argument) return jobPage(decodeURIComponent(argument), context);
  if (name === "jobs" || name.startsWith("jobs?")) return jobsPage(context);
  if (name === "schedules" && argument) return schedulePage(decodeURIComponent(argument), context);
  if (name === "schedules") return schedulesPage(context);
  if (name === "usage") return usagePage();
  if (name === "audit" || name.startsWith("audit?")) return auditPage();
  if (name === "system") return systemPage(context);
  return overviewPage(context);
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
  const here = `#/${location.hash.replace(/^#\//, "").split(/[/?]/)[0]}`;
  for (const link of nav.querySelectorAll("a")) {
    if (link.getAttribute("href") === here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren();
  current = page();
  await refresh();
  timer = setInterval(refresh, EVERY);
}

addEventListener("hashchange", async () => {
  await route();
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
