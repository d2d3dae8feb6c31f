"""A caller's usage by day and model."""

from shared.api.models import Budget, ModelUsage, UsageDay, UsageReport
from shared.api.times import rfc3339
from shared.configuration.settings import StatusSettings
from shared.services.usage import By, to_csv, usage_rows
from shared.store.callers import policies, spending
from shared.store.redis.client import async_client

_DAY = 86_400


async def usage(days: int, *, caller: str, settings: StatusSettings) -> UsageReport:
    """Report the last `days` days, including today, in one round trip: a caller's policy was read with its key."""
    client = async_client(settings.redis_address)
    today, found = await spending.read_days(client, caller, days)
    spent = sum(day.cost for day in found if day.number == today)
    budget = None
    daily = (await policies.of(client, caller)).daily_budget_usd or settings.daily_budget_usd
    if daily is not None:
        budget = Budget(daily_usd=daily, spent_usd=spent, resets_at=rfc3339((today + 1) * _DAY * 1000))
    return UsageReport(
        total_usd=sum(day.cost for day in found),
        saved_usd=sum(day.saved for day in found),
        days=[_usage_of(day) for day in found],
        budget=budget,
    )


async def usage_csv(days: int, *, caller: str, settings: StatusSettings) -> str:
    """Return the last `days` days by key, model and tag as CSV."""
    by: tuple[By, ...] = ("date", "key", "model", "tag")
    return to_csv(await usage_rows(async_client(settings.redis_address), days, by, caller=caller), by)


def _usage_of(day: spending.Day) -> UsageDay:
    models = [
        ModelUsage(
            model=one.model,
            cost_usd=one.cost or 0.0,
            input_tokens=one.input,
            output_tokens=one.output,
            cache_read_tokens=one.cache_read,
            cache_creation_tokens=one.cache_creation,
        )
        for one in day.models
    ]
    date = rfc3339(day.number * _DAY * 1000)[:10]
    return UsageDay(date=date, cost_usd=day.cost, saved_usd=day.saved, jobs=day.jobs, models=models)
