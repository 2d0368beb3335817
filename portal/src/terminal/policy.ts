// xterm under the portal's policy: the style tags that it makes when it is opened carry the page's nonce, and a style attribute
// (24-bit colours) is set through the object model, which the policy allows, in place of text. xterm 6.0 has no option for a nonce,
// and its `documentOverride` does not reach all that makes elements.

const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";

/** Run `work`, during which every style tag is made with the nonce. */
export function withNonce(work: () => void): void {
  const create = document.createElement.bind(document) as (name: string, options?: ElementCreationOptions) => HTMLElement;
  document.createElement = (name: string, options?: ElementCreationOptions): HTMLElement => {
    const made = create(name, options);
    if (made instanceof HTMLStyleElement) made.nonce = nonce;
    return made;
  };
  try {
    work();
  } finally {
    // The document's own, which shadowed that of its prototype.
    Reflect.deleteProperty(document, "createElement");
  }
}

/** The same for a style attribute of a span, for as long as the page lives: what it looks like stays what it was. */
HTMLSpanElement.prototype.setAttribute = function setAttribute(this: HTMLSpanElement, name: string, value: string): void {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
};
