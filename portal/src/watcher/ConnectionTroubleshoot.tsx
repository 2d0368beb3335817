// Connection troubleshoot: whether a machine reaches another, an address or a name, hop by hop (connectivityCheck).

import { useState, type ReactNode } from "react";

import { DropdownField, RadioField, Section, TextField } from "../forms/fields";
import { Verdict } from "../topology/FlowPanel";
import { routeOf, type Connectivity } from "../topology/flow";
import type { Station } from "../topology/model";
import { Asking, isPort, MachineField, machineAt, WithMachines } from "./form";
import { ask, type Machine } from "./machines";

const KINDS = [
  { value: "machine", text: "Select a virtual machine" },
  { value: "address", text: "Specify manually" },
];
const PROTOCOLS = ["TCP", "HTTP", "HTTPS", "ICMP"].map((text) => ({ value: text.charAt(0) + text.slice(1).toLowerCase(), text }));

export function ConnectionTroubleshoot({ machine }: { machine?: string | undefined }): ReactNode {
  return <WithMachines>{(machines) => <Form machines={machines} known={machine} />}</WithMachines>;
}

function Form({ machines, known }: { machines: readonly Machine[]; known: string | undefined }): ReactNode {
  const [id, setId] = useState(machineAt(machines, known)?.id);
  const [kind, setKind] = useState("machine");
  const [to, setTo] = useState<string>();
  const [address, setAddress] = useState("");
  const [protocol, setProtocol] = useState("Tcp");
  const [port, setPort] = useState("");
  const [sourcePort, setSourcePort] = useState("");
  const machine = machineAt(machines, id);
  const target = kind === "machine" ? machineAt(machines, to)?.id : address.trim() || undefined;
  const ported = protocol !== "Icmp";
  const needed = protocol === "Tcp";
  const wrong = (text: string): string | undefined => (text === "" || (isPort(text) && text !== "0") ? undefined : "Enter a port from 1 to 65535.");
  const ready = machine !== undefined && target !== undefined && (!ported || (wrong(port) === undefined && wrong(sourcePort) === undefined && (!needed || port !== "")));
  const withPort = (text: string): object => (ported && text !== "" ? { port: Number(text) } : {});
  const body = {
    source: { resourceId: id, ...withPort(sourcePort) },
    destination: { ...(kind === "machine" ? { resourceId: target } : { address: target }), ...withPort(port) },
    protocol,
  };
  const stations = machines.flatMap((one) => one.interfaces.map((nic) => stationOf(one, nic)));
  return (
    <div className="watcher">
      <p className="lead">Checks a connection from a virtual machine, and shows every hop and what keeps it from arriving.</p>
      <Section title="Source">
        <MachineField label="Virtual machine" machines={machines} value={id} onChange={setId} />
      </Section>
      <Section title="Destination">
        <RadioField label="Destination type" value={kind} choices={KINDS} onChange={setKind} />
        {kind === "machine" ? (
          <MachineField label="Destination virtual machine" machines={machines} value={to} onChange={setTo} />
        ) : (
          <TextField label="URI, FQDN or IP address" required value={address} onChange={setAddress} />
        )}
      </Section>
      <Section title="Probe settings">
        <DropdownField label="Protocol" value={protocol} choices={PROTOCOLS} onChange={setProtocol} />
        {ported && <TextField label="Destination port" required={needed} value={port} onChange={setPort} error={wrong(port)} />}
        {ported && <TextField label="Source port" value={sourcePort} onChange={setSourcePort} error={wrong(sourcePort)} placeholder="Any" />}
      </Section>
      <Asking
        action="Run diagnostic tests"
        ready={ready}
        ask={async () => routeOf(await ask<Connectivity>(machine!, "connectivityCheck", body), stations)}
        answer={(route) => <Verdict route={route} />}
      />
    </div>
  );
}

function stationOf(machine: Machine, nic: Machine["interfaces"][number]): Station {
  return { key: nic.id.toLowerCase(), kind: "machine", id: machine.id, machine: machine.id, name: machine.name, location: machine.location, address: nic.addresses[0] ?? "", publicAddresses: [], securityGroup: undefined };
}
