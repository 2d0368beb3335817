// What a virtual machine is made of: security group, public address, network where they are new; interface; machine.

import type { Json, Resource } from "../../arm/client";
import { tagsOf } from "../../forms/tags";
import { idIn, Secret, type Planned, type Wanted } from "../deployment";
import { fresh, NONE, pickedId, type Pick } from "../pick";
import { addressSku, INTERFACE, MACHINE, NETWORK, PUBLIC_IP, SECURITY_GROUP } from "../shapes";
import { DISK_TYPES, IMAGES, PORTS, takesPremium } from "./choices";
import { networkOf, publicIpOf, subnetOf, subnetsOf, type NewNetwork, type Values } from "./values";

export interface Choices {
  readonly subscription: string;
  readonly networks: readonly Resource[] | undefined;
  readonly newNetwork: NewNetwork;
  /** Name of the interface to be. */
  readonly nic: string;
}

/** The security group of the interface: a basic one is the machine's own. */
export function securityGroupOf(values: Values): Pick {
  if (values.protection === "none") return NONE;
  return values.protection === "advanced" ? values.securityGroup : fresh(`${values.name}-nsg`);
}

function inboundRules(values: Values): Json[] {
  if (values.inbound === "none") return [];
  return PORTS.filter((port) => values.ports.includes(port.value)).map((port) => ({
    name: port.rule,
    properties: {
      priority: port.priority,
      protocol: "Tcp",
      access: "Allow",
      direction: "Inbound",
      sourceAddressPrefix: "*",
      sourcePortRange: "*",
      destinationAddressPrefix: "*",
      destinationPortRange: port.value,
    },
  }));
}

export function diskTypeOf(values: Values): string {
  return values.diskType === "Premium_LRS" && !takesPremium(values.size) ? DISK_TYPES[1]!.value : values.diskType;
}

export function machinePlan(values: Values, choices: Choices): Planned {
  const { subscription, networks, newNetwork, nic } = choices;
  const project = { ...values, subscription };
  const common = { location: values.region, tags: tagsOf(values.tags) };
  const network = networkOf(values, networks);
  const networkId = pickedId(network, NETWORK, project)!;
  const subnet = network.kind === "new" ? newNetwork.subnet : subnetOf(values, subnetsOf(network, networks))?.name;
  const publicIp = publicIpOf(values);
  const publicIpId = pickedId(publicIp, PUBLIC_IP, project);
  const securityGroup = securityGroupOf(values);
  const securityGroupId = pickedId(securityGroup, SECURITY_GROUP, project);
  const nicId = idIn(project, INTERFACE, nic);
  const zones = values.availability === "zone" ? [values.zone] : [];
  const deleteOption = values.deleteInterface ? "Delete" : "Detach";

  const resources: Wanted[] = [];
  if (securityGroup.kind === "new") resources.push({ ...common, type: SECURITY_GROUP, name: securityGroup.name, properties: { securityRules: inboundRules(values) } });
  if (publicIp.kind === "new") resources.push({ ...common, type: PUBLIC_IP, name: publicIp.name, sku: addressSku("Standard"), zones, properties: { publicIPAllocationMethod: "Static" } });
  if (network.kind === "new") {
    const subnets = [{ name: newNetwork.subnet, properties: { addressPrefix: newNetwork.subnetPrefix, defaultOutboundAccess: true } }];
    resources.push({ ...common, type: NETWORK, name: network.name, properties: { addressSpace: { addressPrefixes: [newNetwork.prefix] }, subnets } });
  }
  const after = resources.map((resource) => idIn(project, resource.type, resource.name));
  const ip = {
    privateIPAllocationMethod: "Dynamic",
    subnet: { id: `${networkId}/subnets/${subnet}` },
    ...(publicIpId === undefined ? {} : { publicIPAddress: { id: publicIpId, properties: { deleteOption } } }),
  };
  resources.push({
    ...common,
    type: INTERFACE,
    name: nic,
    properties: { ipConfigurations: [{ name: "ipconfig1", properties: ip }], ...(securityGroupId === undefined ? {} : { networkSecurityGroup: { id: securityGroupId } }) },
    after,
  });
  resources.push({ ...common, type: MACHINE, name: values.name, zones, properties: machineProperties(values, nicId, deleteOption), after: [nicId] });
  const image = imageOf(values);
  return {
    ...project,
    name: `CreateVm-${image.publisher}.${image.offer}`.slice(0, 48),
    resources,
    main: idIn(project, MACHINE, values.name),
    secrets: values.authentication === "password" ? { adminPassword: values.password } : {},
  };
}

function imageOf(values: Values): (typeof IMAGES)[number] {
  return IMAGES.find((image) => image.text === values.image) ?? IMAGES[0]!;
}

function machineProperties(values: Values, nic: string, deleteOption: string): Json {
  const { publisher, offer, sku } = imageOf(values);
  const key = { path: `/home/${values.user}/.ssh/authorized_keys`, keyData: values.key.trim() };
  const login = values.authentication === "password" ? { adminPassword: new Secret("adminPassword") } : { linuxConfiguration: { disablePasswordAuthentication: true, ssh: { publicKeys: [key] } } };
  return {
    hardwareProfile: { vmSize: values.size },
    storageProfile: {
      imageReference: { publisher, offer, sku, version: "latest" },
      osDisk: {
        createOption: "FromImage",
        managedDisk: { storageAccountType: diskTypeOf(values) },
        deleteOption: values.deleteDisk ? "Delete" : "Detach",
        ...(values.diskSize === "" ? {} : { diskSizeGB: Number(values.diskSize) }),
      },
    },
    networkProfile: { networkInterfaces: [{ id: nic, properties: { primary: true, deleteOption } }] },
    osProfile: { computerName: values.name, adminUsername: values.user, ...login },
    ...(values.security === "TrustedLaunch" ? { securityProfile: { securityType: "TrustedLaunch", uefiSettings: { secureBootEnabled: true, vTpmEnabled: true } } } : {}),
    diagnosticsProfile: { bootDiagnostics: { enabled: true } },
  };
}
