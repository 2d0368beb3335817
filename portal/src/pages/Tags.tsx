// Tags: names and values, edited in rows, written at once by PATCH.

import { Button } from "@fluentui/react-components";
import { Add20Regular } from "@fluentui/react-icons";
import { useState, type ReactNode } from "react";

import { patch } from "../arm/client";
import { useCan } from "../arm/hooks";
import { actionPrefix, singularOf } from "../arm/types";
import { useForm } from "../forms/form";
import { tagsError, tagsOf, TagTable, type TagRow } from "../forms/tags";
import { Failure } from "../shell/Blade";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import type { ResourceProps } from "./registry";

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
  const form = useForm<{ rows: TagRow[] }>(
    () => ({ rows: [...Object.entries(tags).map(([tag, value]) => ({ name: tag, value })), { name: "", value: "" }] }),
    ({ rows }) => ({ rows: tagsError(rows) }),
  );
  const [error, setError] = useState<Error>();
  const rows = form.values.rows;
  const set = (n: number, change: Partial<TagRow>): void => {
    const changed = rows.map((row, at) => (at === n ? { ...row, ...change } : row));
    const last = changed.at(-1);
    if (last !== undefined && (last.name !== "" || last.value !== "")) changed.push({ name: "", value: "" });
    form.set("rows", changed);
  };
  const save = (): void => {
    if (!form.check()) return;
    setError(undefined);
    const wanted = tagsOf(rows);
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
      <TagTable rows={rows} writable={writable} onChange={set} onDelete={(n) => form.set("rows", rows.filter((_, at) => at !== n))} />
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
