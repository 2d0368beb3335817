// The tab "IP Addresses": a box for each address space with its subnets in a table; they are edited in a panel beside.

import { Button, Dropdown, Input, Link as TextLink, MessageBar, MessageBarBody, Option, Table, TableBody, TableCell, TableHeader, TableHeaderCell, TableRow } from "@fluentui/react-components";
import { Add16Regular, Delete20Regular, Edit20Regular, ErrorCircle16Filled } from "@fluentui/react-icons";
import { useState, type ReactNode } from "react";

import type { Resource } from "../../arm/client";
import { addresses, span } from "../../arm/nets";
import { visible } from "../../shell/text";
import { clashes, freeSubnet, netOf, nextSpace, prefixOf, sizeText, spaceError, subnetError, type Space, type Subnet } from "./plan";
import { SubnetPanel, type Editing } from "./SubnetPanel";

const LENGTHS = Array.from({ length: 28 }, (_, n) => n + 2);

export function AddressSpaces(props: {
  spaces: readonly Space[];
  networks: readonly Resource[];
  securityGroups: readonly Resource[];
  routeTables: readonly Resource[];
  onChange: (spaces: Space[]) => void;
  /** Of the whole, once it is to be shown. */
  error: string | undefined;
}): ReactNode {
  const { spaces, networks, securityGroups, routeTables, onChange, error } = props;
  const [editing, setEditing] = useState<Editing>();
  const change = (at: number, changed: Partial<Space>): void => onChange(spaces.map((space, n) => (n === at ? { ...space, ...changed } : space)));
  const save = (to: number, subnet: Subnet): void => {
    const { space: from, at } = editing!;
    onChange(
      spaces.map((space, n) => {
        let subnets = space.subnets;
        if (n === from && at !== undefined) subnets = n === to ? subnets.map((old, m) => (m === at ? subnet : old)) : subnets.filter((_, m) => m !== at);
        if (n === to && (at === undefined || from !== to)) subnets = [...subnets, subnet];
        return { ...space, subnets };
      }),
    );
  };
  return (
    <>
      <p className="lead">The address space of a virtual network is one or more IPv4 ranges, each divided into subnets. Ranges of networks that are to be peered must not overlap.</p>
      {error !== undefined && (
        <MessageBar intent="error" layout="multiline" role="alert">
          <MessageBarBody>{visible(error)}</MessageBarBody>
        </MessageBar>
      )}
      {spaces.map((space, n) => (
        <SpaceBox
          key={n}
          space={space}
          spaces={spaces}
          networks={networks}
          onChange={(changed) => change(n, changed)}
          onDelete={() => onChange(spaces.filter((_, at) => at !== n))}
          onAdd={() => setEditing({ space: n, subnet: freeSubnet(space, 24) ?? { purpose: "Default", name: "", start: space.start, length: 24, isPrivate: false } })}
          onEdit={(at) => setEditing({ space: n, subnet: space.subnets[at]!, at })}
        />
      ))}
      <Button icon={<Add16Regular />} onClick={() => onChange([...spaces, nextSpace(spaces, networks)])}>
        Add IPv4 address space
      </Button>
      {editing !== undefined && <SubnetPanel editing={editing} spaces={spaces} securityGroups={securityGroups} routeTables={routeTables} onSave={save} onClose={() => setEditing(undefined)} />}
    </>
  );
}

function SpaceBox(props: {
  space: Space;
  spaces: readonly Space[];
  networks: readonly Resource[];
  onChange: (changed: Partial<Space>) => void;
  onDelete: () => void;
  onAdd: () => void;
  onEdit: (at: number) => void;
}): ReactNode {
  const { space, spaces, networks, onChange, onDelete, onAdd, onEdit } = props;
  const net = netOf(space);
  const error = spaceError(space, spaces);
  const others = clashes(space, networks);
  const name = prefixOf(space);
  return (
    <section className="space" aria-label={`Address space ${name}`}>
      <div className="space-head">
        <Input aria-label="IPv4 address space" value={space.start} onChange={(_, { value }) => onChange({ start: value })} aria-invalid={error !== undefined} />
        <Dropdown aria-label="Address space size" value={sizeText(space.length)} selectedOptions={[String(space.length)]} onOptionSelect={(_, { optionValue }) => onChange({ length: Number(optionValue) })}>
          {LENGTHS.map((length) => (
            <Option key={length} value={String(length)}>
              {sizeText(length)}
            </Option>
          ))}
        </Dropdown>
        <Button appearance="subtle" icon={<Delete20Regular />} onClick={onDelete}>
          Delete address space
        </Button>
      </div>
      {error === undefined ? (
        <p className="space-span">
          {span(net!)} ({addresses(space.length)})
        </p>
      ) : (
        <p className="space-wrong" role="alert">
          <ErrorCircle16Filled aria-hidden /> {error}
        </p>
      )}
      {others.length > 0 && (
        <MessageBar intent="warning" layout="multiline">
          <MessageBarBody>
            Address space {name} overlaps with that of {others.map((other) => `'${visible(other)}'`).join(", ")}. Virtual networks whose address spaces overlap cannot be peered: to peer them, change this address space.
          </MessageBarBody>
        </MessageBar>
      )}
      <Button className="space-add" appearance="subtle" icon={<Add16Regular />} onClick={onAdd}>
        Add a subnet
      </Button>
      <Subnets space={space} spaces={spaces} onEdit={onEdit} onDelete={(at) => onChange({ subnets: space.subnets.filter((_, n) => n !== at) })} />
    </section>
  );
}

function Subnets({ space, spaces, onEdit, onDelete }: { space: Space; spaces: readonly Space[]; onEdit: (at: number) => void; onDelete: (at: number) => void }): ReactNode {
  if (space.subnets.length === 0) return <p className="space-span">This address space has no subnets.</p>;
  return (
    <Table size="small" aria-label={`Subnets of ${prefixOf(space)}`}>
      <TableHeader>
        <TableRow>
          <TableHeaderCell>Subnets</TableHeaderCell>
          <TableHeaderCell>IP address range</TableHeaderCell>
          <TableHeaderCell>Size</TableHeaderCell>
          <TableHeaderCell className="space-buttons">
            <span className="hidden">Actions</span>
          </TableHeaderCell>
        </TableRow>
      </TableHeader>
      <TableBody>
        {space.subnets.map((subnet, at) => {
          const net = netOf(subnet);
          const error = subnetError(subnet, space, spaces);
          const name = visible(subnet.name);
          return (
            <TableRow key={at}>
              <TableCell>
                <TextLink as="button" onClick={() => onEdit(at)}>
                  <bdi>{name}</bdi>
                </TextLink>
                {error !== undefined && (
                  <span className="space-wrong">
                    <ErrorCircle16Filled aria-hidden /> {visible(error)}
                  </span>
                )}
              </TableCell>
              <TableCell>{net === undefined ? subnet.start : span(net)}</TableCell>
              <TableCell>{sizeText(subnet.length)}</TableCell>
              <TableCell className="space-buttons">
                <Button appearance="subtle" size="small" aria-label={`Edit ${name}`} icon={<Edit20Regular />} onClick={() => onEdit(at)} />
                <Button appearance="subtle" size="small" aria-label={`Delete ${name}`} icon={<Delete20Regular />} onClick={() => onDelete(at)} />
              </TableCell>
            </TableRow>
          );
        })}
      </TableBody>
    </Table>
  );
}
