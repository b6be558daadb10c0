/** Whether the notebook in front and this page speak of the same home and version, as far as its cards tell. */

import { NotebookActions, type INotebookTracker } from '@jupyterlab/notebook';
import { Emitter } from '../core/emitter';
import type { Model } from '../core/model';
import { lastCard } from './saved';

export class KernelCheck {
  readonly changed = new Emitter<void>();
  /** What is not the same; empty where nothing is known to differ. No kernel is asked. */
  words = '';

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
    const words = this.find();
    if (words !== this.words) {
      this.words = words;
      this.changed.emit();
    }
  }

  private find(): string {
    const { about, host } = this.model;
    const panel = this.tracker?.currentWidget;
    const card = panel ? lastCard(panel) : null;
    if (about === null || card === null) {
      return '';
    }
    const { trans } = host;
    if (card.home && card.home !== about.home) {
      return trans.__('The last run in this notebook belongs to another home than the one that this page shows: its kernel has another SLS_HOME, or another person ran it.');
    }
    if (card.version && card.version !== about.version) {
      return trans.__('The last run in this notebook was made by sls_jupyter %1; this server has %2.', card.version, about.version);
    }
    return '';
  }
}
