"""A template and its parameters made into a plan: which resources, with what bodies, after which others.

Pure. Everything is evaluated here but what asks the running deployment (`reference`, `environment`): that stays an
expression without parameters or variables, so that a plan can be stored and carried out later, by another process.
Follows learn.microsoft.com "Template structure", "Resource iteration", "Define the order for deploying resources".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from azlan.base.errors import ArmError
from azlan.base.ids import ResourceId, parse_id
from azlan.template.functions import FUNCTIONS
from azlan.template.language import (
    Call,
    Functions,
    Json,
    Literal,
    TemplateError,
    calls,
    is_expression,
    protect,
    reduce,
    resolve,
    resolved_name,
)
from azlan.template.parameters import Parameter, invalid_template, shown_kind, take_parameters
from azlan.template.shape import check_shape

DEFERRED = frozenset({"reference", "environment"})
_CONTROL = frozenset(
    {"apiversion", "type", "name", "dependson", "condition", "copy", "comments", "metadata", "scope", "resources"}
    | {"resourcegroup", "subscriptionid", "existing", "import", "$options", "asserts", "retryon", "waituntil"}
)
_MAX_COPIES = 800
_Copies = Mapping[str, int]
"""Copy loops around an expression: name in lower case → index. `""` is the loop that `copyIndex()` means."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a deployment takes place: what `subscription()`, `resourceGroup()`, `tenant()` and `deployment()` answer."""

    scope: ResourceId
    subscription: Mapping[str, Any]
    group: Mapping[str, Any]
    tenant: Mapping[str, Any]
    deployment: Mapping[str, Any]
    now: datetime


@dataclass(slots=True)
class Planned:
    """A resource to deploy. `depends` holds keys of others; `body` may hold expressions that `settle` resolves."""

    id: ResourceId
    api_version: str
    body: dict[str, Any]
    depends: tuple[str, ...] = ()
    wanted: bool = True
    """False where its `condition` is."""
    existing: bool = False
    symbol: str = ""
    loop: str = ""
    """Name of the copy loop it came from."""
    after: tuple[str, ...] = ()
    """Its `dependsOn` as written, evaluated."""

    @property
    def key(self) -> str:
        return self.id.key


@dataclass(frozen=True, slots=True)
class Plan:
    """`resources` are in an order that respects their dependencies."""

    parameters: tuple[Parameter, ...]
    resources: tuple[Planned, ...]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Name → `{"type", "value"}`; the value may hold expressions that `settle` resolves."""


Lookup = Callable[[str, str | None, bool], Any]
"""(resource id, api-version, whole document?) → what `reference` answers."""


def settle(value: Json, lookup: Lookup, environment: Mapping[str, Any]) -> Json:
    """Resolve what a plan left open, once the resources it refers to are there. Raises TemplateError."""

    def reference(id: str, api_version: str | None = None, full: str | None = None) -> Any:
        return lookup(id, api_version or None, (full or "").lower() == "full")

    return resolve(value, {**FUNCTIONS, "reference": reference, "environment": lambda: dict(environment)})


def make_plan(template: Mapping[str, Any], given: Mapping[str, Any], setting: Setting) -> Plan:
    """Raises ArmError (InvalidTemplate and its like)."""
    check_shape(template)
    try:
        return _planned(template, given, setting)
    except TemplateError as error:
        raise invalid_template(str(error)) from error
    except RecursionError as error:
        raise invalid_template("An expression of the template is nested too deeply.") from error


def _planned(template: Mapping[str, Any], given: Mapping[str, Any], setting: Setting) -> Plan:
    base: dict[str, Callable[..., Any]] = {**FUNCTIONS, **_setting_functions(setting)}
    base.update(_user_functions(template.get("functions") or (), base))
    parameters = take_parameters(template.get("parameters") or {}, given, base, setting.now)
    planner = _Planner(template, parameters, setting, base)
    planned = list(planner.resources())
    outputs = planner.outputs()
    return Plan(tuple(parameters.values()), _ordered(planned), outputs)


class _Planner:
    """Evaluates one template; knows parameters, variables and copy loops."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, Parameter],
        setting: Setting,
        base: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.template = template
        self.parameters = parameters
        self.setting = setting
        self.base = base
        self.planned: dict[str, Planned] = {}
        self.by_name: dict[str, list[Planned]] = {}
        self.by_symbol: dict[str, list[Planned]] = {}
        self._variables: dict[str, Any] = {}
        self._evaluating: set[str] = set()
        self._sources = self._variable_sources(template.get("variables") or {})

    # -- what expressions may ask ------------------------------------------------------------------------------------

    def functions(self, copies: _Copies) -> Functions:
        return {
            **self.base,
            "parameters": self._parameter,
            "variables": self._variable,
            "copyindex": _copy_index(copies),
            "reference": _misplaced("reference"),
            "environment": _misplaced("environment"),
        }

    def _parameter(self, name: str) -> Any:
        parameter = self.parameters.get(str(name).lower())
        if parameter is None:
            raise TemplateError(
                f"The template parameter '{name}' is not found. "
                f"Please see https://aka.ms/arm-syntax-parameters for usage details."
            )
        return parameter.value

    def _variable_sources(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        sources = {name.lower(): value for name, value in variables.items() if name.lower() != "copy"}
        for loop in variables.get("copy") or ():
            sources[str(loop.get("name", "")).lower()] = {"copy": [{**loop, "name": "it"}]}
        return sources

    def _variable(self, name: str) -> Any:
        key = str(name).lower()
        if key not in self._sources:
            raise TemplateError(
                f"The template variable '{name}' is not found. Please see https://aka.ms/arm-syntax-variables for usage details."
            )
        if key not in self._variables:
            if key in self._evaluating:
                raise TemplateError(f"The template variable '{name}' refers to itself.")
            self._evaluating.add(key)
            source = self._sources[key]
            from_loop = isinstance(source, dict) and list(source) == ["copy"] and source["copy"][0].get("name") == "it"
            if from_loop:
                source = {"copy": [{**source["copy"][0], "name": key}]}
            value = self._expanded(source, {}, final=True)
            self._variables[key] = value[key] if from_loop else value
            self._evaluating.discard(key)
        return self._variables[key]

    # -- property copies ---------------------------------------------------------------------------------------------

    def _expanded(self, value: Json, copies: _Copies, *, final: bool = False) -> Json:
        """`copy` arrays inside objects unrolled, and every expression reduced (or, for variables, resolved)."""
        if isinstance(value, list):
            return [self._expanded(item, copies, final=final) for item in value]
        if isinstance(value, dict):
            loops = value.get("copy")
            if not isinstance(loops, list) or not all(isinstance(loop, dict) and "input" in loop for loop in loops):
                loops = []
            result = {
                self._name(name, copies): self._expanded(item, copies, final=final)
                for name, item in value.items()
                if not (name == "copy" and loops)
            }
            for loop in loops:
                made = self._iterations(loop, copies, final=final)
                result[loop["name"]] = made
            return result
        if not isinstance(value, str) or not is_expression(value):
            return resolve(value, {}) if final else value
        if final:
            return resolve(value, self.functions(copies))
        return reduce(value, self.functions(copies), DEFERRED, self._rewritten)

    def _name(self, name: str, copies: _Copies) -> str:
        return resolved_name(name, self.functions(copies)) if is_expression(name) else name

    def _iterations(self, loop: Mapping[str, Any], copies: _Copies, *, final: bool) -> list[Any]:
        count = self._count(loop, copies)
        if not isinstance(loop.get("name"), str) or "input" not in loop:
            raise TemplateError(
                "The template copy is not valid: it must have a 'name', which is a string, and an 'input'."
            )
        name = loop["name"].lower()
        return [
            self._expanded(loop["input"], {**copies, name: index, "": copies.get("", index)}, final=final)
            for index in range(count)
        ]

    def _count(self, loop: Mapping[str, Any], copies: _Copies) -> int:
        count = resolve(loop.get("count"), self.functions(copies))
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MAX_COPIES:
            raise TemplateError(
                f"The template copy count '{count}' of '{loop.get('name')}' is not valid: it must be an integer between 0 and "
                f"{_MAX_COPIES}. Please see https://aka.ms/arm-copy for usage details."
            )
        return count

    # -- resources ---------------------------------------------------------------------------------------------------

    def resources(self) -> Iterator[Planned]:
        """Two passes: first the ids of all, then the bodies, whose `reference` calls may name any of them."""
        drafts: list[tuple[Planned, Mapping[str, Any], _Copies]] = []
        for entry, symbol, copies, parent in self._entries():
            planned = self._draft(entry, symbol, copies, parent)
            if planned.key in self.planned:
                raise TemplateError(
                    f"The resource '{planned.id}' is defined multiple times in a template. "
                    f"Please see https://aka.ms/arm-syntax-resources for usage details."
                )
            self.planned[planned.key] = planned
            self.by_name.setdefault("/".join(planned.id.names).lower(), []).append(planned)
            if symbol:
                self.by_symbol.setdefault(symbol.lower(), []).append(planned)
            drafts.append((planned, entry, copies))
        for planned, entry, copies in drafts:
            if planned.wanted and not planned.existing:
                self._fill(planned, entry, copies)
            yield planned

    def _entries(self) -> Iterator[tuple[Mapping[str, Any], str, _Copies, ResourceId | None]]:
        """Each resource of the template, copy loops unrolled, with the id of the one it is nested in."""
        resources = self.template["resources"]
        pairs = resources.items() if isinstance(resources, Mapping) else (("", entry) for entry in resources)
        for symbol, entry in pairs:
            yield from self._with_children(entry, symbol, {}, None)

    def _with_children(
        self, entry: Mapping[str, Any], symbol: str, copies: _Copies, parent: ResourceId | None
    ) -> Iterator[tuple[Mapping[str, Any], str, _Copies, ResourceId | None]]:
        if not isinstance(entry, Mapping):
            raise TemplateError("The template resource is not valid: an object is expected.")
        for around in self._unrolled(entry, copies):
            yield entry, symbol, around, parent
            for child in entry.get("resources") or ():
                yield from self._with_children(child, "", around, self._id(entry, around, parent))

    def _unrolled(self, entry: Mapping[str, Any], copies: _Copies) -> Iterator[_Copies]:
        loop = entry.get("copy")
        if loop is None:
            yield copies
            return
        name = str(loop.get("name", "")).lower()
        for index in range(self._count(loop, copies)):
            yield {**copies, name: index, "": index}

    def _draft(self, entry: Mapping[str, Any], symbol: str, copies: _Copies, parent: ResourceId | None) -> Planned:
        for member in ("type", "name", "apiVersion"):
            if not entry.get(member) and not (member == "apiVersion" and entry.get("existing")):
                raise TemplateError(
                    f"The template resource '{entry.get('name', '')}' of type '{entry.get('type', '')}' is not valid: the "
                    f"'{member}' property is missing. Please see https://aka.ms/arm-syntax-resources for usage details."
                )
        functions = self.functions(copies)
        wanted = resolve(entry.get("condition", True), functions)
        loop = entry.get("copy") or {}
        after = [str(item) for item in resolve(list(entry.get("dependsOn") or ()), functions)]
        if str(loop.get("mode", "")).lower() == "serial":
            after += self._batch_before(loop, copies)
        return Planned(
            id=self._id(entry, copies, parent),
            api_version=str(resolve(entry.get("apiVersion", ""), functions)),
            body={},
            wanted=bool(wanted),
            existing=bool(entry.get("existing")),
            symbol=symbol,
            loop=str(loop.get("name", "")).lower(),
            after=tuple(after),
        )

    def _batch_before(self, loop: Mapping[str, Any], copies: _Copies) -> list[str]:
        """Serial loops: what came out of the batch before this one's."""
        size = max(1, int(loop.get("batchSize", 1)))
        own = [planned for planned in self.planned.values() if planned.loop == str(loop.get("name", "")).lower()]
        start = copies[""] // size * size
        return [str(planned.id) for planned in own[max(0, start - size) : start]]

    def _id(self, entry: Mapping[str, Any], copies: _Copies, parent: ResourceId | None) -> ResourceId:
        functions = self.functions(copies)
        kind = str(resolve(entry["type"], functions))
        name = str(resolve(entry["name"], functions))
        if parent is not None and not kind.lower().startswith(f"{parent.namespace}/".lower()):
            kind, name = f"{parent.type}/{kind}", "/".join((*parent.names, name))
        elif parent is not None and "/" not in name:
            name = "/".join((*parent.names, name))
        scope = self.setting.scope
        if entry.get("subscriptionId") or entry.get("resourceGroup"):
            scope = ResourceId(
                str(resolve(entry.get("subscriptionId", scope.subscription), functions)),
                str(resolve(entry["resourceGroup"], functions)) if entry.get("resourceGroup") else scope.group,
            )
        if entry.get("scope"):
            scope = self._target(str(resolve(entry["scope"], functions)))
        return build_id(scope, kind, name.split("/"))

    def _target(self, text: str) -> ResourceId:
        """An id that may be relative to the deployment's group."""
        try:
            if text.startswith("/"):
                return parse_id(text)
            return parse_id(f"{self.setting.scope}/providers/{text}")
        except ValueError as error:
            raise TemplateError(f"The template resource scope '{text}' is not valid.") from error

    def _fill(self, planned: Planned, entry: Mapping[str, Any], copies: _Copies) -> None:
        """The body and the dependencies of a drafted resource."""
        body = {name: value for name, value in entry.items() if name.lower() not in _CONTROL}
        inner = self._inner_template(planned, body)
        try:
            planned.body = self._expanded(body, copies)
            if inner is not None:
                planned.body["properties"]["template"] = protect(inner)
        except TemplateError as error:
            raise ArmError(
                400,
                "InvalidTemplate",
                f"Unable to process template language expressions for resource '{planned.id}'. '{error}'",
            ) from error
        depends = [key for item in planned.after for key in self._dependency(item, planned)]
        depends += [key for key in self._implicit(planned.body) if key != planned.key]
        planned.depends = tuple(
            dict.fromkeys(key for key in depends if self.planned[key].wanted and not self.planned[key].existing)
        )

    def _inner_template(self, planned: Planned, body: dict[str, Any]) -> Any:
        """The template of a nested deployment with inner scope, taken out of the body: its expressions are its own."""
        properties = body.get("properties")
        if planned.id.type.lower() != "microsoft.resources/deployments" or not isinstance(properties, dict):
            return None
        options = properties.get("expressionEvaluationOptions")
        if not isinstance(options, dict) or str(options.get("scope", "outer")).lower() != "inner":
            return None
        body["properties"] = {name: value for name, value in properties.items() if name != "template"}
        return properties.get("template")

    def _dependency(self, item: str, of: Planned) -> list[str]:
        low = item.lower().strip("/")
        if item.startswith("/") and "/" + low in self.planned:
            return ["/" + low]
        relative = f"{self.setting.scope}/providers/{low}".lower()
        if relative in self.planned:
            return [relative]
        found = (
            self.by_symbol.get(low)
            or [p for p in self.planned.values() if p.loop and p.loop == low]
            or self.by_name.get(low)
        )
        if found:
            return [planned.key for planned in found]
        raise _undefined(item)

    # -- reference() -------------------------------------------------------------------------------------------------

    def _rewritten(self, call: Call) -> Call:
        """`reference('name')` with the full id and the api-version of the resource it means."""
        if call.name.lower() != "reference" or not call.args or not isinstance(call.args[0], Literal):
            return call
        target = self._referred(str(call.args[0].value), given_version=len(call.args) > 1)
        rest = call.args[1:] or (Literal(target.api_version),)
        return Call(call.name, (Literal(str(target.id)), *rest))

    def _referred(self, named: str, *, given_version: bool) -> Planned:
        low = named.lower()
        full = low if low.startswith("/") else f"{self.setting.scope}/providers/{named}".lower()
        if full in self.planned:
            return self.planned[full]
        found = self.by_symbol.get(low) or self.by_name.get(low)
        if found and len(found) == 1:
            return found[0]
        if "/" in named:
            if not given_version and low.startswith("/"):
                raise _undefined(named)
            return Planned(id=self._target(named), api_version="", body={}, existing=True)
        raise _undefined(named)

    def _implicit(self, body: Json) -> Iterator[str]:
        """Keys of template resources that `reference` calls in a reduced body ask for."""
        for call in calls(body):
            if call.name.lower() == "reference" and call.args and isinstance(call.args[0], Literal):
                key = str(call.args[0].value).lower()
                if key in self.planned:
                    yield key

    # -- outputs -----------------------------------------------------------------------------------------------------

    def outputs(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, entry in (self.template.get("outputs") or {}).items():
            if not resolve(entry.get("condition", True), self.functions({})):
                continue
            kind = shown_kind(str(entry.get("type", "")))
            if kind.lower().startswith("secure"):
                made[name] = {"type": kind}
            elif isinstance(entry.get("copy"), Mapping):
                made[name] = {"type": kind, "value": self._iterations({"name": name, **entry["copy"]}, {}, final=False)}
            else:
                made[name] = {"type": kind, "value": self._expanded(entry.get("value"), {})}
        return made


def build_id(scope: ResourceId, kind: str, names: Sequence[str]) -> ResourceId:
    """The id of a resource of a type (`Microsoft.Network/virtualNetworks/subnets`), its names outermost first."""
    namespace, *types = kind.strip("/").split("/")
    if not types or len(types) != len(names) or not all(names):
        raise TemplateError(
            f"The template resource '{'/'.join(names)}' for type '{kind}' has incorrect segment lengths. A nested resource type "
            f"must have identical number of segments as its resource name. A root resource type must have segment length one "
            f"greater than its resource name. Please see https://aka.ms/arm-syntax-resources for usage details."
        )
    pairs = "".join(f"/{t}/{n}" for t, n in zip(types, names, strict=True))
    try:
        return parse_id(f"{scope}/providers/{namespace}{pairs}")
    except ValueError as error:
        raise TemplateError(f"The template resource '{'/'.join(names)}' for type '{kind}' has no valid id.") from error


def _undefined(named: str) -> TemplateError:
    return TemplateError(
        f"The resource '{named}' is not defined in the template. Please see https://aka.ms/arm-syntax for usage details."
    )


def _ordered(planned: list[Planned]) -> tuple[Planned, ...]:
    """Dependencies first, otherwise in the order of the template."""
    done: set[str] = set()
    ordered: list[Planned] = []
    waiting = list(planned)
    while waiting:
        ready = [p for p in waiting if done.issuperset(p.depends)]
        if not ready:
            raise invalid_template(
                f"Circular dependency detected on resource: '{waiting[0].id}'. "
                f"Please see https://aka.ms/arm-syntax-resources for usage details."
            )
        ordered += ready
        done.update(p.key for p in ready)
        waiting = [p for p in waiting if p.key not in done]
    return tuple(ordered)


def _copy_index(copies: _Copies) -> Callable[..., int]:
    def copy_index(*args: Any) -> int:
        name = str(args[0]).lower() if args and isinstance(args[0], str) else ""
        offset = next((arg for arg in args if isinstance(arg, int)), 0)
        if name not in copies:
            raise TemplateError(
                "The template function 'copyIndex' is not expected at this location. The function can only be used in a resource "
                "with copy specified. Please see https://aka.ms/arm-copy for usage details."
            )
        return copies[name] + offset

    return copy_index


def _misplaced(name: str) -> Callable[..., Any]:
    def misplaced(*_: Any) -> Any:
        raise TemplateError(
            f"The template function '{name}' is not expected at this location. "
            f"Please see https://aka.ms/arm-functions for usage details."
        )

    return misplaced


def _setting_functions(setting: Setting) -> dict[str, Callable[..., Any]]:
    def resource_id(*args: str) -> str:
        at = next((i for i, arg in enumerate(args) if "/" in str(arg)), len(args))
        leading = list(args[:at])
        if at == len(args) or len(leading) > 2:
            raise TemplateError(
                "Unable to evaluate template language function 'resourceId': the resource type must be followed by its names. "
                "Please see https://aka.ms/arm-resource-functions/#resourceid for usage details."
            )
        group = leading.pop() if leading else setting.scope.group
        subscription = leading.pop() if leading else setting.scope.subscription
        return str(build_id(ResourceId(subscription, group), args[at], _names(args[at + 1 :])))

    def subscription_id(*args: str) -> str:
        at = 0 if "/" in args[0] else 1
        subscription = setting.scope.subscription if at == 0 else args[0]
        return str(build_id(ResourceId(subscription), args[at], _names(args[at + 1 :])))

    def extension_id(scope: str, kind: str, *names: str) -> str:
        return str(build_id(parse_id(scope), kind, _names(names)))

    def tenant_id(kind: str, *names: str) -> str:
        namespace, *types = kind.split("/")
        return f"/providers/{namespace}" + "".join(f"/{t}/{n}" for t, n in zip(types, _names(names), strict=True))

    def refused(name: str) -> Callable[..., Any]:
        def refuse(*_: Any) -> Any:
            raise TemplateError(f"The template function '{name}' is not served here: no resource type offers it.")

        return refuse

    lists = ("list", "listKeys", "listSecrets", "listAccountSas", "listServiceSas", "listCredentials")
    return {
        "resourceid": resource_id,
        "subscriptionresourceid": subscription_id,
        "extensionresourceid": extension_id,
        "tenantresourceid": tenant_id,
        "subscription": lambda: dict(setting.subscription),
        "resourcegroup": lambda: dict(setting.group),
        "tenant": lambda: dict(setting.tenant),
        "deployment": lambda: dict(setting.deployment),
        **{name.lower(): refused(name) for name in lists},
    }


def _names(args: Sequence[Any]) -> list[str]:
    """Names given one by one, or joined by slashes."""
    return [part for arg in args for part in str(arg).split("/")]


def _user_functions(groups: Sequence[Any], base: Functions) -> dict[str, Callable[..., Any]]:
    """`functions` of the template: `{namespace, members: {name: {parameters, output}}}`."""
    made: dict[str, Callable[..., Any]] = {}
    for group in groups:
        for name, member in (group.get("members") or {}).items():
            made[f"{group.get('namespace')}.{name}".lower()] = _user_function(name, member, base, made)
    return made


def _user_function(name: str, member: Mapping[str, Any], base: Functions, others: Functions) -> Callable[..., Any]:
    names = [str(parameter.get("name", "")).lower() for parameter in member.get("parameters") or ()]

    def function(*values: Any) -> Any:
        if len(values) != len(names):
            raise TemplateError(
                f"Unable to evaluate template language function '{name}': function requires {len(names)} argument(s) "
                f"while {len(values)} were provided. Please see https://aka.ms/arm-functions for usage details."
            )
        bound = dict(zip(names, values, strict=True))

        def parameter(wanted: str) -> Any:
            if wanted.lower() not in bound:
                raise TemplateError(f"The template parameter '{wanted}' is not found.")
            return bound[wanted.lower()]

        return resolve(member["output"]["value"], {**base, **others, "parameters": parameter})

    return function
