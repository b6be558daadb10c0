/** Who I am, what computes for me, and what waits: in the status bar, always in sight. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Widget } from '@lumino/widgets';
import { mark } from '../core/card';
import { h, replace } from '../core/dom';
import type { Model } from '../core/model';
import { Ids, ISls } from './tokens';

/** `hospital · SIMULATED · 2 waiting`: a button that opens the menu of personas. */
class StatusItem extends Widget {
  private readonly button: HTMLButtonElement;
  private readonly undo: () => void;

  constructor(
    private readonly model: Model,
    choose: () => void
  ) {
    super();
    this.addClass('sls-ui');
    this.addClass('sls-status-item');
    this.button = h('button', { type: 'button', class: 'sls-status', 'aria-haspopup': 'menu', on: { click: choose } });
    this.node.append(this.button);
    this.undo = model.updated.on(() => this.draw());
    this.draw();
  }

  override dispose(): void {
    this.undo();
    super.dispose();
  }

  private draw(): void {
    const { status, half, trouble, persona } = this.model;
    const { trans } = this.model.host;
    if (half !== 'ready' || status === null) {
      const nobody = half === 'ready' && persona === '';
      const words = nobody ? trans.__('SafeStreams: no persona') : half === 'starting' || half === 'ready' ? trans.__('SafeStreams …') : trans.__('SafeStreams: not there');
      this.button.title = trouble?.message ?? '';
      replace(this.button, persona ? `${persona} · ` : null, words);
      return;
    }
    const waiting = status.waiting > 0 ? trans._n('%1 waiting', '%1 waiting', status.waiting, status.waiting) : trans.__('nothing waits');
    const words = status.marks.length > 0 ? status.marks : [status.label].filter(Boolean);
    const parts: (HTMLElement | string)[] = [h('span', {}, status.persona)];
    for (const word of words) {
      parts.push(' · ', mark(word));
    }
    parts.push(' · ', h('span', { class: status.waiting > 0 ? 'sls-waiting' : '' }, waiting));
    this.button.title = trans.__('You are %1 (%2). Open the menu of personas.', status.persona, status.short);
    replace(this.button, ...parts);
  }
}

export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: 'sls-jupyter:status',
  description: 'Persona, TEE and what waits, in the status bar.',
  autoStart: true,
  requires: [ISls],
  optional: [IStatusBar],
  activate: (app: JupyterFrontEnd, { model }: ISls, bar: IStatusBar | null): void => {
    const item = new StatusItem(model, () => void app.commands.execute(Ids.personas));
    bar?.registerStatusItem('sls-jupyter:status', { item, align: 'left', rank: 90, priority: 1 });
  }
};
