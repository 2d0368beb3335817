// Add peering: one form for both halves, in the words of Azure's portal; its labels name the networks as soon as they are chosen.

import { useMemo, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useList } from "../arm/hooks";
import { nameOf, parseId, sameId } from "../arm/ids";
import { typeOf } from "../arm/types";
import { nameError, required } from "../forms/checks";
import { CheckboxField, DropdownField, RadioField, Section, TextField, type Choice } from "../forms/fields";
import { useForm } from "../forms/form";
import { SubscriptionField } from "../forms/project";
import { SidePanel } from "../forms/SidePanel";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import { useSession } from "../shell/session";
import { visible } from "../shell/text";
import { choicesOf } from "./choices";
import { allowanceLabels, DEFAULTS, NETWORK, PEERING, putBoth, type Allowances } from "./peerings";
import { property } from "./Sublist";

const GATEWAY = "Microsoft.Network/virtualNetworkGateways";

/** The checkboxes of one half. */
export function AllowanceFields(props: { mine: string; other: string; values: Allowances; onChange: (values: Allowances) => void }): ReactNode {
  const { mine, other, values, onChange } = props;
  return allowanceLabels(mine, other).map(([name, label]) => (
    <CheckboxField
      key={name}
      label={label}
      checked={values[name]}
      onChange={(checked) => onChange({ ...values, [name]: checked })}
      // A cloud without gateways would refuse it.
      disabled={name === "useRemoteGateways" && !values[name] && typeOf(GATEWAY) === undefined}
    />
  ));
}

export function quoted(name: string): string {
  return `'${visible(name)}'`;
}

interface Values {
  remoteName: string;
  model: string;
  byId: boolean;
  remoteId: string;
  subscription: string;
  network: string;
  remote: Allowances;
  localName: string;
  local: Allowances;
}

export function AddPeering({ network, known, onClose }: { network: Resource; known: readonly Resource[]; onClose: () => void }): ReactNode {
  const { subscriptions } = useSession();
  const here = parseId(network.id)!;
  const form = useForm<Values>(
    {
      remoteName: "",
      model: "ResourceManager",
      byId: false,
      remoteId: "",
      subscription: subscriptions.find((found) => sameId(found.subscriptionId, here.subscription))?.subscriptionId ?? subscriptions[0]?.subscriptionId ?? "",
      network: "",
      remote: DEFAULTS,
      localName: "",
      local: DEFAULTS,
    },
    (entered) => ({
      remoteName: nameError(PEERING, entered.remoteName),
      remoteId: entered.byId ? idError(entered.remoteId, network.id) : undefined,
      network: entered.byId ? undefined : required(entered.network) && "Select a virtual network.",
      localName: nameError(PEERING, entered.localName, known.map((peering) => peering.name)),
    }),
  );
  const { values } = form;
  const choices = useNetworks(values.subscription, network.id, known);
  const there = values.byId ? values.remoteId.trim() : values.network;
  const mine = quoted(network.name);
  const other = there === "" || (values.byId && form.errors.remoteId !== undefined) ? "the peered virtual network" : quoted(nameOf(there));
  const submit = async (): Promise<void> => {
    if (!form.check()) throw new Error("Some fields need another value.");
    const words = { title: "Adding peering", done: "Added peering", failed: "Failed to add peering", about: `${values.localName} and ${values.remoteName}`, to: resourcePath(network.id, "peerings") };
    await notified(words, () =>
      putBoth({ network: network.id, name: values.localName, allowances: values.local }, { network: there, name: values.remoteName, allowances: values.remote }),
    );
    form.release();
  };
  const text = (name: "remoteName" | "localName" | "remoteId", label: string): ReactNode => (
    <TextField label={label} required value={values[name]} onChange={(value) => form.set(name, value)} onBlur={() => form.touch(name)} error={form.error(name)} />
  );
  return (
    <SidePanel open title="Add peering" action="Add" onSubmit={submit} onClose={onClose}>
      <p className="lead">Two peering links are made: one from the remote virtual network, one from this.</p>
      <Section title="Remote virtual network summary">
        {text("remoteName", "Peering link name")}
        <RadioField
          label="Virtual network deployment model"
          value={values.model}
          choices={[
            { value: "ResourceManager", text: "Resource Manager" },
            { value: "Classic", text: "Classic", disabled: true },
          ]}
          onChange={(value) => form.set("model", value)}
        />
        <CheckboxField label="I know my resource ID" checked={values.byId} onChange={(checked) => form.set("byId", checked)} />
        {values.byId ? (
          text("remoteId", "Resource ID")
        ) : (
          <>
            <SubscriptionField value={values.subscription} onChange={(value) => form.change({ subscription: value, network: "" })} />
            <DropdownField
              label="Virtual network"
              required
              value={values.network === "" ? undefined : values.network}
              choices={choices}
              onChange={(value) => form.set("network", value)}
              error={form.error("network")}
              placeholder="Select a virtual network"
            />
          </>
        )}
      </Section>
      <Section title="Remote virtual network peering settings">
        <AllowanceFields mine={other} other={mine} values={values.remote} onChange={(remote) => form.set("remote", remote)} />
      </Section>
      <Section title="Local virtual network peering summary">{text("localName", "Peering link name")}</Section>
      <Section title="Local virtual network peering settings">
        <AllowanceFields mine={mine} other={other} values={values.local} onChange={(local) => form.set("local", local)} />
      </Section>
    </SidePanel>
  );
}

function idError(text: string, here: string): string | undefined {
  const empty = required(text);
  if (empty) return empty;
  const parsed = parseId(text.trim());
  if (parsed?.type.toLowerCase() !== NETWORK.toLowerCase() || parsed.rest.length > 0) return "This is not the resource ID of a virtual network.";
  return sameId(parsed.text, here) ? "A virtual network cannot be peered with itself." : undefined;
}

/** The networks of a subscription but this one; those peered already cannot be chosen again. */
function useNetworks(subscription: string, here: string, known: readonly Resource[]): Choice[] {
  const found = useList<Resource>(subscription === "" ? undefined : `/subscriptions/${subscription}/providers/${NETWORK}`);
  return useMemo(() => {
    const networks = (found.data ?? []).filter((network) => !sameId(network.id, here));
    return choicesOf(networks).map((choice, n): Choice => {
      const id = networks[n]!.id;
      const peered = known.some((peering) => sameId(property(peering, "remoteVirtualNetwork.id"), id));
      return { ...choice, value: id, ...(peered ? { disabled: true, about: "Already peered" } : {}) };
    });
  }, [found.data, here, known]);
}
