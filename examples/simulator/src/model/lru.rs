//! Least recently used, as a log: each use appends the page, and only its last entry counts.
//!
//! A linked list touches the neighbours of every page that is used, each somewhere else in memory.
//! The log is written and read in order; what is no longer the last use of its page is passed by at
//! the old end, and left behind when the log is full and moves to its beginning.

use super::{AHEAD, Cache};
use crate::index::Index;

/// So many entries of the log for each page.
const LOG: usize = 3;

/// The cache: 24 bytes a page, and its share of the index.
#[derive(Debug)]
pub struct Lru {
    index: Index,
    objects: Vec<u64>,
    /// Where in the log each page was used last.
    used: Vec<u32>,
    log: Vec<u32>,
    /// Entries before this one are passed.
    oldest: usize,
    /// Entries before this one have been read ahead.
    warmed: usize,
    frames: usize,
}

impl Lru {
    #[inline]
    fn note(&mut self, at: u32) {
        if self.log.len() == self.log.capacity() {
            self.compact();
        }
        self.used[at as usize] = self.log.len() as u32;
        self.log.push(at);
    }

    /// Moves the last uses to the beginning of the log.
    #[cold]
    fn compact(&mut self) {
        let mut kept = 0;
        for read in self.oldest..self.log.len() {
            let at = self.log[read];
            let used = &mut self.used[at as usize];
            if *used as usize == read {
                *used = kept as u32;
                self.log[kept] = at;
                kept += 1;
            }
        }
        self.log.truncate(kept);
        (self.oldest, self.warmed) = (0, 0);
    }

    /// The page that was used longest ago; there is one.
    #[inline]
    fn take_oldest(&mut self) -> u32 {
        loop {
            let at = self.log[self.oldest];
            self.oldest += 1;
            if self.used[at as usize] as usize == self.oldest - 1 {
                return at;
            }
        }
    }
}

impl Cache for Lru {
    fn with_frames(frames: u32) -> Self {
        let frames = frames as usize;
        Self {
            index: Index::with_places(frames),
            objects: Vec::with_capacity(frames),
            used: Vec::with_capacity(frames),
            // More than one for each page: moving to the beginning always makes room.
            log: Vec::with_capacity(LOG * frames + AHEAD),
            oldest: 0,
            warmed: 0,
            frames,
        }
    }

    #[inline]
    fn access(&mut self, object: u64, hash: u32) -> bool {
        let objects = &self.objects;
        let found = self.index.find(hash, |at| objects[at as usize] == object);
        if let Some(at) = found {
            if self.used[at as usize] as usize + 1 != self.log.len() {
                self.note(at);
            }
            return true;
        }
        let at = if self.objects.len() < self.frames {
            self.objects.push(object);
            self.used.push(0);
            self.objects.len() as u32 - 1
        } else {
            let oldest = self.take_oldest();
            let gone = std::mem::replace(&mut self.objects[oldest as usize], object);
            self.index.remove(Index::hash(gone), oldest);
            oldest
        };
        self.index.insert(hash, at);
        self.note(at);
        false
    }

    fn warm(&mut self, hashes: &[u32]) -> u64 {
        let mut sum = 0;
        // Step by step for all of them, since each step waits for the one before it.
        let mut places = [0; AHEAD];
        for (place, &hash) in places.iter_mut().zip(hashes) {
            *place = self.index.warm(hash);
        }
        for &place in &places[..hashes.len()] {
            let at = place as usize;
            if let (Some(object), Some(used)) = (self.objects.get(at), self.used.get(at)) {
                sum ^= object ^ u64::from(*used);
            }
        }
        if self.objects.len() == self.frames {
            let until = self.log.len().min(self.oldest + AHEAD);
            for entry in self.warmed.max(self.oldest)..until {
                let at = self.log[entry] as usize;
                if self.used[at] as usize == entry {
                    sum ^= u64::from(self.index.warm(Index::hash(self.objects[at])));
                }
            }
            self.warmed = until;
        }
        sum
    }

    fn resident(&self) -> u64 {
        self.objects.len() as u64
    }

    fn bytes(&self) -> usize {
        self.index.bytes()
            + self.objects.capacity() * size_of::<u64>()
            + (self.used.capacity() + self.log.capacity()) * size_of::<u32>()
    }
}
