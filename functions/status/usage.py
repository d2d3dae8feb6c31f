"""A caller's usage by day and model."""

from shared.api.models import Budget, ModelUsage, UsageDay, UsageReport
from shared.api.times import rfc3339
from shared.configuration.settings import StatusSettings
from shared.store.callers import spending
from shared.store.redis.client import async_client

_DAY = 86_400


async def usage(days: int, *, caller: str, settings: StatusSettings) -> UsageReport:
    """Report the last `days` days, including today, in one round trip."""
    today, found = await spending.read_days(async_client(settings.redis_address), caller, days)
    spent = sum(day.cost for day in found if day.number == today)
    budget = None
    if settings.daily_budget_usd is not None:
        resets_at = rfc3339((today + 1) * _DAY * 1000)
        budget = Budget(daily_usd=settings.daily_budget_usd, spent_usd=spent, resets_at=resets_at)
    return UsageReport(
        total_usd=sum(day.cost for day in found),
        saved_usd=sum(day.saved for day in found),
        days=[_usage_of(day) for day in found],
        budget=budget,
    )


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
