//! Least recently used: a list through the pages, youngest to oldest.

use super::Cache;
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

    #[inline]
    fn warm(&self, hash: u32) -> u64 {
        let at = self.index.warm(hash) as usize;
        match self.nodes.get(at) {
            Some(node) => {
                let older = self.nodes[node.older as usize].older;
                let younger = self.nodes[node.younger as usize].younger;
                u64::from(older ^ younger)
            }
            None => 0,
        }
    }

    fn resident(&self) -> u64 {
        self.nodes.len() as u64 - 1
    }

    fn bytes(&self) -> usize {
        self.index.bytes() + self.nodes.capacity() * size_of::<Node>()
    }
}
