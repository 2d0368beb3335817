// What a machine may be made from, under the names of Azure's Marketplace, and how its choices are worded.

import type { Choice } from "../../forms/fields";

export interface Image {
  readonly text: string;
  readonly publisher: string;
  readonly offer: string;
  readonly sku: string;
  readonly generation: 1 | 2;
}

/** The images that the API's table has, by the titles of the Marketplace. */
export const IMAGES: readonly Image[] = [
  { text: "Ubuntu Server 24.04 LTS - x64 Gen2", publisher: "canonical", offer: "ubuntu-24_04-lts", sku: "server", generation: 2 },
  { text: "Ubuntu Server 24.04 LTS - x64 Gen1", publisher: "canonical", offer: "ubuntu-24_04-lts", sku: "server-gen1", generation: 1 },
  { text: "Ubuntu Server 22.04 LTS - x64 Gen2", publisher: "canonical", offer: "0001-com-ubuntu-server-jammy", sku: "22_04-lts-gen2", generation: 2 },
  { text: "Ubuntu Server 22.04 LTS - x64 Gen1", publisher: "canonical", offer: "0001-com-ubuntu-server-jammy", sku: "22_04-lts", generation: 1 },
  { text: 'Debian 12 "Bookworm" - x64 Gen2', publisher: "debian", offer: "debian-12", sku: "12-gen2", generation: 2 },
  { text: 'Debian 12 "Bookworm" - x64 Gen1', publisher: "debian", offer: "debian-12", sku: "12", generation: 1 },
];

export interface Size {
  readonly name: string;
  readonly numberOfCores: number;
  readonly memoryInMB: number;
}

export const DEFAULT_SIZE = "Standard_D2s_v3";

export function sizeText(size: Size): string {
  return `${size.name} - ${size.numberOfCores} vcpu${size.numberOfCores === 1 ? "" : "s"}, ${size.memoryInMB / 1024} GiB memory`;
}

/** Whether a size takes premium disks: an "s" behind the number of its name says so. */
export function takesPremium(size: string): boolean {
  return /^Standard_(?:[A-Z]S\d|[A-Z]+\d+[a-z]*s|B)/.test(size);
}

/** Ports that "Select inbound ports" offers, with the names and priorities that Azure's portal gives their rules. */
export const PORTS = [
  { value: "22", text: "SSH (22)", rule: "default-allow-ssh", priority: 1000 },
  { value: "80", text: "HTTP (80)", rule: "AllowAnyHTTPInbound", priority: 1010 },
  { value: "443", text: "HTTPS (443)", rule: "AllowAnyHTTPSInbound", priority: 1020 },
  { value: "3389", text: "RDP (3389)", rule: "default-allow-rdp", priority: 1030 },
] as const;

export const DISK_TYPES: readonly Choice[] = [
  { value: "Premium_LRS", text: "Premium SSD (locally-redundant storage)" },
  { value: "StandardSSD_LRS", text: "Standard SSD (locally-redundant storage)" },
  { value: "Standard_LRS", text: "Standard HDD (locally-redundant storage)" },
];

/** "" is the image's own size. */
export const DISK_SIZES: readonly Choice[] = [{ value: "", text: "Image default (30 GiB)" }, ...[32, 64, 128, 256, 512, 1024, 2048].map((size) => ({ value: String(size), text: size < 1024 ? `${size} GiB` : `${size / 1024} TiB` }))];

export const AVAILABILITY: readonly Choice[] = [
  { value: "none", text: "No infrastructure redundancy required" },
  { value: "zone", text: "Availability zone" },
];

export const ZONES: readonly Choice[] = ["1", "2", "3"].map((zone) => ({ value: zone, text: `Zone ${zone}` }));

export const SECURITY: readonly Choice[] = [
  { value: "Standard", text: "Standard" },
  { value: "TrustedLaunch", text: "Trusted launch virtual machines" },
];
