"""JSON shapes of virtual machines and disks: every member the newest specification knows, so that others are refused.

Member names are those of azure-rest-api-specs, Microsoft.Compute 2025-04-01, and of the 2026 SDK's models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from azlan.arm.resource import Json


def _versions(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COMPUTE_API_VERSIONS: tuple[str, ...] = _versions(
    """2026-04-01 2025-11-01 2025-04-01 2024-11-01 2024-07-01 2024-03-01 2023-09-01 2023-07-01 2023-03-01 2022-11-01
    2022-08-01 2022-03-01 2021-11-01 2021-07-01 2021-04-01 2021-03-01 2020-12-01 2020-06-01 2019-12-01 2019-07-01
    2019-03-01 2018-10-01 2018-06-01 2018-04-01 2017-12-01 2017-03-30 2016-08-30 2016-04-30-preview 2016-03-30
    2015-06-15 2015-05-01-preview"""
)
DISK_API_VERSIONS: tuple[str, ...] = _versions(
    """2025-01-02 2024-03-02 2023-10-02 2023-04-02 2023-01-02 2022-07-02 2022-03-02 2021-12-01 2021-08-01 2021-04-01
    2020-12-01 2020-09-30 2020-06-30 2020-05-01 2019-11-01 2019-07-01 2019-03-01 2018-09-30 2018-06-01 2018-04-01
    2017-03-30 2016-04-30-preview"""
)


class Shape(BaseModel):
    """An object of the specification: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Ref(BaseModel):
    """`{"id"}`; clients send back expanded objects here."""

    model_config = ConfigDict(extra="ignore")
    id: str | None = None


def fold(*values: str) -> BeforeValidator:
    """Accept an enumeration in any case, as Azure does."""
    known = {value.lower(): value for value in values}
    return BeforeValidator(lambda value: known.get(value.lower(), value) if isinstance(value, str) else value)


def settle(model: type[BaseModel], document: Json) -> None:
    """Bring enumerations to the specification's case, in place; the core has checked the document before."""
    given = {name: value for name, value in document.items() if name in model.model_fields}
    kept = model.model_validate(given).model_dump(exclude_unset=True, exclude_none=True)
    properties = document.get("properties")
    if isinstance(properties, dict):
        properties.clear()
        properties.update(kept.pop("properties", {}))
    document.update(kept)


Object = dict[str, Any]
Caching = Annotated[Literal["None", "ReadOnly", "ReadWrite"], fold("None", "ReadOnly", "ReadWrite")]
CreateOption = Annotated[
    Literal["FromImage", "Empty", "Attach", "Copy", "Restore"], fold("FromImage", "Empty", "Attach", "Copy", "Restore")
]
DeleteOption = Annotated[Literal["Delete", "Detach"], fold("Delete", "Detach")]
DISK_SKUS = (
    "Standard_LRS",
    "Premium_LRS",
    "StandardSSD_LRS",
    "UltraSSD_LRS",
    "Premium_ZRS",
    "StandardSSD_ZRS",
    "PremiumV2_LRS",
)
StorageAccountType = Annotated[
    Literal[
        "Standard_LRS",
        "Premium_LRS",
        "StandardSSD_LRS",
        "UltraSSD_LRS",
        "Premium_ZRS",
        "StandardSSD_ZRS",
        "PremiumV2_LRS",
    ],
    fold(*DISK_SKUS),
]


class HardwareProfile(Shape):
    vmSize: str | None = None
    vmSizeProperties: Object | None = None
    processorMode: str | None = None


class ImageReference(Shape):
    id: str | None = None
    publisher: str | None = None
    offer: str | None = None
    sku: str | None = None
    version: str | None = None
    sharedGalleryImageId: str | None = None
    communityGalleryImageId: str | None = None


class ManagedDisk(Shape):
    id: str | None = None
    storageAccountType: StorageAccountType | None = None
    diskEncryptionSet: Ref | None = None
    securityProfile: Object | None = None
    additionalDiskProperties: Object | None = None


class OSDisk(Shape):
    osType: Annotated[Literal["Linux", "Windows"], fold("Linux", "Windows")] | None = None
    encryptionSettings: Object | None = None
    name: str | None = None
    vhd: Object | None = None
    image: Object | None = None
    caching: Caching | None = None
    writeAcceleratorEnabled: bool | None = None
    diffDiskSettings: Object | None = None
    createOption: CreateOption
    diskSizeGB: Annotated[int, Field(ge=0, le=4095)] | None = None
    storageFaultDomainAlignment: str | None = None
    managedDisk: ManagedDisk | None = None
    deleteOption: DeleteOption | None = None


class DataDisk(Shape):
    lun: Annotated[int, Field(ge=0, le=63)]
    name: str | None = None
    vhd: Object | None = None
    image: Object | None = None
    caching: Caching | None = None
    writeAcceleratorEnabled: bool | None = None
    createOption: CreateOption
    diskSizeGB: Annotated[int, Field(ge=1, le=65536)] | None = None
    storageFaultDomainAlignment: str | None = None
    managedDisk: ManagedDisk | None = None
    sourceResource: Ref | None = None
    toBeDetached: bool | None = None
    diskIOPSReadWrite: int | None = None
    diskMBpsReadWrite: int | None = None
    detachOption: str | None = None
    deleteOption: DeleteOption | None = None


class StorageProfile(Shape):
    imageReference: ImageReference | None = None
    osDisk: OSDisk | None = None
    dataDisks: list[DataDisk] | None = None
    diskControllerType: str | None = None
    alignRegionalDisksToVMZone: bool | None = None
    diskApiVersion: str | None = None


class SshPublicKey(Shape):
    path: str | None = None
    keyData: str | None = None


class Ssh(Shape):
    publicKeys: list[SshPublicKey] | None = None


class LinuxConfiguration(Shape):
    disablePasswordAuthentication: bool | None = None
    ssh: Ssh | None = None
    provisionVMAgent: bool | None = None
    patchSettings: Object | None = None
    enableVMAgentPlatformUpdates: bool | None = None


class OSProfile(Shape):
    computerName: str | None = None
    adminUsername: str | None = None
    adminPassword: str | None = None
    customData: str | None = None
    windowsConfiguration: Object | None = None
    linuxConfiguration: LinuxConfiguration | None = None
    secrets: list[Object] | None = None
    allowExtensionOperations: bool | None = None
    requireGuestProvisionSignal: bool | None = None


class NicReferenceProperties(Shape):
    primary: bool | None = None
    deleteOption: DeleteOption | None = None


class NicReference(Shape):
    id: str | None = None
    properties: NicReferenceProperties | None = None


class NetworkProfile(Shape):
    networkInterfaces: list[NicReference] | None = None
    networkApiVersion: str | None = None
    networkInterfaceConfigurations: list[Object] | None = None
    interconnectGroupProfile: Object | None = None


class BootDiagnostics(Shape):
    enabled: bool | None = None
    storageUri: str | None = None


class DiagnosticsProfile(Shape):
    bootDiagnostics: BootDiagnostics | None = None


class VirtualMachineProperties(Shape):
    hardwareProfile: HardwareProfile | None = None
    flexProfile: Object | None = None
    scheduledEventsPolicy: Object | None = None
    storageProfile: StorageProfile | None = None
    additionalCapabilities: Object | None = None
    osProfile: OSProfile | None = None
    networkProfile: NetworkProfile | None = None
    securityProfile: Object | None = None
    diagnosticsProfile: DiagnosticsProfile | None = None
    availabilitySet: Ref | None = None
    virtualMachineScaleSet: Ref | None = None
    proximityPlacementGroup: Ref | None = None
    priority: str | None = None
    evictionPolicy: str | None = None
    billingProfile: Object | None = None
    host: Ref | None = None
    hostGroup: Ref | None = None
    licenseType: str | None = None
    extensionsTimeBudget: str | None = None
    platformFaultDomain: int | None = None
    scheduledEventsProfile: Object | None = None
    userData: str | None = None
    capacityReservation: Object | None = None
    interconnectBlockProfile: Object | None = None
    applicationProfile: Object | None = None
    resiliencyProfile: Object | None = None


class Plan(Shape):
    name: str | None = None
    publisher: str | None = None
    product: str | None = None
    promotionCode: str | None = None


class VirtualMachine(Shape):
    properties: VirtualMachineProperties | None = None
    plan: Plan | None = None
    identity: Object | None = None
    zones: list[str] | None = None
    extendedLocation: Object | None = None
    placement: Object | None = None


class CreationData(Shape):
    createOption: Annotated[
        Literal["Empty", "FromImage", "Copy", "Attach", "Import", "Restore", "Upload", "CopyStart", "ImportSecure"]
        | Literal["UploadPreparedSecure", "CopyFromSanSnapshot"],
        fold(
            *("Empty", "FromImage", "Copy", "Attach", "Import", "Restore", "Upload", "CopyStart", "ImportSecure"),
            *("UploadPreparedSecure", "CopyFromSanSnapshot"),
        ),
    ]
    storageAccountId: str | None = None
    imageReference: Object | None = None
    galleryImageReference: Object | None = None
    sourceUri: str | None = None
    sourceResourceId: str | None = None
    uploadSizeBytes: int | None = None
    logicalSectorSize: int | None = None
    securityDataUri: str | None = None
    securityMetadataUri: str | None = None
    performancePlus: bool | None = None
    elasticSanResourceId: str | None = None
    provisionedBandwidthCopySpeed: str | None = None
    instantAccessDurationMinutes: int | None = None


class DiskProperties(Shape):
    osType: Annotated[Literal["Linux", "Windows"], fold("Linux", "Windows")] | None = None
    hyperVGeneration: Annotated[Literal["V1", "V2"], fold("V1", "V2")] | None = None
    purchasePlan: Object | None = None
    supportedCapabilities: Object | None = None
    creationData: CreationData | None = None
    diskSizeGB: Annotated[int, Field(ge=1, le=65536)] | None = None
    encryptionSettingsCollection: Object | None = None
    diskIOPSReadWrite: int | None = None
    diskMBpsReadWrite: int | None = None
    diskIOPSReadOnly: int | None = None
    diskMBpsReadOnly: int | None = None
    encryption: Object | None = None
    maxShares: int | None = None
    networkAccessPolicy: str | None = None
    diskAccessId: str | None = None
    tier: str | None = None
    burstingEnabled: bool | None = None
    supportsHibernation: bool | None = None
    securityProfile: Object | None = None
    completionPercent: float | None = None
    publicNetworkAccess: str | None = None
    dataAccessAuthMode: str | None = None
    optimizedForFrequentAttach: bool | None = None
    availabilityPolicy: Object | None = None


class DiskSku(Shape):
    name: StorageAccountType | None = None


class Disk(Shape):
    properties: DiskProperties | None = None
    sku: DiskSku | None = None
    zones: list[str] | None = None
    extendedLocation: Object | None = None
