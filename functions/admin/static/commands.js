// The commands that submit the same query: for a shell, and for Python's standard library. The key is in the variable KEY.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(base, body, hasKey) {
  return [
    `curl -sS -X POST ${quoted(`${base}api/query`)} \\`,
    ...(hasKey ? ['  -H "Authorization: Bearer $KEY" \\'] : []),
    "  -H 'Content-Type: application/json' -H 'Prefer: wait=25' \\",
    `  -d ${quoted(JSON.stringify(body))}`,
  ].join("\n");
}

export function python(base, body, hasKey) {
  return `import json
import os
import urllib.request

URL = ${JSON.stringify(base)}
HEADERS = {"Content-Type": "application/json"}
${hasKey ? 'HEADERS["Authorization"] = "Bearer " + os.environ["KEY"]\n' : ""}

def call(path, body=None):
    request = urllib.request.Request(URL + path, body, HEADERS)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


body = ${JSON.stringify(JSON.stringify(body))}
job = call("api/query", body.encode())
while not job.get("result") and job.get("state") not in ("failed", "cancelled"):
    job = call(f"api/query/{job['jobId']}?wait=25")
print(job["result"]["response"] if job.get("result") else job)
`;
}
