//! A state is one word with a bit for each flag of the request, VMA, page and entry, by name. A
//! table's rules are tried from the top; the first whose words hold (`!`: do not hold) answers. For
//! each decision, all combinations of the bits that its table names are tried, each with all other
//! bits clear, with all set, and with each single one flipped in both: so the others do not matter.

use pinfold::{PageFlags, PteFlags, UnmapFlags, VmFlags};

/// The names of all bits: ten of the request, then four of the VMA, nineteen of the page, seven of
/// the entry.
const NAMES: &str = "migration munlock split ignore_mlock ignore_access ignore_poison batch \
    rmap_locked freeze opportunistic \
    locked uffd exec stack \
    anon swap_backed swap_cache dirty poisoned hugetlb thp device private mlocked ksm page_lock \
    unevictable writeback reclaim referenced buffers page_cache active \
    young pte_dirty writable soft_dirty uffd_wp unused pmd";

const BITS: u32 = 40;

#[derive(Clone, Copy)]
pub(crate) struct State(pub(crate) u64);

impl State {
    pub(crate) fn bit(name: &str) -> u64 {
        let at = NAMES.split_whitespace().position(|known| known == name);
        1 << at.unwrap_or_else(|| panic!("no bit is named {name}"))
    }

    pub(crate) fn holds(self, need: u64, lack: u64) -> bool {
        self.0 & need == need && self.0 & lack == 0
    }

    pub(crate) fn request(self) -> UnmapFlags {
        let low = (self.0 & 0x1ff) as u32;
        let own = (self.0 >> 9 & 1) as u32;
        UnmapFlags::from_bits(low | own << 16).unwrap()
    }

    pub(crate) fn vma(self) -> VmFlags {
        VmFlags::from_bits((self.0 >> 10 & 0xf) as u32).unwrap()
    }

    pub(crate) fn page(self) -> PageFlags {
        PageFlags::from_bits((self.0 >> 14 & 0x7_ffff) as u32).unwrap()
    }

    pub(crate) fn entry(self) -> PteFlags {
        PteFlags::from_bits((self.0 >> 33 & 0x7f) as u32).unwrap()
    }

    pub(crate) fn describe(self) -> String {
        let (request, vma) = (self.request(), self.vma());
        format!("{request:?} {vma:?} {:?} {:?}", self.page(), self.entry())
    }
}

/// `(needed, lacking, answer)`, in order.
pub(crate) struct Table(Vec<(u64, u64, &'static str)>);

impl Table {
    pub(crate) fn new(text: &'static str) -> Self {
        Self(text.trim().lines().map(Self::rule).collect())
    }

    fn rule(line: &'static str) -> (u64, u64, &'static str) {
        let (words, answer) = line.split_once("->").expect(line);
        let (mut need, mut lack) = (0, 0);
        for word in words.split_whitespace() {
            match word.strip_prefix('!') {
                Some(word) => lack |= State::bit(word),
                None => need |= State::bit(word),
            }
        }
        (need, lack, answer.trim())
    }

    /// The first answer.
    pub(crate) fn first(&self, state: State) -> &'static str {
        let mut rules = self.0.iter();
        let found = rules.find(|(need, lack, _)| state.holds(*need, *lack));
        found
            .unwrap_or_else(|| panic!("no rule for {}", state.describe()))
            .2
    }

    /// All answers whose rules hold.
    pub(crate) fn all(&self, state: State) -> String {
        let rules = self.0.iter();
        let found = rules.filter(|(need, lack, _)| state.holds(*need, *lack));
        found.map(|rule| rule.2).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn names(&self) -> u64 {
        self.0.iter().fold(0, |bits, rule| bits | rule.0 | rule.1)
    }
}

/// Calls `check` for all combinations of the bits in `matter`, among all kinds of others.
pub(crate) fn every_state(matter: u64, mut check: impl FnMut(State)) -> u64 {
    let others = ((1u64 << BITS) - 1) & !matter;
    let singles: Vec<u64> = (0..BITS)
        .map(|at| 1 << at)
        .filter(|bit| others & bit != 0)
        .collect();
    let mut states = 0;
    let mut subset = 0u64;
    loop {
        for background in [0, others] {
            check(State(subset | background));
            for single in &singles {
                check(State(subset | background ^ single));
            }
            states += 1 + singles.len() as u64;
        }
        subset = subset.wrapping_sub(matter) & matter;
        if subset == 0 {
            return states;
        }
    }
}

#[test]
fn the_names_are_those_of_the_flags() {
    let debug = |state: State| state.describe().to_lowercase();
    let others = [
        ("split", "split_huge_pmd"),
        ("ignore_poison", "hwpoison"),
        ("batch", "batch_flush"),
        ("freeze", "split_freeze"),
        ("stack", "temporary_stack"),
        ("poisoned", "hwpoison"),
        ("device", "zone_device"),
        ("private", "device_private"),
        ("page_lock", "locked"),
        ("buffers", "private"),
        ("pte_dirty", "dirty"),
    ];
    assert_eq!(NAMES.split_whitespace().count(), BITS as usize);
    for name in NAMES.split_whitespace() {
        let known = others.iter().find(|(ours, _)| *ours == name);
        let name_in_crate = known.map_or(name, |(_, theirs)| theirs);
        let text = debug(State(State::bit(name)));
        assert!(text.contains(name_in_crate), "{name}: {text}");
    }
    let all = State((1 << BITS) - 1);
    assert_eq!(all.request(), UnmapFlags::all());
    assert_eq!(all.vma(), VmFlags::all());
    assert_eq!(all.page(), PageFlags::all());
    assert_eq!(all.entry(), PteFlags::all());
}
