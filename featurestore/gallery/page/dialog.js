// A window over the page. The browser keeps the focus within; it returns to where it was.
import { useLayoutEffect, useRef } from "./vendor/hooks.js";
import { html } from "./html.js";

export function Dialog({ name, className, onClose, children }) {
  const node = useRef(null);
  useLayoutEffect(() => {
    // before the next key
    const before = document.activeElement;
    const dialog = node.current;
    dialog.showModal();
    dialog.focus();
    return () => {
      if (dialog.open) dialog.close();
      if (before?.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  const cancelled = (event) => {
    event.preventDefault();
    onClose();
  };
  const pressed = (event) => event.target === node.current && onClose();
  return html`<dialog ref=${node} class=${className} aria-label=${name} tabindex="-1" onCancel=${cancelled} onClick=${pressed}>${children}</dialog>`;
}
