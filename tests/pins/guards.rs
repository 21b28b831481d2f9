//! Guards over several pages, and the lock-free pinner.

use crate::LONG;
use crate::SHORT;
use core::cell::{Cell, RefCell};
use pinfold::pin::race::{FastPinError, pin_fast};
use pinfold::pin::{BiasedRefs, PinError, PinGuard, PinKind, Pinnable, RefsLeft, Unpinned};

/// Writes down what happens to it.
struct Recorded<'a> {
    name: usize,
    refs: BiasedRefs,
    log: &'a RefCell<Vec<(usize, &'static str)>>,
}

impl Pinnable for Recorded<'_> {
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        Pinnable::try_pin(&self.refs, kind)?;
        self.log.borrow_mut().push((self.name, "pin"));
        Ok(())
    }
    fn unpin(&self, kind: PinKind) -> Result<Unpinned, PinError> {
        self.log.borrow_mut().push((self.name, "unpin"));
        Pinnable::unpin(&self.refs, kind)
    }
    fn set_dirty(&self) {
        self.log.borrow_mut().push((self.name, "dirty"));
    }
    fn settle(&self, duty: Unpinned) {
        assert_eq!(duty, Unpinned::Free);
        self.log.borrow_mut().push((self.name, "free"));
    }
}

fn recorded<'a>(
    log: &'a RefCell<Vec<(usize, &'static str)>>,
    frozen: Option<usize>,
) -> Vec<Recorded<'a>> {
    (0..4)
        .map(|name| {
            let refs = BiasedRefs::new(i32::from(frozen != Some(name)));
            Recorded { name, refs, log }
        })
        .collect()
}

#[test]
fn a_failure_at_each_page_releases_those_before_it_in_reverse() {
    for k in 0..4 {
        let log = RefCell::default();
        let pages = recorded(&log, Some(k));
        let error = PinGuard::pin(&pages, SHORT).unwrap_err();
        assert_eq!(
            (error.index, error.error, error.lost),
            (k, PinError::Free, 0)
        );
        let pins = (0..k).map(|i| (i, "pin"));
        let expected: Vec<_> = pins.chain((0..k).rev().map(|i| (i, "unpin"))).collect();
        assert_eq!(log.take(), expected);
    }
}

#[test]
fn admission_is_asked_before_each_pin_and_may_refuse() {
    #[derive(Debug, PartialEq)]
    enum Reason {
        MigrateFirst,
        Pin(PinError),
    }
    let log = RefCell::default();
    let pages = recorded(&log, Some(3));
    let admit = |stop: usize| {
        move |i: usize, page: &Recorded<'_>| {
            page.log.borrow_mut().push((i, "ask"));
            if i == stop {
                Err(Reason::MigrateFirst)
            } else {
                page.try_pin(LONG).map_err(Reason::Pin)
            }
        }
    };
    let error = PinGuard::pin_with(&pages, LONG, admit(1)).unwrap_err();
    assert_eq!((error.index, error.error), (1, Reason::MigrateFirst));
    assert_eq!(
        log.take(),
        [(0, "ask"), (0, "pin"), (1, "ask"), (0, "unpin")]
    );
    let error = PinGuard::pin_with(&pages, LONG, admit(9)).unwrap_err();
    assert_eq!((error.index, error.error), (3, Reason::Pin(PinError::Free)));
}

#[test]
fn a_guard_dirties_before_it_releases_and_releases_once() {
    let log = RefCell::default();
    let pages = recorded(&log, None);
    let mut guard = PinGuard::pin(&pages[..2], SHORT).unwrap();
    assert_eq!((guard.pages().len(), guard.kind()), (2, SHORT));
    guard.set_dirty_on_release(true);
    log.take();
    drop(guard);
    let dirty = [(1, "dirty"), (1, "unpin"), (0, "dirty"), (0, "unpin")];
    assert_eq!(log.take(), dirty);

    let mut guard = PinGuard::pin(&pages[..2], SHORT).unwrap();
    guard.set_dirty_on_release(true);
    log.take();
    guard.release().unwrap();
    assert_eq!(log.take(), dirty);
    assert!(guard.pages().is_empty());
    assert_eq!(guard.release(), Ok(()));
    drop(guard);
    assert_eq!(log.take(), [], "once");

    PinGuard::pin(&pages[..1], SHORT)
        .unwrap()
        .release()
        .unwrap();
    assert_eq!(log.take(), [(0, "pin"), (0, "unpin")]);
}

#[test]
fn release_goes_on_past_failures_and_settles_duties() {
    let log = RefCell::default();
    let pages = recorded(&log, None);
    let mut guard = PinGuard::pin(&pages, SHORT).unwrap();
    assert_eq!(pages[1].refs.unpin(), Ok(RefsLeft::Some));
    assert_eq!(pages[2].refs.unpin(), Ok(RefsLeft::Some));
    assert_eq!(pages[3].refs.put_ref(), Ok(RefsLeft::Some));
    log.take();
    let error = guard.release().unwrap_err();
    assert_eq!(
        (error.index, error.error, error.count),
        (2, PinError::Underflow, 2)
    );
    let expected = [
        (3, "unpin"),
        (3, "free"),
        (2, "unpin"),
        (1, "unpin"),
        (0, "unpin"),
    ];
    assert_eq!(log.take(), expected);
    assert_eq!(
        pages.iter().map(|page| page.refs.get()).collect::<Vec<_>>(),
        [1, 1, 1, 0]
    );
}

#[test]
fn pin_fast_drops_its_pin_when_the_entry_changed_and_settles() {
    let log = RefCell::default();
    let pages = recorded(&log, Some(1));
    assert_eq!(pin_fast(&pages[0], SHORT, 7, || 7), Ok(()));
    let entry = Cell::new(7);
    let changed = pin_fast(&pages[0], SHORT, 7, || entry.replace(8) + 1);
    assert_eq!(changed, Err(FastPinError::Changed));
    assert_eq!(pages[0].refs.get(), 1025);
    let refused = pin_fast(&pages[1], SHORT, 7, || 7);
    assert_eq!(refused, Err(FastPinError::Refused(PinError::Free)));
    log.take();
    let last = pin_fast(&pages[2], SHORT, 7, || {
        assert_eq!(pages[2].refs.put_ref(), Ok(RefsLeft::Some));
        8
    });
    assert_eq!(last, Err(FastPinError::Changed));
    assert_eq!(log.take(), [(2, "pin"), (2, "unpin"), (2, "free")]);
    let lost = pin_fast(&pages[3], SHORT, 7, || {
        assert_eq!(pages[3].refs.unpin(), Ok(RefsLeft::Some));
        8
    });
    assert_eq!(lost, Err(FastPinError::Lost(PinError::Underflow)));
}

/// A page whose code panics in one of its methods.
struct Panics {
    refs: BiasedRefs,
    /// The method that panics.
    at: &'static str,
    dirtied: Cell<u32>,
}

impl Panics {
    fn panic_at(&self, here: &str) {
        assert_ne!(self.at, here, "on purpose");
    }
}

impl Pinnable for Panics {
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        self.panic_at("try_pin");
        Pinnable::try_pin(&self.refs, kind)
    }
    fn unpin(&self, kind: PinKind) -> Result<Unpinned, PinError> {
        let unpinned = Pinnable::unpin(&self.refs, kind);
        self.panic_at("unpin");
        unpinned
    }
    fn set_dirty(&self) {
        self.panic_at("set_dirty");
        self.dirtied.set(self.dirtied.get() + 1);
    }
    fn settle(&self, _: Unpinned) {
        self.panic_at("settle");
    }
}

fn panics(slot: usize, at: &'static str) -> [Panics; 4] {
    core::array::from_fn(|index| Panics {
        refs: BiasedRefs::new(1),
        at: if index == slot { at } else { "" },
        dirtied: Cell::new(0),
    })
}

fn unwinds(f: impl FnOnce()) {
    let unwound = std::panic::catch_unwind(core::panic::AssertUnwindSafe(f));
    assert!(unwound.is_err(), "nothing panicked");
}

fn refs(pages: &[Panics; 4]) -> [i32; 4] {
    core::array::from_fn(|index| pages[index].refs.get())
}

#[test]
fn unwinding_while_pages_are_pinned_releases_them() {
    for slot in 0..4 {
        let pages = panics(9, "");
        unwinds(|| {
            let pinned = PinGuard::pin_with(&pages, SHORT, |index, page: &Panics| {
                assert_ne!(index, slot, "on purpose");
                page.try_pin(SHORT)
            });
            drop(pinned);
        });
        assert_eq!(refs(&pages), [1; 4], "admit panics at {slot}");

        let pages = panics(slot, "try_pin");
        unwinds(|| drop(PinGuard::pin(&pages, SHORT)));
        assert_eq!(refs(&pages), [1; 4], "try_pin panics at {slot}");
    }
}

#[test]
fn unwinding_while_pins_are_given_back_releases_the_others() {
    for slot in 0..3 {
        for at in ["unpin", "settle"] {
            let pages = panics(slot, at);
            let wanted = i32::from(at == "unpin");
            unwinds(|| {
                let pinned = PinGuard::pin_with(&pages, SHORT, |index, page: &Panics| {
                    if index < 3 {
                        return page.try_pin(SHORT);
                    }
                    // The pins are the last references, which leaves a duty.
                    for page in pages.iter().take(3).filter(|_| at == "settle") {
                        assert_eq!(page.refs.put_ref(), Ok(RefsLeft::Some));
                    }
                    Err(PinError::Blocked)
                });
                drop(pinned);
            });
            assert_eq!(refs(&pages), [wanted, wanted, wanted, 1], "{at} at {slot}");
        }
    }
}

#[test]
fn unwinding_in_a_guard_releases_the_other_pages_once() {
    for slot in 0..4 {
        for at in ["set_dirty", "unpin", "settle"] {
            let pages = panics(slot, at);
            let mut guard = PinGuard::pin(&pages, SHORT).unwrap();
            guard.set_dirty_on_release(true);
            if at == "settle" {
                for page in &pages {
                    assert_eq!(page.refs.put_ref(), Ok(RefsLeft::Some));
                }
            }
            unwinds(|| drop(guard));
            let mut wanted = [i32::from(at != "settle"); 4];
            let mut dirtied = [1; 4];
            if at == "set_dirty" {
                // It is not known to be dirty, so it stays pinned: reclaim must not drop it.
                (wanted[slot], dirtied[slot]) = (1025, 0);
            }
            assert_eq!(refs(&pages), wanted, "{at} panics at {slot}");
            assert_eq!(pages.each_ref().map(|page| page.dirtied.get()), dirtied);
        }
    }
}

#[test]
fn unwinding_in_a_fast_pin_drops_it() {
    for at in ["", "unpin", "settle"] {
        let [page, ..] = panics(0, at);
        if at == "settle" {
            assert_eq!(page.refs.try_get_ref(), Ok(()));
        }
        unwinds(|| {
            let reread = || {
                assert!(!at.is_empty(), "on purpose");
                if at == "settle" {
                    assert_eq!(page.refs.put_ref(), Ok(RefsLeft::Some));
                    assert_eq!(page.refs.put_ref(), Ok(RefsLeft::Some));
                }
                8
            };
            assert!(pin_fast(&page, SHORT, 7, reread).is_err());
        });
        assert_eq!(page.refs.get(), i32::from(at != "settle"), "{at}");
    }
}

/// Where pages are kept is the caller's: a slice, an array, a vector, shared ones.
#[test]
fn guards_own_their_pages() {
    use std::rc::Rc;
    use std::sync::Arc;

    fn held<S: AsRef<[BiasedRefs]>>(pages: S) {
        let guard = PinGuard::pin(pages, LONG).unwrap();
        assert_eq!(guard.pages().iter().map(BiasedRefs::get).sum::<i32>(), 2050);
    }
    let pages = || [BiasedRefs::new(1), BiasedRefs::new(1)];
    held(pages());
    let (one, mut two) = (pages(), pages());
    held(&one);
    held(&one[..]);
    held(&mut two);
    held(Vec::from(pages()));
    held(Box::<[BiasedRefs]>::from(pages()));
    let shared: Arc<[BiasedRefs]> = pages().into();
    held(shared.clone());
    assert_eq!(shared.iter().map(BiasedRefs::get).sum::<i32>(), 2);

    // Handles that share their pages.
    let frames = pages().map(Rc::new);
    let guard = PinGuard::pin(
        [Handle(frames[0].clone()), Handle(frames[1].clone())],
        SHORT,
    );
    assert_eq!(frames[1].get(), 1025);
    drop(guard);
    assert_eq!(
        frames.map(|frame| (frame.get(), Rc::strong_count(&frame))),
        [(1, 1); 2]
    );
}

#[derive(Debug)]
struct Handle(std::rc::Rc<BiasedRefs>);

impl Pinnable for Handle {
    fn try_pin(&self, kind: PinKind) -> Result<(), PinError> {
        Pinnable::try_pin(&*self.0, kind)
    }
    fn unpin(&self, kind: PinKind) -> Result<Unpinned, PinError> {
        Pinnable::unpin(&*self.0, kind)
    }
}

#[test]
fn pins_of_the_fast_path_are_adopted() {
    let pages = [BiasedRefs::new(1), BiasedRefs::new(1)];
    let mut entries = [7, 8];
    let fast = |entries: &[i32; 2], changed: i32| {
        PinGuard::pin_with(&pages, SHORT, |index, page| {
            pin_fast(page, SHORT, entries[index], || {
                entries[index] + index as i32 * changed
            })
        })
    };
    let guard = fast(&entries, 0).unwrap();
    assert_eq!(pages.each_ref().map(BiasedRefs::get), [1025; 2]);
    drop(guard);
    entries[1] = 9;
    let error = fast(&entries, 1).unwrap_err();
    assert_eq!((error.index, error.error), (1, FastPinError::Changed));
    assert_eq!(pages.each_ref().map(BiasedRefs::get), [1; 2]);

    // One at a time, then all together; and from one guard to another.
    for page in &pages {
        pin_fast(page, LONG, 1, || 1).unwrap();
    }
    let guard = PinGuard::adopt(&pages, LONG);
    assert_eq!((guard.pages().len(), guard.kind()), (2, LONG));
    core::mem::forget(guard);
    PinGuard::adopt(&pages, LONG).release().unwrap();
    assert_eq!(pages.each_ref().map(BiasedRefs::get), [1; 2]);
}

#[test]
fn pages_of_an_iterator_are_all_pinned_or_none() {
    let frames: Vec<_> = (0..4).map(|_| BiasedRefs::new(1)).collect();
    let refs = || frames.iter().map(BiasedRefs::get).collect::<Vec<_>>();
    let pin = |_: usize, page: &&BiasedRefs| page.try_pin(SHORT);
    let guard: PinGuard<_, Vec<_>> = PinGuard::pin_each(&frames, SHORT, pin).unwrap();
    assert_eq!(guard.pages().len(), 4);
    assert_eq!(refs(), [1025; 4]);
    drop(guard);

    frames[2].freeze(1).unwrap();
    let failed = PinGuard::<_, Vec<_>>::pin_each(&frames, SHORT, pin);
    let error = failed.unwrap_err();
    assert_eq!((error.index, error.error), (2, PinError::Free));
    assert_eq!(refs(), [1, 1, 0, 1]);

    // An iterator or a collection that unwinds.
    let panics = frames
        .iter()
        .inspect(|frame| assert_ne!(frame.get(), 0, "on purpose"));
    unwinds(|| drop(PinGuard::<_, Vec<_>>::pin_each(panics, SHORT, pin)));
    assert_eq!(refs(), [1, 1, 0, 1]);
    frames[2].unfreeze(1).unwrap();
    unwinds(|| drop(PinGuard::<_, Few<true>>::pin_each(&frames, SHORT, pin)));
    assert_eq!(refs(), [1; 4]);

    // A collection that takes no more.
    let error = PinGuard::<_, Few<false>>::pin_each(&frames, SHORT, pin).unwrap_err();
    assert_eq!((error.index, error.error), (2, PinError::Overflow));
    assert_eq!(refs(), [1; 4]);
}

/// Has room for two pages, and then drops what it gets or panics.
#[derive(Debug, Default)]
struct Few<'a, const PANICS: bool>(Vec<&'a BiasedRefs>);

impl<'a, const PANICS: bool> Extend<&'a BiasedRefs> for Few<'a, PANICS> {
    fn extend<T: IntoIterator<Item = &'a BiasedRefs>>(&mut self, pages: T) {
        for page in pages {
            assert!(!PANICS || self.0.len() < 2, "on purpose");
            if self.0.len() < 2 {
                self.0.push(page);
            }
        }
    }
}

impl<'a, const PANICS: bool> AsRef<[&'a BiasedRefs]> for Few<'a, PANICS> {
    fn as_ref(&self) -> &[&'a BiasedRefs] {
        &self.0
    }
}

#[test]
fn a_part_of_the_pages_is_released() {
    let log = RefCell::default();
    let pages = recorded(&log, None);
    let mut guard = PinGuard::pin(&pages, LONG).unwrap();
    log.take();
    guard.release_last(3).unwrap();
    assert_eq!(log.take(), [(3, "unpin"), (2, "unpin"), (1, "unpin")]);
    assert_eq!(guard.pages().len(), 1);
    guard.release_last(0).unwrap();
    assert_eq!(log.take(), []);
    guard.release_last(usize::MAX).unwrap();
    assert_eq!(log.take(), [(0, "unpin")]);
}
