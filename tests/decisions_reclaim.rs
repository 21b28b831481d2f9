//! The decisions of `reclaim::decide` against rules written apart from them, over all states.
//!
//! A rule here is a list of cases, the first that fits wins, each in the words of Linux's source.
//! Every function is asked about all combinations of the flags that its rule names, with all other
//! flags clear and with all of them set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::cell::Cell;
use core::convert::Infallible;
use pinfold::reclaim::decide::{
    Backing, Dirty, Referenced, References, ScanFlags, UnderWriteback, backing, dirty, entrance,
    leave, references, under_writeback,
};
use pinfold::reclaim::{
    ActivateReason, Fate, KeepReason, Lists, Lru, LruScan, PageOps, Removal, ScanControl,
};
use pinfold::{
    Attempt, FlushDebt, Outcome, PageFlags, PinPolicy, PlainPage, UnmapError, UnmapFlags,
    UnmapRequest, VmFlags,
};

/// All subsets of the flags, alone and with every other flag.
fn page_states(named: PageFlags) -> Vec<PageFlags> {
    let mut states = vec![PageFlags::empty()];
    for flag in named.iter() {
        let with = states.clone();
        states.extend(with.into_iter().map(|state| state | flag));
    }
    let others = PageFlags::all().difference(named);
    let full: Vec<_> = states.iter().map(|&state| state | others).collect();
    states.extend(full);
    states
}

fn scan_states() -> impl Iterator<Item = ScanFlags> {
    let all = ScanFlags::all().bits();
    (0..=all)
        .filter(move |bits| bits & !all == 0)
        .map(ScanFlags::from_bits_retain)
}

/// The first case that fits.
fn first<T: Copy>(cases: &[(bool, T)], otherwise: T) -> T {
    cases
        .iter()
        .find(|case| case.0)
        .map_or(otherwise, |case| case.1)
}

#[test]
fn page_check_references() {
    for page in page_states(PageFlags::REFERENCED | PageFlags::SWAP_BACKED) {
        for entries in [0, 1, 2, 3, u32::MAX] {
            for vma in 0..=VmFlags::all().bits() {
                let vma = VmFlags::from_bits_retain(vma);
                let (vm_locked, vm_exec) =
                    (vma.contains(VmFlags::LOCKED), vma.contains(VmFlags::EXEC));
                let referenced_page = page.contains(PageFlags::REFERENCED);
                let swap_backed = page.contains(PageFlags::SWAP_BACKED);
                let said = first(
                    &[
                        (vm_locked, References::Reclaim),
                        (entries >= 1 && swap_backed, References::Activate),
                        (entries >= 1 && referenced_page, References::Activate),
                        (entries >= 2, References::Activate),
                        (entries == 1 && vm_exec, References::Activate),
                        (entries == 1, References::Keep),
                        (referenced_page && !swap_backed, References::ReclaimClean),
                    ],
                    References::Reclaim,
                );
                // SetPageReferenced, on the way of file pages in use alone.
                let marks = !vm_locked && entries >= 1 && !swap_backed;
                let found = Referenced { entries, vma };
                assert_eq!(references(page, found), (said, marks), "{page:?} {found:?}");
            }
        }
    }
}

#[test]
fn the_way_in() {
    let cached = PageFlags::PAGE_CACHE | PageFlags::SWAP_CACHE;
    let unevictable = Some(Fate::Activated(ActivateReason::Unevictable));
    for page in page_states(PageFlags::UNEVICTABLE | cached) {
        for scan in scan_states() {
            let may_unmap = scan.contains(ScanFlags::MAY_UNMAP);
            for mapped in [false, true] {
                let rule = first(
                    &[
                        (page.contains(PageFlags::UNEVICTABLE), unevictable),
                        (!may_unmap && mapped, Some(Fate::Kept(KeepReason::Mapped))),
                    ],
                    None,
                );
                assert_eq!(entrance(page, mapped, scan), rule);
            }
            let in_swap_cache = page.contains(PageFlags::SWAP_CACHE);
            let rule = first(
                &[
                    (scan.contains(ScanFlags::FS), true),
                    (!in_swap_cache, false),
                    (scan.contains(ScanFlags::IO), true),
                ],
                false,
            );
            assert_eq!(scan.may_enter_fs(page), rule);
        }
        let in_a_cache = page.iter().any(|flag| cached.contains(flag));
        assert_eq!(page.has_mapping(), in_a_cache);
    }
}

#[test]
fn page_check_dirty_writeback() {
    let named = PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::DIRTY | PageFlags::WRITEBACK;
    for page in page_states(named) {
        let anon = page.contains(PageFlags::ANON);
        let file_lru = !page.contains(PageFlags::SWAP_BACKED);
        let rule = first(
            &[(!file_lru, (false, false)), (anon, (false, false))],
            (
                page.contains(PageFlags::DIRTY),
                page.contains(PageFlags::WRITEBACK),
            ),
        );
        assert_eq!(page.counts_as_io(), rule, "{page:?}");
    }
}

#[test]
fn a_page_under_writeback() {
    for page in page_states(PageFlags::RECLAIM) {
        for scan in scan_states() {
            for fs in [false, true] {
                let (kswapd, reclaim) = (
                    scan.contains(ScanFlags::BACKGROUND),
                    page.contains(PageFlags::RECLAIM),
                );
                let pgdat_writeback = scan.contains(ScanFlags::NODE_WRITEBACK);
                let sane = scan.contains(ScanFlags::SANE_THROTTLING);
                let rule = first(
                    &[
                        (
                            kswapd && reclaim && pgdat_writeback,
                            UnderWriteback::Immediate,
                        ),
                        (sane, UnderWriteback::Mark),
                        (!reclaim, UnderWriteback::Mark),
                        (!fs, UnderWriteback::Mark),
                    ],
                    UnderWriteback::Wait,
                );
                assert_eq!(
                    under_writeback(page, scan, fs),
                    rule,
                    "{page:?} {scan:?} {fs}"
                );
            }
        }
    }
}

#[test]
fn what_backs_a_page() {
    let named = PageFlags::ANON | PageFlags::SWAP_BACKED | PageFlags::SWAP_CACHE | PageFlags::THP;
    for page in page_states(named) {
        let [anon, swap_backed, in_swap_cache, huge] = [
            PageFlags::ANON,
            PageFlags::SWAP_BACKED,
            PageFlags::SWAP_CACHE,
            PageFlags::THP,
        ]
        .map(|flag| page.contains(flag));
        for scan in scan_states() {
            let io = scan.contains(ScanFlags::IO);
            let goes_to_swap = anon && swap_backed;
            let rule = first(
                &[
                    (goes_to_swap && in_swap_cache, Backing::Has),
                    (goes_to_swap && io, Backing::NeedsSwap),
                    (goes_to_swap, Backing::NoIo),
                    (huge, Backing::NeedsSplit),
                ],
                Backing::Has,
            );
            assert_eq!(backing(page, scan), rule, "{page:?} {scan:?}");
        }
        for extra in [
            UnmapFlags::empty(),
            UnmapFlags::IGNORE_MLOCK,
            UnmapFlags::all(),
        ] {
            let mut flags = extra.bits() | 0x40;
            if huge {
                flags |= 0x4;
            }
            assert_eq!(UnmapFlags::for_reclaim(page, extra).bits(), flags);
        }
    }
}

#[test]
fn a_dirty_page() {
    let named = PageFlags::DIRTY | PageFlags::SWAP_BACKED | PageFlags::RECLAIM;
    let said = [
        References::Reclaim,
        References::ReclaimClean,
        References::Keep,
        References::Activate,
    ];
    for page in page_states(named) {
        for scan in scan_states() {
            for references in said {
                for fs in [false, true] {
                    let file_lru = !page.contains(PageFlags::SWAP_BACKED);
                    let kswapd = scan.contains(ScanFlags::BACKGROUND);
                    let pgdat_dirty = scan.contains(ScanFlags::NODE_DIRTY);
                    let reclaim = page.contains(PageFlags::RECLAIM);
                    let may_write = scan.contains(ScanFlags::MAY_WRITE);
                    let rule = first(
                        &[
                            (!page.contains(PageFlags::DIRTY), Dirty::Clean),
                            (file_lru && !kswapd, Dirty::LeaveToFlusher),
                            (file_lru && !reclaim, Dirty::LeaveToFlusher),
                            (file_lru && !pgdat_dirty, Dirty::LeaveToFlusher),
                            (references == References::ReclaimClean, Dirty::Keep),
                            (!fs, Dirty::Keep),
                            (!may_write, Dirty::Keep),
                        ],
                        Dirty::WriteOut,
                    );
                    assert_eq!(dirty(page, references, scan, fs), rule, "{page:?} {scan:?}");
                }
            }
        }
    }
}

#[test]
fn the_way_out() {
    let named = PageFlags::ANON
        | PageFlags::SWAP_BACKED
        | PageFlags::SWAP_CACHE
        | PageFlags::PAGE_CACHE
        | PageFlags::MLOCKED;
    for page in page_states(named) {
        let lazily_freed = page.contains(PageFlags::ANON) && !page.contains(PageFlags::SWAP_BACKED);
        let in_swap_cache = page.contains(PageFlags::SWAP_CACHE);
        let rule = first(
            &[
                (lazily_freed, Some(Removal::Lazyfree)),
                (in_swap_cache, Some(Removal::FromCache)),
                (
                    page.contains(PageFlags::PAGE_CACHE),
                    Some(Removal::FromCache),
                ),
            ],
            None,
        );
        assert_eq!(leave(page), rule, "{page:?}");
        for full in [false, true] {
            let rule = first(
                &[
                    (!in_swap_cache, false),
                    (page.contains(PageFlags::MLOCKED), true),
                ],
                full,
            );
            assert_eq!(page.frees_swap(full), rule, "{page:?}");
        }
    }
}

/// The active lists, with one page on one of them.
struct OneActive {
    state: Cell<PageFlags>,
    found: Referenced,
    on: Option<Lru>,
}

impl OneActive {
    fn page(&self) -> PlainPage {
        PlainPage {
            flags: self.state.get(),
            refs: 3,
            maps: 1,
            pins: None,
            base_pages: 1,
        }
    }
}

impl PageOps for OneActive {
    type Page = PlainPage;
    type Error = Infallible;

    fn update(&mut self, _: &PlainPage, set: PageFlags, clear: PageFlags) {
        self.state.set(self.state.get().difference(clear) | set);
    }
    fn referenced(&mut self, _: &PlainPage) -> Referenced {
        self.found
    }
    fn unmap<L: PinPolicy>(
        &mut self,
        _: &PlainPage,
        _: &UnmapRequest<L>,
        _: &mut FlushDebt,
    ) -> Result<Outcome, UnmapError<Infallible>> {
        panic!("an active page is not unmapped")
    }
    fn remove(&mut self, _: &PlainPage, _: Removal) -> Attempt {
        panic!("an active page is not removed")
    }
    fn flush_tlb(&mut self) {
        panic!("nothing was deferred")
    }
}

impl Lists for OneActive {
    fn take(&mut self, list: Lru) -> Option<PlainPage> {
        self.on.take_if(|on| *on == list)?;
        Some(self.page())
    }
    fn put(&mut self, list: Lru, _: PlainPage) {
        assert_eq!(self.on.replace(list), None, "there is one page");
    }
    fn pages(&self, list: Lru) -> u64 {
        u64::from(self.on == Some(list))
    }
    fn free(&mut self, _: PlainPage) {
        panic!("an active page is not freed")
    }
}

#[test]
fn shrink_active_list() {
    let named = PageFlags::SWAP_BACKED | PageFlags::UNEVICTABLE;
    for page in page_states(named) {
        let page = page | PageFlags::ACTIVE;
        let file_lru = !page.contains(PageFlags::SWAP_BACKED);
        for vma in 0..=VmFlags::all().bits() {
            let vma = VmFlags::from_bits_retain(vma);
            for entries in [0, 1, 9] {
                let executable = vma.contains(VmFlags::EXEC);
                let stays = first(
                    &[
                        (page.contains(PageFlags::UNEVICTABLE), true),
                        (entries > 0 && executable && file_lru, true),
                    ],
                    false,
                );
                let mut lists = OneActive {
                    state: Cell::new(page),
                    found: Referenced { entries, vma },
                    on: Some(Lru::of(page)),
                };
                let mut scan = LruScan::new(1);
                let _ = scan.step(&mut lists, &ScanControl::new(ScanFlags::empty()), 1);
                let after = if stays {
                    page
                } else {
                    page.difference(PageFlags::ACTIVE)
                };
                assert_eq!(lists.state.get(), after, "{page:?} {vma:?} {entries}");
                assert_eq!(lists.on, Some(Lru::of(after)), "{page:?} {vma:?} {entries}");
                let stats = scan.stats();
                let counted = (stats.refilled, stats.rotated, stats.deactivated);
                let expected = (1, u64::from(stays), u64::from(!stays));
                assert_eq!(counted, expected, "{page:?} {vma:?} {entries}");
            }
        }
    }
}

#[test]
fn the_list_of_a_page() {
    for page in page_states(PageFlags::SWAP_BACKED | PageFlags::ACTIVE) {
        let list = Lru::of(page);
        assert_eq!(list.is_file(), !page.contains(PageFlags::SWAP_BACKED));
        assert_eq!(list.is_active(), page.contains(PageFlags::ACTIVE));
    }
    let kinds = Lru::ALL.map(|list| (list.is_file(), list.is_active()));
    assert_eq!(
        kinds,
        [(false, false), (false, true), (true, false), (true, true)]
    );
}
