// "Public inbound ports" and which of them: the same two fields on Basics and, for a basic security group, on Networking.

import { Dropdown, Field, MessageBar, MessageBarBody, Option } from "@fluentui/react-components";
import type { ReactNode } from "react";

import { RadioField } from "../../forms/fields";
import type { Form } from "../../forms/form";
import { PORTS } from "./choices";
import type { Values } from "./values";

export function InboundPorts({ form }: { form: Form<Values> }): ReactNode {
  const { values, set } = form;
  const open = values.inbound === "selected";
  const error = open ? form.errors.ports : undefined;
  const text = PORTS.filter((port) => values.ports.includes(port.value)).map((port) => port.text);
  return (
    <>
      <RadioField
        label="Public inbound ports"
        required
        value={values.inbound}
        choices={[
          { value: "none", text: "None" },
          { value: "selected", text: "Allow selected ports" },
        ]}
        onChange={(value) => set("inbound", value === "none" ? "none" : "selected")}
      />
      <Field className="field" orientation="horizontal" required={open} label="Select inbound ports" {...(error ? { validationMessage: error, validationState: "error" as const } : {})}>
        <Dropdown
          multiselect
          disabled={!open}
          value={open ? text.join(", ") : ""}
          placeholder="Select one or more ports"
          selectedOptions={open ? [...values.ports] : []}
          onOptionSelect={(_, { selectedOptions }) => set("ports", selectedOptions)}
        >
          {PORTS.map((port) => (
            <Option key={port.value} value={port.value}>
              {port.text}
            </Option>
          ))}
        </Dropdown>
      </Field>
      {open ? (
        <MessageBar intent="warning" layout="multiline">
          <MessageBarBody>Any IP address will reach the virtual machine at these ports: do this for tests only, and limit it to known addresses by rules otherwise.</MessageBarBody>
        </MessageBar>
      ) : (
        <p className="note">Nothing gets in from the internet. Inbound port rules can be changed later on the machine's Networking page.</p>
      )}
    </>
  );
}
