// The application security groups of a network interface, and of each interface of a machine: added and removed here.
// An interface's IP configurations are all in the same groups.

import { PersonDelete20Regular } from "@fluentui/react-icons";
import { useMemo, useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useCan, useResource } from "../arm/hooks";
import { nameOf, parseId, sameId } from "../arm/ids";
import { DropdownField } from "../forms/fields";
import { useForm } from "../forms/form";
import { SidePanel } from "../forms/SidePanel";
import type { GridColumn } from "../lists/Grid";
import type { ResourceProps } from "../pages/registry";
import { CommandButton, Empty, Failure, Loading } from "../shell/Blade";
import { APPLICATION_GROUP, ApplicationGroupsField } from "./ApplicationGroups";
import { change, object, objects, refId, saving } from "./change";
import { configurations, NIC } from "./Interface";
import { interfacesOf } from "./machine";
import { Sublist } from "./Sublist";

const COLUMNS: readonly GridColumn<Resource>[] = [
  { key: "name", title: "Name", width: 2, text: (row) => row.name },
  { key: "group", title: "Resource group", width: 2, text: (row) => parseId(row.id)?.group ?? "" },
];

const MEMBER = "applicationSecurityGroups";

function groupsOf(nic: Resource): string[] {
  return objects(configurations(nic)[0]?.properties, MEMBER).flatMap((one) => refId(one) ?? []);
}

/** Put every IP configuration of an interface into the groups that `edit` makes of those it is in. */
function set(nic: Resource, edit: (ids: string[]) => string[]): Promise<unknown> {
  return saving("network interface", nic, MEMBER, () =>
    change(nic.id, (_, read) => {
      const ids = edit(groupsOf(read));
      for (const one of configurations(read)) object(one.properties)[MEMBER] = ids.map((id) => ({ id }));
    }),
  );
}

function Groups({ nic, reload }: { nic: Resource; reload: () => void }): ReactNode {
  const can = useCan(nic.id);
  const writable = can(`${NIC}/write`);
  const [adding, setAdding] = useState(false);
  const rows = useMemo(() => groupsOf(nic).map((id) => ({ id, name: nameOf(id) }) as Resource), [nic]);
  const away = (chosen: readonly Resource[]): void => {
    void set(nic, (ids) => ids.filter((id) => !chosen.some((row) => sameId(row.id, id)))).catch(() => undefined);
  };
  return (
    <>
      <Sublist
        label="Application security groups"
        found={{ data: rows, error: undefined, loading: false, reload }}
        type={APPLICATION_GROUP}
        columns={COLUMNS}
        add="Add application security groups"
        onAdd={writable ? () => setAdding(true) : undefined}
        {...(writable
          ? {
              commands: (chosen) => (
                <CommandButton icon={<PersonDelete20Regular />} disabled={chosen.length === 0} onClick={() => away(chosen)}>
                  Remove
                </CommandButton>
              ),
            }
          : {})}
        empty="The network interface is in no application security group"
      />
      {adding && <AddPanel nic={nic} onClose={() => setAdding(false)} />}
    </>
  );
}

function AddPanel({ nic, onClose }: { nic: Resource; onClose: () => void }): ReactNode {
  const form = useForm<{ groups: readonly string[] }>({ groups: [] }, (entered) => ({ groups: entered.groups.length === 0 ? "The value must not be empty." : undefined }));
  const submit = async (): Promise<void> => {
    if (!form.check()) throw new Error("Some fields need another value.");
    await set(nic, (ids) => [...ids, ...form.values.groups.filter((added) => !ids.some((id) => sameId(id, added)))]);
    form.release();
  };
  return (
    <SidePanel open title="Add application security groups" action="Add" onSubmit={submit} onClose={onClose}>
      <p className="lead">All members of an application security group are in the same virtual network.</p>
      <ApplicationGroupsField
        label="Application security groups"
        subscription={parseId(nic.id)!.subscription}
        region={nic.location}
        except={groupsOf(nic)}
        chosen={form.values.groups}
        onChange={(groups) => form.set("groups", groups)}
        error={form.error("groups")}
      />
    </SidePanel>
  );
}

export function OfInterface({ resource, reload }: ResourceProps): ReactNode {
  return <Groups nic={resource} reload={reload} />;
}

export function OfMachine({ resource }: ResourceProps): ReactNode {
  const ids = interfacesOf(resource);
  const [chosen, setChosen] = useState(ids[0]);
  const found = useResource(chosen);
  if (chosen === undefined) return <Empty title="The machine has no network interface" />;
  return (
    <>
      {ids.length > 1 && (
        <section className="settings-form">
          <DropdownField label="Network interface" value={chosen} choices={ids.map((id) => ({ value: id, text: nameOf(id) }))} onChange={setChosen} />
        </section>
      )}
      {found.error && <Failure error={found.error} />}
      {found.data === undefined ? !found.error && <Loading /> : <Groups key={chosen} nic={found.data} reload={found.reload} />}
    </>
  );
}
