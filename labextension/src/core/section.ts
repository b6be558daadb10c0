/** A view of one section: it asks when it is shown, and again when the section has changed while it is shown. */

import { Outdated, Refusal } from './api';
import { warning } from './card';
import { button, h, replace } from './dom';
import { Emitter } from './emitter';
import type { IDialog, ITranslate } from './host';
import type { Model, Section } from './model';

export interface IWanted {
  readonly section: Section | 'receipts';
  /** The one thing of it. */
  readonly id: string;
}

export abstract class SectionView {
  abstract readonly id: Section | 'receipts';
  abstract readonly label: string;
  readonly node: HTMLElement = h('div', { class: 'sls-section' });
  /** A list is asked for again when one of these has changed. */
  protected abstract readonly about: readonly Section[];
  /** Somebody wants to see something that another section shows. */
  readonly wanted = new Emitter<IWanted>();

  private shown = false;
  private known = '';
  private working: Promise<void> | null = null;
  protected readonly disposers: (() => void)[] = [];

  constructor(readonly model: Model) {
    this.disposers.push(model.changed.on(section => this.about.includes(section) && this.refresh()));
    this.disposers.push(model.updated.on(() => this.refresh()));
  }

  show(): void {
    this.shown = true;
    this.refresh();
  }

  hide(): void {
    this.shown = false;
  }

  dispose(): void {
    this.hide();
    for (const dispose of this.disposers.splice(0)) {
      dispose();
    }
  }

  get isShown(): boolean {
    return this.shown;
  }

  /** The server has been asked, and has not answered yet. */
  protected get isWorking(): boolean {
    return this.working !== null;
  }

  /** Show one thing of the section: a request, a run, an asset, by its id. */
  reveal(_id: string): void {
    // a section without such things shows itself
  }

  /** A key that was pressed on the section's tab or beside its rows. */
  key(_event: KeyboardEvent): void {
    // a section without keys
  }

  /** Ask again where something has changed, or always. */
  refresh(always = false): void {
    if (!this.shown || this.model.half !== 'ready') {
      return;
    }
    if (this.working !== null) {
      this.known = always ? '' : this.known;
      return; // looked at again when it is done
    }
    const mark = this.mark();
    if (!always && mark === this.known) {
      return;
    }
    this.known = mark;
    this.node.setAttribute('aria-busy', 'true');
    this.working = this.load()
      .catch(error => {
        if (!(error instanceof Outdated)) {
          this.fail(error);
        } // else it is asked for anew
      })
      .finally(() => {
        this.working = null;
        this.node.removeAttribute('aria-busy');
        if (this.mark() !== this.known) {
          this.refresh();
        }
      });
  }

  /** Ask the server and draw. */
  protected abstract load(): Promise<void>;

  /** What went wrong, in the place of the list. */
  protected fail(error: unknown): void {
    const { trans } = this.model.host;
    replace(this.node, refusal(error, trans.__('Something went wrong.'), trans), button(trans.__('Try again'), () => this.refresh(true)));
  }

  private mark(): string {
    return [this.model.persona, ...this.about.map(section => this.model.revision(section))].join(' ');
  }
}

/** Why a dialog whose button was pressed stays open; `null` where nothing is against it. */
export async function objection(asked: IDialog, trans: ITranslate): Promise<HTMLElement | null> {
  try {
    const words = (await asked.check?.()) ?? '';
    return words ? warning(words) : null;
  } catch (error) {
    return refusal(error, trans.__('That was not done.'), trans);
  }
}

/** An error as a person reads it: what, found, expected, what to do. */
export function refusal(error: unknown, otherwise: string, trans: ITranslate): HTMLElement {
  if (!(error instanceof Refusal)) {
    return h('div', { class: 'sls-refusal', role: 'alert' }, h('p', {}, error instanceof Error ? error.message : otherwise));
  }
  return h(
    'div',
    { class: 'sls-refusal', role: 'alert' },
    h('p', {}, error.message),
    error.found ? h('p', {}, h('span', { class: 'sls-sub' }, trans.__('found'), ' '), h('code', {}, error.found)) : null,
    error.expected ? h('p', {}, h('span', { class: 'sls-sub' }, trans.__('expected'), ' '), h('code', {}, error.expected)) : null,
    error.hint ? h('p', {}, `→ ${error.hint}`) : null
  );
}
