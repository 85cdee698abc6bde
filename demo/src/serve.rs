//! What stays when the story is told: services and gate to try out by hand, or services alone for other programs' tests.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use forgetgate_stand_ins::{Kind, Running};

use crate::scene::{self, Scene};
use crate::stage::Stage;
use crate::{Failure, exit_code};

/// The stand-ins of `--services-only`, one port after the other; the first seven are those of config.toml.
const STREET: [(&str, Kind); 9] = [
    ("assistant", Kind::Assistant),
    ("assistant-second", Kind::Assistant),
    ("speech-to-text", Kind::SpeechToText),
    ("visual-recognition", Kind::VisualRecognition),
    ("discovery", Kind::Discovery),
    ("text-to-speech", Kind::TextToSpeech),
    ("assistant-legacy", Kind::Assistant),
    ("natural-language-understanding", Kind::Language),
    ("tokens", Kind::Tokens),
];

/// The first port of the stand-ins unless another is given.
const FIRST_PORT: u16 = 9101;

/// Starts the stand-ins alone, prints `NAME URL` for each, and runs until it is told to stop. They listen from
/// `first_port` on, or at any free ports if that is 0.
pub fn services_only(first_port: Option<u16>) -> ExitCode {
    exit_code(street(first_port.unwrap_or(FIRST_PORT), &mut io::stdout()).map(|()| true))
}

fn street(first_port: u16, out: &mut dyn io::Write) -> Result<(), Failure> {
    let mut running: Vec<Running> = Vec::new();
    for ((name, kind), offset) in STREET.into_iter().zip(0..) {
        let port = if first_port == 0 { 0 } else { first_port.saturating_add(offset) };
        let service = scene::start(kind, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        writeln!(out, "{name} http://{}", service.addr)?;
        running.push(service);
    }
    out.flush()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(until_told_to_stop())?)
}

/// Lines to try by hand.
pub(crate) fn invite(scene: &Scene, stage: &mut Stage<'_>) -> io::Result<()> {
    let route = scene.part(Kind::Assistant, false, 0).map(|actor| actor.route.as_str()).unwrap_or_default();
    let (gate, admin) = (scene.gate, scene.admin);
    let message = format!("http://{gate}{route}/v1/workspaces/shop/message?version=2021-06-14");
    stage.heading("Everything keeps running until Ctrl-C. To try:")?;
    stage.copyable(format_args!("curl -i '{message}' -H 'X-Watson-Metadata: customer_id=me' --json '{{}}'"))?;
    stage.copyable(format_args!("curl -i '{message}' --json '{{}}'"))?;
    stage.copyable(format_args!("curl http://{admin}/api/v1/recipients --json '{{\"customer_id\":\"me\"}}'"))?;
    let delete = format!("http://{gate}{route}/v1/user_data?version=2021-06-14&customer_id=me");
    stage.copyable(format_args!("curl -i -X DELETE -H 'Prefer: wait=10' '{delete}'"))?;
    for actor in &scene.actors {
        stage.copyable(format_args!("curl http://{}/stand-in/holdings   # {}", actor.service.addr, actor.name))?;
    }
    Ok(())
}

/// Returns on Ctrl-C, and where there are signals on SIGTERM.
pub(crate) async fn until_told_to_stop() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
