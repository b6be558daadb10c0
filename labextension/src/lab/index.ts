/** The plugins of JupyterLab and Notebook. */

import { cellsPlugin } from './cells';
import { commandsPlugin } from './commands';
import { lspPlugin } from './lsp';
import { menuPlugin } from './menu';
import { modelPlugin } from './model';
import { notifyPlugin } from './notify';
import { panelPlugin } from './panel';
import { receiptsPlugin } from './receipts';
import { runsPlugin } from './runcard';
import { statusPlugin } from './status';

export default [modelPlugin, panelPlugin, statusPlugin, menuPlugin, notifyPlugin, receiptsPlugin, cellsPlugin, runsPlugin, commandsPlugin, lspPlugin];
