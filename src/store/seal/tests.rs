//! What seals promise: one customer, one key, one place; and derivations that stay as they are.

use uuid::Uuid;

use super::{Failure, Keys};
use crate::domain::{CustomerId, InstanceHash, LabelForm, PairKey, ResourceHash, UpstreamNumber};

fn keys() -> Keys {
    Keys::derive(&[7; 32])
}

fn id(text: &str) -> CustomerId {
    CustomerId::new(text).unwrap()
}

fn row(keys: &Keys, id: &CustomerId) -> PairKey {
    PairKey {
        tag: keys.tag(id),
        upstream: UpstreamNumber(1),
        form: LabelForm::RAW,
        resource: ResourceHash([3; 8]),
        instance: InstanceHash::DEFAULT,
    }
}

#[test]
fn a_tag_names_one_customer_under_one_key() {
    let (ours, theirs) = (keys(), Keys::derive(&[8; 32]));
    assert_eq!(ours.tag(&id("abc")), keys().tag(&id("abc")));
    assert_ne!(ours.tag(&id("abc")), ours.tag(&id("abd")));
    assert_ne!(ours.tag(&id("abc")), theirs.tag(&id("abc")));
    assert_eq!(ours.tags_all_epochs(&id("abc")).as_slice(), &[ours.tag(&id("abc"))]);
}

/// The values are what a second implementation (Python's hmac and hashlib, by RFC 5869) gives for the key 07…07: they
/// may never change, or every store in the field loses its customers.
#[test]
fn derivations_are_what_the_rfc_says_and_stay_so() {
    let keys = keys();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    assert_eq!(hex(&keys.tag(&id("abc")).0), "2f0431a3699a70bfbe3cdcf778b93f8d");
    assert_eq!(
        hex(&*keys.alias_key("assistant-eu")),
        "ea770902650004d77dbf91de9b5f5fef426167c15da3f8ea81316f038285beeb"
    );
    assert_eq!(hex(&keys.check_value()), "28d007cfb53db0e946af9d6ad1c6f5aa");
}

#[test]
fn a_row_opens_with_the_customers_id_and_with_no_other_p7() {
    let keys = keys();
    let (anna, bert) = (id("anna"), id("bert"));
    let row = row(&keys, &anna);
    let sealed = keys.seal_row(&anna, row, b"assistants/a1").unwrap();
    assert_eq!(keys.open_row(&anna, row, &sealed).unwrap().as_slice(), b"assistants/a1");
    assert_eq!(keys.open_row(&bert, row, &sealed), Err(Failure::NotOurs));
    let other_key = Keys::derive(&[8; 32]);
    assert_eq!(other_key.open_row(&anna, row, &sealed), Err(Failure::NotOurs));
}

#[test]
fn a_sealed_row_cannot_be_moved_or_changed() {
    let keys = keys();
    let anna = id("anna");
    let row = row(&keys, &anna);
    let sealed = keys.seal_row(&anna, row, b"assistants/a1").unwrap();
    let moved = PairKey { upstream: UpstreamNumber(2), ..row };
    assert_eq!(keys.open_row(&anna, moved, &sealed), Err(Failure::NotOurs));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(keys.open_row(&anna, row, &changed), Err(Failure::NotOurs));
        assert_eq!(keys.open_row(&anna, row, &sealed[..at]), Err(Failure::NotOurs));
    }
}

#[test]
fn the_same_row_is_never_sealed_alike_twice() {
    let keys = keys();
    let anna = id("anna");
    let row = row(&keys, &anna);
    assert_ne!(keys.seal_row(&anna, row, b"x").unwrap(), keys.seal_row(&anna, row, b"x").unwrap());
}

#[test]
fn a_job_opens_with_the_store_key_alone_and_only_as_itself() {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let sealed = keys().seal_job(one, b"anna").unwrap();
    assert_eq!(keys().open_job(one, &sealed).unwrap().as_slice(), b"anna");
    assert_eq!(keys().open_job(two, &sealed), Err(Failure::NotOurs));
    assert_eq!(Keys::derive(&[8; 32]).open_job(one, &sealed), Err(Failure::NotOurs));
}

#[test]
fn alias_keys_differ_by_upstream_and_keys_are_not_printed() {
    let keys = keys();
    assert_ne!(*keys.alias_key("a"), *keys.alias_key("b"));
    assert_eq!(format!("{keys:?}"), "Keys(…)");
}

/// Whoever has the store without its key confirms no name of a resource, and sees not even that two customers share one.
#[test]
fn p7_a_resources_hash_depends_on_key_and_customer() {
    let (keys, others) = (Keys::derive(&[7; 32]), Keys::derive(&[8; 32]));
    let tags = ["anna", "bert"].map(|id| keys.tag(&CustomerId::new(id).unwrap()));
    let hash = keys.resource_hash(tags[0], "assistants/a1");
    assert_eq!(hash, keys.resource_hash(tags[0], "assistants/a1"));
    for other in [
        keys.resource_hash(tags[0], "assistants/a2"),
        keys.resource_hash(tags[1], "assistants/a1"),
        others.resource_hash(tags[0], "assistants/a1"),
    ] {
        assert_ne!(hash, other);
    }
    assert_eq!(keys.resource_hash(tags[0], ""), keys.resource_hash(tags[1], ""), "no resource, no hash");
}
