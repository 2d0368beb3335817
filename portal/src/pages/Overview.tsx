// The first page of a resource: commands, essentials, and for a group what is in it.

import { Button, Link as TextLink } from "@fluentui/react-components";
import { Add20Regular, ArrowClockwise20Regular, ChevronDown16Regular, ChevronUp16Regular, Delete20Regular } from "@fluentui/react-icons";
import { Suspense, useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import { GROUP_TYPE, groupId, nameOf, parseId, SUBSCRIPTION_TYPE } from "../arm/ids";
import { actionPrefix, typeOf } from "../arm/types";
import { ResourceList } from "../lists/ResourceList";
import { CommandBar, CommandButton, Empty, Failure, Loading } from "../shell/Blade";
import { browsePath, navigate, resourcePath } from "../shell/router";
import { notified } from "../shell/notifications";
import { useLocationName, useSession } from "../shell/session";
import { Copy, Link, Name, visible } from "../shell/text";
import { DeleteDialog } from "./DeleteDialog";
import { commandsOf, essentialsOf, type Command, type ResourceProps } from "./registry";

export default function Overview({ id, resource, reload }: ResourceProps): ReactNode {
  const can = useCan(id.text);
  const [deleting, setDeleting] = useState(false);
  const prefix = actionPrefix(id.type);
  const deletable = id.type !== SUBSCRIPTION_TYPE;
  const above = id.parent === undefined ? undefined : parseId(id.parent);
  const nested = above !== undefined && ![GROUP_TYPE, SUBSCRIPTION_TYPE].includes(above.type);
  const after = nested ? resourcePath(above.text) : browsePath(id.type);
  return (
    <>
      <CommandBar>
        {id.type === GROUP_TYPE && can("Microsoft.Resources/deployments/write") && (
          <CommandButton icon={<Add20Regular />} onClick={() => navigate(`/create?group=${encodeURIComponent(id.name)}`)}>
            Create
          </CommandButton>
        )}
        {commandsOf(id.type)
          .filter((command) => can(command.permission))
          .map((command) => (
            <CommandButton key={command.key} icon={<command.icon />} disabled={!(command.enabled?.(resource) ?? true)} onClick={() => void execute(command, resource)}>
              {command.title}
            </CommandButton>
          ))}
        {deletable && can(`${prefix}/delete`) && (
          <CommandButton icon={<Delete20Regular />} onClick={() => setDeleting(true)}>
            {id.type === GROUP_TYPE ? "Delete resource group" : "Delete"}
          </CommandButton>
        )}
        <CommandButton icon={<ArrowClockwise20Regular />} onClick={reload}>
          Refresh
        </CommandButton>
      </CommandBar>
      <Essentials id={id.text} type={id.type} resource={resource} />
      {id.type === GROUP_TYPE && <Inside scope={id.text} />}
      <DeleteDialog open={deleting} resources={[resource]} type={id.type} onClose={() => setDeleting(false)} onDeleted={() => navigate(after, { force: true })} />
    </>
  );
}

async function execute(command: Command, resource: Resource): Promise<void> {
  const result = command.run(resource);
  if (typeof result === "string") navigate(result);
  else if (result !== undefined) {
    const words = { title: `${command.title}: under way`, done: `${command.title}: done`, failed: `${command.title}: failed`, about: resource.name, to: resourcePath(resource.id) };
    await notified(words, async () => result).catch(() => undefined);
  }
}

interface Line {
  readonly title: string;
  readonly value: ReactNode;
  readonly copy?: string;
}

/** Two columns as in Azure's portal: where it is on the left, what it is on the right. */
function Essentials({ id, type, resource }: { id: string; type: string; resource: Resource }): ReactNode {
  const [open, setOpen] = useState(true);
  const { subscriptions } = useSession();
  const locationName = useLocationName();
  const parsed = parseId(id)!;
  const subscription = subscriptions.find((found) => found.subscriptionId.toLowerCase() === parsed.subscription.toLowerCase());
  const lines: Line[] = [];
  if (parsed.group !== undefined && type !== GROUP_TYPE) {
    lines.push({ title: "Resource group", value: <Link to={resourcePath(groupId(parsed.subscription, parsed.group))}><Name>{parsed.group}</Name></Link> });
  }
  if (resource.location !== undefined) lines.push({ title: "Location", value: locationName(resource.location) });
  lines.push({ title: "Subscription", value: <Link to={resourcePath(`/subscriptions/${parsed.subscription}`)}><Name>{subscription?.displayName ?? parsed.subscription}</Name></Link> });
  lines.push({ title: "Subscription ID", value: parsed.subscription, copy: parsed.subscription });
  const state = resource.properties?.provisioningState;
  if (typeof state === "string") lines.push({ title: type === GROUP_TYPE ? "Status" : "Provisioning state", value: state });
  for (const essential of essentialsOf(type)) lines.push({ title: essential.title, value: essential.view ? <Suspense fallback="-"><essential.view resource={resource} /></Suspense> : <EssentialValue value={essential.value(resource)} /> });
  lines.push({ title: "Resource ID", value: <span className="id"><Name>{resource.id ?? id}</Name></span>, copy: resource.id ?? id });
  const tags = Object.entries(resource.tags ?? {});
  return (
    <section className="essentials" aria-label="Essentials">
      <div className="essentials-head">
        <Button appearance="transparent" size="small" aria-expanded={open} icon={open ? <ChevronUp16Regular /> : <ChevronDown16Regular />} onClick={() => setOpen(!open)}>
          Essentials
        </Button>
        <Link to={resourcePath(id, "json")}>JSON View</Link>
      </div>
      {open && (
        <>
          <dl>
            {lines.map((line) => (
              <div key={line.title}>
                <dt>{line.title}</dt>
                <dd>
                  {line.value}
                  {line.copy !== undefined && <Copy text={line.copy} what={line.title} />}
                </dd>
              </div>
            ))}
          </dl>
          {typeOf(type)?.tags && (
            <p className="essentials-tags">
              <Link to={resourcePath(id, "tags")}>Tags (edit)</Link>
              {tags.length === 0 && <span>No tags</span>}
              {tags.map(([name, value]) => (
                <span key={name} className="tag">
                  <Name>{name}</Name> : <Name>{value}</Name>
                </span>
              ))}
            </p>
          )}
        </>
      )}
    </section>
  );
}

function EssentialValue({ value }: { value: string | undefined | { id: string; text?: string }[] }): ReactNode {
  if (value === undefined || value === "" || (Array.isArray(value) && value.length === 0)) return "-";
  if (typeof value === "string") return <Name>{value}</Name>;
  return value.map(({ id, text }, n) => (
    <span key={id}>
      {n > 0 && ", "}
      <Link to={resourcePath(id)}>
        <Name>{text ?? nameOf(id)}</Name>
      </Link>
    </span>
  ));
}

function Inside({ scope }: { scope: string }): ReactNode {
  const found = useList<Resource>(`${scope}/resources`);
  const can = useCan(scope);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [deleting, setDeleting] = useState(false);
  const chosen = (found.data ?? []).filter((row) => picked.has(row.id.toLowerCase()));
  return (
    <section className="inside" aria-label="Resources">
      <div className="inside-head">
        <h2>Resources</h2>
        {chosen.length > 0 && chosen.every((row) => can(`${row.type}/delete`)) && (
          <TextLink as="button" onClick={() => setDeleting(true)}>{`Delete ${chosen.length} selected`}</TextLink>
        )}
      </div>
      {found.error && <Failure error={found.error} />}
      {!found.data && !found.error && <Loading />}
      {found.data && <ResourceList label={`Resources of ${visible(nameOf(scope))}`} resources={found.data} withGroup={false} picked={picked} onPick={setPicked} empty={<Empty title="No resources to display" />} />}
      <DeleteDialog open={deleting} resources={chosen} type={undefined} onClose={() => setDeleting(false)} onDeleted={() => setPicked(new Set())} />
    </section>
  );
}
