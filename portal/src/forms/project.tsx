// The fields that begin nearly every wizard: Subscription, Resource group with "Create new", Region. And making that group.

import { Button, Link as TextLink, Popover, PopoverSurface, PopoverTrigger } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { put } from "../arm/client";
import { useList } from "../arm/hooks";
import { GROUP_TYPE, groupId } from "../arm/ids";
import { useSession } from "../shell/session";
import { groupNameError } from "./checks";
import { DropdownField, TextField } from "./fields";
import type { Step } from "./Wizard";

export const DEFAULT_REGION = "eastus2";

/** A group that is there, or one that the wizard is to make first. */
export interface GroupChoice {
  readonly name: string;
  readonly isNew: boolean;
}

export const NO_GROUP: GroupChoice = { name: "", isNew: false };

export function groupError(group: GroupChoice): string | undefined {
  return group.name === "" ? "Select or create a resource group." : undefined;
}

export function SubscriptionField({ value, onChange, label = "Subscription" }: { value: string; onChange: (value: string) => void; label?: string }): ReactNode {
  const { subscriptions } = useSession();
  const choices = subscriptions.map((found) => ({ value: found.subscriptionId, text: found.displayName }));
  return <DropdownField label={label} required value={value} choices={choices} onChange={onChange} />;
}

export function GroupField(props: { subscription: string; value: GroupChoice; onChange: (value: GroupChoice) => void; error?: string | undefined }): ReactNode {
  const { subscription, value, onChange, error } = props;
  const groups = useList<Resource>(subscription === "" ? undefined : `/subscriptions/${subscription}/resourceGroups`).data ?? [];
  const names = groups.map((group) => group.name);
  const choices = names.map((name) => ({ value: name, text: name }));
  if (value.isNew) choices.unshift({ value: value.name, text: `(New) ${value.name}` });
  return (
    <DropdownField
      label="Resource group"
      required
      value={value.name === "" ? undefined : value.name}
      choices={choices}
      error={error}
      placeholder="Select a resource group"
      onChange={(name) => onChange({ name, isNew: value.isNew && name === value.name })}
      below={<CreateNew what="Resource group" check={(name) => groupNameError(name, names)} onCreate={(name) => onChange({ name, isNew: true })} />}
    />
  );
}

/** "Create new" below a field: a name and OK. Nothing is made until the wizard is sent. */
export function CreateNew(props: { what: string; check: (name: string) => string | undefined; onCreate: (name: string) => void; about?: string; text?: string }): ReactNode {
  const { what, check, onCreate, about, text = "Create new" } = props;
  const [open, setOpen] = useState(false);
  const [name, setName] = useState("");
  const [tried, setTried] = useState(false);
  const error = check(name);
  const ok = (): void => {
    setTried(true);
    if (error !== undefined) return;
    onCreate(name);
    setOpen(false);
    setName("");
    setTried(false);
  };
  return (
    <Popover open={open} onOpenChange={(_, state) => setOpen(state.open)} trapFocus positioning="below-start" withArrow>
      <PopoverTrigger disableButtonEnhancement>
        <TextLink as="button">{text}</TextLink>
      </PopoverTrigger>
      <PopoverSurface aria-label={`Create new: ${what}`} className="create-new">
        {about !== undefined && <p>{about}</p>}
        <form
          onSubmit={(event) => {
            event.preventDefault();
            event.stopPropagation();
            ok();
          }}
          noValidate
        >
          <TextField label="Name" required value={name} onChange={setName} error={tried ? error : undefined} />
          <div className="buttons">
            <Button appearance="primary" type="submit">
              OK
            </Button>
            <Button onClick={() => setOpen(false)}>Cancel</Button>
          </div>
        </form>
      </PopoverSurface>
    </Popover>
  );
}

export function RegionField({ value, onChange, label = "Region" }: { value: string; onChange: (value: string) => void; label?: string }): ReactNode {
  const { locations } = useSession();
  // The early-access regions are listed by the API; Azure's portal offers them to those who were invited.
  const offered = locations.filter((found) => !found.name.endsWith("euap"));
  const choices = offered.map((found) => ({ value: found.name, text: found.displayName }));
  return <DropdownField label={label} required value={value} choices={choices} onChange={onChange} />;
}

/** The step that makes a new group; none where it is there. */
export function groupSteps(subscription: string, group: GroupChoice, location: string): Step[] {
  if (!group.isNew) return [];
  const id = groupId(subscription, group.name);
  return [{ id, type: GROUP_TYPE, name: group.name, run: () => put(id, { location }) }];
}
