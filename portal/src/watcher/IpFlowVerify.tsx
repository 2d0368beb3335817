// IP flow verify: whether a packet passes the security rules of an interface, and which rule says so (ipFlowVerify).

import { MessageBar, MessageBarBody, MessageBarTitle } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import { nameOf } from "../arm/ids";
import { Section, RadioField, TextField } from "../forms/fields";
import { resourcePath } from "../shell/router";
import { Link, Name } from "../shell/text";
import { Asking, InterfaceField, isAddress, isPort, MachineField, machineAt, WithMachines } from "./form";
import { ask, type Machine } from "./machines";

interface Answer {
  access: string;
  ruleName: string;
  ruleId?: string;
}

const PROTOCOLS = [
  { value: "TCP", text: "TCP" },
  { value: "UDP", text: "UDP" },
];
const DIRECTIONS = [
  { value: "Inbound", text: "Inbound" },
  { value: "Outbound", text: "Outbound" },
];

export function IpFlowVerify({ machine }: { machine?: string | undefined }): ReactNode {
  return <WithMachines>{(machines) => <Form machines={machines} known={machine} />}</WithMachines>;
}

function Form({ machines, known }: { machines: readonly Machine[]; known: string | undefined }): ReactNode {
  const start = machineAt(machines, known);
  const [id, setId] = useState(start?.id);
  const [nic, setNic] = useState(start?.interfaces[0]?.id);
  const [packet, setPacket] = useState({ protocol: "TCP", direction: "Inbound", local: start?.interfaces[0]?.addresses[0] ?? "", localPort: "", remote: "", remotePort: "" });
  const machine = machineAt(machines, id);
  const pick = (chosen: string): void => {
    const first = machineAt(machines, chosen)?.interfaces[0];
    setId(chosen);
    setNic(first?.id);
    setPacket({ ...packet, local: first?.addresses[0] ?? "" });
  };
  const pickNic = (chosen: string): void => {
    setNic(chosen);
    setPacket({ ...packet, local: machine?.interfaces.find((one) => one.id === chosen)?.addresses[0] ?? "" });
  };
  const set = (name: keyof typeof packet) => (value: string) => setPacket({ ...packet, [name]: value });
  const outbound = packet.direction === "Outbound";
  const portError = (text: string, any: boolean): string | undefined => (text === "" || isPort(text) || (any && text === "*") ? undefined : any ? "Enter a port from 0 to 65535, or * for any." : "Enter a port from 0 to 65535.");
  const addressError = (text: string): string | undefined => (text === "" || isAddress(text) ? undefined : "Enter an IPv4 address, such as 10.1.0.4.");
  const { local, localPort, remote, remotePort } = packet;
  const ready = machine !== undefined && nic !== undefined && isAddress(local) && isAddress(remote) && [localPort, remotePort].every((text) => text !== "") && portError(localPort, outbound) === undefined && portError(remotePort, !outbound) === undefined;
  const body = { targetResourceId: id, targetNicResourceId: nic, direction: packet.direction, protocol: packet.protocol, localIPAddress: local, localPort, remoteIPAddress: remote, remotePort };
  return (
    <div className="watcher">
      <p className="lead">Checks whether a packet is allowed or denied to or from a virtual machine, by the rules of its network security groups.</p>
      <Section title="Target resource">
        <MachineField label="Virtual machine" machines={machines} value={id} onChange={pick} />
        <InterfaceField machine={machine} value={nic} onChange={pickNic} />
      </Section>
      <Section title="Packet details">
        <RadioField label="Protocol" value={packet.protocol} choices={PROTOCOLS} onChange={set("protocol")} />
        <RadioField label="Direction" value={packet.direction} choices={DIRECTIONS} onChange={set("direction")} />
        <TextField label="Local IP address" required value={local} onChange={set("local")} error={addressError(local)} />
        <TextField label="Local port" required value={localPort} onChange={set("localPort")} error={portError(localPort, outbound)} placeholder={outbound ? "*" : "22"} />
        <TextField label="Remote IP address" required value={remote} onChange={set("remote")} error={addressError(remote)} />
        <TextField label="Remote port" required value={remotePort} onChange={set("remotePort")} error={portError(remotePort, !outbound)} placeholder={outbound ? "443" : "*"} />
      </Section>
      <Asking action="Verify IP flow" ready={ready} ask={() => ask<Answer>(machine!, "ipFlowVerify", body)} answer={(found) => <Result found={found} />} />
    </div>
  );
}

function Result({ found }: { found: Answer }): ReactNode {
  const allowed = found.access === "Allow";
  const group = found.ruleId?.match(/^(.*\/networkSecurityGroups\/[^/]+)\//i)?.[1];
  return (
    <>
      <MessageBar intent={allowed ? "success" : "error"}>
        <MessageBarBody>
          <MessageBarTitle>{allowed ? "Access allowed" : "Access denied"}</MessageBarTitle>
        </MessageBarBody>
      </MessageBar>
      <dl>
        <dt>Security rule</dt>
        <dd>
          <Name>{found.ruleName === "" ? "-" : found.ruleName}</Name>
        </dd>
        <dt>Network security group</dt>
        <dd>
          {group === undefined ? (
            "-"
          ) : (
            <Link to={resourcePath(group)}>
              <Name>{nameOf(group)}</Name>
            </Link>
          )}
        </dd>
      </dl>
    </>
  );
}
