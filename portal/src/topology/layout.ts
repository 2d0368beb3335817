// Where everything stands: hubs above their spokes, pairs side by side, what is peered with nobody in a grid. Pure and
// deterministic; no two boxes overlap unless one lies in the other.
//
//        ┌ hub ┐              bus: one line from the hub, above each row,
//     ┌─────┴──┬────────┐     with a drop to every spoke; a trunk on the left
//   spoke    spoke    spoke   leads to further rows

import type { Graph, Network, Peering, Station, Subnet } from "./model";

interface Place {
  readonly key: string;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export type Box =
  | (Place & { readonly kind: "network"; readonly network: Network; readonly open: boolean })
  | (Place & { readonly kind: "subnet"; readonly subnet: Subnet })
  | (Place & { readonly kind: "station"; readonly station: Station })
  | (Place & { readonly kind: "more"; readonly count: number })
  | (Place & { readonly kind: "internet" });

/** A peering's line; `mark` is the middle of its words, where there is room for them, else of its sign. */
export interface Wire {
  readonly key: string;
  readonly peering: Peering;
  readonly path: string;
  /** The part that is its alone, in the colour of its state. */
  readonly end: string;
  readonly mark: { readonly x: number; readonly y: number };
  readonly labelled: boolean;
}

export interface Layout {
  readonly boxes: readonly Box[];
  readonly wires: readonly Wire[];
  /** Thin lines from the Internet to networks with public addresses. */
  readonly uplinks: readonly string[];
  readonly w: number;
  readonly h: number;
}

export const CARD = { w: 150, h: 44 };
export const TILE = { w: 152, h: 48 };
const GAP = { x: 14, y: 22 };
const WIDE = { x: 40, y: 64 };
const PAIR = 150;
const PAD = 10;
const HEAD = 50;
const MOST_TILES = 8;
/** Wide enough for "AzureBastionSubnet" and its prefix. */
const WIDTH = 246;
const ROUTE_LINE = 15;
export const MOST_ROUTES = 3;
/** Up to as many networks, lines carry words and the Internet its lines. */
export const FEW = 12;

/** What is tried: how wide rows and shelves are for their height. */
const ASPECTS = [0.6, 0.8, 1, 1.3, 1.7, 2.2, 3, 5];
/** The room of a page of 1280 × 800, for which the best is taken. */
const SCREEN = { w: 1200, h: 560 };

/** `open`: keys of the networks whose subnets and machines are shown. */
export function layoutOf(graph: Graph, open: ReadonlySet<string>): Layout {
  const few = graph.networks.length <= FEW;
  const gap = few ? WIDE : GAP;
  const { clusters, singles } = clustersOf(graph);
  const hubs = new Set(clusters.filter((cluster) => cluster.spokes.length > 1).map((cluster) => cluster.hub));
  const cards = new Map(graph.networks.map((network) => [network.key, cardOf(network, open.has(network.key), hubs.has(network.key) ? 1 : 4)]));
  const top = graph.internet ? 88 : 0;
  let packed: Packed | undefined;
  for (const rows of ASPECTS) {
    const blocks = clusters.map((cluster) => clusterBlock(cluster, cards, gap, few, rows));
    if (singles.length > 0) blocks.push(gridBlock(singles.map((key) => cards.get(key)!), gap, rows));
    for (const shelves of ASPECTS) {
      const found = pack(blocks, few ? 60 : 40, shelves);
      if (packed === undefined || scale(found, top) > scale(packed, top) + 0.001) packed = found;
    }
  }
  return finished(graph, packed!, top, few);
}

function scale(packed: Packed, top: number): number {
  return Math.min(SCREEN.w / packed.w, SCREEN.h / (packed.h + top));
}

function finished(graph: Graph, packed: Packed, top: number, few: boolean): Layout {
  const at = new Map<string, Place>();
  const boxes: Box[] = [];
  for (const { card, x, y } of packed.placed) {
    for (const box of card.boxes) boxes.push({ ...box, x: box.x + x, y: box.y + y + top });
    at.set(card.key, { key: card.key, x, y: y + top, w: card.w, h: card.h });
  }
  const wires = packed.wires.map((wire) => ({ ...wire, path: shifted(wire.points, wire.x, wire.y + top), end: shifted(wire.points.slice(-2), wire.x, wire.y + top), mark: { x: wire.mark.x + wire.x, y: wire.mark.y + wire.y + top } }));
  const wired = new Set(wires.map((wire) => wire.key));
  const free = graph.peerings.filter((peering) => !wired.has(peering.key)).map((peering) => freeWire(peering, at, few));
  const uplinks: string[] = [];
  if (graph.internet) {
    const linked = graph.networks.filter((one) => few && one.subnets.some((subnet) => subnet.stations.some((station) => station.publicAddresses.length > 0))).map((one) => at.get(one.key)!);
    const middle = linked.length === 0 ? packed.w / 2 : linked.reduce((sum, to) => sum + to.x + to.w / 2, 0) / linked.length;
    const box = { key: "internet", kind: "internet" as const, x: Math.max(0, middle - 70), y: 0, w: 140, h: 44 };
    boxes.unshift(box);
    for (const to of linked) {
      const [x1, y1, x2, y2] = [box.x + box.w / 2, box.h, to.x + to.w / 2, to.y];
      uplinks.push(`M${x1} ${y1} C${x1} ${(y1 + y2) / 2} ${x2} ${(y1 + y2) / 2} ${x2} ${y2}`);
    }
  }
  const lowest = Math.max(packed.h + top, ...free.map((wire) => wire.low));
  return { boxes, wires: [...wires, ...free], uplinks, w: Math.max(packed.w, graph.internet ? 140 : 0), h: lowest };
}

interface Card {
  readonly key: string;
  readonly w: number;
  readonly h: number;
  readonly boxes: readonly Box[];
}

/** A network by itself, at 0, 0; `most` subnets stand in a column before there is another. */
function cardOf(network: Network, open: boolean, most: number): Card {
  if (!open || network.subnets.length === 0) {
    return { key: network.key, ...CARD, boxes: [{ kind: "network", key: network.key, network, open: false, x: 0, y: 0, ...CARD }] };
  }
  const across = Math.max(...network.subnets.map((subnet) => (subnet.stations.length > 2 ? 2 : 1)));
  const width = Math.max(across * TILE.w + (across + 1) * PAD, WIDTH);
  const columns = Math.min(3, Math.ceil(network.subnets.length / most));
  const heights = Array.from({ length: columns }, () => HEAD);
  const inner: Box[] = [];
  for (const subnet of network.subnets) {
    const column = heights.indexOf(Math.min(...heights));
    const parts = subnetBoxes(subnet, PAD + column * (width + PAD), heights[column]!, width, across);
    inner.push(...parts);
    heights[column] = heights[column]! + parts[0]!.h + PAD;
  }
  const w = PAD + columns * (width + PAD);
  const h = Math.max(...heights);
  return { key: network.key, w, h, boxes: [{ kind: "network", key: network.key, network, open: true, x: 0, y: 0, w, h }, ...inner] };
}

function subnetBoxes(subnet: Subnet, x: number, y: number, w: number, across: number): Box[] {
  const badges = subnet.securityGroup !== undefined || subnet.routeTable !== undefined;
  const lines = Math.min(subnet.routes.length, MOST_ROUTES + 1);
  const head = 28 + (badges ? 22 : 0) + lines * ROUTE_LINE + (lines > 0 ? 4 : 0);
  const hidden = subnet.stations.length > MOST_TILES ? subnet.stations.length - MOST_TILES + 1 : 0;
  const shown = hidden > 0 ? subnet.stations.slice(0, MOST_TILES - 1) : subnet.stations;
  const tile = (w - (across + 1) * PAD) / across;
  const place = (n: number): Pick<Place, "x" | "y" | "w" | "h"> => ({
    x: x + PAD + (n % across) * (tile + PAD),
    y: y + head + Math.floor(n / across) * (TILE.h + 8),
    w: tile,
    h: TILE.h,
  });
  const tiles: Box[] = shown.map((station, n) => ({ kind: "station", key: station.key, station, ...place(n) }));
  if (hidden > 0) tiles.push({ kind: "more", key: `${subnet.key} more`, count: hidden, ...place(shown.length) });
  const h = head + Math.ceil(tiles.length / across) * (TILE.h + 8) + (tiles.length > 0 ? 2 : 4);
  return [{ kind: "subnet", key: subnet.key, subnet, x, y, w, h }, ...tiles];
}

interface Cluster {
  readonly hub: string;
  readonly spokes: readonly { readonly key: string; readonly peering: Peering }[];
}

/** Hubs with the networks that hang on them, most first; and those peered with nobody. */
function clustersOf(graph: Graph): { clusters: Cluster[]; singles: string[] } {
  const near = new Map<string, Map<string, Peering>>(graph.networks.map((network) => [network.key, new Map<string, Peering>()]));
  for (const peering of graph.peerings) {
    const [one, two] = peering.ends;
    near.get(one)?.set(two, peering);
    near.get(two)?.set(one, peering);
  }
  const order = graph.networks.map((network) => network.key).sort((one, two) => near.get(two)!.size - near.get(one)!.size);
  const taken = new Set<string>();
  const clusters: Cluster[] = [];
  const singles: string[] = [];
  for (const hub of order) {
    if (taken.has(hub)) continue;
    taken.add(hub);
    const around = near.get(hub)!;
    if (around.size === 0) {
      singles.push(hub);
      continue;
    }
    const isHub = (key: string): boolean => {
      const own = [...near.get(key)!.keys()].filter((other) => other !== hub && !around.has(other));
      return own.length > 1 || own.some((other) => near.get(other)!.size === 1);
    };
    const names = graph.networks.map((network) => network.key);
    const spokes = names.filter((key) => around.has(key) && !taken.has(key) && !isHub(key)).map((key) => ({ key, peering: around.get(key)! }));
    for (const spoke of spokes) taken.add(spoke.key);
    clusters.push({ hub, spokes });
  }
  return { clusters, singles };
}

type Point = readonly [number, number];

interface Placed {
  readonly card: Card;
  readonly x: number;
  readonly y: number;
}

interface Line {
  readonly key: string;
  readonly peering: Peering;
  readonly points: readonly Point[];
  readonly mark: { readonly x: number; readonly y: number };
  readonly labelled: boolean;
}

interface Block {
  readonly placed: readonly Placed[];
  readonly lines: readonly Line[];
  readonly w: number;
  readonly h: number;
}

function clusterBlock(cluster: Cluster, cards: ReadonlyMap<string, Card>, gap: typeof GAP, few: boolean, aspect: number): Block {
  const hub = cards.get(cluster.hub)!;
  const spokes = cluster.spokes.map(({ key, peering }) => ({ card: cards.get(key)!, peering }));
  if (spokes.length === 0) return { placed: [{ card: hub, x: 0, y: 0 }], lines: [], w: hub.w, h: hub.h };
  if (spokes.length === 1) return pairBlock(hub, spokes[0]!.card, spokes[0]!.peering, few);
  const rows = rowsOf(spokes, (spoke) => spoke.card, gap, aspect);
  const margin = rows.length > 1 ? 20 : 0;
  const widths = rows.map((row) => row.reduce((sum, { card }) => sum + card.w + gap.x, -gap.x));
  const w = Math.max(hub.w, ...widths) + margin;
  const placed: Placed[] = [{ card: hub, x: margin + (w - margin - hub.w) / 2, y: 0 }];
  const middle = margin + (w - margin) / 2;
  const lines: Line[] = [];
  let y = hub.h + gap.y;
  const firstBus = hub.h + gap.y * (few ? 0.35 : 0.45);
  rows.forEach((row, n) => {
    let x = margin + (w - margin - widths[n]!) / 2;
    const bus = y - gap.y * (few ? 0.65 : 0.55);
    for (const { card, peering } of row) {
      const drop = x + card.w / 2;
      const way: Point[] = n === 0 ? [[middle, hub.h], [middle, bus], [drop, bus]] : [[middle, hub.h], [middle, firstBus], [6, firstBus], [6, bus], [drop, bus]];
      lines.push({ key: peering.key, peering, points: [...way, [drop, y]], mark: { x: drop, y: few ? bus + (y - bus) / 2 : y - 5 }, labelled: few });
      placed.push({ card, x, y });
      x += card.w + gap.x;
    }
    y += Math.max(...row.map(({ card }) => card.h)) + gap.y;
  });
  return { placed, lines, w, h: y - gap.y };
}

function pairBlock(one: Card, two: Card, peering: Peering, few: boolean): Block {
  const [left, right] = one.key < two.key ? [one, two] : [two, one];
  const gap = few ? PAIR : 44;
  const h = Math.max(left.h, right.h);
  const y = Math.min(left.h, right.h) / 2;
  const line = { key: peering.key, peering, points: [[left.w, y], [left.w + gap, y]] as const, mark: { x: left.w + gap / 2, y }, labelled: few };
  return { placed: [{ card: left, x: 0, y: 0 }, { card: right, x: left.w + gap, y: 0 }], lines: [line], w: left.w + gap + right.w, h };
}

function gridBlock(cards: readonly Card[], gap: typeof GAP, aspect: number): Block {
  const placed: Placed[] = [];
  let y = 0;
  let w = 0;
  for (const row of rowsOf(cards, (card) => card, gap, aspect)) {
    let x = 0;
    for (const card of row) {
      placed.push({ card, x, y });
      x += card.w + gap.x;
    }
    w = Math.max(w, x - gap.x);
    y += Math.max(...row.map((card) => card.h)) + gap.y;
  }
  return { placed, lines: [], w, h: y - gap.y };
}

/** Rows of the same number but for the last, together about `aspect` times as wide as high; three stay in one. */
function rowsOf<T>(all: readonly T[], card: (one: T) => Card, gap: typeof GAP, aspect: number): T[][] {
  if (all.length <= 3) return [[...all]];
  const area = all.reduce((sum, one) => sum + (card(one).w + gap.x) * (card(one).h + gap.y), 0);
  const length = all.reduce((sum, one) => sum + card(one).w + gap.x, 0);
  const count = Math.max(1, Math.round(length / Math.sqrt(area * aspect)));
  const each = Math.ceil(all.length / count);
  return Array.from({ length: Math.ceil(all.length / each) }, (_, n) => all.slice(n * each, (n + 1) * each));
}

interface Packed {
  readonly placed: readonly Placed[];
  readonly wires: readonly (Line & { readonly x: number; readonly y: number })[];
  readonly w: number;
  readonly h: number;
}

/** Blocks on shelves, in their order. */
function pack(blocks: readonly Block[], gap: number, aspect: number): Packed {
  const area = blocks.reduce((sum, block) => sum + (block.w + gap) * (block.h + gap), 0);
  const target = Math.max(Math.sqrt(area * aspect), ...blocks.map((block) => block.w));
  const placed: Placed[] = [];
  const wires: (Line & { x: number; y: number })[] = [];
  let [x, y, tall, w] = [0, 0, 0, 0];
  for (const block of blocks) {
    if (x > 0 && x + block.w > target * 1.05) {
      x = 0;
      y += tall + gap;
      tall = 0;
    }
    for (const one of block.placed) placed.push({ card: one.card, x: one.x + x, y: one.y + y });
    for (const line of block.lines) wires.push({ ...line, x, y });
    tall = Math.max(tall, block.h);
    x += block.w + gap;
    w = Math.max(w, x - gap);
  }
  return { placed, wires, w, h: y + tall };
}

function shifted(points: readonly Point[], x: number, y: number): string {
  return points.map(([px, py], n) => `${n === 0 ? "M" : "L"}${px + x} ${py + y}`).join(" ");
}

/** Any other peering: below the cards of one row, else straight from border to border. */
function freeWire(peering: Peering, at: ReadonlyMap<string, Place>, labelled: boolean): Wire & { low: number } {
  const [one, two] = peering.ends.map((end) => at.get(end)!).sort((a, b) => a.x - b.x) as [Place, Place];
  const level = one.y < two.y + two.h && two.y < one.y + one.h;
  const clear = level && ![...at.values()].some((other) => other.x > one.x && other.x < two.x && other.y < one.y + one.h && one.y < other.y + other.h);
  if (clear) {
    const y = Math.max(one.y, two.y) + (Math.min(one.y + one.h, two.y + two.h) - Math.max(one.y, two.y)) / 2;
    const middle = { x: (one.x + one.w + two.x) / 2, y };
    const path = `M${one.x + one.w} ${y} L${two.x} ${y}`;
    return { key: peering.key, peering, path, end: path, mark: middle, labelled: labelled && two.x - one.x - one.w > 100, low: 0 };
  }
  const [ax, bx] = [one.x + one.w / 2, two.x + two.w / 2];
  if (level) {
    const low = Math.max(one.y + one.h, two.y + two.h) + 46;
    const path = `M${ax} ${one.y + one.h} C${ax} ${low + 14} ${bx} ${low + 14} ${bx} ${two.y + two.h}`;
    return { key: peering.key, peering, path, end: path, mark: { x: (ax + bx) / 2, y: low - 1 }, labelled, low: low + 14 };
  }
  const [up, down] = one.y < two.y ? [one, two] : [two, one];
  const [x1, y1, x2, y2] = [up.x + up.w / 2, up.y + up.h, down.x + down.w / 2, down.y];
  const path = `M${x1} ${y1} C${x1} ${(y1 + y2) / 2} ${x2} ${(y1 + y2) / 2} ${x2} ${y2}`;
  return { key: peering.key, peering, path, end: path, mark: { x: (x1 + x2) / 2, y: (y1 + y2) / 2 }, labelled, low: 0 };
}
