/** Receipts as documents: a file by its name, and what it is by what the server finds in it. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { WidgetTracker } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { ABCWidgetFactory, Base64ModelFactory, DocumentWidget, type DocumentRegistry } from '@jupyterlab/docregistry';
import { ToolbarButton } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import { replace } from '../core/dom';
import type { ITranslate } from '../core/host';
import type { Model } from '../core/model';
import { ReceiptView } from '../sections/receipt-view';
import { shieldIcon } from './icon';
import { Ids, ISls } from './tokens';

const FACTORY = 'SafeStreams verification';
const FILE_TYPE = 'sls-receipt';
const PATTERN = '^receipt-.*\\.json$';

/** One file and its verification, which is asked for anew when the file is another one. */
class ReceiptPage extends Widget {
  constructor(
    private readonly context: DocumentRegistry.Context,
    private readonly model: Model,
    /** The server says that it is none of ours. */
    private readonly other: () => void
  ) {
    super();
    this.addClass('sls-host');
    this.addClass('sls-ui');
    this.addClass('sls-receipt-page');
    this.node.tabIndex = 0;
    void context.ready.then(() => {
      context.model.contentChanged.connect(this.verify, this);
      this.verify();
    });
  }

  override dispose(): void {
    this.context.model?.contentChanged.disconnect(this.verify, this);
    super.dispose();
  }

  private verify(): void {
    const data = Uint8Array.from(atob(this.context.model.toString()), one => one.charCodeAt(0));
    const view = new ReceiptView(this.model, { name: PathExt.basename(this.context.path), data });
    view.verified.on(found => found.kind === 'other' && this.other());
    replace(this.node, view.node);
    void view.verify();
  }
}

class ReceiptFactory extends ABCWidgetFactory<DocumentWidget<ReceiptPage>> {
  /** Files that somebody wanted verified whatever they are. */
  readonly asked = new Set<string>();

  constructor(
    private readonly model: Model,
    private readonly trans: ITranslate,
    private readonly openAsText: (path: string) => void
  ) {
    super({
      name: FACTORY,
      label: trans.__('SafeStreams Verification'),
      modelName: 'base64', // the bytes of the file, as they are
      fileTypes: [FILE_TYPE, 'json', 'notebook'],
      defaultFor: [FILE_TYPE],
      readOnly: true
    });
  }

  protected override createNewWidget(context: DocumentRegistry.Context): DocumentWidget<ReceiptPage> {
    const text = () => {
      this.openAsText(context.path);
      widget.close();
    };
    const other = () => !this.asked.has(context.path) && text();
    const widget = new DocumentWidget({ content: new ReceiptPage(context, this.model, other), context });
    widget.title.icon = shieldIcon;
    widget.toolbar.addItem('text', new ToolbarButton({ label: this.trans.__('Open as text'), onClick: text }));
    return widget;
  }
}

export const receiptsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'sls-jupyter:receipts',
  description: 'A receipt opens as what it proves, verified by the server.',
  autoStart: true,
  requires: [ISls],
  optional: [ILayoutRestorer],
  activate: (app: JupyterFrontEnd, { model }: ISls, restorer: ILayoutRestorer | null): void => {
    const { commands, docRegistry } = app;
    const { trans } = model.host;
    const openAsText = (path: string) => {
      const found = docRegistry.preferredWidgetFactories(path).find(one => one.name !== FACTORY);
      void commands.execute('docmanager:open', { path, factory: found?.name ?? 'Editor' });
    };
    docRegistry.addFileType({
      name: FILE_TYPE,
      displayName: trans.__('SafeStreams receipt'),
      pattern: PATTERN,
      extensions: [],
      mimeTypes: ['application/json'],
      contentType: 'file',
      fileFormat: 'text',
      icon: shieldIcon
    });
    if (![...docRegistry.modelFactories()].some(one => one.name === 'base64')) {
      docRegistry.addModelFactory(new Base64ModelFactory());
    }
    const factory = new ReceiptFactory(model, trans, openAsText);
    docRegistry.addWidgetFactory(factory as DocumentRegistry.WidgetFactory); // its optional fields are typed otherwise
    const tracker = new WidgetTracker<DocumentWidget<ReceiptPage>>({ namespace: 'sls-receipts' });
    factory.widgetCreated.connect((_, widget) => {
      void tracker.add(widget);
      widget.context.pathChanged.connect(() => void tracker.save(widget));
    });
    void restorer?.restore(tracker, {
      command: 'docmanager:open',
      args: widget => ({ path: widget.context.path, factory: FACTORY }),
      name: widget => widget.context.path
    });
    commands.addCommand(Ids.verify, {
      label: trans.__('Verify…'),
      caption: trans.__('Verify a receipt, evidence of a TEE, or a notebook that was run'),
      icon: shieldIcon,
      isEnabled: () => commands.hasCommand('docmanager:open'),
      execute: async ({ path }) => {
        if (typeof path !== 'string') {
          return commands.execute(Ids.open, { section: 'receipts' });
        }
        factory.asked.add(path);
        return commands.execute('docmanager:open', { path, factory: FACTORY });
      }
    });
  }
};
