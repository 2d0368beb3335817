// Connect to virtual machine: the ways there are, a tab each.

import { Button, Tab, TabList } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { nameOf, parseId } from "../arm/ids";
import type { ResourceProps } from "../pages/registry";
import { Loading } from "../shell/Blade";
import { navigate, resourcePath } from "../shell/router";
import { Copy, Name } from "../shell/text";
import { useWay } from "./machine";

export default function Connect({ id, resource }: ResourceProps): ReactNode {
  const [tab, setTab] = useState("bastion");
  return (
    <section aria-label="Connect to virtual machine">
      <h2>Connect to virtual machine</h2>
      <TabList className="tabs" selectedValue={tab} onTabSelect={(_, { value }) => setTab(String(value))}>
        <Tab value="bastion">Bastion</Tab>
        <Tab value="native">Native SSH</Tab>
      </TabList>
      {tab === "bastion" && (
        <>
          <p className="lead connect-lead">Connect in your browser, by the Bastion host of the virtual network or of a peered one. The virtual machine needs no public IP address, and your computer no client.</p>
          <Button appearance="primary" onClick={() => navigate(resourcePath(id.text, "bastion"))}>
            Use Bastion
          </Button>
        </>
      )}
      {tab === "native" && <Native machine={id.text} resource={resource} />}
    </section>
  );
}

/** The same by a client of one's own, which needs a Bastion host that takes such. */
function Native({ machine, resource }: { machine: string; resource: Resource }): ReactNode {
  const way = useWay(resource);
  if (way.loading) return <Loading />;
  const user = (resource.properties?.osProfile as { adminUsername?: string } | undefined)?.adminUsername ?? "azureuser";
  const host = way.host === undefined ? undefined : parseId(way.host.id);
  const words = ["az network bastion ssh", "--name", host?.name ?? "<bastion>", "--resource-group", host?.group ?? "<group>", "--target-resource-id", machine, "--auth-type password", "--username", user];
  const command = words.join(" ");
  return (
    <>
      <p className="lead connect-lead">
        From a shell on your computer, by {host === undefined ? "a Bastion host" : <Name>{nameOf(host.text)}</Name>} of the tier Standard or Premium that has native client support enabled:
      </p>
      <p className="connect-command">
        <code>
          <Name>{command}</Name>
        </code>
        <Copy text={command} what="command" />
      </p>
    </>
  );
}
