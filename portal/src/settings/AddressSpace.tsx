// Address space of a virtual network: its ranges, one a row, saved together.

import { Button, Input } from "@fluentui/react-components";
import { Delete20Regular } from "@fluentui/react-icons";
import { useState, type ReactNode } from "react";

import { useCan } from "../arm/hooks";
import { addresses, forbidden, formatNet, overlap, parseNet, span } from "../arm/nets";
import { useForm } from "../forms/form";
import type { ResourceProps } from "../pages/registry";
import { Failure } from "../shell/Blade";
import { change, object, saving } from "./change";

function wrong(ranges: readonly string[]): string | undefined {
  const filled = ranges.filter((range) => range.trim() !== "");
  if (filled.length === 0) return "A virtual network needs an address range.";
  const nets = filled.map((range) => parseNet(range));
  for (const [n, net] of nets.entries()) {
    if (net === undefined) return `'${filled[n]}' is not a range in CIDR notation, such as 10.0.0.0/16.`;
    const refused = forbidden(net);
    if (refused !== undefined) return `${formatNet(net)} overlaps with ${refused}, which cannot be used.`;
    const clash = nets.slice(0, n).find((other) => other !== undefined && overlap(other, net));
    if (clash !== undefined) return `${formatNet(net)} overlaps with ${formatNet(clash)}.`;
  }
  return undefined;
}

export default function AddressSpace({ id, resource }: ResourceProps): ReactNode {
  const writable = useCan(id.text)(`${id.type}/write`);
  const now = (object(resource.properties?.addressSpace).addressPrefixes as string[] | undefined) ?? [];
  const form = useForm<{ ranges: string[] }>(() => ({ ranges: [...now, ""] }), ({ ranges }) => ({ ranges: wrong(ranges) }));
  const [error, setError] = useState<Error>();
  const { ranges } = form.values;
  const set = (n: number, value: string): void => {
    const changed = ranges.map((range, at) => (at === n ? value : range));
    if (changed.at(-1) !== "") changed.push("");
    form.set("ranges", changed);
  };
  const save = (): void => {
    if (!form.check()) return;
    setError(undefined);
    const wanted = ranges.map((range) => range.trim()).filter((range) => range !== "");
    saving("address space", resource, "addressSpace", () => change(id.text, (properties) => void (properties.addressSpace = { ...object(properties.addressSpace), addressPrefixes: wanted }))).then(form.release, setError);
  };
  return (
    <section className="settings-form" aria-label="Address space">
      <p className="lead">Machines of the network have addresses of these ranges. Peered networks learn of a change when the peering is synchronized.</p>
      {error && <Failure error={error} />}
      {form.error("ranges") !== undefined && <Failure error={new Error(form.error("ranges"))} title="The address space cannot be saved" />}
      <table className="plain plain-form" aria-label="Address space">
        <thead>
          <tr>
            <th scope="col">Address space</th>
            <th scope="col">Address range</th>
            <th scope="col">Address count</th>
            <th scope="col">
              <span className="hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {ranges.map((range, n) => {
            const net = parseNet(range);
            return (
              <tr key={n}>
                <td>
                  <Input aria-label={`Address range ${n + 1}`} value={range} placeholder="Add a range" disabled={!writable} onChange={(_, { value }) => set(n, value)} />
                </td>
                <td>{net === undefined ? "-" : span(net)}</td>
                <td>{net === undefined ? "-" : addresses(net.length)}</td>
                <td>
                  {writable && n < ranges.length - 1 && (
                    <Button appearance="subtle" aria-label={`Delete address range ${n + 1}`} icon={<Delete20Regular />} onClick={() => form.set("ranges", ranges.filter((_, at) => at !== n))} />
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {writable && (
        <div className="buttons">
          <Button appearance="primary" onClick={save}>
            Save
          </Button>
        </div>
      )}
    </section>
  );
}
