// The fields of forms, labelled and laid out as Azure's: label and star on the left, the control, what is wrong with it below.
// A control is found by its label, for people and for tests: `getByLabel("Virtual network name")`.

import { Checkbox, Dropdown, Field, InfoLabel, Input, Option, Radio, RadioGroup, Textarea } from "@fluentui/react-components";
import type { ReactElement, ReactNode } from "react";

import { visible } from "../shell/text";

export interface Choice {
  readonly value: string;
  readonly text: string;
  /** A second line. */
  readonly about?: string;
  readonly disabled?: boolean;
}

interface Common {
  label: string;
  required?: boolean;
  /** What is wrong; shown once the field was left or the form was to be sent. */
  error?: string | undefined;
  info?: string;
  hint?: string;
  disabled?: boolean;
}

function Framed({ label, required = false, error, info, hint, children }: Common & { children: ReactNode }): ReactNode {
  return (
    <Field
      className="field"
      orientation="horizontal"
      required={required}
      label={info === undefined ? { children: label } : { children: (_: unknown, props: object) => <InfoLabel {...props} info={info}>{label}</InfoLabel> }}
      {...(error ? { validationMessage: error, validationState: "error" as const } : {})}
      {...(hint ? { hint } : {})}
    >
      {children as never}
    </Field>
  );
}

export function TextField(
  props: Common & { value: string; onChange: (value: string) => void; onBlur?: () => void; type?: "text" | "password" | "number"; placeholder?: string; autoComplete?: string },
): ReactNode {
  const { value, onChange, onBlur, type = "text", placeholder, autoComplete = "off", disabled = false } = props;
  return (
    <Framed {...props}>
      <Input
        value={value}
        onChange={(_, changed) => onChange(changed.value)}
        type={type}
        autoComplete={autoComplete}
        disabled={disabled}
        {...(placeholder ? { placeholder } : {})}
        {...(onBlur ? { onBlur } : {})}
      />
    </Framed>
  );
}

export function TextAreaField(props: Common & { value: string; onChange: (value: string) => void; onBlur?: () => void; rows?: number; placeholder?: string }): ReactNode {
  const { value, onChange, onBlur, rows = 4, placeholder, disabled = false } = props;
  return (
    <Framed {...props}>
      <Textarea
        value={value}
        onChange={(_, changed) => onChange(changed.value)}
        rows={rows}
        disabled={disabled}
        spellCheck={false}
        {...(placeholder ? { placeholder } : {})}
        {...(onBlur ? { onBlur } : {})}
      />
    </Framed>
  );
}

export function DropdownField(props: Common & { value: string | undefined; choices: readonly Choice[]; onChange: (value: string) => void; placeholder?: string; below?: ReactNode }): ReactNode {
  const { value, choices, onChange, placeholder, below, disabled = false } = props;
  const chosen = choices.find((choice) => choice.value === value);
  return (
    <>
      <Framed {...props}>
        <Dropdown
          value={chosen === undefined ? "" : visible(chosen.text)}
          selectedOptions={value === undefined ? [] : [value]}
          onOptionSelect={(_, { optionValue }) => optionValue !== undefined && onChange(optionValue)}
          disabled={disabled}
          placeholder={placeholder ?? "Select"}
        >
          {choices.map(option)}
        </Dropdown>
      </Framed>
      {below !== undefined && <div className="field-below">{below}</div>}
    </>
  );
}

function option(choice: Choice): ReactElement {
  return (
    <Option key={choice.value} value={choice.value} text={visible(choice.text)} disabled={choice.disabled ?? false}>
      <span className="choice">
        <bdi>{visible(choice.text)}</bdi>
        {choice.about !== undefined && <span className="choice-about">{choice.about}</span>}
      </span>
    </Option>
  );
}

/** Several of the choices; `chosen` are the values in the order they were picked. */
export function MultiChoiceField(props: Common & { chosen: readonly string[]; choices: readonly Choice[]; onChange: (chosen: string[]) => void; onBlur?: () => void; placeholder?: string }): ReactNode {
  const { chosen, choices, onChange, onBlur, placeholder, disabled = false } = props;
  const shown = choices.filter((choice) => chosen.includes(choice.value)).map((choice) => visible(choice.text));
  return (
    <Framed {...props}>
      <Dropdown
        multiselect
        value={shown.join(", ")}
        selectedOptions={[...chosen]}
        onOptionSelect={(_, { selectedOptions }) => onChange(selectedOptions)}
        disabled={disabled}
        placeholder={placeholder ?? "Select"}
        {...(onBlur ? { onBlur } : {})}
      >
        {choices.map(option)}
      </Dropdown>
    </Framed>
  );
}

export function RadioField(props: Common & { value: string; choices: readonly Choice[]; onChange: (value: string) => void }): ReactNode {
  const { value, choices, onChange, disabled = false } = props;
  return (
    <Framed {...props}>
      <RadioGroup value={value} onChange={(_, changed) => onChange(changed.value)} disabled={disabled}>
        {choices.map((choice) => (
          <Radio key={choice.value} value={choice.value} label={choice.text} disabled={choice.disabled ?? false} />
        ))}
      </RadioGroup>
    </Framed>
  );
}

export function CheckboxField(props: { label: string; checked: boolean; onChange: (checked: boolean) => void; info?: string; disabled?: boolean }): ReactNode {
  const { label, checked, onChange, info, disabled = false } = props;
  return (
    <div className="field-check">
      <Checkbox label={label} checked={checked} onChange={(_, changed) => onChange(changed.checked === true)} disabled={disabled} />
      {info !== undefined && <InfoLabel info={info} infoButton={{ "aria-label": "More information" }} />}
    </div>
  );
}

/** A value that is shown and not changed, laid out as a field. */
export function Fixed({ label, children }: { label: string; children: ReactNode }): ReactNode {
  return (
    <div className="fixed">
      <span className="fixed-label">{label}</span>
      <span className="fixed-value">{children}</span>
    </div>
  );
}

export function Section({ title, children }: { title: string; children: ReactNode }): ReactNode {
  return (
    <fieldset className="section">
      <legend>{title}</legend>
      {children}
    </fieldset>
  );
}
