/** Buttons that do something at the server, and below them what came of it. */

import { append, button, h, replace, type Child } from './dom';
import { refusal } from './section';
import type { IHost } from './host';

type Deed = () => Promise<readonly Child[]>;

/** One of these belongs to one thing that is open; what it says stays while the thing is drawn anew. */
export class Actions {
  readonly said = h('div', { class: 'sls-said', role: 'status' });
  private readonly busy = new Set<string>();

  constructor(private readonly host: IHost) {}

  /** A button; while its deed is being done a second press does nothing. */
  button(key: string, label: string, deed: Deed, look = ''): HTMLButtonElement {
    const node = button(label, () => void this.run(key, node, deed), { class: look, 'data-key': key });
    return node;
  }

  clear(): void {
    this.said.replaceChildren();
  }

  say(...children: Child[]): void {
    replace(this.said, ...children);
  }

  private async run(key: string, node: HTMLElement, deed: Deed): Promise<void> {
    if (this.busy.has(key)) {
      return;
    }
    this.busy.add(key);
    node.setAttribute('aria-disabled', 'true');
    try {
      const children = await deed();
      if (children.length > 0) {
        this.say(...children);
      }
    } catch (error) {
      this.say(refusal(error, this.host.trans.__('That was not done.'), this.host.trans));
    } finally {
      this.busy.delete(key);
      node.removeAttribute('aria-disabled');
    }
  }
}

/** A row of buttons; those that do not apply are left out. */
export function bar(label: string, ...buttons: Child[]): HTMLElement {
  const node = h('div', { class: 'sls-bar', role: 'group', 'aria-label': label });
  append(node, ...buttons);
  return node;
}

/** Put a cell into the notebook; where none is open the text is copied, and that is said. */
export async function offerCell(host: IHost, text: string): Promise<void> {
  const { trans } = host;
  if (host.notebooks !== undefined && (await host.notebooks.insertCell(text))) {
    return;
  }
  await host.copy(text);
  host.notify(host.notebooks ? trans.__('No notebook is open. The cell is copied: paste it into one.') : trans.__('The cell is copied: paste it into a notebook.'));
}
