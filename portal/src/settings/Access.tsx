// Access control (IAM): who holds which role here or above, and for those who may, assigning and removing roles.

import { useMemo, useState, type ReactNode } from "react";

import { put, type Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import { nameOf, parseId, sameId } from "../arm/ids";
import { singularOf } from "../arm/types";
import { required } from "../forms/checks";
import { DropdownField, RadioField, TextAreaField, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import { SidePanel } from "../forms/SidePanel";
import type { GridColumn } from "../lists/Grid";
import type { ResourceProps } from "../pages/registry";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import { useSession } from "../shell/session";
import { Link, Name } from "../shell/text";
import { property, Sublist } from "./Sublist";

const ASSIGNMENT = "Microsoft.Authorization/roleAssignments";
const DEFINITION = "Microsoft.Authorization/roleDefinitions";

export default function Access({ id, resource }: ResourceProps): ReactNode {
  const { name, objectId } = useSession();
  const can = useCan(id.text);
  const assignments = useList<Resource>(`${id.text}/providers/${ASSIGNMENT}`, { query: { $filter: "atScope()" } });
  const roles = useList<Resource>(`${id.text}/providers/${DEFINITION}`);
  const [adding, setAdding] = useState(false);
  const roleNames = useMemo(() => new Map((roles.data ?? []).map((role) => [role.name.toLowerCase(), property(role, "roleName")])), [roles.data]);
  const roleOf = (row: Resource): string => roleNames.get(nameOf(property(row, "roleDefinitionId")).toLowerCase()) ?? "-";
  // There is no directory to ask for names; one's own is known.
  const rows = useMemo(
    () => assignments.data?.map((row) => ({ ...row, name: property(row, "principalId").toLowerCase() === objectId.toLowerCase() ? `${name} (you)` : property(row, "principalId") })),
    [assignments.data, name, objectId],
  );
  const inherited = (row: Resource): boolean => !sameId(property(row, "scope"), id.text);
  const columns = useMemo<GridColumn<Resource>[]>(
    () => [
      { key: "name", title: "Name", width: 3, text: (row) => row.name },
      { key: "type", title: "Type", width: 1.2, text: (row) => property(row, "principalType") },
      { key: "role", title: "Role", width: 1.6, text: roleOf, cell: (row) => <Name>{roleOf(row)}</Name> },
      {
        key: "scope",
        title: "Scope",
        width: 2,
        text: (row) => property(row, "scope"),
        cell: (row) => (inherited(row) ? <ScopeLink scope={property(row, "scope")} /> : "This resource"),
      },
    ],
    [roleNames, id.text],
  );
  return (
    <>
      <Sublist
        label="Role assignments"
        found={{ ...assignments, data: rows }}
        type={ASSIGNMENT}
        columns={columns}
        add="Add role assignment"
        onAdd={can(`${ASSIGNMENT}/write`) ? () => setAdding(true) : undefined}
        deletable={can(`${ASSIGNMENT}/delete`)}
        fixed={inherited}
        empty="No role assignments to display"
      />
      {adding && <AssignmentPanel resource={resource} scope={id.text} roles={roles.data ?? []} onClose={() => setAdding(false)} />}
    </>
  );
}

function ScopeLink({ scope }: { scope: string }): ReactNode {
  const parsed = parseId(scope);
  if (parsed === undefined) return "Root (inherited)";
  return (
    <>
      <Link to={resourcePath(scope, "access")}>{singularOf(parsed.type)}</Link> (inherited)
    </>
  );
}

function AssignmentPanel({ resource, scope, roles, onClose }: { resource: Resource; scope: string; roles: readonly Resource[]; onClose: () => void }): ReactNode {
  const form = useForm({ role: "", principal: "", kind: "User", description: "" }, (entered) => ({
    role: required(entered.role),
    principal: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(entered.principal.trim()) ? undefined : "Provide the object ID of a user, group or service principal.",
  }));
  const { values } = form;
  const choices = [...roles].sort((one, two) => property(one, "roleName").localeCompare(property(two, "roleName"))).map((role) => ({ value: role.id, text: property(role, "roleName") }));
  const submit = async (): Promise<void> => {
    if (!form.check()) throw new Error("Some fields need another value.");
    const properties = {
      roleDefinitionId: values.role,
      principalId: values.principal.trim(),
      principalType: values.kind,
      ...(values.description === "" ? {} : { description: values.description }),
    };
    const words = { title: "Adding role assignment", done: "Added role assignment", failed: "Failed to add role assignment", about: resource.name, to: resourcePath(scope, "access") };
    await notified(words, () => put(`${scope}/providers/${ASSIGNMENT}/${crypto.randomUUID()}`, { properties }));
    form.release();
  };
  return (
    <SidePanel open title="Add role assignment" action="Assign" onSubmit={submit} onClose={onClose}>
      <DropdownField label="Role" required value={values.role || undefined} choices={choices} onChange={(value) => form.set("role", value)} error={form.error("role")} placeholder="Select a role" />
      <RadioField
        label="Assign access to"
        value={values.kind}
        choices={[
          { value: "User", text: "User" },
          { value: "Group", text: "Group" },
          { value: "ServicePrincipal", text: "Service principal" },
        ]}
        onChange={(value) => form.set("kind", value)}
      />
      <TextField
        label="Object ID"
        required
        value={values.principal}
        onChange={(value) => form.set("principal", value)}
        onBlur={() => form.touch("principal")}
        error={form.error("principal")}
        hint="`azlan user list` prints the object IDs of this cloud."
      />
      <TextAreaField label="Description" rows={2} value={values.description} onChange={(value) => form.set("description", value)} />
    </SidePanel>
  );
}
