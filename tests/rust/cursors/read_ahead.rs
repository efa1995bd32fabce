//! The batch that is asked for before it is needed.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use bson::{doc, rawdoc};
use ferromongo::deadline::TimeLimit;
use ferromongo::error::{Error, ErrorKind};
use ferromongo::exec::operation::Terms;
use ferromongo::ops::cursor::close;

use crate::scene::{ALL, PATIENCE, Page::*, Scene, poll};
use crate::scripted_server::{Answer, Command, ScriptedServer, block_on, ok};

#[test]
fn a_batch_is_asked_for_before_the_one_in_hand_was_read() {
    for chosen in [false, true] {
        let scene = Scene::new(vec![Documents(2), Documents(2), Documents(2), Last(1)]);
        scene.cursor.set_read_ahead(chosen);
        let wanted = if chosen { 0 } else { ALL };
        scene.fetch(wanted).unwrap();
        assert_eq!(scene.came_at(), 1);
        assert_eq!(scene.came_at(), 1, "the getMore came before its batch was needed");
        assert_eq!(scene.read(), [0, 1]);
        scene.fetch(wanted).unwrap();
        assert_eq!(scene.came_at(), 2);
        assert_eq!(scene.read(), [2, 3]);
        assert_eq!(scene.read_all(wanted).unwrap(), [4, 5, 6]);
        assert_eq!(scene.server.names(), ["find", "getMore", "getMore", "getMore"]);
        assert_eq!(scene.cursor.retrieved(), 7);
        let connections = scene.server.received().into_iter().map(|command| command.connection);
        let connections: Vec<_> = connections.collect();
        assert!(connections.iter().all(|&it| it == connections[0]), "{connections:?}");
    }
}

/// Of each of find and its getMores, how many batches had been wanted when it came.
fn no_batch_ahead(scene: &Scene, terms: impl Fn() -> Terms, wanted: &[usize]) {
    for &wanted in wanted {
        scene.fetch_with(terms(), wanted).unwrap();
        scene.ping().unwrap(); // over the same connection: what was sent before it has come
        scene.read();
    }
    let came: Vec<_> = wanted.iter().map(|_| scene.came_at()).collect();
    assert_eq!(came, (1..=wanted.len()).collect::<Vec<_>>());
    assert!(scene.came.try_recv().is_err());
}

#[test]
fn none_ahead_once_the_batch_has_what_is_wanted() {
    let scene = Scene::new(vec![Documents(2), Documents(2), Documents(2)]);
    no_batch_ahead(&scene, || scene.terms(), &[2, 1, 0]);
    let scene = Scene::new(vec![Documents(2), Last(2)]);
    scene.fetch(4).unwrap();
    assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
    let mut scene = Scene::new(vec![Documents(2), Documents(2)]);
    scene.options.limit = 4;
    no_batch_ahead(&scene, || scene.terms(), &[0, 2]);
}

#[test]
fn none_ahead_in_a_session_of_the_users() {
    let scene = Scene::new(vec![Documents(2), Documents(2), Last(2)]);
    scene.cursor.set_read_ahead(true);
    let terms = scene.in_session();
    no_batch_ahead(&scene, || terms.clone(), &[ALL, ALL, ALL]);
}

#[test]
fn none_ahead_of_changes() {
    let reply = |batch: &str| {
        let cursor = doc! {
            "id": 7_i64, "ns": "db.c", batch: [{ "n": 1 }], "postBatchResumeToken": { "t": 1 },
        };
        Reply(doc! { "ok": 1, "cursor": cursor }.try_into().unwrap())
    };
    let scene = Scene::new(vec![reply("firstBatch"), reply("nextBatch")]);
    scene.cursor.set_read_ahead(true);
    no_batch_ahead(&scene, || scene.terms(), &[ALL, ALL]);
}

#[test]
fn none_ahead_across_calls_that_have_a_time_limit() {
    let scene = Scene::new(vec![Documents(2), Documents(2), Last(2)]);
    scene.cursor.set_read_ahead(true);
    let limit = TimeLimit::after(Instant::now(), PATIENCE);
    no_batch_ahead(&scene, || Terms { limit, ..scene.terms() }, &[0, 0, 0]);
}

#[test]
fn an_error_of_a_batch_ahead_is_told_when_the_batch_is_wanted() {
    for page in [Fails(2), Fails(43), Cut, Reply(rawdoc! { "ok": 1 })] {
        let scene = Scene::new(vec![Documents(3), page]);
        scene.fetch(ALL).unwrap();
        assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
        for n in 0..3 {
            assert_eq!(scene.read_some(1), [n]);
            block_on(scene.cursor.clone().take_in_ahead());
            assert!(!scene.cursor.is_over());
        }
        assert!(scene.fetch(ALL).is_err());
        assert!(scene.cursor.is_over());
        assert_eq!(scene.received("getMore").len(), 1);
    }
}

#[test]
fn what_came_ahead_is_taken_in_meanwhile() {
    let scene = Scene::new(vec![Documents(2), Last(2)]);
    scene.fetch(ALL).unwrap();
    assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
    // The connection is free again once the answer was taken in.
    let began = Instant::now();
    loop {
        block_on(scene.cursor.clone().take_in_ahead());
        scene.ping().unwrap();
        let received = scene.server.received();
        if received.last().unwrap().connection == received[0].connection {
            break;
        }
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(scene.read(), [0, 1]);
    let fetch = scene.next_fetch(scene.terms()).unwrap().unwrap();
    assert!(matches!(poll(pin!(fetch.run(ALL))), Poll::Ready(Ok(()))), "it is here");
    assert_eq!(scene.read(), [2, 3]);
}

#[test]
fn dropped_or_closed_with_a_batch_ahead_under_way() {
    for closed in [false, true] {
        let mut scene = Scene::new(vec![Documents(2), Silence]);
        scene.fetch(ALL).unwrap();
        assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
        if closed {
            let (core, held) = scene.cursor.close().unwrap();
            block_on(close::kill_now_or_later(core, held, TimeLimit::Unset));
        } else {
            scene.cursor = Arc::default();
        }
        let received = scene.until_received(&["find", "getMore", "killCursors"]);
        assert_eq!(received[0].connection, received[1].connection);
        assert_ne!(received[1].connection, received[2].connection, "that one was closed");
        if closed {
            scene.ping().unwrap();
            let last = scene.server.received().pop().unwrap();
            assert_eq!(last.connection, received[2].connection);
        }
    }
}

#[test]
fn a_batch_ahead_takes_no_connection_that_others_need() {
    for most in [1, 2, 3] {
        let mut scene = Scene::new(vec![Documents(1), Documents(1), Documents(1), Last(1)]);
        scene.client.close();
        scene.client = scene.server.client_with(|settings| {
            settings.max_pool_size = most;
            settings.wait_queue_timeout = Some(PATIENCE);
        });
        scene.cursor.set_read_ahead(true);
        let mut all = Vec::new();
        while scene.fetch(0).unwrap() {
            all.extend(scene.read());
            scene.ping().unwrap();
        }
        assert_eq!(all, [0, 1, 2, 3]);
    }
}

#[test]
fn several_batches_ahead_leave_half_of_the_connections_to_others() {
    let server = ScriptedServer::start(|command: &Command| match &*command.name {
        "find" => Answer::Reply(rawdoc! {
            "ok": 1, "cursor": { "id": 7_i64, "ns": "db.c", "firstBatch": [{ "n": 1 }] },
        }),
        "getMore" => Answer::Silence,
        _ => ok(),
    });
    let mut scene = Scene::new(Vec::new());
    scene.client.close();
    scene.client = server.client_with(|settings| {
        settings.max_pool_size = 4;
        settings.wait_queue_timeout = Some(PATIENCE);
    });
    let mut cursors = Vec::new();
    for _ in 0..6 {
        scene.cursor = Arc::default();
        cursors.push(scene.cursor.clone());
        scene.cursor.set_read_ahead(true);
        scene.fetch(0).unwrap();
        assert_eq!(scene.cursor.at_hand(), 1);
    }
    scene.ping().unwrap();
    let ahead = || server.names().iter().filter(|name| *name == "getMore").count();
    let began = Instant::now();
    while ahead() < 2 {
        assert!(began.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(ahead(), 2);
}

#[test]
fn a_call_with_a_time_limit_waits_no_longer_for_a_batch_ahead() {
    let scene = Scene::new(vec![Documents(1), Silence]);
    scene.cursor.set_read_ahead(true);
    scene.fetch(0).unwrap();
    assert_eq!(scene.read(), [0]);
    assert_eq!([scene.came_at(), scene.came_at()], [1, 1]);
    let limit = TimeLimit::after(Instant::now(), Duration::from_millis(50));
    let fetch = scene.next_fetch(Terms { limit, ..scene.terms() }).unwrap().unwrap();
    assert!(fetch.limit() == limit, "what follows in the same call keeps to it too");
    let error: Error = block_on(fetch.run(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkTimeout);
    assert!(error.to_string().contains("timeoutMS: 50.0ms"), "{error}");
    assert!(scene.cursor.is_over());
}

#[test]
fn none_ahead_across_calls_while_a_socket_timeout_would_run() {
    let mut scene = Scene::new(vec![Documents(2), Documents(2), Last(2)]);
    scene.client.close();
    scene.client = scene.server.client_with(|settings| settings.socket_timeout = Some(PATIENCE));
    scene.cursor.set_read_ahead(true);
    no_batch_ahead(&scene, || scene.terms(), &[0, 0, 0]);
}
