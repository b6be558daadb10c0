/** What the options of a form mean: the policy in sentences, what it changes, and the very cell. Asked for as somebody types. */

import { sentence } from '../core/api';
import { h, replace } from '../core/dom';
import type { Model } from '../core/model';
import { refusal } from '../core/section';
import type { PolicyAsked, PolicyShown } from '../core/types';

const TYPED_MS = 300;

export class SealPreview {
  readonly node: HTMLElement;
  private readonly box = h('div', { class: 'sls-preview-body' });
  private shown: PolicyShown | null = null;
  private error: unknown = null;
  private asked: PolicyAsked | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private working: Promise<void> = Promise.resolve();

  constructor(private readonly model: Model) {
    const { trans } = model.host;
    this.node = h('section', { class: 'sls-preview', 'aria-label': trans.__('What it means'), 'aria-live': 'polite' }, this.box);
  }

  ask(asked: PolicyAsked): void {
    this.asked = asked;
    this.node.setAttribute('aria-busy', 'true');
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), TYPED_MS);
  }

  /** The answer to what the form says now; `null` where there is none. */
  async settled(): Promise<PolicyShown | null> {
    if (this.timer !== undefined) {
      this.look();
    }
    await this.working;
    return this.shown;
  }

  /** Why there is no cell. */
  why(): string {
    const { trans } = this.model.host;
    return this.error === null ? trans.__('Name a variable or a file first.') : sentence(this.error, trans.__('These options mean nothing.'));
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.asked = null;
  }

  private look(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { asked } = this;
    if (asked !== null) {
      this.working = this.fetch(asked);
    }
  }

  private async fetch(asked: PolicyAsked): Promise<void> {
    let shown: PolicyShown | null = null;
    let error: unknown = null;
    if (asked.frame !== '') {
      try {
        shown = await this.model.api.post<PolicyShown>('policy', asked);
      } catch (failure) {
        error = failure;
      }
    }
    if (asked === this.asked) {
      this.shown = shown;
      this.error = error;
      this.draw();
    }
  }

  private draw(): void {
    const { trans } = this.model.host;
    const { shown, error } = this;
    this.node.removeAttribute('aria-busy');
    if (error !== null) {
      replace(this.box, refusal(error, trans.__('These options mean nothing.'), trans));
      return;
    }
    if (shown === null) {
      replace(this.box, h('p', { class: 'sls-sub' }, this.why()));
      return;
    }
    const sentences = (words: string, lines: readonly string[], look = '') => (lines.length > 0 ? [h('h3', {}, words), h('ul', { class: look }, ...lines.map(line => h('li', {}, line)))] : []);
    const changes = shown.replaces ? trans.__('What changes beside the policy in force') : trans.__('What is new');
    replace(
      this.box,
      ...sentences(changes, shown.changes, 'sls-changes'),
      ...sentences(trans.__('The policy then'), shown.policy),
      h('h3', {}, trans.__('The cell that seals')),
      h('pre', { class: 'sls-command', tabindex: 0, role: 'region', 'aria-label': trans.__('The cell that seals') }, shown.cell),
      h('p', { class: 'sls-sub' }, trans.__('Nothing is sealed before this cell is run.'))
    );
  }
}
