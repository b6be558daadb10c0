/** Approve or deny one request: a reason, what is signed in words, two buttons. */

import { button, freshId, h, replace } from '../core/dom';
import type { Model } from '../core/model';
import { refusal } from '../core/section';
import type { Decide, Decided, RequestPage } from '../core/types';

const MAX_REASON = 4000;

export interface IDecisionOptions {
  readonly model: Model;
  /** It was signed and logged. */
  readonly done: (decided: Decided) => void;
  /** It was not: the page may be out of date. */
  readonly failed: () => void;
}

/** Lives as long as its page is open, so that a reason that was begun outlives a page that is drawn anew. */
export class DecisionForm {
  readonly node: HTMLElement;
  private readonly reason: HTMLTextAreaElement;
  private readonly wrong: HTMLElement;
  private readonly signs = h('p', {});
  private readonly said = h('div', { class: 'sls-said' });
  private readonly approving: HTMLButtonElement;
  private readonly denying: HTMLButtonElement;
  private page: RequestPage | null = null;
  private readonly persona: string; // who was shown the page, and alone decides on it
  private sending = false;

  constructor(private readonly options: IDecisionOptions) {
    const { trans } = options.model.host;
    this.persona = options.model.persona;
    const id = freshId('reason');
    this.wrong = h('p', { class: 'sls-wrong', id: `${id}-wrong`, role: 'alert' });
    const help = h('p', { class: 'sls-help', id: `${id}-help` }, trans.__('The requester reads it. To deny, say why.'));
    this.reason = h('textarea', { id, rows: 2, class: 'sls-input', maxlength: MAX_REASON, 'data-key': 'reason', 'aria-describedby': `${id}-help ${id}-wrong` });
    this.reason.addEventListener('input', () => this.complain(''));
    this.reason.addEventListener('keydown', event => this.key(event));
    this.approving = button(trans.__('Approve…'), event => void this.approve(event), { class: 'sls-primary', 'data-key': 'approve', 'aria-keyshortcuts': 'a' });
    this.denying = button(trans.__('Deny'), () => void this.deny(), { 'data-key': 'deny', 'aria-keyshortcuts': 'd' });
    this.node = h(
      'section',
      { class: 'sls-decision', 'aria-label': trans.__('Your decision') },
      h('h4', {}, trans.__('Your decision')),
      this.signs,
      h('div', { class: 'sls-field' }, h('label', { for: id }, trans.__('Reason')), this.reason, help, this.wrong),
      h('div', { class: 'sls-buttons' }, this.approving, this.denying),
      this.said
    );
  }

  set(page: RequestPage): void {
    this.page = page;
    this.signs.textContent = page.signs;
  }

  focusApprove(): void {
    this.approving.focus();
    this.approving.scrollIntoView({ block: 'nearest' });
  }

  focusDeny(): void {
    this.reason.focus();
    this.node.scrollIntoView({ block: 'nearest' });
  }

  /** Never by one key: a dialog says what is signed, and a key that is held down since before does not answer it. */
  private async approve(event: MouseEvent): Promise<void> {
    const { page } = this;
    if (page === null || this.sending) {
      return;
    }
    const { host } = this.options.model;
    const { trans } = host;
    const reason = this.reason.value.trim();
    const body = h(
      'div',
      {},
      h('p', {}, trans.__('You decide as'), ' ', h('strong', {}, this.persona), '.'),
      h('p', {}, trans.__('From %1.', page.row.who.words)),
      h('p', {}, page.signs),
      reason ? h('p', {}, trans.__('Your reason: “%1”', reason)) : null
    );
    this.complain('');
    const held = heldKey(event);
    const check = () => (held() ? trans.__('Let go of the key, read what is signed, and press it again.') : '');
    if (await this.options.model.ask({ title: trans.__('Approve request %1?', page.row.short), body, accept: trans.__('Sign and approve'), check })) {
      await this.send(page, true, reason);
    }
  }

  private async deny(): Promise<void> {
    const { page } = this;
    const reason = this.reason.value.trim();
    if (page === null || this.sending) {
      return;
    }
    if (!reason) {
      this.complain(this.options.model.host.trans.__('✗ Say why: the requester reads it.'));
      this.reason.focus();
      return;
    }
    await this.send(page, false, reason);
  }

  /** `page` is the one that was seen; if it is another one by now the server says so, and nothing is signed. */
  private async send(page: RequestPage, approve: boolean, reason: string): Promise<void> {
    const { model, done, failed } = this.options;
    const { trans } = model.host;
    if (model.persona !== this.persona) {
      this.complain(trans.__('✗ You are %1 now, and %2 was shown this. Nothing was decided.', model.persona, this.persona));
      return;
    }
    const body: Decide = { approve, reason, seen: page.seen };
    this.lock(true);
    replace(this.said, h('p', { role: 'status' }, approve ? trans.__('Signing the approval …') : trans.__('Signing the denial …')));
    try {
      const decided = await model.api.post<Decided>(`requests/${encodeURIComponent(page.row.id)}/decision`, body, { persona: this.persona });
      replace(this.said);
      done(decided);
    } catch (error) {
      replace(this.said, refusal(error, trans.__('Nothing was decided.'), trans));
      failed();
    } finally {
      this.lock(false);
    }
  }

  private lock(sending: boolean): void {
    this.sending = sending;
    this.approving.disabled = sending;
    this.denying.disabled = sending;
    this.reason.readOnly = sending;
    this.node.setAttribute('aria-busy', String(sending));
  }

  private complain(words: string): void {
    this.wrong.textContent = words;
    if (words) {
      this.reason.setAttribute('aria-invalid', 'true');
    } else {
      this.reason.removeAttribute('aria-invalid');
    }
  }

  /** Escape leaves the field, and the page only when it is pressed again. */
  private key(event: KeyboardEvent): void {
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      this.node.closest<HTMLElement>('.sls-detail')?.focus();
    }
  }
}

/** Whether the key that pressed a button has been down ever since. */
function heldKey(event: MouseEvent): () => boolean {
  let held = event.detail === 0; // clicks of a keyboard have no count
  document.addEventListener('keyup', () => (held = false), { once: true, capture: true });
  return () => held;
}
