//! A page frame: counters, flags, contents, and where it is mapped.

use core::cell::{Cell, RefCell};
use pinfold::pin::{BiasedRefs, PinCount, PinError, PinKind, PinWord, Pinnable, Released};
use pinfold::{PageFlags, PageLike};

/// One frame. Its pins are in the reference count, or in a word of their own; then each pin holds
/// one reference beside.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) index: usize,
    pub(crate) flags: Cell<PageFlags>,
    pub(crate) maps: Cell<u32>,
    pub(crate) refs: BiasedRefs,
    pub(crate) word: Option<PinWord>,
    /// Stands for the contents.
    pub(crate) data: Cell<u64>,
    /// The address spaces and page numbers that map it.
    pub(crate) rmap: RefCell<Vec<(usize, usize)>>,
    pub(crate) locked: Cell<bool>,
    /// What the last unpin left to do.
    pub(crate) duty: Cell<Option<Released>>,
}

impl Frame {
    /// Free frames, whose pins are counted in a word of their own if `exact`.
    pub(crate) fn all(count: usize, exact: bool) -> Vec<Self> {
        let frame = |index| Self {
            index,
            flags: Cell::default(),
            maps: Cell::default(),
            refs: BiasedRefs::new(0),
            word: exact.then(|| {
                let word = PinWord::new();
                word.block().expect("not pinned");
                word
            }),
            data: Cell::default(),
            rmap: RefCell::default(),
            locked: Cell::default(),
            duty: Cell::default(),
        };
        (0..count).map(frame).collect()
    }

    pub(crate) fn has(&self, flags: PageFlags) -> bool {
        self.flags.get().contains(flags)
    }

    pub(crate) fn set(&self, flags: PageFlags, on: bool) {
        let mut all = self.flags.get();
        all.set(flags, on);
        self.flags.set(all);
    }

    /// What the word or the count says; a biased count below 1024 plain references is exact.
    pub(crate) fn reads_pinned(&self) -> bool {
        match &self.word {
            Some(word) => word.snapshot().pins.total > 0,
            None => self.refs.get() >= 1024,
        }
    }
}

impl PageLike for Frame {
    fn flags(&self) -> PageFlags {
        self.flags.get()
    }

    fn ref_count(&self) -> i32 {
        self.refs.get()
    }

    fn map_count(&self) -> u32 {
        self.maps.get()
    }

    fn exact_pins(&self) -> Option<PinCount> {
        self.word.as_ref().map(|word| word.snapshot().pins)
    }
}

impl Pinnable for Frame {
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        let Some(word) = &self.word else {
            return self.refs.pin();
        };
        self.refs.try_get_ref()?;
        word.pin(kind).inspect_err(|_| {
            let _ = self.refs.put_ref();
        })
    }

    fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
        let Some(word) = &self.word else {
            return self.refs.unpin();
        };
        let duty = word.unpin(kind)?;
        let left = self.refs.put_ref()?;
        match duty {
            Released::Done => Ok(left),
            duty => {
                assert_eq!(left, Released::Done, "a parked page is held by its parking");
                Ok(duty)
            }
        }
    }

    fn set_dirty(&self) {
        // A page that was cut off its file has nowhere to be written to.
        let kept = PageFlags::ANON | PageFlags::PAGE_CACHE;
        if self.flags.get().intersects(kept) {
            self.set(PageFlags::DIRTY, true);
        }
    }

    fn settle(&self, duty: Released) {
        assert_eq!(self.duty.replace(Some(duty)), None, "one duty at a time");
    }
}
