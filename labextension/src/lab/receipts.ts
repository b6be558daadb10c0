/** Receipts as documents: a file by its name, and what it is by what the server finds in it. */

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { WidgetTracker } from '@jupyterlab/apputils';
import { ABCWidgetFactory, Base64ModelFactory, DocumentWidget, type DocumentRegistry } from '@jupyterlab/docregistry';
import { ToolbarButton } from '@jupyterlab/ui-components';
import type { ITranslate } from '../core/host';
import type { Model } from '../core/model';
import { shieldIcon } from './icon';
import { ReceiptPage, Verification } from './receipt-page';
import { Ids, ISls } from './tokens';

const FACTORY = 'SafeStreams receipt';
const FILE_TYPE = 'sls-receipt';
const PATTERN = '^receipt-.*\\.json$';

class ReceiptFactory extends ABCWidgetFactory<DocumentWidget<ReceiptPage>> {
  constructor(
    private readonly model: Model,
    private readonly trans: ITranslate,
    private readonly openAsText: (path: string) => void
  ) {
    super({
      name: FACTORY,
      label: trans.__('SafeStreams Receipt'),
      modelName: 'base64', // the bytes of the file, as they are
      fileTypes: [FILE_TYPE, 'json'],
      defaultFor: [FILE_TYPE],
      readOnly: true
    });
  }

  protected override createNewWidget(context: DocumentRegistry.Context): DocumentWidget<ReceiptPage> {
    const content = new ReceiptPage(this.model);
    const widget = new DocumentWidget({ content, context });
    const text = () => {
      this.openAsText(context.path);
      widget.close();
    };
    content.verified.on(found => found.kind === 'other' && text()); // a name alone makes no receipt
    const verify = () => content.verify(context.path, context.model.toString());
    void context.ready.then(() => {
      context.model.contentChanged.connect(verify);
      verify();
    });
    content.disposed.connect(() => context.model?.contentChanged.disconnect(verify));
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
    addFileType(app, model, restorer);
    addCommand(app, model, restorer);
  }
};

function addFileType({ commands, docRegistry }: JupyterFrontEnd, model: Model, restorer: ILayoutRestorer | null): void {
  const { trans } = model.host;
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
  const openAsText = (path: string) => {
    const found = docRegistry.preferredWidgetFactories(path).find(one => one.name !== FACTORY);
    void commands.execute('docmanager:open', { path, factory: found?.name ?? 'Editor' });
  };
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
}

/** Any file is verified beside what else shows it: a notebook that is verified can still be opened. */
function addCommand({ commands, serviceManager, shell }: JupyterFrontEnd, model: Model, restorer: ILayoutRestorer | null): void {
  const { trans } = model.host;
  const tracker = new WidgetTracker<Verification>({ namespace: 'sls-verifications' });
  commands.addCommand(Ids.verify, {
    label: trans.__('Verify…'),
    caption: trans.__('Verify a receipt, evidence of a TEE, or a notebook that was run'),
    icon: shieldIcon,
    describedBy: { args: { type: 'object', properties: { path: { type: 'string', description: 'a file; without it the section of receipts is opened' } } } },
    execute: ({ path }) => {
      if (typeof path !== 'string') {
        return commands.execute(Ids.open, { section: 'receipts' });
      }
      let widget = tracker.find(one => one.path === path);
      if (widget === undefined) {
        widget = new Verification(model, path);
        void tracker.add(widget);
        shell.add(widget, 'main');
      }
      shell.activateById(widget.id);
      void widget.content.read(path, serviceManager.contents);
      return undefined;
    }
  });
  void restorer?.restore(tracker, { command: Ids.verify, args: widget => ({ path: widget.path }), name: widget => widget.path });
}
