/** Cells that run elsewhere look like what they are. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { NotebookWatch } from './notebook-watch';
import { Ids, ISls } from './tokens';
import { VerifiedBadge } from './verified';

export const cellsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'sls-jupyter:cells',
  description: 'The edge of a %%safestream cell, the line beneath it, and how many of a notebook verify.',
  autoStart: true,
  requires: [ISls],
  optional: [INotebookTracker, IToolbarWidgetRegistry, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    { model, preferences }: ISls,
    tracker: INotebookTracker | null,
    toolbars: IToolbarWidgetRegistry | null,
    palette: ICommandPalette | null
  ): void => {
    if (tracker === null) {
      return;
    }
    const { commands } = app;
    const watches = new WeakMap<NotebookPanel, NotebookWatch>();
    const showRequest = (id: string) => void commands.execute(Ids.open, { section: 'requests', id });
    const watch = (panel: NotebookPanel) => watches.set(panel, new NotebookWatch(panel, model, preferences, showRequest));
    tracker.widgetAdded.connect((_, panel) => watch(panel));
    tracker.forEach(watch);
    toolbars?.addFactory<NotebookPanel>('Notebook', 'sls-verified', panel => new VerifiedBadge(panel, model));
    addCommands(app, tracker, watches, model.host.trans);
    for (const command of [Ids.preflight, Ids.runDetached]) {
      palette?.addItem({ command, category: 'SafeStreams' });
    }
  }
};

function addCommands(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  watches: WeakMap<NotebookPanel, NotebookWatch>,
  trans: ISls['model']['host']['trans']
): void {
  const current = () => {
    const panel = tracker.currentWidget;
    const notebook = panel === null ? undefined : watches.get(panel);
    const watch = notebook?.watchOf(tracker.activeCell);
    return notebook !== undefined && watch?.isRemote ? { notebook, watch } : undefined;
  };
  const isEnabled = () => current() !== undefined;
  app.commands.addCommand(Ids.preflight, {
    label: trans.__('Preflight This Cell'),
    caption: trans.__('Every check of a %1 cell, before it runs; nothing is asked, run or logged', '%%safestream'),
    isEnabled,
    execute: () => current()?.watch.details()
  });
  app.commands.addCommand(Ids.runDetached, {
    label: trans.__('Run This Cell Detached'),
    caption: trans.__('Add --no-wait to the first line of a %1 cell, and run it', '%%safestream'),
    isEnabled,
    execute: () => {
      const found = current();
      return found?.notebook.runDetached(found.watch.cell);
    }
  });
  app.contextMenu.addItem({ command: Ids.preflight, selector: '.sls-remote-cell', rank: 0.5 });
  app.contextMenu.addItem({ command: Ids.runDetached, selector: '.sls-remote-cell', rank: 0.6 });
}
