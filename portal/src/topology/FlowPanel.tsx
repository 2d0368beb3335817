// "Check a flow": source, destination, protocol and port; the verdict, and every hop in words.

import { Button, MessageBar, MessageBarBody, MessageBarTitle, Spinner } from "@fluentui/react-components";
import { ArrowSwap20Regular } from "@fluentui/react-icons";
import { useEffect, useRef, useState, type ReactNode } from "react";

import { DropdownField, TextField } from "../forms/fields";
import { Failure } from "../shell/Blade";
import { Name } from "../shell/text";
import { checkConnectivity, routeOf, type Hop, type Route } from "./flow";
import { allStations, type Graph, type Station } from "./model";

export const ADDRESS = "address";

export interface Ends {
  /** Station keys; `to` may be `ADDRESS`. */
  readonly from: string | undefined;
  readonly to: string | undefined;
}

const PROTOCOLS = [
  { value: "Tcp", text: "TCP" },
  { value: "Icmp", text: "ICMP" },
];

interface Props {
  graph: Graph;
  ends: Ends;
  onEnds: (ends: Ends) => void;
  route: Route | undefined;
  onRoute: (route: Route | undefined) => void;
}

export function FlowPanel({ graph, ends, onEnds, route, onRoute }: Props): ReactNode {
  const [protocol, setProtocol] = useState<"Tcp" | "Icmp">("Tcp");
  const [port, setPort] = useState("22");
  const [sourcePort, setSourcePort] = useState("");
  const [address, setAddress] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const verdict = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (route !== undefined) verdict.current?.scrollIntoView({ block: "nearest" });
  }, [route]);
  const stations = allStations(graph).filter((station) => station.machine !== undefined);
  const from = stations.find((station) => station.key === ends.from);
  const to = stations.find((station) => station.key === ends.to);
  const choices = stations.map((station) => ({ value: station.key, text: station.name, about: station.address }));
  const target = ends.to === ADDRESS ? (address.trim() === "" ? undefined : { address: address.trim() }) : targetOf(to);
  const wrong = protocol === "Tcp" && !isPort(port) ? "Enter a port from 1 to 65535." : undefined;
  const wrongSource = sourcePort !== "" && !isPort(sourcePort) ? "Enter a port from 1 to 65535, or nothing." : undefined;
  const ready = from !== undefined && target !== undefined && wrong === undefined && wrongSource === undefined && !busy;
  const change = (next: Ends): void => {
    setError(undefined);
    onRoute(undefined);
    onEnds(next);
  };
  const check = async (): Promise<void> => {
    if (!ready) return;
    setBusy(true);
    setError(undefined);
    onRoute(undefined);
    try {
      const answer = await checkConnectivity({ from, to: target, protocol, port, sourcePort });
      onRoute(routeOf(answer, allStations(graph)));
    } catch (found) {
      setError(found as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      className="topology-flow"
      onSubmit={(event) => {
        event.preventDefault();
        void check();
      }}
      noValidate
    >
      <p className="topology-hint">Click two machines in the diagram, or select them here.</p>
      <DropdownField label="Source" required value={from?.key} choices={choices} placeholder="Select a machine" onChange={(key) => change({ ...ends, from: key })} />
      <DropdownField
        label="Destination"
        required
        value={ends.to === ADDRESS ? ADDRESS : to?.key}
        choices={[...choices, { value: ADDRESS, text: "An IP address or a name" }]}
        placeholder="Select a machine"
        onChange={(key) => change({ ...ends, to: key })}
      />
      {ends.to === ADDRESS && <TextField label="IP address or name" required value={address} onChange={setAddress} placeholder="203.0.113.10" />}
      <DropdownField label="Protocol" value={protocol} choices={PROTOCOLS} onChange={(value) => setProtocol(value === "Icmp" ? "Icmp" : "Tcp")} />
      {protocol === "Tcp" && <TextField label="Destination port" required value={port} onChange={setPort} error={wrong} />}
      {protocol === "Tcp" && <TextField label="Source port" value={sourcePort} onChange={setSourcePort} error={wrongSource} placeholder="Any" />}
      <div className="buttons">
        <Button appearance="primary" type="submit" disabled={!ready}>
          Check
        </Button>
        <Button icon={<ArrowSwap20Regular />} disabled={from === undefined || to === undefined} onClick={() => change({ from: ends.to, to: ends.from })}>
          Other direction
        </Button>
      </div>
      {busy && <Spinner size="tiny" label="Checking" />}
      {error !== undefined && <Failure error={error} />}
      <div aria-live="polite" ref={verdict}>{route !== undefined && <Verdict route={route} />}</div>
    </form>
  );
}

function targetOf(station: Station | undefined): { machine: string } | { address: string } | undefined {
  if (station === undefined) return undefined;
  return station.address === "" ? { machine: station.id } : { address: station.address };
}

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535;

/** The verdict and the way in words; also on the page of Connection troubleshoot. */
export function Verdict({ route }: { route: Route }): ReactNode {
  const { sent, failed } = route.probes;
  const probes = sent === 0 ? "Judged by routes and rules; no probe was sent." : `${sent - failed} of ${sent} probes arrived${route.latency === undefined ? "" : `, ${route.latency} ms on average`}.`;
  return (
    <>
      <MessageBar intent={route.reachable ? "success" : "error"} layout="multiline">
        <MessageBarBody>
          <MessageBarTitle>{route.reachable ? "Reachable" : "Unreachable"}</MessageBarTitle>
          {probes}
        </MessageBarBody>
      </MessageBar>
      <ol className="topology-hops" aria-label="Hops">
        {route.hops.map((hop, n) => (
          <HopLines key={n} hop={hop} />
        ))}
      </ol>
    </>
  );
}

const TYPES: Record<string, string> = {
  Source: "Source",
  VirtualAppliance: "Virtual appliance",
  VnetLocal: "In the virtual network",
  VNetPeering: "Over the peering",
  VNetGlobalPeering: "Over the global peering",
  Internet: "Internet",
  Destination: "Destination",
};

function HopLines({ hop }: { hop: Hop }): ReactNode {
  return (
    <li>
      <strong>
        <Name>{hop.name}</Name>
      </strong>{" "}
      {hop.address !== hop.name && <Name>{hop.address}</Name>}
      <span className="topology-type">{TYPES[hop.type] ?? hop.type}</span>
      {hop.troubles.map((trouble, n) => (
        <p key={n} className="topology-trouble">
          <Name>{trouble.text}</Name>
        </p>
      ))}
      {hop.onwards.map((line, n) => (
        <p key={n} className="topology-way">
          <Name>{line}</Name>
        </p>
      ))}
    </li>
  );
}
