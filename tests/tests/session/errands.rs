//! What a controller asks of an agent, on streams of their session.

use crate::faults::{Villain, read};
use crate::{World, until};
use fleetlight_controller::transport::errand::ErrandError;
use fleetlight_protocol::ERRANDS;
use fleetlight_protocol::command::{Action, Command, CommandControl, CommandReport};
use fleetlight_protocol::errand::Errand;
use fleetlight_protocol::frame;
use fleetlight_protocol::uplink::{Begin, Class, Uplink};
use quinn::{RecvStream, SendStream};
use std::time::Duration;
use uuid::Uuid;

const AGENT: Uuid = Uuid::from_u128(66);
const HOST: i32 = 66;

fn errand() -> Errand {
    Errand::Command(Command {
        id: Uuid::from_u128(7),
        asked_ms: 1,
        deadline_ms: 2,
        by: "admin".into(),
        action: Action::Check,
    })
}

/// An agent of that version that grants so many streams, and its control stream.
async fn welcomed(world: &World, streams: u32, version: u16) -> (Villain, (SendStream, RecvStream)) {
    let mut arrivals = world.controller.registry.arrivals();
    let peer = Villain::granting(world, streams).await;
    let (_, send, recv) = peer.hello(vec![version]).await;
    arrivals.wait_for(|count| *count == 1).await.expect("told of its coming");
    (peer, (send, recv))
}

#[tokio::test(start_paused = true)]
async fn an_errand_goes_out_and_its_answers_come_back_until_either_side_ends_it() {
    let world = World::new(1);
    let registry = &world.controller.registry;
    assert!(matches!(registry.ask(AGENT, &errand()).await, Err(ErrandError::NotConnected)));
    let (peer, _control) = welcomed(&world, 2, ERRANDS).await;
    assert_eq!((registry.agent_of(HOST), registry.agent_of(1)), (Some(AGENT), None));

    let mut asked = registry.ask(AGENT, &errand()).await.expect("asked");
    let (mut send, mut recv) = peer.connection.accept_bi().await.expect("a stream");
    assert_eq!(read::<Errand>(&mut recv).await.expect("an errand"), errand());
    let accepted = CommandReport::Accepted { began_ms: 5 };
    send.write_all(&frame::encode(&accepted).expect("encodes")).await.expect("sent");
    assert_eq!(asked.answers.read().await.expect("an answer"), Some(accepted));
    asked.words.write(&CommandControl::Cancel).await.expect("sent");
    assert_eq!(read::<CommandControl>(&mut recv).await.expect("a word"), CommandControl::Cancel);
    send.finish().expect("open");
    assert_eq!(asked.answers.read::<CommandReport>().await.expect("an end"), None);

    let asked = registry.ask(AGENT, &errand()).await.expect("asked again");
    let (send, mut recv) = peer.connection.accept_bi().await.expect("a stream");
    drop(asked);
    read::<Errand>(&mut recv).await.expect("an errand");
    read::<CommandControl>(&mut recv).await.expect_err("no more words");
    assert!(send.stopped().await.expect("open until then").is_some(), "nobody listens any more");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_takes_no_errands_is_named() {
    for version in 1..ERRANDS {
        let world = World::new(1);
        let (old, _control) = welcomed(&world, 2, version).await;
        let refused = world.controller.registry.ask(AGENT, &errand()).await.expect_err("too old");
        assert!(refused.is_unheard() && refused.to_string().contains("update it"), "{refused}");
        let mut uplink = old.connection.open_uni().await.expect("a stream");
        let begin = Uplink::Begin(Begin { class: Class::Facts, epoch: Uuid::from_u128(1) });
        for message in [begin, Uplink::Events(1, vec![])] {
            uplink.write_all(&frame::encode(&message).expect("encodes")).await.expect("sent");
        }
        let stored = || world.memory.tables().committed.len() == 1;
        until("what it tells is stored all the same", Duration::from_secs(10), stored).await;
    }

    let world = World::new(4);
    let (peer, _control) = welcomed(&world, 2, ERRANDS).await;
    let refused = world.controller.registry.ask(AGENT, &Errand::Allowed).await.expect_err("too old for this");
    assert!(refused.to_string().contains("version 3, this needs 4"), "{refused}");
    world.controller.registry.ask(AGENT, &errand()).await.expect("asked as ever");
    peer.connection.accept_bi().await.expect("the first stream that it sees");

    let world = World::new(2);
    let (_busy, _control) = welcomed(&world, 0, ERRANDS).await;
    let refused = world.controller.registry.ask(AGENT, &errand()).await.expect_err("no room");
    assert!(refused.is_unheard() && refused.to_string().contains("in use"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_executor_is_away_says_so_and_closes_nothing() {
    let world = World::new(3);
    let (_agent, registry) = (world.agent(1), &world.controller.registry);
    until("a session", Duration::from_secs(10), || registry.agent_of(1).is_some()).await;
    let agent_id = registry.agent_of(1).expect("connected");
    for _ in 0..3 {
        let mut asked = registry.ask(agent_id, &errand()).await.expect("asked");
        let answer = asked.answers.read().await.expect("an answer");
        let Some(CommandReport::Unavailable { message }) = answer else { panic!("{answer:?}") };
        assert!(message.contains("executor does not run"), "{message}");
        assert_eq!(asked.answers.read::<CommandReport>().await.expect("an end"), None);
    }
}
