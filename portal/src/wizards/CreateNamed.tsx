// The wizard of resources that are made of a name alone.

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

interface Kind {
  readonly type: string;
  /** Of the wizard, and of the list that it belongs to. */
  readonly title: string;
  readonly list: string;
  readonly lead: string;
  /** Of the deployment. */
  readonly deployment: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

export function CreateNamed({ kind, known }: { kind: Kind; known: URLSearchParams }): ReactNode {
  const { subscription, setSubscription, initial } = useProject(known);
  const reviewed = useProjectReview();
  const all = useAll(subscription, kind.type);
  const form = useForm<Named>({ ...initial, name: "" }, (entered) => ({
    group: groupError(entered.group),
    name: nameError(kind.type, entered.name, names(inGroup(all, entered.group))),
    tags: tagsError(entered.tags),
  }));
  const { values } = form;
  const project = { ...values, subscription };
  const plan = (): Planned => ({
    ...project,
    name: kind.deployment,
    resources: [{ type: kind.type, name: values.name, location: values.region, tags: tagsOf(values.tags), properties: kind.properties }],
    main: idIn(project, kind.type, values.name),
  });
  return (
    <Wizard
      title={kind.title}
      crumbs={[{ text: kind.list, to: browsePath(kind.type) }]}
      tabs={[
        {
          key: "basics",
          title: "Basics",
          wrong: Boolean(form.errors.group ?? form.errors.name),
          content: <Basics form={asNamed(form)} subscription={subscription} onSubscription={setSubscription} lead={kind.lead} />,
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
