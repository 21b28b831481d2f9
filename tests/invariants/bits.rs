//! What a swap or migration entry carries of the entry that it replaced: `bits_carried`.

use crate::story::{SWAP, Story, TAKEN};
use pinfold::invariants::{Broken, EntryKind, bits_carried};
use pinfold::{PageFlags, PteFlags, UnmapFlags};

#[test]
fn an_entry_in_its_place_carries_its_bits() {
    const SOFT: PteFlags = PteFlags::SOFT_DIRTY;
    const WP: PteFlags = PteFlags::UFFD_WP;
    const WRITE: PteFlags = PteFlags::WRITABLE;
    const ALL: PteFlags = SOFT.union(WP).union(WRITE).union(PteFlags::DIRTY);
    const NONE: PteFlags = PteFlags::empty();
    const DEVICE: PageFlags = PageFlags::ZONE_DEVICE.union(PageFlags::DEVICE_PRIVATE);
    use EntryKind::{Empty, Migration, Poison, Present, Swap};
    for (page, kind, had, has, carried) in [
        (SWAP, Swap, ALL, SOFT | WP, true),
        (SWAP, Swap, ALL, SOFT, false),
        (SWAP, Swap, ALL, WP, false),
        (SWAP, Swap, ALL, NONE, false),
        (SWAP, Swap, WRITE, NONE, true),
        (SWAP, Swap, WP, WP, true),
        (SWAP, Swap, WP, WP | SOFT, false),
        (SWAP, Migration, ALL, SOFT | WP | WRITE, true),
        // What later versions of Linux carry.
        (SWAP, Migration, ALL, ALL, true),
        (SWAP, Migration, ALL, SOFT | WP, false),
        (SWAP, Migration, ALL, SOFT | WRITE, false),
        (SWAP, Migration, ALL, WP | WRITE, false),
        (SWAP, Migration, WP, WP | WRITE, false),
        (SWAP, Migration, NONE, NONE, true),
        (DEVICE, Migration, ALL, SOFT | WP, true),
        (DEVICE, Migration, ALL, SOFT, false),
        (SWAP, Empty, ALL, NONE, true),
        (SWAP, Poison, ALL, NONE, true),
        (SWAP, Present, ALL, NONE, true),
    ] {
        let mut story = Story::reclaimed();
        story.ask(UnmapFlags::MIGRATION);
        story.before.page = page;
        story.old[0].flags = had;
        (story.new[0].kind, story.new[0].flags) = (kind, has);
        let address = TAKEN;
        let broken = Err(Broken::BitsNotCarried { address, had, has });
        let expected = if carried { Ok(()) } else { broken };
        assert_eq!(bits_carried(&story.walk()), expected, "{kind:?}");
    }
}
