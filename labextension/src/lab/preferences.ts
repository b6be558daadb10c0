/** The settings of `schema/panel.json`, with their defaults where there is no registry of settings. */

import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Emitter } from '../core/emitter';

const PLUGIN = 'sls-jupyter:panel';

export class Preferences {
  readonly changed = new Emitter<void>();
  /** Say beneath a cell what would happen to it. */
  preflight = true;
  /** Milliseconds after typing has ended. */
  delay = 500;
  notifications = true;

  async load(registry: ISettingRegistry): Promise<void> {
    const settings = await registry.load(PLUGIN);
    const take = () => {
      const { preflight, preflightDelay, notifications } = settings.composite;
      this.preflight = preflight !== false;
      this.delay = typeof preflightDelay === 'number' ? preflightDelay : 500;
      this.notifications = notifications !== false;
      this.changed.emit();
    };
    settings.changed.connect(take);
    take();
  }
}
