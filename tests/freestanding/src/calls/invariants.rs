//! The invariants, on any two snapshots.

use super::embedder::{Any, AnyPage, AnyPolicy};
use super::text::{debug, error};
use crate::{hidden, keep, opaque};
use pinfold::invariants::{
    self, Broken, Counted, Ending, EntryAt, EntryKind, Snapshot, Walk, WalkCounts, WalkEnd,
    WalkRequest,
};
use pinfold::{
    FlushDebt, IgnorePins, PinPolicy, PlainVma, SkipLongterm, SkipOpportunistic, SkipPinned,
    UnmapRequest, try_to_unmap, try_to_unmap_one,
};

pub fn call() {
    policies();
    let (before, after) = (opaque::<[EntryAt; 3]>(), opaque::<[EntryAt; 3]>());
    let (before, after) = (hidden(&before[..]), hidden(&after[..]));
    walks(&walk(before, after), &walk(after, before));
    endings();
    keep(invariants::reading(opaque(), opaque()));
    keep(invariants::refined_reading(opaque(), opaque(), opaque()));
    texts(before);
}

super::values::opaque_enum!(EntryKind:
    EntryKind::Present, EntryKind::Empty, EntryKind::Swap, EntryKind::Migration,
    EntryKind::Poison);
super::values::opaque_struct!(EntryAt {
    address,
    kind,
    flags,
    vma
});
super::values::opaque_struct!(WalkCounts {
    counters,
    removed,
    swap_dups,
    swap_frees,
    flushed,
    deferred,
    begins,
    ends,
    invalidates,
    unshares,
    others,
});
super::values::opaque_enum!(Counted: Counted::Nothing, Counted::Longterm, Counted::Any);
super::values::opaque_enum!(WalkEnd:
    WalkEnd::InVma(opaque()), WalkEnd::InAll(opaque()), WalkEnd::Failed);

fn policies() {
    policy(&IgnorePins);
    policy(&SkipPinned);
    policy::<SkipOpportunistic>(&SkipOpportunistic::new());
    policy::<SkipLongterm>(&SkipLongterm::new());
    policy(&AnyPolicy::<true>);
    policy(&AnyPolicy::<false>);
}

fn policy<L: PinPolicy>(policy: &L) {
    keep(invariants::policy(policy));
    keep(Counted::by(policy, opaque(), opaque()));
    debug::<WalkRequest>(&WalkRequest::new(opaque(), policy, opaque()));
}

fn snapshot(entries: &[EntryAt]) -> Snapshot<'_> {
    Snapshot {
        page: opaque(),
        refs: opaque(),
        maps: opaque(),
        pins: opaque(),
        longterm: opaque(),
        entries,
        books: opaque(),
    }
}

fn walk<'a>(before: &'a [EntryAt], after: &'a [EntryAt]) -> Walk<'a> {
    Walk {
        asked: WalkRequest::new(opaque(), &AnyPolicy::<true>, opaque()),
        before: snapshot(before),
        after: snapshot(after),
        ending: Ending {
            how: opaque(),
            deferred: opaque(),
            deferred_dirty: opaque(),
        },
        pin_appeared: opaque(),
    }
}

fn walks(one: &Walk<'_>, other: &Walk<'_>) {
    let (one, other) = (hidden(one), hidden(other));
    keep(invariants::walk(one));
    keep(invariants::pinned_stays(one));
    keep(invariants::second_look(one));
    keep(invariants::skip_touches_nothing(one));
    keep(invariants::mlocked_stays(one));
    keep(invariants::nothing_lost(one));
    keep(invariants::in_place(one));
    keep(invariants::bits_carried(one));
    keep(invariants::dirty_kept(one));
    keep(invariants::slots(one));
    keep(invariants::counters(one));
    keep(invariants::flushes(one));
    keep(invariants::notifier(one));
    keep(invariants::alike(one, other));
    keep(invariants::monotone(one, other));
    keep(WalkRequest::counted(&one.asked, opaque()));
    debug::<Walk<'_>>(one);
}

fn endings() {
    debug::<Ending>(&Ending::new(opaque()));
    let Ok(request) = UnmapRequest::new(opaque()) else {
        return;
    };
    let (page, vma) = (opaque::<AnyPage>(), opaque::<PlainVma>());
    let mut debt = hidden(FlushDebt::none());
    let result = try_to_unmap_one(&page, &vma, opaque(), &request, &mut Any, &mut debt);
    keep(Ending::of_walk(&result, &debt));
    let result = try_to_unmap(&page, &request, &mut Any, &mut debt);
    keep(Ending::of_all(&result, &debt));
}

super::values::opaque_enum!(Broken:
    Broken::NotRebuilt,
    Broken::EntriesMismatch { before: opaque(), after: opaque() },
    Broken::PinnedUnmapped { pins: opaque(), taken: opaque(), address: opaque() },
    Broken::PinAppearedUnmapped { address: opaque() },
    Broken::SkipTouched { what: hidden("it") },
    Broken::SkipBecameUnmap { taken: opaque() },
    Broken::Unlike { what: hidden("it") },
    Broken::MlockedTaken { address: opaque() },
    Broken::MapsLost { fell: opaque(), taken: opaque() },
    Broken::RefsLost { fell: opaque(), taken: opaque() },
    Broken::RmapsLost { removed: opaque(), taken: opaque() },
    Broken::EntryChanged { address: opaque() },
    Broken::BitsNotCarried { address: opaque(), had: opaque(), has: opaque() },
    Broken::DirtyLost { address: opaque() },
    Broken::SlotsLost { held: opaque(), installed: opaque() },
    Broken::ResidentLost { change: opaque(), taken: opaque() },
    Broken::SwapEntsLost { change: opaque(), installed: opaque() },
    Broken::DeferredUnasked { deferred: opaque() },
    Broken::DebtForgotten { deferred: opaque(), debt: opaque() },
    Broken::FlushMissing { gone: opaque(), flushes: opaque() },
    Broken::DirtyDebtForgotten { address: opaque() },
    Broken::NotifierUnpaired { begins: opaque(), ends: opaque() },
    Broken::UnsharedNotInvalidated { unshares: opaque(), invalidates: opaque() },
    Broken::PinMissed { truth: opaque(), read: opaque() },
    Broken::PinMiscounted { truth: opaque(), read: opaque() },
    Broken::PinInvented { unexplained: opaque(), read: opaque() },
    Broken::PolicyStopsUnpinned { operation: opaque() },
    Broken::PolicyGivesBack { operation: opaque(), fewer: opaque(), more: opaque() },
    Broken::PolicyNextVma { operation: opaque() },
    Broken::PolicyUnread { operation: opaque() },
    Broken::PageDisagrees { what: hidden("it"), expected: opaque(), found: opaque() });

fn texts(entries: &[EntryAt]) {
    keep(WalkCounts::plus(opaque(), opaque()));
    keep(Counted::of(opaque(), &snapshot(entries)));
    keep(WalkEnd::is_skip(opaque()));
    keep(WalkEnd::is_pin_skip(opaque()));
    error::<Broken>(&opaque());
    debug::<EntryKind>(&opaque());
    debug::<EntryAt>(&opaque());
    debug::<WalkCounts>(&opaque());
    debug::<Snapshot<'_>>(&snapshot(entries));
    debug::<Counted>(&opaque());
    debug::<WalkEnd>(&opaque());
}
