// A resource read, edited and written back, with its notification: what most settings pages do.

import { get, put, type Json, type Resource } from "../arm/client";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";

/** "Saving network interface", "Saved …", "Failed to save …". */
export function saving<T>(what: string, resource: { id: string; name: string }, entry: string | undefined, work: () => Promise<T>): Promise<T> {
  const words = { title: `Saving ${what}`, done: `Saved ${what}`, failed: `Failed to save ${what}`, about: resource.name, to: resourcePath(resource.id, entry) };
  return notified(words, work);
}

/** Edit the newest state of a resource, so that what others changed meanwhile stays. */
export async function change(id: string, edit: (properties: Json, resource: Resource) => void): Promise<Resource> {
  const resource = await get<Resource>(id);
  const properties = (resource.properties ??= {});
  edit(properties, resource);
  return await put<Resource>(id, resource);
}

/** `["10.0.0.0/16", …]` of "10.0.0.0/16, …". */
export function parts(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** A member of a document that is a list of objects. */
export function objects(properties: Json | undefined, name: string): Json[] {
  const found = properties?.[name];
  return Array.isArray(found) ? (found as Json[]) : [];
}

/** The id in `{ id }`, or nothing. */
export function refId(value: unknown): string | undefined {
  const id = typeof value === "object" && value !== null ? (value as { id?: unknown }).id : undefined;
  return typeof id === "string" ? id : undefined;
}

/** A member of a resource that is an object. */
export function object(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}
