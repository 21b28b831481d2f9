//! What the suite asks beside what reclaim asks.

use super::tables::{Reverse, address};
use super::{Fault, Frame, Injected, Mapping, Page, Pager, Pte};
use core::cell::Cell;
use pinfold::conformance::{Act, NewPage, SeenPage, TestLists, Whereabouts};
use pinfold::invariants::{EntryAt, EntryKind};
use pinfold::pin::{PIN_BIAS, PinKind};
use pinfold::reclaim::Lru;
use pinfold::{Attempt, PageFlags, PageLike, PteFlags};
use std::rc::Rc;

impl TestLists for Pager {
    type Rmap<'a> = Reverse<'a>;
    const MIGRATES: bool = true;

    fn rmap<'a>(&'a mut self, page: &Page) -> Reverse<'a> {
        Reverse::new(self, page)
    }

    fn end_migration(&mut self, page: &Page) {
        for mapping in &page.mappings {
            if let Pte::Migration(bits) = mapping.pte.get() {
                if self.is(Fault::MigrationEntryForgotten) {
                    return;
                }
                mapping.pte.set(Pte::Present(bits));
                page.maps.set(page.maps.get() + 1);
                page.get_refs(1);
            }
        }
    }

    fn add(&mut self, id: usize, page: &NewPage<'_>) -> Attempt {
        assert_eq!(id, self.pages.len());
        let mapping = |&(vma, flags): &_| Mapping {
            vma,
            pte: Cell::new(Pte::Present(flags)),
        };
        let dirty = page.flags.contains(PageFlags::DIRTY);
        let maps = match page.mappings.len() {
            more if self.is(Fault::MappingUncounted) => more.min(1),
            maps => maps,
        };
        let frame = Frame {
            id,
            exact: self.config.exact,
            hides_pins: self.is(Fault::PinMissedInWalk),
            flags: Cell::new(page.flags),
            refs: Cell::new(0),
            maps: Cell::new(maps as u32),
            short: Cell::new(0),
            longterm: Cell::new(0),
            hidden: Cell::new(0),
            locked: Cell::new(false),
            writing: Cell::new(false),
            dma_wrote: Cell::new(false),
            data: Cell::new(page.content),
            file: Cell::new(if dirty { 0 } else { page.content }),
            mappings: page.mappings.iter().map(mapping).collect(),
            stale: Cell::new([0, 0]),
        };
        frame.get_refs(frame.maps.get() as i32);
        frame.get_refs(i32::from(frame.cached()) + i32::from(frame.has(PageFlags::PRIVATE)));
        self.pages.push(Page(Rc::new(frame)));
        self.lists[Lru::of(page.flags) as usize].push_back(id);
        Attempt::Done
    }

    fn id(&self, page: &Page) -> usize {
        page.id
    }

    fn see(&self, id: usize) -> SeenPage {
        let page = &self.pages[id];
        let whereabouts = self.whereabouts(id);
        let entry = |mapping: &Mapping| match mapping.pte.get() {
            Pte::Swap(slot, _) => Some(slot),
            _ => None,
        };
        let swapped = page.mappings.iter().find_map(entry);
        let slot = self.slot_of(id).or(swapped).map(|at| self.slots[at]);
        let in_memory = whereabouts != Whereabouts::Free && page.refs.get() > 0;
        SeenPage {
            whereabouts,
            flags: page.flags(),
            refs: page.ref_count(),
            maps: page.map_count(),
            locked: page.locked.get(),
            writing: page.writing.get(),
            stale: page.stale(),
            content: match slot {
                _ if in_memory => page.data.get(),
                Some(slot) => slot.map_or(0, |slot| slot.data),
                None if !page.has(PageFlags::ANON) => page.file.get(),
                None => 0,
            },
            slot: slot.flatten().map(|slot| slot.users),
        }
    }

    fn entry(&self, id: usize, at: usize) -> Option<EntryAt> {
        let mapping = self.pages[id].mappings.get(at)?;
        let (kind, flags) = match mapping.pte.get() {
            Pte::Empty => (EntryKind::Empty, PteFlags::empty()),
            Pte::Present(flags) => (EntryKind::Present, flags),
            Pte::Swap(_, flags) => (EntryKind::Swap, flags),
            Pte::Migration(flags) => (EntryKind::Migration, flags),
        };
        Some(EntryAt {
            address: address(at),
            kind,
            flags,
            vma: mapping.vma,
        })
    }

    fn act(&mut self, id: usize, act: Act) -> Attempt {
        let page = self.pages[id].clone();
        match act {
            Act::Pin(kind) => {
                let pinned = page.pin(kind);
                if self.is(Fault::LongtermPinMissed) && kind == PinKind::Longterm {
                    page.hidden.set(page.hidden.get() + 1);
                }
                let reference = i32::from(self.is(Fault::PinWithoutReference));
                page.get_refs(-reference);
                pinned
            }
            Act::Unpin(kind) => {
                self.unpin(&page, kind);
                Attempt::Done
            }
            Act::DmaWrite(content) => {
                page.data.set(content);
                page.dma_wrote.set(true);
                Attempt::Done
            }
            Act::Store(at, content) => store(&page, at, content),
            Act::Hold if page.refs.get() > 0 => {
                page.get_refs(1);
                Attempt::Done
            }
            Act::Hold => Attempt::Refused,
            Act::Release => {
                if page.put_refs(1) {
                    self.last_is_gone(id);
                }
                Attempt::Done
            }
            Act::Lock if page.locked.get() => Attempt::Refused,
            Act::Lock | Act::Unlock => {
                page.locked.set(act == Act::Lock);
                Attempt::Done
            }
            Act::EndWriteback if page.writing.replace(false) => {
                page.set(PageFlags::WRITEBACK | PageFlags::RECLAIM, false);
                Attempt::Done
            }
            Act::EndWriteback => Attempt::Refused,
        }
    }

    fn pin_in_walk(page: &Page, kind: PinKind) -> Attempt {
        if page.hides_pins {
            page.hidden.set(page.hidden.get() + 1);
        }
        page.pin(kind)
    }

    fn injected() -> Option<Injected> {
        Some(Injected)
    }

    fn refs_per_pin(&self) -> u32 {
        if self.config.exact { 1 } else { PIN_BIAS }
    }

    fn slots_in_use(&self) -> Option<u32> {
        Some(self.slots.iter().flatten().count() as u32)
    }
}

impl Pager {
    fn unpin(&mut self, page: &Page, kind: PinKind) {
        page.pins(kind).set(page.pins(kind).get() - 1);
        let pins = page.short.get() + page.longterm.get();
        page.hidden.set(page.hidden.get().min(pins));
        if page.dma_wrote.get() && !self.is(Fault::DmaWriteNotDirty) {
            page.set(PageFlags::DIRTY, true);
        }
        if !page.is_pinned() {
            page.dma_wrote.set(false);
        }
        if page.put_refs(page.per_pin()) {
            self.last_is_gone(page.id);
        }
        if !page.is_pinned() && self.config.exact && self.parked.contains(&page.id) {
            self.parked.retain(|&id| id != page.id);
            if !self.is(Fault::UnparkedLost) {
                self.lists[Lru::of(page.flags()) as usize].push_back(page.id);
            }
        }
    }
}

fn store(page: &Page, at: usize, content: u64) -> Attempt {
    let Some(mapping) = page.mappings.get(at) else {
        return Attempt::Refused;
    };
    match mapping.pte.get() {
        Pte::Present(flags) if flags.contains(PteFlags::WRITABLE) => {
            let used = flags | PteFlags::DIRTY | PteFlags::YOUNG;
            mapping.pte.set(Pte::Present(used));
            page.data.set(content);
            Attempt::Done
        }
        _ => Attempt::Refused,
    }
}
