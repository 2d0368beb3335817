// A create wizard as Azure's: tabs, Previous and Next, Review + create with validation, then the progress of what is made.

import { Badge, Button, Divider, MessageBar, MessageBarBody, Spinner, Tab, TabList, Table, TableBody, TableCell, TableHeader, TableHeaderCell, TableRow } from "@fluentui/react-components";
import { CheckmarkCircle20Filled, Circle20Regular, ErrorCircle20Filled } from "@fluentui/react-icons";
import { useState, type ReactNode } from "react";

import { singularOf } from "../arm/types";
import { Blade, Failure, type Crumb } from "../shell/Blade";
import { TypeIcon } from "../shell/icons";
import { notified, type Words } from "../shell/notifications";
import { navigate, resourcePath } from "../shell/router";
import { Link, Name } from "../shell/text";

export interface WizardTab {
  readonly key: string;
  readonly title: string;
  readonly content: ReactNode;
  /** Whether something on it is wrong, shown or not. */
  readonly wrong: boolean;
}

/** A resource, as a row of the progress. */
export interface Part {
  readonly id: string;
  readonly type: string;
  readonly name: string;
}

/** One resource that the wizard makes; or several at once, its parts, of which the step itself is the foremost. */
export interface Step extends Part {
  readonly parts?: readonly Part[];
  /** What its notification says, where not that a resource is created. */
  readonly words?: Omit<Words, "to">;
  /** Tells of its parts what becomes of them. */
  readonly run: (tell: (id: string, state: StepState) => void) => Promise<unknown>;
}

export type StepState = "waiting" | "running" | "succeeded" | Error;

export function Wizard(props: {
  title: string;
  crumbs: readonly Crumb[];
  tabs: readonly WizardTab[];
  /** What will be made, for the last tab: pairs of label and value under headings. */
  review: readonly { title: string; values: readonly (readonly [string, ReactNode])[] }[];
  /** Show what is wrong on all tabs; whether nothing is. */
  check: () => boolean;
  /** Asked of the API before Create is offered; raises what it finds wrong. */
  validate?: () => Promise<unknown>;
  /** What to make, in order: each waits for the one before. */
  steps: () => readonly Step[];
  /** The form was sent. */
  onSent: () => void;
}): ReactNode {
  const { title, crumbs, tabs, review, check, validate, steps, onSent } = props;
  const [at, setAt] = useState(0);
  const [state, setState] = useState<"editing" | "validating" | "passed" | Error>("editing");
  const [made, setMade] = useState<readonly Step[]>();
  const [checked, setChecked] = useState(false);
  const last = tabs.length;

  const show = (index: number): void => {
    setAt(index);
    setState("editing");
    if (index !== last) return;
    setChecked(true);
    if (!check()) {
      setState(new Error("Validation failed. Required information is missing or not valid."));
      return;
    }
    setState("validating");
    (validate?.() ?? Promise.resolve()).then(
      () => setState("passed"),
      (error: unknown) => setState(error as Error),
    );
  };
  const create = (): void => {
    onSent();
    setMade(steps());
  };
  if (made !== undefined) return <Progress title={title} crumbs={crumbs} steps={made} onBack={() => setMade(undefined)} />;
  return (
    <Blade title={title} crumbs={crumbs}>
      <TabList className="tabs" selectedValue={String(at)} onTabSelect={(_, { value }) => show(Number(value))}>
        {tabs.map((tab, n) => (
          <Tab key={tab.key} value={String(n)}>
            {tab.title}
            {checked && tab.wrong && <Badge className="tab-wrong" size="tiny" color="danger" aria-label="has errors" />}
          </Tab>
        ))}
        <Tab value={String(last)}>Review + create</Tab>
      </TabList>
      <div className="wizard-body" role="tabpanel" aria-label={tabs[at]?.title ?? "Review + create"}>
        {at < last ? tabs[at]!.content : <Review state={state} review={review} />}
      </div>
      <footer className="wizard-foot">
        <Button disabled={at === 0} onClick={() => show(at - 1)}>
          Previous
        </Button>
        <Button disabled={at === last} onClick={() => show(at + 1)}>
          Next
        </Button>
        {at === last ? (
          <Button appearance="primary" disabled={state !== "passed"} onClick={create}>
            Create
          </Button>
        ) : (
          <Button appearance="primary" onClick={() => show(last)}>
            Review + create
          </Button>
        )}
      </footer>
    </Blade>
  );
}

function Review({ state, review }: { state: "editing" | "validating" | "passed" | Error; review: readonly { title: string; values: readonly (readonly [string, ReactNode])[] }[] }): ReactNode {
  return (
    <>
      {state === "validating" && <Spinner className="validation" size="tiny" label="Running final validation..." />}
      {state === "passed" && (
        <MessageBar className="validation" intent="success" role="status">
          <MessageBarBody>Validation passed</MessageBarBody>
        </MessageBar>
      )}
      {state instanceof Error && <Failure error={state} />}
      {review.map((part) => (
        <section key={part.title} className="review">
          <h2>{part.title}</h2>
          <dl>
            {part.values.map(([label, value]) => (
              <div key={label}>
                <dt>{label}</dt>
                <dd>{typeof value === "string" ? <Name>{value === "" ? "-" : value}</Name> : value}</dd>
              </div>
            ))}
          </dl>
          <Divider />
        </section>
      ))}
    </>
  );
}

interface Run {
  readonly states: Map<string, StepState>;
  readonly tell: Set<() => void>;
  /** What ended it before all was made. */
  failed?: Error;
  done: boolean;
}

const RUNS = new WeakMap<readonly Step[], Run>();

/** Carry out the steps, whether or not somebody still looks. */
function start(steps: readonly Step[]): Run {
  const known = RUNS.get(steps);
  if (known !== undefined) return known;
  const run: Run = { states: new Map(), tell: new Set(), done: false };
  RUNS.set(steps, run);
  const told = (): void => {
    for (const tell of [...run.tell]) tell();
  };
  const set = (id: string, state: StepState): void => {
    run.states.set(id.toLowerCase(), state);
    told();
  };
  void (async () => {
    for (const step of steps) {
      const what = singularOf(step.type).toLowerCase();
      const words = step.words ?? { title: `Creating ${what}`, done: `Created ${what}`, failed: `Failed to create ${what}`, about: step.name };
      if (step.parts === undefined) set(step.id, "running");
      try {
        await notified({ ...words, to: resourcePath(step.id) }, () => step.run(set));
        if (step.parts === undefined) set(step.id, "succeeded");
      } catch (error) {
        run.failed = error as Error;
        if (step.parts === undefined) set(step.id, error as Error);
        told();
        return;
      }
    }
    run.done = true;
    told();
  })();
  return run;
}

function Progress({ title, crumbs, steps, onBack }: { title: string; crumbs: readonly Crumb[]; steps: readonly Step[]; onBack: () => void }): ReactNode {
  const [, setRound] = useState(0);
  const [run] = useState(() => {
    const begun = start(steps);
    begun.tell.add(() => setRound((before) => before + 1));
    return begun;
  });
  const { failed, done } = run;
  const main = steps.at(-1)!;
  const parts = steps.flatMap((step) => step.parts ?? [step]);
  const stateOf = (part: Part): StepState => {
    const state = run.states.get(part.id.toLowerCase()) ?? "waiting";
    return failed !== undefined && state === "running" ? failed : state;
  };
  return (
    <Blade title={title} crumbs={crumbs} subtitle="Deployment">
      <div className="progress">
        <div role="status">
          <h2>{failed ? "Your deployment failed" : done ? "Your deployment is complete" : "Deployment is in progress"}</h2>
        </div>
        {failed && <Failure error={failed} />}
        {failed && <p>Resources listed as created remain. Those listed as waiting were not created.</p>}
        <Table aria-label="Deployment details" size="small">
          <TableHeader>
            <TableRow>
              <TableHeaderCell>Resource</TableHeaderCell>
              <TableHeaderCell>Type</TableHeaderCell>
              <TableHeaderCell>Status</TableHeaderCell>
            </TableRow>
          </TableHeader>
          <TableBody>
            {parts.map((step) => (
              <TableRow key={step.id}>
                <TableCell>
                  <span className="named">
                    <TypeIcon type={step.type} />
                    {stateOf(step) === "succeeded" ? (
                      <Link to={resourcePath(step.id)}>
                        <Name>{step.name}</Name>
                      </Link>
                    ) : (
                      <Name>{step.name}</Name>
                    )}
                  </span>
                </TableCell>
                <TableCell>{singularOf(step.type)}</TableCell>
                <TableCell>
                  <StepMark state={stateOf(step)} />
                </TableCell>
              </TableRow>
            ))}
          </TableBody>
        </Table>
        <div className="buttons">
          {done && (
            <Button appearance="primary" onClick={() => navigate(resourcePath(main.id))}>
              Go to resource
            </Button>
          )}
          {failed && <Button onClick={onBack}>Back to the form</Button>}
        </div>
      </div>
    </Blade>
  );
}

function StepMark({ state }: { state: StepState }): ReactNode {
  if (state instanceof Error) return <span className="named"><ErrorCircle20Filled aria-hidden className="notice-failed" /> Failed</span>;
  if (state === "succeeded") return <span className="named"><CheckmarkCircle20Filled aria-hidden className="notice-succeeded" /> Created</span>;
  if (state === "running") return <Spinner size="tiny" label="Creating" />;
  return <span className="named"><Circle20Regular aria-hidden /> Waiting</span>;
}
