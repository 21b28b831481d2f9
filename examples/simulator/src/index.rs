//! A compact hash index: from a 64-bit object to a 32-bit place, 8 bytes a slot.
//!
//! Linear probing with deletion by shifting back. A slot holds 32 bits of the object's hash beside the
//! place; they say where the probe began, so that neither growing nor deleting touches the objects
//! themselves, and a lookup nearly never touches a wrong one.

const EMPTY: u64 = u64::MAX;

/// The index. Whoever owns it also holds the objects, and says whether a place has the right one.
#[derive(Debug, Clone)]
pub struct Index {
    slots: Vec<u64>,
    used: usize,
}

impl Index {
    /// An index with room for `places`, at most 5/8 full.
    pub fn with_places(places: usize) -> Self {
        let slots = (places.max(8) as u64 * 8 / 5 + 1) as usize;
        Self {
            slots: vec![EMPTY; slots],
            used: 0,
        }
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    /// The hash of an object: multiply and fold, so that all its bits count.
    #[inline]
    pub fn hash(object: u64) -> u32 {
        let wide = u128::from(object ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
        let folded = (wide as u64) ^ ((wide >> 64) as u64);
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() {
            0
        } else {
            at + 1
        }
    }

    /// The first slot that a lookup of this hash reads, so that it is in the cache when it does.
    #[inline]
    pub fn warm(&self, hash: u32) -> u32 {
        self.slots[self.home(hash)] as u32
    }

    /// The place of an object with this hash, for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return None;
            }
            if (slot >> 32) as u32 == hash && is_it(slot as u32) {
                return Some(slot as u32);
            }
            at = self.after(at);
        }
    }

    /// Adds an object that is not there.
    #[inline]
    pub fn insert(&mut self, hash: u32, place: u32) {
        if self.used * 3 >= self.slots.len() * 2 {
            self.grow();
        }
        self.used += 1;
        self.put(u64::from(hash) << 32 | u64::from(place));
    }

    fn put(&mut self, slot: u64) {
        let mut at = self.home((slot >> 32) as u32);
        while self.slots[at] != EMPTY {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    #[cold]
    fn grow(&mut self) {
        let doubled = vec![EMPTY; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, doubled);
        for slot in old {
            if slot != EMPTY {
                self.put(slot);
            }
        }
    }

    /// Takes out the object at `place`, which is there.
    #[inline]
    pub fn remove(&mut self, hash: u32, place: u32) {
        let slot = u64::from(hash) << 32 | u64::from(place);
        let mut hole = self.home(hash);
        while self.slots[hole] != slot {
            debug_assert_ne!(self.slots[hole], EMPTY);
            hole = self.after(hole);
        }
        self.used -= 1;
        let len = self.slots.len();
        let mut at = hole;
        loop {
            at = self.after(at);
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            // It may move into the hole unless its home lies between the hole and itself.
            let home = self.home((slot >> 32) as u32);
            let from_home = if at >= home {
                at - home
            } else {
                at + len - home
            };
            let from_hole = if at >= hole {
                at - hole
            } else {
                at + len - hole
            };
            if from_home >= from_hole {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::Index;
    use rand::{RngExt, SeedableRng};
    use std::collections::HashMap;

    #[test]
    fn behaves_as_a_map_does() {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
        let mut index = Index::with_places(8);
        let mut objects = Vec::new();
        let mut model = HashMap::new();
        for _ in 0..50_000 {
            let object: u64 = rng.random_range(0..400) * 0x1000;
            let hash = Index::hash(object);
            let found = index.find(hash, |place| objects[place as usize] == object);
            assert_eq!(found, model.get(&object).copied());
            match found {
                Some(place) if rng.random_bool(0.5) => {
                    index.remove(hash, place);
                    model.remove(&object);
                }
                Some(_) => {}
                None => {
                    let place = objects.len() as u32;
                    objects.push(object);
                    index.insert(hash, place);
                    model.insert(object, place);
                }
            }
        }
    }
}
