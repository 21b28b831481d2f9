//! Flags, pages and VMAs.

use super::embedder::{AnyPage, BarePage};
use super::text::{debug, error};
use crate::{hidden, keep, opaque};
use pinfold::pin::Refined;
use pinfold::reclaim::ScanFlags;
use pinfold::{
    BadFlags, PageFlags, PageLike, PageSnapshot, PlainPage, PlainVma, PteFlags, UnmapFlags,
    VmFlags, Vma,
};

pub fn call() {
    flags();
    pages();
    vmas();
}

fn flags() {
    keep(UnmapFlags::try_from(opaque::<u32>()));
    keep(UnmapFlags::check(opaque()));
    keep(UnmapFlags::for_reclaim(opaque(), opaque()));
    keep(PageFlags::is_compound(opaque()));
    keep(PageFlags::has_mapping(opaque()));
    keep(PageFlags::counts_as_io(opaque()));
    keep(PageFlags::frees_swap(opaque(), opaque()));
    keep((ScanFlags::direct(), ScanFlags::background()));
    keep(ScanFlags::proactive());
    keep(ScanFlags::may_enter_fs(opaque(), opaque()));
    debug::<UnmapFlags>(&opaque());
    debug::<PageFlags>(&opaque());
    debug::<VmFlags>(&opaque());
    debug::<PteFlags>(&opaque());
    debug::<ScanFlags>(&opaque());
    error::<BadFlags>(&BadFlags::Unknown(opaque()));
    error::<BadFlags>(&BadFlags::Munlock(opaque()));
    set_of_flags();
}

/// What bitflags makes, once: it is the same for every set.
fn set_of_flags() {
    let mut flags: PageFlags = opaque();
    keep(PageFlags::from_bits(opaque()));
    keep(PageFlags::from_bits_truncate(opaque()));
    keep(PageFlags::from_name(hidden("DIRTY")));
    flags.insert(opaque());
    flags.remove(opaque());
    flags.toggle(opaque());
    flags.set(opaque(), opaque());
    flags.extend(opaque::<[PageFlags; 2]>());
    flags |= (opaque::<PageFlags>() & opaque()) ^ !(opaque::<PageFlags>() - opaque());
    keep(flags.iter().collect::<PageFlags>());
    flags.iter_names().for_each(keep);
    keep((flags.is_all(), flags.is_empty(), flags.bits()));
}

fn pages() {
    page(&opaque::<PlainPage>());
    page(&BarePage);
    page(&opaque::<AnyPage>());
    page(&&opaque::<AnyPage>());
    page(&&mut opaque::<AnyPage>());
    page::<dyn PageLike>(hidden(&opaque::<AnyPage>()));
    debug::<PlainPage>(&opaque());
    debug::<PageSnapshot>(&opaque());
}

fn page<P: PageLike + ?Sized>(page: &P) {
    keep(PageLike::flags(page));
    keep(PageLike::ref_count(page));
    keep(PageLike::map_count(page));
    keep(PageLike::exact_pins(page));
    keep(PageLike::longterm_pins(page));
    keep(PageLike::base_pages(page));
    keep(PageLike::base_shift(page));
    keep(PageLike::size(page));
    keep(PageLike::explained_refs(page, opaque(), opaque()));
    keep(PageLike::snapshot(page));
    keep(Refined::counts(page, opaque()));
}

fn vmas() {
    vma(&opaque::<PlainVma>());
    vma(&&opaque::<PlainVma>());
    vma(&&mut opaque::<PlainVma>());
    debug::<PlainVma>(&opaque());
}

fn vma<V: Vma>(vma: &V) {
    keep(Vma::flags(vma));
    keep(Vma::range(vma));
}
