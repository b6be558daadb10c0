/** A request that waits now, and a run that has ended: said, with a way to look. Nothing is decided from here. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { isInSight } from './runcard';
import { Ids, ISls } from './tokens';

export const notifyPlugin: JupyterFrontEndPlugin<void> = {
  id: 'sls-jupyter:notify',
  description: 'Notifications of requests that wait and of runs that have ended.',
  autoStart: true,
  requires: [ISls],
  activate: ({ commands }: JupyterFrontEnd, { model, preferences }: ISls): void => {
    const { host } = model;
    const { trans } = host;
    model.told.on(({ type, id, words }) => {
      if (!preferences.notifications || !words) {
        return;
      }
      if (type === 'asked') {
        host.notify(words, { label: trans.__('Review'), run: () => void commands.execute(Ids.open, { section: 'requests', id }) });
      } else if (type === 'ended' && !isInSight(id)) {
        host.notify(words, { label: trans.__('Show'), run: () => void commands.execute(Ids.open, { section: 'runs', id }) });
      }
    });
  }
};
