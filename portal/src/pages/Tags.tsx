// Tags: names and values, edited in rows, written at once by PATCH.

import { Button, Input } from "@fluentui/react-components";
import { Add20Regular, Delete20Regular } from "@fluentui/react-icons";
import { useState, type ReactNode } from "react";

import { patch } from "../arm/client";
import { useCan } from "../arm/hooks";
import { actionPrefix, singularOf } from "../arm/types";
import { useForm } from "../forms/form";
import { Failure } from "../shell/Blade";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import type { ResourceProps } from "./registry";

interface Row {
  name: string;
  value: string;
}

function wrong(rows: readonly Row[]): string | undefined {
  const names = rows.filter((row) => row.name !== "" || row.value !== "").map((row) => row.name.toLowerCase());
  if (names.includes("")) return "A tag needs a name.";
  if (new Set(names).size < names.length) return "Two tags have the same name: case does not count.";
  if (names.length > 50) return "A resource has 50 tags at most.";
  if (rows.some((row) => row.name.length > 512 || row.value.length > 256)) return "A tag's name has 512 characters at most, its value 256.";
  if (rows.some((row) => /[<>%&\\?/]/.test(row.name))) return "A tag's name cannot hold < > % & \\ ? or /.";
  return undefined;
}

export default function Tags({ id, resource, reload }: ResourceProps): ReactNode {
  const can = useCan(id.text);
  const writable = can(`${actionPrefix(id.type)}/write`) || can("Microsoft.Resources/tags/write");
  const [round, setRound] = useState(0);
  const again = (): void => {
    reload();
    setRound(round + 1);
  };
  return <Editor key={round} id={id.text} type={id.type} name={resource.name} tags={resource.tags ?? {}} writable={writable} onSaved={again} />;
}

function Editor({ id, type, name, tags, writable, onSaved }: { id: string; type: string; name: string; tags: Record<string, string>; writable: boolean; onSaved: () => void }): ReactNode {
  const form = useForm<{ rows: Row[] }>(
    () => ({ rows: [...Object.entries(tags).map(([tag, value]) => ({ name: tag, value })), { name: "", value: "" }] }),
    ({ rows }) => ({ rows: wrong(rows) }),
  );
  const [error, setError] = useState<Error>();
  const rows = form.values.rows;
  const set = (n: number, change: Partial<Row>): void => {
    const changed = rows.map((row, at) => (at === n ? { ...row, ...change } : row));
    const last = changed.at(-1);
    if (last !== undefined && (last.name !== "" || last.value !== "")) changed.push({ name: "", value: "" });
    form.set("rows", changed);
  };
  const save = (): void => {
    if (!form.check()) return;
    setError(undefined);
    const wanted = Object.fromEntries(rows.filter((row) => row.name !== "").map((row) => [row.name, row.value]));
    const what = singularOf(type).toLowerCase();
    notified({ title: `Updating tags of ${what}`, done: `Updated tags of ${what}`, failed: `Failed to update tags of ${what}`, about: name, to: resourcePath(id, "tags") }, () =>
      patch(id, { tags: wanted }),
    ).then(
      () => {
        form.release();
        onSaved();
      },
      (found: unknown) => setError(found as Error),
    );
  };
  return (
    <section className="tags" aria-label="Tags">
      <p>Tags are name/value pairs that enable you to categorize resources.</p>
      {error && <Failure error={error} />}
      {form.error("rows") !== undefined && <Failure error={new Error(form.error("rows"))} title="The tags cannot be saved" />}
      <div role="table" aria-label="Tags" className="tag-table">
        <div role="row" className="tag-row tag-head">
          <span role="columnheader">Name</span>
          <span role="columnheader">Value</span>
          <span role="columnheader">
            <span className="hidden">Actions</span>
          </span>
        </div>
        {rows.map((row, n) => (
          <div role="row" className="tag-row" key={n}>
            <span role="cell">
              <Input aria-label={`Name of tag ${n + 1}`} value={row.name} disabled={!writable} onChange={(_, { value }) => set(n, { name: value })} />
            </span>
            <span role="cell">
              <Input aria-label={`Value of tag ${n + 1}`} value={row.value} disabled={!writable} onChange={(_, { value }) => set(n, { value })} />
            </span>
            <span role="cell">
              {n < rows.length - 1 && writable && (
                <Button appearance="subtle" aria-label={`Delete tag ${n + 1}`} icon={<Delete20Regular />} onClick={() => form.set("rows", rows.filter((_, at) => at !== n))} />
              )}
            </span>
          </div>
        ))}
      </div>
      {writable && (
        <div className="buttons">
          <Button appearance="primary" icon={<Add20Regular />} onClick={save}>
            Apply
          </Button>
          <Button
            onClick={() => {
              form.release();
              onSaved();
            }}
          >
            Discard changes
          </Button>
        </div>
      )}
    </section>
  );
}
