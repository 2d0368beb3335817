// What was chosen in the drawing: what it is, where its page is.

import { Button } from "@fluentui/react-components";
import type { ReactNode } from "react";

import { nameOf } from "../arm/ids";
import { resourcePath } from "../shell/router";
import { Link, Name } from "../shell/text";
import { kindOf, peeringText } from "./describe";
import type { Box, Wire } from "./layout";
import type { Graph } from "./model";

interface Props {
  graph: Graph;
  box: Box | undefined;
  wire: Wire | undefined;
  /** Undefined where no flow may be checked. */
  onFrom: ((key: string) => void) | undefined;
  onToggle: (key: string) => void;
}

export function Details({ graph, box, wire, onFrom, onToggle }: Props): ReactNode {
  if (wire !== undefined) {
    return (
      <>
        <h3>
          <Name>{peeringText(wire.peering, graph)}</Name>
        </h3>
        {wire.peering.halves.map((half) => (
          <dl key={half.id}>
            <Line title="Peering link" id={half.id} text={`${nameOf(half.of)} / ${half.name}`} />
            <Line title="Peering state" text={half.state} />
            <Line title="Peering sync status" text={half.sync} />
          </dl>
        ))}
        {wire.peering.halves.length === 1 && <p>The other half is missing, or may not be read.</p>}
      </>
    );
  }
  switch (box?.kind) {
    case "network":
      return (
        <>
          <h3>Virtual network</h3>
          <dl>
            <Line title="Name" id={box.network.id} text={box.network.name} />
            <Line title="Address space" text={box.network.prefixes.join(", ")} />
            <Line title="Region" text={box.network.location} />
          </dl>
          {!box.network.known && <p>The far end of a peering that is gone, or that you may not read.</p>}
          {box.network.subnets.length > 0 && <Button onClick={() => onToggle(box.key)}>{box.open ? "Collapse" : "Expand"}</Button>}
        </>
      );
    case "subnet":
      return (
        <>
          <h3>Subnet</h3>
          <dl>
            <Line title="Name" id={box.subnet.id} text={box.subnet.name} />
            <Line title="Address range" text={box.subnet.prefixes.join(", ")} />
            <Line title="Network security group" id={box.subnet.securityGroup} text={named(box.subnet.securityGroup)} />
            <Line title="Route table" id={box.subnet.routeTable} text={named(box.subnet.routeTable)} />
          </dl>
          {box.subnet.routes.length > 0 && (
            <ul aria-label="Routes">
              {box.subnet.routes.map((route) => (
                <li key={route}>
                  <Name>{route}</Name>
                </li>
              ))}
            </ul>
          )}
        </>
      );
    case "station":
      return (
        <>
          <h3>{kindOf(box.station)}</h3>
          <dl>
            <Line title="Name" id={box.station.id} text={box.station.name} />
            <Line title="Private IP address" text={box.station.address} />
            <Line title="Public IP address" text={box.station.publicAddresses.join(", ")} />
            <Line title="Network security group" id={box.station.securityGroup} text={named(box.station.securityGroup)} />
          </dl>
          {box.station.machine !== undefined && onFrom !== undefined && <Button onClick={() => onFrom(box.key)}>Check a flow from here</Button>}
        </>
      );
    default:
      return null;
  }
}

const named = (id: string | undefined): string => (id === undefined ? "" : nameOf(id));

function Line({ title, text, id }: { title: string; text: string; id?: string | undefined }): ReactNode {
  return (
    <div>
      <dt>{title}</dt>
      <dd>{text === "" ? "-" : id === undefined ? <Name>{text}</Name> : <Link to={resourcePath(id)}><Name>{text}</Name></Link>}</dd>
    </div>
  );
}
