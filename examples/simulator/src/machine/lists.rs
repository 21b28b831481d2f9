//! Lists of frames: doubly linked through the frames themselves.

use super::frame::{Frame, NONE};
use pinfold::reclaim::Lru;

/// A frame that is on no list.
pub const NOWHERE: u8 = u8::MAX;
/// The list of parked frames; the others are those of [`Lru`].
pub const PARKED: u8 = 4;

/// The number of an LRU list.
pub const fn of(list: Lru) -> u8 {
    match list {
        Lru::InactiveAnon => 0,
        Lru::ActiveAnon => 1,
        Lru::InactiveFile => 2,
        Lru::ActiveFile => 3,
    }
}

/// Which frames are in which order on one list.
#[derive(Debug, Clone, Copy)]
pub struct List {
    oldest: u32,
    youngest: u32,
    pub len: u32,
}

/// All lists of the machine.
#[derive(Debug)]
pub struct LruLists<'a> {
    frames: &'a [Frame],
    lists: [List; 5],
    /// How often a frame was put on a list or off it.
    pub operations: u64,
}

impl<'a> LruLists<'a> {
    pub fn new(frames: &'a [Frame]) -> Self {
        let empty = List {
            oldest: NONE,
            youngest: NONE,
            len: 0,
        };
        Self {
            frames,
            lists: [empty; 5],
            operations: 0,
        }
    }

    pub fn len(&self, list: u8) -> u32 {
        self.lists[list as usize].len
    }

    /// Puts a frame at the young end.
    pub fn put(&mut self, list: u8, frame: &'a Frame) {
        self.put_at::<false>(list, frame);
    }

    /// Puts a frame at the old end, where the next scan finds it first.
    pub fn put_old(&mut self, list: u8, frame: &'a Frame) {
        self.put_at::<true>(list, frame);
    }

    fn put_at<const OLD: bool>(&mut self, list: u8, frame: &'a Frame) {
        debug_assert_eq!(frame.on.get(), NOWHERE);
        let ends = &mut self.lists[list as usize];
        let (end, other_end) = if OLD {
            (&mut ends.oldest, &mut ends.youngest)
        } else {
            (&mut ends.youngest, &mut ends.oldest)
        };
        let outward = |frame: &'a Frame| if OLD { &frame.older } else { &frame.younger };
        let inward = if OLD { &frame.younger } else { &frame.older };
        frame.on.set(list);
        inward.set(*end);
        outward(frame).set(NONE);
        if *end == NONE {
            *other_end = frame.index;
        } else {
            outward(&self.frames[*end as usize]).set(frame.index);
        }
        *end = frame.index;
        ends.len += 1;
        self.operations += 1;
    }

    /// Takes a frame off the list that it is on; `false` if it is on none.
    pub fn remove(&mut self, frame: &'a Frame) -> bool {
        let list = frame.on.get();
        if list == NOWHERE {
            return false;
        }
        let ends = &mut self.lists[list as usize];
        let (older, younger) = (frame.older.get(), frame.younger.get());
        match older {
            NONE => ends.oldest = younger,
            older => self.frames[older as usize].younger.set(younger),
        }
        match younger {
            NONE => ends.youngest = older,
            younger => self.frames[younger as usize].older.set(older),
        }
        ends.len -= 1;
        frame.on.set(NOWHERE);
        self.operations += 1;
        true
    }

    /// Takes a frame off its LRU list; `false` if it is on none, or parked.
    pub fn remove_lru(&mut self, frame: &'a Frame) -> bool {
        frame.on.get() != PARKED && self.remove(frame)
    }

    /// Takes the oldest frame off a list.
    pub fn take(&mut self, list: u8) -> Option<&'a Frame> {
        let oldest = self.lists[list as usize].oldest;
        let frame = self.frames.get(oldest as usize)?;
        self.remove(frame);
        Some(frame)
    }
}
