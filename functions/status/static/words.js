// States and reasons of a wait in words. An unknown one is shown as it is.

const REASONS = {
  no_worker: "no worker is running, so nothing starts",
  paused: "an operator has paused the queue",
  authentication_failed: "Claude refuses the gateway's credentials, so the queue is held",
  billing_error: "Claude reports a billing problem, so the queue is held",
  rate_limited: "Claude limits the rate of requests, so the queue is held for a while",
  overloaded: "Claude is overloaded",
  server_error: "Claude's servers fail",
  redis: "the store does not answer",
};

export const reasonOf = (code) =>
  REASONS[code] ?? (code.startsWith("redis_") ? `the store cannot be used (${code})` : code);

export function stateOf(job, health) {
  const reasons = [];
  if (job.queuePosition) reasons.push(`${job.queuePosition} ${job.queuePosition === 1 ? "job" : "jobs"} before it`);
  const reason = job.waitingFor?.code ?? (health?.status === "ok" ? null : health?.reason);
  if (reason) reasons.push(reasonOf(reason));
  const rest = reasons.length ? `: ${reasons.join("; ")}` : "";
  if (job.state === "waiting") return `Waiting${rest}`;
  if (job.state === "delayed") return `Waiting to run again${rest}`;
  if (job.state === "active") return `Running${job.waitingFor ? rest : ""}`;
  return job.state;
}

export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
