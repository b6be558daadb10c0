/** Whether the notebook in front and this page speak of the same home and version, as far as its cards tell. */

import { NotebookActions, type INotebookTracker } from '@jupyterlab/notebook';
import { Emitter } from '../core/emitter';
import type { Model } from '../core/model';
import { personaOf } from './persona';
import { lastCard } from './saved';

export class KernelCheck {
  readonly changed = new Emitter<void>();
  /** What is not the same; empty where nothing is known to differ. No kernel is asked. */
  words = '';
  /** Of the last run in the notebook, where it is another one than the page's and is there. */
  persona = '';
  private readonly asked = new Set<string>();

  constructor(
    private readonly model: Model,
    private readonly tracker: INotebookTracker | null
  ) {
    tracker?.currentChanged.connect((_, panel) => {
      this.look();
      void panel?.context.ready.then(() => this.look());
    });
    NotebookActions.executed.connect(() => this.look());
    model.updated.on(() => this.look());
  }

  private look(): void {
    const { words, persona } = this.find();
    if (words !== this.words || persona !== this.persona) {
      this.words = words;
      this.persona = persona;
      this.changed.emit();
    }
  }

  private find(): { readonly words: string; readonly persona: string } {
    const { about, host, half } = this.model;
    const panel = this.tracker?.currentWidget;
    const card = panel ? lastCard(panel) : null;
    const same = { words: '', persona: '' };
    if (about === null || card === null || half !== 'ready') {
      return same;
    }
    const { trans } = host;
    if (card.home && card.home !== about.home) {
      const words = trans.__('The last run in this notebook belongs to another home than the one that this page shows: its kernel has another SLS_HOME, or another person ran it.');
      return { words, persona: '' };
    }
    if (card.version && card.version !== about.version) {
      return { words: trans.__('The last run in this notebook was made by sls_jupyter %1; this server has %2.', card.version, about.version), persona: '' };
    }
    if (card.persona && !about.personas.includes(card.persona) && !this.asked.has(card.persona)) {
      this.asked.add(card.persona); // it may have been made since
      void this.model.refreshAbout();
    }
    const meant = panel ? personaOf(panel) === this.model.persona : false; // somebody has chosen
    if (!meant && card.persona && card.persona !== this.model.persona && about.personas.includes(card.persona)) {
      return { words: trans.__('The last run in this notebook is of %1.', card.persona), persona: card.persona };
    }
    return same;
  }
}
