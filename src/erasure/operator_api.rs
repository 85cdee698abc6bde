//! The operator's calls through the admin API: ask for an erasure, list erasures. Decisions are in `decide`.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::accept::{Asked, Problem};
use super::lanes::Turn;
use super::recipients::{Place, Recipient, Recipients};
use super::settings::{Settings, held};
use super::views::{DryRun, List, TargetView, View};
use super::{Eraser, send};
use crate::domain::decide::text_of;
use crate::domain::erasure::{Fault, Intent, Job, JobState, Scope, Target, TargetState, Where, Which, plan};
use crate::domain::{CustomerId, LabelForm, PairKey, UnixSeconds};
use crate::store::Row;

/// Entries of a page that are read at once, and pages that are read for one answer.
const PAGE: usize = 200;
const PAGES_MAX: usize = 20;

/// The longest answer to a list.
const LIST_MAX: usize = 1000;

/// A request for an erasure.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Whose data.
    pub customer_id: CustomerId,
    /// The requester's idempotency key.
    pub id: Option<Uuid>,
    /// When the person asked.
    pub submitted: Option<UnixSeconds>,
    /// Only these upstreams, by name; each of them is asked, whatever the index knows.
    pub upstreams: Option<Vec<String>>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Why.
    pub reason: Option<String>,
}

/// What came of a [`Submission`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is durable.
    Accepted(Box<View>),
    /// What it would do.
    DryRun(DryRun),
}

impl Eraser {
    /// Accepts an erasure, or says what it would do.
    ///
    /// # Errors
    /// `OtherCustomer`, `UnknownUpstream` or `Store`.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, Problem> {
        let scope = scope(&self.settings(), submission.upstreams.as_deref())?;
        if submission.dry_run {
            return self.dry_run(&submission.customer_id, scope).await.map(Submitted::DryRun);
        }
        let asked = Asked {
            customer: submission.customer_id,
            id: submission.id,
            above: None,
            scope,
            addressed: None,
            probe: None,
            carried: None,
            submitted: submission.submitted,
            reason: submission.reason,
        };
        // A requester who leaves does not end it between fence and record.
        let eraser = self.clone();
        let (under_way, customer) = (self.accepting(), asked.customer.clone());
        let accepting = self.seen_through(async move {
            let accepted = eraser.accept(asked).await?;
            drop(under_way);
            // Read again it could fail, and what was accepted would be said to be refused.
            let held = eraser.shared.holds.of(&eraser.shared.holds.tags(&customer));
            Ok(View::of(&accepted.job, eraser.now(), &held))
        });
        accepting.await.map(|view| Submitted::Accepted(Box::new(view)))
    }

    async fn dry_run(&self, customer: &CustomerId, scope: Scope) -> Result<DryRun, Problem> {
        let settings = self.settings();
        let rows = self.shared.index.rows(&self.shared.keys.tags_all_epochs(customer), customer).await?;
        let rows: Vec<_> = rows.into_iter().filter(|row| row.erased_at.is_none()).collect();
        let reaches = self.reaches(&settings, customer).await?;
        let (intent, now) = (Intent { scope, addressed: None, mark: None }, self.now());
        let on_hold = self.shared.holds.of(&self.shared.holds.tags(customer));
        let mut run = DryRun { dry_run: true, targets: Vec::new(), cannot_be_erased: Vec::new() };
        for target in plan(&[intent], &reaches, &self.needs(&rows, &reaches).held()) {
            match impossible(&settings, &target) {
                None => run.targets.push(TargetView::of(&target, None, now, &on_hold)),
                Some(fault) => {
                    let state = TargetState::NotSupported;
                    let target = Target { state, last_error: Some(fault), ..target };
                    run.cannot_be_erased.push(TargetView::of(&target, None, now, &on_hold));
                }
            }
        }
        Ok(run)
    }

    /// One erasure.
    ///
    /// # Errors
    /// `NotFound` or `Store`.
    pub async fn show(&self, id: Uuid) -> Result<View, Problem> {
        let entry = self.shared.ledger.load(id).await?.ok_or(Problem::NotFound)?;
        let mut view = View::of(&entry.job, self.now(), &self.held_of(&entry));
        for (target, shown) in entry.job.targets.iter().zip(&mut view.targets) {
            shown.next_attempt = shown.next_attempt.or_else(|| self.turn_of(&entry.job, target));
        }
        Ok(view)
    }

    /// When the turn of what waits in line comes, as far as that can be known.
    fn turn_of(&self, job: &Job, target: &Target) -> Option<UnixSeconds> {
        let turn = Turn::new(job.id, job.asked_at(target), target.is_repeat());
        let elapsed = (self.shared.surroundings.elapsed)();
        let estimate = || self.shared.lanes.estimate(target.key.upstream, turn, elapsed);
        let seconds = target.is_in_line().then(estimate).flatten()?;
        Some(UnixSeconds(self.now().wall.0 + seconds))
    }

    /// A page of erasures in the order of their IDs, oldest first. It may hold fewer than `limit` and still not be the
    /// last: `next` says so.
    ///
    /// # Errors
    /// `Store`.
    pub async fn list(&self, state: Option<JobState>, cursor: Option<Uuid>, limit: usize) -> Result<List, Problem> {
        let (limit, now) = (limit.clamp(1, LIST_MAX), self.now());
        let mut list = List { erasures: Vec::new(), next: cursor };
        for _ in 0..PAGES_MAX {
            let (entries, next) = self.shared.ledger.page(list.next, PAGE).await?;
            for entry in entries {
                if list.erasures.len() == limit {
                    return Ok(list);
                }
                list.next = Some(entry.job.id);
                let held = self.held_of(&entry);
                if state.is_none_or(|state| entry.job.state(&held) == state) {
                    list.erasures.push(View::of(&entry.job, now, &held));
                }
            }
            list.next = next;
            if next.is_none() {
                break;
            }
        }
        Ok(list)
    }

    /// Where this customer's data is, as far as the index knows. What was erased and has not come back is not shown.
    ///
    /// # Errors
    /// `Store`.
    pub async fn recipients(&self, customer: &CustomerId) -> Result<Recipients, Problem> {
        let rows = self.shared.index.rows(&self.shared.keys.tags_all_epochs(customer), customer).await?;
        let (known, settings) = (self.shared.index.upstreams().await?, self.settings());
        let reaches = self.reaches(&settings, customer).await?;
        let rows: BTreeMap<PairKey, Row> =
            rows.into_iter().filter(|row| row.erased_at.is_none()).map(|row| (row.key, row)).collect();
        let all: Vec<Row> = rows.values().cloned().collect();
        let mut found: BTreeMap<(String, Where), Vec<Place>> = BTreeMap::new();
        for (key, held) in held(&self.shared.keys, &all, &reaches) {
            let Some(row) = rows.get(&key) else { continue };
            let name = known.iter().find(|upstream| upstream.number == key.upstream).map(|known| known.name.clone());
            let name = name.unwrap_or_else(|| format!("upstream {}", key.upstream.0));
            let alias = || row.wire.as_deref().map(String::from).or_else(|| label_at(&settings, &key, customer));
            let label = if key.form.is_alias() { alias() } else { Some(THE_ID.to_owned()) };
            let resource = (!row.resource.is_empty()).then(|| row.resource.to_string());
            let place = Place { resource, label, since: row.first_seen, last_seen: row.last_seen };
            let reach = reaches.iter().find(|reach| reach.number == key.upstream);
            let needs = reach.map(|reach| reach.needs(&held)).unwrap_or_default();
            let at: BTreeSet<Where> = needs.into_iter().map(|(_, at)| at).collect();
            at.into_iter().for_each(|at| add(found.entry((name.clone(), at)).or_default(), place.clone()));
        }
        let recipients = found.into_iter().map(|((upstream, at), places)| {
            let without_credentials = matches!(at.which, Which::Unnamed(_) | Which::Unknown(_));
            let path = Some(at.prefix.to_string()).filter(|path| !path.is_empty());
            Recipient { instance: at.shown(), path, without_credentials, ..Recipient::of(upstream, places) }
        });
        Ok(Recipients { recipients: recipients.collect() })
    }
}

/// What is shown in place of a label that is the customer's ID: who asks knows it, and answers are kept in more places.
const THE_ID: &str = "the ID itself";

/// Two rows may be of one place: an instance has older keys, too.
fn add(places: &mut Vec<Place>, new: Place) {
    match places.iter_mut().find(|place| (&place.resource, &place.label) == (&new.resource, &new.label)) {
        None => places.push(new),
        Some(known) => {
            (known.since, known.last_seen) = (known.since.min(new.since), known.last_seen.max(new.last_seen));
        }
    }
}

/// The label of this form: the ID, or the alias, as long as its key is at hand.
fn label_at(settings: &Settings, key: &PairKey, customer: &CustomerId) -> Option<String> {
    if !key.form.is_alias() {
        return Some(customer.expose().to_owned());
    }
    let aliases = settings.site(key.upstream).map(|site| &site.aliases);
    let aliases = aliases.filter(|aliases| LabelForm::alias(aliases.epoch()) == key.form)?;
    Some(text_of(aliases, customer, key.form).into())
}

fn scope(settings: &Settings, names: Option<&[String]>) -> Result<Scope, Problem> {
    let Some(names) = names else { return Ok(Scope::All) };
    let number = |name: &String| settings.named(name).map(|site| site.number).ok_or(Problem::UnknownUpstream);
    names.iter().map(number).collect::<Result<_, _>>().map(Scope::Only)
}

fn impossible(settings: &Settings, target: &Target) -> Option<Fault> {
    match settings.site(target.key.upstream) {
        None => Some(Fault::NotConfigured),
        Some(_) if matches!(target.place.which, Which::Unnamed(_)) => Some(Fault::InstanceUnnamed),
        Some(_) if matches!(target.place.which, Which::Unknown(_)) => Some(Fault::InstanceUnknown),
        Some(site) => send::own_request(site, target, "x").is_none().then_some(Fault::NotSupported),
    }
}
