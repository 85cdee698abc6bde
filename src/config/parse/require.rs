//! `policy.require`: what the operator demands of an upstream, checked against what the file says of it.
//!
//! It checks what the services document, and claims no more: that data can be deleted by label at all, and on which
//! plan, where and since when an instance may hold health data.

use jiff::civil::{Date, date};

use super::upstream::Draft;
use crate::domain::policy::{Beta, Mode, OptOut, Require};

/// Visual Recognition instances from before this day are unsuitable: their data is not labelled.
const VISUAL_RECOGNITION_FROM: Date = date(2018, 5, 22);
/// Health data: Premium instances in Washington DC made from this day on.
const HIPAA_FROM: Date = date(2019, 4, 1);

pub(super) fn check(drafts: &[Draft<'_>]) {
    for draft in drafts {
        for required in &draft.policy.require {
            match required {
                Require::Gdpr => gdpr(draft),
                Require::Hipaa => hipaa(draft),
            }
        }
    }
}

fn gdpr(draft: &Draft<'_>) {
    let Some(profile) = &draft.profile else {
        return;
    };
    if profile.erase.is_none() {
        let what = "gdpr is required, and this service deletes nothing by label";
        demand(draft, "profile", what, "a service that does, or a policy that does not require it here");
    }
    weaker_than_asked(draft);
    if profile.name != "watson-visual-recognition" {
        return;
    }
    if draft.instance.plan.as_deref().is_some_and(|plan| plan.eq_ignore_ascii_case("dedicated")) {
        let what = "gdpr is required, and Visual Recognition Dedicated takes no deletes by API";
        demand(
            draft,
            "plan",
            what,
            "an instance that does: Dedicated needs a support ticket, which is not yet supported",
        );
    }
    made_from(draft, "gdpr", VISUAL_RECOGNITION_FROM, "a new instance with new keys");
}

/// Choices under which data goes to the service that cannot be erased, or may be learnt from.
fn weaker_than_asked(draft: &Draft<'_>) {
    let policy = &draft.policy;
    let choices = [
        (
            policy.mode == Mode::Observe,
            "mode",
            "\"observe\" lets unlabelled data through, which no delete finds",
            "mode = \"enforce\"",
        ),
        (
            policy.opt_out == OptOut::Off,
            "opt_out",
            "\"off\" lets the service learn from the data",
            "opt_out = \"force\"",
        ),
        (
            policy.beta == Beta::Allow,
            "beta",
            "\"allow\" lets calls in beta through, whose data may not be deletable",
            "beta = \"refuse\"",
        ),
    ];
    for (_, key, what, right) in choices.into_iter().filter(|(chosen, ..)| *chosen) {
        let own = draft.policy_table.as_ref().filter(|own| own.has(key));
        let place = own.map_or_else(|| draft.table.place_of("policy"), |own| own.place_of(key));
        draft.table.report.warning(&place, format!("gdpr is required, and policy.{key} = {what}"), right);
    }
}

fn hipaa(draft: &Draft<'_>) {
    let instance = &draft.instance;
    if !instance.plan.as_deref().is_some_and(|plan| plan.eq_ignore_ascii_case("premium")) {
        demand(draft, "plan", "hipaa is required, and the plan is not Premium", "plan = \"premium\"");
    }
    let washington = |region: &str| matches!(region.to_ascii_lowercase().as_str(), "us-east" | "washington dc");
    if !instance.region.as_deref().is_some_and(washington) {
        let what = "hipaa is required, and the instance is not in Washington DC";
        demand(draft, "region", what, "region = \"us-east\"");
    }
    made_from(draft, "hipaa", HIPAA_FROM, "a newer instance");
}

fn made_from(draft: &Draft<'_>, requirement: &str, from: Date, remedy: &str) {
    match draft.instance.created {
        Some(created) if created >= from => {}
        Some(_) => {
            let what = format!("{requirement} is required, and the instance was made before {from}");
            demand(draft, "created", &what, remedy);
        }
        // A date that cannot be read has been reported already.
        None if draft.table.has("created") => {}
        None => {
            let what = format!("is missing: {requirement} is required, and needs an instance made from {from} on");
            demand(draft, "created", &what, &format!("created = \"{from}\" or later"));
        }
    }
}

fn demand(draft: &Draft<'_>, key: &str, what: &str, right: &str) {
    draft.table.report.fault(&draft.table.place_of(key), what, right);
}
