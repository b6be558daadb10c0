/** The panel in JupyterLab: at the left side, and once more in the main area for who wants it wide. */

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import { warning } from '../core/card';
import { button, h, replace } from '../core/dom';
import type { ITranslate } from '../core/host';
import type { Model } from '../core/model';
import { PanelView } from '../panel';
import { makeSections } from '../sections';
import { shieldIcon } from './icon';
import { KernelCheck } from './kernel';
import { become } from './persona';
import { Ids, ISls } from './tokens';

/** A widget around the panel's view: it asks for nothing while it is not seen. */
class SlsPanel extends Widget {
  readonly view: PanelView;
  private readonly differs = h('div', { class: 'sls-notice', role: 'status' });
  private readonly undo: readonly (() => void)[];

  constructor(
    private readonly model: Model,
    private readonly kernel: KernelCheck,
    choosePersona: () => void,
    private readonly become: (persona: string) => void
  ) {
    super();
    this.view = new PanelView(model, makeSections(model), choosePersona);
    this.addClass('sls-host');
    this.node.append(this.differs, this.view.node);
    this.title.icon = shieldIcon;
    this.undo = [model.updated.on(() => this.badge()), kernel.changed.on(() => this.warn())];
    this.badge();
    this.warn();
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.undo.forEach(undo => undo());
      this.view.dispose();
    }
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this.view.show();
    }
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.view.show();
  }

  protected override onBeforeHide(message: Message): void {
    this.view.hide();
    super.onBeforeHide(message);
  }

  protected override onBeforeDetach(message: Message): void {
    this.view.hide();
    super.onBeforeDetach(message);
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.view.node.querySelector<HTMLElement>('[role=tab][aria-selected=true]')?.focus();
  }

  private warn(): void {
    const { words, persona } = this.kernel;
    const { trans } = this.model.host;
    const be = persona ? button(trans.__('Be %1', persona), () => this.become(persona), { 'data-key': 'be' }) : null;
    replace(this.differs, words ? warning(words, persona ? '' : 'note') : null, be);
  }

  /** How many wait, on the icon, and in its words. */
  private badge(): void {
    const { trans } = this.model.host;
    const waiting = this.model.status?.waiting ?? 0;
    const { 'sls-waiting': _, ...others } = this.title.dataset;
    this.title.dataset = waiting > 0 ? { ...others, 'sls-waiting': waiting > 99 ? '99+' : String(waiting) } : others;
    this.title.caption = waiting > 0 ? trans._n('SafeStreams, %1 waits for you', 'SafeStreams, %1 wait for you', waiting, waiting) : trans.__('SafeStreams');
  }
}

function reveal(panel: SlsPanel, { section, id }: ReadonlyPartialJSONObject): void {
  if (typeof section === 'string') {
    panel.view.open(section, typeof id === 'string' ? id : '');
  }
}

export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'sls-jupyter:panel',
  description: 'Assets, inbox, runs, proofs and people, beside the notebook or in its place.',
  autoStart: true,
  requires: [ISls],
  optional: [ILayoutRestorer, INotebookTracker],
  activate: (app: JupyterFrontEnd, { model }: ISls, restorer: ILayoutRestorer | null, notebooks: INotebookTracker | null): void => {
    const { commands, shell } = app;
    const { trans } = model.host;
    const choose = () => void commands.execute(Ids.personas);
    const be = (persona: string) => become(model, notebooks, persona);
    const kernel = new KernelCheck(model, notebooks);
    const side = new SlsPanel(model, kernel, choose, be);
    side.id = Ids.panel;
    shell.add(side, 'left', { rank: 450, type: 'SafeStreams' });

    const tracker = new WidgetTracker<MainAreaWidget<SlsPanel>>({ namespace: Ids.panel });
    const wide = () => {
      const found = tracker.find(() => true);
      if (found !== undefined) {
        return found;
      }
      const widget = new MainAreaWidget({ content: new SlsPanel(model, kernel, choose, be) });
      widget.id = Ids.main;
      widget.title.label = trans.__('SafeStreams');
      widget.title.closable = true;
      void tracker.add(widget);
      shell.add(widget, 'main');
      return widget;
    };
    addCommands(app, trans, side, wide);
    restorer?.add(side, Ids.panel);
    void restorer?.restore(tracker, { command: Ids.openMain, name: () => Ids.main });
  }
};

const ARGS = {
  type: 'object',
  properties: {
    section: { type: 'string', description: 'requests, runs, assets, receipts or people' },
    id: { type: 'string', description: 'one thing of the section' }
  }
} as const;

/** `wide` gives the panel in the main area, which is made when it is wanted. */
function addCommands({ commands, shell }: JupyterFrontEnd, trans: ITranslate, side: SlsPanel, wide: () => MainAreaWidget<SlsPanel>): void {
  commands.addCommand(Ids.open, {
    label: trans.__('Open SafeStreams'),
    caption: trans.__('Assets, inbox, runs and proofs, beside the notebook'),
    icon: shieldIcon,
    describedBy: { args: ARGS },
    execute: args => {
      shell.activateById(Ids.panel);
      reveal(side, args);
    }
  });
  commands.addCommand(Ids.openMain, {
    label: ({ isPalette }) => (isPalette ? trans.__('Open SafeStreams in the Main Area') : trans.__('SafeStreams')),
    caption: trans.__('Assets, inbox, runs and proofs in the main area'),
    icon: shieldIcon,
    describedBy: { args: ARGS },
    execute: args => {
      const widget = wide();
      shell.activateById(widget.id);
      reveal(widget.content, args);
    }
  });
}
