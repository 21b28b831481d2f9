//! The ready-made lists against plain queues, and at their ends.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use pinfold::reclaim::{Link, ListError, Lru, PageLists, Place};
use proptest::prelude::*;
use std::collections::VecDeque;

const PLACES: [Place; 5] = [
    Place::List(Lru::InactiveAnon),
    Place::List(Lru::ActiveAnon),
    Place::List(Lru::InactiveFile),
    Place::List(Lru::ActiveFile),
    Place::Parked,
];

#[derive(Debug, Clone, Copy)]
enum Op {
    Put(usize, u32, u32),
    Take(usize),
    Remove(u32),
    MakeOldest(u32),
}

/// One queue for each place: the number of a page and its base pages, the oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    links: u32,
    queues: [VecDeque<(u32, u32)>; 5],
}

impl Model {
    fn find(&self, page: u32) -> Option<(usize, usize)> {
        let find =
            |queue: &VecDeque<(u32, u32)>| queue.iter().position(|&(other, _)| other == page);
        let mut places = self.queues.iter().enumerate();
        places.find_map(|(place, queue)| Some((place, find(queue)?)))
    }

    fn find_listed(&self, page: u32) -> Result<(usize, usize), ListError> {
        if page >= self.links {
            return Err(ListError::NoSuchPage(page));
        }
        self.find(page).ok_or(ListError::NotListed(page))
    }

    fn put(&mut self, place: usize, page: u32, base_pages: u32) -> Result<(), ListError> {
        match self.find_listed(page) {
            Err(ListError::NotListed(_)) => {
                self.queues[place].push_back((page, base_pages));
                Ok(())
            }
            Err(error) => Err(error),
            Ok(_) => Err(ListError::Listed(page)),
        }
    }

    fn remove(&mut self, page: u32) -> Result<Place, ListError> {
        let (place, at) = self.find_listed(page)?;
        self.queues[place].remove(at);
        Ok(PLACES[place])
    }

    fn make_oldest(&mut self, page: u32) -> Result<(), ListError> {
        let (place, at) = self.find_listed(page)?;
        let moved = self.queues[place].remove(at).unwrap();
        self.queues[place].push_front(moved);
        Ok(())
    }

    fn pages(&self, place: usize) -> u64 {
        let pages = self.queues[place]
            .iter()
            .map(|&(_, pages)| u64::from(pages));
        pages.fold(0, u64::saturating_add)
    }
}

fn put<S: AsRef<[Link]> + AsMut<[Link]>>(
    lists: &mut PageLists<S>,
    place: usize,
    page: u32,
    base_pages: u32,
) -> Result<(), ListError> {
    match PLACES[place] {
        Place::List(list) => lists.put(list, page, base_pages),
        Place::Parked => lists.park(page, base_pages),
    }
}

fn take<S: AsRef<[Link]> + AsMut<[Link]>>(lists: &mut PageLists<S>, place: usize) -> Option<u32> {
    match PLACES[place] {
        Place::List(list) => lists.take(list),
        Place::Parked => lists.take_parked(),
    }
}

/// Places and counts are the model's.
fn assert_alike<S: AsRef<[Link]> + AsMut<[Link]>>(lists: &PageLists<S>, model: &Model) {
    for page in (0..model.links).chain([model.links, u32::MAX - 1, u32::MAX]) {
        let place = model.find(page).map(|(place, _)| PLACES[place]);
        assert_eq!(lists.place(page), place, "page {page}");
    }
    for (at, place) in PLACES.into_iter().enumerate() {
        let pages = match place {
            Place::List(list) => lists.pages(list),
            Place::Parked => lists.pages_parked(),
        };
        assert_eq!(pages, model.pages(at), "{place:?}");
    }
}

fn op() -> impl Strategy<Value = Op> {
    // One link more than there are, and numbers that no slice has.
    let page = || prop_oneof![20 => 0u32..9, 1 => Just(u32::MAX - 1), 1 => Just(u32::MAX)];
    let base_pages = prop_oneof![4 => 1u32..600, 1 => Just(0), 1 => Just(u32::MAX)];
    prop_oneof![
        4 => (0usize..5, page(), base_pages).prop_map(|(place, page, n)| Op::Put(place, page, n)),
        2 => (0usize..5).prop_map(Op::Take),
        2 => page().prop_map(Op::Remove),
        2 => page().prop_map(Op::MakeOldest),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn they_are_queues(links in 0u32..9, ops in prop::collection::vec(op(), 0..120)) {
        let mut lists = PageLists::new(vec![Link::default(); links as usize]);
        let mut model = Model { links, ..Model::default() };
        for op in ops {
            let before = model.clone();
            let refused = match op {
                Op::Put(place, page, base_pages) => {
                    let result = put(&mut lists, place, page, base_pages);
                    prop_assert_eq!(result, model.put(place, page, base_pages));
                    result.is_err()
                }
                Op::Take(place) => {
                    let taken = take(&mut lists, place);
                    let oldest = model.queues[place].pop_front();
                    prop_assert_eq!(taken, oldest.map(|(page, _)| page));
                    taken.is_none()
                }
                Op::Remove(page) => {
                    let result = lists.remove(page);
                    prop_assert_eq!(result, model.remove(page));
                    result.is_err()
                }
                Op::MakeOldest(page) => {
                    let result = lists.make_oldest(page);
                    prop_assert_eq!(result, model.make_oldest(page));
                    result.is_err()
                }
            };
            prop_assert!(!refused || model == before, "refused, and changed");
            assert_alike(&lists, &model);
        }
        // The order, too.
        for (place, queue) in model.queues.iter().enumerate() {
            for &(page, _) in queue {
                prop_assert_eq!(take(&mut lists, place), Some(page));
            }
            prop_assert_eq!(take(&mut lists, place), None);
        }
        assert_alike(&lists, &Model { links, ..Model::default() });
    }
}

#[test]
fn the_first_and_the_last_page() {
    const LAST: u32 = 99;
    let mut lists = PageLists::new([Link::default(); 100]);
    for order in [[0, LAST], [LAST, 0]] {
        for page in order {
            lists.put(Lru::ActiveAnon, page, 1).unwrap();
        }
        lists.make_oldest(order[1]).unwrap();
        assert_eq!(lists.take(Lru::ActiveAnon), Some(order[1]));
        assert_eq!(lists.remove(order[0]), Ok(Place::List(Lru::ActiveAnon)));
        assert_eq!(lists.take(Lru::ActiveAnon), None);
        assert_eq!(lists.pages(Lru::ActiveAnon), 0);
    }
    for page in [LAST + 1, u32::MAX - 1, u32::MAX] {
        let error = ListError::NoSuchPage(page);
        assert_eq!(lists.put(Lru::ActiveAnon, page, 1), Err(error));
        assert_eq!(lists.park(page, 1), Err(error));
        assert_eq!(lists.remove(page), Err(error));
        assert_eq!(lists.make_oldest(page), Err(error));
        assert_eq!(lists.place(page), None);
    }
}

#[test]
fn no_links_at_all() {
    let mut lists = PageLists::<[Link; 0]>::new([]);
    let error = ListError::NoSuchPage(0);
    assert_eq!(lists.put(Lru::InactiveFile, 0, 1), Err(error));
    assert_eq!(lists.take(Lru::InactiveFile), None);
    assert_eq!(lists.take_parked(), None);
    assert_eq!(
        (lists.pages(Lru::InactiveFile), lists.pages_parked()),
        (0, 0)
    );
}

/// Links of other lists are reset: their pages are on no list of the new ones.
#[test]
fn links_that_were_used_before() {
    let mut links = [Link::default(); 4];
    let mut lists = PageLists::new(&mut links[..]);
    lists.put(Lru::InactiveFile, 1, 1).unwrap();
    lists.park(3, 2).unwrap();
    let mut lists = PageLists::new(&mut links[..]);
    assert_eq!((lists.place(1), lists.place(3)), (None, None));
    assert_eq!(lists.put(Lru::InactiveFile, 3, 1), Ok(()));
    assert_eq!(lists.take(Lru::InactiveFile), Some(3));
    assert_eq!(lists.take(Lru::InactiveFile), None);
}

/// The size of a page is what it was listed with, whatever it was before.
#[test]
fn base_pages_are_counted_as_listed() {
    let mut lists = PageLists::new([Link::default(); 3]);
    lists.put(Lru::InactiveAnon, 0, 512).unwrap();
    lists.put(Lru::InactiveAnon, 1, 0).unwrap();
    lists.park(2, u32::MAX).unwrap();
    assert_eq!(lists.pages(Lru::InactiveAnon), 512);
    assert_eq!(lists.pages_parked(), u64::from(u32::MAX));
    lists.make_oldest(1).unwrap();
    assert_eq!(lists.pages(Lru::InactiveAnon), 512);
    lists.remove(0).unwrap();
    lists.put(Lru::InactiveAnon, 0, 1).unwrap();
    assert_eq!(lists.pages(Lru::InactiveAnon), 1);
    assert_eq!(lists.place(1), Some(Place::List(Lru::InactiveAnon)));
}
