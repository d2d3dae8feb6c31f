// Texts for states and reasons of a wait. An unknown code is shown unchanged.

const REASONS = {
  no_worker: "no worker is running, so no jobs start",
  paused: "an operator has paused the queue",
  authentication_failed: "Claude refuses the gateway's credentials, so the queue is held",
  billing_error: "Claude reports a billing problem, so the queue is held",
  rate_limited: "Claude's rate limit is reached, so the queue is held",
  overloaded: "Claude is overloaded",
  server_error: "Claude's servers return errors",
  cloning: "its repository is being cloned",
  redis: "the store does not respond",
};

export const reasonOf = (code) =>
  REASONS[code] ?? (code.startsWith("redis_") ? `the store cannot be used (${code})` : code);

export function stateOf(job, health) {
  const reasons = [];
  if (job.queuePosition) reasons.push(`${job.queuePosition} ahead of it`);
  const reason = job.waitingFor?.code ?? (health?.status === "ok" ? null : health?.reason);
  if (reason) reasons.push(reasonOf(reason));
  const rest = reasons.length ? `: ${reasons.join("; ")}` : "";
  if (job.state === "waiting") return `Waiting${rest}`;
  if (job.state === "paused") return `A call waits for a decision${rest}`;
  if (job.state === "delayed") {
    const begins = job.startsAt && !job.attempts ? `until ${job.startsAt}` : "for the next attempt";
    return `Waiting ${begins}${rest}`;
  }
  if (job.state === "active") return `Running${job.waitingFor ? rest : ""}`;
  return job.state;
}

export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
