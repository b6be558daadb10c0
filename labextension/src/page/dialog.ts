/** A question in a native dialog: Escape closes it, the focus goes back to where it was. */

import { button, freshId, h, replace } from '../core/dom';
import type { IDialog, ITranslate } from '../core/host';
import { objection } from '../core/section';

/** True when its button was pressed and `check`, if there is one, had nothing against it. */
export function ask(asked: IDialog, trans: ITranslate): Promise<boolean> {
  return new Promise(resolve => new Question(asked, trans, resolve).open());
}

class Question {
  private readonly node: HTMLDialogElement;
  private readonly trouble = h('div', { role: 'alert' });
  private readonly accept: HTMLButtonElement;
  private readonly before = document.activeElement;
  private checking = false;
  private accepted = false;

  constructor(
    private readonly asked: IDialog,
    private readonly trans: ITranslate,
    private readonly resolve: (accepted: boolean) => void
  ) {
    const title = freshId('title');
    this.accept = h('button', { type: 'submit', class: `sls-button ${asked.warn ? 'sls-danger' : 'sls-primary'}` }, asked.accept);
    const cancel = button(trans.__('Cancel'), () => this.node.close());
    const form = h(
      'form',
      { method: 'dialog', novalidate: true, on: { submit: event => this.submit(event) } },
      h('h2', { id: title }, asked.title),
      h('div', { class: 'sls-dialog-body' }, asked.body),
      this.trouble,
      h('div', { class: 'sls-buttons sls-dialog-buttons' }, cancel, this.accept)
    );
    this.node = h('dialog', { class: 'sls-dialog', 'aria-labelledby': title }, form);
    this.node.addEventListener('close', () => this.closed());
    this.node.addEventListener('cancel', event => this.checking && event.preventDefault());
  }

  open(): void {
    document.body.append(this.node);
    this.node.showModal();
    (this.asked.body.querySelector<HTMLElement>('[data-autofocus], input, textarea, select') ?? this.accept).focus();
  }

  private submit(event: Event): void {
    event.preventDefault();
    if (!this.checking) {
      void this.decide();
    }
  }

  private async decide(): Promise<void> {
    this.checking = true;
    this.accept.disabled = true;
    const why = await objection(this.asked, this.trans);
    this.checking = false;
    this.accept.disabled = false;
    replace(this.trouble, why);
    if (why === null) {
      this.accepted = true;
      this.node.close();
    } else {
      this.trouble.scrollIntoView({ block: 'nearest' });
    }
  }

  private closed(): void {
    this.node.remove();
    if (this.before instanceof HTMLElement && this.before.isConnected) {
      this.before.focus({ preventScroll: true });
    }
    this.resolve(this.accepted);
  }
}
