"""Microsoft.Resources/deployments at group scope: a template becomes a plan when accepted, a job carries the plan out.

Follows Microsoft.Resources 2024-11-01, deployments.json. Progress is in the row's state, so that a deployment goes on
after the control process was killed. Secure parameters are gone once the request is answered: what a resource needs
of them is in its planned body, a guest's password as a token for its hash; the plan itself is sealed until it is done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from azlan.arm.documents import conform, need_object
from azlan.arm.resource import Job, Json, Read, ResourceType, Route, RouteContext, Row, View, Write
from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId
from azlan.providers.resources.rollout import duration, rollout
from azlan.template.parameters import Parameter
from azlan.template.plan import Plan, Planned, Setting, make_plan
from azlan.template.secrets import seal

TYPE = "Microsoft.Resources/deployments"
MACHINE = "microsoft.compute/virtualmachines"

API_VERSIONS = (
    *("2025-04-01", "2025-03-01", "2024-11-01", "2024-07-01", "2024-03-01", "2023-07-01", "2022-09-01", "2021-04-01"),
    *("2021-01-01", "2020-10-01", "2020-08-01", "2020-06-01", "2019-10-01", "2019-08-01", "2019-07-01", "2019-05-10"),
    *("2019-05-01", "2019-03-01", "2018-05-01", "2018-02-01", "2017-05-10", "2016-09-01", "2016-07-01", "2016-02-01"),
    *("2015-11-01",),
)


class DeploymentProperties(BaseModel):
    model_config = ConfigDict(extra="forbid")
    template: dict[str, Any] | None = None
    templateLink: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None
    parametersLink: dict[str, Any] | None = None
    mode: str | None = None
    debugSetting: dict[str, Any] | None = None
    onErrorDeployment: dict[str, Any] | None = None
    expressionEvaluationOptions: dict[str, Any] | None = None
    validationLevel: str | None = None
    extensionConfigs: dict[str, Any] | None = None
    externalInputs: dict[str, Any] | None = None
    externalInputDefinitions: dict[str, Any] | None = None


class Deployment(BaseModel):
    model_config = ConfigDict(extra="forbid")
    properties: DeploymentProperties


# -- acceptance -------------------------------------------------------------------------------------------------------


def _accept(write: Write) -> None:
    if write.id.group is None:
        raise ArmError(
            400,
            "DeploymentScopeNotSupported",
            "Deployments are served at resource groups only: deploy to a group, or nest a deployment with a resourceGroup.",
        )
    _refuse_active(write)
    properties = write.properties
    template, parameters = properties.pop("template", None), properties.pop("parameters", None) or {}
    mode = _mode(properties)
    plan = _plan(write, write.id, properties, template, parameters, write.principal.tenant, write.now)
    sealed: Json = {}
    _check_resources(write.id.name, plan, write.preflight)
    tokens: dict[str, str] = {}

    def sealed_token(password: str) -> str:
        """One hash for all guests of a deployment that share a password: hashing is slow on purpose."""
        if password not in tokens:
            tokens[password] = seal(password, write.id.key, sealed)
        return tokens[password]

    for resource in plan.resources:
        _seal(resource, sealed_token)
    properties.clear()
    properties["mode"] = mode
    write.state.clear()
    write.state.update(
        {
            "correlationId": str(uuid4()),
            "templateHash": template_hash(template),
            "parameters": _shown(plan.parameters),
            "started": write.now,
            "sealed": sealed,
            "plan": write.safe.seal(
                {"resources": [_stored(resource) for resource in plan.resources], "outputs": dict(plan.outputs)},
                write.id.key,
            ),
            "done": {},
            **_described(plan),
        }
    )


def _refuse_active(write: Write) -> None:
    row = write.get(write.id.key) if write.before is not None else None
    if row is not None and "plan" in row.state and row.provisioning in ("Creating", "Updating"):
        raise ArmError(
            409,
            "DeploymentActive",
            f"Unable to edit or replace deployment '{write.id.name}': previous deployment from '{row.state.get('started')}' is "
            f"still active. Please see https://aka.ms/arm-deploy for usage details.",
        )


def _mode(properties: Mapping[str, Any]) -> str:
    given = str(properties.get("mode") or "")
    known = {"incremental": "Incremental", "complete": "Complete"}.get(given.lower())
    if known is None:
        raise ArmError(
            400,
            "InvalidDeploymentMode",
            f"The specified deployment mode '{given}' is not supported. The supported modes are 'Incremental, Complete'.",
        )
    return known


def _plan(
    read: Read,
    id: ResourceId,
    properties: Mapping[str, Any],
    template: Any,
    given: Mapping[str, Any],
    tenant: str,
    now: str,
) -> Plan:
    """Raises ArmError where the template or its parameters are not valid."""
    for name in ("templateLink", "parametersLink", "onErrorDeployment"):
        if properties.get(name):
            raise ArmError(
                400,
                "InvalidRequestContent",
                f"The deployment property '{name}' is not served here: give the template and its parameters inline.",
            )
    if template is None:
        raise ArmError(
            400,
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: 'Required property 'template' not found in JSON. "
            "Path 'properties'.'.",
        )
    group = read.get(id.group_key)
    scope = group.id if group is not None else ResourceId(id.subscription, id.group)
    setting = Setting(
        scope=scope,
        subscription={
            "id": f"/subscriptions/{id.subscription}",
            "subscriptionId": id.subscription,
            "tenantId": tenant,
            "displayName": "Azlan",
        },
        group={
            "id": str(scope),
            "name": scope.name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": group.body.get("location") if group else None,
            "tags": (group.body.get("tags") or {}) if group else {},
            "properties": {"provisioningState": "Succeeded"},
        },
        tenant={"tenantId": tenant, "displayName": "Azlan", "countryCode": ""},
        deployment={
            "name": id.name,
            "properties": {
                "template": template,
                "templateHash": template_hash(template),
                "parameters": {},
                "mode": properties.get("mode", "Incremental"),
                "provisioningState": "Accepted",
            },
        },
        now=datetime.fromisoformat(now.replace("Z", "+00:00")),
    )
    return make_plan(template, given, setting)


def _check_resources(name: str, plan: Plan, preflight: Callable[[ResourceId, Json], Iterable[ArmError]]) -> None:
    """What Azure's preflight finds out about the resources before anything is deployed."""
    details = []
    for resource in plan.resources:
        if resource.wanted and not resource.existing:
            details += [error.body for error in preflight(resource.id, resource.body)]
    if details:
        raise ArmError(
            400,
            "InvalidTemplateDeployment",
            f"The template deployment '{name}' is not valid according to the validation procedure. The tracking id is "
            f"'{uuid4()}'. See inner errors for details.",
            details=details,
        )


def _password_of(resource: Planned) -> str | None:
    profile = _object(resource.body.get("properties")).get("osProfile")
    if resource.id.type.lower() != MACHINE or not isinstance(profile, dict):
        return None
    password = profile.get("adminPassword")
    return password if isinstance(password, str) else None


def _seal(resource: Planned, token: Callable[[str], str]) -> None:
    """Replace passwords in a planned body by tokens."""
    password = _password_of(resource)
    if password is not None:
        resource.body["properties"]["osProfile"]["adminPassword"] = token(password)
    if resource.id.type.lower() == TYPE.lower():
        _seal_nested(_object(resource.body.get("properties")), token)


def _seal_nested(properties: Json, token: Callable[[str], str]) -> None:
    """A nested deployment's secure parameters, but for public keys, which are none."""
    declared = _object(_object(properties.get("template")).get("parameters"))
    secure = {
        name.lower() for name, entry in declared.items() if str(_object(entry).get("type")).lower() == "securestring"
    }
    for name, entry in _object(properties.get("parameters")).items():
        value = entry.get("value") if isinstance(entry, dict) else None
        if name.lower() in secure and isinstance(value, str) and not value.startswith("ssh-"):
            entry["value"] = token(value)


def _object(value: Any) -> Json:
    """The value where it is an object: what a template gives a resource is checked when the resource is put."""
    return value if isinstance(value, dict) else {}


def _stored(resource: Planned) -> Json:
    return {
        "id": str(resource.id),
        "apiVersion": resource.api_version,
        "body": resource.body,
        "depends": list(resource.depends),
        "wanted": resource.wanted and not resource.existing,
    }


def _shown(parameters: tuple[Parameter, ...]) -> Json:
    return {parameter.name: parameter.shown for parameter in parameters}


def template_hash(template: Any) -> str:
    """A number that changes with the template; Azure's own hash is not published."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return str(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def _described(plan: Plan) -> Json:
    """`providers` and `dependencies` of the deployment's document."""
    by_key = {resource.key: resource for resource in plan.resources}
    providers: dict[str, dict[str, list[str | None]]] = {}
    for resource in plan.resources:
        namespace, _, kind = resource.id.type.partition("/")
        locations = providers.setdefault(namespace, {}).setdefault(kind, [])
        location = resource.body.get("location")
        if location not in locations:
            locations.append(location)

    def named(resource: Planned) -> Json:
        return {"id": str(resource.id), "resourceType": resource.id.type, "resourceName": "/".join(resource.id.names)}

    return {
        "providers": [
            {
                "namespace": namespace,
                "resourceTypes": [{"resourceType": kind, "locations": found} for kind, found in kinds.items()],
            }
            for namespace, kinds in providers.items()
        ],
        "dependencies": [
            {"dependsOn": [named(by_key[key]) for key in resource.depends], **named(resource)}
            for resource in plan.resources
            if resource.depends
        ],
    }


# -- answers ----------------------------------------------------------------------------------------------------------


def _view(view: View) -> None:
    state = view.state
    active = view.row.provisioning in ("Creating", "Updating")
    running = "Running" if state.get("done") or state.get("begun") else "Accepted"
    end = state.get("ended") or view.row.changed
    properties: Json = {
        "templateHash": state.get("templateHash"),
        "parameters": state.get("parameters", {}),
        "mode": view.properties.get("mode"),
        "provisioningState": running if active else view.row.provisioning,
        "timestamp": end,
        "duration": duration(str(state.get("started", end)), str(end)),
        "correlationId": state.get("correlationId"),
        "providers": state.get("providers", []),
        "dependencies": state.get("dependencies", []),
    }
    if not active and view.row.provisioning == "Succeeded":
        properties["outputs"] = state.get("outputs", {})
        properties["outputResources"] = state.get("outputResources", [])
    if state.get("error") is not None:
        properties["error"] = state["error"]
    view.doc["properties"] = properties


async def _operations(context: RouteContext) -> Json:
    row = _row(context)
    return {"value": [_operation(row.id, entry) for entry in row.state.get("done", {}).values()]}


def _operation(id: ResourceId, entry: Mapping[str, Any]) -> Json:
    name = str(entry["operationId"])
    shown = {key: value for key, value in entry.items() if key != "operationId"}
    return {"id": f"{id}/operations/{name}", "operationId": name, "properties": shown}


async def _one_operation(context: RouteContext) -> Json:
    row = _row(context)
    for entry in row.state.get("done", {}).values():
        if str(entry["operationId"]).lower() == context.params["operation"].lower():
            return _operation(row.id, entry)
    raise ArmError(
        404, "DeploymentOperationNotFound", f"Deployment operation '{context.params['operation']}' could not be found."
    )


def _row(context: RouteContext) -> Row:
    row = context.get(_id(context).key)
    if row is None:
        raise ArmError(404, "DeploymentNotFound", f"Deployment '{context.params['name']}' could not be found.")
    return row


def _id(context: RouteContext) -> ResourceId:
    names = (context.params["name"],)
    return ResourceId(context.subscription, context.params["group"], "Microsoft.Resources", ("deployments",), names)


async def _validate(context: RouteContext) -> Json:
    """`POST …/deployments/{name}/validate`: what a PUT would refuse, refused; nothing is stored."""
    id = _id(context)
    group = ResourceId(id.subscription, id.group)
    if context.get(group.key) is None:
        raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{group.name}' could not be found.")
    body = conform(RESOURCE, need_object(context.body), context.api_version)
    properties = body["properties"]
    mode = _mode(properties)
    now = datetime.now(UTC).isoformat()
    template = properties.get("template")
    plan = _plan(context, id, properties, template, properties.get("parameters") or {}, context.principal.tenant, now)
    _check_resources(id.name, plan, context.preflight)
    return {
        "id": str(id),
        "name": id.name,
        "type": TYPE,
        "properties": {
            "templateHash": template_hash(template),
            "parameters": _shown(plan.parameters),
            "mode": mode,
            "provisioningState": "Succeeded",
            "timestamp": now,
            "duration": "PT0S",
            "correlationId": str(uuid4()),
            **_described(plan),
            "validatedResources": [{"id": str(resource.id)} for resource in plan.resources if resource.wanted],
        },
    }


ROUTES = (
    Route(
        "POST",
        "/subscriptions/{subscription}/resourcegroups/{group}/providers/Microsoft.Resources/deployments/{name}/validate",
        _validate,
        "Microsoft.Resources/deployments/validate/action",
        tolerant_json=True,
    ),
    *(
        Route("GET", f"{path}/operations{rest}", handler, "Microsoft.Resources/deployments/operations/read")
        for path in (
            "/subscriptions/{subscription}/resourcegroups/{group}/providers/Microsoft.Resources/deployments/{name}",
            "/subscriptions/{subscription}/resourcegroups/{group}/deployments/{name}",
        )
        for rest, handler in (("", _operations), ("/{operation}", _one_operation))
    ),
)
"""`deployments/{name}/operations` is asked for with and without the provider: the latter by az."""


async def _delete(_: Job) -> None:
    """What was deployed stays. A job all the same: clients take no 200 for an answer here, only 202 and 204."""


RESOURCE = ResourceType(
    type=TYPE,
    api_versions=API_VERSIONS,
    model=Deployment,
    location="none",
    name_pattern=r"[\w().-]{1,64}",
    accept=_accept,
    view=_view,
    job=rollout,
    delete_job=_delete,
    waits=(),
    tolerant_json=True,
    secret=("properties.template", "properties.parameters"),
    etag=False,
    display={"singular": "Deployment", "plural": "Deployments"},
)
