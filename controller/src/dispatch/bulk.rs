//! The same action on many containers, batch after batch: the next one begins when all of the last are closed, and
//! verified unless told otherwise. All of it is in the database ([`crate::store::bulks`]); this is the order, and what
//! wakes it.

use super::{Dispatch, Refused, check};
use crate::limits::{BATCH_SIZE, BULK_DEADLINE, BULK_ITEMS, BULKS_RUNNING};
use crate::store::audit::Who;
use crate::store::bulks::{BulkItem, BulkRecord, NewBulk, NewItem, Step};
use crate::store::{Store, StoreError};
use fleetlight_protocol::command::{Action, ContainerTarget, ContainerVerb};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// A container that was selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    pub host_id: i32,
    pub host_name: String,
    pub target: ContainerTarget,
    pub project: Option<String>,
    pub service: Option<String>,
    /// Services of its project that come before it.
    pub depends_on: Vec<String>,
}

/// What somebody wants done to all of them.
#[derive(Debug, Clone)]
pub struct BulkWish {
    pub verb: ContainerVerb,
    pub stable_seconds: u32,
    /// As it was asked, for people.
    pub selection: Value,
    pub containers: Vec<Selected>,
    /// Ids that come first, in this order; the rest follows by dependencies and names.
    pub order: Vec<String>,
    pub batch_size: usize,
    pub stop_on_failure: bool,
}

impl Dispatch {
    /// Writes a bulk, whose first batch begins at once.
    ///
    /// # Errors
    /// [`Refused`]: nothing was written.
    pub async fn submit_bulk(&self, wish: BulkWish, who: &Who) -> Result<Uuid, Refused> {
        if !(1..=BATCH_SIZE).contains(&wish.batch_size) {
            let words = format!("batch_size = {} is out of range; allowed: 1 to {BATCH_SIZE}", wish.batch_size);
            return Err(Refused::Wrong(words));
        }
        let count = wish.containers.len();
        if !(1..=BULK_ITEMS).contains(&count) {
            let words = format!(
                "the selection matches {count} containers that this can be done to; allowed: 1 to {BULK_ITEMS}"
            );
            return Err(Refused::Wrong(words));
        }
        if self.0.store.running_bulks().await?.len() >= BULKS_RUNNING {
            return Err(Refused::Full(format!("{BULKS_RUNNING} bulks are running: wait for one, or cancel it")));
        }
        let (verb, stable_seconds) = (wish.verb, wish.stable_seconds);
        let action = |container| Action::Container { verb, container, stable_seconds };
        let batches = batches(wish.containers, verb, &wish.order, wish.batch_size);
        let mut items = Vec::with_capacity(count);
        for (batch, containers) in (0..).zip(batches) {
            for selected in containers {
                let action = action(selected.target);
                check(&action)?;
                items.push(NewItem { batch, host_id: selected.host_id, action });
            }
        }
        let bulk = NewBulk {
            id: Uuid::now_v7(),
            name: verb.action().to_owned(),
            selection: wish.selection,
            batch_size: wish.batch_size as i32,
            stop_on_failure: wish.stop_on_failure,
            deadline_seconds: BULK_DEADLINE.as_secs() as i32,
            asked_ms: (self.0.clock)(),
            items,
        };
        self.0.store.make_bulk(&bulk, who).await?;
        self.wake_bulk(bulk.id);
        Ok(bulk.id)
    }

    /// # Errors
    /// The database does not answer.
    pub async fn bulks(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<BulkRecord>, StoreError> {
        self.0.store.bulks(before, limit).await
    }

    /// As the database has it; of what its hosts have begun it says so.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn bulk(&self, id: Uuid) -> Result<Option<(BulkRecord, Vec<BulkItem>)>, StoreError> {
        let mut found = self.0.store.bulk(id).await?;
        for item in found.iter_mut().flat_map(|(_, items)| items) {
            let begun = |id| self.0.progress.has_begun(id);
            if item.state.as_deref() == Some("sent") && item.command_id.is_some_and(begun) {
                item.state = Some("running".into());
            }
        }
        Ok(found)
    }

    /// No further batch begins; whether the bulk was running.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn cancel_bulk(&self, id: Uuid, by: &str) -> Result<bool, StoreError> {
        self.0.store.cancel_bulk(id, by, (self.0.clock)()).await
    }

    fn wake_bulk(&self, id: Uuid) {
        self.inbox().bulks.push(id);
        self.0.wake.notify_one();
    }
}

/// Goes on with a bulk if it can; whether there are new commands.
///
/// # Errors
/// The database does not answer.
pub(super) async fn step(store: &Store, id: Uuid, now_ms: i64) -> Result<bool, StoreError> {
    let step = store.step_bulk(id, now_ms).await?;
    #[cfg(debug_assertions)]
    crate::kill_point::pass("bulk.step");
    Ok(matches!(step, Step::Asked(_)))
}

/// Batches in their order. What depends on another is in a later batch, or in an earlier one where the action ends
/// what it is done to; a circle of dependencies is cut where it is met.
fn batches(containers: Vec<Selected>, verb: ContainerVerb, first: &[String], size: usize) -> Vec<Vec<Selected>> {
    use ContainerVerb::{Kill, Pause, Remove, Stop};
    let mut ordered = in_order(containers);
    if matches!(verb, Stop | Kill | Pause | Remove) {
        ordered.reverse();
    }
    let rank: HashMap<&str, usize> = first.iter().enumerate().map(|(rank, id)| (id.as_str(), rank)).collect();
    ordered.sort_by_key(|selected| rank.get(selected.target.id.as_str()).copied().unwrap_or(usize::MAX));
    let mut batches: Vec<Vec<Selected>> = Vec::new();
    for selected in ordered {
        match batches.last_mut() {
            Some(batch) if batch.len() < size && !batch.iter().any(|other| are_tied(other, &selected)) => {
                batch.push(selected)
            }
            _ => batches.push(vec![selected]),
        }
    }
    batches
}

fn are_tied(one: &Selected, other: &Selected) -> bool {
    needs(one, other) || needs(other, one)
}

fn needs(one: &Selected, other: &Selected) -> bool {
    let same_project = one.host_id == other.host_id && one.project.is_some() && one.project == other.project;
    same_project && other.service.as_ref().is_some_and(|service| one.depends_on.contains(service))
}

/// By host and name, and each after what it depends on.
fn in_order(mut containers: Vec<Selected>) -> Vec<Selected> {
    containers.sort_by(|a, b| {
        (&a.host_name, &a.target.name, &a.target.id).cmp(&(&b.host_name, &b.target.name, &b.target.id))
    });
    let mut order = Vec::with_capacity(containers.len());
    let mut seen = BTreeSet::new();
    for start in 0..containers.len() {
        // A stack of our own: a chain may be as long as the list.
        let mut stack = vec![(start, false)];
        while let Some((place, needs_are_in)) = stack.pop() {
            if needs_are_in {
                order.push(place);
            } else if seen.insert(place) {
                stack.push((place, true));
                let needed = (0..containers.len()).filter(|other| needs(&containers[place], &containers[*other]));
                stack.extend(needed.filter(|other| !seen.contains(other)).map(|other| (other, false)));
            }
        }
    }
    let mut places: Vec<Option<Selected>> = containers.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| places[place].take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(name: &str, depends_on: &[&str]) -> Selected {
        Selected {
            host_id: 1,
            host_name: "alpha".into(),
            target: ContainerTarget { id: format!("id-{name}"), name: name.into(), image: "i".into() },
            project: Some("shop".into()),
            service: Some(name.into()),
            depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn names(batches: &[Vec<Selected>]) -> Vec<Vec<&str>> {
        batches.iter().map(|batch| batch.iter().map(|selected| selected.target.name.as_str()).collect()).collect()
    }

    #[test]
    fn what_is_needed_comes_first_and_never_in_the_same_batch() {
        let all = vec![
            selected("a-web", &["z-db", "cache"]),
            selected("cache", &["z-db"]),
            selected("z-db", &[]),
            selected("other", &[]),
        ];
        let restarted = batches(all.clone(), ContainerVerb::Restart, &[], 4);
        assert_eq!(names(&restarted), [vec!["z-db"], vec!["cache"], vec!["a-web", "other"]]);
        let stopped = batches(all.clone(), ContainerVerb::Stop, &[], 4);
        assert_eq!(names(&stopped), [vec!["other", "a-web"], vec!["cache"], vec!["z-db"]]);
        let first = ["id-other".to_owned(), "id-a-web".to_owned()];
        let given = batches(all, ContainerVerb::Restart, &first, 1);
        assert_eq!(names(&given), [["other"], ["a-web"], ["z-db"], ["cache"]]);
    }

    #[test]
    fn batches_are_filled_by_name_and_circles_are_cut() {
        let all = (0..5).map(|number| selected(&format!("c{number}"), &[])).collect();
        assert_eq!(
            names(&batches(all, ContainerVerb::Restart, &[], 2)),
            [vec!["c0", "c1"], vec!["c2", "c3"], vec!["c4"]]
        );
        let circle = vec![selected("a", &["b"]), selected("b", &["a"])];
        assert_eq!(batches(circle, ContainerVerb::Restart, &[], 4).len(), 2);
        let mut elsewhere = selected("a", &["b"]);
        elsewhere.host_id = 2;
        assert_eq!(batches(vec![elsewhere, selected("b", &[])], ContainerVerb::Restart, &[], 4).len(), 1);
    }
}
