use backups::{Consistency, Entry};
use proptest::prelude::*;

use super::*;
use crate::{
    example::{catalogue, entry, policy},
    runs::{Request, tests::run},
};

/// Midnight; the daily backup is due at two.
const MIDNIGHT: u64 = 1_750_032_000;
const TWO: u64 = MIDNIGHT + 2 * 3600;

fn verified(tier: Tier, began: u64) -> Entry {
    entry(tier, began, Consistency::Consistent)
}

fn runs(ended: &[(Tier, &str, u64, How)]) -> Runs {
    let mut runs = Runs::new(Time::of_epoch(0));
    for (tier, slot, began, how) in ended {
        runs.remember(run(*tier, slot, *began).ended(Time::of_epoch(began + 60), how.clone()));
    }
    runs
}

fn failed() -> How {
    How::Failed("x".into())
}

fn at(now: u64, entries: Vec<Entry>, runs: &Runs) -> Due {
    due(Time::of_epoch(now), &catalogue(entries), runs, &policy().schedule)
}

fn tiers(due: &Due) -> Vec<Tier> {
    due.wishes.iter().map(|wish| wish.tier).collect()
}

#[test]
fn what_is_due_is_seen_from_the_catalogue() {
    use Tier::{Daily, Hourly, Manual};
    let none = runs(&[]);
    let day_before = || verified(Daily, TWO - 24 * 3600);
    let table: [(&str, u64, Vec<Entry>, &[Tier]); 12] = [
        ("a new stack", TWO, vec![], &[Daily, Hourly]),
        ("before two, a fresh hour", TWO - 1, vec![day_before(), verified(Hourly, TWO - 3600)], &[]),
        ("before two, an old hour", TWO - 1, vec![day_before(), verified(Hourly, TWO - 3601)], &[Hourly]),
        ("at two", TWO, vec![day_before()], &[Daily, Hourly]),
        ("a daily one counts as an hourly one", TWO + 60, vec![verified(Daily, TWO)], &[]),
        ("an hourly one does not count as a daily one", TWO + 60, vec![verified(Hourly, TWO)], &[Daily]),
        ("a daily one of the hour before", TWO + 3600, vec![verified(Daily, TWO + 3599)], &[Hourly]),
        ("a manual one counts as neither", TWO, vec![verified(Manual, TWO)], &[Daily, Hourly]),
        ("a second too early", TWO, vec![verified(Daily, TWO - 1)], &[Daily, Hourly]),
        ("one that is unchecked", TWO, vec![entry(Daily, TWO, Consistency::Unchecked)], &[Daily, Hourly]),
        (
            "one that is inconsistent",
            TWO,
            vec![entry(Daily, TWO, Consistency::Inconsistent)],
            &[Daily, Hourly],
        ),
        ("one whose data is gone", TWO, vec![Entry { data: None, ..verified(Daily, TWO) }], &[Daily, Hourly]),
    ];
    for (case, now, entries, expected) in table {
        assert_eq!(tiers(&at(now, entries, &none)), expected, "{case}");
    }
}

#[test]
fn a_schedule_that_is_off_makes_nothing_due() {
    let off = Schedule { hourly: false, daily: None, ..policy().schedule };
    assert_eq!(due(Time::of_epoch(TWO), &catalogue(vec![]), &runs(&[]), &off), Due::default());
    let daily = Schedule { hourly: false, ..policy().schedule };
    let found =
        due(Time::of_epoch(TWO + 7200), &catalogue(vec![verified(Tier::Daily, TWO)]), &runs(&[]), &daily);
    assert_eq!(found, Due::default());
}

#[test]
fn a_request_is_first_and_names_its_slot() {
    let mut runs =
        runs(&[(Tier::Manual, "core-2", TWO + 10, failed()), (Tier::Manual, "core-3", TWO - 10, failed())]);
    runs.requested = Some(Request { slot: Some("core-1".into()), at: Time::of_epoch(TWO) });
    let found = at(TWO + 60, vec![], &runs);
    assert_eq!(tiers(&found), [Tier::Manual, Tier::Daily, Tier::Hourly]);
    assert_eq!(found.wishes[0].slot.as_deref(), Some("core-1"));
    assert_eq!(found.wishes[0].failed, ["core-2"], "a run of an earlier request says nothing of this one");
}

#[test]
fn a_source_that_failed_since_it_was_due_is_named_and_a_day_later_forgotten() {
    use Tier::{Daily, Hourly};
    let past = runs(&[
        (Daily, "core-1", TWO - 60, failed()),
        (Daily, "core-2", TWO, failed()),
        (Daily, "core-3", TWO + 900, How::Unchecked),
        (Daily, "core-2", TWO + 3600, failed()),
    ]);
    let found = at(TWO + 4500, vec![], &past);
    assert_eq!(tiers(&found), [Daily, Hourly]);
    assert_eq!(found.wishes[0].failed, ["core-3", "core-2"], "the one that failed last at the end");
    assert_eq!(found.wishes[1].failed, ["core-2"], "of this hour");
    assert!(at(TWO + 24 * 3600, vec![], &past).wishes[0].failed.is_empty());
}

#[test]
fn three_runs_an_hour_and_no_more() {
    use Tier::{Daily, Hourly, Manual};
    let three = [
        (Hourly, "core-3", TWO + 100, failed()),
        (Hourly, "core-2", TWO + 200, How::Verified),
        (Daily, "core-3", TWO + 300, failed()),
    ];
    let found = at(TWO + 400, vec![], &runs(&three));
    assert_eq!((found.wishes, found.waits), (vec![], Some(Time::of_epoch(TWO + 3700))));
    let found = at(TWO + 3700, vec![], &runs(&three));
    assert_eq!((tiers(&found), found.waits), (vec![Daily, Hourly], None), "the first of them is an hour ago");
    // What an operator asked for is not held up, and holds nothing up.
    let mut asked = runs(&three);
    asked.requested = Some(Request { slot: None, at: Time::of_epoch(TWO + 350) });
    assert_eq!(tiers(&at(TWO + 400, vec![], &asked)), [Manual]);
    let manual = three.clone().map(|(_, slot, began, how)| (Manual, slot, began, how));
    assert_eq!(tiers(&at(TWO + 400, vec![], &runs(&manual))), [Daily, Hourly]);
    // A request that was refused was no run.
    let refused = three.clone().map(|(tier, slot, began, _)| (tier, slot, began, How::Refused("x".into())));
    assert_eq!(tiers(&at(TWO + 400, vec![], &runs(&refused))), [Daily, Hourly]);
    assert_eq!(at(TWO + 400, vec![verified(Daily, TWO)], &runs(&three)).waits, None, "nothing is due");
}

/// Fault 34.
#[test]
fn after_an_inconsistent_one_exactly_one_second_opinion() {
    use Tier::{Daily, Hourly};
    let first = (Hourly, "core-3", TWO + 3600, How::Inconsistent);
    let doubt = |found: &Due| found.wishes[0].confirms.clone().map(|doubt| doubt.slot);
    let day = || vec![verified(Daily, TWO)];
    let found = at(TWO + 3700, day(), &runs(std::slice::from_ref(&first)));
    assert_eq!(
        (tiers(&found), doubt(&found)),
        (vec![Hourly], Some("core-3".into())),
        "no other hourly one beside it"
    );
    // A run without a verdict says nothing: it is due again, from another source.
    let again = runs(&[first.clone(), (Hourly, "core-2", TWO + 3900, failed())]);
    let found = at(TWO + 4000, day(), &again);
    assert_eq!(
        (doubt(&found), found.wishes[0].failed.clone()),
        (Some("core-3".into()), vec!["core-2".to_owned()])
    );
    // Any verdict since then is one, and then the hour has had its runs.
    for (how, expected) in [(How::Inconsistent, vec![]), (How::Verified, vec![])] {
        let mut both = runs(&[first.clone(), (Hourly, "core-2", TWO + 3900, how)]);
        both.ended[1].confirms = Some(both.ended[0].folder.clone());
        assert_eq!(tiers(&at(TWO + 4000, day(), &both)), expected);
        // The next hour begins from scratch.
        let found = at(TWO + 7200, day(), &both);
        assert_eq!((tiers(&found), doubt(&found)), (vec![Hourly], None));
    }
    // It is not forgotten when the next hour begins, nor when a day does.
    let found = at(TWO + 24 * 3600, vec![], &runs(std::slice::from_ref(&first)));
    assert_eq!((tiers(&found), doubt(&found)), (vec![Hourly, Daily, Hourly], Some("core-3".into())));
}

#[test]
fn an_inconsistent_daily_one_leaves_the_day_to_hourly_ones() {
    use Tier::{Daily, Hourly};
    let mut both =
        runs(&[(Daily, "core-3", TWO, How::Inconsistent), (Daily, "core-2", TWO + 900, How::Inconsistent)]);
    both.ended[1].confirms = Some(both.ended[0].folder.clone());
    assert_eq!(tiers(&at(TWO + 1800, vec![], &both)), []);
    assert_eq!(tiers(&at(TWO + 3600, vec![], &both)), [Hourly]);
    assert_eq!(tiers(&at(TWO + 24 * 3600, vec![], &both)), [Daily, Hourly]);
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Verified), Just(How::Unchecked), Just(How::Inconsistent), Just(failed())]
}

fn tier() -> impl Strategy<Value = Tier> {
    prop::sample::select(Tier::ALL.to_vec())
}

proptest! {
    #[test]
    fn no_history_makes_more_than_three_scheduled_runs_an_hour_or_repeats_a_verified_one(
        past in prop::collection::vec((tier(), 0_u64..6 * 3600, how(), prop::sample::select(vec!["core-2", "core-3"])), 0..12),
        now in 6_u64 * 3600..7 * 3600,
    ) {
        let mut past = past;
        past.sort_by_key(|(_, began, ..)| *began);
        let ended: Vec<_> = past.iter().map(|(tier, at, how, slot)| (*tier, *slot, MIDNIGHT + at, how.clone())).collect();
        let made = |how: &How| match how {
            How::Verified => Some(Consistency::Consistent),
            How::Unchecked => Some(Consistency::Unchecked),
            How::Inconsistent => Some(Consistency::Inconsistent),
            _ => None,
        };
        let entries: Vec<Entry> =
            ended.iter().filter_map(|(tier, _, at, how)| Some(entry(*tier, *at, made(how)?))).collect();
        let runs = runs(&ended);
        let now = MIDNIGHT + now;
        let found = at(now, entries, &runs);
        let lately = ended.iter().filter(|(tier, _, at, _)| *tier != Tier::Manual && now - at < 3600).count();
        prop_assert!(found.wishes.is_empty() || lately < 3);
        prop_assert!(found.waits.is_none() || lately >= 3);
        for wish in found.wishes.iter().filter(|wish| wish.confirms.is_none()) {
            let point = if wish.tier == Tier::Daily { TWO } else { now - now % 3600 };
            let of = |tier: Tier| tier == wish.tier || (wish.tier == Tier::Hourly && tier == Tier::Daily);
            let since = || ended.iter().filter(|(tier, _, at, _)| of(*tier) && *at >= point);
            prop_assert!(since().all(|(.., how)| *how != How::Verified && *how != How::Inconsistent));
            for (_, slot, ..) in since() {
                prop_assert!(wish.failed.contains(&(*slot).to_owned()));
            }
        }
    }
}
