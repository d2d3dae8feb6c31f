// Requests to the API. A GatewayError has the text and code of the API's error.

// Relative to this file, so that the pages work under any path prefix. The dashboard's files are one level deeper.
const ROOT = import.meta.url.includes("/admin/static/") ? "../.." : "..";
export const BASE = new URL(ROOT, import.meta.url).href;

export class GatewayError extends Error {
  // `passing`: the same request may succeed after `pause` ms.
  constructor(status, message, code, pause) {
    super(message);
    this.status = status;
    this.code = code;
    this.pause = pause;
    this.passing = status === 0 || status === 429 || status >= 500;
  }
}

export async function send(method, path, { key, headers = {}, body, signal } = {}) {
  const sent = { ...headers };
  // Otherwise fetch would fail as if the gateway were unreachable.
  if (key && !/^[!-~]+$/.test(key))
    throw new GatewayError(401, "Invalid API key: it has characters that no key has.", "unauthorized", 0);
  if (key) sent.authorization = `Bearer ${key}`;
  if (body !== undefined) sent["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(BASE + path, {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: "same-origin",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new GatewayError(0, "The gateway does not respond.", "unreachable", 0);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

export const read = async (...request) => (await send(...request)).json();

async function errorOf(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // A page of a proxy; the status is reported instead.
  }
  const pause = Number(response.headers.get("retry-after")) * 1000 || 0;
  const texts = [problem.title, problem.detail].filter((text) => typeof text === "string");
  const code = typeof problem.code === "string" ? problem.code : `HTTP ${response.status}`;
  return new GatewayError(
    response.status,
    texts.join(": ") || `The gateway responded with status ${response.status}.`,
    code,
    pause,
  );
}

export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
