//! The commands that talk to a gate that runs, as their users see them.

use std::path::PathBuf;

use clap::Parser;
use forgetgate::cli::{
    self, Answer, EraseArgs, ErasuresArgs, HoldArgs, HoldsArgs, IndexArgs, KeyArgs, RecipientsArgs, UnholdArgs,
};

use crate::world::{Wish, World};

/// Typed as a command line, without the program's name.
#[derive(Parser)]
#[command(no_binary_name = true)]
enum Typed {
    Erase(EraseArgs),
    Recipients(RecipientsArgs),
    Erasures(ErasuresArgs),
    Hold(HoldArgs),
    Unhold(UnholdArgs),
    Holds(HoldsArgs),
    Index(IndexArgs),
    Key(KeyArgs),
}

pub(crate) async fn typed(line: &[&str], input: &'static str) -> Answer {
    let typed = Typed::try_parse_from(line).unwrap();
    let run = move || match typed {
        Typed::Erase(args) => cli::erase(&args, &mut input.as_bytes()),
        Typed::Recipients(args) => cli::recipients(&args, &mut input.as_bytes()),
        Typed::Erasures(args) => cli::erasures(&args),
        Typed::Hold(args) => cli::hold(&args, &mut input.as_bytes()),
        Typed::Unhold(args) => cli::unhold(&args),
        Typed::Holds(args) => cli::holds(&args),
        Typed::Index(args) => cli::index(&args),
        Typed::Key(args) => cli::key(&args),
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn url(world: &World) -> String {
    format!("http://{}", world.address)
}

#[tokio::test]
async fn an_erasure_is_tried_dry_then_done_and_waited_for_and_listed() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let url = url(&world);
    let dry = typed(&["erase", "-", "--dry-run", "--admin", &url], "someone\n").await;
    assert_eq!((dry.code, dry.complaint.as_str()), (0, ""));
    assert!(dry.text.contains("Deletes would be sent to") && dry.text.contains("one"), "{}", dry.text);
    let done = typed(&["erase", "-", "--wait", "--reason", "asked", "--admin", &url], "someone\n").await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.text.contains(": settling\n") && done.text.contains("reason: asked"), "{}", done.text);
    let list = typed(&["erasures", "--admin", &url], "").await;
    assert!(list.text.contains("settling") && list.text.contains("1/1"), "{}", list.text);
    for text in [&dry.text, &done.text, &list.text] {
        assert!(!text.contains("someone"), "P7: {text}");
    }
}

#[tokio::test]
async fn p4_a_customer_is_put_on_hold_is_not_erased_meanwhile_and_is_when_the_hold_is_taken_off() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let url = url(&world);
    assert_eq!(typed(&["holds", "--admin", &url], "").await.text, "There are no legal holds.\n");
    let hold = ["hold", "-", "--by", "A. Person", "--reason", "court", "--json", "--admin", &url];
    let held = typed(&hold, "someone\n").await;
    assert_eq!(held.code, 0, "{held:?}");
    let held: serde_json::Value = serde_json::from_str(&held.text).unwrap();
    let id = held["id"].as_str().unwrap();
    let list = typed(&["holds", "--admin", &url], "").await;
    assert!([id, "all", "A. Person", "court"].iter().all(|word| list.text.contains(word)), "{}", list.text);
    assert!(!list.text.contains("someone"), "P7: {}", list.text);
    let waits = typed(&["erase", "-", "--wait", "--admin", &url], "someone\n").await;
    assert!(waits.code == 1 && waits.text.contains(": held\n"), "{waits:?}");

    let off = typed(&["unhold", id, "--by", "A. Person", "--admin", &url], "").await;
    assert_eq!((off.code, off.text), (0, format!("Hold {id} is taken off. Erasures that waited for it go on.\n")));
    let done = typed(&["erase", "-", "--wait", "--admin", &url], "someone\n").await;
    assert!(done.code == 0 && done.text.contains(": settling\n"), "{done:?}");
    let gone = typed(&["unhold", id, "--by", "A. Person", "--admin", &url], "").await;
    assert!(gone.code == 1 && gone.complaint.contains("no legal hold of this id"), "{gone:?}");
    let nowhere = ["hold", "x", "--by", "A", "--reason", "b", "--upstream", "nowhere", "--admin", &url];
    assert_eq!(typed(&nowhere, "").await.code, 1);
}

#[tokio::test]
async fn json_is_what_the_api_says() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let url = url(&world);
    let found = typed(&["recipients", "someone", "--json", "--admin", &url], "").await;
    let found: serde_json::Value = serde_json::from_str(&found.text).unwrap();
    assert_eq!(found["recipients"][0]["resources"], serde_json::json!(["assistants/a1"]));
    let table = typed(&["recipients", "someone", "--admin", &url], "").await;
    assert!(table.text.contains("assistants/a1") && table.text.contains("2018-05-25T00:00:00Z"), "{}", table.text);
    let erased = typed(&["erase", "someone", "--json", "--admin", &url], "").await;
    let erased: serde_json::Value = serde_json::from_str(&erased.text).unwrap();
    let one = typed(&["erasures", erased["id"].as_str().unwrap(), "--json", "--admin", &url], "").await;
    let one: serde_json::Value = serde_json::from_str(&one.text).unwrap();
    assert_eq!(one["id"], erased["id"]);
}

/// `printf 'alice-7\nbob-8\n' | forgetgate erase -` erased one of them and said nothing of the other.
#[tokio::test]
async fn p5_more_than_one_line_is_a_usage_error_and_nothing_is_erased() {
    let world = World::new(Wish::default()).await;
    world.labelled("someone").await;
    let url = url(&world);
    for command in ["erase", "recipients"] {
        let two = typed(&[command, "-", "--admin", &url], "someone\nanother\n").await;
        assert!(two.code == 2 && two.complaint.contains("more than one line"), "{two:?}");
    }
    assert_eq!(typed(&["erasures", "--admin", &url], "").await.text, "There are no erasures.\n");
    let marked = typed(&["erase", "-", "--dry-run", "--admin", &url], "\u{feff}someone\r\n").await;
    assert!(marked.code == 0 && marked.text.contains("one"), "{marked:?}");
}

#[tokio::test]
async fn an_id_of_which_nothing_is_known_is_said_to_be_unknown_and_one_that_is_a_mistake_is_refused() {
    let world = World::new(Wish::default()).await;
    let url = url(&world);
    for line in [&["recipients", "nobody"][..], &["erase", "nobody", "--dry-run"], &["erase", "nobody", "--wait"]] {
        let said = typed(&[line, &["--admin", &url]].concat(), "").await;
        assert!(said.code == 0 && said.text.contains("Nothing is known of this ID"), "{said:?}");
    }
    let json = typed(&["erase", "nobody", "--json", "--admin", &url], "").await;
    assert!(json.complaint.contains("Nothing is known of this ID"), "{json:?}");
    for command in ["erase", "recipients"] {
        let mistake = typed(&[command, "undefined", "--admin", &url], "").await;
        assert!(mistake.code == 1 && mistake.complaint.contains("placeholders"), "{mistake:?}");
    }
}

#[tokio::test]
async fn a_time_that_is_over_ends_the_command_and_not_the_erasure() {
    let world = World::new(Wish::default()).await;
    for customer in ["ann", "bob", "cid", "dan"] {
        world.labelled(customer).await;
        let erasure = world.erasure(customer).await;
        world.until(&erasure, "settling").await;
    }
    world.labelled("eve").await;
    // Assistant takes four deletes a minute.
    let over = typed(&["erase", "eve", "--wait", "--timeout", "1ms", "--admin", &url(&world)], "").await;
    assert!(over.code == 1 && over.complaint.contains("the erasure goes on: forgetgate erasures "), "{over:?}");
    assert!(Typed::try_parse_from(["erase", "eve", "--timeout", "1s"]).is_err(), "without --wait it says nothing");
    assert!(Typed::try_parse_from(["erase", "eve", "--wait", "--timeout", "soon"]).is_err());
}

#[tokio::test]
async fn waiting_ends_when_a_person_has_to_decide_first_and_that_is_no_success() {
    let world = World::new(Wish { approve: true, ..Wish::default() }).await;
    let waited = typed(&["erase", "someone", "--wait", "--admin", &url(&world)], "").await;
    assert_eq!(waited.code, 1);
    assert!(waited.text.contains("awaiting_approval"), "{}", waited.text);
}

/// 1 failed, 2 usage, 3 configuration refused; and never the ID in the words.
#[tokio::test]
async fn each_failure_has_its_code_and_says_what_is_wrong() {
    let world = World::new(Wish { token: true, ..Wish::default() }).await;
    let url = url(&world);
    let token = world.folder.path().join("token").display().to_string();
    let refused = typed(&["erase", "someone", "--admin", &url], "").await;
    assert!(refused.code == 1 && refused.complaint.contains("--token-file"), "{refused:?}");
    assert_eq!(typed(&["erase", "someone", "--admin", &url, "--token-file", &token], "").await.code, 0);
    let blank = typed(&["erase", "-", "--admin", &url, "--token-file", &token], "\n").await;
    assert_eq!(blank.code, 2, "{blank:?}");
    assert_eq!(typed(&["erasures", "--admin", "ftp://x"], "").await.code, 2);
    let nobody = typed(&["erasures", "--admin", "http://127.0.0.1:1"], "").await;
    assert!(nobody.code == 1 && nobody.complaint.contains("does it run?"), "{nobody:?}");
    let broken = world.folder.path().join("broken.toml");
    std::fs::write(&broken, "[admin]\nadress = 1\n").unwrap();
    let faulty = typed(&["erase", "someone", "--config", &broken.display().to_string()], "").await;
    assert!(faulty.code == 3 && faulty.complaint.contains("adress"), "{faulty:?}");
    for answer in [refused, blank, nobody, faulty] {
        assert!(answer.text.is_empty() && !answer.complaint.contains("someone"), "{answer:?}");
    }
}

#[tokio::test]
async fn the_gate_is_found_by_its_configuration_over_tcp_with_its_token_and_over_a_unix_socket() {
    let world = World::new(Wish { token: true, ..Wish::default() }).await;
    let path = configured(&world);
    let found = typed(&["erasures", "--config", &path.display().to_string()], "").await;
    assert_eq!((found.code, found.text.as_str()), (0, "There are no erasures.\n"), "{found:?}");
    let unix = World::new(Wish { unix: true, ..Wish::default() }).await;
    let socket = format!("unix:{}", unix.socket().display());
    assert_eq!(typed(&["recipients", "someone", "--admin", &socket], "").await.code, 0);
}

/// A configuration that says where this world's gate is.
fn configured(world: &World) -> PathBuf {
    let path = world.folder.path().join("config.toml");
    let text = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"{}\"\ntoken = {{ file = \"token\" }}\n\
         [store]\nengine = \"memory\"\nkey = {{ file = \"key\" }}\n\
         [[upstream]]\nname = \"one\"\nprofile = \"watson-assistant\"\nurl = \"http://127.0.0.1:1\"\nroute = {{ path = \"/one\" }}\n",
        world.address
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Assistant takes four deletes a minute.
#[tokio::test]
async fn an_erasure_that_waits_for_an_upstreams_rate_says_so_and_until_when() {
    let world = World::new(Wish::default()).await;
    for customer in ["ann", "bob", "cid", "dan"] {
        world.labelled(customer).await;
        let erasure = world.erasure(customer).await;
        world.until(&erasure, "settling").await;
    }
    world.labelled("eve").await;
    let erasure = world.erasure("eve").await;
    let shown = world.until_waiting(&erasure).await;
    let target = &shown["targets"][0];
    assert_eq!(target["waiting"], "its turn among the deletes to this upstream");
    assert_eq!(target["instant_after_answer"], "rate");
    let next = target["next_attempt"].as_str().unwrap();
    assert!(next > shown["received"].as_str().unwrap(), "{shown}");
    let id = shown["id"].as_str().unwrap();
    let table = typed(&["erasures", id, "--admin", &url(&world)], "").await.text;
    // Two clocks of whole seconds are read for it, so that it may move by one between two answers.
    let next: jiff::Timestamp = next.parse().unwrap();
    let near = [-1, 0, 1].map(|seconds| (next + jiff::SignedDuration::from_secs(seconds)).to_string());
    assert!(table.contains("NEXT ATTEMPT") && near.iter().any(|next| table.contains(next)), "{table}");
}

#[tokio::test]
async fn the_index_is_shown_in_figures_as_a_table_and_as_json() {
    let world = World::new(Wish::default()).await;
    for customer in ["ann", "bob"] {
        world.labelled(customer).await;
    }
    world.until(&world.erasure("ann").await, "settling").await;
    let url = url(&world);
    let json = typed(&["index", "stats", "--json", "--admin", &url], "").await;
    let json: serde_json::Value = serde_json::from_str(&json.text).unwrap();
    let expected = serde_json::json!({
        "writable": 1, "rows": 2, "erased_rows": 1, "jobs": 1, "unfinished_jobs": 1, "unreadable": 0, "bytes": 0
    });
    assert_eq!(json, expected);
    let table = typed(&["index", "stats", "--admin", &url], "").await;
    let words = "rows: a customer's data at an upstream, in a resource";
    let line = table.text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{}", table.text));
    assert!(line.split_whitespace().any(|word| word == "2"), "{line}");
    let nobody = typed(&["index", "stats", "--admin", "http://127.0.0.1:1"], "").await;
    assert!(nobody.code == 1 && nobody.complaint.contains("does it run?"), "{nobody:?}");
}

/// Losing the key is losing the ability to erase, and the command says so.
#[tokio::test]
async fn the_key_is_copied_to_a_new_file_and_never_over_another() {
    let world = World::new(Wish::default()).await;
    let config = configured(&world).display().to_string();
    let key = world.folder.path().join("key");
    let to = world.folder.path().join("copy").display().to_string();
    let backup = ["key", "backup", to.as_str(), "--config", config.as_str()];
    let done = typed(&backup, "").await;
    assert_eq!((done.code, done.complaint.as_str()), (0, ""));
    assert!(done.text.contains("nothing in the store can be found or erased any more"), "{}", done.text);
    let secret = std::fs::read_to_string(key).unwrap();
    assert_eq!(std::fs::read_to_string(&to).unwrap(), secret);
    assert!(!done.text.contains(secret.trim()));
    std::fs::write(&to, "something else").unwrap();
    let refused = typed(&backup, "").await;
    assert!(refused.code == 1 && refused.complaint.contains("is there already"), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "something else");
    assert_eq!(typed(&["key", "backup", &to, "--config", "none.toml"], "").await.code, 3);
}
