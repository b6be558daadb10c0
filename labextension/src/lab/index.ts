/** The plugins of JupyterLab and Notebook. */

import { cellsPlugin } from './cells';
import { menuPlugin } from './menu';
import { modelPlugin } from './model';
import { panelPlugin } from './panel';
import { statusPlugin } from './status';

export default [modelPlugin, panelPlugin, statusPlugin, menuPlugin, cellsPlugin];
