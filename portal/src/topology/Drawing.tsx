// The drawing of a layout: SVG with its colours as attributes, no style sheet, no foreign reference, so that what is exported
// is what is seen. Over each place lies a button without words of its own; the buttons stand beside each other, whatever lies in
// what, in one group with one tab stop.

import { ArrowRouting20Filled, BranchFork20Regular, Cloud20Regular, Desktop20Filled, Desktop20Regular, PlugConnected20Filled, ShieldKeyhole20Filled, VirtualNetwork20Filled, type FluentIcon } from "@fluentui/react-icons";
import type { KeyboardEvent, MouseEvent, ReactNode } from "react";

import { nameOf } from "../arm/ids";
import { contents, describe, machinesOf, peeringText } from "./describe";
import type { Route } from "./flow";
import { MOST_ROUTES, type Box, type Layout, type Wire } from "./layout";
import { stateText, type Graph, type Network, type Station, type Subnet } from "./model";
import type { Palette } from "./palette";
import { Badge, Badges, Label } from "./marks";
import { RouteLine } from "./RouteLine";

export interface Marks {
  readonly chosen: string | undefined;
  /** The one place that Tab reaches. */
  readonly stop: string | undefined;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly route: Route | undefined;
}

export interface Hands {
  choose(key: string): void;
  open(key: string): void;
  toggle(key: string): void;
  keyDown(event: KeyboardEvent, key: string): void;
}

export function Drawing({ graph, layout, palette, marks, hands, near }: { graph: Graph; layout: Layout; palette: Palette; marks: Marks; hands: Hands; near: boolean }): ReactNode {
  const target = (key: string, label: string): object => ({
    role: "button",
    "aria-label": label,
    "aria-pressed": marks.chosen === key,
    tabIndex: marks.stop === key ? 0 : -1,
    "data-key": key,
    onClick: () => hands.choose(key),
    onDoubleClick: () => hands.open(key),
    onKeyDown: (event: KeyboardEvent) => hands.keyDown(event, key),
  });
  return (
    <g>
      {layout.uplinks.map((path) => (
        <path key={path} d={path} fill="none" stroke={palette.muted} strokeWidth={1.2} strokeDasharray="3 4" />
      ))}
      {layout.wires.map((wire) => (
        <g key={wire.key}>
          <g aria-hidden>
            <WireLine wire={wire} palette={palette} chosen={marks.chosen === wire.key} />
          </g>
          <g data-ui {...target(wire.key, peeringText(wire.peering, graph))}>
            <path d={wire.path} fill="none" stroke="transparent" strokeWidth={12} />
            <rect x={wire.mark.x - (wire.labelled ? 44 : 8)} y={wire.mark.y - 10} width={wire.labelled ? 88 : 16} height={20} rx={10} fill="transparent" />
          </g>
        </g>
      ))}
      {layout.boxes.map((box) => (
        <g key={box.key} transform={`translate(${box.x} ${box.y})`}>
          <g aria-hidden>
            <title>{describe(box)}</title>
            <Shape box={box} palette={palette} marks={marks} near={near} />
          </g>
          <g data-ui {...target(box.key, describe(box))}>
            <title>{describe(box)}</title>
            <rect width={box.w} height={box.h} rx={box.kind === "internet" ? 22 : 5} fill="transparent" />
          </g>
          {box.kind === "network" && box.network.subnets.length > 0 && <Chevron box={box} palette={palette} toggle={hands.toggle} />}
        </g>
      ))}
      {marks.route !== undefined && <RouteLine route={marks.route} layout={layout} graph={graph} palette={palette} />}
    </g>
  );
}

function Shape({ box, palette, marks, near }: { box: Box; palette: Palette; marks: Marks; near: boolean }): ReactNode {
  const chosen = marks.chosen === box.key || marks.from === box.key || marks.to === box.key;
  switch (box.kind) {
    case "network":
      return <NetworkShape network={box.network} open={box.open} w={box.w} h={box.h} palette={palette} chosen={chosen} near={near} />;
    case "subnet":
      return <SubnetShape subnet={box.subnet} w={box.w} h={box.h} palette={palette} chosen={chosen} />;
    case "station":
      return <StationShape station={box.station} w={box.w} h={box.h} palette={palette} chosen={chosen} />;
    case "more":
      return (
        <>
          <rect width={box.w} height={box.h} rx={4} fill={palette.tileFill} stroke={palette.tileLine} strokeDasharray="4 3" />
          <Label x={box.w / 2} y={box.h / 2 + 4} size={12} fill={palette.muted} width={box.w - 10} anchor="middle" text={`${box.count} more`} />
        </>
      );
    case "internet":
      return (
        <>
          <rect width={box.w} height={box.h} rx={22} fill={palette.ground} stroke={chosen ? palette.focus : palette.muted} strokeWidth={chosen ? 2.5 : 1.2} />
          <Icon of={Cloud20Regular} x={26} y={11} size={22} fill={palette.machine} />
          <Label x={56} y={27} size={13} weight={600} fill={palette.text} width={80} text="Internet" />
        </>
      );
  }
}

function Icon({ of: Drawn, x, y, size, fill }: { of: FluentIcon; x: number; y: number; size: number; fill: string }): ReactNode {
  return (
    <g transform={`translate(${x} ${y}) scale(${size / 20})`} pointerEvents="none">
      <Drawn aria-hidden primaryFill={fill} />
    </g>
  );
}

function NetworkShape(props: { network: Network; open: boolean; w: number; h: number; palette: Palette; chosen: boolean; near: boolean }): ReactNode {
  const { network, open, w, h, palette, chosen, near } = props;
  const frame = <rect width={w} height={h} rx={6} fill={network.known ? palette.networkFill : palette.ground} stroke={chosen ? palette.focus : palette.network} strokeWidth={chosen ? 2.5 : 1.4} {...(network.known ? {} : { strokeDasharray: "5 4" })} />;
  const prefixes = network.prefixes.join(", ");
  if (open) {
    return (
      <>
        {frame}
        <Icon of={VirtualNetwork20Filled} x={10} y={12} size={24} fill={palette.network} />
        <Label x={42} y={22} size={14} weight={600} fill={palette.text} width={w - 74} text={network.name} />
        <Label x={42} y={39} size={11.5} fill={palette.muted} width={w - 54} text={`${prefixes}${network.location === "" ? "" : ` · ${network.location}`}`} />
      </>
    );
  }
  const machines = machinesOf(network);
  const small = near && network.subnets.length > 0;
  return (
    <>
      {frame}
      <Icon of={VirtualNetwork20Filled} x={7} y={6} size={17} fill={palette.network} />
      <Label x={29} y={19} size={13} weight={600} fill={palette.text} width={w - 50} text={network.name} />
      {!small && <Label x={9} y={36} size={11.5} fill={palette.muted} width={w - 72} text={network.known ? prefixes : contents(network)} />}
      {!small && network.known && <Count of={BranchFork20Regular} x={w - 62} number={network.subnets.length} palette={palette} />}
      {!small && machines > 0 && <Count of={Desktop20Regular} x={w - 33} number={machines} palette={palette} />}
      {small && network.subnets.slice(0, 3).map((subnet, n) => <Label key={subnet.key} x={9} y={27 + n * 7} size={5.5} fill={palette.text} width={w - 16} text={subnetLine(subnet, n === 2 ? network.subnets.length - 3 : 0)} />)}
    </>
  );
}

function Count({ of, x, number, palette }: { of: FluentIcon; x: number; number: number; palette: Palette }): ReactNode {
  return (
    <>
      <Icon of={of} x={x} y={26} size={12} fill={palette.network} />
      <Label x={x + 14} y={36} size={11.5} fill={palette.muted} width={18} text={String(number)} />
    </>
  );
}

function subnetLine(subnet: Subnet, more: number): string {
  const names = subnet.stations.map((station) => station.name).join(", ");
  return `${subnet.name} ${subnet.prefixes.join(", ")}${names === "" ? "" : `: ${names}`}${more > 0 ? ` (+${more} subnets)` : ""}`;
}

function Chevron({ box, palette, toggle }: { box: Box & { kind: "network" }; palette: Palette; toggle: (key: string) => void }): ReactNode {
  const press = (event: MouseEvent): void => {
    event.stopPropagation();
    toggle(box.key);
  };
  const [x, y] = box.open ? [box.w - 28, 10] : [box.w - 21, 4];
  return (
    <g transform={`translate(${x} ${y})`} aria-hidden data-ui onClick={press} onDoubleClick={(event) => event.stopPropagation()} className="chevron">
      <rect width={19} height={19} rx={3} fill={palette.networkFill} />
      <path d={box.open ? "M5 12 L9.5 7.5 L14 12" : "M5 7.5 L9.5 12 L14 7.5"} fill="none" stroke={palette.text} strokeWidth={1.6} />
    </g>
  );
}

function SubnetShape({ subnet, w, h, palette, chosen }: { subnet: Subnet; w: number; h: number; palette: Palette; chosen: boolean }): ReactNode {
  const prefix = subnet.prefixes.join(", ");
  const badges = [
    ...(subnet.securityGroup === undefined ? [] : [{ tag: "NSG", name: nameOf(subnet.securityGroup) }]),
    ...(subnet.routeTable === undefined ? [] : [{ tag: "Routes", name: nameOf(subnet.routeTable) }]),
  ];
  const start = 28 + (badges.length > 0 ? 22 : 0) + 8;
  const shown = subnet.routes.slice(0, MOST_ROUTES);
  const hidden = subnet.routes.length - shown.length;
  const lines = hidden > 0 ? [...shown, `${hidden} more routes`] : shown;
  return (
    <>
      <rect width={w} height={h} rx={4} fill={palette.subnetFill} stroke={chosen ? palette.focus : palette.subnetLine} strokeWidth={chosen ? 2.5 : 1} />
      <Label x={10} y={18} size={12} weight={600} fill={palette.text} width={w - 116} text={subnet.name} />
      <Label x={w - 10} y={18} size={11} fill={palette.muted} width={94} anchor="end" text={prefix} />
      <Badges at={[10, 27]} width={w - 20} badges={badges} palette={palette} />
      {lines.map((line, n) => (
        <Label key={n} x={10} y={start + 1 + n * 15} size={11} fill={palette.muted} width={w - 20} text={line} />
      ))}
    </>
  );
}

const ICONS: Record<Station["kind"], FluentIcon> = { machine: Desktop20Filled, appliance: ArrowRouting20Filled, bastion: ShieldKeyhole20Filled, interface: PlugConnected20Filled };

function StationShape({ station, w, h, palette, chosen }: { station: Station; w: number; h: number; palette: Palette; chosen: boolean }): ReactNode {
  const fill = { machine: palette.machine, appliance: palette.appliance, bastion: palette.bastion, interface: palette.muted }[station.kind];
  const outside = station.publicAddresses.join(", ");
  const second = [station.address, outside].filter((text) => text !== "").join(" · ") || { bastion: "Bastion", interface: "No address", machine: "", appliance: "" }[station.kind];
  const group = station.securityGroup !== undefined;
  return (
    <>
      <rect width={w} height={h} rx={4} fill={palette.tileFill} stroke={chosen ? palette.focus : palette.tileLine} strokeWidth={chosen ? 2.5 : 1} {...(station.kind === "interface" ? { strokeDasharray: "4 3" } : {})} />
      <Icon of={ICONS[station.kind]} x={8} y={13} size={22} fill={fill} />
      <Label x={38} y={20} size={12} weight={600} fill={palette.text} width={w - 44 - (group ? 34 : 0)} text={station.name} />
      <Label x={38} y={37} size={11} fill={palette.muted} width={w - 44} text={second} />
      {group && <Badge x={w - 35} y={7} w={29} text="NSG" palette={palette} />}
    </>
  );
}

function WireLine({ wire, palette, chosen }: { wire: Wire; palette: Palette; chosen: boolean }): ReactNode {
  const { state, synced } = wire.peering;
  const colour = state === "Connected" ? (synced ? palette.good : palette.warn) : state === "Initiated" ? palette.warn : palette.bad;
  const dash = state === "Connected" ? {} : { strokeDasharray: state === "Initiated" ? "7 4" : "2 4" };
  const { x, y } = wire.mark;
  const words = stateText(wire.peering);
  const room = words.length > 14 ? 138 : 88;
  return (
    <>
      {wire.path !== wire.end && <path d={wire.path} fill="none" stroke={chosen ? palette.focus : palette.network} strokeWidth={chosen ? 3 : 1.3} strokeLinejoin="round" />}
      <path d={wire.end} fill="none" stroke={chosen ? palette.focus : colour} strokeWidth={chosen ? 3 : 2} {...dash} />
      {wire.labelled ? (
        <>
          <rect x={x - room / 2} y={y - 10} width={room} height={20} rx={10} fill={palette.ground} stroke={colour} />
          <Label x={x} y={y + 4} size={11.5} weight={600} fill={colour} width={room - 8} anchor="middle" text={words} />
        </>
      ) : (
        <circle cx={x} cy={y} r={4} fill={state === "Connected" && synced ? colour : palette.ground} stroke={colour} strokeWidth={1.8} />
      )}
    </>
  );
}
