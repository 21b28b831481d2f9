//! The pure decisions over all states, against tables written from the design's prose.
//!
//! A state is one word with a bit for each flag of the request, VMA, page and entry, by name. A
//! table's rules are tried from the top; the first whose words hold (`!`: do not hold) answers. For
//! each decision, all combinations of the bits that its table names are tried, each with all other
//! bits clear, with all set, and with each single one flipped in both: so the others do not matter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::needless_borrows_for_generic_args
)]

use pinfold::pin::{Biased, PinCount, Pins, Refined, refined_estimate};
use pinfold::unmap::decide::{self, Gate, Look, Replacement, Split, Take, TakeKind};
use pinfold::unmap::{FlushMode, NewEntry};
use pinfold::{
    Context, CounterDelta, IgnorePins, Operation, PageFlags, PinPolicy, PinVerdict, PteFlags,
    RefCounts, Requester, SkipLongterm, SkipOpportunistic, SkipPinned, UnmapFlags, VmFlags,
    invariants,
};

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
struct State(u64);

impl State {
    fn bit(name: &str) -> u64 {
        let at = NAMES.split_whitespace().position(|known| known == name);
        1 << at.unwrap_or_else(|| panic!("no bit is named {name}"))
    }

    fn holds(self, need: u64, lack: u64) -> bool {
        self.0 & need == need && self.0 & lack == 0
    }

    fn request(self) -> UnmapFlags {
        let low = (self.0 & 0x1ff) as u32;
        let own = (self.0 >> 9 & 1) as u32;
        UnmapFlags::from_bits(low | own << 16).unwrap()
    }

    fn vma(self) -> VmFlags {
        VmFlags::from_bits((self.0 >> 10 & 0xf) as u32).unwrap()
    }

    fn page(self) -> PageFlags {
        PageFlags::from_bits((self.0 >> 14 & 0x7_ffff) as u32).unwrap()
    }

    fn entry(self) -> PteFlags {
        PteFlags::from_bits((self.0 >> 33 & 0x7f) as u32).unwrap()
    }

    fn describe(self) -> String {
        let (request, vma) = (self.request(), self.vma());
        format!("{request:?} {vma:?} {:?} {:?}", self.page(), self.entry())
    }
}

/// `(needed, lacking, answer)`, in order.
struct Table(Vec<(u64, u64, &'static str)>);

impl Table {
    fn new(text: &'static str) -> Self {
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
    fn first(&self, state: State) -> &'static str {
        let mut rules = self.0.iter();
        let found = rules.find(|(need, lack, _)| state.holds(*need, *lack));
        found
            .unwrap_or_else(|| panic!("no rule for {}", state.describe()))
            .2
    }

    /// All answers whose rules hold.
    fn all(&self, state: State) -> String {
        let rules = self.0.iter();
        let found = rules.filter(|(need, lack, _)| state.holds(*need, *lack));
        found.map(|rule| rule.2).collect::<Vec<_>>().join(", ")
    }

    fn names(&self) -> u64 {
        self.0.iter().fold(0, |bits, rule| bits | rule.0 | rule.1)
    }
}

/// Calls `check` for all combinations of the bits in `matter`, among all kinds of others.
fn every_state(matter: u64, mut check: impl FnMut(State)) -> u64 {
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

#[test]
fn gate() {
    let table = Table::new(
        "munlock !locked            -> not locked
         migration device !private  -> not migratable
         split freeze               -> walk, freeze
         split                      -> walk, split
                                    -> walk",
    );
    let states = every_state(table.names(), |state| {
        let said = match decide::gate(state.request(), state.vma(), state.page()) {
            Gate::NotLocked => "not locked",
            Gate::NotMigratable => "not migratable",
            Gate::Walk(Split::Freeze) => "walk, freeze",
            Gate::Walk(Split::Plain) => "walk, split",
            Gate::Walk(Split::No) => "walk",
            _ => "unknown",
        };
        assert_eq!(said, table.first(state), "{}", state.describe());
    });
    println!("gate: {states} states");
}

#[test]
fn look() {
    let table = Table::new(
        "pmd migration                       -> pmd
         !ignore_mlock locked thp            -> stop, mlocked
         !ignore_mlock locked hugetlb        -> stop, mlocked
         !ignore_mlock locked                -> stop, mlock the page
         !ignore_mlock munlock               -> next entry
         pmd                                 -> wrong: UnexpectedPmd
         hugetlb !rmap_locked                -> wrong: HugetlbNotRmapLocked
         migration device                    -> device
                                             -> base",
    );
    let base = Table::new(
        "hugetlb         -> un-share
         !ignore_access  -> young
         batch           -> flush later
         !batch          -> flush",
    );
    let device = Table::new("hugetlb -> un-share");
    let matter = table.names() | base.names();
    let states = every_state(matter, |state| {
        let mut expected = table.first(state).to_owned();
        expected = match expected.as_str() {
            "base" => format!("take base: {}", base.all(state)),
            "device" => format!("take device: {}", device.all(state)),
            "pmd" => "take pmd: flush".to_owned(),
            _ => expected,
        };
        let look = decide::look(state.request(), state.vma(), state.page(), state.entry());
        let said = match look {
            Look::Mlocked { mlock_page: true } => "stop, mlock the page".to_owned(),
            Look::Mlocked { mlock_page: false } => "stop, mlocked".to_owned(),
            Look::NextEntry => "next entry".to_owned(),
            Look::Wrong(what) => format!("wrong: {what:?}"),
            Look::Take(take) => taken(take),
            _ => "unknown".to_owned(),
        };
        assert_eq!(said, expected, "{}", state.describe());
    });
    println!("look: {states} states");
}

fn taken(take: Take) -> String {
    let kind = match take.kind {
        TakeKind::Base => "base",
        TakeKind::Pmd => "pmd",
        TakeKind::DevicePrivate => "device",
        _ => "unknown",
    };
    let mut steps = Vec::new();
    if take.unshare {
        steps.push("un-share");
    }
    if take.test_young {
        steps.push("young");
    }
    match take.flush {
        FlushMode::Now => steps.push("flush"),
        FlushMode::MayDefer => steps.push("flush later"),
        FlushMode::NotNeeded => {}
    }
    format!("take {kind}: {}", steps.join(", "))
}

const REPLACE: &str = "
    poisoned !ignore_poison               -> poison
    unused !uffd                          -> unused
    migration                             -> migration
    freeze                                -> migration
    !anon                                 -> file
    swap_backed !swap_cache               -> inconsistent
    !swap_backed swap_cache               -> inconsistent
    !swap_backed dirty                    -> keep
    !swap_backed                          -> discard
                                          -> swap";

const CARRIED_BY_MIGRATION: &str = "
    writable     -> writable
    soft_dirty   -> soft-dirty
    uffd_wp      -> uffd-wp";

const CARRIED_BY_SWAP: &str = "
    soft_dirty   -> soft-dirty
    uffd_wp      -> uffd-wp";

fn bits(bits: PteFlags) -> String {
    let mut names = Vec::new();
    for (bit, name) in [
        (PteFlags::WRITABLE, "writable"),
        (PteFlags::SOFT_DIRTY, "soft-dirty"),
        (PteFlags::UFFD_WP, "uffd-wp"),
    ] {
        if bits.contains(bit) {
            names.push(name);
        }
    }
    assert_eq!(bits & !PteFlags::MIGRATION_CARRIES, PteFlags::empty());
    names.join(", ")
}

fn named(replacement: Replacement) -> String {
    match replacement {
        Replacement::Poison => "poison".to_owned(),
        Replacement::Unused => "unused".to_owned(),
        Replacement::Migration(with) => format!("migration: {}", bits(with)),
        Replacement::PmdMigration(with) => format!("pmd migration: {}", bits(with)),
        Replacement::DevicePrivate(with) => format!("device: {}", bits(with)),
        Replacement::Swap(with) => format!("swap: {}", bits(with)),
        Replacement::DiscardLazyfree => "discard".to_owned(),
        Replacement::KeepLazyfree => "keep".to_owned(),
        Replacement::InconsistentAnon => "inconsistent".to_owned(),
        Replacement::File => "file".to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[test]
fn replace() {
    let table = Table::new(REPLACE);
    let migration = Table::new(CARRIED_BY_MIGRATION);
    let swap = Table::new(CARRIED_BY_SWAP);
    let states = every_state(table.names() | migration.names(), |state| {
        let (request, vma, page) = (state.request(), state.vma(), state.page());
        let expected = match table.first(state) {
            "migration" => format!("migration: {}", migration.all(state)),
            "swap" => format!("swap: {}", swap.all(state)),
            other => other.to_owned(),
        };
        let of = |kind| {
            named(decide::replace_kind(
                kind,
                request,
                vma,
                page,
                state.entry(),
            ))
        };
        let said = named(decide::replace(request, vma, page, state.entry()));
        assert_eq!(said, expected, "{}", state.describe());
        assert_eq!(of(TakeKind::Base), expected, "{}", state.describe());
        let pmd = format!("pmd migration: {}", migration.all(state));
        assert_eq!(of(TakeKind::Pmd), pmd, "{}", state.describe());
        let device = format!("device: {}", swap.all(state));
        assert_eq!(of(TakeKind::DevicePrivate), device, "{}", state.describe());
    });
    println!("replace: {states} states");
}

#[test]
fn what_follows_from_a_replacement() {
    const W: PteFlags = PteFlags::WRITABLE;
    // Replacement; the new entry; then, where it is so: slot, hook, invalidation; the counters.
    let rows = [
        (
            Replacement::Poison,
            Some(NewEntry::Poison),
            "",
            "hugetlb or resident",
        ),
        (Replacement::Unused, None, "invalidate", "resident"),
        (
            Replacement::Migration(W),
            Some(NewEntry::Migration(W)),
            "hook",
            "",
        ),
        (
            Replacement::PmdMigration(W),
            Some(NewEntry::PmdMigration(W)),
            "",
            "",
        ),
        (
            Replacement::DevicePrivate(W),
            Some(NewEntry::Migration(W)),
            "",
            "",
        ),
        (
            Replacement::Swap(W),
            Some(NewEntry::Swap(W)),
            "slot hook invalidate",
            "swap",
        ),
        (Replacement::DiscardLazyfree, None, "invalidate", "resident"),
        (Replacement::KeepLazyfree, None, "", ""),
        (Replacement::InconsistentAnon, None, "", ""),
        (Replacement::File, None, "", "resident"),
    ];
    let resident = Table::new(
        "anon         -> anon -1
         swap_backed  -> shmem -1
                      -> file -1",
    );
    let matter = resident.names() | State::bit("hugetlb");
    for (replacement, entry, steps, counter) in rows {
        assert_eq!(replacement.entry(), entry, "{replacement:?}");
        let has = |step: &str| steps.split(' ').any(|word| word == step);
        assert_eq!(replacement.needs_slot(), has("slot"), "{replacement:?}");
        assert_eq!(replacement.asks_arch(), has("hook"), "{replacement:?}");
        assert_eq!(
            replacement.invalidates(),
            has("invalidate"),
            "{replacement:?}"
        );
        every_state(matter, |state| {
            let huge = state.page().contains(PageFlags::HUGETLB);
            let expected = match counter {
                "hugetlb or resident" if huge => "hugetlb -1",
                "hugetlb or resident" | "resident" => resident.first(state),
                "swap" => "anon -1 swap +1",
                _ => "",
            };
            let delta = replacement.counters(state.page());
            assert_eq!(
                counters(delta),
                expected,
                "{replacement:?}, {}",
                state.describe()
            );
        });
    }
}

fn counters(delta: CounterDelta) -> String {
    let CounterDelta {
        anon,
        file,
        shmem,
        swap_ents,
        hugetlb,
    } = delta;
    [
        ("anon", anon),
        ("file", file),
        ("shmem", shmem),
        ("swap", swap_ents),
        ("hugetlb", hugetlb),
    ]
    .iter()
    .filter(|(_, change)| *change != 0)
    .map(|(name, change)| format!("{name} {change:+}"))
    .collect::<Vec<_>>()
    .join(" ")
}

#[test]
fn operation() {
    let table = Table::new(
        "munlock                        -> munlock
         poisoned                       -> poison
         migration opportunistic        -> demote
         migration                      -> migrate
         freeze                         -> split
         opportunistic                  -> reclaim
         ignore_mlock                   -> unmap
                                        -> reclaim",
    );
    let states = every_state(table.names(), |state| {
        let operation = Operation::of(state.request(), state.page());
        let said = operation.to_string();
        assert_eq!(said, table.first(state), "{}", state.describe());
        let opportunistic = ["reclaim", "demote"].contains(&said.as_str());
        assert_eq!(operation.is_opportunistic(), opportunistic);
    });
    println!("operation: {states} states");
}

const OPERATIONS: [Operation; 8] = [
    Operation::Reclaim,
    Operation::Unmap,
    Operation::Migrate,
    Operation::Demote,
    Operation::Split,
    Operation::Munlock,
    Operation::Poison,
    Operation::Free,
];

/// Pins that a policy may be shown, with what they are: `-` none, `s` short ones only, `l`
/// long-term ones, `?` not known which.
fn pins() -> Vec<(char, Pins)> {
    let mut all = vec![('-', Pins::None)];
    for count in [1, 2, 1023, u32::MAX] {
        for (what, longterm) in [
            ('s', Some(0)),
            ('l', Some(1)),
            ('l', Some(count)),
            ('?', None),
        ] {
            all.push((
                what,
                Pins::Maybe {
                    estimate: count,
                    longterm,
                },
            ));
            all.push((
                what,
                Pins::Exactly(PinCount {
                    total: count,
                    longterm,
                }),
            ));
        }
    }
    all
}

/// Holds a policy to its column: by operation, the verdict on short, on long-term, and on unknown
/// pins. `.` proceeds, `n` next VMA, `s` skips the page, `r` refuses.
fn hold<L: PinPolicy>(policy: &L, column: [(&str, &str); 8]) {
    for operation in OPERATIONS {
        let name = operation.to_string();
        let (_, verdicts) = column.iter().find(|(op, _)| *op == name).unwrap();
        for requester in [
            Requester::Direct,
            Requester::Background,
            Requester::Proactive,
            Requester::Cgroup,
            Requester::Compaction,
        ] {
            for priority in [0, 1, 12, u8::MAX] {
                for (what, pins) in pins() {
                    let context = Context {
                        requester,
                        priority,
                    };
                    let expected = match "sl?".find(what) {
                        Some(at) => verdicts.chars().nth(at).unwrap(),
                        None => '.',
                    };
                    let said = match policy.verdict(operation, context, pins) {
                        PinVerdict::Proceed => '.',
                        PinVerdict::NextVma => 'n',
                        PinVerdict::SkipPage => 's',
                        PinVerdict::Refuse => 'r',
                    };
                    assert_eq!(said, expected, "{operation}, {context:?}, {pins:?}");
                }
            }
        }
    }
    invariants::policy(policy).unwrap();
    invariants::policy(&policy).unwrap();
}

#[test]
fn policies() {
    let ops = [
        "reclaim", "demote", "migrate", "split", "unmap", "munlock", "poison", "free",
    ];
    let alike = |verdicts| ops.map(|op| (op, verdicts));
    hold(&IgnorePins, alike("..."));
    hold(&SkipPinned, alike("nnn"));
    let default = [
        ("reclaim", "sss"),
        ("demote", "sss"),
        ("migrate", "rrr"),
        ("split", "rrr"),
        ("unmap", "..."),
        ("munlock", "..."),
        ("poison", "..."),
        ("free", "rrr"),
    ];
    hold(&SkipOpportunistic::<Refined>::new(), default);
    hold(&SkipOpportunistic::<Biased>::new(), default);
    let longterm = [
        ("reclaim", ".ss"),
        ("demote", ".ss"),
        ("migrate", ".rr"),
        ("split", ".rr"),
        ("unmap", "..."),
        ("munlock", "..."),
        ("poison", "..."),
        ("free", "rrr"),
    ];
    hold(&SkipLongterm::<Refined>::new(), longterm);
    hold(&SkipLongterm::<Biased>::new(), longterm);
}

#[test]
fn the_refined_estimate_rounds_at_half_a_bias() {
    // References, of which so many are explained; the estimate.
    let rows = [
        (1023, 0, 1),
        (1535, 1024, 0),
        (1536, 1024, 1),
        (2559, 1024, 1),
        (2560, 1024, 2),
        (10_001, 10_001, 0),
        // Counts that cannot be are read as Linux reads them.
        (2048, 2049, 2),
        (-1, 10, u32::MAX / 1024),
    ];
    for (refs, explained, estimate) in rows {
        let counts = RefCounts {
            flags: PageFlags::empty(),
            refs,
            explained,
        };
        assert_eq!(refined_estimate::<1024>(counts), estimate, "{counts:?}");
    }
}

#[test]
fn what_policies_ask_for() {
    fn consts<L: PinPolicy>(_: L) -> (bool, bool, bool) {
        (L::READS_PINS, L::PER_VMA, L::SECOND_LOOK)
    }
    assert_eq!(consts(IgnorePins), (false, false, false));
    assert_eq!(consts(SkipPinned), (true, true, false));
    assert_eq!(
        consts(&SkipPinned),
        (true, true, false),
        "a reference asks the same"
    );
    assert_eq!(consts(<SkipOpportunistic>::new()), (true, false, true));
    assert_eq!(consts(<SkipLongterm>::new()), (true, false, true));
}

mod broken_policies {
    //! The checker of policies finds each way of breaking their contract.

    use pinfold::invariants::{Broken, policy};
    use pinfold::pin::{Pins, Refined};
    use pinfold::{Context, Operation, PinPolicy, PinVerdict, Requester};

    struct By<F, const READS: bool = true>(F);

    impl<F, const READS: bool> PinPolicy for By<F, READS>
    where
        F: Fn(Operation, Context, Pins) -> PinVerdict,
    {
        type Reading = Refined;
        const READS_PINS: bool = READS;

        fn verdict(&self, operation: Operation, context: Context, pins: Pins) -> PinVerdict {
            self.0(operation, context, pins)
        }
    }

    fn check<F: Fn(Operation, Context, Pins) -> PinVerdict>(f: F) -> Option<Broken> {
        policy(&By::<F>(f)).err()
    }

    fn skip_if(skips: bool) -> PinVerdict {
        if skips {
            PinVerdict::SkipPage
        } else {
            PinVerdict::Proceed
        }
    }

    #[test]
    fn are_found() {
        let stops_unpinned = check(|_, context, pins| {
            let last = context.priority == 0 && context.requester == Requester::Compaction;
            skip_if(pins.maybe_pinned() || last)
        });
        assert!(matches!(
            stops_unpinned,
            Some(Broken::PolicyStopsUnpinned { .. })
        ));

        let many_are_fine = check(|_, _, pins| {
            skip_if(matches!(pins, Pins::Maybe { estimate, .. } if estimate < 1000))
        });
        assert!(matches!(
            many_are_fine,
            Some(Broken::PolicyGivesBack { .. })
        ));

        let longterm_is_fine = check(|_, _, pins| {
            skip_if(matches!(pins, Pins::Exactly(count) if count.longterm == Some(0)))
        });
        assert!(matches!(
            longterm_is_fine,
            Some(Broken::PolicyGivesBack { .. })
        ));

        let next_vma = check(|operation, _, pins| {
            if operation == Operation::Free && pins.maybe_pinned() {
                PinVerdict::NextVma
            } else {
                PinVerdict::Proceed
            }
        });
        let operation = Operation::Free;
        assert_eq!(next_vma, Some(Broken::PolicyNextVma { operation }));

        let blind = |_, _, pins: Pins| skip_if(pins.maybe_pinned());
        let unread = policy(&By::<_, false>(blind)).err();
        assert!(matches!(unread, Some(Broken::PolicyUnread { .. })));
    }
}
