"""Metrics as a scrape shows them."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, float]


def parse(text: str) -> Samples:
    """Return every sample by its name and labels, as in `claude_queue_size{state="waiting"}`."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def scrape(client: httpx.Client) -> Samples:
    """Scrape a gateway."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return parse(answer.text)
