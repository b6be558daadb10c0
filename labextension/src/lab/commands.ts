/** Everything that can be done, where one looks for it: palette, launcher, context menus. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import type { Model } from '../core/model';
import { sealDialog } from '../sections/seal-dialog';
import { shieldIcon } from './icon';
import { Ids, ISls } from './tokens';

const CATEGORY = 'SafeStreams';
const DATA = ['.csv', '.parquet', '.json', '.xlsx', '.arrow', '.feather'];
const DOCUMENTS = ['json', 'notebook', 'sls-receipt'];
const PALETTE = [Ids.open, Ids.openMain, Ids.seal, Ids.verify, Ids.verifyNotebook, Ids.insert, Ids.personas, Ids.newPersona];

export const commandsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'sls-jupyter:commands',
  description: 'Entries of the palette, the launcher and the context menus.',
  autoStart: true,
  requires: [ISls],
  optional: [ICommandPalette, ILauncher, IFileBrowserFactory, INotebookTracker],
  activate: (
    app: JupyterFrontEnd,
    { model }: ISls,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    browsers: IFileBrowserFactory | null,
    tracker: INotebookTracker | null
  ): void => {
    addFileCommands(app, model, browsers, tracker);
    addNotebookCommands(app, model, tracker);
    for (const command of [...addSectionCommands(app, model), ...PALETTE]) {
      palette?.addItem({ command, category: CATEGORY, args: { isPalette: true } });
    }
    launcher?.add({ command: Ids.openMain, category: CATEGORY, rank: 1 });
    launcher?.add({ command: Ids.verify, category: CATEGORY, rank: 2 });
  }
};

/** What is done with files, and their entries in the file browser. */
function addFileCommands({ commands, contextMenu }: JupyterFrontEnd, model: Model, browsers: IFileBrowserFactory | null, tracker: INotebookTracker | null): void {
  const { trans } = model.host;
  const chosen = () => [...(browsers?.tracker.currentWidget?.selectedItems() ?? [])].filter(one => one.type !== 'directory').map(one => one.path);
  const data = () => chosen().filter(path => DATA.includes(PathExt.extname(path).toLowerCase()));
  const seal = {
    label: trans.__('Seal with SafeStream…'),
    caption: trans.__('Write the %seal cell for this file, with its policy; nothing is sealed before you run it'),
    icon: shieldIcon,
    isEnabled: () => model.half === 'ready'
  };
  commands.addCommand(Ids.seal, {
    ...seal,
    execute: ({ path }) => sealDialog(model, typeof path === 'string' ? sealStart(path, tracker) : {})
  });
  commands.addCommand(Ids.sealChosen, {
    ...seal,
    isVisible: () => data().length > 0,
    execute: async () => {
      for (const path of data()) {
        await commands.execute(Ids.seal, { path });
      }
    }
  });
  commands.addCommand(Ids.verifyChosen, {
    label: trans.__('Verify…'),
    caption: trans.__('Verify a receipt, evidence of a TEE, or a notebook that was run'),
    icon: shieldIcon,
    execute: async () => {
      for (const path of chosen()) {
        await commands.execute(Ids.verify, { path });
      }
    }
  });
  const item = '.jp-DirListing-item[data-isdir="false"]';
  contextMenu.addItem({ command: Ids.sealChosen, selector: item, rank: 20 });
  for (const type of DOCUMENTS) {
    contextMenu.addItem({ command: Ids.verifyChosen, selector: `${item}[data-file-type="${type}"]`, rank: 21 });
  }
}

/** What is done with the notebook in front. */
function addNotebookCommands({ commands, contextMenu }: JupyterFrontEnd, model: Model, tracker: INotebookTracker | null): void {
  const { trans } = model.host;
  const isEnabled = () => tracker?.currentWidget != null;
  commands.addCommand(Ids.verifyNotebook, {
    label: trans.__('Verify This Notebook…'),
    caption: trans.__('Verify the runs of the notebook as it was saved last'),
    icon: shieldIcon,
    isEnabled,
    execute: () => commands.execute(Ids.verify, { path: tracker?.currentWidget?.context.path ?? '' })
  });
  commands.addCommand(Ids.insert, {
    label: trans.__('Insert SafeStream Cell…'),
    caption: trans.__('Choose an asset; a %1 cell for it is put below the active cell', '%%safestream'),
    icon: shieldIcon,
    isEnabled,
    execute: () => commands.execute(Ids.open, { section: 'assets' })
  });
  contextMenu.addItem({ command: Ids.insert, selector: '.jp-Notebook .jp-Cell', rank: 9.5 });
  contextMenu.addItem({ command: Ids.verifyNotebook, selector: '.jp-Notebook', rank: 9.6 });
}

/** A command for each section of the panel; their names. */
function addSectionCommands({ commands }: JupyterFrontEnd, model: Model): readonly string[] {
  const { trans } = model.host;
  const sections = { requests: trans.__('Inbox'), runs: trans.__('Runs'), assets: trans.__('Assets'), receipts: trans.__('Receipts'), people: trans.__('People') };
  return Object.entries(sections).map(([section, words]) => {
    const command = `sls:open-${section}`;
    commands.addCommand(command, {
      label: trans.__('Open SafeStreams: %1', words),
      caption: trans.__('Show this section of the panel'),
      execute: () => commands.execute(Ids.open, { section })
    });
    return command;
  });
}

/** A file by its way from the notebook in front, whose kernel will read it; an asset's name from the file's. */
function sealStart(path: string, tracker: INotebookTracker | null): { file: string; name: string } {
  const notebook = tracker?.currentWidget?.context.path;
  const file = notebook === undefined ? path : PathExt.relative(PathExt.dirname(notebook), path);
  const stem = PathExt.basename(path, PathExt.extname(path));
  return { file, name: stem.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '') };
}
