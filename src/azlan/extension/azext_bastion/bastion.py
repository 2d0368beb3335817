"""`az network bastion create | show | list | delete | wait`, as atomic commands of az.

Requests follow Microsoft.Network/bastionHosts 2022-01-01, what Microsoft's extension sends.
"""

from __future__ import annotations

from typing import Any

from azure.cli.core.aaz import (
    AAZBoolArg,
    AAZBoolType,
    AAZCommand,
    AAZCommandGroup,
    AAZDictArg,
    AAZDictType,
    AAZHttpOperation,
    AAZIntArg,
    AAZIntArgFormat,
    AAZIntType,
    AAZListType,
    AAZObjectType,
    AAZResourceGroupNameArg,
    AAZResourceIdArg,
    AAZResourceIdArgFormat,
    AAZResourceLocationArg,
    AAZResourceLocationArgFormat,
    AAZStrArg,
    AAZStrType,
    AAZWaitCommand,
    has_value,
    register_command,
    register_command_group,
)

_VERSION = "2022-01-01"
_GROUP = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
_NETWORK = "/providers/Microsoft.Network"
_TEMPLATE = "/subscriptions/{subscription}/resourceGroups/{resource_group}" + _NETWORK
_INFO: dict[str, Any] = {
    "version": _VERSION,
    "resources": [
        [
            "mgmt-plane",
            "/subscriptions/{}/resourcegroups/{}/providers/microsoft.network/bastionhosts/{}",
            _VERSION,
        ]
    ],
}


@register_command_group("network bastion")
class NetworkBastion(AAZCommandGroup):
    """Manage Azure Bastion host machines."""


class _Operation(AAZHttpOperation):
    """What the requests of this group share."""

    CLIENT_TYPE = "MgmtClient"
    path = _GROUP + _NETWORK + "/bastionHosts/{bastionHostName}"
    verb = "GET"

    @property
    def url(self) -> str:
        return self.client.format_url(self.path, **self.url_parameters)

    @property
    def method(self) -> str:
        return self.verb

    @property
    def error_format(self) -> str:
        return "ODataV4Format"

    @property
    def url_parameters(self) -> dict[str, Any]:
        values = {"subscriptionId": self.ctx.subscription_id}
        if "{resourceGroupName}" in self.path:
            values["resourceGroupName"] = self.ctx.args.resource_group
        if "{bastionHostName}" in self.path:
            values["bastionHostName"] = self.ctx.args.name
        parameters: dict[str, Any] = {}
        for name, value in values.items():
            parameters |= self.serialize_url_param(name, value, required=True)
        return parameters

    @property
    def query_parameters(self) -> dict[str, Any]:
        return self.serialize_query_param("api-version", _VERSION, required=True)

    @property
    def header_parameters(self) -> dict[str, Any]:
        return self.serialize_header_param("Accept", "application/json")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        session = self.client.send_request(request=self.make_request(), stream=False, **kwargs)
        if session.http_response.status_code == 200:
            return self.keep(session)
        return self.on_error(session.http_response)

    def keep(self, session: Any) -> None:
        self.ctx.set_var("instance", self.deserialize_http_content(session), schema_builder=self.schema)

    @staticmethod
    def schema() -> AAZObjectType:
        return _bastion_host()

    def poll(self, session: Any, keep: Any, final: str) -> Any:
        """Follow a long-running operation to its end, or not with --no-wait."""
        return self.client.build_lro_polling(
            self.ctx.args.no_wait,
            session,
            keep,
            self.on_error,
            lro_options={"final-state-via": final},
            path_format_arguments=self.url_parameters,
        )


class _Get(_Operation):
    pass


class _List(_Operation):
    path = _GROUP + _NETWORK + "/bastionHosts"

    @staticmethod
    def schema() -> AAZObjectType:
        schema = AAZObjectType()
        schema.next_link = AAZStrType(serialized_name="nextLink")
        schema.value = AAZListType()
        schema.value.Element = _bastion_host()
        return schema


class _ListAll(_List):
    path = "/subscriptions/{subscriptionId}" + _NETWORK + "/bastionHosts"


class _Delete(_Operation):
    verb = "DELETE"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        session = self.client.send_request(request=self.make_request(), stream=False, **kwargs)
        if session.http_response.status_code in (200, 202, 204):
            return self.poll(session, lambda _session: None, "location")
        return self.on_error(session.http_response)


class _Put(_Operation):
    verb = "PUT"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        session = self.client.send_request(request=self.make_request(), stream=False, **kwargs)
        if session.http_response.status_code in (200, 201, 202):
            return self.poll(session, self.keep, "azure-async-operation")
        return self.on_error(session.http_response)

    @property
    def header_parameters(self) -> dict[str, Any]:
        return {**super().header_parameters, **self.serialize_header_param("Content-Type", "application/json")}

    @property
    def content(self) -> Any:
        value, builder = self.new_content_builder(
            self.ctx.args, typ=AAZObjectType, typ_kwargs={"flags": {"required": True, "client_flatten": True}}
        )
        builder.set_prop("location", AAZStrType, ".location")
        properties = builder.set_prop("properties", AAZObjectType, ".", typ_kwargs={"flags": {"client_flatten": True}})
        builder.set_prop("sku", AAZObjectType, ".").set_prop("name", AAZStrType, ".sku")
        builder.set_prop("tags", AAZDictType, ".tags")
        tags = builder.get(".tags")
        if tags is not None:
            tags.set_elements(AAZStrType, ".")
        properties.set_prop("disableCopyPaste", AAZBoolType, ".disable_copy_paste")
        properties.set_prop("enableIpConnect", AAZBoolType, ".enable_ip_connect")
        properties.set_prop("enableTunneling", AAZBoolType, ".enable_tunneling")
        properties.set_prop("scaleUnits", AAZIntType, ".scale_units")
        content = self.serialize_content(value)
        content.setdefault("properties", {})["ipConfigurations"] = [self._ip_configuration()]
        return content

    def _ip_configuration(self) -> dict[str, Any]:
        args = self.ctx.args
        subnet = f"{args.vnet_name.to_serialized_data()}/subnets/AzureBastionSubnet"
        properties: dict[str, Any] = {"subnet": {"id": subnet}}
        if has_value(args.public_ip_address):
            properties["publicIPAddress"] = {"id": args.public_ip_address.to_serialized_data()}
        return {"name": "bastion_ip_config", "properties": properties}


class _Command(AAZCommand):
    """A command on one Bastion host."""

    _aaz_info = _INFO
    operation: type[_Operation] = _Get

    @classmethod
    def _build_arguments_schema(cls, *args: Any, **kwargs: Any) -> Any:
        if cls.__dict__.get("_args_schema") is None:
            schema = cls._args_schema = super()._build_arguments_schema(*args, **kwargs)
            schema.name = AAZStrArg(
                options=["-n", "--name"], help="Name of the Bastion host.", required=True, id_part=cls.id_part()
            )
            schema.resource_group = AAZResourceGroupNameArg(required=True)
            cls.more_arguments(schema)
        return cls._args_schema

    @classmethod
    def id_part(cls) -> str | None:
        return "name"

    @classmethod
    def more_arguments(cls, schema: Any) -> None:
        """Arguments besides the name and the group."""

    def _handler(self, command_args: Any) -> Any:
        super()._handler(command_args)
        self.operation(ctx=self.ctx)()
        return self._output()

    def _output(self, *_args: Any, **_kwargs: Any) -> Any:
        return self.deserialize_output(self.ctx.vars.instance, client_flatten=True)


@register_command("network bastion show")
class Show(_Command):
    """Show an Azure Bastion host machine.

    :example: Show an Azure Bastion host machine.
        az network bastion show --name MyBastionHost --resource-group MyResourceGroup
    """


@register_command("network bastion wait")
class Wait(_Command, AAZWaitCommand):
    """Place the CLI in a waiting state until a condition of the Bastion host is met."""

    def _output(self, *_args: Any, **_kwargs: Any) -> Any:
        return self.deserialize_output(self.ctx.vars.instance, client_flatten=False)


@register_command("network bastion create")
class Create(_Command):
    """Create an Azure Bastion host machine.

    :example: Create an Azure Bastion host machine.
        az network bastion create --location westus2 --name MyBastionHost --public-ip-address MyPublicIpAddress \
--resource-group MyResourceGroup --vnet-name MyVnet
    """

    AZ_SUPPORT_NO_WAIT = True

    @classmethod
    def id_part(cls) -> str | None:
        return None

    @classmethod
    def more_arguments(cls, schema: Any) -> None:
        schema.location = AAZResourceLocationArg(
            fmt=AAZResourceLocationArgFormat(resource_group_arg="resource_group"),
        )
        schema.vnet_name = AAZResourceIdArg(
            options=["--vnet-name"],
            help="Name or ID of the virtual network. It must have a subnet called AzureBastionSubnet.",
            required=True,
            fmt=AAZResourceIdArgFormat(template=_TEMPLATE + "/virtualNetworks/{}"),
        )
        schema.public_ip_address = AAZResourceIdArg(
            options=["--public-ip-address"],
            help="Name or ID of a public IP address. Its SKU must be Standard.",
            fmt=AAZResourceIdArgFormat(template=_TEMPLATE + "/publicIPAddresses/{}"),
        )
        schema.sku = AAZStrArg(
            options=["--sku"],
            help="SKU of the Bastion host.",
            default="Standard",
            enum={"Basic": "Basic", "Developer": "Developer", "Premium": "Premium", "Standard": "Standard"},
        )
        schema.scale_units = AAZIntArg(
            options=["--scale-units"],
            help="Scale units of the Bastion host.",
            fmt=AAZIntArgFormat(minimum=2, maximum=50),
        )
        schema.disable_copy_paste = AAZBoolArg(
            options=["--disable-copy-paste"], help="Disable copy and paste for all sessions.", default=False
        )
        schema.enable_ip_connect = AAZBoolArg(
            options=["--enable-ip-connect"], help="Enable IP-based connections.", default=False
        )
        schema.enable_tunneling = AAZBoolArg(
            options=["--enable-tunneling"], help="Enable native client support.", default=False
        )
        schema.tags = AAZDictArg(options=["--tags"], help="Space-separated tags: key[=value] [key[=value] ...].")
        schema.tags.Element = AAZStrArg()

    def _handler(self, command_args: Any) -> Any:
        AAZCommand._handler(self, command_args)
        return self.build_lro_poller(self._run, self._output)

    def _run(self) -> Any:
        yield _Put(ctx=self.ctx)()


@register_command("network bastion delete", confirmation="Are you sure you want to delete the Bastion host?")
class Delete(_Command):
    """Delete an Azure Bastion host machine.

    :example: Delete an Azure Bastion host machine.
        az network bastion delete --name MyBastionHost --resource-group MyResourceGroup
    """

    AZ_SUPPORT_NO_WAIT = True

    def _handler(self, command_args: Any) -> Any:
        AAZCommand._handler(self, command_args)
        return self.build_lro_poller(self._run, None)

    def _run(self) -> Any:
        yield _Delete(ctx=self.ctx)()


@register_command("network bastion list")
class List(AAZCommand):
    """List all Azure Bastion host machines of a subscription or a resource group.

    :example: List all Azure Bastion host machines in a resource group.
        az network bastion list --resource-group MyResourceGroup
    """

    _aaz_info = _INFO
    _args_schema = None

    @classmethod
    def _build_arguments_schema(cls, *args: Any, **kwargs: Any) -> Any:
        if cls._args_schema is None:
            cls._args_schema = super()._build_arguments_schema(*args, **kwargs)
            cls._args_schema.resource_group = AAZResourceGroupNameArg()
        return cls._args_schema

    def _handler(self, command_args: Any) -> Any:
        super()._handler(command_args)
        return self.build_paging(self._run, self._output)

    def _run(self) -> None:
        (_List if has_value(self.ctx.args.resource_group) else _ListAll)(ctx=self.ctx)()

    def _output(self, *_args: Any, **_kwargs: Any) -> Any:
        instance = self.ctx.vars.instance
        hosts = self.deserialize_output(instance.value, client_flatten=True)
        return hosts, self.deserialize_output(instance.next_link)


def _bastion_host() -> AAZObjectType:
    """The schema of an answer; members it does not name are not shown."""
    host = AAZObjectType()
    for name in ("etag", "id", "location", "name", "type"):
        setattr(host, name, AAZStrType())
    host.properties = AAZObjectType(flags={"client_flatten": True})
    host.sku = AAZObjectType()
    host.sku.name = AAZStrType()
    host.tags = AAZDictType()
    host.tags.Element = AAZStrType()
    properties = host.properties
    properties.disable_copy_paste = AAZBoolType(serialized_name="disableCopyPaste")
    properties.dns_name = AAZStrType(serialized_name="dnsName")
    properties.enable_file_copy = AAZBoolType(serialized_name="enableFileCopy")
    properties.enable_ip_connect = AAZBoolType(serialized_name="enableIpConnect")
    properties.enable_shareable_link = AAZBoolType(serialized_name="enableShareableLink")
    properties.enable_tunneling = AAZBoolType(serialized_name="enableTunneling")
    properties.provisioning_state = AAZStrType(serialized_name="provisioningState")
    properties.scale_units = AAZIntType(serialized_name="scaleUnits")
    properties.ip_configurations = AAZListType(serialized_name="ipConfigurations")
    properties.ip_configurations.Element = AAZObjectType()
    configuration = properties.ip_configurations.Element
    for name in ("etag", "id", "name", "type"):
        setattr(configuration, name, AAZStrType())
    configuration.properties = AAZObjectType(flags={"client_flatten": True})
    inner = configuration.properties
    inner.private_ip_allocation_method = AAZStrType(serialized_name="privateIPAllocationMethod")
    inner.provisioning_state = AAZStrType(serialized_name="provisioningState")
    for name, serialized in (("public_ip_address", "publicIPAddress"), ("subnet", "subnet")):
        reference = AAZObjectType(serialized_name=serialized)
        setattr(inner, name, reference)
        getattr(inner, name).id = AAZStrType()
    return host
