//! First in, first out: a ring of objects.

use super::{AHEAD, Cache};
use crate::index::Index;

/// The cache: 8 bytes a page, and its share of the index.
#[derive(Debug)]
pub struct Fifo {
    index: Index,
    ring: Vec<u64>,
    frames: usize,
    oldest: usize,
}

impl Cache for Fifo {
    fn with_frames(frames: u32) -> Self {
        Self {
            index: Index::with_places(frames as usize),
            ring: Vec::with_capacity(frames as usize),
            frames: frames as usize,
            oldest: 0,
        }
    }

    #[inline]
    fn access(&mut self, object: u64, hash: u32) -> bool {
        let ring = &self.ring;
        let found = self.index.find(hash, |at| ring[at as usize] == object);
        if found.is_some() {
            return true;
        }
        if self.ring.len() < self.frames {
            self.ring.push(object);
            self.index.insert(hash, self.ring.len() as u32 - 1);
            return false;
        }
        let at = self.oldest;
        let gone = std::mem::replace(&mut self.ring[at], object);
        self.index.remove(Index::hash(gone), at as u32);
        self.index.insert(hash, at as u32);
        self.oldest = if at + 1 == self.frames { 0 } else { at + 1 };
        false
    }

    fn warm(&mut self, hashes: &[u32]) -> u64 {
        let mut places = [0; AHEAD];
        for (place, &hash) in places.iter_mut().zip(hashes) {
            *place = self.index.warm(hash);
        }
        places[..hashes.len()].iter().fold(0, |sum, &place| {
            let at = place as usize;
            sum ^ self.ring.get(at).copied().unwrap_or(0)
        })
    }

    fn resident(&self) -> u64 {
        self.ring.len() as u64
    }

    fn bytes(&self) -> usize {
        self.index.bytes() + self.ring.capacity() * size_of::<u64>()
    }
}
