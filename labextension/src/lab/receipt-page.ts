/** One file and its verification, which is asked for anew when the file is another one. */

import { MainAreaWidget } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import type { Contents } from '@jupyterlab/services';
import { Widget } from '@lumino/widgets';
import { h, replace } from '../core/dom';
import { Emitter } from '../core/emitter';
import type { Model } from '../core/model';
import { refusal } from '../core/section';
import type { Verified } from '../core/types';
import { ReceiptView } from '../sections/receipt-view';
import { shieldIcon } from './icon';

export class ReceiptPage extends Widget {
  /** The server has looked at it. */
  readonly verified = new Emitter<Verified>();

  constructor(private readonly model: Model) {
    super();
    this.addClass('sls-host');
    this.addClass('sls-ui');
    this.addClass('sls-receipt-page');
    this.node.tabIndex = 0;
  }

  /** Verify a file by its bytes, in base64. */
  verify(path: string, base64: string): void {
    const data = Uint8Array.from(atob(base64), one => one.charCodeAt(0));
    const view = new ReceiptView(this.model, { name: PathExt.basename(path), data });
    view.verified.on(found => this.verified.emit(found));
    replace(this.node, view.node);
    void view.verify();
  }

  /** Verify a file as it lies on the server. */
  async read(path: string, contents: Contents.IManager): Promise<void> {
    const { trans } = this.model.host;
    replace(this.node, h('p', { class: 'sls-sub' }, trans.__('Reading %1 …', path)));
    try {
      const file = await contents.get(path, { type: 'file', format: 'base64', content: true });
      this.verify(path, String(file.content));
    } catch (error) {
      replace(this.node, refusal(error, trans.__('The file cannot be read.'), trans));
    }
  }

  protected override onActivateRequest(): void {
    this.node.focus();
  }
}

/** Of any file, beside whatever else shows it. */
export class Verification extends MainAreaWidget<ReceiptPage> {
  constructor(
    model: Model,
    readonly path: string
  ) {
    super({ content: new ReceiptPage(model) });
    const { trans } = model.host;
    this.id = `sls-verification-${path}`;
    this.title.label = trans.__('Verification of %1', PathExt.basename(path));
    this.title.caption = path;
    this.title.icon = shieldIcon;
    this.title.closable = true;
  }
}
