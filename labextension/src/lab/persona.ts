/** Which persona a page is: what a workspace and a notebook remember of it is a name, never a key. */

import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { IStateDB } from '@jupyterlab/statedb';
import { isCodeCellModel } from '@jupyterlab/cells';
import { h } from '../core/dom';
import { field, select } from '../core/fields';
import type { Model } from '../core/model';
import { shortened } from '../core/short';

const KEY = 'sls-jupyter:persona';
const FIELD = 'sls'; // of a notebook's metadata

/** Start as the persona that this workspace had, if it is still there; then follow the notebooks. */
export async function begin(model: Model, tracker: INotebookTracker | null, state: IStateDB | null): Promise<void> {
  const name = await state?.fetch(KEY).catch(() => undefined);
  const remembered = typeof name === 'string' ? name : '';
  let saved = remembered;
  model.updated.on(() => {
    if (model.half !== 'ready') {
      return;
    }
    if (state !== null && model.persona && model.persona !== saved) {
      saved = model.persona;
      void state.save(KEY, saved);
    }
  });
  if (tracker !== null) {
    new Follower(model, tracker);
  }
  model.start(remembered);
}

/** The persona that a notebook names; empty where it names none. */
export function personaOf(panel: NotebookPanel): string {
  const found: unknown = panel.model?.getMetadata(FIELD);
  const name = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)['persona'] : '';
  return typeof name === 'string' ? name : '';
}

/** Whether Jupyter found the signature that it gives to what this user saves: then all its cells of code are trusted. */
function isTrusted(panel: NotebookPanel): boolean {
  const cells = [...(panel.model?.cells ?? [])].filter(isCodeCellModel);
  return cells.length > 0 && cells.every(cell => cell.trusted);
}

/** Be somebody, and let the notebook in front remember it. */
export function become(model: Model, tracker: INotebookTracker | null, name: string): void {
  remember(tracker?.currentWidget ?? null, name);
  if (name !== model.persona) {
    model.become(name);
  }
}

function remember(panel: NotebookPanel | null, name: string): void {
  if (panel?.model && !panel.model.readOnly && personaOf(panel) !== name) {
    const found: unknown = panel.model.getMetadata(FIELD);
    panel.model.setMetadata(FIELD, { ...(typeof found === 'object' ? found : {}), persona: name });
  }
}

/**
 * The page is who the notebook in front names, if this user saved it so; where that persona is not there, or the file may
 * come from somebody else, somebody is asked: a file that came by mail must not choose who signs.
 */
class Follower {
  private readonly asked = new WeakMap<NotebookPanel, string>();

  constructor(
    private readonly model: Model,
    private readonly tracker: INotebookTracker
  ) {
    tracker.currentChanged.connect((_, panel) => {
      void panel?.context.ready.then(() => this.look());
      this.look();
    });
    model.updated.on(() => this.look());
  }

  private look(): void {
    const panel = this.tracker.currentWidget;
    const { about, half, persona } = this.model;
    if (panel === null || half !== 'ready' || about === null || panel.model === null) {
      return;
    }
    const name = personaOf(panel);
    if (!name || name === persona || this.asked.get(panel) === name) {
      return;
    }
    this.asked.set(panel, name); // once: who became somebody else afterwards wanted it
    if (about.personas.includes(name)) {
      void this.offer(panel, name);
    } else {
      void this.ask(panel, name, about.personas);
    }
  }

  private async offer(panel: NotebookPanel, name: string): Promise<void> {
    const { trans, ask } = this.model.host;
    const now = this.model.persona;
    if (!isTrusted(panel)) {
      const words = now ? trans.__('This notebook asks to be used as %1. You are %2.', name, now) : trans.__('This notebook asks to be used as %1.', name);
      const why = trans.__('It was not saved by you on this server, or it was changed since. Whoever made it wrote that name into it.');
      const body = h('div', {}, h('p', {}, words), h('p', { class: 'sls-sub' }, why));
      if (!(await ask({ title: trans.__('Be %1?', name), body, accept: trans.__('Be %1', name) }))) {
        return;
      }
    }
    if (now === this.model.persona && !panel.isDisposed) {
      this.model.become(name);
    }
  }

  private async ask(panel: NotebookPanel, name: string, personas: readonly string[]): Promise<void> {
    const { trans } = this.model.host;
    const choice = select(personas.map(one => [one, one] as const), this.model.persona);
    const words = trans.__('This notebook was used as "%1". There is no such persona on this server.', shortened(name.replace(/\p{C}/gu, '�'), 60));
    const body = h('div', {}, h('p', {}, words), field({ label: trans.__('Use it as') }, choice));
    if (await this.model.host.ask({ title: trans.__('Whose notebook is this?'), body, accept: trans.__('Use') })) {
      this.asked.set(panel, choice.value);
      remember(panel, choice.value);
      if (choice.value && choice.value !== this.model.persona) {
        this.model.become(choice.value);
      }
    }
  }
}
