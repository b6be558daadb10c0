/** The state that all views share, made once for a page. */

import { ILabShell, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Model } from '../core/model';
import { VERSION } from '../version';
import { labHost, translate } from './host';
import { LabNotebooks } from './notebooks';
import { begin } from './persona';
import { Preferences } from './preferences';
import { ISls } from './tokens';

export const modelPlugin: JupyterFrontEndPlugin<ISls> = {
  id: 'sls-jupyter:model',
  description: 'What the views of sls_jupyter share: the persona, the server half, and what changes.',
  autoStart: true,
  provides: ISls,
  optional: [ITranslator, INotebookTracker, ISettingRegistry, IStateDB, ILabShell],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    tracker: INotebookTracker | null,
    registry: ISettingRegistry | null,
    state: IStateDB | null
  ): ISls => {
    const trans = translate((translator ?? nullTranslator).load('sls_jupyter'));
    const activate = (id: string) => app.shell.activateById(id);
    const show = (widget: { id: string }) => activate(widget.id);
    const host = labHost(
      trans,
      widget => {
        app.shell.add(widget, 'main');
        show(widget);
      },
      tracker === null ? undefined : new LabNotebooks(tracker, activate)
    );
    const model = new Model(host, VERSION);
    const preferences = new Preferences();
    if (registry !== null) {
      preferences.load(registry).catch(error => console.error('The settings of sls_jupyter cannot be read.', error));
    }
    void app.restored.then(() => begin(model, tracker, state));
    return { model, preferences };
  }
};
