"""Microsoft.Insights/metrics of a network interface: what its port delivered and dropped, and why it dropped.

Shapes follow the specification's metrics_API.json and metricDefinitions_API.json (2018-01-01). The metrics are Azlan's
own: totals since the interface's port exists, as one point in time; Azure keeps rates by the minute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from azlan.arm.resource import Json, Route, RouteContext
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.contract.engine import Drop

NIC = "Microsoft.Network/networkInterfaces"
_ID = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{NIC}/{{name}}"
_BELOW = f"{_ID}/providers/Microsoft.Insights"
DIMENSION = "Reason"
_FILTER = re.compile(r"\s*Reason\s+eq\s+'([^']*)'\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Metric:
    name: str
    unit: str
    words: str
    counter: str | None
    """The port's counter; None: all drops, by reason."""


METRICS = (
    Metric("PacketsDelivered", "Count", "Packets that the interface's port delivered", "delivered"),
    Metric("BytesDelivered", "Bytes", "Bytes that the interface's port delivered", "bytes"),
    Metric("PacketsDropped", "Count", "Packets dropped at the interface's port, by reason", None),
)


async def list_metrics(context: RouteContext) -> Json:
    """The metrics named, or all; drops in one series, or with `$filter=Reason eq '*'` in one a reason."""
    id = _interface(context)
    asked = [name.strip() for name in context.query.get("metricnames", "").split(",") if name.strip()]
    wanted = [metric for metric in METRICS if not asked or metric.name.lower() in [name.lower() for name in asked]]
    unknown = [name for name in asked if name.lower() not in [metric.name.lower() for metric in METRICS]]
    if unknown:
        valid = ",".join(metric.name for metric in METRICS)
        raise ArmError(
            400,
            "BadRequest",
            f"Failed to find metric configuration for provider: Microsoft.Network, resource Type: networkInterfaces, "
            f"metric: {unknown[0]}, Valid metrics: {valid}",
        )
    reason = _reason(context.query.get("$filter", ""))
    counters = await _counters(context, id)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    row = context.get(id.key)
    return {
        "cost": 0,
        "timespan": f"{now}/{now}",
        "interval": "PT1M",
        "namespace": NIC,
        "resourceregion": str(row.body.get("location")) if row is not None else "",
        "value": [_shown(id, metric, counters, reason, now) for metric in wanted],
    }


async def _counters(context: RouteContext, id: ResourceId) -> Mapping[str, int]:
    try:
        counters = await context.runtime.engine.counters()
    except ConnectionError as error:
        raise ArmError(503, "ServiceUnavailable", f"The counters cannot be read: {error}.") from error
    return counters.get(f"nic:{id.key}", {})


def _interface(context: RouteContext) -> ResourceId:
    params = context.params
    asked = ResourceId(
        params["subscription"], params["group"], "Microsoft.Network", ("networkInterfaces",), (params["name"],)
    )
    row = context.get(asked.key)
    if row is None:
        raise ArmError(
            404,
            "ResourceNotFound",
            f"The Resource '{NIC}/{asked.name}' under resource group '{asked.group}' was not found. For more details "
            "please go to https://aka.ms/ARMResourceNotFoundFix",
        )
    return row.id


def _reason(text: str) -> str | None:
    """The reason asked for, `*` for each by itself, None for all together."""
    if not text:
        return None
    match = _FILTER.fullmatch(text)
    if match is None:
        raise ArmError(400, "BadRequest", f"The $filter '{text}' is not valid: {DIMENSION} eq '*' or a reason.")
    return match[1]


def _shown(id: ResourceId, metric: Metric, counters: Mapping[str, int], reason: str | None, now: str) -> Json:
    return {
        "id": f"{id}/providers/Microsoft.Insights/metrics/{metric.name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": metric.name, "localizedValue": metric.name},
        "displayDescription": metric.words,
        "unit": metric.unit,
        "errorCode": "Success",
        "timeseries": _series(metric, counters, reason, now),
    }


def _series(metric: Metric, counters: Mapping[str, int], reason: str | None, now: str) -> list[Json]:
    if metric.counter is not None:
        return [_points({}, counters.get(metric.counter, 0), now)]
    drops = {str(drop): counters[drop] for drop in Drop if counters.get(drop)}
    if reason is None:
        return [_points({}, sum(drops.values()), now)]
    ranked = sorted(drops.items(), key=lambda entry: (-entry[1], entry[0]))
    return [_points({DIMENSION: name}, total, now) for name, total in ranked if reason in ("*", name)]


def _points(dimensions: Mapping[str, str], total: int, now: str) -> Json:
    values = [
        {"name": {"value": name.lower(), "localizedValue": name}, "value": value} for name, value in dimensions.items()
    ]
    return {"metadatavalues": values, "data": [{"timeStamp": now, "total": float(total)}]}


async def list_definitions(context: RouteContext) -> Json:
    id = _interface(context)
    return {"value": [_definition(id, metric) for metric in METRICS]}


def _definition(id: ResourceId, metric: Metric) -> Json:
    shown: Json = {
        "id": f"{id}/providers/Microsoft.Insights/metricDefinitions/{metric.name}",
        "resourceId": str(id),
        "namespace": NIC,
        "name": {"value": metric.name, "localizedValue": metric.name},
        "displayDescription": metric.words,
        "isDimensionRequired": False,
        "unit": metric.unit,
        "primaryAggregationType": "Total",
        "supportedAggregationTypes": ["Total"],
        "metricAvailabilities": [{"timeGrain": "PT1M", "retention": "PT1M"}],
    }
    if metric.counter is None:
        shown["dimensions"] = [{"value": DIMENSION, "localizedValue": DIMENSION}]
    return shown


ROUTES = (
    Route("GET", f"{_BELOW}/metrics", list_metrics, "Microsoft.Insights/metrics/read"),
    Route("GET", f"{_BELOW}/metricDefinitions", list_definitions, "Microsoft.Insights/metricDefinitions/read"),
)
