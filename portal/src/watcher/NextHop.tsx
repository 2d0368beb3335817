// Next hop: where an interface sends what goes to an address, and by which route table (nextHop).

import { useState, type ReactNode } from "react";

import { nameOf, parseId } from "../arm/ids";
import { Section, TextField } from "../forms/fields";
import { resourcePath } from "../shell/router";
import { Link, Name } from "../shell/text";
import { Asking, InterfaceField, isAddress, MachineField, machineAt, WithMachines } from "./form";
import { ask, type Machine } from "./machines";

interface Answer {
  nextHopType: string;
  nextHopIpAddress?: string;
  routeTableId?: string;
}

export function NextHop({ machine }: { machine?: string | undefined }): ReactNode {
  return <WithMachines>{(machines) => <Form machines={machines} known={machine} />}</WithMachines>;
}

function Form({ machines, known }: { machines: readonly Machine[]; known: string | undefined }): ReactNode {
  const start = machineAt(machines, known);
  const [id, setId] = useState(start?.id);
  const [nic, setNic] = useState(start?.interfaces[0]?.id);
  const [source, setSource] = useState(start?.interfaces[0]?.addresses[0] ?? "");
  const [destination, setDestination] = useState("");
  const machine = machineAt(machines, id);
  const pickNic = (chosen: string | undefined, of: Machine | undefined): void => {
    setNic(chosen);
    setSource(of?.interfaces.find((one) => one.id === chosen)?.addresses[0] ?? "");
  };
  const pick = (chosen: string): void => {
    const found = machineAt(machines, chosen);
    setId(chosen);
    pickNic(found?.interfaces[0]?.id, found);
  };
  const wrong = (text: string): string | undefined => (text === "" || isAddress(text) ? undefined : "Enter an IPv4 address, such as 10.1.0.4.");
  const ready = machine !== undefined && nic !== undefined && isAddress(source) && isAddress(destination);
  const body = { targetResourceId: id, targetNicResourceId: nic, sourceIPAddress: source, destinationIPAddress: destination };
  return (
    <div className="watcher">
      <p className="lead">Tells the next hop from a virtual machine to a destination, by the effective routes of its network interface.</p>
      <Section title="Parameters">
        <MachineField label="Virtual machine" machines={machines} value={id} onChange={pick} />
        <InterfaceField machine={machine} value={nic} onChange={(chosen) => pickNic(chosen, machine)} />
        <TextField label="Source IP address" required value={source} onChange={setSource} error={wrong(source)} />
        <TextField label="Destination IP address" required value={destination} onChange={setDestination} error={wrong(destination)} />
      </Section>
      <Asking action="Next hop" ready={ready} ask={() => ask<Answer>(machine!, "nextHop", body)} answer={(found) => <Result found={found} />} />
    </div>
  );
}

function Result({ found }: { found: Answer }): ReactNode {
  const table = found.routeTableId ?? "-";
  return (
    <dl>
      <dt>Next hop type</dt>
      <dd>{found.nextHopType}</dd>
      <dt>IP address</dt>
      <dd>{found.nextHopIpAddress ?? "-"}</dd>
      <dt>Route table</dt>
      <dd>
        {parseId(table) === undefined ? (
          <Name>{table}</Name>
        ) : (
          <Link to={resourcePath(table)}>
            <Name>{nameOf(table)}</Name>
          </Link>
        )}
      </dd>
    </dl>
  );
}
