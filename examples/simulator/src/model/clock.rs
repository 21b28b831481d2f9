//! Clock, or second chance: a ring with one bit for "used since the hand came by".

use super::{AHEAD, Cache};
use crate::index::Index;

/// The cache: 9 bytes a page, and its share of the index.
#[derive(Debug)]
pub struct Clock {
    index: Index,
    ring: Vec<u64>,
    used: Vec<bool>,
    frames: usize,
    hand: usize,
}

impl Cache for Clock {
    fn with_frames(frames: u32) -> Self {
        Self {
            index: Index::with_places(frames as usize),
            ring: Vec::with_capacity(frames as usize),
            used: Vec::with_capacity(frames as usize),
            frames: frames as usize,
            hand: 0,
        }
    }

    #[inline]
    fn access(&mut self, object: u64, hash: u32) -> bool {
        let ring = &self.ring;
        let found = self.index.find(hash, |at| ring[at as usize] == object);
        if let Some(at) = found {
            self.used[at as usize] = true;
            return true;
        }
        if self.ring.len() < self.frames {
            self.ring.push(object);
            self.used.push(false);
            self.index.insert(hash, self.ring.len() as u32 - 1);
            return false;
        }
        while std::mem::replace(&mut self.used[self.hand], false) {
            self.advance();
        }
        let at = self.hand;
        let gone = std::mem::replace(&mut self.ring[at], object);
        self.index.remove(Index::hash(gone), at as u32);
        self.index.insert(hash, at as u32);
        self.advance();
        false
    }

    fn warm(&mut self, hashes: &[u32]) -> u64 {
        let mut places = [0; AHEAD];
        for (place, &hash) in places.iter_mut().zip(hashes) {
            *place = self.index.warm(hash);
        }
        places[..hashes.len()].iter().fold(0, |sum, &place| {
            let at = place as usize;
            sum ^ match (self.ring.get(at), self.used.get(at)) {
                (Some(object), Some(used)) => object ^ u64::from(*used),
                _ => 0,
            }
        })
    }

    fn resident(&self) -> u64 {
        self.ring.len() as u64
    }

    fn bytes(&self) -> usize {
        self.index.bytes() + self.ring.capacity() * size_of::<u64>() + self.used.capacity()
    }
}

impl Clock {
    #[inline]
    fn advance(&mut self) {
        self.hand += 1;
        if self.hand == self.frames {
            self.hand = 0;
        }
    }
}
