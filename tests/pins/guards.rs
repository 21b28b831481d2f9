//! Guards over several pages, and the lock-free pinner.

use crate::LONG;
use crate::SHORT;
use core::cell::{Cell, RefCell};
use pinfold::pin::race::{FastPinError, pin_fast};
use pinfold::pin::{BiasedRefs, PinError, PinGuard, PinKind, Pinnable, Released};

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
    fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
        self.log.borrow_mut().push((self.name, "unpin"));
        Pinnable::unpin(&self.refs, kind)
    }
    fn set_dirty(&self) {
        self.log.borrow_mut().push((self.name, "dirty"));
    }
    fn settle(&self, duty: Released) {
        assert_eq!(duty, Released::Free);
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
    assert_eq!(pages[1].refs.unpin(), Ok(Released::Done));
    assert_eq!(pages[2].refs.unpin(), Ok(Released::Done));
    assert_eq!(pages[3].refs.put_ref(), Ok(Released::Done));
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
        assert_eq!(pages[2].refs.put_ref(), Ok(Released::Done));
        8
    });
    assert_eq!(last, Err(FastPinError::Changed));
    assert_eq!(log.take(), [(2, "pin"), (2, "unpin"), (2, "free")]);
    let lost = pin_fast(&pages[3], SHORT, 7, || {
        assert_eq!(pages[3].refs.unpin(), Ok(Released::Done));
        8
    });
    assert_eq!(lost, Err(FastPinError::Lost(PinError::Underflow)));
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
