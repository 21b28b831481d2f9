//! Guards that own their pages, adopt pins, collect pages, and release a part of them.

use crate::unwinding::unwinds;
use crate::{LONG, SHORT};
use pinfold::pin::race::{FastPinError, pin_fast};
use pinfold::pin::{BiasedRefs, PinError, PinGuard, PinKind, Pinnable, Released};

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
    fn unpin(&self, kind: PinKind) -> Result<Released, PinError> {
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
