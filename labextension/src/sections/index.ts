/** The sections of the panel, in the order of their tabs. */

import type { Model } from '../core/model';
import type { SectionView } from '../core/section';
import { InboxSection } from './inbox';

export function makeSections(model: Model): SectionView[] {
  return [new InboxSection(model)];
}
