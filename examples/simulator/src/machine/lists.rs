//! The machine's lists of frames, and a count of the operations on them.

use super::frame::Frame;
use pinfold::reclaim::{Link, ListError, Lru, PageLists, Place};

/// All lists of the machine, and the parked frames.
#[derive(Debug)]
pub struct FrameLists<'a> {
    frames: &'a [Frame],
    lists: PageLists<Vec<Link>>,
    /// How often a frame was put on a list or off it.
    pub operations: u64,
}

impl<'a> FrameLists<'a> {
    pub fn new(frames: &'a [Frame]) -> Self {
        Self {
            frames,
            lists: PageLists::new(vec![Link::default(); frames.len()]),
            operations: 0,
        }
    }

    /// Where a frame is; `None` if it is on no list and not parked.
    pub fn place(&self, frame: &Frame) -> Option<Place> {
        self.lists.place(frame.index)
    }

    /// How many frames are on a list.
    pub fn pages(&self, list: Lru) -> u64 {
        self.lists.pages(list)
    }

    /// How many frames are parked.
    pub fn parked(&self) -> u64 {
        self.lists.pages_parked()
    }

    /// Puts a frame at the young end.
    pub fn put(&mut self, list: Lru, frame: &Frame) {
        let put = self.lists.put(list, frame.index, 1);
        self.count(put);
    }

    /// Puts a frame at the old end, where the next scan finds it first.
    pub fn put_old(&mut self, list: Lru, frame: &Frame) {
        self.put(list, frame);
        let moved = self.lists.make_oldest(frame.index);
        debug_assert_eq!(moved, Ok(()));
    }

    pub fn park(&mut self, frame: &Frame) {
        let parked = self.lists.park(frame.index, 1);
        self.count(parked);
    }

    /// Takes a frame off the list that it is on, or out of the parked ones; `false` if it is on none.
    pub fn remove(&mut self, frame: &Frame) -> bool {
        let removed = self.lists.remove(frame.index).is_ok();
        self.operations += u64::from(removed);
        removed
    }

    /// Takes a frame off its list; `false` if it is on none, or parked.
    pub fn remove_lru(&mut self, frame: &Frame) -> bool {
        self.place(frame) != Some(Place::Parked) && self.remove(frame)
    }

    /// Takes the oldest frame off a list.
    pub fn take(&mut self, list: Lru) -> Option<&'a Frame> {
        let number = self.lists.take(list)?;
        self.operations += 1;
        self.frames.get(number as usize)
    }

    /// Takes the frame that was parked longest.
    pub fn take_parked(&mut self) -> Option<&'a Frame> {
        let number = self.lists.take_parked()?;
        self.operations += 1;
        self.frames.get(number as usize)
    }

    fn count(&mut self, put: Result<(), ListError>) {
        debug_assert_eq!(put, Ok(()), "a frame is in one place");
        self.operations += 1;
    }
}
