// Create network security group: it begins with the default rules alone; its own are added on its pages.

import type { ReactNode } from "react";

import { nameError } from "../forms/checks";
import { useForm } from "../forms/form";
import { groupError } from "../forms/project";
import { Wizard } from "../forms/Wizard";
import { browsePath } from "../shell/router";
import { tagsError, tagsOf } from "../forms/tags";
import { inGroup, names, tagsReview, useAll, useProject, useProjectReview } from "./basics";
import { deploymentSteps, idIn, validateDeployment, type Planned } from "./deployment";
import { asNamed, Basics, tagsTab, type Named } from "./parts";
import { SECURITY_GROUP } from "./shapes";

export default function CreateSecurityGroup({ known }: { known: URLSearchParams }): ReactNode {
  const { subscription, setSubscription, initial } = useProject(known);
  const reviewed = useProjectReview();
  const all = useAll(subscription, SECURITY_GROUP);
  const form = useForm<Named>({ ...initial, name: "" }, (entered) => ({
    group: groupError(entered.group),
    name: nameError(SECURITY_GROUP, entered.name, names(inGroup(all, entered.group))),
    tags: tagsError(entered.tags),
  }));
  const { values } = form;
  const project = { ...values, subscription };
  const plan = (): Planned => ({
    ...project,
    name: "Microsoft.NetworkSecurityGroup",
    resources: [{ type: SECURITY_GROUP, name: values.name, location: values.region, tags: tagsOf(values.tags), properties: { securityRules: [] } }],
    main: idIn(project, SECURITY_GROUP, values.name),
  });
  const lead = "A network security group allows or denies traffic of the subnets and network interfaces it is associated with, by rules of source, destination, protocol and port.";
  return (
    <Wizard
      title="Create network security group"
      crumbs={[{ text: "Network security groups", to: browsePath(SECURITY_GROUP) }]}
      tabs={[
        {
          key: "basics",
          title: "Basics",
          wrong: Boolean(form.errors.group ?? form.errors.name),
          content: <Basics form={asNamed(form)} subscription={subscription} onSubscription={setSubscription} lead={lead} />,
        },
        tagsTab(asNamed(form)),
      ]}
      review={[{ title: "Basics", values: reviewed(project, "Name", values.name) }, ...tagsReview(values.tags)]}
      check={() => form.check()}
      validate={() => validateDeployment(plan())}
      steps={() => deploymentSteps(plan())}
      onSent={form.release}
    />
  );
}
