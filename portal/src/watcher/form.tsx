// What the tools' forms share: the machine and its interface, the button, the answer.

import { Button, Spinner } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import { nameOf } from "../arm/ids";
import { DropdownField } from "../forms/fields";
import { Empty, Failure, Loading } from "../shell/Blade";
import { groupOf } from "../topology/model";
import { useMachines, type Machine } from "./machines";

/** The machines, once they are known; `machine` is the id that a link named. */
export function WithMachines({ children }: { children: (machines: readonly Machine[]) => ReactNode }): ReactNode {
  const found = useMachines();
  if (found.error !== undefined) return <Failure error={found.error} />;
  if (found.data === undefined) return <Loading />;
  if (found.data.length === 0) return <Empty title="There is no virtual machine to ask about" />;
  return children(found.data);
}

export function MachineField({ label, machines, value, onChange }: { label: string; machines: readonly Machine[]; value: string | undefined; onChange: (id: string) => void }): ReactNode {
  const choices = machines.map((machine) => ({ value: machine.id, text: machine.name, about: nameOf(groupOf(machine.id)) }));
  return <DropdownField label={label} required value={value} choices={choices} placeholder="Select a virtual machine" onChange={onChange} />;
}

export function InterfaceField({ machine, value, onChange }: { machine: Machine | undefined; value: string | undefined; onChange: (id: string) => void }): ReactNode {
  const choices = (machine?.interfaces ?? []).map((one) => ({ value: one.id, text: one.name }));
  return <DropdownField label="Network interface" required value={value} choices={choices} disabled={machine === undefined} placeholder="Select a network interface" onChange={onChange} />;
}

export function machineAt(machines: readonly Machine[], id: string | undefined): Machine | undefined {
  return machines.find((machine) => machine.id.toLowerCase() === id?.toLowerCase());
}

/** A form whose answer stands below it; `ready` is whether it can be asked. */
export function Asking<T>({ action, ready, ask, answer }: { action: string; ready: boolean; ask: () => Promise<T>; answer: (found: T) => ReactNode }): ReactNode {
  const [found, setFound] = useState<T>();
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const run = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    setFound(undefined);
    try {
      setFound(await ask());
    } catch (refused) {
      setError(refused as Error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <div className="buttons">
        <Button appearance="primary" disabled={!ready || busy} onClick={() => void run()}>
          {action}
        </Button>
      </div>
      <div className="watcher-answer" aria-live="polite" role="region" aria-label="Results">
        {busy && <Spinner size="tiny" label="Asking Network Watcher" />}
        {error !== undefined && <Failure error={error} />}
        {found !== undefined && answer(found)}
      </div>
    </>
  );
}

export const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) <= 65535;
export const isAddress = (text: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split(".").every((part) => Number(part) <= 255);
