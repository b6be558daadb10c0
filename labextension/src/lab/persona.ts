/** Which persona a page is: what a workspace and a notebook remember of it is a name, never a key. */

import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { IStateDB } from '@jupyterlab/statedb';
import { h } from '../core/dom';
import { field, select } from '../core/fields';
import type { Model } from '../core/model';

const KEY = 'sls-jupyter:persona';
const FIELD = 'sls'; // of a notebook's metadata

/** Start as the persona that this workspace had, if it is still there; then follow the notebooks. */
export async function begin(model: Model, tracker: INotebookTracker | null, state: IStateDB | null): Promise<void> {
  const name = await state?.fetch(KEY).catch(() => undefined);
  const remembered = typeof name === 'string' ? name : '';
  let first = true;
  let saved = remembered;
  model.updated.on(() => {
    if (model.half !== 'ready') {
      return;
    }
    if (first) {
      first = false;
      if (remembered && remembered !== model.persona && model.about?.personas.includes(remembered)) {
        model.become(remembered);
        return;
      }
    }
    if (state !== null && model.persona && model.persona !== saved) {
      saved = model.persona;
      void state.save(KEY, saved);
    }
  });
  if (tracker !== null) {
    new Follower(model, tracker);
  }
  model.start();
}

/** The persona that a notebook names; empty where it names none. */
export function personaOf(panel: NotebookPanel): string {
  const found: unknown = panel.model?.getMetadata(FIELD);
  const name = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)['persona'] : '';
  return typeof name === 'string' ? name : '';
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

/** The page is who the notebook in front names; where that persona is not there, somebody is asked. */
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
      this.model.become(name);
    } else {
      void this.ask(panel, name, about.personas);
    }
  }

  private async ask(panel: NotebookPanel, name: string, personas: readonly string[]): Promise<void> {
    const { trans } = this.model.host;
    const choice = select(personas.map(one => [one, one] as const), this.model.persona);
    const words = trans.__('This notebook was used as "%1". There is no such persona on this server.', name);
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
