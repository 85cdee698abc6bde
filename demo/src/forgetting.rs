//! The second half of the story: the same customer at every service, who holds what, and one delete for all of them.

use std::net::SocketAddr;

use forgetgate_stand_ins::Kind;
use http::Method;
use serde_json::{Value, json};

use crate::Failure;
use crate::client::{self, Answer, Call};
use crate::scene::Actor;
use crate::stage::Stage;
use crate::story::{ANN, AUTHORIZATION, BEN, Cast, observed};

/// How many rows of the customer, and of all others, a service holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holding {
    ann: usize,
    others: usize,
}

/// Tells it.
pub(crate) async fn tell(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    everywhere(cast, stage).await?;
    recipients(cast, stage).await?;
    let before: Vec<Holding> = cast.scene.actors.iter().map(holding).collect();
    erased(cast, stage).await?;
    aftermath(cast, stage, &before)
}

/// Ann and Ben use all the services.
async fn everywhere(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.heading(format_args!("6  Two customers, {ANN} and {BEN}, use every service"))?;
    stage.did("app sends", "messages, a recording, a text to speak, pictures and a letter of each, labelled")?;
    for customer in [ANN, BEN] {
        for actor in &cast.scene.actors {
            let call = contribution(actor).with("X-Watson-Metadata", format!("customer_id={customer}"));
            observed(cast, actor, call).await?;
        }
        let holders = cast.scene.actors.iter().filter(|actor| actor.service.holds(customer) > 0).count();
        let all = cast.scene.actors.len();
        stage.claim(holders == all, "services hold", format_args!("data of {customer}: {holders} of {all}"))?;
    }
    Ok(())
}

/// What a customer gives to a service of this kind.
fn contribution(actor: &Actor) -> Call {
    let target = |path: &str| format!("{}{path}", actor.route);
    match actor.service.kind {
        Kind::SpeechToText => Call::post(target("/v1/recognize"), "audio/l16;rate=16000", vec![0; 3200]),
        Kind::TextToSpeech => {
            Call::post(target("/v1/synthesize"), "application/json", r#"{"text":"Your parcel is on its way."}"#)
        }
        Kind::VisualRecognition => {
            Call::post(target("/v3/classifiers?version=2018-03-19"), "application/zip", b"PK\x05\x06".to_vec())
        }
        Kind::Discovery => Call::post(
            target("/v2/projects/letters/collections/2026/documents?version=2020-08-30"),
            "application/json",
            r#"{"text":"Dear Sir or Madam"}"#,
        ),
        Kind::Assistant | Kind::Language | Kind::Tokens => Call::post(
            target("/v2/assistants/helper/message?version=2021-06-14"),
            "application/json",
            r#"{"input":{"text":"Where is it now?"}}"#,
        ),
    }
}

/// Asks the admin API who holds Ann's data: that must be every service, by name.
async fn recipients(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.heading(format_args!("7  Where is {ANN}?"))?;
    stage.did("operator asks", format_args!("POST http://{}/api/v1/recipients", cast.scene.admin))?;
    let question = json!({ "customer_id": ANN }).to_string();
    let call = Call::post("/api/v1/recipients", "application/json", question);
    let answer = match client::send(cast.scene.admin, call).await {
        Ok(answer) => answer,
        // The rest of the story needs no answer from here.
        Err(error) => return Ok(stage.claim(false, "gate answers", format_args!("nothing: {error}"))?),
    };
    let listed = answer.json();
    let listed: Vec<&Value> = listed.get("recipients").and_then(Value::as_array).into_iter().flatten().collect();
    for actor in &cast.scene.actors {
        let found = listed.iter().find(|one| one.get("upstream").and_then(Value::as_str) == Some(&actor.name));
        let text = found.map_or_else(|| format!("(not listed; the answer was {})", answer.status), |one| place(one));
        stage.claim(found.is_some(), "gate answers", format_args!("{:<20} {text}", actor.name))?;
    }
    let nobody_else = listed.len() == cast.scene.actors.len();
    if !nobody_else {
        stage.claim(false, "gate answers", format_args!("{} recipients", listed.len()))?;
    }
    Ok(())
}

/// Resources, and since when today, in words.
fn place(recipient: &Value) -> String {
    let resources = recipient.get("resources").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<&str> = resources.filter_map(Value::as_str).filter(|name| !name.is_empty()).collect();
    let since = recipient.get("since").and_then(Value::as_str).unwrap_or("?");
    // It was today; the date would only take room.
    let since = since.split_once('T').map_or(since, |(_, time)| time);
    let names = if names.is_empty() { "(the instance)".to_owned() } else { names.join(", ") };
    format!("{names:<38} since {since}")
}

async fn erased(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.heading(format_args!("8  Forget {ANN}: one request, to one of the services"))?;
    let answer = delete(cast.scene.gate, cast.assistant, stage).await?;
    let id = answer.header("forgetgate-erasure");
    let everywhere = answer.status == 200 && answer.json() == json!({}) && uuid::Uuid::try_parse(id).is_ok();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    stage.claim(everywhere, "app got", format_args!("{} {body}   Forgetgate-Erasure: {id}", answer.status))?;
    let means = if everywhere { "so every service has accepted the delete" } else { "so not every service has" };
    stage.did("", means)?;
    Ok(())
}

async fn delete(gate: SocketAddr, home: &Actor, stage: &mut Stage<'_>) -> Result<Answer, Failure> {
    let target = format!("{}/v1/user_data?version=2021-06-14&customer_id={ANN}", home.route);
    stage.did("app sends", format_args!("DELETE {target}"))?;
    stage.did("", "Prefer: wait=10")?;
    let call = Call { method: Method::DELETE, target, ..Call::default() };
    let call = call.with("Prefer", "wait=10").with("Authorization", AUTHORIZATION);
    Ok(client::send(gate, call).await?)
}

/// What is left: nothing of Ann, everything of the others.
fn aftermath(cast: &Cast<'_>, stage: &mut Stage<'_>, before: &[Holding]) -> Result<(), Failure> {
    stage.heading(format_args!("{:<39}of {ANN:<16}of others", "9  What each service still holds"))?;
    for (actor, before) in cast.scene.actors.iter().zip(before) {
        let now = holding(actor);
        let holds = before.ann > 0 && now.ann == 0 && now.others == before.others && before.others > 0;
        let anns = format!("{} → {}", before.ann, now.ann);
        stage.claim(
            holds,
            "holds",
            format_args!("{:<20} {anns:<18} {} → {}", actor.name, before.others, now.others),
        )?;
    }
    let nameless: usize = cast.scene.actors.iter().map(nameless).sum();
    let told = format!("{:<39} {nameless} that came without a label", "");
    stage.claim(nameless == 0, "all together", told)?;
    Ok(())
}

fn holding(actor: &Actor) -> Holding {
    let ann = actor.service.holds(ANN);
    Holding { ann, others: actor.service.rows().len() - ann }
}

fn nameless(actor: &Actor) -> usize {
    actor.service.rows().iter().filter(|row| row.customers.is_empty()).count()
}
