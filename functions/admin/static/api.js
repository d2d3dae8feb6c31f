// Calls of the JSON API. An ApiError has the text of the API's error.

// Relative to this file, so that the dashboard works under any path prefix.
export const BASE = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(`${BASE}${path}`, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch {
    throw new ApiError(0, "The gateway does not respond");
  }
  let content = null;
  try {
    content = await answer.json();
  } catch {
    // not JSON; the status is reported instead
  }
  if (!answer.ok) {
    throw new ApiError(
      answer.status,
      content?.detail || content?.title || `The gateway responded with status ${answer.status}`,
    );
  }
  return content;
}
