/** The sections of the panel, in the order of their tabs. */

import type { Model } from '../core/model';
import type { SectionView } from '../core/section';
import { AssetsSection } from './assets';
import { InboxSection } from './inbox';
import { PeopleSection } from './people';
import { ReceiptsSection } from './receipts';
import { RunsSection } from './runs';

export function makeSections(model: Model): SectionView[] {
  return [new InboxSection(model), new RunsSection(model), new AssetsSection(model), new ReceiptsSection(model), new PeopleSection(model)];
}
