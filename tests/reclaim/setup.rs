//! A machine with a page of every kind.

use crate::model::{Frame, Machine};
use pinfold::PageFlags;
use pinfold::reclaim::Lru;

pub(crate) const ANON: usize = 8;
pub(crate) const FILE: usize = 8;
pub(crate) const FRAMES: usize = 40;

/// A machine with pages of every kind but pinned and huge ones, none used of late.
pub(crate) fn populated(frames: &[Frame]) -> Machine<'_> {
    let mut machine = Machine::new(frames, ANON, FILE, 64);
    machine.config.defers = true;
    for page in 0..ANON + 2 * FILE {
        machine.write(0, page).unwrap();
    }
    // Shared with a child; freed lazily, and one of them written to again.
    machine.fork(0, 1);
    for page in 0..3 {
        machine.write(2, page).unwrap();
        machine.free_lazily(2, page);
    }
    machine.write(2, 2).unwrap();
    // File pages: clean ones, with buffers, marked, under writeback; and one cut off with buffers.
    machine.flush_files();
    let cached = |machine: &Machine<'_>, at: usize| {
        let frame: &Frame = &frames[machine.files[0][at].frame.unwrap()];
        frame.index
    };
    machine.write(0, ANON).unwrap();
    for at in 2..5 {
        let frame = &frames[cached(&machine, at)];
        frame.refs.try_get_ref().unwrap();
        frame.set(PageFlags::PRIVATE, true);
    }
    machine.truncate(0, 4);
    let marked = &frames[cached(&machine, 5)];
    marked.set(PageFlags::WRITEBACK | PageFlags::RECLAIM, true);
    frames[cached(&machine, 6)].set(PageFlags::REFERENCED, true);
    machine.write(1, ANON + 7).unwrap();
    for frame in frames {
        machine.make_old(frame);
    }
    // Marked dirty pages, which a background reclaimer writes on a node that is full of them.
    let dirty = &frames[cached(&machine, 7)];
    dirty.set(PageFlags::DIRTY | PageFlags::RECLAIM, true);
    machine.check();
    machine
}

/// Moves every other page to its active list.
pub(crate) fn activate_some(machine: &mut Machine<'_>) {
    for list in [Lru::InactiveAnon, Lru::InactiveFile] {
        for index in machine.lists[list as usize].clone().into_iter().step_by(2) {
            let frame = &machine.frames[index];
            let mut flags = frame.flags.get();
            flags.insert(PageFlags::ACTIVE);
            machine.isolate(frame);
            machine.place_on(Lru::of(flags), frame);
        }
    }
    machine.check();
}
