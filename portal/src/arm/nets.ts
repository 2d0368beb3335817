// IPv4 prefixes as forms need them: read, checked, compared, and the next free one of a size. The API has the last word.
// Ranges that Azure refuses are those of virtual-networks-faq ("what address ranges can I use").

export interface Net {
  /** The first address, as a number below 2^32. */
  readonly first: number;
  readonly length: number;
}

const FORBIDDEN = ["224.0.0.0/4", "255.255.255.255/32", "127.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32"];

export function parseAddress(text: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text.trim());
  if (parts === null) return undefined;
  const bytes = parts.slice(1).map(Number);
  return bytes.some((byte) => byte > 255) ? undefined : bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

/** How many addresses a prefix of a length holds. */
export function count(length: number): number {
  return 2 ** (32 - length);
}

export function lastOf(net: Net): number {
  return net.first + count(net.length) - 1;
}

/** `10.0.0.0/16`; undefined where it is none, or where its address is not the first of its range. */
export function parseNet(text: string): Net | undefined {
  const [address = "", length = ""] = text.trim().split("/");
  const first = parseAddress(address);
  if (first === undefined || !/^\d{1,2}$/.test(length) || Number(length) > 32) return undefined;
  return first % count(Number(length)) === 0 ? { first, length: Number(length) } : undefined;
}

export function formatNet(net: Net): string {
  return `${formatAddress(net.first)}/${net.length}`;
}

export function overlap(one: Net, two: Net): boolean {
  return one.first <= lastOf(two) && two.first <= lastOf(one);
}

export function contains(outer: Net, inner: Net): boolean {
  return outer.first <= inner.first && lastOf(inner) <= lastOf(outer);
}

/** "10.0.0.0 - 10.0.0.255" */
export function span(net: Net): string {
  return `${formatAddress(net.first)} - ${formatAddress(lastOf(net))}`;
}

/** "256 addresses" */
export function addresses(length: number): string {
  const found = count(length);
  return `${found.toLocaleString("en")} address${found === 1 ? "" : "es"}`;
}

/** The first prefix of a length within `outer` that none of `taken` touches. */
export function nextFree(outer: Net, length: number, taken: readonly Net[]): Net | undefined {
  if (length < outer.length) return undefined;
  const size = count(length);
  for (let first = outer.first; first + size - 1 <= lastOf(outer); ) {
    const clash = taken.find((other) => overlap(other, { first, length }));
    if (clash === undefined) return { first, length };
    first = Math.ceil((lastOf(clash) + 1) / size) * size;
  }
  return undefined;
}

/** The range that no network may touch and this one does. */
export function forbidden(net: Net): string | undefined {
  return FORBIDDEN.find((range) => overlap(net, parseNet(range)!));
}

/** What is wrong with an address and a length as the two fields of a prefix. */
export function prefixError(address: string, length: number): string | undefined {
  const first = parseAddress(address);
  if (first === undefined) return "Enter an IPv4 address, such as 10.0.0.0.";
  const start = first - (first % count(length));
  return start === first ? undefined : `A range of this size cannot begin here. The nearest begins at ${formatAddress(start)}.`;
}
