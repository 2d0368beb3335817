// Create an application security group: a name alone. Its members are added at their interfaces, and rules name it.

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
import { APPLICATION_GROUP } from "./shapes";

export default function CreateApplicationGroup({ known }: { known: URLSearchParams }): ReactNode {
  const { subscription, setSubscription, initial } = useProject(known);
  const reviewed = useProjectReview();
  const all = useAll(subscription, APPLICATION_GROUP);
  const form = useForm<Named>({ ...initial, name: "" }, (entered) => ({
    group: groupError(entered.group),
    name: nameError(APPLICATION_GROUP, entered.name, names(inGroup(all, entered.group))),
    tags: tagsError(entered.tags),
  }));
  const { values } = form;
  const project = { ...values, subscription };
  const plan = (): Planned => ({
    ...project,
    name: "Microsoft.ApplicationSecurityGroup",
    resources: [{ type: APPLICATION_GROUP, name: values.name, location: values.region, tags: tagsOf(values.tags), properties: {} }],
    main: idIn(project, APPLICATION_GROUP, values.name),
  });
  const lead = "An application security group stands for the network interfaces of an application in the rules of network security groups, in place of their addresses.";
  return (
    <Wizard
      title="Create an application security group"
      crumbs={[{ text: "Application security groups", to: browsePath(APPLICATION_GROUP) }]}
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
