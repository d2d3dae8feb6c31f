// The login form.

import { call } from "./api.js";
import { h } from "./dom.js";

const NEEDS_HTTPS = "Open the dashboard over HTTPS. Over plain HTTP the browser drops the session cookie.";
const NOT_KEPT =
  "The password is correct, but the browser did not keep the session cookie. Allow cookies for this site. Behind a " +
  "proxy that changes the path, set ROOT_PATH to the prefix.";

export function loginPage(main, entered) {
  const username = h("input", { id: "username", autocomplete: "username", required: true });
  const password = h("input", { id: "password", type: "password", autocomplete: "current-password", required: true });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const submit = h("button", { type: "submit", class: "main" }, "Log in");
  if (!isSecureContext) {
    wrong.textContent = NEEDS_HTTPS;
    submit.disabled = true;
  }
  const form = h(
    "form",
    { class: "login" },
    h("h2", {}, "Log in"),
    h("label", { for: "username" }, "Name"),
    username,
    h("label", { for: "password" }, "Password"),
    password,
    wrong,
    submit,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    try {
      const { role } = await call("POST", "/login", { username: username.value, password: password.value });
      if ((await call("GET", "/session")).role !== role) throw new Error(NOT_KEPT);
      await entered(role);
    } catch (error) {
      wrong.textContent = error.message;
      password.select();
    }
  });
  main.replaceChildren(form);
  username.focus();
}
