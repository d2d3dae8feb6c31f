// The dashboard: a login, three pages and one for a job. Live: what is shown is asked for again every two seconds.

import { ApiError, call } from "./api.js";
import { confirmed, note } from "./talk.js";
import { jobPage } from "./job.js";
import { jobsPage } from "./jobs.js";
import { loginPage } from "./login.js";
import { overviewPage } from "./overview.js";
import { systemPage } from "./system.js";

const EVERY = 2000;
const main = document.getElementById("main");
const live = document.getElementById("live");
const nav = document.getElementById("nav");
const logout = document.getElementById("logout");

let role = null;
let timer = null;
let shown = 0;

// What pages may do: act, which tells of its outcome and looks again, and ask first where it destroys.
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
    await look();
  },
  async actIfSure(title, text, yes, method, path, done) {
    if (await confirmed(title, text, yes)) await context.act(method, path, done);
  },
};

function page() {
  const [name, argument] = location.hash.replace(/^#\//, "").split("/");
  if (name === "jobs" && argument) return jobPage(decodeURIComponent(argument), context);
  if (name === "jobs" || name.startsWith("jobs?")) return jobsPage(context);
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

async function look() {
  if (role === null || current === null) return;
  const looking = shown;
  const asked = current;
  try {
    const content = await asked.load();
    if (looking !== shown || asked !== current) return; // another page is shown by now
    // Whoever selects text, or has opened something, is not disturbed while nothing has changed.
    const text = JSON.stringify(content);
    if (text !== asked.text) {
      asked.text = text;
      asked.show(content, main);
    }
    live.textContent = "live";
    live.className = "live on";
  } catch (error) {
    live.textContent = "not reached";
    live.className = "live off";
    if (error instanceof ApiError && error.status === 404 && asked.missing) asked.missing(main);
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
  await look();
  timer = setInterval(look, EVERY);
}

addEventListener("hashchange", async () => {
  await route();
  main.focus();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
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
