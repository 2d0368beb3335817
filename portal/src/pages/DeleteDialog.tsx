// The question before something is deleted, and for a group the name typed to confirm.

import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Input } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import { remove, type Resource } from "../arm/client";
import { useList } from "../arm/hooks";
import { GROUP_TYPE, parseId } from "../arm/ids";
import { singularOf } from "../arm/types";
import { TypeIcon } from "../shell/icons";
import { notified } from "../shell/notifications";
import { Name } from "../shell/text";
import { deletionOf } from "./registry";

/** Delete it, as its type has it, with its notification. */
export function deleteResource(resource: Resource, type: string): Promise<void> {
  const what = singularOf(type).toLowerCase();
  const about = resource.name;
  return notified({ title: `Deleting ${what}`, done: `Deleted ${what}`, failed: `Failed to delete ${what}`, about }, async () => {
    const deletion = deletionOf(type);
    await (deletion === undefined ? remove(resource.id) : deletion.run(resource));
  });
}

export function DeleteDialog(props: { resources: readonly Resource[]; type: string | undefined; open: boolean; onClose: () => void; onDeleted?: () => void }): ReactNode {
  const { resources, type, open, onClose, onDeleted } = props;
  const one = resources.length === 1 ? resources[0] : undefined;
  const kind = (resource: Resource): string => type ?? resource.type;
  if (one !== undefined && kind(one) === GROUP_TYPE) return <GroupDialog group={one} open={open} onClose={onClose} {...(onDeleted ? { onDeleted } : {})} />;
  const warnings = [...new Set(resources.map((resource) => deletionOf(kind(resource))?.warning))].filter((text) => text !== undefined);
  const go = (): void => {
    onClose();
    onDeleted?.();
    for (const resource of resources) void deleteResource(resource, kind(resource)).catch(() => undefined);
  };
  return (
    <Dialog open={open} onOpenChange={(_, state) => !state.open && onClose()}>
      <DialogSurface>
        <DialogBody>
          <DialogTitle>{one ? `Delete ${singularOf(kind(one)).toLowerCase()}` : `Delete ${resources.length} resources`}</DialogTitle>
          <DialogContent>
            {warnings.map((text) => (
              <p key={text}>{text}</p>
            ))}
            <p>{one ? "Do you want to delete it?" : "Do you want to delete these resources?"} This cannot be undone.</p>
            <ul className="deleted">
              {resources.slice(0, 20).map((resource) => (
                <li key={resource.id} className="named">
                  <TypeIcon type={kind(resource)} /> <Name>{resource.name}</Name>
                </li>
              ))}
              {resources.length > 20 && <li>and {resources.length - 20} more</li>}
            </ul>
          </DialogContent>
          <DialogActions>
            <Button appearance="primary" className="danger" onClick={go}>
              {one ? "Yes" : "Delete"}
            </Button>
            <Button onClick={onClose}>{one ? "No" : "Cancel"}</Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}

function GroupDialog({ group, open, onClose, onDeleted }: { group: Resource; open: boolean; onClose: () => void; onDeleted?: () => void }): ReactNode {
  const [typed, setTyped] = useState("");
  const inside = useList<Resource>(open ? `${group.id}/resources` : undefined).data ?? [];
  const go = (): void => {
    onClose();
    onDeleted?.();
    void deleteResource(group, GROUP_TYPE).catch(() => undefined);
  };
  return (
    <Dialog open={open} onOpenChange={(_, state) => !state.open && onClose()}>
      <DialogSurface>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (typed === group.name) go();
          }}
        >
          <DialogBody>
            <DialogTitle>Delete a resource group</DialogTitle>
            <DialogContent>
              <p>The following resource group and all its dependent resources will be permanently deleted.</p>
              <p className="named">
                <TypeIcon type={GROUP_TYPE} /> <Name>{group.name}</Name>
              </p>
              <h3>Dependent resources to be deleted ({inside.length})</h3>
              <ul className="deleted">
                {inside.slice(0, 50).map((resource) => (
                  <li key={resource.id} className="named">
                    <TypeIcon type={resource.type} /> <Name>{resource.name}</Name>
                    <span className="subtitle">{singularOf(parseId(resource.id)?.type ?? resource.type)}</span>
                  </li>
                ))}
              </ul>
              <Field label="Enter resource group name to confirm deletion" required>
                <Input value={typed} onChange={(_, { value }) => setTyped(value)} placeholder={group.name} autoComplete="off" />
              </Field>
            </DialogContent>
            <DialogActions>
              <Button appearance="primary" className="danger" type="submit" disabled={typed !== group.name}>
                Delete
              </Button>
              <Button onClick={onClose}>Cancel</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
