/** What the plugins of this bundle give each other, and the names of the commands between them. */

import { Token } from '@lumino/coreutils';
import type { Model } from '../core/model';
import type { Preferences } from './preferences';

export interface ISls {
  readonly model: Model;
  readonly preferences: Preferences;
}

export const ISls = new Token<ISls>('sls-jupyter:ISls', 'The state that the views of sls_jupyter share.');

export const Ids = {
  panel: 'sls-panel',
  main: 'sls-panel-main',
  become: 'sls:become',
  insert: 'sls:insert-cell',
  newPersona: 'sls:new-persona',
  open: 'sls:open',
  openMain: 'sls:open-main',
  personas: 'sls:personas',
  preflight: 'sls:preflight',
  runDetached: 'sls:run-detached',
  seal: 'sls:seal',
  sealChosen: 'sls:seal-chosen',
  verify: 'sls:verify',
  verifyChosen: 'sls:verify-chosen',
  verifyNotebook: 'sls:verify-notebook'
} as const;
