//! Least recently used: a list through the pages, youngest to oldest.

use super::{AHEAD, Cache};
use crate::index::Index;

#[derive(Debug, Clone, Copy)]
struct Node {
    object: u64,
    older: u32,
    younger: u32,
}

/// The cache: 16 bytes a page, and its share of the index.
#[derive(Debug)]
pub struct Lru {
    index: Index,
    /// The first is the head: its `older` is the youngest page, its `younger` the oldest.
    nodes: Vec<Node>,
    frames: usize,
}

impl Lru {
    #[inline]
    fn unlink(&mut self, at: u32) {
        let Node { older, younger, .. } = self.nodes[at as usize];
        self.nodes[younger as usize].older = older;
        self.nodes[older as usize].younger = younger;
    }

    #[inline]
    fn link_youngest(&mut self, at: u32) {
        let before = self.nodes[0].older;
        self.nodes[0].older = at;
        self.nodes[before as usize].younger = at;
        let node = &mut self.nodes[at as usize];
        node.older = before;
        node.younger = 0;
    }
}

impl Cache for Lru {
    fn with_frames(frames: u32) -> Self {
        let mut nodes = Vec::with_capacity(frames as usize + 1);
        nodes.push(Node {
            object: 0,
            older: 0,
            younger: 0,
        });
        Self {
            index: Index::with_places(frames as usize),
            nodes,
            frames: frames as usize,
        }
    }

    #[inline]
    fn access(&mut self, object: u64, hash: u32) -> bool {
        let nodes = &self.nodes;
        let found = self
            .index
            .find(hash, |at| nodes[at as usize].object == object);
        if let Some(at) = found {
            if self.nodes[0].older != at {
                self.unlink(at);
                self.link_youngest(at);
            }
            return true;
        }
        let at = if self.nodes.len() <= self.frames {
            self.nodes.push(Node {
                object,
                older: 0,
                younger: 0,
            });
            self.nodes.len() as u32 - 1
        } else {
            let oldest = self.nodes[0].younger;
            let gone = self.nodes[oldest as usize].object;
            self.index.remove(Index::hash(gone), oldest);
            self.unlink(oldest);
            self.nodes[oldest as usize].object = object;
            oldest
        };
        self.index.insert(hash, at);
        self.link_youngest(at);
        false
    }

    fn warm(&self, hashes: &[u32]) -> u64 {
        // Step by step for all of them, since each step waits for the one before it.
        let mut places = [0; AHEAD];
        for (place, &hash) in places.iter_mut().zip(hashes) {
            *place = self.index.warm(hash);
        }
        let mut nodes = [self.nodes[0]; AHEAD];
        for (node, &place) in nodes.iter_mut().zip(&places[..hashes.len()]) {
            if let Some(there) = self.nodes.get(place as usize) {
                *node = *there;
            }
        }
        nodes[..hashes.len()].iter().fold(0, |sum, node| {
            let older = self.nodes[node.older as usize].object;
            sum ^ older ^ self.nodes[node.younger as usize].object
        })
    }

    fn resident(&self) -> u64 {
        self.nodes.len() as u64 - 1
    }

    fn bytes(&self) -> usize {
        self.index.bytes() + self.nodes.capacity() * size_of::<Node>()
    }
}
