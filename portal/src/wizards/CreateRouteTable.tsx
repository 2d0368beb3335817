// Create Route table: it begins empty; routes and subnets are added on its pages.

import type { ReactNode } from "react";

import { nameError } from "../forms/checks";
import { RadioField } from "../forms/fields";
import { useForm } from "../forms/form";
import { groupError } from "../forms/project";
import { Wizard } from "../forms/Wizard";
import { browsePath } from "../shell/router";
import { tagsError, tagsOf } from "../forms/tags";
import { inGroup, names, tagsReview, useAll, useProject, useProjectReview } from "./basics";
import { deploymentSteps, idIn, validateDeployment, type Planned } from "./deployment";
import { asNamed, Basics, tagsTab, type Named } from "./parts";
import { ROUTE_TABLE } from "./shapes";

interface Values extends Named {
  readonly propagate: string;
}

export default function CreateRouteTable({ known }: { known: URLSearchParams }): ReactNode {
  const { subscription, setSubscription, initial } = useProject(known);
  const reviewed = useProjectReview();
  const all = useAll(subscription, ROUTE_TABLE);
  const form = useForm<Values>({ ...initial, name: "", propagate: "Yes" }, (entered) => ({
    group: groupError(entered.group),
    name: nameError(ROUTE_TABLE, entered.name, names(inGroup(all, entered.group))),
    tags: tagsError(entered.tags),
  }));
  const { values } = form;
  const project = { ...values, subscription };
  const plan = (): Planned => ({
    ...project,
    name: "Microsoft.RouteTable",
    resources: [{ type: ROUTE_TABLE, name: values.name, location: values.region, tags: tagsOf(values.tags), properties: { disableBgpRoutePropagation: values.propagate === "No", routes: [] } }],
    main: idIn(project, ROUTE_TABLE, values.name),
  });
  const lead = "The routes of a route table override the system's own for the subnets it is associated with: to an appliance, to the internet, or nowhere.";
  return (
    <Wizard
      title="Create Route table"
      crumbs={[{ text: "Route tables", to: browsePath(ROUTE_TABLE) }]}
      tabs={[
        {
          key: "basics",
          title: "Basics",
          wrong: Boolean(form.errors.group ?? form.errors.name),
          content: (
            <Basics form={asNamed(form)} subscription={subscription} onSubscription={setSubscription} lead={lead}>
              <RadioField
                label="Propagate gateway routes"
                required
                value={values.propagate}
                choices={["Yes", "No"].map((value) => ({ value, text: value }))}
                onChange={(value) => form.set("propagate", value)}
              />
            </Basics>
          ),
        },
        tagsTab(asNamed(form)),
      ]}
      review={[{ title: "Basics", values: [...reviewed(project, "Name", values.name), ["Propagate gateway routes", values.propagate]] }, ...tagsReview(values.tags)]}
      check={() => form.check()}
      validate={() => validateDeployment(plan())}
      steps={() => deploymentSteps(plan())}
      onSent={form.release}
    />
  );
}
