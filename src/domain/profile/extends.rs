//! `extends`: a profile that is a built-in one but for what it says itself.
//!
//! A key that is written replaces the built-in's whole value (`label`, `erase`, `settle` …). `notes` are added to, and so is
//! the list of endpoints: one with a call that the built-in has replaces that call's entry.

use super::built_in::built_in_text;
use super::built_in_names;
use super::fault::{FaultKind, ProfileFault};
use super::file::{EndpointFile, ProfileFile, RateFile};

/// The whole profile.
///
/// # Errors
/// If no built-in profile has the name.
pub(super) fn extended(own: ProfileFile) -> Result<ProfileFile, ProfileFault> {
    let Some(name) = own.extends.clone() else { return Ok(own) };
    let base = built_in_text(&name).and_then(|text| toml::from_str::<ProfileFile>(text).ok());
    let Some(base) = base else {
        let known = built_in_names().collect();
        return Err(ProfileFault::new("extends", FaultKind::Unknown { found: name.chars().take(64).collect(), known }));
    };
    Ok(ProfileFile {
        extends: None,
        source: if own.source.is_empty() { base.source } else { own.source },
        notes: base.notes.into_iter().chain(own.notes).collect(),
        error: own.error.or(base.error),
        label: own.label.or(base.label),
        opt_out: own.opt_out.or(base.opt_out),
        settle: own.settle.or(base.settle),
        rate: RateFile { deletes_per_minute: own.rate.deletes_per_minute.or(base.rate.deletes_per_minute) },
        erase: own.erase.or(base.erase),
        // A probe is bound to the resources of the endpoints: other endpoints need their own.
        verify: if own.verify.is_absent() && own.endpoint.is_empty() { base.verify } else { own.verify },
        endpoint: endpoints(base.endpoint, &own.endpoint),
        name: own.name,
    })
}

/// The built-in's, replaced in their places, and behind them those that are new.
fn endpoints(base: Vec<EndpointFile>, own: &[EndpointFile]) -> Vec<EndpointFile> {
    let kept = base.into_iter().filter(|known| !own.iter().any(|own| own.call == known.call));
    kept.chain(own.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Classes, Profile, built_in};

    fn read(text: &str) -> Result<Profile, Vec<String>> {
        Profile::from_toml(text).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_profile_that_extends_a_built_in_one_is_that_one_but_for_what_it_says() {
        let text = "name = \"our-assistant\"\nextends = \"watson-assistant\"\nsettle = \"1h\"\nnotes = [\"ours\"]\n\
                    rate = { deletes_per_minute = 60 }\n\
                    [[endpoint]]\ncall = \"POST /v1/workspaces/{workspace}/message\"\nis = [\"opt-out\"]\n\
                    [[endpoint]]\ncall = \"POST /v1/ours\"\nis = [\"labelled\"]\n";
        let (own, base) = (read(text).unwrap(), built_in("watson-assistant").unwrap());
        assert_eq!((own.settle.as_secs(), own.deletes_per_minute), (3600, Some(60)));
        assert_eq!((&own.label, &own.opt_out, &own.erase), (&base.label, &base.opt_out, &base.erase));
        assert_eq!(own.endpoints().len(), base.endpoints().len() + 1);
        assert_eq!(own.notes.len(), base.notes.len() + 1);
        let classes = |path| own.classify("POST", path, None, false).unwrap().classes;
        assert_eq!(classes("/v1/workspaces/w/message"), Classes::OPT_OUT);
        assert_eq!(classes("/v1/ours"), Classes::LABELLED.with(Classes::OPT_OUT));
    }

    #[test]
    fn only_a_built_in_profile_can_be_extended() {
        let faults = read("name = \"a\"\nextends = \"watson-asistant\"\n").unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("extends: \"watson-asistant\" is not known"), "{faults:?}");
    }

    #[test]
    fn p8_a_profile_without_a_label_opts_out_and_can_hold_nothing_that_needs_one() {
        let text = "name = \"tone\"\nopt_out = { header = \"X-Watson-Learning-Opt-Out\", value = \"true\" }\n\
                    [[endpoint]]\ncall = \"POST /v3/tone\"\nis = [\"opt-out\", \"carries-data\"]\n";
        let profile = read(text).unwrap();
        assert!(profile.label.is_none());
        let labelled = format!("{text}[[endpoint]]\ncall = \"POST /v3/x\"\nis = [\"labelled\"]\n");
        let faults = read(&labelled).unwrap_err();
        assert!(faults.iter().any(|fault| fault.starts_with("label: is missing")), "{faults:?}");
    }
}
