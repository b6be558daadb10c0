/** The menu of personas: who I am, be somebody else, a new one, what waits. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { MenuSvg } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import { UUID } from '@lumino/coreutils';
import { h } from '../core/dom';
import type { Model } from '../core/model';
import { become } from './persona';
import { newPersona } from '../sections/persona';
import { Ids, ISls } from './tokens';

let opened = ''; // what the menu that was opened last adds to its arguments, and nobody else knows

export const menuPlugin: JupyterFrontEndPlugin<void> = {
  id: 'sls-jupyter:personas',
  description: 'The menu of personas.',
  autoStart: true,
  requires: [ISls],
  optional: [INotebookTracker],
  activate: (app: JupyterFrontEnd, { model }: ISls, tracker: INotebookTracker | null): void => {
    const { commands } = app;
    const { trans } = model.host;
    commands.addCommand(Ids.personas, {
      label: trans.__('Persona…'),
      caption: trans.__('Who you are here; be somebody else'),
      execute: async () => {
        const pressed = document.activeElement;
        await model.refreshAbout(); // a kernel may have made one
        openMenu(commands, model, pressed);
      }
    });
    addPersonas(commands, model, tracker);
    addViews(commands, model);
  }
};

/** Be somebody else. */
function addPersonas(commands: CommandRegistry, model: Model, tracker: INotebookTracker | null): void {
  const { trans } = model.host;
  commands.addCommand(Ids.become, {
    label: ({ persona }) => (typeof persona === 'string' ? persona : trans.__('Be somebody else')),
    caption: trans.__('Use this page, and the notebook in front, as this persona'),
    isToggleable: true,
    isToggled: ({ persona }) => persona === model.persona,
    isVisible: ({ persona }) => typeof persona === 'string',
    execute: async ({ persona, menu }) => {
      // a link in a notebook can name a command and its arguments: a press on it is no choice of this
      const body = h('p', {}, trans.__('You are %1. Somebody or something asks that you be %2.', model.persona, String(persona)));
      const known = typeof persona === 'string' && model.about?.personas.includes(persona) === true && persona !== model.persona;
      if (known && ((menu === opened && opened !== '') || (await model.ask({ title: trans.__('Be %1?', persona), body, accept: trans.__('Be %1', persona) })))) {
        become(model, tracker, persona);
      }
    }
  });
  commands.addCommand(Ids.newPersona, {
    label: trans.__('New persona…'),
    caption: trans.__('Make keys for another name'),
    isEnabled: () => model.half === 'ready',
    execute: async () => {
      const name = await newPersona(model);
      if (name) {
        become(model, tracker, name);
      }
    }
  });
}

/** Who I am, and what waits: entries that open a section. */
function addViews(commands: CommandRegistry, model: Model): void {
  const { trans } = model.host;
  commands.addCommand('sls:me', {
    label: () => me(model),
    caption: () => model.status?.did ?? '',
    isEnabled: () => model.status !== null,
    execute: () => commands.execute(Ids.open, { section: 'people' })
  });
  commands.addCommand('sls:inbox', {
    label: () => {
      const waiting = model.status?.waiting ?? 0;
      return waiting > 0 ? trans._n('Open inbox (%1 waiting)', 'Open inbox (%1 waiting)', waiting, waiting) : trans.__('Open inbox');
    },
    caption: trans.__('Requests that wait for a decision, and those that were decided'),
    execute: () => commands.execute(Ids.open, { section: 'requests' })
  });
}

function me({ half, persona, status, host: { trans } }: Model): string {
  if (half === 'ready' && persona === '') {
    return trans.__('There is no persona yet.');
  }
  return status === null ? trans.__('The server half is not there.') : trans.__('You are %1 · %2', status.persona, status.short);
}

/** At what was pressed; else in the middle. */
function openMenu(commands: CommandRegistry, model: Model, pressed: Element | null): void {
  opened = UUID.uuid4();
  const menu = new MenuSvg({ commands });
  menu.addClass('sls-menu');
  menu.addItem({ command: 'sls:me' });
  menu.addItem({ type: 'separator' });
  for (const persona of model.about?.personas ?? []) {
    menu.addItem({ command: Ids.become, args: { persona, menu: opened } });
  }
  menu.addItem({ command: Ids.newPersona });
  menu.addItem({ type: 'separator' });
  menu.addItem({ command: 'sls:inbox' });
  const at = pressed?.matches('.sls-status, .sls-persona') ? pressed.getBoundingClientRect() : new DOMRect(innerWidth / 2, innerHeight / 3);
  menu.aboutToClose.connect(() => {
    if (pressed instanceof HTMLElement) {
      pressed.focus();
    }
    setTimeout(() => menu.dispose(), 0);
  });
  menu.open(at.left, at.bottom, { forceY: false });
  menu.activeIndex = 0;
}
