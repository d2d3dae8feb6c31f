// Follows a job's events with fetch, because EventSource cannot send a key. Resumes after a lost connection.

import { GatewayError, send, sleep } from "./gateway.js";

const LONGEST_PAUSE = 10_000;
// The gateway sends a comment every 10 s, so a longer silence means that the connection is lost.
const SILENCE = 35_000;

// Yields each event as { kind, data }, `done` last; { kind: "open" } for each connection, and { kind: "lost" } when one
// fails. A connection that the gateway ends before `done`, as in Lambda, is followed by the next.
export async function* follow(jobId, key, signal) {
  let lastId = "";
  let pause = 1000;
  let failures = 0;
  for (;;) {
    let retryAfter = 0;
    try {
      for await (const event of connection(jobId, key, lastId, signal)) {
        if (event.retry) pause = event.retry;
        if (event.id) lastId = event.id;
        if (!event.kind) continue;
        if (event.kind !== "open") failures = 0;
        yield { kind: event.kind, data: event.data ? JSON.parse(event.data) : {} };
        if (event.kind === "done") return;
      }
    } catch (error) {
      if (signal.aborted || !(error instanceof GatewayError) || !error.passing) throw error;
      retryAfter = error.pause;
      yield { kind: "lost" };
    }
    await sleep(Math.max(retryAfter, Math.min(pause * 2 ** failures, LONGEST_PAUSE)), signal);
    failures += 1;
  }
}

async function* connection(jobId, key, lastId, signal) {
  const silence = new AbortController();
  const stop = () => silence.abort();
  signal.addEventListener("abort", stop);
  let timer = setTimeout(stop, SILENCE);
  try {
    const headers = { accept: "text/event-stream", ...(lastId && { "last-event-id": lastId }) };
    const response = await send("GET", `api/query/${jobId}/events`, { key, headers, signal: silence.signal });
    // No event follows the last one, so read the job.
    if (response.status === 204) {
      const job = await (await send("GET", `api/query/${jobId}`, { key, signal })).text();
      yield { kind: "done", data: job };
      return;
    }
    yield { kind: "open" };
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(stop, SILENCE);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) yield parsed(block);
    }
  } catch (error) {
    if (signal.aborted || error instanceof GatewayError) throw error;
    throw new GatewayError(0, "The connection was lost.", "unreachable", 0);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    silence.abort();
  }
}

function parsed(block) {
  const fields = { id: "", kind: "", data: "", retry: 0 };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const value = line.slice(colon + 1).replace(/^ /, "");
    const name = line.slice(0, colon);
    if (name === "event") fields.kind = value;
    else if (name === "retry") fields.retry = Number(value) || 0;
    else if (name === "id" || name === "data") fields[name] = value;
  }
  return fields;
}
