/** JupyterLab, or Notebook, as the place that the panel stands in. */

import { Clipboard, Dialog, MainAreaWidget, Notification } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ToolbarButton } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import { h, replace } from '../core/dom';
import type { IDialog, IHost, INotebooks, ITranslate } from '../core/host';
import { saveFile } from '../core/save';
import { objection } from '../core/section';
import { shieldIcon } from './icon';

const STAYS_MS = 6000; // a sentence without a button

/** JupyterLab counts the number itself as the first argument; everywhere here it is given as the first one already. */
export function translate(bundle: TranslationBundle): ITranslate {
  return {
    __: (text, ...args) => bundle.__(text, ...args),
    _n: (one, many, n, ...[, ...others]) => bundle._n(one, many, n, ...others)
  };
}

/** `show` puts a widget into the main area; `notebooks` is left out where there are none. */
export function labHost(trans: ITranslate, show: (widget: Widget) => void, notebooks?: INotebooks): IHost {
  const settings = ServerConnection.makeSettings();
  const base = URLExt.join(settings.baseUrl, 'sls_jupyter/v1/');
  const host: IHost = {
    trans,
    request: (path, init) => ServerConnection.makeRequest(base + path, init, settings),
    ask: dialog => ask(dialog, trans),
    notify,
    copy: async text => Clipboard.copyToSystem(text),
    openDocument: (name, html) => show(documentWidget(name, html, trans)),
    saveFile: async (name, text) => saveFile(name, text)
  };
  return notebooks === undefined ? host : { ...host, notebooks };
}

/** A dialog that stays open, and says why, while `check` refuses. */
async function ask(asked: IDialog, trans: ITranslate): Promise<boolean> {
  const trouble = h('div', { role: 'alert' });
  const body = new Widget({ node: h('div', { class: 'sls-dialog' }, asked.body, trouble) });
  const accept = asked.warn ? Dialog.warnButton({ label: asked.accept }) : Dialog.okButton({ label: asked.accept });
  const dialog = new CheckedDialog(
    { title: asked.title, body, focusNodeSelector: '[data-autofocus]', buttons: [Dialog.cancelButton({ label: trans.__('Cancel') }), accept] },
    async () => {
      const why = await objection(asked, trans);
      replace(trouble, why);
      return why === null;
    }
  );
  dialog.addClass('sls-dialog-box');
  const { button } = await dialog.launch();
  return button.accept;
}

/** A dialog that says something and can be closed. */
export async function tell(title: string, body: HTMLElement, trans: ITranslate): Promise<void> {
  const widget = new Widget({ node: h('div', { class: 'sls-dialog', tabindex: 0, 'data-autofocus': true }, body) });
  const dialog = new Dialog({ title, body: widget, focusNodeSelector: '[data-autofocus]', buttons: [Dialog.okButton({ label: trans.__('Close') })] });
  dialog.addClass('sls-dialog-box');
  await dialog.launch();
}

/** JupyterLab's dialog, which closes at once; this one asks before it closes as accepted. */
class CheckedDialog extends Dialog<unknown> {
  private checking = false;

  constructor(
    options: Partial<Dialog.IOptions<unknown>> & { readonly buttons: readonly Dialog.IButton[] },
    private readonly check: () => Promise<boolean>
  ) {
    super(options);
    this.accepting = options.buttons.findIndex(one => one.accept);
  }

  private readonly accepting: number;

  override resolve(index?: number): void {
    const at = index ?? this.accepting;
    if (at !== this.accepting) {
      super.resolve(at);
      return;
    }
    if (this.checking) {
      return;
    }
    this.checking = true;
    this.node.setAttribute('aria-busy', 'true');
    void this.check()
      .then(fine => fine && super.resolve(at))
      .finally(() => {
        this.checking = false;
        this.node.removeAttribute('aria-busy');
      });
  }
}

function notify(words: string, action?: { readonly label: string; readonly run: () => void }): void {
  if (action === undefined) {
    Notification.emit(words, 'info', { autoClose: STAYS_MS });
    return;
  }
  Notification.emit(words, 'info', { autoClose: false, actions: [{ label: action.label, callback: action.run, displayType: 'accent' }] });
}

/** A page in a frame that runs no script and loads nothing. */
function documentWidget(name: string, html: string, trans: ITranslate): MainAreaWidget {
  const frame = h('iframe', { title: name, sandbox: 'allow-same-origin allow-modals', class: 'sls-document' });
  frame.srcdoc = html;
  const content = new Widget();
  content.addClass('sls-document-box');
  content.node.append(frame);
  const widget = new MainAreaWidget({ content });
  widget.title.label = name;
  widget.title.icon = shieldIcon;
  widget.title.closable = true;
  const print = new ToolbarButton({ label: trans.__('Print'), onClick: () => frame.contentWindow?.print() });
  widget.toolbar.addItem('print', print);
  return widget;
}
