//! Faults, swap-in and pins: what the pager does beside what reclaim asks of it.

use super::*;

impl Page {
    pub(crate) fn new(number: u32) -> Self {
        Self {
            number,
            flags: Cell::new(ANON),
            count: PageRefs::new(),
            mappings: RefCell::default(),
            slot: Cell::new(0),
            data: RefCell::new([0; PAGE]),
        }
    }
}

impl<'a> Pager<'a> {
    pub(crate) fn new(pages: &'a [Page], spaces: usize, size: usize) -> Self {
        let slot = || Slot {
            refs: 0,
            cached: None,
            data: [0; PAGE],
        };
        Self {
            pages,
            lists: PageLists::new(vec![Link::default(); pages.len()]),
            free: (0..pages.len() as u32).collect(),
            spaces: vec![vec![Pte::Empty; size]; spaces],
            slots: (0..spaces * size).map(|_| slot()).collect(),
            flushes: 0,
            written: 0,
            read: 0,
        }
    }

    pub(crate) fn pte(&mut self, at: At) -> &mut Pte {
        &mut self.spaces[at.0][at.1]
    }

    /// The bits of an entry that maps a page.
    pub(crate) fn flags(&mut self, at: At) -> Option<&mut PteFlags> {
        match self.pte(at) {
            Pte::Page(_, flags) => Some(flags),
            Pte::Empty | Pte::Swap(_) => None,
        }
    }

    pub(crate) fn test_and_clear_young(&mut self, at: At) -> bool {
        self.flags(at).is_some_and(|flags| {
            let young = flags.contains(PteFlags::YOUNG);
            flags.remove(PteFlags::YOUNG);
            young
        })
    }

    /// Adds a page to the swap cache, which takes a reference on the page and one on the slot.
    pub(crate) fn cache(&mut self, page: &Page, slot: usize) {
        let taken = page.count.try_get_ref();
        debug_assert_eq!(taken, Ok(()));
        self.slots[slot].refs += 1;
        self.slots[slot].cached = Some(page.number);
        page.slot.set(slot);
        page.flags.set(page.flags() | PageFlags::SWAP_CACHE);
    }

    /// A new page on the inactive list; `None` if all memory is pinned.
    pub(crate) fn allocate(&mut self) -> Option<&'a Page> {
        let control = ScanControl::new(ScanFlags::direct());
        let mut futility = Futility::default();
        while self.free.is_empty() {
            let mut scan = LruScan::new(16);
            let progress = scan.run(self, &control);
            if self.free.is_empty() && futility.note(&scan, progress, self).is_some() {
                return None;
            }
        }
        let page = &self.pages[self.free.pop()? as usize];
        let live = page.count.unfreeze(1);
        debug_assert_eq!(live, Ok(()));
        page.flags.set(ANON);
        *page.data.borrow_mut() = [0; PAGE];
        self.put(Lru::InactiveAnon, page);
        Some(page)
    }

    /// The page at an address, brought into memory if it is not there, and marked used.
    pub(crate) fn touch(&mut self, at: At, used: PteFlags) -> Option<&'a Page> {
        let page = match self.spaces[at.0][at.1] {
            Pte::Page(number, flags) => {
                self.spaces[at.0][at.1] = Pte::Page(number, flags | used);
                return Some(&self.pages[number as usize]);
            }
            Pte::Empty => self.allocate()?,
            Pte::Swap(slot) => {
                let page = match self.slots[slot].cached {
                    Some(number) => &self.pages[number as usize],
                    None => {
                        let page = self.allocate()?;
                        *page.data.borrow_mut() = self.slots[slot].data;
                        self.read += 1;
                        self.cache(page, slot);
                        page
                    }
                };
                self.slots[slot].refs -= 1;
                page
            }
        };
        self.map(at, page, used);
        Some(page)
    }

    /// Whether every reference on a page is one of a mapping, of the swap cache, or of a list, and
    /// every reference on a slot one of a swap entry or of the swap cache.
    pub(crate) fn check(&self) -> Result<(), String> {
        let live = self.pages.iter().filter(|page| page.ref_count() != 0);
        for page in live {
            let explained = page.explained_refs(page.flags(), page.map_count());
            if page.ref_count() != explained as i32 {
                return Err(format!("page {} has a reference too many", page.number));
            }
        }
        for (number, slot) in self.slots.iter().enumerate() {
            let here = |pte: &&Pte| matches!(pte, Pte::Swap(slot) if *slot == number);
            let entries = self.spaces.iter().flatten().filter(here).count();
            if slot.refs as usize != entries + usize::from(slot.cached.is_some()) {
                return Err(format!("slot {number} has a wrong reference count"));
            }
        }
        Ok(())
    }

    pub(crate) fn map(&mut self, at: At, page: &Page, used: PteFlags) {
        let taken = page.count.try_get_ref();
        debug_assert_eq!(taken, Ok(()));
        page.mappings.borrow_mut().push(at);
        self.spaces[at.0][at.1] = Pte::Page(page.number, used);
    }

    /// Pins the page at an address for a device.
    pub(crate) fn pin(&mut self, at: At) -> Result<&'a Page, Box<dyn Error>> {
        let page = self.touch(at, PteFlags::YOUNG).ok_or("out of memory")?;
        page.count.pin(PinKind::Longterm)?;
        Ok(page)
    }

    /// Releases a pin under which the device wrote.
    pub(crate) fn unpin(&mut self, page: &'a Page) -> Result<(), Box<dyn Error>> {
        page.flags.set(page.flags() | PageFlags::DIRTY);
        // A page that is parked or on a list has that place's reference, so no unpin frees it.
        if page.count.unpin(PinKind::Longterm)? == Released::Unpark {
            self.lists.remove(page.number)?;
            self.put(Lru::of(page.flags()), page);
            let _ = page.count.put_ref()?;
        }
        Ok(())
    }
}
