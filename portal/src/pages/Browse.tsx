// Lists: all resources of the subscriptions, or all of one type. What may be created and deleted follows from the user's roles.

import { Menu, MenuItem, MenuList, MenuPopover, MenuTrigger, ToolbarButton } from "@fluentui/react-components";
import { Add20Regular, ArrowClockwise20Regular, Delete20Regular } from "@fluentui/react-icons";
import { useMemo, useState, type ReactNode } from "react";

import { list, type Resource } from "../arm/client";
import { useCan, useLoaded } from "../arm/hooks";
import { GROUP_TYPE } from "../arm/ids";
import { actionPrefix, typeOf } from "../arm/types";
import { ResourceList } from "../lists/ResourceList";
import { Blade, CommandBar, CommandButton, Empty, Failure, Loading } from "../shell/Blade";
import { createPath, navigate } from "../shell/router";
import { useSession } from "../shell/session";
import { DeleteDialog } from "./DeleteDialog";
import { wizardsOf } from "./registry";

export function Browse({ type }: { type: string }): ReactNode {
  const all = type === "all";
  const declared = typeOf(type);
  const { subscriptions } = useSession();
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [deleting, setDeleting] = useState(false);
  const scope = subscriptions[0] === undefined ? undefined : `/subscriptions/${subscriptions[0].subscriptionId}`;
  const can = useCan(scope);
  const found = useLoaded<Resource[]>(
    all || declared !== undefined ? `browse ${type}` : undefined,
    async (signal, partly) => {
      const soFar: Resource[][] = subscriptions.map(() => []);
      const pages = subscriptions.map(({ subscriptionId }, n) =>
        list<Resource>(listPath(subscriptionId, type), { signal }, (beginning) => {
          soFar[n] = beginning;
          partly(soFar.flat());
        }),
      );
      return (await Promise.all(pages)).flat();
    },
    () => true,
  );
  const chosen = useMemo(() => (found.data ?? []).filter((row) => picked.has(row.id.toLowerCase())), [found.data, picked]);
  const title = all ? "All resources" : (declared?.plural ?? type);
  if (!all && declared === undefined) return <Failure error={new Error(`There is no resource type ${type}.`)} />;
  const prefix = all ? "Microsoft.Resources/deployments" : actionPrefix(declared!.type);
  const create = all ? (
    <CommandButton icon={<Add20Regular />} disabled={!can(`${prefix}/write`)} onClick={() => navigate("/create")}>
      Create
    </CommandButton>
  ) : (
    <CreateButton type={declared!.type} allowed={can(`${prefix}/write`)} />
  );
  return (
    <Blade
      title={title}
      commands={
        <CommandBar>
          {create}
          <CommandButton icon={<ArrowClockwise20Regular />} onClick={found.reload}>
            Refresh
          </CommandButton>
          <CommandButton icon={<Delete20Regular />} disabled={chosen.length === 0 || !chosen.every((row) => can(`${actionPrefix(all ? row.type : declared!.type)}/delete`))} onClick={() => setDeleting(true)}>
            Delete
          </CommandButton>
        </CommandBar>
      }
    >
      {found.error && <Failure error={found.error} />}
      {!found.data && !found.error && <Loading />}
      {found.data && (
        <ResourceList
          label={title}
          resources={found.data}
          more={found.partial === true}
          {...(all ? {} : { type: declared!.type })}
          picked={picked}
          onPick={setPicked}
          empty={
            <Empty title={`No ${title.toLowerCase()} to display`}>
              <p>{wizardsOf(type).length > 0 && can(`${prefix}/write`) ? "Create one to get started." : "There is nothing here that you may see."}</p>
            </Empty>
          }
        />
      )}
      <DeleteDialog open={deleting} resources={chosen} type={all ? undefined : declared!.type} onClose={() => setDeleting(false)} onDeleted={() => setPicked(new Set())} />
    </Blade>
  );
}

/** "+ Create": a button for one wizard, a menu for several, nothing for none. */
export function CreateButton({ type, allowed, known = {} }: { type: string; allowed: boolean; known?: Record<string, string> }): ReactNode {
  const wizards = wizardsOf(type);
  if (wizards.length === 0) return null;
  const labelled = wizards.filter((wizard) => wizard.label !== undefined);
  if (labelled.length === 0) {
    return (
      <CommandButton icon={<Add20Regular />} disabled={!allowed} onClick={() => navigate(createPath(type, known))}>
        Create
      </CommandButton>
    );
  }
  return (
    <Menu>
      <MenuTrigger disableButtonEnhancement>
        <ToolbarButton icon={<Add20Regular />} disabled={!allowed}>
          Create
        </ToolbarButton>
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          {labelled.map((wizard) => (
            <MenuItem key={wizard.label} onClick={() => navigate(createPath(type, known))}>
              {wizard.label}
            </MenuItem>
          ))}
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}

function listPath(subscription: string, type: string): string {
  const scope = `/subscriptions/${subscription}`;
  if (type === "all") return `${scope}/resources`;
  return type.toLowerCase() === GROUP_TYPE.toLowerCase() ? `${scope}/resourceGroups` : `${scope}/providers/${type}`;
}
