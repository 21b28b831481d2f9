//! The counters, pins of several pages, readings, and the race of the lock-free pinner.

use super::embedder::{AnyPage, BarePage};
use super::text::{debug, error, print};
use crate::{hidden, keep, opaque};
use pinfold::pin::race::{self, FastPinError};
use pinfold::pin::{
    Biased, BiasedRefs, LargePageRefs, PIN_BIAS, PageRefs, PinAllError, PinCount, PinError,
    PinGuard, PinKind, PinReading, PinStateError, PinWord, Pinnable, Pins, Refined, RefsSnapshot,
    ReleaseError, Released, UnexpectedRefs, WordSnapshot,
};
use pinfold::{PageLike, PlainPage};

pub fn call() {
    biased();
    large();
    word();
    word_errors();
    refs();
    pinnables();
    groups::<BiasedRefs>(&[BiasedRefs::new(opaque()), BiasedRefs::new(opaque())]);
    groups::<LargePageRefs>(&[LargePageRefs::new(opaque())]);
    groups::<PinWord>(&[PinWord::from_bits(opaque()), PinWord::new()]);
    groups::<PageRefs>(&[PageRefs::from_bits(opaque()), PageRefs::new()]);
    groups::<AnyPage>(&opaque::<[AnyPage; 2]>());
    groups::<BarePage>(&[BarePage, BarePage]);
    group_errors();
    races();
    readings();
}

fn biased() {
    let refs = BiasedRefs::new(opaque());
    let refs = || hidden(&refs);
    keep(BiasedRefs::get(refs()));
    keep(BiasedRefs::try_get_ref(refs()));
    keep(BiasedRefs::put_ref(refs()));
    keep(BiasedRefs::pin(refs()));
    keep(BiasedRefs::unpin(refs()));
    keep(BiasedRefs::freeze(refs(), opaque()));
    keep(BiasedRefs::unfreeze(refs(), opaque()));
    debug::<BiasedRefs>(refs());
    debug::<Released>(&opaque());
    error::<UnexpectedRefs>(&UnexpectedRefs(opaque()));
    error::<PinError>(&opaque());
}

fn large() {
    keep(LargePageRefs::new(opaque()));
    let refs = LargePageRefs::with_pins(opaque(), opaque());
    let refs = || hidden(&refs);
    keep(LargePageRefs::get(refs()));
    keep(LargePageRefs::exact_pins(refs()));
    keep(LargePageRefs::try_get_ref(refs()));
    keep(LargePageRefs::put_ref(refs()));
    keep(LargePageRefs::pin(refs()));
    keep(LargePageRefs::unpin(refs()));
    keep(LargePageRefs::freeze(refs(), opaque()));
    keep(LargePageRefs::unfreeze(refs(), opaque()));
    debug::<LargePageRefs>(refs());
}

fn word() {
    keep((PinWord::new(), PinWord::default()));
    let word = PinWord::from_bits(opaque());
    let word = || hidden(&word);
    keep(PinWord::to_bits(word()));
    keep(PinWord::snapshot(word()));
    keep(PinWord::decode(opaque()));
    keep(PinWord::pin(word(), opaque()));
    keep(PinWord::unpin(word(), opaque()));
    keep(PinWord::block(word()));
    keep(PinWord::unblock(word()));
    keep(PinWord::park(word()));
    keep(PinWord::unpark(word()));
    PinWord::clear_ever_pinned(word());
    debug::<PinWord>(word());
    debug::<WordSnapshot>(&PinWord::snapshot(word()));
}

super::values::opaque_enum!(PinStateError:
    PinStateError::Pinned(opaque()), PinStateError::NotPinned, PinStateError::Blocked,
    PinStateError::NotParked, PinStateError::Parked, PinStateError::NotParked);

fn word_errors() {
    error::<PinStateError>(&opaque());
}

fn refs() {
    keep((PageRefs::new(), PageRefs::default()));
    let page = PageRefs::from_bits(opaque());
    let page = || hidden(&page);
    keep(PageRefs::to_bits(page()));
    keep(PageRefs::snapshot(page()));
    keep(PageRefs::decode(opaque()));
    keep(PageRefs::try_get_ref(page()));
    keep(PageRefs::put_ref(page()));
    keep(PageRefs::pin(page(), opaque()));
    keep(PageRefs::unpin(page(), opaque()));
    keep(PageRefs::freeze(page(), opaque()));
    keep(PageRefs::unfreeze(page(), opaque()));
    keep(PageRefs::block(page()));
    keep(PageRefs::unblock(page()));
    keep(PageRefs::park(page()));
    keep(PageRefs::unpark(page()));
    PageRefs::clear_ever_pinned(page());
    debug::<PageRefs>(page());
    debug::<RefsSnapshot>(&PageRefs::snapshot(page()));
}

fn pinnables() {
    pinnable(&BiasedRefs::new(opaque()));
    pinnable(&LargePageRefs::with_pins(opaque(), opaque()));
    pinnable(&PinWord::from_bits(opaque()));
    pinnable(&PageRefs::from_bits(opaque()));
    pinnable(&BarePage);
    pinnable(&&opaque::<AnyPage>());
    pinnable(&&mut opaque::<AnyPage>());
    pinnable::<dyn Pinnable>(hidden(&opaque::<AnyPage>()));
    debug::<Released>(&opaque());
    debug::<PinKind>(&opaque());
}

fn pinnable<P: Pinnable + ?Sized>(page: &P) {
    keep(Pinnable::try_pin(hidden(page), opaque()));
    keep(Pinnable::unpin(hidden(page), opaque()));
    Pinnable::set_dirty(page);
    Pinnable::settle(page, opaque());
}

fn groups<P: Pinnable>(pages: &[P]) {
    let pages = || hidden(pages);
    if let Ok(guard) = PinGuard::pin(pages(), opaque()) {
        keep(PinGuard::<P, &[P]>::pages(&guard).len());
        keep(PinGuard::<P, &[P]>::kind(&guard));
        debug::<PinGuard<P, &[P]>>(&guard);
        drop(guard);
    }
    let pin = |index: usize, _: &P| {
        keep(index);
        opaque::<Result<(), PinError>>()
    };
    match PinGuard::pin_with(pages(), opaque(), pin) {
        Ok(mut guard) => {
            PinGuard::<P, &[P]>::set_dirty_on_release(&mut guard, opaque());
            keep(PinGuard::<P, &[P]>::release_last(&mut guard, opaque()));
            keep(PinGuard::<P, &[P]>::release(&mut guard));
        }
        Err(failed) => keep(failed),
    }
    keep(PinGuard::<P, &[P]>::adopt(pages(), opaque()).pages().len());
    let pin = |index: usize, _: &&P| {
        keep(index);
        opaque::<Result<(), PinError>>()
    };
    match PinGuard::<&P, Few<'_, P>>::pin_each(pages(), opaque(), pin) {
        Ok(guard) => drop(guard),
        Err(failed) => keep(failed),
    }
}

/// Keeps one page at most.
struct Few<'a, P>(Option<[&'a P; 1]>);

impl<P> Default for Few<'_, P> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'a, P> Extend<&'a P> for Few<'a, P> {
    fn extend<T: IntoIterator<Item = &'a P>>(&mut self, pages: T) {
        for page in pages {
            self.0 = self.0.or(Some([page]));
        }
    }
}

impl<'a, P> AsRef<[&'a P]> for Few<'a, P> {
    fn as_ref(&self) -> &[&'a P] {
        self.0.as_ref().map_or(&[], |pages| &pages[..])
    }
}

fn group_errors() {
    error::<PinAllError>(&PinAllError {
        index: opaque(),
        error: opaque(),
        lost: opaque(),
    });
    error::<ReleaseError>(&ReleaseError {
        index: opaque(),
        error: opaque(),
        count: opaque(),
    });
}

fn races() {
    pin_fast(&BiasedRefs::new(opaque()));
    pin_fast(&LargePageRefs::with_pins(opaque(), opaque()));
    pin_fast(&PinWord::from_bits(opaque()));
    pin_fast(&PageRefs::from_bits(opaque()));
    pin_fast(&opaque::<AnyPage>());
    keep(race::second_look(opaque));
    error::<FastPinError>(&opaque());
    keep(FastPinError::from(opaque::<PinError>()));
}

fn pin_fast<P: Pinnable>(page: &P) {
    keep(race::pin_fast(
        hidden(page),
        opaque(),
        opaque::<u64>(),
        opaque,
    ));
}

fn readings() {
    read(&opaque::<PlainPage>());
    read(&opaque::<AnyPage>());
    read(&BarePage);
    keep(Refined::estimate::<PIN_BIAS>(opaque(), opaque()));
    keep(Refined::estimate::<2>(opaque(), opaque()));
    keep(Refined::estimate::<7>(opaque(), opaque()));
    keep(Refined::estimate::<{ u32::MAX }>(opaque(), opaque()));
    keep(Pins::exactly(opaque()));
    keep(Pins::maybe_pinned(opaque()));
    keep(Pins::longterm(opaque()));
    keep(Pins::maybe_longterm(opaque()));
    print::<Pins>(&opaque());
    debug::<PinCount>(&opaque());
    debug::<Biased>(&Biased);
    debug::<Refined>(&Refined);
}

fn read<P: PageLike>(page: &P) {
    keep(<Biased as PinReading>::read(page));
    keep(<Biased as PinReading>::evidence(page));
    keep(<Refined as PinReading>::evidence(page));
    keep(<Refined as PinReading>::read(page));
    keep(<Biased as PinReading>::read_with(page, opaque()));
    keep(<Refined as PinReading>::read_with(page, opaque()));
}
