//! The story: what an application sends to the gate, what the service behind it really saw, and how a customer is
//! forgotten everywhere with one request. Each claim is checked against what the stand-ins recorded.

use forgetgate_stand_ins::{Kind, Seen};
use serde_json::Value;

use crate::Failure;
use crate::client::{self, Answer, Call};
use crate::forgetting;
use crate::scene::{Actor, Scene, SceneError};
use crate::stage::Stage;

/// The customer whom the story follows.
pub(crate) const ANN: &str = "cust_4711";
/// Another one, whose data must stay.
pub(crate) const BEN: &str = "cust_0815";

const LABEL: &str = "X-Watson-Metadata";
const OPT_OUT: &str = "X-Watson-Learning-Opt-Out";
const HELLO: &str = r#"{"input":{"text":"My parcel is late."}}"#;
/// Where the old application names its customer.
const OLD_HELLO: &str = r#"{"input":{"text":"Hi"},"context":{"metadata":{"user_id":"cust_4711"}}}"#;

/// The parts that the story needs.
pub(crate) struct Cast<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) assistant: &'a Actor,
    legacy: &'a Actor,
}

/// Tells the whole story. That a claim does not hold is no error: the stage counts those.
pub(crate) async fn tell(scene: &Scene, stage: &mut Stage<'_>) -> Result<(), Failure> {
    let part = |derives, name| scene.part(Kind::Assistant, derives, 0).ok_or(SceneError::Uncast(name));
    let assistant = part(false, "a watson-assistant upstream with missing = \"refuse\"")?;
    let legacy = part(true, "a watson-assistant upstream with missing = \"derive\"")?;
    let cast = Cast { scene, assistant, legacy };
    prologue(&cast, stage)?;
    labelled(&cast, stage).await?;
    unlabelled(&cast, stage).await?;
    personal(&cast, stage).await?;
    legacy_client(&cast, stage).await?;
    opted_out(&cast, stage).await?;
    forgetting::tell(&cast, stage).await
}

fn prologue(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    let ports: Vec<String> = cast.scene.actors.iter().map(|actor| actor.service.addr.port().to_string()).collect();
    stage.heading("Forgetgate")?;
    let (gate, ports) = (cast.scene.gate, ports.join(" "));
    stage.say("Services that keep what people say can delete it only if it came with a label saying whose it is.")?;
    stage.say("This gate stands before them: it insists on the label, knows who holds what, and passes one")?;
    stage.say("delete on to all of them. The services here are stand-ins, but real servers.")?;
    stage.say(format_args!("gate {gate}   services {ports}"))?;
    Ok(())
}

async fn labelled(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.heading("1  A message that says whose it is goes through")?;
    let label = format!("customer_id={ANN}");
    let call = message(cast.assistant, HELLO).with(LABEL, label.clone());
    stage.did("app sends", format_args!("POST {}", call.target))?;
    stage.did("", format_args!("{LABEL}: {label}"))?;
    let (answer, seen) = observed(cast, cast.assistant, call).await?;
    claim_header(stage, "service saw", &seen, LABEL, |value| value == label)?;
    claim_success(stage, &answer)
}

async fn unlabelled(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.heading("2  One that does not is turned away: nobody could ever have it deleted")?;
    let connections = cast.assistant.service.connections();
    let call = message(cast.assistant, HELLO);
    stage.did("app sends", format_args!("POST {} without a label", call.target))?;
    let (answer, seen) = observed(cast, cast.assistant, call).await?;
    let refused = answer.status == 400 && answer.header("forgetgate-refusal") == "label_missing";
    stage.claim(refused, "app got", format_args!("{} {}", answer.status, answer.header("forgetgate-refusal")))?;
    stage.quote(answer.json().get("error").and_then(Value::as_str).unwrap_or_default())?;
    let untouched = seen.is_empty() && cast.assistant.service.connections() == connections;
    stage.claim(untouched, "service saw", if untouched { "nothing" } else { "the request" })?;
    Ok(())
}

async fn personal(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.heading("3  An e-mail address never reaches the service: it gets an alias")?;
    let label = "customer_id=eve@example.com";
    stage.did("app sends", format_args!("{LABEL}: {label}"))?;
    let call = message(cast.assistant, HELLO).with(LABEL, label);
    let (answer, seen) = observed(cast, cast.assistant, call).await?;
    let is_alias = |value: &str| value.strip_prefix("customer_id=fg_").is_some_and(|rest| rest.len() == 26);
    claim_header(stage, "service saw", &seen, LABEL, is_alias)?;
    let leaked =
        seen.iter().flat_map(|seen| [&seen.head, &seen.body_start]).any(|bytes| mentions(bytes, "example.com"));
    let told = if leaked { "the address in the request" } else { "no trace of the address in the whole request" };
    stage.claim(!leaked && answer.status == 200 && seen.len() == 1, "", told)?;
    Ok(())
}

async fn legacy_client(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.heading("4  An old application that knows no labels gets them from what it says anyway")?;
    let wanted = format!("customer_id={ANN}");
    let by_header = message(cast.legacy, HELLO).with("X-User-Id", ANN);
    let by_body = message(cast.legacy, OLD_HELLO);
    for (said, call) in [(format!("X-User-Id: {ANN}"), by_header), (OLD_HELLO.to_owned(), by_body)] {
        stage.did("old app sends", said)?;
        let (_, seen) = observed(cast, cast.legacy, call).await?;
        claim_header(stage, "service saw", &seen, LABEL, |value| value == wanted)?;
    }
    Ok(())
}

async fn opted_out(cast: &Cast<'_>, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.heading("5  Every message opts out of training, whatever the application says")?;
    stage.did("app sends", format_args!("{OPT_OUT}: false"))?;
    let call = message(cast.assistant, HELLO).with(LABEL, format!("customer_id={ANN}")).with(OPT_OUT, "false");
    let (_, seen) = observed(cast, cast.assistant, call).await?;
    claim_header(stage, "service saw", &seen, OPT_OUT, |value| value == "true")
}

fn mentions(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

/// A message to an Assistant workspace.
fn message(actor: &Actor, body: &'static str) -> Call {
    Call::post(format!("{}/v1/workspaces/shop/message?version=2021-06-14", actor.route), "application/json", body)
}

/// Sends a call through the gate; gives the answer and what the service saw of it.
pub(crate) async fn observed(cast: &Cast<'_>, actor: &Actor, call: Call) -> Result<(Answer, Vec<Seen>), Failure> {
    let before = actor.service.seen().len();
    let call = call.with("Authorization", AUTHORIZATION);
    let answer = client::send(cast.scene.gate, call).await?;
    Ok((answer, actor.service.seen().into_iter().skip(before).collect()))
}

/// `apikey:KEY`, as the services' clients send an API key.
pub(crate) const AUTHORIZATION: &str = "Basic YXBpa2V5OktFWQ==";

/// The service saw one request, with this header once and with a value that is right.
fn claim_header(
    stage: &mut Stage<'_>,
    who: &str,
    seen: &[Seen],
    name: &str,
    is_right: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let [one] = seen else {
        stage.claim(false, who, format_args!("{} requests in place of one", seen.len()))?;
        return Ok(());
    };
    let values = one.values(name);
    let holds = matches!(values.as_slice(), [value] if is_right(value));
    let shown = if values.is_empty() { "(none)".to_owned() } else { values.join(" | ") };
    stage.claim(holds, who, format_args!("{name}: {shown}"))?;
    Ok(())
}

fn claim_success(stage: &mut Stage<'_>, answer: &Answer) -> Result<(), Failure> {
    let holds = (200..300).contains(&answer.status);
    stage.claim(holds, "app got", format_args!("{} {}", answer.status, answer.reason))?;
    Ok(())
}
