//! Calls that are given up, two at once, and cursors that are closed, rewound or dropped meanwhile.

use std::sync::Arc;

use ferromongo::deadline::TimeLimit;
use ferromongo::error::ErrorKind;
use ferromongo::ops::cursor::close;

use crate::scene::{ALL, Page::*, Scene, kind_of, poll};
use crate::scripted_server::block_on;

#[test]
fn a_fetch_that_is_dropped_unpolled_has_no_effect() {
    let scene = Scene::new(vec![Documents(1), Last(1)]);
    for _ in 0..2 {
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap());
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
        assert!(!scene.cursor.has_begun());
    }
    scene.fetch(0).unwrap();
    assert_eq!(scene.read(), [0]);
    for _ in 0..2 {
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
    }
    assert_eq!(scene.read_all(0).unwrap(), [1]);
    assert_eq!(scene.server.names(), ["find", "getMore"]);
}

#[test]
fn a_fetch_of_a_batch_asked_for_ahead_has_no_effect_either() {
    let scene = Scene::new(vec![Documents(1), Documents(1), Last(1)]);
    scene.fetch(ALL).unwrap();
    assert_eq!(scene.read(), [0]);
    for _ in 0..2 {
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap());
        drop(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
    }
    assert_eq!(scene.read_all(ALL).unwrap(), [1, 2]);
    assert_eq!(scene.server.names(), ["find", "getMore", "getMore"]);
}

#[test]
fn a_fetch_that_is_dropped_later_makes_the_cursor_raise() {
    for ahead in [false, true] {
        let scene = Scene::new(vec![Documents(1), Silence]);
        scene.fetch(if ahead { ALL } else { 0 }).unwrap();
        assert_eq!(scene.read(), [0]);
        let mut fetch = Box::pin(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
        assert!(poll(fetch.as_mut()).is_pending());
        scene.until_received(&["find", "getMore"]);
        drop(fetch);
        for _ in 0..2 {
            assert_eq!(kind_of(scene.fetch(0)), ErrorKind::InvalidOperation);
        }
        scene.until_received(&["find", "getMore", "killCursors"]);
        assert!(scene.cursor.close().is_none());
        assert!(!scene.fetch(0).unwrap(), "closed, it is over and does not raise");
    }
}

#[test]
fn two_callers_at_once() {
    let scene = Scene::new(vec![Documents(1), Last(1)]);
    let claim = scene.cursor.claim().unwrap().unwrap();
    assert_eq!(kind_of(scene.cursor.claim().map(|_| ())), ErrorKind::InUse);
    drop(claim);
    scene.fetch(0).unwrap();
    let unread = scene.cursor.take_unread().unwrap().unwrap();
    assert_eq!(kind_of(scene.cursor.take_unread()), ErrorKind::InUse);
    scene.cursor.give_back(unread, Some(0));
    assert_eq!(scene.read(), [0]);
    let first = scene.next_fetch(scene.terms()).unwrap().unwrap();
    assert_eq!(kind_of(scene.fetch(0)), ErrorKind::InUse);
    block_on(first.run(0)).unwrap();
    assert_eq!(scene.read(), [1]);
}

#[test]
fn closed_while_a_fetch_is_under_way() {
    for ahead in [false, true] {
        let scene = Scene::new(vec![Documents(1), Documents(1)]);
        scene.fetch(if ahead { ALL } else { 0 }).unwrap();
        assert_eq!(scene.read(), [0]);
        if ahead {
            scene.until_received(&["find", "getMore"]);
        }
        let fetch = scene.next_fetch(scene.terms()).unwrap().unwrap();
        let (core, held) = scene.cursor.close().expect("the server still has it");
        block_on(close::kill_now_or_later(core, held, TimeLimit::Unset));
        let _ = block_on(fetch.run(0));
        assert!(scene.cursor.is_over());
        assert!(scene.read().is_empty());
        assert!(!scene.fetch(0).unwrap());
        assert_eq!(scene.received("getMore").len(), 1);
        assert!(!scene.received("killCursors").is_empty());
    }
}

#[test]
fn rewound_while_a_fetch_is_under_way() {
    let scene = Scene::new(vec![Documents(1), Documents(1), Last(1)]);
    scene.fetch(0).unwrap();
    scene.read();
    let mut fetch = Box::pin(scene.next_fetch(scene.terms()).unwrap().unwrap().run(0));
    let first = poll(fetch.as_mut());
    drop(scene.cursor.close());
    scene.cursor.rewind();
    assert!(!scene.cursor.has_begun());
    if first.is_pending() {
        assert_eq!(kind_of(block_on(fetch)), ErrorKind::InUse);
    }
    assert!(!scene.cursor.has_begun(), "what came was of the cursor before");
    assert!(scene.fetch(0).unwrap());
    assert_eq!(scene.read(), [2]);
    assert_eq!(scene.server.names(), ["find", "getMore", "find"]);
}

#[test]
fn dropped_unread_it_is_closed_on_the_server() {
    let mut scene = Scene::new(vec![Documents(2)]);
    scene.fetch(0).unwrap();
    scene.cursor = Arc::default();
    let received = scene.until_received(&["find", "killCursors"]);
    assert_eq!(received[1].body.get_str("killCursors").unwrap(), "c");
}
